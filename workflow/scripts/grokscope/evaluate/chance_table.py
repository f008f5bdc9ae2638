"""Rows of the tables ``chance`` and ``curves`` of a study.

Input: the alarms of a policy (:mod:`grokscope.evaluate.thresholds`) or the scores of a subject,
and their study. Output: scores beside null models (:mod:`grokscope.evaluate.chance`), and curves
with their areas (:mod:`grokscope.evaluate.curves`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from grokscope.evaluate import chance, nulls
from grokscope.evaluate.chance import Counts, Task
from grokscope.evaluate.curves import (
    Signal,
    Warnings,
    area,
    constant_placements,
    curve,
    perfect_signal,
    placements,
)
from grokscope.evaluate.matching import AtRisk, Booleans, Floats, Integers
from grokscope.evaluate.nulls import Grid
from grokscope.evaluate.study import Scope, Study
from grokscope.evaluate.thresholds import Policy, Subject


def chance_rows(
    study: Study,
    policy: Policy,
    rows: Integers,
    scopes: Sequence[Scope],
    models: Sequence[str] = nulls.MODELS,
) -> Iterator[dict[str, Any]]:
    """Rows of the table ``chance`` of a policy: its scores beside null models.

    Parameters
    ----------
    rows
        The runs of its alarms, as an index of those of the study.
    scopes
        With members among these runs.
    """
    settings = study.analysis.evaluation
    cohort, tasks = study.cohort.take(rows), policy.tasks
    member = np.stack([scope.member for scope in scopes])
    n_events = (member & cohort.event).sum(axis=1)
    observed = chance.count(AtRisk(policy.alarms, cohort), tasks)
    perfect = chance.perfect_counts(cohort, policy.grid, tasks)
    for model in models:
        if model == "constant_time":
            parts = [study.constant_counts[task] for task in tasks]
            constant = Counts(*(np.stack(of)[:, :, rows] for of in zip(*parts, strict=True)))
            taken, known = study.exchanging[:, rows], ~np.isnan(study.constant_times[rows])
            ours, best = (
                chance.against_constant(of, constant, taken, known, member)
                for of in (observed, perfect)
            )
        else:
            names = *policy.subject, policy.source, policy.threshold
            hits = chance.null_hits(
                model,
                policy.alarms,
                cohort,
                policy.grid,
                tasks=tasks,
                scopes=member,
                draws=settings.surrogates,
                rng=nulls.model_stream(settings.seed, study.name, *names, model=model),
            )
            under = _perfect_null_hits(study, model, rows, policy.grid, tasks, member)
            ours, best = (
                chance.against_moved(of.pooled(member), made)
                for of, made in ((observed, hits), (perfect, under))
            )
        for row in chance.compare_counts(ours, best, n_events, settings.alpha):
            scope, task = scopes[row.pop("scope")], tasks[row.pop("task")]
            place = place_of(study, scope, policy.subject, policy.source, task)
            yield place | {"null_model": model} | row


def _perfect_null_hits(
    study: Study, model: str, rows: Integers, grid: Grid, tasks: Sequence[Task], member: Booleans
) -> Floats:
    """:func:`grokscope.evaluate.chance.perfect_null_hits`, once for all that share their grid."""
    arrays = rows, grid.first, member
    key = (model, grid.resolution, *tasks, *(array.tobytes() for array in arrays))
    if key not in study.remembered:
        settings = study.analysis.evaluation
        study.remembered[key] = chance.perfect_null_hits(
            model,
            study.cohort.take(rows),
            grid,
            tasks=tasks,
            scopes=member,
            draws=settings.surrogates,
            rng=nulls.model_stream(settings.seed, study.name, "perfect", model=model),
        )
    return study.remembered[key]


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
        Scores on some runs; these, as an index of those of the study; and scopes with members
        among them.
    """
    settings = study.analysis.evaluation
    warnings, draws = _drawn(study, signal, *subject)
    perfect, under = _drawn(study, perfect_signal(signal, study.primary), "perfect")
    points: list[dict[str, Any]] = []
    tests: list[dict[str, Any]] = []
    for scope in scopes:
        mine = scope.member[warnings.events]
        at_risk, at_event = warnings.at_risk(scope.member), warnings.at_event[mine]
        if not len(at_event) or not len(at_risk):
            continue
        here = {model: values[:, mine] for model, values in draws.items()}
        place = {"study": study.name, "depth": scope.depth} | subject._asdict()
        drawn = curve(at_event, at_risk, stated, here["shifted"], here["swapped"])
        points += [place | row for row in drawn]
        constant = constant_placements(
            study.resampled_times[:, rows], signal.cohort, scope.member, study.resolution
        )
        taken = study.exchanging[:, rows[warnings.events[mine]]]
        sides = []
        for side, values in ((warnings, draws), (perfect, under)):
            pool = side.at_risk(scope.member)
            own = placements(side.at_event[mine], pool)
            nulls_of = {model: (area(values[model][:, mine], pool), None) for model in nulls.MOVED}
            mixed = chance.exchanged(own, constant, taken) + 0 * constant
            nulls_of["constant_time"] = constant.mean(axis=1), mixed.mean(axis=1)
            sides.append((float(own.mean()), nulls_of))
        (observed, ours), (most, best) = sides
        task = ("curve", study.primary)
        for model in nulls.MODELS:
            p_best = chance.compare(most, *best[model])["p"]
            tests.append(
                place_of(study, scope, subject, "none", task)
                | {"score": "auc", "null_model": model}
                | chance.compare(observed, *ours[model])
                | chance.prospects(p_best, len(at_event), settings.alpha, settings.surrogates)
            )
    return points, tests


def _drawn(study: Study, signal: Signal, *names: object) -> tuple[Warnings, dict[str, Floats]]:
    """M of a signal, and that at the events under each null model that moves scores."""
    settings = study.analysis.evaluation
    warnings = Warnings(signal, study.primary)
    return warnings, {
        model: warnings.surrogates(
            model,
            settings.surrogates,
            nulls.model_stream(settings.seed, study.name, *names, model=model),
        )
        for model in nulls.MOVED
    }


def place_of(
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
