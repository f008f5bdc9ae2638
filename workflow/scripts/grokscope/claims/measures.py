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
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.evaluate.matching import AtRisk
from grokscope.evaluate.statistics import (
    NO_INTERVAL,
    Interval,
    cluster_bootstrap,
    pearson,
    ratio_bootstrap,
    resolves,
)
from grokscope.runs.settings import EvaluationSettings

Array = NDArray[np.float64]

# The null model that alarms of the same runs at other times are: chance, in every headline.
NULL = "shifted"


class Chance(NamedTuple):
    """A score of surrogate alarms: its mean, and the p-value of the observed one."""

    mean: float
    p: float


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
        ``confidence``, ``resamples`` and ``seed`` of intervals.
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
    def seeds(self) -> int:
        return int(self.rows["seed"].nunique())

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

    def interval(self, statistic: Callable[..., float], *columns: Array) -> Interval:
        """Bootstrap interval over seeds of ``statistic(*columns)``, ``(n_runs,)`` each."""
        return cluster_bootstrap(
            self.rows["seed"].to_numpy(),
            lambda index: statistic(*(values[index] for values in columns)),
            confidence=self.settings.confidence,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )

    def ratio_interval(
        self, numerator: Array, denominator: Array, confidence: float | None = None
    ) -> Interval:
        """That of the sum of the one over the sum of the other, both of shape ``(n_runs,)``."""
        low, high = ratio_bootstrap(
            self.rows["seed"].to_numpy(),
            numerator[:, None],
            denominator[:, None],
            confidence=self.settings.confidence if confidence is None else confidence,
            resamples=self.settings.resamples,
            seed=self.settings.seed,
        )
        return NO_INTERVAL if np.isnan(low[0]) else Interval(float(low[0]), float(high[0]))


class Headline(NamedTuple):
    """A headline number.

    Attributes
    ----------
    measured
        NaN if there is nothing to measure.
    n, seeds
        Runs or events measured, and the distinct seeds of the runs.
    p
        One-sided p-value, where one belongs to the number.
    resolved
        Whether the seeds are enough for an interval of its confidence.
    """

    measured: float
    interval: Interval
    n: int
    seeds: int
    p: float | None = None
    resolved: bool = True


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
    interval = events.interval(np.median, lead)
    return Headline(float(np.median(lead)), interval, len(lead), sample.seeds)


@measure("precision of the combined norm's alarms", "share", held_out=True)
def precision(sample: Sample) -> Headline:
    """Hits over judged alarms."""
    hits, judged = sample.numbers("n_hits"), sample.numbers("n_judged")
    if not sample.rows["event"].any() or not judged.any():
        return NOTHING
    interval = sample.ratio_interval(hits, judged)
    return Headline(ratio(hits, judged), interval, len(hits), sample.seeds)


@measure("recall of the combined norm's alarms", "share", held_out=True)
def recall(sample: Sample) -> Headline:
    """Hits over events."""
    hits, events = sample.numbers("n_hits"), sample.numbers("event")
    if not events.any():
        return NOTHING
    interval = sample.ratio_interval(hits, events)
    return Headline(ratio(hits, events), interval, int(events.sum()), sample.seeds)


def spiking(sample: Sample) -> Sample:
    """Classification runs that raised an alarm before their onset (or end).

    A lower score is no spike; and the R² of a regression is no accuracy: one badly fitted
    polynomial would decide a correlation.
    """
    known = sample.rows[["spike", "final_test_metric"]].notna().all(axis=1)
    return sample.of(known & classification(sample))


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
    return Headline(measured, runs.interval(pearson, spike, final), len(spike), runs.seeds)


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
    interval = found.ratio_interval(earlier, np.ones(len(earlier)))
    return Headline(float(earlier.mean()), interval, len(earlier), found.seeds)


@measure("median relative drop of the last layer's effective rank at onset", "share", ranks=True)
def rank_drop(sample: Sample, rank_measure: str = "effective") -> Headline:
    """Median relative drop of the last layer's rank around the onset of events."""
    column = f"{rank_measure}_drop"
    events = sample.of(sample.rows["event"] & sample.rows[column].notna())
    if events.rows.empty:
        return NOTHING
    drop = events.numbers(column)
    interval = events.interval(np.median, drop)
    return Headline(float(np.median(drop)), interval, len(drop), events.seeds)


def excess(sample: Sample, depth: int | None = None, confidence: float | None = None) -> Headline:
    """Precision minus that of shifted alarms, of one depth (None: all)."""
    part = sample if depth is None else sample.of(sample.rows["depth"] == depth)
    chance = sample.chance.get((NULL, depth, "precision"))
    if chance is None:
        return NOTHING._replace(n=len(part.rows))
    hits, judged = part.numbers("n_hits"), part.numbers("n_judged")
    interval = part.ratio_interval(hits, judged, confidence).minus(chance.mean)
    measured = ratio(hits, judged) - chance.mean
    return Headline(measured, interval, len(part.rows), sample.seeds, chance.p)


def excess_by_depth(sample: Sample) -> dict[int, Headline]:
    """:func:`excess` of each depth with events; nothing measured without a judged alarm."""
    depths = sorted({int(depth) for depth in sample.events().rows["depth"]})
    return {depth: excess(sample, depth) for depth in depths}


@measure("smallest precision minus chance over the depths with events", "share", held_out=True)
def every_depth(sample: Sample) -> Headline:
    """Smallest precision minus chance over the depths with events.

    Its p-value is the largest of the depths', as every one must be significant (an
    intersection-union test, which needs no correction). A depth with events and without any
    judged alarm speaks against the claim, but has no number: then there is no p-value.
    """
    every = excess_by_depth(sample)
    found = [of for of in every.values() if of.p is not None]
    if not found:
        return NOTHING
    worst = min(found, key=lambda of: of.measured)
    p = max(of.p for of in found if of.p is not None) if len(found) == len(every) else None
    return worst._replace(n=sum(of.n for of in every.values()), p=p)


@measure("precision minus chance", "share", held_out=True)
def corrected_excess(sample: Sample) -> Headline:
    """Precision minus chance, with an interval corrected for the family of claims."""
    if not sample.rows["event"].any():
        return NOTHING
    found = excess(sample, confidence=sample.corrected)
    if np.isnan(found.measured):
        return NOTHING
    # Its p-value is that of the precision, which is a claim of its own.
    return found._replace(p=None, resolved=resolves(sample.corrected, sample.seeds))
