"""Detectors against onsets: how good every cheap predictor is, and whether it beats chance.

Input: the scores of the detectors (:mod:`grokscope.measure.detectors`) and the table
``transitions`` of a study. Output: its tables ``evaluation`` (scores of the alarms), ``chance``
(the same beside null models, :mod:`grokscope.evaluate.nulls`) and ``curves``
(:mod:`grokscope.evaluate.curves`). Events, risk, hits and the rules of counting are those of
:mod:`grokscope.evaluate.matching`.

Seeds in ``development_seeds`` choose, all others are scored: a detector's threshold is the one
with the best F1 by rule ``first`` on the development runs of the whole study, for each window
anew; the constant time of a cell is the median onset of its development events. A study without
development seeds, or with nothing else, chooses nothing and scores all seeds.

Two references stand beside the detectors: ``constant_time`` raises one alarm a run, such that
the constant time of its cell is in the middle of the window; ``at_once`` one at step 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from grokscope.data.tables import empty, from_rows
from grokscope.evaluate import nulls
from grokscope.evaluate.curves import Signal, Warnings, area, constant_areas, curve
from grokscope.evaluate.matching import (
    KEY,
    Alarms,
    AtRisk,
    Booleans,
    Cohort,
    Floats,
    Integers,
    Window,
    alarms_of,
    checked_window,
    held_out,
    ratios,
)
from grokscope.evaluate.nulls import Task
from grokscope.evaluate.statistics import kaplan_meier_median, ratio_bootstrap
from grokscope.measure.detectors import COMBINED, DETECTORS, Detector, alarm_blocks

# The one detector that is evaluated layer by layer against chance, too.
GAI = "gai"
CONSTANT_TIME = "constant_time"
AT_ONCE = "at_once"
# Candidate thresholds, at most.
CANDIDATES = 200

ScoresOf = Callable[[str], pd.DataFrame]


class Scope(NamedTuple):
    """Runs that are pooled in one row of a table; null pools all."""

    task: str | None
    depth: int | None
    member: Booleans


@dataclass(frozen=True)
class Study:
    """Runs of a study and what they are evaluated by.

    Attributes
    ----------
    runs
        Table ``transitions``, sorted by key.
    settings
        Config section ``analysis``: of it ``evaluation``, ``phases``, ``alarms``, ``onset`` and
        ``detectors``.
    """

    runs: pd.DataFrame
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, transitions: pd.DataFrame, settings: Mapping[str, Any]) -> Study:
        """The study of a table.

        Raises
        ------
        ValueError
            If the table is not of exactly one study, or lists a run twice.
        """
        names = list(transitions["study"].unique())
        if len(names) != 1:
            raise ValueError(f"transitions of one study at a time, not of {names}")
        twice = transitions.loc[transitions.duplicated(KEY), KEY]
        if len(twice):
            raise ValueError(f"transitions list a run twice: {twice.iloc[0].to_dict()}")
        return cls(transitions.sort_values(KEY, ignore_index=True), settings)

    @cached_property
    def name(self) -> str:
        return str(self.runs["study"].iloc[0])

    @cached_property
    def cohort(self) -> Cohort:
        return Cohort.from_transitions(self.runs, self.settings["phases"]["gap"])

    @cached_property
    def _scored(self) -> Booleans:
        return held_out(self.cohort.seed, self.settings["evaluation"]["development_seeds"])

    @property
    def development(self) -> Integers:
        """Runs that thresholds and constant times are chosen on, by index; may be none."""
        return np.flatnonzero(~self._scored)

    @property
    def held_out(self) -> Integers:
        """Runs that are scored, by index."""
        return np.flatnonzero(self._scored)

    @property
    def resolution(self) -> int:
        return int(self.settings["detectors"]["resolution"])

    @property
    def primary(self) -> Window:
        """The window that curves are drawn for, and rule ``run`` has its threshold from."""
        of = self.settings["evaluation"]
        return checked_window((of["minimum_lead"], of["primary_horizon"]))

    @cached_property
    def windows(self) -> list[Window]:
        """Windows of the horizons, and the published one."""
        of = self.settings["evaluation"]
        found = [(of["minimum_lead"], horizon) for horizon in of["horizons"]]
        lo, hi = of["lead_window"]
        return [checked_window(window) for window in dict.fromkeys([*found, (lo, hi)])]

    @cached_property
    def tasks(self) -> list[Task]:
        """Every rule and window."""
        rules = ("first", "every")
        return [("run", None), *((rule, window) for rule in rules for window in self.windows)]

    @cached_property
    def scopes(self) -> list[Scope]:
        """The study, each depth and each panel; members among all runs."""
        task = self.runs["task"].to_numpy(object)
        depth = self.runs["depth"].to_numpy(np.int64)
        depths = [Scope(None, int(d), depth == d) for d in np.unique(depth)]
        panels = [
            Scope(str(t), int(d), (task == t) & (depth == d))
            for t, d in sorted(set(zip(task, depth, strict=True)))
        ]
        return [Scope(None, None, np.ones(len(task), bool)), *depths, *panels]

    @cached_property
    def constant_onsets(self) -> dict[int, Floats]:
        """Onsets of the development events by code of their cell."""
        chosen = self.cohort.take(self.development)
        return {
            int(cell): chosen.onset[chosen.event & (chosen.cell == cell)]
            for cell in np.unique(chosen.cell[chosen.event])
        }

    @cached_property
    def constant_times(self) -> Floats:
        """Median development onset of each run's cell, NaN without one; shape ``(n_runs,)``."""
        medians = {cell: np.median(onsets) for cell, onsets in self.constant_onsets.items()}
        return np.array([medians.get(int(cell), np.nan) for cell in self.cohort.cell], float)

    @cached_property
    def resampled_times(self) -> Floats:
        """Null D of each run, shape ``(surrogates, n_runs)``."""
        of = self.settings["evaluation"]
        return nulls.resampled_times(
            self.constant_onsets, self.cohort, of["surrogates"], of["seed"]
        )

    @cached_property
    def constant_counts(self) -> dict[Task, tuple[Booleans, Booleans]]:
        """Hits and judged alarms of null D by task, ``(surrogates, n_runs)`` each."""
        hits, judged = nulls.constant_counts(
            self.resampled_times, self.cohort, self.tasks, self.primary
        )
        return {task: (hits[i], judged[i]) for i, task in enumerate(self.tasks)}

    def signals(self, scores: pd.DataFrame) -> dict[str, tuple[Integers, Signal]]:
        """Signal of each layer, and the index of its runs, from scores in any order.

        Raises
        ------
        ValueError
            If a score is of an unknown run, or not as long as its run; or if a run has none of
            the combined signal.
        """
        place = {key: i for i, key in enumerate(self.runs[KEY].itertuples(index=False, name=None))}
        found: dict[str, dict[int, Floats]] = {}
        keys = scores[KEY].itertuples(index=False, name=None)
        for key, layer, values in zip(keys, scores["layer"], scores["scores"], strict=True):
            run = place.get(key)
            if run is None:
                raise ValueError(f"scores of a run without transitions: {key}")
            blocks = self.cohort.last[run] // self.resolution + 1
            if len(values) != blocks:
                raise ValueError(
                    f"scores of {key}, layer {layer}: {len(values)} blocks, but its last step "
                    f"and a resolution of {self.resolution} make {blocks}"
                )
            found.setdefault(str(layer), {})[run] = np.asarray(values, float)
        missing = set(place.values()) - set(found.get(COMBINED, {}))
        if missing:
            names = self.runs.loc[min(missing), KEY].to_dict()
            raise ValueError(f"no scores of the combined signal of {names}")
        numbers = sorted((layer for layer in found if layer != COMBINED), key=int)
        result = {}
        for layer in [COMBINED, *numbers]:
            rows = np.array(sorted(found[layer]), np.int64)
            by_run = [found[layer][row] for row in rows]
            result[layer] = (rows, Signal(self.cohort.take(rows), by_run, self.resolution))
        return result


class Subject(NamedTuple):
    """What is evaluated: a signal of a detector, or a reference."""

    detector: str
    layer: str
    uses_test_data: bool


class Policy(NamedTuple):
    """Alarms of a subject at one level on held-out runs, and what they are to be scored by."""

    subject: Subject
    threshold: float | None
    source: str
    tasks: list[Task]
    alarms: Alarms


def choose_threshold(signal: Signal, window: Window) -> float | None:
    """Alarm level with the best F1 by rule ``first``.

    Candidates are the values at which the first alarm of a run changes: the records of the
    score while the run is at risk; of more than ``CANDIDATES``, as many quantiles. Of equally
    good ones the highest is taken.

    Parameters
    ----------
    signal
        Scores of the development runs.
    window
        ``(lo, hi)`` in steps.

    Returns
    -------
    float or None
        None if no level has an F1 above 0.
    """
    cohort, step = signal.cohort, signal.resolution
    stops = signal.grid.blocks_at_risk(cohort)
    # Ascending, so the first block above a level is a search.
    records = [
        np.fmax.accumulate(np.append(-np.inf, scores[:stop]))[1:]
        for scores, stop in zip(signal.scores, stops, strict=True)
    ]
    levels = np.unique(np.concatenate([np.empty(0), *records]))
    levels = levels[np.isfinite(levels)]
    if not len(levels) or not cohort.event.any():
        return None
    if len(levels) > CANDIDATES:
        shares = np.linspace(0, 1, CANDIDATES)
        levels = np.unique(np.quantile(levels, shares, method="inverted_cdf"))
    blocks = np.stack([np.searchsorted(record, levels, side="right") for record in records], 1)
    draw, run = np.nonzero(blocks < np.array([len(record) for record in records]))
    first = Alarms(run, blocks[draw, run] * step, draw, len(levels))
    hits, judged = AtRisk(first, cohort).judge("first", window)
    f1 = ratios(hits.sum(axis=1), judged.sum(axis=1), cohort.event.sum()).f1
    best = f1.max()
    return float(levels[np.flatnonzero(f1 == best)[-1]]) if best > 0 else None


def raise_alarms(
    signal: Signal, threshold: float | None, refractory: int, latched: bool
) -> Alarms:
    """Alarms of a signal at a level, none without a level; `refractory` in steps."""
    if threshold is None:
        return alarms_of([[] for _ in signal.scores])
    silent = refractory // signal.resolution
    blocks = [alarm_blocks(scores, threshold, silent, latched) for scores in signal.scores]
    return alarms_of([of_run * signal.resolution for of_run in blocks])


def policies(
    study: Study, subject: Subject, detector: Detector, rows: Integers, signal: Signal
) -> Iterator[Policy]:
    """Alarms of a signal at the stated level, and at each level chosen on development seeds.

    Parameters
    ----------
    rows
        The runs of the signal, as an index of those of the study.
    """
    held_out = signal.take(np.flatnonzero(np.isin(rows, study.held_out)))
    chosen = signal.take(np.flatnonzero(np.isin(rows, study.development)))
    levels: dict[tuple[str, float | None], list[Task]] = {}
    if detector.threshold is not None:
        levels["published", float(detector.threshold(study.settings))] = study.tasks
    best = {window: choose_threshold(chosen, window) for window in {*study.windows, study.primary}}
    for rule, window in study.tasks:
        key = ("development", best[window or study.primary])
        levels.setdefault(key, []).append((rule, window))
    refractory = study.settings["alarms"]["refractory"]
    for (source, threshold), tasks in levels.items():
        alarms = raise_alarms(held_out, threshold, refractory, detector.latched)
        yield Policy(subject, threshold, source, tasks, alarms)


def references(study: Study) -> Iterator[Policy]:
    """The predictors ``constant_time``, for each task anew, and ``at_once``."""
    times = study.constant_times[None, study.held_out]
    constant = Subject(CONSTANT_TIME, COMBINED, False)
    for rule, window in study.tasks:
        alarms = nulls.constant_alarms(times, window or study.primary)
        yield Policy(constant, None, "none", [(rule, window)], alarms)
    start = alarms_of([[0] for _ in study.held_out])
    yield Policy(Subject(AT_ONCE, COMBINED, False), None, "none", study.tasks, start)


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
    of = study.settings["evaluation"]
    for scope in scopes:
        here = np.flatnonzero(scope.member)
        intervals = ratio_bootstrap(
            cohort.seed[here],
            numerator[here],
            denominator[here],
            confidence=of["confidence"],
            resamples=of["resamples"],
            seed=of["seed"],
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
            row = _names(study, scope, policy.subject, policy.source, task)
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


def surrogate_stream(
    seed: int, study: str, subject: Subject, source: str, threshold: float | None, model: str
) -> np.random.Generator:
    """Random numbers of the surrogates of a policy's alarms by null A, B or C."""
    return nulls.stream(seed, study, *subject, source, threshold, model)


def chance_rows(
    study: Study,
    policy: Policy,
    signal: Signal,
    rows: Integers,
    scopes: Sequence[Scope],
) -> Iterator[dict[str, Any]]:
    """Rows of the table ``chance`` of a policy: its scores beside all null models.

    Parameters
    ----------
    signal
        That of the policy, on the runs of its alarms.
    rows
        These runs, as an index of those of the study.
    scopes
        With members among these runs.
    """
    of = study.settings["evaluation"]
    cohort, tasks = signal.cohort, policy.tasks
    member = np.stack([scope.member for scope in scopes])
    n_events = (member & cohort.event).sum(axis=1)
    observed = nulls.count(AtRisk(policy.alarms, cohort), tasks, member)
    for model in nulls.MODELS:
        if model == "D":
            null = _constant_counts(study, tasks, rows, member)
        else:
            null = nulls.null_counts(
                model,
                policy.alarms,
                cohort,
                signal.grid,
                tasks=tasks,
                scopes=member,
                draws=of["surrogates"],
                rng=surrogate_stream(
                    of["seed"], study.name, policy.subject, policy.source, policy.threshold, model
                ),
            )
        for row in nulls.compare_counts(observed, null, n_events):
            scope, task = scopes[row.pop("scope")], tasks[row.pop("task")]
            place = _names(study, scope, policy.subject, policy.source, task)
            yield place | {"null_model": model} | row


def _constant_counts(
    study: Study, tasks: Sequence[Task], rows: Integers, member: Booleans
) -> nulls.Counts:
    """Null D pooled over scopes; NaN where no run of a scope has a constant time."""
    known = ~np.isnan(study.constant_times[rows])
    silent = np.where((member & known).any(axis=1), 0.0, np.nan)
    pooling = member.T.astype(float)
    pairs = [study.constant_counts[task] for task in tasks]
    return nulls.Counts(
        np.stack([hits[:, rows] @ pooling + silent for hits, _ in pairs]),
        np.stack([judged[:, rows] @ pooling + silent for _, judged in pairs]),
    )


def curve_rows(
    study: Study,
    subject: Subject,
    stated: float | None,
    signal: Signal,
    rows: Integers,
    scopes: Sequence[Scope],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the table ``curves``, and those of ``chance`` for the areas under the curves.

    Parameters
    ----------
    stated
        The stated threshold, if there is one: the operating point.
    signal, rows, scopes
        As in :func:`chance_rows`.
    """
    of = study.settings["evaluation"]
    warnings = Warnings(signal, study.primary)
    n, seed = of["surrogates"], of["seed"]
    draws = {
        model: warnings.surrogates(model, n, nulls.stream(seed, study.name, *subject, model))
        for model in ("A", "B", "C")
    }
    points: list[dict[str, Any]] = []
    chance: list[dict[str, Any]] = []
    for scope in scopes:
        mine = scope.member[warnings.events]
        at_risk, at_event = warnings.at_risk(scope.member), warnings.at_event[mine]
        if not len(at_event) or not len(at_risk):
            continue
        here = {model: values[:, mine] for model, values in draws.items()}
        place = {"study": study.name, "depth": scope.depth} | subject._asdict()
        drawn = curve(at_event, at_risk, stated, here["B"], here["C"])
        points += [place | row for row in drawn]
        observed = float(area(at_event, at_risk))
        areas = {model: area(values, at_risk) for model, values in here.items()}
        areas["D"] = constant_areas(
            study.resampled_times[:, rows], signal.cohort, scope.member, study.resolution
        )
        task = ("curve", study.primary)
        chance += [
            _names(study, scope, subject, "none", task)
            | {"score": "auc", "null_model": model}
            | nulls.compare(observed, areas[model])
            for model in nulls.MODELS
        ]
    return points, chance


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
    transitions: pd.DataFrame,
    settings: Mapping[str, Any],
    detectors: Mapping[str, Detector] = DETECTORS,
) -> dict[str, pd.DataFrame]:
    """Tables ``evaluation``, ``chance`` and ``curves`` of a study.

    Parameters
    ----------
    scores_of
        Scores of a detector by its name, as :func:`grokscope.measure.detectors.read_scores` gives
        them, in any order: a row a run and layer. Called once a detector, so that the scores
        of one detector are in memory at a time.
    transitions
        Table of this name, of one study.
    settings
        Config section ``analysis``: of it ``evaluation``, ``phases``, ``alarms``, ``onset``
        and ``detectors``.
    detectors
        Those to evaluate, by name.

    Returns
    -------
    dict
        Table by name, empty without runs. The same for any order of runs and scores.

    Raises
    ------
    ValueError
        If scores and transitions do not fit together, see :meth:`Study.signals`.
    """
    if transitions.empty:  # a study that the config leaves out
        return {name: empty(name) for name in ("evaluation", "chance", "curves")}
    study = Study.of(transitions, settings)
    evaluation: list[dict[str, Any]] = []
    chance: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []

    def draw(subject: Subject, stated: float | None, *of: Any) -> None:
        points, areas = curve_rows(study, subject, stated, *of)
        curves.extend(points)
        chance.extend(areas)

    for detector in detectors.values():
        stated = detector.threshold and detector.threshold(settings)
        for layer, (rows, signal) in study.signals(scores_of(detector.name)).items():
            subject = Subject(detector.name, layer, detector.uses_test_data)
            kept = np.flatnonzero(np.isin(rows, study.held_out))
            held_out, on = signal.take(kept), rows[kept]
            scopes = _within(study.scopes, on)
            tested = _tested(scopes, subject)
            for policy in policies(study, subject, detector, rows, signal):
                evaluation += evaluation_rows(study, policy, held_out.cohort, scopes)
                if tested:
                    chance += chance_rows(study, policy, held_out, on, tested)
            if tested:
                draw(subject, stated, held_out, on, tested)

    scopes = _within(study.scopes, study.held_out)
    for policy in references(study):
        evaluation += evaluation_rows(study, policy, study.cohort.take(study.held_out), scopes)
    constant = constant_signal(study)
    if constant is not None:
        subject = Subject(CONSTANT_TIME, COMBINED, False)
        draw(subject, None, constant, study.held_out, _tested(scopes, subject))
    return {
        "evaluation": from_rows(evaluation, "evaluation"),
        "chance": from_rows(chance, "chance"),
        "curves": from_rows(curves, "curves"),
    }


def _within(scopes: Sequence[Scope], rows: Integers) -> list[Scope]:
    """The scopes with members among some runs only, without the empty ones."""
    parts = [scope._replace(member=scope.member[rows]) for scope in scopes]
    return [scope for scope in parts if scope.member.any()]


def _tested(scopes: Sequence[Scope], subject: Subject) -> list[Scope]:
    """The scopes that are set against chance: layers of the GAI in the whole study only."""
    pooled = [scope for scope in scopes if scope.task is None]
    if subject.layer == COMBINED:
        return pooled
    return [scope for scope in pooled if subject.detector == GAI and scope.depth is None]


def _names(
    study: Study, scope: Scope, subject: Subject, source: str, task: Task
) -> dict[str, Any]:
    """The columns that name a row of ``evaluation`` and ``chance``."""
    rule, window = task
    lead_min, lead_max = window or (None, None)
    return {
        "study": study.name,
        "task": scope.task,
        "depth": scope.depth,
        "detector": subject.detector,
        "layer": subject.layer,
        "threshold_source": source,
        "rule": rule,
        "lead_min": lead_min,
        "lead_max": lead_max,
    }


def _null(value: float) -> float | None:
    """None for NaN, as tables have it."""
    return None if np.isnan(value) else float(value)
