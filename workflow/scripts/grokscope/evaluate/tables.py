"""Tables of a study: how good every cheap predictor is, and whether it beats chance.

Input: the scores of the detectors (:mod:`grokscope.measure.detectors`) and the tables
``transitions`` and ``alarms`` of a study. Output: its tables ``evaluation`` (scores of the alarms
at several levels, :mod:`grokscope.evaluate.thresholds`), ``chance`` (the same beside null models,
:mod:`grokscope.evaluate.chance_table`), ``curves`` (:mod:`grokscope.evaluate.curves`) and
``calibration`` (:mod:`grokscope.evaluate.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokscope.data.tables import empty, from_rows
from grokscope.evaluate.calibration import calibration_table
from grokscope.evaluate.chance_table import chance_rows, curve_rows, place_of
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.intervals import share_intervals
from grokscope.evaluate.matching import AtRisk, Cohort, Integers, ratios
from grokscope.evaluate.statistics import kaplan_meier_median
from grokscope.evaluate.study import Scope, Study, known_events
from grokscope.evaluate.thresholds import CONSTANT_TIME, Policy, Subject, policies, references
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, GAI, Detector
from grokscope.runs.paths import EVALUATION_TABLES
from grokscope.runs.settings import Analysis

ScoresOf = Callable[[str], pd.DataFrame]


def evaluation_rows(
    study: Study, policy: Policy, cohort: Cohort, scopes: Sequence[Scope]
) -> Iterator[dict[str, Any]]:
    """Rows of the table ``evaluation`` of a policy: each of its tasks in each scope.

    Parameters
    ----------
    cohort
        The runs of the policy's alarms.
    scopes
        With members among these runs.
    """
    fired = AtRisk(policy.alarms, cohort)
    verdicts = [fired.judge(*task) for task in policy.tasks]
    hits = np.stack([verdict.hits[0] for verdict in verdicts], axis=1).astype(np.int64)
    judged = np.stack([verdict.judged[0] for verdict in verdicts], axis=1)
    warned = np.stack([fired.warning_steps(*task)[0] for task in policy.tasks], axis=1)
    events = np.broadcast_to(cohort.event[:, None], hits.shape).astype(np.int64)
    numerator = np.concatenate([hits, hits, 2 * hits], axis=1)
    denominator = np.concatenate([judged, events, judged + events], axis=1)
    confidence = study.analysis.evaluation.confidence
    for scope in scopes:
        here = np.flatnonzero(scope.member)
        intervals = share_intervals(
            cohort.seed[here], numerator[here], denominator[here], confidence=confidence
        )
        low, high = (ends.reshape(3, len(policy.tasks)) for ends in intervals)
        n_events = int(cohort.event[here].sum())
        n_hits, n_judged = hits[here].sum(axis=0), judged[here].sum(axis=0)
        scores = ratios(n_hits, n_judged, n_events)
        steps = int(cohort.risk_end[here].sum())
        shared = {
            "n_runs": len(here),
            "seeds": len(np.unique(cohort.seed[here])),
            "n_events": n_events,
            "n_alarms": int(fired.counts[0, here].sum()),
            **leads(fired, here),
        }
        for i, task in enumerate(policy.tasks):
            row = place_of(study, scope, policy.subject, policy.source, task)
            row |= {"uses_test_data": policy.subject.uses_test_data}
            row |= {"threshold": policy.threshold}
            row |= shared | {"n_judged": int(n_judged[i]), "n_hits": int(n_hits[i])}
            for j, (name, values) in enumerate(scores._asdict().items()):
                undefined = np.isnan(values[i])
                row[name] = _null(values[i])
                row[f"{name}_low"] = None if undefined else _null(low[j, i])
                row[f"{name}_high"] = None if undefined else _null(high[j, i])
            false = n_judged[i] - n_hits[i]
            row["false_alarms_per_10000"] = 1e4 * false / steps if steps else None
            row["time_in_warning"] = warned[here, i].sum() / steps if steps else None
            yield row


def leads(fired: AtRisk, here: Integers) -> dict[str, float | None]:
    """Lead columns of the table ``evaluation``: first alarm to onset, over all events."""
    cohort, first = fired.cohort.take(here), fired.first[0, here]
    alarmed = np.isfinite(first)
    lead = np.where(alarmed, cohort.onset - np.where(alarmed, first, 0), 0)
    # Memorised, warned, and at the end still without an onset.
    waiting = alarmed & cohort.memorised & np.isnan(cohort.onset)
    to_end = (cohort.last - first)[waiting]
    of_events = lead[cohort.event]
    quartiles = np.quantile(of_events, [0.25, 0.5, 0.75]) if len(of_events) else [None] * 3
    median = kaplan_meier_median(
        np.concatenate([of_events, to_end]),
        np.repeat([True, False], [len(of_events), len(to_end)]),
    )
    names = ("lead_q25", "lead_median", "lead_q75")
    return {**dict(zip(names, quartiles, strict=True)), "km_lead_median": _null(median)}


def constant_signal(study: Study) -> Signal | None:
    """The score ``t - tau`` of the constant-time predictor on held-out runs.

    None if no cell has a constant time.
    """
    times = study.constant_times[study.held_out]
    if np.isnan(times).all():
        return None
    cohort, step = study.cohort.take(study.held_out), study.resolution
    blocks = [np.arange(last // step + 1) * step for last in cohort.last]
    scores = [steps - time for steps, time in zip(blocks, times, strict=True)]
    return Signal(cohort, scores, step)


def evaluation_tables(
    scores_of: ScoresOf,
    alarms: pd.DataFrame,
    transitions: pd.DataFrame,
    analysis: Analysis,
    detectors: Mapping[str, Detector] = DETECTORS,
) -> dict[str, pd.DataFrame]:
    """Tables ``evaluation``, ``chance``, ``curves`` and ``calibration`` of a study.

    Parameters
    ----------
    scores_of
        Scores of a detector by its name, as
        :func:`grokscope.measure.detectors.scores.read_scores` gives them, in any order: one row
        per run and layer. Called once per detector, so that the scores of one detector are in
        memory at a time.
    alarms, transitions
        Tables of these names, of one study; the alarms are those at stated levels.
    analysis
        Used are ``evaluation``, ``phases``, ``alarms``, ``onset`` and ``detectors``.
    detectors
        Those to evaluate, by name.

    Returns
    -------
    dict
        Table by name, empty without runs. The same for any order of runs, scores and alarms.

    Raises
    ------
    ValueError
        If scores, alarms and transitions do not fit together, see :meth:`Study.signals`.
    """
    # A study that the config leaves out, or of which no event is known.
    if not known_events(transitions).any():
        return {name: empty(name) for name in EVALUATION_TABLES}
    study = Study.from_transitions(transitions, analysis)
    stated = study.alarms(alarms)
    evaluation: list[dict[str, Any]] = []
    chance: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []

    def draw(subject: Subject, level: float | None, *runs: Any) -> None:
        points, areas = curve_rows(study, subject, level, *runs)
        curves.extend(points)
        chance.extend(areas)

    for detector in detectors.values():
        level = detector.threshold and detector.threshold(analysis)
        for layer, scored in study.signals(scores_of(detector.name)).items():
            subject = Subject(detector.name, layer, detector.uses_test_data)
            held_out = scored.among(study.held_out)
            scopes = within(study.scopes, held_out.rows)
            tested = _tested(scopes, subject)
            steps = stated.get((detector.name, layer), {})
            for policy in policies(study, subject, detector, scored, steps):
                evaluation += evaluation_rows(study, policy, held_out.signal.cohort, scopes)
                if tested:
                    chance += chance_rows(study, policy, held_out.rows, tested)
            if tested:
                draw(subject, level, held_out.signal, held_out.rows, tested)

    scopes = within(study.scopes, study.held_out)
    for policy in references(study):
        evaluation += evaluation_rows(study, policy, study.cohort.take(study.held_out), scopes)
    constant = constant_signal(study)
    if constant is not None:
        subject = Subject(CONSTANT_TIME, COMBINED, False)
        draw(subject, None, constant, study.held_out, _tested(scopes, subject))
    made = {
        "evaluation": from_rows(evaluation, "evaluation"),
        "chance": from_rows(chance, "chance"),
        "curves": from_rows(curves, "curves"),
    }
    calibration = calibration_table(made["evaluation"], made["chance"], analysis)
    return made | {"calibration": calibration}


def within(scopes: Sequence[Scope], rows: Integers) -> list[Scope]:
    """The scopes with members among some runs only, without the empty ones."""
    parts = [scope._replace(member=scope.member[rows]) for scope in scopes]
    return [scope for scope in parts if scope.member.any()]


def _tested(scopes: Sequence[Scope], subject: Subject) -> list[Scope]:
    """The scopes that are set against chance: layers of the GAI, and of no other detector, in the
    whole study only.
    """
    pooled = [scope for scope in scopes if scope.task is None]
    if subject.layer == COMBINED:
        return pooled
    return [scope for scope in pooled if subject.detector == GAI and scope.depth is None]


def _null(value: float) -> float | None:
    """None for NaN, as tables have it."""
    return None if np.isnan(value) else float(value)
