"""Intervals over seeds: of shares, means, medians and correlations, without random numbers.

Runs that share a seed share data split and initial weights, so a seed is a cluster: the runs of a
seed vary together, seeds vary independently. Input is one cluster label (the seed) per row.

What the intervals promise, for which numbers of clusters and of rows a cluster, stands with the
simulated coverage in ``docs/statistics.md``. Where little is known they are too wide rather than
too narrow: no interval is a point, and where there is nothing to go by an end is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grokscope.evaluate.statistics import ranks

Labels = Sequence[Any] | npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# Both were set by simulation (docs/statistics.md), as small as coverage allows.
# How much of a cluster of hits alone, and of one of misses alone, a share is smoothed by.
PSEUDO_CLUSTERS = 0.25
# Kurtosis beyond the normal that means are prepared for: their variance is known the less well.
KURTOSIS = 1.0
# Relative; what is nearer than this is equal.
ROUNDING = 1e-12


class Interval(NamedTuple):
    """Ends of an interval; None for an end that the data do not bound."""

    low: float | None
    high: float | None

    def minus(self, value: float) -> Interval:
        """The interval moved down."""
        low, high = (None if end is None else end - value for end in self)
        return Interval(low, high)


NO_INTERVAL = Interval(None, None)


class Intervals(NamedTuple):
    """Ends of several intervals, shape ``(n,)`` each; NaN where there is none."""

    low: Floats
    high: Floats

    def one(self) -> Interval:
        """The only interval of a set of one."""
        low, high = (None if np.isnan(end) else float(end) for (end,) in self)
        return Interval(low, high)


def proportion_interval(successes: int, n: int, confidence: float) -> Interval:
    """Exact interval of a share of independent draws; none without a draw.

    References
    ----------
    C. J. Clopper & E. S. Pearson, The use of confidence or fiducial limits illustrated in the case
    of the binomial, Biometrika 26 (1934).
    """
    if not n:
        return NO_INTERVAL
    return _clopper_pearson(np.array([successes / n]), np.array([float(n)]), confidence).one()


def share_interval(
    clusters: Labels, numerator: npt.ArrayLike, denominator: npt.ArrayLike, *, confidence: float
) -> Interval:
    """:func:`share_intervals` of one share; of rows, shape ``(n_rows,)``."""
    top, bottom = (np.asarray(side, float)[:, None] for side in (numerator, denominator))
    return share_intervals(clusters, top, bottom, confidence=confidence).one()


def share_intervals(
    clusters: Labels,
    numerator: npt.NDArray[Any],
    denominator: npt.NDArray[Any],
    *,
    confidence: float,
) -> Intervals:
    r"""Intervals of many ratios of sums that lie within [0, 1], such as a precision.

    Exact (Clopper-Pearson) where each cluster has a single unit. Otherwise Clopper-Pearson's at
    an effective number of units (Korn & Graubard 1998): that of independent ones whose share would
    vary as much as this one does from cluster to cluster,

    .. math:: n^* = \max\left(k, \frac{\tilde p (1 - \tilde p)}{\widehat{\mathrm{var}}}
       \left(\frac{z_{\alpha/2}}{t_{\alpha/2,\,k - 1}}\right)^2\right)

    with the jackknife variance of the ratio, and k the number of clusters that count equally
    (Kish's: the squared sum of their units over the sum of the squares), which is what there is if
    all units of a cluster agree. Few clusters may agree with each other by chance, most of all
    where the share is near 0 or 1. So :data:`PSEUDO_CLUSTERS` of hits alone and as many of misses
    alone, each of the size of an average unit's cluster, are added before share and variance are
    taken. Where all clusters agree on 0 or 1 this leaves k units.

    Parameters
    ----------
    clusters
        Cluster label of each row, shape ``(n_rows,)``.
    numerator, denominator
        What each row adds to both sides of each ratio, shape ``(n_rows, n)``; of each cluster
        the numerator's sum lies between 0 and the denominator's.
    confidence
        Confidence level, in (0, 1).

    Returns
    -------
    Intervals
        NaN with fewer than two clusters that have units.

    Raises
    ------
    ValueError
        If a cluster's share is not within [0, 1].

    References
    ----------
    E. L. Korn & B. I. Graubard, Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data, Survey Methodology 24 (1998).
    """
    member = _members(clusters)
    top, bottom = member @ numerator, member @ denominator
    if ((top < 0) | (top > bottom)).any():
        raise ValueError("a share's numerator must lie between 0 and its denominator")
    return _shares(top, bottom, confidence)


def mean_interval(
    clusters: Labels, values: npt.ArrayLike, *, confidence: float, scatter: float = 0.0
) -> Interval:
    """Interval of the mean over clusters, each counting by the mean of its rows.

    Student's with fewer degrees of freedom, as the variance of a few skewed or even values is
    known worse than that of normal ones.

    Parameters
    ----------
    clusters, values
        Cluster label and value of each row, shape ``(n_rows,)``.
    scatter
        Standard deviation of clusters that is supposed at least: few clusters may agree by chance,
        such as in a share (:func:`share_scatter`).

    Returns
    -------
    Interval
        None with fewer than two clusters, and where all agree and no scatter is supposed: how far
        they would otherwise scatter is then not known.
    """
    member = _members(clusters)
    means, k = member @ np.asarray(values, np.float64) / member.sum(axis=1), len(member)
    if k < 2:
        return NO_INTERVAL
    spread = max(scatter, float(means.std(ddof=1)) if np.ptp(means) else 0.0)
    if spread == 0:
        return NO_INTERVAL
    # A variance with these degrees of freedom varies as that of k such clusters does.
    freedom = 2 / (2 / (k - 1) + KURTOSIS / k)
    from scipy import special  # a fifth of a second to import

    half = special.stdtrit(freedom, (1 + confidence) / 2) * spread / np.sqrt(k)
    return Interval(float(means.mean() - half), float(means.mean() + half))


def share_scatter(shares: npt.ArrayLike, of: int) -> float:
    """Standard deviation of shares, shape ``(k,)``, of so many independent draws each.

    The pooled share is smoothed by half a draw either way, so that none, or all, is not certain.
    """
    found = np.asarray(shares, np.float64)
    draws = of * len(found)
    share = (found.mean() * draws + 0.5) / (draws + 1)
    return float(np.sqrt(share * (1 - share) / of))


def median_interval(clusters: Labels, values: npt.ArrayLike, *, confidence: float) -> Interval:
    """Interval of the median of rows: the values that may have half of the rows below them.

    A value is inside unless the interval of the share of rows up to it, or of those below it,
    excludes one half (Woodruff 1952; :func:`share_intervals`). With one row a cluster these are
    the exact order statistics.

    Parameters
    ----------
    clusters, values
        Cluster label and value of each row, shape ``(n_rows,)``.

    Returns
    -------
    Interval
        Ends are values that occur; None where even the smallest (largest) value may have half
        of the rows below (above) it, as with fewer than 6 clusters at 95% confidence.

    References
    ----------
    R. S. Woodruff, Confidence intervals for medians and other position measures, Journal
    of the American Statistical Association 47 (1952).
    """
    rows, labels = np.asarray(values, np.float64), np.asarray(clusters)
    # Beyond all values no row lies below, or above: an end there bounds nothing.
    levels = np.unique(np.append(rows, [-np.inf, np.inf]))
    parts = [np.sort(rows[labels == label]) for label in np.unique(labels)]
    if len(parts) < 2:
        return NO_INTERVAL
    sizes = np.repeat([[float(len(part))] for part in parts], len(levels), axis=1)
    up_to, below = (
        _shares(np.array([part.searchsorted(levels, side) for part in parts]), sizes, confidence)
        for side in ("right", "left")
    )
    ends = levels[up_to.high >= 0.5].min(), levels[below.low <= 0.5].max()
    return Interval(*(float(end) if np.isfinite(end) else None for end in ends))


def correlation_interval(
    clusters: Labels,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    confidence: float,
    rank: bool = False,
) -> Interval:
    """Interval of Pearson's r of rows, or of Spearman's: jackknife over clusters, of Fisher's z.

    Parameters
    ----------
    clusters, x, y
        Cluster label and both values of each row, shape ``(n_rows,)``.
    rank
        Whether of ranks, taken once over all rows.

    Returns
    -------
    Interval
        None with fewer than four clusters, or where some cluster's absence leaves a constant
        side, a perfect correlation, or the same as every other's.

    References
    ----------
    R. G. Miller, The jackknife: a review, Biometrika 61 (1974), on transforming r first.
    """
    one, other = (np.asarray(of, np.float64) for of in (x, y))
    if rank:
        one, other = ranks(one), ranks(other)
    member = _members(clusters)
    k = len(member)
    if k < 4:
        return NO_INTERVAL
    one, other = one - one.mean(), other - other.mean()
    products = [np.ones_like(one), one, other, one * one, other * other, one * other]
    sums = member @ np.stack(products, axis=1)
    z, without = _fishers_z(sums.sum(axis=0)), _fishers_z(sums.sum(axis=0) - sums)
    if not np.isfinite(without).all() or np.ptp(without) == 0:
        return NO_INTERVAL
    spread = (k - 1) / k * np.sum((without - without.mean()) ** 2)
    from scipy import special  # a fifth of a second to import

    half = special.stdtrit(k - 1, (1 + confidence) / 2) * np.sqrt(spread)
    return Interval(float(np.tanh(z - half)), float(np.tanh(z + half)))


def _members(clusters: Labels) -> Floats:
    """Which rows are of which cluster, as 0 and 1, shape ``(k, n_rows)``."""
    labels, codes = np.unique(np.asarray(clusters), return_inverse=True)
    member: Floats = (codes == np.arange(len(labels))[:, None]).astype(np.float64)
    return member


def _clopper_pearson(share: Floats, n: Floats, confidence: float) -> Intervals:
    """Clopper-Pearson's ends at any number of units, whole or not, shape ``(n,)``."""
    tail, hits = (1 - confidence) / 2, share * n
    # Without hits (misses) the lower (upper) end is 0 (1); its beta distribution has no density.
    from scipy import special  # a fifth of a second to import

    low = special.betaincinv(np.maximum(hits, 1e-300), n - hits + 1, tail)
    high = special.betaincinv(hits + 1, np.maximum(n - hits, 1e-300), 1 - tail)
    return Intervals(np.where(hits > 0, low, 0.0), np.where(hits < n, high, 1.0))


def _shares(top: Floats, bottom: Floats, confidence: float) -> Intervals:
    """:func:`share_intervals` of sums by cluster, shape ``(k, n)``."""
    clusters, units = (bottom > 0).sum(axis=0), bottom.sum(axis=0)
    known = clusters >= 2
    top, bottom, clusters, units = (of[..., known] for of in (top, bottom, clusters, units))
    # The cluster of an average unit.
    size = (bottom**2).sum(axis=0) / units
    kish = units / size
    pseudo = PSEUDO_CLUSTERS * size
    total = units + 2 * pseudo
    share = (top.sum(axis=0) + pseudo) / total
    residuals = (top - share * bottom) / (1 - bottom / total)
    squares = (residuals**2).sum(axis=0) + pseudo * size * (share**2 + (1 - share) ** 2)
    variance = squares / total**2
    tail = (1 - confidence) / 2
    from scipy import special  # a fifth of a second to import

    narrow = special.ndtri(tail) / special.stdtrit(kish - 1, tail)
    effective = np.fmax(share * (1 - share) / variance * narrow**2, kish)
    single = ((bottom <= 1) & ((top == 0) | (top == bottom))).all(axis=0)
    found = _clopper_pearson(
        top.sum(axis=0) / units, np.where(single, units, effective), confidence
    )
    ends = np.full((2, len(known)), np.nan)
    ends[:, known] = found
    return Intervals(*ends)


def _fishers_z(sums: Floats) -> Floats:
    """Fisher's z of Pearson's r from the sums of 1, x, y, xx, yy and xy, shape ``(..., 6)``.

    NaN for a constant side, up to rounding, and infinite for a perfect correlation.
    """
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = [n * of - square**2 for of, square in ((xx, x), (yy, y))]
    constant = (spread[0] <= ROUNDING * n * xx) | (spread[1] <= ROUNDING * n * yy)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (n * xy - x * y) / np.sqrt(spread[0] * spread[1])
        perfect = np.abs(r) > 1 - ROUNDING
        z: Floats = np.arctanh(np.where(constant, np.nan, np.where(perfect, np.sign(r), r)))
    return z
