"""Chance: scores beside what surrogate alarms reach, and what a perfect detector would.

Input: alarms and their cohort (:mod:`grokscope.evaluate.matching`), and surrogates
(:mod:`grokscope.evaluate.nulls`). Output: the columns of the table ``chance``.

The statistic. The null models that move alarms (``random``, ``shifted``, ``swapped``) keep their
number, so what they are tested by is the number of hits: a precision of surrogates is their hits
over the *observed* judged alarms, F1 likewise. Every surrogate then counts, and one whose only
judged alarm happens to hit is no precision of 1. Precision, recall and F1 have the same p-value.

``constant_time`` has alarms of its own. What it reaches stands beside the score; but one predictor
beats another by luck as often as not, so it is tested by exchange: in half of the runs, at random,
the detector has the outcome of the constant time instead, and p says how often its score is then
as good. Runs without a constant time keep their own. Without a judged alarm a precision is 0.

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
    Scores,
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
    """Hits and judged alarms, of each run or pooled over scopes.

    Shape ``(n_tasks, draws, n_runs)`` or ``(n_tasks, draws, n_scopes)`` each.
    """

    hits: Any
    judged: Any

    def pooled(self, scopes: Booleans) -> Counts:
        """Sums over the runs of each scope, given as membership ``(n_scopes, n_runs)``."""
        return Counts(*(of_run @ scopes.T.astype(float) for of_run in self))


def count(alarms: AtRisk, tasks: Sequence[Task]) -> Counts:
    """Counts of some tasks, of each run."""
    verdicts = [alarms.judge(*task) for task in tasks]
    return Counts(
        np.stack([verdict.hits for verdict in verdicts]),
        np.stack([verdict.judged for verdict in verdicts]),
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
    return np.concatenate([count(chunk, tasks).pooled(scopes).hits for chunk in chunks], axis=1)


def constant_counts(
    times: Floats, cohort: Cohort, tasks: Sequence[Task], default: Window
) -> Counts:
    """Counts of null ``constant_time``, of each run.

    Parameters
    ----------
    times
        Of :func:`grokscope.evaluate.nulls.resampled_times`.
    default
        Window of the rule that has none.
    """
    parts = [
        count(AtRisk(constant_alarms(times, window or default), cohort), [(rule, window)])
        for rule, window in tasks
    ]
    hits, judged = (np.concatenate(counts) for counts in zip(*parts, strict=True))
    return Counts(hits, judged > 0)  # of one alarm: a byte each


class Compared(NamedTuple):
    """Pooled counts on both sides of a test; a data set whose counts are NaN has no scores.

    Attributes
    ----------
    observed
        With one data set.
    null
        Those of the surrogates, with many.
    tested
        What p comes from: the surrogates, or exchanges with them.
    """

    observed: Counts
    null: Counts
    tested: Counts


def against_moved(observed: Counts, hits: Floats) -> Compared:
    """A detector against surrogates that move its alarms, by :func:`null_hits`."""
    null = Counts(hits, observed.judged)
    return Compared(observed, null, null)


def exchanged(own: Floats, other: Floats, taken: Booleans) -> Floats:
    """What a detector would have if what it knows were no more than a constant time.

    Then it makes no difference which of the two had which outcome in a run, so half of the runs,
    at random, exchange them.

    Parameters
    ----------
    own, other
        Outcomes in each run of the detector and of the constant times; they and `taken`
        broadcast together, with the runs on the last axis.
    taken
        Which runs exchange, shape ``(draws, n_runs)``.
    """
    return np.where(taken, other, own)


def against_constant(
    own: Counts, constant: Counts, taken: Booleans, known: Booleans, scopes: Booleans
) -> Compared:
    """A detector against null ``constant_time``.

    Parameters
    ----------
    own, constant
        Counts of each run: of the detector, with one data set, and of :func:`constant_counts`.
    taken
        See :func:`exchanged`.
    known
        Which runs have a constant time, shape ``(n_runs,)``; the others keep their own alarms,
        and a scope of such alone has no score.
    """
    silent = np.where((scopes & known).any(axis=1), 0.0, np.nan)

    def pooled(counts: Counts) -> Counts:
        hits, judged = counts.pooled(scopes)
        # Without a judged alarm the precision is 0 of 1, not undefined.
        return Counts(hits + silent, np.maximum(judged, 1))

    # One task at a time: all of them are more than memory has to hold at once.
    mixed = [
        pooled(Counts(*(exchanged(*pair, taken & known)[None] for pair in zip(*of, strict=True))))
        for of in zip(zip(*own, strict=True), zip(*constant, strict=True), strict=True)
    ]
    tested = Counts(*(np.concatenate(counts) for counts in zip(*mixed, strict=True)))
    return Compared(own.pooled(scopes), pooled(constant), tested)


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


def perfect_counts(cohort: Cohort, grid: Grid, tasks: Sequence[Task]) -> Counts:
    """Counts of a perfect detector, of each run, with one data set."""
    parts = [
        count(AtRisk(perfect_alarms(cohort, grid, task[1]), cohort), [task]) for task in tasks
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


def compare(observed: float, null: Floats, tested: Floats | None = None) -> dict[str, Any]:
    """Columns of the table ``chance`` for a score and its surrogates, shape ``(draws,)``.

    Parameters
    ----------
    tested
        What p comes from, if it is not the surrogates.
    """
    defined = null[~np.isnan(null)]
    low, high = np.quantile(defined, TAILS) if len(defined) else (None, None)
    return {
        "observed": None if np.isnan(observed) else float(observed),
        "surrogates": len(defined),
        "null_mean": float(defined.mean()) if len(defined) else None,
        "null_low": low,
        "null_high": high,
        "p": p_value(observed, defined if tested is None else tested),
    }


def prospects(p_best: float | None, n_events: int, alpha: float, draws: int) -> dict[str, Any]:
    """Columns of the table ``chance`` that say what can be tested."""
    return {"p_best": p_best, "events_needed": events_needed(p_best, n_events, alpha, draws)}


def compare_counts(
    ours: Compared, perfect: Compared, n_events: Integers, alpha: float
) -> list[dict[str, Any]]:
    """Rows of the table ``chance``: every task, scope and score against one null model.

    Parameters
    ----------
    ours, perfect
        A detector and a perfect one, of the same tasks and scopes.
    n_events
        Events of each scope, shape ``(n_scopes,)``.

    Returns
    -------
    list of dict
        The columns of :func:`compare` and :func:`prospects`, ``score``, and the indices ``task``
        and ``scope``.
    """
    scores = [ratios(*of, n_events) for of in (*ours, perfect.observed, perfect.tested)]
    n_tasks, draws, n_scopes = ours.null.hits.shape
    rows = []
    for task in range(n_tasks):
        for scope in range(n_scopes):
            for score in Scores._fields:
                one, many, tested, most, best = (
                    getattr(of, score)[task, :, scope] for of in scores
                )
                p_best = p_value(most[0], best)
                rows.append(
                    {"task": task, "scope": scope, "score": score}
                    | compare(one[0], many, tested)
                    | prospects(p_best, int(n_events[scope]), alpha, draws)
                )
    return rows
