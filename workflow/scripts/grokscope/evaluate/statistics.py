"""Intervals over seeds, p-values against surrogates, and their adjustment for a family.

Runs that share a seed share data split and initial weights, so the bootstrap keeps together all
runs of a seed: seeds are resampled, never single runs. Its input is one cluster label (the seed)
per row, and a statistic of rows or the sums that ratios are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Rows = npt.NDArray[np.intp]
Statistic = Callable[[Rows], float]


class Interval(NamedTuple):
    """Ends of an interval; null where fewer than two clusters leave none."""

    low: float | None
    high: float | None

    def minus(self, value: float) -> Interval:
        """The interval moved down."""
        if self.low is None or self.high is None:
            return self
        return Interval(self.low - value, self.high - value)


NO_INTERVAL = Interval(None, None)


def expanded_tail(confidence: float, clusters: int) -> float:
    r"""Tail probability at which a percentile bootstrap of few clusters is read.

    .. math:: \alpha' = \Phi\left(\sqrt{k / (k - 1)}\; t_{\alpha / 2,\, k - 1}\right),
       \quad \alpha = 1 - \mathrm{confidence}

    Plain percentile intervals of a mean are too narrow by the factor that this undoes
    [1]_ (k = 5 clusters: 0.001 instead of 0.025). Tends to alpha / 2 with many clusters.

    References
    ----------
    .. [1] T. Hesterberg, What teachers should know about the bootstrap, The American
       Statistician 69 (2015), section 4.3 ("expanded percentile").
    """
    quantile = stats.t.ppf((1 - confidence) / 2, clusters - 1)
    return float(stats.norm.cdf(np.sqrt(clusters / (clusters - 1)) * quantile))


def cluster_bootstrap(
    clusters: Sequence[Any] | npt.NDArray[Any],
    statistic: Statistic,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> Interval:
    """Percentile bootstrap interval, resampling clusters with replacement.

    Parameters
    ----------
    clusters
        Cluster label of each row, shape ``(n_rows,)``.
    statistic
        Number from row indices (with repeats where a cluster is drawn twice); NaN where it is
        undefined, such as a precision without alarms. Undefined resamples are left out.
    confidence
        Confidence level, in (0, 1); read at :func:`expanded_tail`.
    resamples
        Random resamples; where all ``k ** k`` ordered draws of k clusters are no more than
        that, each is taken once instead and the interval is exact.
    seed
        Seed of the draws.

    Returns
    -------
    Interval
        Null with fewer than two clusters, or if more than half the resamples are undefined.

    Notes
    -----
    An interval over k clusters lies within the range of what single clusters give, so for a
    symmetric statistic it covers at most ``1 - 2 ** (1 - k)``: 75% with 3 seeds.
    """
    labels, codes = np.unique(np.asarray(clusters), return_inverse=True)
    k = len(labels)
    if k < 2:
        return NO_INTERVAL
    rows = [np.flatnonzero(codes == code) for code in range(k)]
    draws = _draws(k, resamples, seed)
    values = np.array([statistic(np.concatenate([rows[c] for c in draw])) for draw in draws])
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values):
        return NO_INTERVAL
    tail = expanded_tail(confidence, k)
    # Attained values: interpolating between the few that small samples have means nothing.
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


class Intervals(NamedTuple):
    """Ends of several intervals, shape ``(n,)`` each; NaN where there is none."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def ratio_bootstrap(
    clusters: Sequence[Any] | npt.NDArray[Any],
    numerator: npt.NDArray[Any],
    denominator: npt.NDArray[Any],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> Intervals:
    """The intervals of :func:`cluster_bootstrap` for many ratios of sums at once.

    Parameters
    ----------
    clusters
        Cluster label of each row, shape ``(n_rows,)``.
    numerator, denominator
        What each row adds to both sides of each ratio, shape ``(n_rows, n)``. A resample in
        which a denominator is 0 leaves that ratio undefined.
    confidence, resamples, seed
        As in :func:`cluster_bootstrap`.

    Returns
    -------
    Intervals
        NaN with fewer than two clusters, or if more than half the resamples are undefined.
    """
    labels, codes = np.unique(np.asarray(clusters), return_inverse=True)
    k, n = len(labels), numerator.shape[1]
    low, high = np.full(n, np.nan), np.full(n, np.nan)
    if k < 2:
        return Intervals(low, high)
    member = (codes == np.arange(k)[:, None]).astype(float)
    weights = _weights(k, resamples, seed)
    bottom = weights @ (member @ denominator)
    values = np.full(bottom.shape, np.nan)
    np.divide(weights @ (member @ numerator), bottom, out=values, where=bottom > 0)
    values.sort(axis=0)  # undefined ones last
    defined = np.sum(~np.isnan(values), axis=0)
    tail = expanded_tail(confidence, k)
    for count in np.unique(defined[2 * defined >= len(values)]):
        here = defined == count
        # Attained values, as in cluster_bootstrap.
        low[here], high[here] = np.quantile(
            values[:count, here], [tail, 1 - tail], axis=0, method="inverted_cdf"
        )
    return Intervals(low, high)


def _draws(clusters: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Resampled clusters, shape ``(resamples, clusters)``; all ordered draws if few enough."""
    if clusters**clusters <= resamples:
        return np.array(list(product(range(clusters), repeat=clusters)), np.int64)
    return np.random.default_rng(seed).integers(clusters, size=(resamples, clusters))


@lru_cache(maxsize=16)
def _weights(clusters: int, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each cluster is drawn, shape ``(resamples, clusters)``."""
    draws = _draws(clusters, resamples, seed)
    return np.stack([np.sum(draws == cluster, axis=1) for cluster in range(clusters)], 1) * 1.0


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
    E. L. Kaplan & P. Meier 1958, computed by ``statsmodels.duration.survfunc.SurvfuncRight``.
    """
    from statsmodels.duration.survfunc import SurvfuncRight  # a second to import

    times, observed = np.asarray(times, float), np.asarray(observed, bool)
    if not observed.any():
        return float("nan")
    return float(SurvfuncRight(times, observed.astype(int)).quantile(0.5))


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
    Statistics 6 (1979); computed by ``statsmodels.stats.multitest.multipletests``.
    """
    from statsmodels.stats.multitest import multipletests  # a second to import

    family = [p for p in p_values if p is not None]

    def by(method: str) -> list[float | None]:
        if not family:
            return [None] * len(p_values)
        adjusted = iter(multipletests(family, method=method)[1])
        return [None if p is None else float(next(adjusted)) for p in p_values]

    return Adjusted(by("holm"), by("bonferroni"))


def resolves(confidence: float, clusters: int) -> bool:
    """Whether so few clusters can tell a tail of that size from their extreme at all.

    The rarest ordered draw of k clusters has probability ``k ** -k``; a smaller tail only
    repeats the range of the clusters.
    """
    return clusters >= 2 and clusters**-clusters <= (1 - confidence) / 2


def pearson(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Pearson correlation; NaN with fewer than three pairs or a constant side."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Spearman rank correlation; NaN where :func:`pearson` is."""
    return pearson(stats.rankdata(x), stats.rankdata(y))
