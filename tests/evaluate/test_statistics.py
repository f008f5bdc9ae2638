"""Intervals, p-values and their adjustment: by hand, and their coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grokscope.evaluate.statistics import (
    adjust,
    cluster_bootstrap,
    expanded_tail,
    kaplan_meier_median,
    p_value,
    pearson,
    ratio_bootstrap,
    resolves,
    spearman,
)


@pytest.mark.parametrize("clusters", [3, 8])
def test_ratios_have_the_intervals_of_the_bootstrap_of_one(clusters: int) -> None:
    """All draws of 3 clusters, and random ones of 8; several rows a cluster."""
    rng = np.random.default_rng(clusters)
    labels = np.repeat(np.arange(clusters), 4)
    top = rng.integers(0, 3, (len(labels), 2))
    bottom = top + rng.integers(0, 2, top.shape)
    settings = {"confidence": 0.9, "resamples": 500, "seed": 1}
    low, high = ratio_bootstrap(labels, top, bottom, **settings)
    for column in range(2):

        def ratio(rows: np.ndarray, column: int = column) -> float:
            total = bottom[rows, column].sum()
            return float(top[rows, column].sum() / total) if total else float("nan")

        expected = cluster_bootstrap(labels, ratio, **settings)
        assert (low[column], high[column]) == pytest.approx(tuple(expected))


def test_a_ratio_without_interval_is_nan() -> None:
    """One cluster; and a denominator that most resamples lack."""
    one = np.ones((2, 1))
    settings = {"confidence": 0.9, "resamples": 500, "seed": 1}
    assert np.isnan(ratio_bootstrap([5, 5], one, one, **settings)).all()
    labels, rare = np.arange(3), np.array([[1.0, 1.0], [0, 1], [0, 1]])
    # Without the first of three clusters: 8 of 27 draws, so most resamples have it.
    assert not np.isnan(ratio_bootstrap(labels, rare, rare, **settings)).any()
    none = np.zeros((3, 1))
    assert np.isnan(ratio_bootstrap(labels, none, none, **settings)).all()


def test_coverage_of_a_ratio_by_simulation() -> None:
    """95% intervals of a precision; hits depend on the seed, alarms vary between seeds.

    The binomial standard error with 400 data sets is 1.1 points.
    """
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        judged = rng.poisson(12, size=15) + 1
        hits = rng.binomial(judged, rng.beta(6, 4, size=15))
        low, high = ratio_bootstrap(
            np.arange(15),
            hits[:, None],
            judged[:, None],
            confidence=0.95,
            resamples=500,
            seed=0,
        )
        covered += low[0] <= 0.6 <= high[0]
    assert 0.91 <= covered / 400 <= 0.985


def test_coverage_of_a_correlation_by_simulation() -> None:
    """95% intervals of Pearson's r of 20 seeds, true value 0.6; standard error 2.4 points."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(80):
        x = rng.normal(size=20)
        y = 0.6 * x + 0.8 * rng.normal(size=20)
        low, high = cluster_bootstrap(
            np.arange(20),
            lambda rows, x=x, y=y: pearson(x[rows], y[rows]),
            confidence=0.95,
            resamples=200,
            seed=0,
        )
        covered += low <= 0.6 <= high
    assert covered / 80 >= 0.88


def test_p_values_by_hand() -> None:
    """Two of four surrogates are as good; undefined ones do not count; never zero."""
    assert p_value(0.5, [0.1, 0.5, 0.9, 0.2, np.nan]) == pytest.approx(3 / 5)
    assert p_value(1.0, [0.1, 0.2]) == pytest.approx(1 / 3)
    assert p_value(np.nan, [0.1]) is None
    assert p_value(0.5, [np.nan]) is None


def test_a_score_that_differs_by_rounding_is_as_good() -> None:
    assert p_value(0.1 + 0.2, [0.3]) == 1


def test_adjusted_by_hand() -> None:
    """Holm: 0.01 * 3, 0.02 * 2 and 0.04, never falling; Bonferroni: thrice each."""
    holm, bonferroni = adjust([0.04, None, 0.01, 0.02])
    assert holm == pytest.approx([0.04, None, 0.03, 0.04])
    assert bonferroni == pytest.approx([0.12, None, 0.03, 0.06])
    assert adjust([None]) == ([None], [None])
    assert adjust([]) == ([], [])
    assert adjust([0.9, 0.8]) == ([1, 1], [1, 1])


def test_median_survival_by_hand() -> None:
    """Known times 1, 3, 4 and a bound 2: survival 3/4, then 3/8 from 3 on."""
    assert kaplan_meier_median([3, 1, 2, 4], [True, True, False, True]) == 3
    assert kaplan_meier_median([0, 0, 5], [True, True, True]) == 0
    # Survival ends at 2/3.
    assert np.isnan(kaplan_meier_median([1, 5, 5], [True, False, False]))
    assert np.isnan(kaplan_meier_median([5, 5], [False, False]))
    assert np.isnan(kaplan_meier_median([], []))


def test_bootstrap_agrees_with_scipy_for_one_row_a_cluster() -> None:
    """Percentile interval of a mean, read at the same tail."""
    values = np.random.default_rng(3).normal(size=12)
    ours = cluster_bootstrap(
        np.arange(12),
        lambda rows: float(values[rows].mean()),
        confidence=0.9,
        resamples=4000,
        seed=0,
    )
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - 2 * expanded_tail(0.9, 12),
        method="percentile",
        n_resamples=4000,
        rng=1,
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.05)


def test_runs_of_a_seed_stay_together() -> None:
    """Two clusters without spread inside: the interval is their range, whatever the rows."""
    clusters = np.repeat([1, 2], 50)
    values = clusters.astype(float)
    interval = cluster_bootstrap(
        clusters, lambda rows: float(values[rows].mean()), confidence=0.9, resamples=100, seed=0
    )
    assert interval == (1, 2)


def test_one_cluster_has_no_interval_and_undefined_resamples_are_left_out() -> None:
    def first(rows: np.ndarray) -> float:
        return float("nan") if (rows == 0).all() else float(rows.mean())

    assert cluster_bootstrap([5, 5], first, confidence=0.9, resamples=100, seed=0).low is None
    interval = cluster_bootstrap([5, 6], first, confidence=0.9, resamples=100, seed=0)
    assert interval.low is not None
    assert interval.high == 1

    def never(rows: np.ndarray) -> float:
        return float("nan")

    assert cluster_bootstrap([5, 6], never, confidence=0.9, resamples=100, seed=0).low is None


def coverage(clusters: int, data_sets: int = 300) -> float:
    """Share of intervals of a mean that contain it; clusters of 3 correlated rows each."""
    rng = np.random.default_rng(clusters)
    labels = np.repeat(np.arange(clusters), 3)
    hit = 0
    for _ in range(data_sets):
        values = rng.normal(size=clusters)[labels] + 0.5 * rng.normal(size=len(labels))
        low, high = cluster_bootstrap(
            labels,
            lambda rows, values=values: float(values[rows].mean()),
            confidence=0.95,
            resamples=300,
            seed=0,
        )
        hit += low <= 0 <= high
    return hit / data_sets


def test_coverage_by_simulation() -> None:
    """95% intervals cover about 95% with many seeds, and three seeds the 75% that they can.

    Binomial standard errors with 300 data sets: 1.3 and 2.5 points.
    """
    assert 0.91 <= coverage(10) <= 0.985
    assert 0.67 <= coverage(3) <= 0.83


def test_the_tail_of_few_clusters() -> None:
    """Known: t(4) at 0.025 is -2.776, times sqrt(5/4) is -3.104, of which Phi is 0.00095."""
    assert expanded_tail(0.95, 5) == pytest.approx(0.00095, abs=1e-5)
    assert expanded_tail(0.95, 10_000) == pytest.approx(0.025, abs=1e-4)
    assert [resolves(0.95, k) for k in (1, 2, 3, 4)] == [False, False, False, True]


def test_correlations_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(x, 2 * x + 1) == pytest.approx(1)
    assert pearson(x, np.array([1.0, 0.0, 0.0, 1.0])) == pytest.approx(0)
    assert spearman(x, np.exp(-x)) == pytest.approx(-1)
    assert np.isnan(pearson(x, np.ones(4)))
    assert np.isnan(pearson(x[:2], x[:2]))
