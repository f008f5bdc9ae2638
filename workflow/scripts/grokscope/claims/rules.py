"""Rules: what data say about a claim, with its uncertainty. Shared by verdicts and multiverse.

A claim is one or several *conditions*: a number, its interval over seeds, and the *region* of
values that support the claim. It ``holds`` if every interval lies within its region (the data
exclude what would refute it), it ``fails`` if some interval lies outside (the data exclude what
would support it), and it is ``undecided`` otherwise. No point ever decides alone, so noise and
few seeds can only make a claim undecided.

Each wrong verdict has at most half the error probability of the interval: of conditions that must
all hold none needs a correction (an intersection-union test), and of several that may fail each
has its interval corrected by Bonferroni.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grokscope.evaluate.intervals import Interval, mean_interval, proportion_interval


class Outcome(StrEnum):
    """A verdict on a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable at this scale"


class Region(NamedTuple):
    """Values that support a claim, between two ends that belong to it if it is `closed`."""

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False

    def has(self, value: float) -> bool:
        """Whether a value supports the claim."""
        return self.low < value < self.high or (self.closed and value in (self.low, self.high))

    def inside(self, interval: Interval) -> bool:
        """Whether all values of an interval support the claim."""
        return all(map(self.has, ends(interval)))

    def outside(self, interval: Interval) -> bool:
        """Whether none does."""
        low, high = ends(interval)
        beyond = high <= self.low or low >= self.high
        return beyond and not self.has(low) and not self.has(high)


POSITIVE = Region(low=0.0)
MAJORITY = Region(low=0.5)
"""Of a share of seeds: one more seed would more likely than not show what was published."""


def near(published: float, tolerance: float) -> Region:
    """Values that differ from the published one by less than a tolerance."""
    return Region(published - tolerance, published + tolerance)


def ends(interval: Interval) -> tuple[float, float]:
    """The ends of an interval, infinite where the data do not bound it."""
    low = -math.inf if interval.low is None else interval.low
    return low, math.inf if interval.high is None else interval.high


@dataclass(frozen=True)
class Condition:
    """A number that a claim is about, and what it must be.

    Attributes
    ----------
    estimate
        The number.
    interval
        Its interval over seeds at a given confidence.
    seeds
        Seeds that it is measured on.
    region
        What it must be.
    """

    estimate: float
    interval: Callable[[float], Interval]
    seeds: int
    region: Region

    def room(self) -> float:
        """How far inside the region the estimate lies; negative outside of it."""
        return min(self.estimate - self.region.low, self.region.high - self.estimate)


class Ruling(NamedTuple):
    """What a rule says.

    Attributes
    ----------
    outcome
        The verdict.
    seeds_needed
        About how many seeds would decide; None if no number would.
    lacks
        What is missing to a decision, as a clause, where it is not seeds for the claim's number.
    """

    outcome: Outcome
    seeds_needed: int | None = None
    lacks: str = ""


def rule(conditions: Sequence[Condition], confidence: float) -> Ruling:
    """Judge a claim that says that all of some conditions are met.

    Parameters
    ----------
    confidence
        Of the intervals; those that may fail the claim are corrected for their number.

    Returns
    -------
    Ruling
        ``seeds_needed`` only with ``undecided``; it supposes that the estimates stay.
    """
    if all(of.region.inside(of.interval(confidence)) for of in conditions):
        return Ruling(Outcome.HOLDS)
    corrected = 1 - (1 - confidence) / len(conditions)
    if any(of.region.outside(of.interval(corrected)) for of in conditions):
        return Ruling(Outcome.FAILS)
    against = [of for of in conditions if not of.region.has(of.estimate)]
    if against:  # One that is refuted is enough.
        needed = [seeds_needed(of, corrected) for of in against]
        known = [seeds for seeds in needed if seeds is not None]
        return Ruling(Outcome.UNDECIDED, min(known, default=None))
    needed = [seeds_needed(of, confidence) for of in conditions]
    known = [seeds for seeds in needed if seeds is not None]
    return Ruling(Outcome.UNDECIDED, max(known) if len(known) == len(needed) else None)


def mean(
    seeds: npt.ArrayLike,
    values: npt.ArrayLike,
    region: Region,
    *,
    scatter: float = 0.0,
) -> Condition:
    """That the mean over seeds lies in a region.

    Parameters
    ----------
    seeds, values
        Seed and value of each run, shape ``(n_runs,)``.
    scatter
        See :func:`grokscope.evaluate.intervals.mean_interval`.
    """
    labels, numbers = np.asarray(seeds), np.asarray(values, np.float64)
    return Condition(
        estimate=float(numbers.mean()),
        interval=lambda confidence: mean_interval(
            labels, numbers, confidence=confidence, scatter=scatter
        ),
        seeds=len(np.unique(labels)),
        region=region,
    )


def fewest(confidence: float) -> int:
    """Fewest seeds whose majority can be told at all: all of them say the same."""
    return math.ceil(math.log((1 - confidence) / 2, 0.5))


def seeds_needed(condition: Condition, confidence: float) -> int | None:
    """About how many seeds would decide a condition, if its estimate stays.

    An interval narrows as the square root of the number of seeds. None if the estimate lies on
    an end of the region, where no number decides.
    """
    low, high = ends(condition.interval(confidence))
    at, region = condition.estimate, condition.region
    if region.has(at):
        sides = [(at - low, at - region.low), (high - at, region.high - at)]
    elif at <= region.low:
        sides = [(high - at, region.low - at)]
    else:
        sides = [(at - low, at - region.high)]
    factors = []
    for width, room in sides:
        if math.isinf(room):
            continue
        if room == 0:
            return None
        factors.append(width / room)
    least = fewest(confidence)
    if any(math.isinf(factor) for factor in factors):
        return max(least, condition.seeds + 1)
    needed = math.ceil(condition.seeds * max(factors, default=1.0) ** 2)
    return max(least, needed, condition.seeds + 1)


def majority(shown: int, seeds: int) -> Condition:
    """That more than half of all seeds show what was published.

    Parameters
    ----------
    shown, seeds
        Seeds that show it, of how many.
    """
    return Condition(
        estimate=shown / seeds,
        interval=lambda confidence: proportion_interval(shown, seeds, confidence),
        seeds=seeds,
        region=MAJORITY,
    )
