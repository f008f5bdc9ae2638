"""Alarms against onsets: who is at risk when, which alarms are hits, which are false.

Everything here takes any alarms and any onsets, as arrays; nothing knows detectors or files.

Words. An *event* is a delayed onset of generalisation: the test onset comes more than ``gap``
steps after the train onset. A run is *at risk* before its event, ``[0, onset)``; a run without
event is at risk to its end, ``[0, last]``. Alarms outside are ignored. A *window* (lo, hi) says
that an alarm at step a of an event run is a *hit* if ``lo <= onset - a <= hi``. An alarm is
*judged*, that is a hit or known to be false, in every event run; in a run that generalised
fast, which can have no event any more; and in any other run if its window ends within the run
(``a + hi <= last``). The others are *censored*: what would have followed is unknown.

Rules of what is counted:

``run``
    Runs, once each: one with any alarm is judged, and a hit if it has an event. No window.
``first``
    The first alarm of each run.
``every``
    Every alarm. At most one of a run, the earliest in the window, is a hit: an event cannot be
    predicted twice; further ones are false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from grokscope.measure.onsets import is_event
from grokscope.runs.spec import cell_columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Window = tuple[int, int]

PANEL = ["study", "task", "depth"]
RULES = ("run", "first", "every")


def floats(column: pd.Series) -> Floats:
    """Floats, with NaN for null."""
    return column.to_numpy(dtype=float, na_value=np.nan)


def codes(table: pd.DataFrame, names: list[str]) -> Integers:
    """Code of each row's group, from 0 in the order of the groups' names; null is a name."""
    code = np.zeros(len(table), np.int64)
    for name in names:
        of_column, values = pd.factorize(table[name], sort=True, use_na_sentinel=False)
        code = np.unique(code * len(values) + of_column, return_inverse=True)[1]
    return code


def held_out(seeds: ArrayLike, development: Sequence[int]) -> Booleans:
    """Which runs are scored: those of seeds that nothing is chosen on.

    All, if every run is of a development seed: then nothing is chosen.

    Parameters
    ----------
    seeds
        Seed of each run, shape ``(n_runs,)``.
    development
        Seeds on which thresholds and constant times are chosen.
    """
    chosen = np.isin(np.asarray(seeds, np.int64), list(development))
    return ~chosen if not chosen.all() else chosen


@dataclass(frozen=True)
class Cohort:
    """Runs to judge alarms by; every field has shape ``(n_runs,)``.

    Attributes
    ----------
    onset
        Onset of generalisation (step), NaN where it was not reached.
    event
        Whether that onset is an event.
    memorised
        Whether the train onset was reached.
    last
        Last step of the run, -1 for a run without any.
    seed
        What runs share that are not independent: the clusters of intervals.
    panel, cell
        Codes of the panel, and of the cell (all of the key but the seed), from 0.
    """

    onset: Floats
    event: Booleans
    memorised: Booleans
    last: Integers
    seed: Integers
    panel: Integers
    cell: Integers

    @classmethod
    def from_transitions(cls, transitions: pd.DataFrame, gap: int) -> Cohort:
        """Runs of a table ``transitions``, in its order."""
        return cls(
            onset=floats(transitions["test_onset_step"]),
            event=is_event(transitions, gap),
            memorised=transitions["train_onset_step"].notna().to_numpy(),
            last=transitions["last_step"].fillna(-1).to_numpy(np.int64),
            seed=transitions["seed"].to_numpy(np.int64),
            panel=codes(transitions, PANEL),
            cell=codes(transitions, cell_columns(transitions.columns)),
        )

    @classmethod
    def from_onsets(
        cls,
        onset: ArrayLike,
        last: ArrayLike,
        *,
        event: ArrayLike | None = None,
        cell: ArrayLike | None = None,
    ) -> Cohort:
        """Runs of one panel with one seed each, from their onsets (NaN: not reached).

        All memorise. Every onset is an event unless `event` says otherwise, and all runs are of
        one cell unless `cell` names that of each.
        """
        onset = np.asarray(onset, float)
        n = len(onset)
        names = np.zeros(n, np.int64) if cell is None else np.asarray(cell)
        return cls(
            onset=onset,
            event=np.isfinite(onset) if event is None else np.asarray(event, bool),
            memorised=np.ones(n, bool),
            last=np.asarray(last, np.int64),
            seed=np.arange(n),
            panel=np.zeros(n, np.int64),
            cell=np.unique(names, return_inverse=True)[1].astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.onset)

    @property
    def fast(self) -> Booleans:
        """Runs that generalised, but not late: no event can follow."""
        return np.isfinite(self.onset) & ~self.event

    @property
    def risk_end(self) -> Integers:
        """First step at which a run is no longer at risk; the number of its steps at risk."""
        return np.where(self.event, np.nan_to_num(self.onset), self.last + 1).astype(np.int64)

    def take(self, rows: Integers) -> Cohort:
        """Some of the runs, by index; the codes of panel and cell stay."""
        return Cohort(**{name: values[rows] for name, values in vars(self).items()})


class Alarms(NamedTuple):
    """Alarms of the runs of a cohort, in any order, in one or several data sets ("draws").

    ``run`` (index in the cohort), ``step`` and ``draw`` have shape ``(n_alarms,)``.
    """

    run: Integers
    step: Integers
    draw: Integers
    draws: int


def alarms_of(steps: Sequence[ArrayLike]) -> Alarms:
    """One data set from the alarm steps of each run, a sequence as long as the cohort."""
    lists = [np.asarray(of_run, np.int64) for of_run in steps]
    run = np.repeat(np.arange(len(lists)), [len(of_run) for of_run in lists])
    step = np.concatenate([np.empty(0, np.int64), *lists])
    return Alarms(run, step, np.zeros(len(run), np.int64), draws=1)


class Judgement(NamedTuple):
    """What became of the alarms of each run, shape ``(draws, n_runs)`` each."""

    hits: Booleans
    judged: Integers


class AtRisk:
    """The alarms of a cohort that come while their run is at risk, ready to be judged.

    Parameters
    ----------
    alarms
        Any alarms; those outside the run or at or after its event are left out.
    cohort
        Their runs.

    Attributes
    ----------
    run, step, slot
        Run index, step, and ``draw * n_runs + run`` of the alarms kept, ``(n_at_risk,)`` each.
    """

    def __init__(self, alarms: Alarms, cohort: Cohort) -> None:
        kept = (alarms.step >= 0) & (alarms.step < cohort.risk_end[alarms.run])
        self.cohort = cohort
        self.shape = (alarms.draws, len(cohort))
        self.run: Integers = alarms.run[kept]
        self.step: Floats = alarms.step[kept].astype(np.float64)
        self.slot: Integers = alarms.draw[kept] * len(cohort) + self.run

    @cached_property
    def _lead(self) -> Floats:
        """Steps to the event, NaN without one."""
        ahead = np.where(self.cohort.event, self.cohort.onset, np.nan)
        lead: Floats = ahead[self.run] - self.step
        return lead

    @cached_property
    def _room(self) -> Floats:
        """Length of the longest window that ends where the outcome is known."""
        known = self.cohort.event | self.cohort.fast
        end = np.where(known, np.inf, self.cohort.last)
        room: Floats = end[self.run] - self.step
        return room

    @cached_property
    def counts(self) -> Integers:
        """Alarms of each run, shape ``(draws, n_runs)``."""
        return self._count(np.ones(len(self.slot), bool))

    @cached_property
    def first(self) -> Floats:
        """Step of the first alarm of each run, infinite without one; ``(draws, n_runs)``."""
        earliest = np.full(self.shape[0] * self.shape[1], np.inf)
        np.minimum.at(earliest, self.slot, self.step)
        return earliest.reshape(self.shape)

    def judge(self, rule: str, window: Window | None) -> Judgement:
        """Count hits and judged alarms of each run by a rule of this module.

        Parameters
        ----------
        rule
            One of ``RULES``.
        window
            ``(lo, hi)``: steps from a hit to its event, both included; without meaning for
            rule ``run``.

        Raises
        ------
        ValueError
            For an unknown rule, and for a window that is missing or empty.
        """
        if rule == "run":
            fired = np.isfinite(self.first)
            return Judgement(fired & self.cohort.event, fired.astype(np.int64))
        lo, hi = checked_window(window)
        if rule == "first":
            fired = np.isfinite(self.first)
            lead = np.where(self.cohort.event, self.cohort.onset, np.nan) - self.first
            sure = self.cohort.event | self.cohort.fast | (self.first + hi <= self.cohort.last)
            return Judgement((lead >= lo) & (lead <= hi), (fired & sure).astype(np.int64))
        if rule == "every":
            hits = np.zeros(self.shape[0] * self.shape[1], bool)
            hits[self.slot[(self._lead >= lo) & (self._lead <= hi)]] = True
            return Judgement(hits.reshape(self.shape), self._count(self._room >= hi))
        raise ValueError(f"rule is {rule!r}; one of {', '.join(RULES)}")

    def warning_steps(self, rule: str, window: Window | None) -> Floats:
        """Steps at risk in warning of each run, shape ``(draws, n_runs)``.

        An alarm warns of the steps in which the event would make it a hit, ``a + lo .. a +
        hi``; overlapping warnings count once. With rule ``first`` only the first alarm warns,
        with rule ``run`` it warns of all steps from then on.
        """
        end = self.cohort.risk_end
        if rule == "run":
            after: Floats = np.maximum(end - self.first, 0)
            return after
        lo, hi = checked_window(window)
        if rule == "first":
            start = np.where(np.isfinite(self.first), self.first + lo, np.inf)
            warned: Floats = np.maximum(np.minimum(self.first + hi + 1, end) - start, 0)
            return warned
        order = np.lexsort((self.step, self.slot))
        slot, start = self.slot[order], self.step[order] + lo
        # All warnings are equally long, so each lasts until its end or the next one's start.
        stop = np.minimum(start + hi - lo + 1, end[self.run[order]])
        same = slot[1:] == slot[:-1]
        stop[:-1][same] = np.minimum(stop[:-1][same], start[1:][same])
        length = np.maximum(stop - start, 0)
        total = np.bincount(slot, length, minlength=self.shape[0] * self.shape[1])
        return total.reshape(self.shape).astype(np.float64)

    def _count(self, which: Booleans) -> Integers:
        count = np.bincount(self.slot[which], minlength=self.shape[0] * self.shape[1])
        return count.reshape(self.shape).astype(np.int64)


def checked_window(window: Window | None) -> Window:
    """The window, if it is one.

    Raises
    ------
    ValueError
        If it is missing, negative or empty.
    """
    if window is None or not 0 <= window[0] <= window[1]:
        raise ValueError(f"window is {window}; it must be (lo, hi) with 0 <= lo <= hi")
    return window


class Scores(NamedTuple):
    """Precision, recall and F1; arrays of one shape, NaN where undefined."""

    precision: Floats
    recall: Floats
    f1: Floats


def ratios(n_hits: ArrayLike, n_judged: ArrayLike, n_events: ArrayLike) -> Scores:
    """Scores from counts that broadcast together.

    ``precision = hits / judged``; ``recall = hits / events``; ``f1 = 2 hits / (judged +
    events)``, their harmonic mean, 0 without judged alarms and undefined without events.
    """
    counts = [np.asarray(count, np.float64) for count in (n_hits, n_judged, n_events)]
    hits, judged, events = np.broadcast_arrays(*counts)

    def ratio(top: Floats, bottom: Floats) -> Floats:
        result = np.full(top.shape, np.nan)
        np.divide(top, bottom, out=result, where=bottom > 0)
        return result

    f1 = np.where(events > 0, ratio(2 * hits, judged + events), np.nan)
    return Scores(ratio(hits, judged), ratio(hits, events), f1)


def score_alarms(
    alarms: Alarms, cohort: Cohort, rule: str, window: Window | None = None
) -> Scores:
    """Precision, recall and F1 of alarms, pooled over the runs of a cohort.

    Parameters
    ----------
    alarms
        For example :func:`alarms_of` the steps of each run.
    cohort
        For example :meth:`Cohort.from_transitions`.
    rule, window
        As in :meth:`AtRisk.judge`.

    Returns
    -------
    Scores
        Of shape ``(draws,)``: one value per data set.
    """
    hits, judged = AtRisk(alarms, cohort).judge(rule, window)
    return ratios(hits.sum(axis=1), judged.sum(axis=1), cohort.event.sum())
