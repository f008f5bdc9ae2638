"""Anyone's alarms against anyone's onsets: scores and what chance would reach.

Input: steps, from wherever they come. Output: precision, recall and F1 of the alarms, each beside
null models. The rules of counting are those of :mod:`grokscope.evaluate.matching`, the null models
those of :mod:`grokscope.evaluate.nulls`; no training, trace or table is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from grokscope.evaluate import chance, nulls
from grokscope.evaluate.matching import AtRisk, Cohort, Window, alarms_of, ratios


@dataclass(frozen=True)
class AlarmScores:
    """How some alarms did, of :func:`grokscope.evaluate_alarms`.

    Attributes
    ----------
    n_events, n_alarms, n_judged, n_hits
        Runs with an onset; alarms while at risk; of these (rules ``first`` and ``run``: of the
        runs), those that are hits or known to be false; and hits.
    precision, recall, f1
        As in :func:`grokscope.evaluate.matching.ratios`; NaN where undefined.
    chance
        One row per score and null model: ``score``, ``null_model``, ``observed``, ``surrogates``
        (those in which the score is defined), ``null_mean``, ``null_low``, ``null_high`` (2.5%
        and 97.5% quantiles) and ``p``, one-sided; ``p_best``, the p of a perfect detector on the
        same events, and ``events_needed``, about how many of them bring that below `alpha`. Null
        where undefined. Where ``p_best`` is not below `alpha`, nothing follows from a large p.
    """

    n_events: int
    n_alarms: int
    n_judged: int
    n_hits: int
    precision: float
    recall: float
    f1: float
    chance: pd.DataFrame


def evaluate_alarms(
    alarms: Sequence[ArrayLike],
    onset: ArrayLike,
    last: ArrayLike,
    window: Window | None,
    rule: str = "every",
    *,
    surrogates: int = 999,
    seed: int = 0,
    cell: ArrayLike | None = None,
    first: ArrayLike = 0,
    alpha: float = 0.05,
) -> AlarmScores:
    """Evaluate alarms against onsets.

    Parameters
    ----------
    alarms
        Steps of the alarms of each run, a sequence of length ``n_runs``.
    onset
        Onset of each run (step), NaN where it was not reached; shape ``(n_runs,)``.
    last
        Last step of each run, shape ``(n_runs,)``.
    window
        ``(lo, hi)``: fewest and most steps from an alarm to the onset that make it a hit; None
        for rule ``run``.
    rule
        ``every`` alarm, the ``first`` of each run, or each ``run`` with any.
    surrogates, seed
        Number of surrogates of each null model, and the seed that they are drawn with.
    cell
        Name of the cell of each run, within which null ``swapped`` swaps; by default all runs
        are of one cell. Shape ``(n_runs,)``.
    first
        First step at which an alarm was possible: one number, or one of each run.
    alpha
        Level that ``events_needed`` is about.

    Returns
    -------
    AlarmScores
        Counts, precision, recall and F1, each score beside the null models.

    Raises
    ------
    ValueError
        If there are no runs, if lengths differ, for an unknown rule, for a window that is missing
        or empty, and for an alarm before `first`.

    Examples
    --------
    Alarms 300 steps before each onset, and a false one:

    >>> onsets = [1000, 1400, 1900, 2600, float("nan")]
    >>> alarms = [[700], [1100], [1600], [2300], [500]]
    >>> found = evaluate_alarms(alarms, onsets, [5000] * 5, (200, 400))
    >>> found.precision, found.recall
    (0.8, 1.0)
    >>> recall = found.chance[found.chance["score"] == "recall"].set_index("null_model")
    >>> bool((recall["p"] < 0.05).all())
    True
    """
    n = len(alarms)
    lengths = {"onset": np.size(onset), "last": np.size(last)}
    lengths |= {} if cell is None else {"cell": np.size(cell)}
    for name, length in lengths.items():
        if length != n:
            raise ValueError(f"{name} has {length} values, but there are alarms of {n} runs")
    if not n:
        raise ValueError("there are no runs to evaluate alarms on")
    cohort = Cohort.from_onsets(onset, last, cell=cell)
    grid = nulls.Grid(1, np.broadcast_to(np.asarray(first, np.int64), n).copy())
    raised = alarms_of(alarms)
    early = np.flatnonzero(raised.step < grid.first[raised.run])
    if len(early):
        run, step = raised.run[early[0]], raised.step[early[0]]
        raise ValueError(f"run {run} alarms at step {step}, before its first, {grid.first[run]}")
    fired = AtRisk(raised, cohort)
    task, everyone = (rule, window), np.ones((1, n), bool)
    observed = chance.count(fired, [task]).pooled(everyone)
    perfect = chance.perfect_counts(cohort, grid, [task]).pooled(everyone)
    n_events = np.array([cohort.event.sum()])
    rows = []
    for model in nulls.MOVED:
        asked: dict[str, Any] = {"tasks": [task], "scopes": everyone, "draws": surrogates}
        asked["rng"] = nulls.model_stream(seed, rule, window, model=model)
        hits = chance.null_hits(model, raised, cohort, grid, **asked)
        under = chance.perfect_null_hits(model, cohort, grid, **asked)
        ours, best = (
            chance.against_moved(of, made) for of, made in ((observed, hits), (perfect, under))
        )
        for row in chance.compare_counts(ours, best, n_events, alpha):
            rows.append({"score": row["score"], "null_model": model} | row)
    counts = observed.hits.item(), observed.judged.item()
    scores = ratios(*counts, n_events[0])
    return AlarmScores(
        n_events=int(n_events[0]),
        n_alarms=int(fired.counts.sum()),
        n_judged=int(counts[1]),
        n_hits=int(counts[0]),
        **{name: float(value) for name, value in scores._asdict().items()},
        chance=pd.DataFrame(rows).drop(columns=["task", "scope"]),
    )
