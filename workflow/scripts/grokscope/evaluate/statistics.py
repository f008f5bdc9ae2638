"""p-values against surrogates, their adjustment for a family, survival and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd


def p_value(observed: float, surrogates: npt.ArrayLike) -> float | None:
    """One-sided p-value of a score against its surrogates, large scores being good.

    ``p = (1 + #{surrogates >= observed}) / (1 + #{surrogates})``, over the surrogates in which
    the score is defined [1]_. None if the observed score, or every surrogate, is undefined.

    References
    ----------
    .. [1] B. Phipson & G. K. Smyth, Permutation p-values should never be zero, Statistical
       Applications in Genetics and Molecular Biology 9 (2010).
    """
    values = np.asarray(surrogates, float)
    values = values[~np.isnan(values)]
    if np.isnan(observed) or not len(values):
        return None
    # Equal scores can differ in the last digits, by the order of their sums.
    as_good = np.sum(values >= observed - 1e-12)
    return float((1 + as_good) / (1 + len(values)))


def kaplan_meier_median(times: npt.ArrayLike, observed: npt.ArrayLike) -> float:
    """Smallest time that more than half have reached, some times being lower bounds.

    Parameters
    ----------
    times
        Shape ``(n,)``, at least 0.
    observed
        Whether each time is the time itself (else the end of observation), shape ``(n,)``.

    Returns
    -------
    float
        NaN if survival stays at or above one half, or without observed times.

    References
    ----------
    E. L. Kaplan & P. Meier, Nonparametric estimation from incomplete observations, Journal of the
    American Statistical Association 53 (1958).
    """
    times, observed = np.asarray(times, float), np.asarray(observed, bool)
    # A fraction: with rounding, survival of exactly one half may come out below it.
    survival = Fraction(1)
    for time in np.unique(times[observed]):
        at_risk, ended = (times >= time).sum(), (times[observed] == time).sum()
        survival *= Fraction(int(at_risk - ended), int(at_risk))
        if survival < Fraction(1, 2):
            return float(time)
    return float("nan")


class Adjusted(NamedTuple):
    """p-values adjusted for the size of their family, None where there was none."""

    holm: list[float | None]
    bonferroni: list[float | None]


def adjust(p_values: Sequence[float | None]) -> Adjusted:
    """Adjust the p-values of a family by Holm and by Bonferroni.

    Parameters
    ----------
    p_values
        None is no member of the family, and stays None.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
    """
    family = np.array([p for p in p_values if p is not None], float)
    order, tests = np.argsort(family), len(family)
    holm = np.empty(tests)
    holm[order] = np.maximum.accumulate(family[order] * np.arange(tests, 0, -1))

    def placed(adjusted: npt.NDArray[np.float64]) -> list[float | None]:
        values = iter(np.minimum(adjusted, 1).tolist())
        return [None if p is None else next(values) for p in p_values]

    return Adjusted(placed(holm), placed(family * tests))


def pearson(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Pearson correlation; NaN with fewer than three pairs or a constant side."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean.

    By pandas: scipy.stats takes a second to import, in every job.
    """
    return np.asarray(pd.Series(values).rank(), np.float64)


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Spearman rank correlation; NaN where :func:`pearson` is."""
    return pearson(ranks(x), ranks(y))
