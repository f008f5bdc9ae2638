"""Coverage of the intervals over seeds, by simulation: how often they contain the true value.

A world is a population of seeds that is known: what share of alarms hit, how alike the alarms of
a seed are, how skewed a lag is. Many studies are drawn from each, with few seeds and with many.
``tests/evaluate/test_intervals.py`` asks each world for its coverage; this writes two tables of
it into docs/statistics.md:

    python -m benchmarks.coverage
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Table, markdown, write_section
from grokscope.evaluate.intervals import (
    Interval,
    Intervals,
    correlation_interval,
    mean_interval,
    median_interval,
    share_intervals,
    share_scatter,
)

Array = NDArray[np.float64]
Random = np.random.Generator

STATISTICS = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
CONFIDENCE = 0.95
# Studies from each world of shares, which are made at once, and from each other one.
STUDIES = (4000, 2000)

SEEDS = (2, 3, 5, 10, 20, 50)
UNITS = (1, 4, 60, 0)
"""Units of a seed, such as its judged alarms; 0: 1, 4 or 60, whatever comes."""
SHARES = (0.0, 0.02, 0.1, 0.5, 0.9, 1.0)
ALIKE = (0.0, 0.2, 1.0)
"""Intraclass correlation: how alike the units of a seed are."""
ROWS = (1, 4)
CORRELATIONS = (0.0, 0.5, 0.9)


class World(NamedTuple):
    """A population of seeds.

    Attributes
    ----------
    kind
        What is estimated of it.
    name
        What tells it from other populations of its kind.
    seeds
        Seeds of a study.
    truth
        The number itself.
    draw
        Intervals of so many studies.
    """

    kind: str
    name: str
    seeds: int
    truth: float
    draw: Callable[[int, Random], Intervals]


class Found(NamedTuple):
    """How often intervals cover the truth, how often there is one, and their mean width."""

    coverage: float
    exist: float
    width: float


def simulate(world: World, studies: int) -> Found:
    """Draw studies from a world, the same at each call. No interval says nothing wrong."""
    rng = np.random.default_rng(list(f"{world.kind} {world.name} {world.seeds}".encode()))
    low, high = world.draw(studies, rng)
    none = np.isnan(low)
    covers = (low <= world.truth + 1e-12) & (world.truth - 1e-12 <= high)
    width = math.nan if none.all() else float(np.mean((high - low)[~none]))
    return Found(float(np.mean(none | covers)), float(np.mean(~none)), width)


def one_by_one(study: Callable[[Random], Interval], studies: int, rng: Random) -> Intervals:
    """Intervals of studies that are made one after the other."""
    found = [study(rng) for _ in range(studies)]
    low, high = (
        [math.nan if end is None else end for end in of] for of in zip(*found, strict=True)
    )
    return Intervals(np.array(low), np.array(high))


# ---------------------------------------------------------------------- shares


def hits(
    seeds: int, units: int, share: float, alike: float, studies: int, rng: Random
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hits and units of each seed of some studies, shape ``(seeds, studies)`` each."""
    shape = (seeds, studies)
    size = np.full(shape, units) if units else rng.choice([1, 4, 60], shape)
    of_seed = np.full(shape, share)
    if alike == 1:
        of_seed = (rng.random(shape) < share).astype(np.float64)
    elif alike > 0 and 0 < share < 1:
        strength = (1 - alike) / alike
        of_seed = rng.beta(share * strength, (1 - share) * strength, shape)
    return rng.binomial(size, of_seed), size


def _share(world: tuple[int, int, float, float], studies: int, rng: Random) -> Intervals:
    top, bottom = hits(*world, studies, rng)
    return share_intervals(np.arange(len(top)), top, bottom, confidence=CONFIDENCE)


def share_worlds(seeds: Sequence[int] = SEEDS) -> Iterator[World]:
    """Shares of units: precision, recall, the share of events whose last layer alarms first."""
    for k, units, share, alike in product(seeds, UNITS, SHARES, ALIKE):
        name = f"{share:g} of {units or 'unequal'} units, alike {alike:g}"
        yield World("share", name, k, share, partial(_share, (k, units, share, alike)))


# ---------------------------------------------------------------------- means

# Values of seeds, and their mean.
POPULATIONS: dict[str, tuple[Callable[[Random, int], Array], float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "even": (lambda rng, n: rng.random(n), 0.5),
    "skewed (gamma 2)": (lambda rng, n: rng.gamma(2.0, size=n), 2.0),
    "skewed (log-normal 0.5)": (lambda rng, n: rng.lognormal(0.0, 0.5, n), math.exp(0.125)),
    "rounded to 1 SD": (lambda rng, n: np.round(rng.normal(size=n)), 0.0),
    "rounded to 2.5 SD": (lambda rng, n: np.round(0.4 * rng.normal(size=n)), 0.0),
    "counts around 1": (lambda rng, n: rng.poisson(1.0, n).astype(np.float64), 1.0),
}
BEYOND: dict[str, tuple[Callable[[Random, int], Array], float]] = {
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "log-normal 1": (lambda rng, n: rng.lognormal(0.0, 1.0, n), math.exp(0.5)),
}
"""More skewed than the interval of a mean is made for."""


def _mean(of: Callable[[Random, int], Array], k: int, studies: int, rng: Random) -> Intervals:
    return one_by_one(
        lambda rng: mean_interval(range(k), of(rng, k), confidence=CONFIDENCE), studies, rng
    )


def mean_worlds(
    populations: dict[str, tuple[Callable[[Random, int], Array], float]] = POPULATIONS,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[World]:
    """Means of one value a seed, such as a lag."""
    for k, (name, (of, truth)) in product(seeds, populations.items()):
        yield World("mean", name, k, truth, partial(_mean, of, k))


def _difference(
    world: tuple[int, int, float, float, float], studies: int, rng: Random
) -> Intervals:
    k, units, one, other, alike = world

    def study(rng: Random) -> Interval:
        a, b = (hits(k, units, share, alike, 1, rng)[0][:, 0] / units for share in (one, other))
        scatter = math.hypot(share_scatter(a, units), share_scatter(b, units))
        return mean_interval(range(k), a - b, confidence=CONFIDENCE, scatter=scatter)

    return one_by_one(study, studies, rng)


def difference_worlds(seeds: Sequence[int] = SEEDS) -> Iterator[World]:
    """Means of one difference of two shares a seed, of units that are different cells."""
    pairs = ((0.0, 0.0), (0.02, 0.02), (0.1, 0.5), (0.9, 0.5), (1.0, 0.0))
    for k, units, (one, other), alike in product(seeds, (12, 20, 60), pairs, (0.0, 0.2)):
        name = f"{one:g} - {other:g} of {units} units, alike {alike:g}"
        world = (k, units, one, other, alike)
        yield World("difference", name, k, one - other, partial(_difference, world))


# ---------------------------------------------------------------------- medians


def normal_rows(k: int, rows: int, alike: float, rng: Random) -> tuple[NDArray[np.intp], Array]:
    """Seed and value of each row, standard normal and alike within a seed."""
    seed = np.repeat(np.arange(k), rows)
    values = math.sqrt(alike) * rng.normal(size=k)[seed]
    return seed, values + math.sqrt(1 - alike) * rng.normal(size=len(seed))


def _median(world: tuple[int, int, float, bool], studies: int, rng: Random) -> Intervals:
    *shape, missed = world

    def study(rng: Random) -> Interval:
        seed, values = normal_rows(*shape, rng)
        if missed:
            values = np.maximum(0, np.round(30 * values + 3))
        return median_interval(seed, values, confidence=CONFIDENCE)

    return one_by_one(study, studies, rng)


def median_worlds(seeds: Sequence[int] = SEEDS) -> Iterator[World]:
    """Medians of rows: normal values, and leads, of which nearly half are 0 and many tied."""
    for k, rows, alike, missed in product(seeds, ROWS, ALIKE, (False, True)):
        if rows == 1 and alike:  # as alike as any
            continue
        name = f"{'leads' if missed else 'normal'}, {rows} rows, alike {alike:g}"
        truth = 3.0 if missed else 0.0
        yield World("median", name, k, truth, partial(_median, (k, rows, alike, missed)))


# ---------------------------------------------------------------------- correlations


def _correlation(
    world: tuple[int, int, float, float, bool], studies: int, rng: Random
) -> Intervals:
    *shape, r, rank = world

    def study(rng: Random) -> Interval:
        seed, x = normal_rows(*shape, rng)
        y = r * x + math.sqrt(1 - r * r) * normal_rows(*shape, rng)[1]
        return correlation_interval(seed, x, y, confidence=CONFIDENCE, rank=rank)

    return one_by_one(study, studies, rng)


def correlation_worlds(seeds: Sequence[int] = SEEDS) -> Iterator[World]:
    """Pearson's r and Spearman's of normal pairs."""
    for k, rows, alike, r, rank in product(seeds, ROWS, ALIKE, CORRELATIONS, (False, True)):
        if rows == 1 and alike:
            continue
        # K. Pearson 1907: Spearman's of normal pairs.
        truth = 6 / math.pi * math.asin(r / 2) if rank else r
        name = f"r {r:g}, {rows} rows, alike {alike:g}"
        kind = "rank correlation" if rank else "correlation"
        yield World(kind, name, k, truth, partial(_correlation, (k, rows, alike, r, rank)))


# ---------------------------------------------------------------------- the tables of docs

KINDS: dict[str, Callable[[Sequence[int]], Iterator[World]]] = {
    "share": share_worlds,
    "mean": lambda seeds: mean_worlds(POPULATIONS, seeds),
    "mean, too skewed": lambda seeds: mean_worlds(BEYOND, seeds),
    "mean of differences": difference_worlds,
    "median": median_worlds,
    "correlation": correlation_worlds,
}
# Of one number each, how wide intervals are.
EXAMPLES = {
    "share, 0.5 of 4 units, alike 0.2": ("share", "0.5 of 4 units, alike 0.2"),
    "share, 0.9 of 60 units, alike 0.2": ("share", "0.9 of 60 units, alike 0.2"),
    "share, 0 of any units": ("share", "0 of 60 units, alike 0"),
    "mean, normal, in SD": ("mean", "normal"),
    "median, normal, in SD": ("median", "normal, 1 rows, alike 0"),
    "correlation, r 0": ("correlation", "r 0, 1 rows, alike 0"),
    "correlation, r 0.9": ("correlation", "r 0.9, 1 rows, alike 0"),
}


def lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of docs."""
    return markdown(Table(header, rows, None))


def tables() -> tuple[str, str]:
    """Smallest coverage of each kind, and mean widths of some numbers, by number of seeds."""
    coverage, widths = [], {name: [] for name in EXAMPLES}
    header = [str(k) for k in SEEDS]
    for kind, worlds in KINDS.items():
        studies = STUDIES[0] if kind == "share" else STUDIES[1]
        row, count = [], 0
        for k in SEEDS:
            found = {(world.kind, world.name): simulate(world, studies) for world in worlds([k])}
            worst = min(of.coverage for of in found.values())
            none = all(of.exist == 0 for of in found.values())
            row.append("none" if none else f"{worst:.1%}")
            count += len(found)
            for name, place in EXAMPLES.items():
                if place in found:
                    of = found[place]
                    widths[name].append("none" if of.exist == 0 else f"{of.width:.2f}")
        coverage.append([kind, str(count), *row])
        print(kind, *row, flush=True)
    worst_of = lines(["interval of a", "worlds", *header], coverage)
    return worst_of, lines(["number", *header], [[name, *of] for name, of in widths.items()])


if __name__ == "__main__":
    for name, text in zip(("coverage", "widths"), tables(), strict=True):
        write_section(STATISTICS, name, text)
