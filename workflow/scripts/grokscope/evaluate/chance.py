"""Chance: scores beside what surrogate alarms reach, and what a perfect detector would.

Input: alarms and their cohort (:mod:`grokscope.evaluate.matching`), and surrogates
(:mod:`grokscope.evaluate.nulls`). Output: the columns of the table ``chance``.

The statistic. The null models that move alarms (``random``, ``shifted``, ``swapped``) keep their
number, so what they are tested by is the number of hits: a precision of surrogates is their hits
over the *observed* judged alarms, F1 likewise. Every surrogate then counts, and one whose only
judged alarm happens to hit is no precision of 1. Precision, recall and F1 have the same p-value.
``constant_time`` has alarms of its own, and its own denominators; without a judged alarm its
precision is 0.

What can be tested. A *perfect detector* raises one alarm per event, in the middle of the steps
that make it a hit, and no other. Its p-value, by the same test on the same events, is the
smallest to hope for (``p_best``). Where it is not below alpha, nothing follows from a large p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grokscope.evaluate.matching import (
    Alarms,
    AtRisk,
    Booleans,
    Cohort,
    Floats,
    Integers,
    Window,
    checked_window,
    ratios,
)
from grokscope.evaluate.nulls import Grid, constant_alarms, surrogates
from grokscope.evaluate.statistics import p_value

# The tails of the table's quantiles.
TAILS = (0.025, 0.975)

# A way of counting: the rule, and the window where the rule has one.
Task = tuple[str, Window | None]


class Counts(NamedTuple):
    """Hits and judged alarms pooled over scopes, shape ``(n_tasks, draws, n_scopes)`` each."""

    hits: Floats
    judged: Floats


def count(alarms: AtRisk, tasks: Sequence[Task], scopes: Booleans) -> Counts:
    """Counts of some tasks in some scopes, given as membership ``(n_scopes, n_runs)``."""
    verdicts = [alarms.judge(*task) for task in tasks]
    pooling = scopes.T.astype(float)
    return Counts(
        np.stack([verdict.hits @ pooling for verdict in verdicts]),
        np.stack([verdict.judged @ pooling for verdict in verdicts]),
    )


def null_hits(
    model: str,
    alarms: Alarms,
    cohort: Cohort,
    grid: Grid,
    *,
    tasks: Sequence[Task],
    scopes: Booleans,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Hits of the surrogates of null ``random``, ``shifted`` or ``swapped``.

    Returns
    -------
    ndarray
        Shape ``(n_tasks, draws, n_scopes)``.
    """
    chunks = surrogates(model, alarms, cohort, grid, draws, rng)
    return np.concatenate([count(chunk, tasks, scopes).hits for chunk in chunks], axis=1)


def constant_counts(times: Floats, cohort: Cohort, tasks: Sequence[Task], default: Window) -> Any:
    """Counts of null ``constant_time``: hits and judged, ``(n_tasks, draws, n_runs)`` each.

    Parameters
    ----------
    times
        Of :func:`grokscope.evaluate.nulls.resampled_times`.
    default
        Window of the rule that has none.
    """
    verdicts = [
        AtRisk(constant_alarms(times, window or default), cohort).judge(rule, window)
        for rule, window in tasks
    ]
    return (
        np.stack([verdict.hits for verdict in verdicts]),
        np.stack([verdict.judged > 0 for verdict in verdicts]),
    )


def perfect_alarms(cohort: Cohort, grid: Grid, window: Window | None) -> Alarms:
    """One alarm per event in the middle of the steps that make it a hit, and no other.

    An event without such steps after warm-up has none. Without a window, any step at risk will
    do.
    """
    lo, hi = (1, np.inf) if window is None else checked_window(window)
    runs = np.flatnonzero(cohort.event)
    onset = cohort.onset[runs]
    earliest = np.maximum(grid.first[runs], np.ceil((onset - hi) / grid.resolution))
    latest = np.minimum(
        grid.blocks_at_risk(cohort)[runs] - 1, np.floor((onset - lo) / grid.resolution)
    )
    some = earliest <= latest
    block = ((earliest + latest)[some] // 2).astype(np.int64)
    return Alarms(runs[some], block * grid.resolution, np.zeros(len(block), np.int64), draws=1)


def perfect_counts(cohort: Cohort, grid: Grid, tasks: Sequence[Task], scopes: Booleans) -> Counts:
    """Counts of a perfect detector, with one data set."""
    parts = [
        count(AtRisk(perfect_alarms(cohort, grid, task[1]), cohort), [task], scopes)
        for task in tasks
    ]
    return Counts(*(np.concatenate(counts) for counts in zip(*parts, strict=True)))


def perfect_null_hits(
    model: str,
    cohort: Cohort,
    grid: Grid,
    *,
    tasks: Sequence[Task],
    scopes: Booleans,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Hits of surrogates of a perfect detector's alarms, as :func:`null_hits`.

    With one alarm per run all rules of a window agree, so each window is drawn for once.
    """
    found: dict[Window | None, Floats] = {}
    for task in tasks:
        window = task[1]
        if window not in found:
            alarms = perfect_alarms(cohort, grid, window)
            found[window] = null_hits(
                model, alarms, cohort, grid, tasks=[task], scopes=scopes, draws=draws, rng=rng
            )
    return np.concatenate([found[window] for _, window in tasks])


def events_needed(p_best: float | None, n_events: int, alpha: float, draws: int) -> int | None:
    r"""About how many events like these a perfect detector needs for a p-value below alpha.

    Surrogates are right about each event independently, so ``p_best`` falls as a power:

    .. math:: n \log \alpha / \log p_\mathrm{best}

    None if no number would do: if surrogates are always right, or too few for such a p-value.
    Where ``p_best`` is the smallest that the surrogates resolve, it may be fewer events.
    """
    if p_best is None or p_best >= 1 or not n_events or alpha * (1 + draws) <= 1:
        return None
    return math.floor(n_events * math.log(alpha) / math.log(p_best)) + 1


def compare(observed: float, null: Floats) -> dict[str, Any]:
    """Columns of the table ``chance`` for a score and its surrogates, shape ``(draws,)``."""
    defined = null[~np.isnan(null)]
    low, high = np.quantile(defined, TAILS) if len(defined) else (None, None)
    return {
        "observed": None if np.isnan(observed) else float(observed),
        "surrogates": len(defined),
        "null_mean": float(defined.mean()) if len(defined) else None,
        "null_low": low,
        "null_high": high,
        "p": p_value(observed, defined),
    }


def prospects(p_best: float | None, n_events: int, alpha: float, draws: int) -> dict[str, Any]:
    """Columns of the table ``chance`` that say what can be tested."""
    return {"p_best": p_best, "events_needed": events_needed(p_best, n_events, alpha, draws)}


def compare_counts(
    observed: Counts, null: Counts, n_events: Integers, best: Sequence[Any], alpha: float
) -> list[dict[str, Any]]:
    """Rows of the table ``chance``: every task, scope and score against one null model.

    Parameters
    ----------
    observed, null
        Counts with one and with many data sets, of the same tasks and scopes. A data set whose
        counts are NaN has no scores.
    n_events
        Events of each scope, shape ``(n_scopes,)``.
    best
        The same two of a perfect detector.

    Returns
    -------
    list of dict
        The columns of :func:`compare` and :func:`prospects`, ``score``, and the indices ``task``
        and ``scope``.
    """
    ours, theirs, top, under = (
        ratios(of.hits, of.judged, n_events) for of in (observed, null, *best)
    )
    n_tasks, draws, n_scopes = null.hits.shape
    rows = []
    for task in range(n_tasks):
        for scope in range(n_scopes):
            for score in ours._fields:
                one, many, most, least = (
                    getattr(of, score)[task, :, scope] for of in (ours, theirs, top, under)
                )
                p_best = p_value(most[0], least)
                rows.append(
                    {"task": task, "scope": scope, "score": score}
                    | compare(one[0], many)
                    | prospects(p_best, int(n_events[scope]), alpha, draws)
                )
    return rows
