"""Sensitivity against time in warning, over all alarm levels of a detector.

Input: the scores of a detector in blocks of steps, and their cohort
(:mod:`grokscope.evaluate.matching`). Output: the table ``curves``, and the area under each curve
with its null distributions for the table ``chance``.

A run is in warning at step t if its score was above the level at any step of ``[t - H, t - m]``
(H the horizon, m the shortest lead): if ``M(t)``, the largest score of that window, is above the
level. *Sensitivity* is the share of events with their onset in warning, *time in warning* the
share of all steps at risk. A score that knows nothing has both equal. The area under the curve
is the probability that M is larger at an event than at a random step at risk, ties counting one
half [1]_. Where no score is known M is below every level.

Null models as in :mod:`grokscope.evaluate.nulls`, for the value that M has at the event:
``random`` a random step at risk of its panel, from the first full window on; ``shifted`` that of
its own run when the scores from warm-up to the event are shifted circularly by a random offset;
``swapped`` the same step in the run whose record it is given; ``constant_time`` the score
``t - tau`` of the constant-time predictor, tau from resampled development onsets.

References
----------
.. [1] G. M. Molchan, Earthquake prediction as a decision-making problem, Pure and Applied
   Geophysics 149 (1997); there with miss rate for sensitivity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from grokscope.evaluate.chance import TAILS
from grokscope.evaluate.matching import Booleans, Cohort, Floats, Integers, Window, checked_window
from grokscope.evaluate.nulls import MOVED, Grid, draw_blocks, swaps

# Points of a curve, both ends included.
POINTS = 200


@dataclass(frozen=True)
class Signal:
    """The scores of one detector and layer on the runs of a cohort, in blocks of steps.

    Attributes
    ----------
    cohort
        The runs.
    scores
        Scores of each run's blocks, ``(n_blocks,)`` each, NaN where unknown. Block k is known
        at step ``k * resolution``.
    resolution
        Steps per block.
    """

    cohort: Cohort
    scores: Sequence[Floats]
    resolution: int

    @cached_property
    def grid(self) -> Grid:
        """Where its alarms can fall."""
        known = [np.flatnonzero(np.isfinite(of_run)) for of_run in self.scores]
        pairs = zip(known, self.scores, strict=True)
        first = [of_run[0] if len(of_run) else len(scores) for of_run, scores in pairs]
        return Grid(self.resolution, np.array(first, np.int64))

    def take(self, rows: Integers) -> Signal:
        """Some of the runs, by index."""
        scores = [self.scores[row] for row in rows]
        return Signal(self.cohort.take(rows), scores, self.resolution)


def look_back(scores: ArrayLike, nearest: int, farthest: int) -> Floats:
    """Largest of the scores ``k - farthest .. k - nearest`` of each block k.

    Shape ``(n_blocks,)``; minus infinity where none of them is known.
    """
    scores = np.asarray(scores, np.float64)
    known = np.where(np.isnan(scores), -np.inf, scores)
    if not len(known):
        return known
    size = farthest - nearest + 1
    padded = np.concatenate([np.full(farthest, -np.inf), known])
    from scipy import ndimage  # a fifth of a second to import

    largest: Floats = ndimage.maximum_filter1d(
        padded, size, mode="constant", cval=-np.inf, origin=-(size // 2)
    )
    return largest[: len(known)]


def perfect_signal(signal: Signal, window: Window) -> Signal:
    """Scores known where those of a signal are, that rise only right before each event.

    That is, at the shortest lead of the window: M is largest at the event, and nowhere at risk.
    """
    nearest, _ = in_blocks(window, signal.resolution)
    cohort, scores = signal.cohort, []
    for run, (of_run, first) in enumerate(zip(signal.scores, signal.grid.first, strict=True)):
        planted = np.where(np.arange(len(of_run)) < first, np.nan, 0.0)
        if cohort.event[run] and cohort.onset[run] // signal.resolution - nearest >= first:
            planted[int(cohort.onset[run] // signal.resolution) - nearest] = 1.0
        scores.append(planted)
    return Signal(cohort, scores, signal.resolution)


def in_blocks(window: Window, resolution: int) -> tuple[int, int]:
    """Nearest and farthest block of a window in steps, at least one block back."""
    shortest, horizon = checked_window(window)
    nearest = max(1, -(-shortest // resolution))
    return nearest, max(nearest, horizon // resolution)


class Warnings:
    """M of all blocks of a signal, and of its events.

    Parameters
    ----------
    signal
        Scores and cohort.
    window
        ``(m, H)`` in steps. In blocks the window is at least one block wide, and an onset is
        rounded down to a block, so no lead is shorter than m.
    """

    def __init__(self, signal: Signal, window: Window) -> None:
        step = signal.resolution
        self.signal, self.cohort = signal, signal.cohort
        self.window = nearest, farthest = in_blocks(window, step)
        by_run = [look_back(of_run, nearest, farthest) for of_run in signal.scores]
        self.size = np.array([len(of_run) for of_run in by_run], np.int64)
        self.start = np.cumsum(self.size) - self.size
        self.values = np.concatenate([np.empty(0), *by_run])
        self.risk = signal.grid.blocks_at_risk(self.cohort)
        # Over a part of the window M is smaller by chance alone. A run that is at risk for
        # less than a window has its last step.
        partly, fully = signal.grid.first + nearest, signal.grid.first + farthest
        self.warm = np.minimum(fully, np.maximum(self.risk - 1, partly))
        self.events = np.flatnonzero(self.cohort.event)
        self.onset = (self.cohort.onset[self.events] // step).astype(np.int64)
        self.at_event = self.values[self.start[self.events] + self.onset]

    def at_risk(self, member: Booleans) -> Floats:
        """M of all blocks at risk of some runs, ascending."""
        runs = np.flatnonzero(member)
        parts = [self.values[self.start[r] : self.start[r] + self.risk[r]] for r in runs]
        return np.sort(np.concatenate([np.empty(0), *parts]))

    def surrogates(self, model: str, draws: int, rng: np.random.Generator) -> Floats:
        """M at the events under null ``random``, ``shifted`` or ``swapped``.

        Shape ``(draws, n_events)``.
        """
        if model not in MOVED:
            raise ValueError(f"null model is {model!r}; one of {', '.join(MOVED)}")
        if model == "swapped":
            giver = swaps(self.cohort, draws, rng)[:, self.events]
            given: Floats = self.values[self.start[giver] + self.onset]
            return given
        if model == "shifted":
            pairs = zip(self.events.tolist(), self.onset.tolist(), strict=True)
            columns = [rng.choice(self._rotated(*pair), draws) for pair in pairs]
            return np.stack(columns, 1) if columns else np.empty((draws, 0))
        panel = self.cohort.panel
        total = np.bincount(panel, np.maximum(self.risk - self.warm, 0))
        asked = np.flatnonzero(total[panel[self.events]] > 0)
        values = np.full((draws, len(self.events)), -np.inf)
        run, block = draw_blocks(
            self.warm, self.risk, panel, panel[self.events[asked]], draws, rng
        )
        values[:, asked] = self.values[self.start[run] + block]
        return values

    def _rotated(self, run: int, onset: int) -> Floats:
        """M at the event for each offset by which the run's scores can be shifted.

        Not M at random steps: the event is at the edge of them, where an autocorrelated signal
        strays farther from its mean than inside, so that noise would often look like a signal.
        """
        known = self.signal.scores[run][self.signal.grid.first[run] : onset]
        if not len(known):
            return np.array([-np.inf])
        nearest, farthest = self.window
        turns = np.tile(known, 1 - (-farthest // len(known)))
        return look_back(turns, nearest, farthest)[-len(known) :]


def placements(at_events: Floats, at_risk: Floats) -> Floats:
    """Share of the steps at risk that each event is above, ties counting one half.

    Parameters
    ----------
    at_events
        M at the events, shape ``(..., n_events)``.
    at_risk
        M at all steps at risk, ascending, shape ``(n,)``, at least one.

    Returns
    -------
    ndarray
        Shape ``(..., n_events)``.
    """
    below = np.searchsorted(at_risk, at_events, side="left")
    up_to = np.searchsorted(at_risk, at_events, side="right")
    result: Floats = (below + up_to) / (2 * len(at_risk))
    return result


def area(at_events: Floats, at_risk: Floats) -> Floats:
    """Area under sensitivity against time in warning: the mean of :func:`placements`.

    Returns
    -------
    ndarray
        ``P(M(event) > M(step)) + P(equal) / 2``, shape ``(...)``; NaN without events or steps.
    """
    if not at_events.shape[-1] or not len(at_risk):
        return np.full(at_events.shape[:-1], np.nan)
    result: Floats = placements(at_events, at_risk).mean(axis=-1)
    return result


def constant_placements(
    times: Floats, cohort: Cohort, member: Booleans, resolution: int
) -> Floats:
    """Null ``constant_time``: placements of the score ``t - tau`` over some runs.

    Parameters
    ----------
    times
        tau of each run (the same within a cell), shape ``(draws, n_runs)``, NaN: no score.
    member
        Which runs count, shape ``(n_runs,)``.

    Returns
    -------
    ndarray
        Of the events, for each draw of tau, shape ``(draws, n_events)``; NaN where no run has a
        time.
    """
    runs = np.flatnonzero(member)
    events = runs[cohort.event[runs]]
    scored = ~np.isnan(times[0])
    if not scored[runs].any():
        return np.full((len(times), len(events)), np.nan)
    blocks = -(-cohort.risk_end // resolution)
    silent = blocks[runs[~scored[runs]]].sum()
    ahead = cohort.onset[events] // resolution - times[:, events] / resolution
    # Twice the steps at risk with a smaller score, plus those with the same.
    smaller = np.where(np.isnan(ahead), silent, 2.0 * silent)
    known = np.nan_to_num(ahead)
    for cell in np.unique(cohort.cell[runs[scored[runs]]]):
        mine = runs[cohort.cell[runs] == cell]
        # before[k]: blocks at risk before block k.
        before = np.concatenate([[0], np.cumsum(_survivors(blocks[mine]))])
        # Rounded, so that within a cell tau cancels exactly.
        place = np.round(known + times[:, mine[:1]] / resolution, 6)
        for edge in (np.ceil(place), np.floor(place) + 1):
            inside = np.clip(edge, 0, len(before) - 1).astype(np.int64)
            smaller += np.where(np.isnan(ahead), 0, before[inside])
    result: Floats = smaller / (2 * blocks[runs].sum())
    return result


def _survivors(lengths: Integers) -> Integers:
    """How many of some runs are longer than k, for k from 0 to the longest."""
    ended = np.bincount(lengths)
    return (len(lengths) - np.cumsum(ended))[:-1]


def thresholds(at_events: Floats, at_risk: Floats, stated: float | None) -> Floats:
    """Levels at which a curve is drawn, falling; the stated one is among them."""
    values = np.concatenate([at_risk, at_events])
    values = values[np.isfinite(values)]
    levels = np.empty(0)
    if len(values):
        shares = np.linspace(0, 1, POINTS - 2)
        levels = np.quantile(values, shares, method="inverted_cdf")
    return np.unique(np.append(levels, [] if stated is None else [stated]))[::-1]


def sensitivity(at_events: Floats, levels: Floats) -> Floats:
    """Share of events above each of some falling levels.

    Parameters
    ----------
    at_events
        Shape ``(draws, n_events)``.
    levels
        Shape ``(n_levels,)``, falling.

    Returns
    -------
    ndarray
        Shape ``(draws, n_levels)``.
    """
    draws, n = at_events.shape
    exceeded = np.searchsorted(levels[::-1], at_events, side="left")
    slot = exceeded + (len(levels) + 1) * np.arange(draws)[:, None]
    shape = (draws, len(levels) + 1)
    by_number = np.bincount(slot.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    # An event above the j-th lowest level exceeds at least j levels.
    above = n - np.cumsum(by_number, axis=1)[:, :-1]
    result: Floats = above[:, ::-1] / n
    return result


def curve(
    at_events: Floats,
    at_risk: Floats,
    stated: float | None,
    moved: Floats,
    swapped: Floats,
) -> list[dict[str, Any]]:
    """Rows of the table ``curves`` for one detector and scope, without its names.

    Parameters
    ----------
    at_events, at_risk
        As in :func:`area`; one data set, at least one event and one step.
    stated
        The detector's stated threshold, if it has one.
    moved, swapped
        M at the events under the nulls ``shifted`` and ``swapped``, shape ``(draws, n_events)``.

    Returns
    -------
    list of dict
        One row per point, by falling threshold, from never to always in warning.
    """
    levels = thresholds(at_events, at_risk, stated)
    warned = 1 - np.searchsorted(at_risk, levels, side="right") / len(at_risk)
    columns = {
        "threshold": levels,
        "is_operating_point": levels == (np.nan if stated is None else stated),
        "time_in_warning": warned,
        "sensitivity": sensitivity(at_events[None], levels)[0],
    }
    for name, draws in (("null", moved), ("swapped", swapped)):
        low, high = np.quantile(sensitivity(draws, levels), TAILS, axis=0)
        columns |= {f"{name}_low": low, f"{name}_high": high}
    inner = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    ends = [
        {"threshold": None, "is_operating_point": False}
        | {name: end for name in columns if name not in ("threshold", "is_operating_point")}
        for end in (0.0, 1.0)
    ]
    return [{"point": i} | row for i, row in enumerate([ends[0], *inner, ends[1]])]
