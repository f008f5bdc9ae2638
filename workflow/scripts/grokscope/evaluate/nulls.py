"""Chance: what alarms that know less would score.

Input: the alarms of a detector and their cohort (:mod:`grokscope.evaluate.matching`). Output:
surrogate alarms by four null models, and the rows of the table ``chance``: a score beside its
distribution over surrogates.

``random``
    As many alarms at risk as the panel has, at random steps at risk of its runs, after warm-up.
    To beat it: the alarms know something.
``shifted``
    Each run's own alarms, shifted circularly by one random offset between its warm-up and its
    end. To beat it: the alarms know when in a run, not only in which.
``swapped``
    The alarms of each run given to another seed of its cell, cut at that run's end. To beat it:
    the alarms know this run, not only the cell's typical course. A cell with one seed keeps its
    own alarms and can beat nothing.
``constant_time``
    One alarm per run at a constant time of its cell: the median of a bootstrap resample of the
    onsets of the development seeds, less half the window. To beat it: as ``swapped``.

Surrogates are seeded by the names of what they are for, so results depend on no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from grokscope.evaluate.statistics import p_value

# The null models; their letters name their streams of random numbers.
_LETTERS = {"random": "A", "shifted": "B", "swapped": "C", "constant_time": "D"}
MODELS = tuple(_LETTERS)
# Surrogate alarms held at once: some hundred bytes each.
CHUNK = 500_000
# The tails of the table's quantiles.
TAILS = (0.025, 0.975)

# A way of counting: the rule, and the window where the rule has one.
Task = tuple[str, Window | None]


class Grid(NamedTuple):
    """Steps at which alarms can fall: every `resolution` steps from each run's warm-up.

    ``first`` is the first block with a score, shape ``(n_runs,)``; of a run without any score,
    the number of its blocks.
    """

    resolution: int
    first: Integers

    def blocks(self, cohort: Cohort) -> Integers:
        """Blocks of each run to its end, warm-up included."""
        return cohort.last // self.resolution + 1

    def blocks_at_risk(self, cohort: Cohort) -> Integers:
        """The same up to the end of its risk."""
        return -(-cohort.risk_end // self.resolution)


def stream(seed: int, *names: object) -> np.random.Generator:
    """Random numbers that depend on a seed and on names, and on nothing else."""
    text = "|".join(str(name) for name in names)
    return np.random.default_rng([seed, *text.encode()])


def model_stream(seed: int, *names: object, model: str) -> np.random.Generator:
    """The :func:`stream` of surrogates by a null model for what the names say."""
    return stream(seed, *names, _LETTERS[model])


def draw_blocks(
    first: Integers, stop: Integers, group: Integers, asked: Integers, draws: int, rng: Any
) -> tuple[Integers, Integers]:
    """Blocks drawn uniformly from all blocks of the runs of a group.

    Parameters
    ----------
    first, stop
        Each run offers the blocks ``first .. stop - 1``; shape ``(n_runs,)``.
    group
        Code of each run's group, shape ``(n_runs,)``.
    asked
        Group of each block to draw, shape ``(n,)``; every one must have blocks.
    draws
        Independent repetitions.

    Returns
    -------
    run, block
        Shape ``(draws, n)`` each.
    """
    order = np.argsort(group, kind="stable")
    size = np.maximum(stop - first, 0)[order]
    end = np.cumsum(size)
    low = np.searchsorted(group[order], asked, side="left")
    high = np.searchsorted(group[order], asked, side="right")
    ticket = rng.integers((end - size)[low], end[high - 1], size=(draws, len(asked)))
    place = np.searchsorted(end, ticket, side="right")
    return order[place], first[order][place] + ticket - (end - size)[place]


def random_alarms(alarms: AtRisk, grid: Grid, draws: int, rng: np.random.Generator) -> Alarms:
    """Null ``random``: each of a panel's alarms at risk at a random step at risk of its runs.

    Parameters
    ----------
    alarms
        The observed ones; every run that has any must have a score.

    Returns
    -------
    Alarms
        With `draws` data sets, each with as many alarms in each panel.
    """
    cohort = alarms.cohort
    run, block = draw_blocks(
        grid.first,
        grid.blocks_at_risk(cohort),
        cohort.panel,
        cohort.panel[alarms.run],
        draws,
        rng,
    )
    return _flat(run, block * grid.resolution)


def shifted_alarms(
    alarms: Alarms, cohort: Cohort, grid: Grid, draws: int, rng: np.random.Generator
) -> Alarms:
    """Null ``shifted``: all alarms of a run shifted together, circularly, between warm-up and end.

    Parameters
    ----------
    alarms
        All alarms of the runs, also those that come after an onset.
    """
    length = np.maximum(grid.blocks(cohort) - grid.first, 1)
    offset = rng.integers(0, length, size=(draws, len(cohort)))
    first = grid.first[alarms.run]
    block = alarms.step // grid.resolution - first + offset[:, alarms.run]
    step = (first + block % length[alarms.run]) * grid.resolution
    return _flat(np.broadcast_to(alarms.run, step.shape), step)


def swapped_alarms(alarms: Alarms, cohort: Cohort, draws: int, rng: np.random.Generator) -> Alarms:
    """Null ``swapped``: the alarms of the runs of a cell permuted between these runs.

    Alarms that come after the end of the run that receives them are out of its risk, and so
    out of every count.
    """
    run = _permuted(cohort.cell, draws, rng)[:, alarms.run]
    return _flat(run, np.broadcast_to(alarms.step, run.shape))


def _permuted(group: Integers, draws: int, rng: np.random.Generator) -> Integers:
    """Permutations of indices within groups, shape ``(draws, n)``."""
    order = np.argsort(group, kind="stable")
    shuffled = np.argsort(group + rng.random((draws, len(group))), axis=1)
    receiver = np.empty_like(shuffled)
    receiver[:, order] = shuffled
    return receiver


def resampled_times(onsets: Mapping[int, Floats], cohort: Cohort, draws: int, seed: int) -> Floats:
    """Null ``constant_time``: medians of resampled development onsets of each run's cell.

    Parameters
    ----------
    onsets
        Onsets of the development events by code of the cell, see :meth:`Cohort`.

    Returns
    -------
    ndarray
        Steps, shape ``(draws, n_runs)``; NaN in cells without development events.
    """
    times = np.full((draws, len(cohort)), np.nan)
    rng = model_stream(seed, model="constant_time")
    for cell in sorted(onsets):
        resample = rng.choice(np.sort(onsets[cell]), size=(draws, len(onsets[cell])))
        times[:, cohort.cell == cell] = np.median(resample, axis=1)[:, None]
    return times


def constant_alarms(times: Floats, window: Window) -> Alarms:
    """One alarm per run, such that an onset at the given time is in the middle of the window.

    ``a = max(0, floor(time - (lo + hi) / 2))``; no alarm where the time is NaN.

    Parameters
    ----------
    times
        Steps, shape ``(draws, n_runs)``.
    """
    lo, hi = checked_window(window)
    draw, run = np.nonzero(~np.isnan(times))
    step = np.floor(np.maximum(times[draw, run] - (lo + hi) / 2, 0)).astype(np.int64)
    return Alarms(run, step, draw, len(times))


def _flat(run: Integers, step: Integers) -> Alarms:
    """Alarms of arrays of shape ``(draws, n_alarms)``."""
    draws, n = run.shape
    return Alarms(run.ravel(), step.ravel(), np.repeat(np.arange(draws), n), draws)


def surrogates(
    model: str, alarms: Alarms, cohort: Cohort, grid: Grid, draws: int, rng: np.random.Generator
) -> Iterator[AtRisk]:
    """Surrogate alarms by null ``random``, ``shifted`` or ``swapped``.

    They come in chunks of data sets that memory can hold.
    """
    fired = AtRisk(alarms, cohort)
    chunk = max(1, CHUNK // max(1, len(alarms.run), len(cohort)))
    for start in range(0, draws, chunk):
        n = min(chunk, draws - start)
        if model == "random":
            made = random_alarms(fired, grid, n, rng)
        elif model == "shifted":
            made = shifted_alarms(alarms, cohort, grid, n, rng)
        elif model == "swapped":
            made = swapped_alarms(alarms, cohort, n, rng)
        else:
            raise ValueError(f"null model is {model!r}; one of random, shifted, swapped")
        yield AtRisk(made, cohort)


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


def null_counts(
    model: str,
    alarms: Alarms,
    cohort: Cohort,
    grid: Grid,
    *,
    tasks: Sequence[Task],
    scopes: Booleans,
    draws: int,
    rng: np.random.Generator,
) -> Counts:
    """Counts of the surrogates of null ``random``, ``shifted`` or ``swapped``."""
    chunks = surrogates(model, alarms, cohort, grid, draws, rng)
    parts = [count(chunk, tasks, scopes) for chunk in chunks]
    return Counts(
        np.concatenate([part.hits for part in parts], axis=1),
        np.concatenate([part.judged for part in parts], axis=1),
    )


def constant_counts(times: Floats, cohort: Cohort, tasks: Sequence[Task], default: Window) -> Any:
    """Counts of null ``constant_time``: hits and judged, ``(n_tasks, draws, n_runs)`` each.

    Parameters
    ----------
    times
        Of :func:`resampled_times`.
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


def compare_counts(observed: Counts, null: Counts, n_events: Integers) -> list[dict[str, Any]]:
    """Rows of the table ``chance``: every task, scope and score against one null model.

    Parameters
    ----------
    observed, null
        Counts with one and with many data sets, of the same tasks and scopes. A data set whose
        counts are NaN has no scores.
    n_events
        Events of each scope, shape ``(n_scopes,)``.

    Returns
    -------
    list of dict
        The columns of :func:`compare`, ``score``, and the indices ``task`` and ``scope``.
    """
    ours = ratios(observed.hits, observed.judged, n_events)
    theirs = ratios(null.hits, null.judged, n_events)
    n_tasks, _, n_scopes = observed.hits.shape
    return [
        {"task": task, "scope": scope, "score": score}
        | compare(values[task, 0, scope], surrogate[task, :, scope])
        for task in range(n_tasks)
        for scope in range(n_scopes)
        for score, values, surrogate in zip(ours._fields, ours, theirs, strict=True)
    ]
