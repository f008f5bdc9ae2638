"""Intervals over seeds: by hand, their coverage by simulation, and that less never says more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from benchmarks import coverage
from benchmarks.coverage import World, simulate
from scipy import stats

from grokscope.evaluate.intervals import (
    NO_INTERVAL,
    Interval,
    correlation_interval,
    mean_interval,
    median_interval,
    proportion_interval,
    share_interval,
    share_intervals,
    share_scatter,
)

# What intervals of a nominal 95% promise.
PROMISED = 0.93


# ---------------------------------------------------------------------- by hand


def test_proportions_by_hand() -> None:
    """Known: 3 of 10 has 0.0667 to 0.6525 (Clopper-Pearson); 0 of n ends at 1 - (a/2)^(1/n)."""
    assert proportion_interval(3, 10, 0.95) == pytest.approx((0.06674, 0.65245), abs=1e-5)
    assert proportion_interval(0, 10, 0.95) == pytest.approx((0, 1 - 0.025**0.1))
    assert proportion_interval(10, 10, 0.95) == pytest.approx((0.025**0.1, 1))
    assert proportion_interval(0, 0, 0.95) == NO_INTERVAL


def test_nothing_observed_is_not_nothing_possible() -> None:
    """F31: no hit in 129 alarms of 2 seeds; a seed says as much as one draw, never less."""
    seeds = np.repeat([4, 7], [60, 69])
    none, every = np.zeros(129), np.ones(129)
    end = 1 - math.sqrt(0.025)
    assert share_interval(seeds, none, every, confidence=0.95) == pytest.approx((0, end), abs=2e-3)
    assert share_interval(seeds, every, every, confidence=0.95) == pytest.approx(
        (1 - end, 1), abs=2e-3
    )
    same = np.tile([1.0, 0.0, 0.0], 43)  # each seed has a third
    low, high = share_interval(np.repeat([4, 7], [63, 66]), same, every, confidence=0.95)
    assert low < 0.1 and high > 0.8


def test_equal_seeds_without_a_hit_count_one_unit_each() -> None:
    for k in (2, 5, 20):
        found = share_interval(np.arange(k), np.zeros(k), np.full(k, 16), confidence=0.9)
        assert found == pytest.approx(proportion_interval(0, k, 0.9))


def test_seeds_of_one_unit_have_the_exact_interval() -> None:
    hits = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 0])
    found = share_interval(np.arange(10), hits, np.ones(10), confidence=0.95)
    assert found == pytest.approx(proportion_interval(3, 10, 0.95))
    # A seed without units counts as none.
    found = share_interval(np.arange(11), [*hits, 0], [*np.ones(10), 0], confidence=0.95)
    assert found == pytest.approx(proportion_interval(3, 10, 0.95))


def test_the_effective_number_of_units_by_hand() -> None:
    """Two of four units in each of ten seeds but two, which have one and three.

    With a quarter of a seed of hits and one of misses: 42 units, share 1/2, residuals 0 but two
    of 1, over 1 - 4/42; their squares are 1.2216 each, those of the quarters 16/4 * (1/2)^2. So
    the variance is 4.4432 / 42^2, as of 99.252 units, times (1.9600 / 2.2622)^2: seeds that
    vary less than draws say more than their 40 units.
    """
    hits = np.array([2, 2, 2, 2, 2, 2, 2, 2, 1, 3])
    found = share_interval(np.arange(10), hits, np.full(10, 4), confidence=0.95)
    n = 74.506
    ends = stats.beta.ppf([0.025, 0.975], [n / 2, n / 2 + 1], [n / 2 + 1, n / 2])
    assert found == pytest.approx(tuple(ends), abs=1e-5)


def test_shares_without_two_seeds_have_no_interval() -> None:
    """One seed; no row; and two seeds of which one has no unit: no end, whatever the share."""
    assert share_interval([5, 5], [1, 0], [1, 1], confidence=0.9) == NO_INTERVAL
    assert share_interval([], [], [], confidence=0.9) == NO_INTERVAL
    assert share_interval([5, 6], [1, 0], [2, 0], confidence=0.9) == NO_INTERVAL
    top, bottom = np.array([[1, 1, 0], [0, 1, 0]]), np.array([[2, 2, 0], [0, 2, 0]])
    low, high = share_intervals([5, 6], top, bottom, confidence=0.9)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False, True]


def test_many_shares_have_the_intervals_of_one() -> None:
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, 5, 40)
    bottom = rng.integers(0, 4, (40, 6))
    top = rng.binomial(bottom, 0.4)
    low, high = share_intervals(seeds, top, bottom, confidence=0.95)
    each = [share_interval(seeds, top[:, i], bottom[:, i], confidence=0.95) for i in range(6)]
    assert np.stack([low, high], axis=1) == pytest.approx(np.array(each))


def test_means_by_hand() -> None:
    """Seeds of means 2, 4 and 9, whatever their rows: 5 and t(1.5) = 6.019 times 3.606 / sqrt(3).

    Known: t(1.5) at 0.975, from 2 / (2/2 + 1/3) degrees of freedom.
    """
    seeds, values = [1, 1, 1, 2, 3, 3], [1, 2, 3, 4, 8, 10]
    half = stats.t.ppf(0.975, 1.5) * math.sqrt(13 / 3)
    assert mean_interval(seeds, values, confidence=0.95) == pytest.approx((5 - half, 5 + half))
    assert mean_interval([1, 1], [1, 2], confidence=0.95) == NO_INTERVAL
    assert mean_interval([], [], confidence=0.95) == NO_INTERVAL
    # Equal seeds do not tell how far they could scatter.
    assert mean_interval([1, 2, 3], [7, 7, 7], confidence=0.95) == NO_INTERVAL


def test_a_mean_scatters_at_least_as_is_supposed() -> None:
    """Equal counts have an interval; those that scatter more have their own."""
    half = stats.t.ppf(0.975, 1.5) * 2 / math.sqrt(3)
    found = mean_interval([1, 2, 3], [7, 7, 7], confidence=0.95, scatter=2)
    assert found == pytest.approx((7 - half, 7 + half))
    own = mean_interval([1, 2, 3], [2, 4, 9], confidence=0.95)
    assert mean_interval([1, 2, 3], [2, 4, 9], confidence=0.95, scatter=2) == own


def test_shares_scatter_as_independent_draws() -> None:
    """Known: 6 of 20 draws, smoothed 6.5 of 21; none of 20 is half a draw of 21."""
    for shares, share in (([0.2, 0.4], 6.5 / 21), ([0, 0], 0.5 / 21), ([1, 1], 20.5 / 21)):
        expected = math.sqrt(share * (1 - share) / 10)
        assert share_scatter(shares, 10) == pytest.approx(expected)


def test_numbers_that_are_no_share_are_refused() -> None:
    with pytest.raises(ValueError, match="numerator must lie between 0 and its denominator"):
        share_interval([1, 2], [2, 0], [1, 1], confidence=0.95)


def test_medians_of_one_row_a_seed_are_order_statistics() -> None:
    """Known: of ten the second and the ninth; of six the ends; five do not bound a median."""
    values = np.array([30, 10, 50, 20, 40, 90, 60, 100, 70, 80])
    assert median_interval(np.arange(10), values, confidence=0.95) == (20, 90)
    assert median_interval(np.arange(6), values[:6], confidence=0.95) == (10, 90)
    assert median_interval(np.arange(5), values[:5], confidence=0.95) == NO_INTERVAL
    assert median_interval([], [], confidence=0.95) == NO_INTERVAL
    # Ties: at least half of the rows are 0.
    assert median_interval(np.arange(10), [0] * 8 + [5, 6], confidence=0.95) == (0, 5)


def test_medians_know_that_the_rows_of_a_seed_agree() -> None:
    """Twenty seeds: ten rows each say no more than one if all of a seed are equal."""
    values = np.arange(20.0)
    alone = median_interval(np.arange(20), values, confidence=0.95)
    alike = median_interval(np.repeat(np.arange(20), 10), np.repeat(values, 10), confidence=0.95)
    assert alone == (5, 14)
    assert alike.low <= 5 and alike.high >= 14
    rng = np.random.default_rng(2)
    mixed = rng.permuted(np.repeat(values, 10))
    apart = median_interval(np.repeat(np.arange(20), 10), mixed, confidence=0.95)
    assert apart.high - apart.low < 7


def test_correlations_by_jackknife() -> None:
    """As by leaving out each seed in turn and looking at numpy's r."""
    rng = np.random.default_rng(3)
    seeds = np.repeat(np.arange(6), 2)
    x = rng.normal(size=12)
    y = x + rng.normal(size=12)
    for rank in (False, True):
        a, b = (stats.rankdata(of) if rank else of for of in (x, y))
        z = math.atanh(np.corrcoef(a, b)[0, 1])
        rest = [np.arctanh(np.corrcoef(a[seeds != s], b[seeds != s])[0, 1]) for s in range(6)]
        half = stats.t.ppf(0.95, 5) * math.sqrt(5 / 6 * np.sum((rest - np.mean(rest)) ** 2))
        found = correlation_interval(seeds, x, y, confidence=0.9, rank=rank)
        assert found == pytest.approx((math.tanh(z - half), math.tanh(z + half)))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2, 3], [1, 3, 2]),  # three seeds
        ([1, 2, 3, 4, 5], [0.1, 0.2, 0.3, 0.4, 0.5]),  # perfect
        ([1, 2, 3, 4, 5], [0.1, 0.1, 0.1, 0.1, 0.7]),  # constant without the last
        ([], []),
    ],
)
def test_correlations_without_interval(x: list[float], y: list[float]) -> None:
    """A perfect correlation is no certainty, and a constant side has none."""
    assert correlation_interval(range(len(x)), x, y, confidence=0.95) == NO_INTERVAL


def test_an_interval_moves_by_what_is_subtracted() -> None:
    assert Interval(0.2, 0.6).minus(0.5) == (pytest.approx(-0.3), pytest.approx(0.1))
    assert Interval(None, 0.6).minus(0.5) == (None, pytest.approx(0.1))
    assert NO_INTERVAL.minus(0.5) == NO_INTERVAL


# ---------------------------------------------------------------------- coverage


def check(worlds: list[World], studies: int) -> None:
    """No world's coverage may be below the promise by more than chance: one in 100,000 a world."""
    least = stats.binom.ppf(1e-5, studies, PROMISED) / studies
    found = {(of.kind, of.name, of.seeds): simulate(of, studies).coverage for of in worlds}
    assert found and {name: share for name, share in found.items() if share < least} == {}


def test_shares_cover() -> None:
    """Every cell of the grid: seeds, units of a seed, share, how alike units of a seed are."""
    check([*coverage.share_worlds()], 500)


def test_means_cover() -> None:
    check([*coverage.mean_worlds()], 600)


def test_differences_medians_and_correlations_of_few_seeds_cover() -> None:
    worlds = [coverage.difference_worlds, coverage.median_worlds, coverage.correlation_worlds]
    check([world for of in worlds for world in of([3, 8])], 150)


@pytest.mark.slow
def test_differences_medians_and_correlations_cover() -> None:
    worlds = [coverage.difference_worlds, coverage.median_worlds, coverage.correlation_worlds]
    check([world for of in worlds for world in of(coverage.SEEDS)], 200)


# ---------------------------------------------------------------------- less never says more


def width(world: World, studies: int) -> float:
    """Mean width; infinite if some studies have no interval."""
    found = simulate(world, studies)
    return found.width if found.exist == 1 else math.inf


def rises(wider: float, narrower: float) -> bool:
    """Whether the first mean width is not below the second, but for 2% of simulation."""
    return wider >= narrower * 0.98


def test_fewer_seeds_never_make_a_share_narrower() -> None:
    """In every cell of the grid."""
    by_name: dict[str, list[float]] = {}
    for world in coverage.share_worlds():
        by_name.setdefault(world.name, []).append(width(world, 500))
    assert len(by_name) == 72
    short = [
        (name, few, many)
        for name, row in by_name.items()
        for few, many in pairwise(row)
        if not rises(few, many)
    ]
    assert not short


def test_more_noise_never_makes_a_share_narrower() -> None:
    """The noisier, the more alike the units of a seed are: from ten seeds on.

    With five or fewer an interval is most of [0, 1], and narrowest at both ends, where noise
    takes the share: there it loses up to 6% of its width (docs/statistics.md).
    """
    worlds = {(of.name, of.seeds): of for of in coverage.share_worlds()}
    for k in coverage.SEEDS:
        for units in (4, 60):
            for share in coverage.SHARES:
                names = [f"{share:g} of {units} units, alike {a:g}" for a in coverage.ALIKE]
                row = [width(worlds[name, k], 500) for name in names]
                margin = 1 if k >= 10 else 0.94
                assert all(rises(noisy, calm * margin) for calm, noisy in pairwise(row)), names


@pytest.mark.parametrize(
    "worlds",
    [coverage.mean_worlds, coverage.difference_worlds, coverage.median_worlds],
)
def test_fewer_seeds_never_make_others_narrower(worlds: Callable[..., Iterable[World]]) -> None:
    by_name: dict[str, list[float]] = {}
    for seeds in (3, 10, 20):
        for world in worlds(seeds=[seeds]):
            by_name.setdefault(world.name, []).append(width(world, 60))
    wrong = {
        name: row
        for name, row in by_name.items()
        if not all(few >= 0.9 * many for few, many in pairwise(row))
    }
    assert not wrong


def test_more_noise_never_makes_a_correlation_narrower() -> None:
    """Fewer seeds or a weaker correlation."""
    found = {
        (of.name, of.seeds): width(of, 100)
        for of in coverage.correlation_worlds([5, 10, 20])
        if of.kind == "correlation" and "1 rows" in of.name
    }
    names = [f"r {r:g}, 1 rows, alike 0" for r in (0.9, 0.5, 0.0)]
    for k in (5, 10, 20):
        row = [found[name, k] for name in names]
        assert row == sorted(row)
    for name in names:
        row = [found[name, k] for k in (20, 10, 5)]
        assert row == sorted(row)
