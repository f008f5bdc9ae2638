"""p-values and their adjustment, survival and correlations, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from grokscope.evaluate.statistics import (
    adjust,
    kaplan_meier_median,
    p_value,
    pearson,
    spearman,
)


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


@pytest.mark.parametrize("half", range(1, 31))
def test_survival_of_exactly_one_half_is_not_below_it(half: int) -> None:
    """As a sum of logarithms it is, for example, with 12 and 18 times."""
    times = np.arange(1, 2 * half + 1)
    assert kaplan_meier_median(times, np.ones(2 * half, bool)) == half + 1


def test_correlations_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(x, 2 * x + 1) == pytest.approx(1)
    assert pearson(x, np.array([1.0, 0.0, 0.0, 1.0])) == pytest.approx(0)
    assert spearman(x, np.exp(-x)) == pytest.approx(-1)
    assert np.isnan(pearson(x, np.ones(4)))
    assert np.isnan(pearson(x[:2], x[:2]))
