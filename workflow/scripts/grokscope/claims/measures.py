"""Measures: the headline numbers of alarms against onsets, one function per number.

Input: a sample, the runs of a study under one combination of analysis choices
(:mod:`grokscope.claims.samples`). Output: the number and its interval over seeds. Claims call a
measure at the configured choice, the multiverse at every choice, so both have the same number.

Numbers of alarms against onsets (``held_out``) are of the seeds that nothing is chosen on, as in
the table ``evaluation``; the rest is of all seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.evaluate.intervals import (
    NO_INTERVAL,
    Interval,
    correlation_interval,
    median_interval,
    share_interval,
)
from grokscope.evaluate.matching import AtRisk
from grokscope.evaluate.statistics import pearson
from grokscope.runs.settings import EvaluationSettings

Array = NDArray[np.float64]

# The null model that alarms of the same runs at other times are: chance, in every headline.
NULL = "shifted"


class Bounded(Protocol):
    """The interval of a number at any confidence."""

    def __call__(self, *, confidence: float) -> Interval: ...


class Chance(NamedTuple):
    """A score of surrogate alarms: its mean, and the p-value of the observed one.

    ``p_best`` and ``events_needed`` say what could be tested at all, as the table ``chance`` does.
    """

    mean: float
    p: float
    p_best: float | None = None
    events_needed: int | None = None


# By null model, depth (None: all) and score; without those that have no p-value.
Chances = Mapping[tuple[str, int | None, str], Chance]


@dataclass(frozen=True)
class Sample:
    """The runs of one specification, and how to put an interval around what they say.

    Attributes
    ----------
    rows
        One row per run: columns of ``variants`` and ``final_test_metric``, null as NaN. With
        ``held_out`` measures also ``first_lead`` (steps from the first alarm to the event, NaN
        without alarm or event), ``n_alarms``, ``n_judged`` and ``n_hits``.
    settings
        Used is ``confidence``.
    family
        Number of claims that an interval is corrected for.
    chance, fired
        What the alarms are set against, and the alarms at risk; of held-out seeds only.
    """

    rows: pd.DataFrame
    settings: EvaluationSettings
    family: int
    chance: Chances = field(default_factory=dict)
    fired: AtRisk | None = None

    def of(self, mask: pd.Series | NDArray[np.bool_]) -> Sample:
        """The runs of a mask."""
        return replace(self, rows=self.rows[np.asarray(mask, bool)])

    def events(self) -> Sample:
        """The runs with an event."""
        return self.of(self.rows["event"])

    @property
    def clusters(self) -> NDArray[np.int64]:
        """What intervals take as one: the seed of each run, shape ``(n_runs,)``."""
        return self.rows["seed"].to_numpy(np.int64)

    @property
    def seeds(self) -> int:
        return len(np.unique(self.clusters))

    @property
    def corrected(self) -> float:
        """Confidence corrected for the family by Bonferroni."""
        return 1 - (1 - self.settings.confidence) / self.family

    def numbers(self, column: str) -> Array:
        """Values of a column, shape ``(n_runs,)``."""
        return self.rows[column].to_numpy(np.float64)

    def total(self, column: str) -> int:
        """Sum of a column of counts."""
        return int(self.numbers(column).sum())

    def share(self, numerator: Array, denominator: Array) -> Bounded:
        """Interval of the sum of the one over the sum of the other, shape ``(n_runs,)`` each."""
        return partial(share_interval, self.clusters, numerator, denominator)

    def median(self, values: Array) -> Bounded:
        """Interval of the median over runs, shape ``(n_runs,)``."""
        return partial(median_interval, self.clusters, values)

    def correlation(self, x: Array, y: Array, *, rank: bool = False) -> Bounded:
        """Interval of the correlation (`rank`: Spearman's) over runs, shape ``(n_runs,)`` each."""
        return partial(correlation_interval, self.clusters, x, y, rank=rank)

    def headline(
        self, measured: float, interval_at: Bounded, n: int, p: float | None = None
    ) -> Headline:
        """A number of these runs, with its interval at the configured confidence."""
        interval = interval_at(confidence=self.settings.confidence)
        return Headline(measured, interval, n, self.seeds, p, interval_at)


def _unbounded(*, confidence: float) -> Interval:
    """That of a number which the data do not bound."""
    return NO_INTERVAL


class Headline(NamedTuple):
    """A headline number.

    Attributes
    ----------
    measured
        NaN if there is nothing to measure.
    interval
        At the confidence that belongs to the number.
    n, seeds
        Runs or events measured, and the distinct seeds of the runs.
    p
        One-sided p-value, where one belongs to the number.
    interval_at
        At any confidence.
    confidence
        Of `interval`, where it is not the configured one.
    p_best, events_needed
        What could be tested at all, see :class:`Chance`.
    event_seeds
        Distinct seeds of the runs with an event, where alarms are set against chance.
    parts
        The same number of each depth.
    """

    measured: float
    interval: Interval
    n: int
    seeds: int
    p: float | None = None
    interval_at: Bounded = _unbounded
    confidence: float | None = None
    p_best: float | None = None
    events_needed: int | None = None
    event_seeds: int = 0
    parts: Mapping[int, Headline] = MappingProxyType({})


NOTHING = Headline(float("nan"), NO_INTERVAL, 0, 0)


@dataclass(frozen=True)
class Measure:
    """A headline number.

    Attributes
    ----------
    of
        Its function: a sample to a headline; with ``ranks`` also the rank measure.
    held_out
        Whether it is of the alarms of held-out seeds.
    of_events
        Whether it is undefined without an event.
    ranks
        Whether it is made of ranks, which depend on no choice that alarms are made by.
    """

    name: str
    quantity: str
    unit: str
    of: Callable[..., Headline]
    held_out: bool = False
    of_events: bool = True
    ranks: bool = False


MEASURES: dict[str, Measure] = {}


def measure(
    quantity: str,
    unit: str,
    *,
    held_out: bool = False,
    of_events: bool = True,
    ranks: bool = False,
) -> Callable[[Callable[..., Headline]], Callable[..., Headline]]:
    """Register the decorated function as a headline number, under its name."""

    def register(of: Callable[..., Headline]) -> Callable[..., Headline]:
        name = of.__name__
        MEASURES[name] = Measure(name, quantity, unit, of, held_out, of_events, ranks)
        return of

    return register


def ratio(numerator: Array, denominator: Array) -> float:
    """Sum over sum; NaN where the second is 0."""
    total = denominator.sum()
    return float(numerator.sum() / total) if total else float("nan")


@measure("median lead of the first alarm", "steps", held_out=True)
def median_lead(sample: Sample) -> Headline:
    """Median over all events of the first alarm's lead, a missed event as 0."""
    events = sample.events()
    if events.rows.empty:
        return NOTHING
    lead = np.nan_to_num(events.numbers("first_lead"))
    return events.headline(float(np.median(lead)), events.median(lead), len(lead))


@measure("precision of the combined norm's alarms", "share", held_out=True)
def precision(sample: Sample) -> Headline:
    """Hits over judged alarms."""
    hits, judged = sample.numbers("n_hits"), sample.numbers("n_judged")
    if not sample.rows["event"].any() or not judged.any():
        return NOTHING
    return sample.headline(ratio(hits, judged), sample.share(hits, judged), len(hits))


@measure("recall of the combined norm's alarms", "share", held_out=True)
def recall(sample: Sample) -> Headline:
    """Hits over events."""
    hits, events = sample.numbers("n_hits"), sample.numbers("event")
    if not events.any():
        return NOTHING
    return sample.headline(ratio(hits, events), sample.share(hits, events), int(events.sum()))


def spiking(sample: Sample) -> Sample:
    """Classification runs that raised an alarm before their onset (or end).

    A lower score is no spike; and the R² of a regression is no accuracy: one badly fitted
    polynomial would decide a correlation.
    """
    null = np.isnan(sample.numbers("spike")) | np.isnan(sample.numbers("final_test_metric"))
    return sample.of(~null & classification(sample))


def classification(sample: Sample) -> pd.Series:
    """Which runs are of classification tasks."""
    return ~sample.rows["task"].str.endswith("_regression")


@measure("Pearson r of spike size and test accuracy", "r", of_events=False)
def spike_correlation(sample: Sample) -> Headline:
    """Pearson r of the largest spike before onset (or end) with the final accuracy."""
    runs = spiking(sample)
    spike, final = runs.numbers("spike"), runs.numbers("final_test_metric")
    measured = pearson(spike, final)
    if np.isnan(measured):
        return NOTHING
    return runs.headline(measured, runs.correlation(spike, final), len(spike))


@measure("share of events whose last layer alarms before the first", "share")
def last_layer_first(sample: Sample) -> Headline:
    """Share of the events with an alarm in either layer whose last layer comes first."""
    events = sample.events()
    # A lead is at least 1: a layer without alarm before the event comes last.
    last = np.nan_to_num(events.numbers("last_first_lead"))
    first = np.nan_to_num(events.numbers("first_first_lead"))
    either = (last > 0) | (first > 0)
    if not either.any():
        return NOTHING
    earlier, found = (last > first)[either].astype(np.float64), events.of(either)
    interval = found.share(earlier, np.ones(len(earlier)))
    return found.headline(float(earlier.mean()), interval, len(earlier))


@measure("median relative drop of the last layer's effective rank at onset", "share", ranks=True)
def rank_drop(sample: Sample, rank_measure: str = "effective") -> Headline:
    """Median relative drop of the last layer's rank around the onset of events."""
    column = f"{rank_measure}_drop"
    events = sample.of(sample.rows["event"] & sample.rows[column].notna())
    if events.rows.empty:
        return NOTHING
    drop = events.numbers(column)
    return events.headline(float(np.median(drop)), events.median(drop), len(drop))


def against_chance(sample: Sample, depth: int | None = None) -> tuple[Headline, Chance | None]:
    """Precision of one depth (None: all), and that of shifted alarms; None without any judged."""
    part = sample if depth is None else sample.of(sample.rows["depth"] == depth)
    chance = sample.chance.get((NULL, depth, "precision"))
    if chance is None:
        return NOTHING._replace(n=len(part.rows)), None
    hits, judged = part.numbers("n_hits"), part.numbers("n_judged")
    found = part.headline(ratio(hits, judged), part.share(hits, judged), len(part.rows), chance.p)
    found = found._replace(
        p_best=chance.p_best,
        events_needed=chance.events_needed,
        event_seeds=part.events().seeds,
    )
    return found, chance


@measure("smallest precision over the depths with events", "share", held_out=True)
def every_depth(sample: Sample) -> Headline:
    """Smallest precision over the depths with events, with that of each depth as its parts.

    A depth with events and without any judged alarm has no number.
    """
    depths = sorted({int(depth) for depth in sample.events().rows["depth"]})
    parts = {depth: against_chance(sample, depth)[0] for depth in depths}
    found = [of for of in parts.values() if not np.isnan(of.measured)]
    if not found:
        return NOTHING
    worst = min(found, key=lambda of: of.measured)
    return worst._replace(n=sum(of.n for of in parts.values()), parts=parts)


@measure("precision minus chance", "share", held_out=True)
def corrected_excess(sample: Sample) -> Headline:
    """Precision minus that of shifted alarms, at a confidence corrected for the family of claims.

    Its p-value is that of the precision, which is a claim of its own.
    """
    if not sample.rows["event"].any():
        return NOTHING
    found, chance = against_chance(sample)
    if chance is None:
        return NOTHING
    expected, share = chance.mean, found.interval_at

    def above_chance(*, confidence: float) -> Interval:
        return share(confidence=confidence).minus(expected)

    return found._replace(
        measured=found.measured - expected,
        interval=above_chance(confidence=sample.corrected),
        interval_at=above_chance,
        confidence=sample.corrected,
        p=None,
    )
