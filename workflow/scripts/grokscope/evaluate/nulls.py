"""Null models: alarms that know less.

Input: the alarms of a detector and their cohort (:mod:`grokscope.evaluate.matching`). Output:
surrogate alarms by four null models; :mod:`grokscope.evaluate.chance` sets scores against them.

``random``
    As many alarms at risk as the panel has, at random steps at risk of its runs, after warm-up.
    To beat it: the alarms know something.
``shifted``
    Each run's own alarms at risk, shifted circularly by one random offset between its warm-up
    and the end of its risk. To beat it: the alarms know when in a run, not only in which. Beyond
    the onset nothing is at risk: alarms moved there could not hit, and alarms from there say
    nothing about a warning.
``swapped``
    The alarms of each run given to a run of its cell, itself included, that was not observed
    for longer (:func:`swaps`). To beat it: the alarms know this run, not only the cell's typical
    course. A cell with one seed keeps its own alarms and can beat nothing.
``constant_time``
    One alarm per run at a constant time of its cell: the median of a bootstrap resample of the
    onsets of the development seeds, less half the window. To beat it: as ``swapped``.

Surrogates are seeded by the names of what they are for, so results depend on no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from grokscope.evaluate.matching import (
    Alarms,
    AtRisk,
    Cohort,
    Floats,
    Integers,
    Window,
    checked_window,
)

# The null models; their letters name their streams of random numbers.
_LETTERS = {"random": "A", "shifted": "B", "swapped": "C", "constant_time": "D"}
MODELS = tuple(_LETTERS)
# Those that move the observed alarms; the other one has alarms of its own.
MOVED = ("random", "shifted", "swapped")
# Surrogate alarms held at once: some hundred bytes each.
CHUNK = 500_000


class Grid(NamedTuple):
    """Steps at which alarms can fall: every `resolution` steps from each run's warm-up.

    ``first`` is the first block with a score, shape ``(n_runs,)``; of a run without any score,
    the number of its blocks.
    """

    resolution: int
    first: Integers

    def blocks_at_risk(self, cohort: Cohort) -> Integers:
        """Blocks of each run to the end of its risk, warm-up included."""
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


def shifted_alarms(alarms: AtRisk, grid: Grid, draws: int, rng: np.random.Generator) -> Alarms:
    """Null ``shifted``: all alarms at risk of a run shifted together, circularly, while at risk.

    The offsets of the runs are independent.
    """
    length = np.maximum(grid.blocks_at_risk(alarms.cohort) - grid.first, 1)
    offset = rng.integers(0, length, size=(draws, len(length)))
    first = grid.first[alarms.run]
    place = alarms.step.astype(np.int64) // grid.resolution - first + offset[:, alarms.run]
    step = (first + place % length[alarms.run]) * grid.resolution
    return _flat(np.broadcast_to(alarms.run, step.shape), step)


def swaps(cohort: Cohort, draws: int, rng: np.random.Generator) -> Integers:
    """Whose record each run is given by null ``swapped``: permutations within cells.

    Only a record that reaches the receiver's event (without one, its end) can be given to it: a
    run that was stopped at its own onset says nothing of later steps, and silence there would
    make any detector look better. All permutations that obey this are equally likely.

    Returns
    -------
    ndarray
        Index of the giver, shape ``(draws, n_runs)``.

    Notes
    -----
    The receivers that need the longest records choose first. Whoever can give to one of them can
    give to all that follow, so each chooses among equally many whatever was chosen before.
    """
    until = np.where(cohort.event, np.nan_to_num(cohort.onset), cohort.last)
    needs = np.minimum(until, cohort.last).astype(np.int64)
    givers = np.lexsort((-cohort.last, cohort.cell))
    receivers = np.lexsort((-needs, cohort.cell))
    _, start, size = np.unique(cohort.cell[givers], return_index=True, return_counts=True)
    pool = np.tile(givers, (draws, 1))
    reach = np.zeros(len(needs), np.int64)
    for begin, n in zip(start, size, strict=True):
        here = slice(begin, begin + n)
        reach[here] = np.searchsorted(-cohort.last[givers[here]], -needs[receivers[here]], "right")
    everyone = np.arange(draws)[:, None]
    for k in range(size.max(initial=0)):
        mine = start[size > k] + k
        left = reach[mine] - k
        other = mine + (rng.random((draws, len(mine))) * left).astype(np.int64)
        chosen = pool[everyone, other]
        pool[everyone, other] = pool[:, mine]
        pool[:, mine] = chosen
    given = np.empty_like(pool)
    given[:, receivers] = pool
    return given


def swapped_alarms(alarms: Alarms, cohort: Cohort, draws: int, rng: np.random.Generator) -> Alarms:
    """Null ``swapped``: the alarms of each run given to another by :func:`swaps`.

    Parameters
    ----------
    alarms
        All alarms of the runs: what came after the giver's event may be at risk in the receiver.
        Alarms after the end of the receiver's risk are out of every count.
    """
    giver = swaps(cohort, draws, rng)
    receiver = np.empty_like(giver)
    np.put_along_axis(receiver, giver, np.arange(len(cohort))[None], axis=1)
    run = receiver[:, alarms.run]
    return _flat(run, np.broadcast_to(alarms.step, run.shape))


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
    if model not in MOVED:
        raise ValueError(f"null model is {model!r}; one of {', '.join(MOVED)}")
    fired = AtRisk(alarms, cohort)
    chunk = max(1, CHUNK // max(1, len(alarms.run), len(cohort)))
    for start in range(0, draws, chunk):
        n = min(chunk, draws - start)
        if model == "random":
            made = random_alarms(fired, grid, n, rng)
        elif model == "shifted":
            made = shifted_alarms(fired, grid, n, rng)
        else:
            made = swapped_alarms(alarms, cohort, n, rng)
        yield AtRisk(made, cohort)
