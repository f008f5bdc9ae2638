"""Intervals over seeds: a bootstrap that keeps together all runs of a seed.

Input: a cluster label (the seed) a row and a statistic of rows. Output: an interval. Runs that
share a seed share data split and initial weights, so seeds are resampled, never single runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    if k**k <= resamples:
        draws = np.array(list(product(range(k), repeat=k)))
    else:
        draws = np.random.default_rng(seed).integers(k, size=(resamples, k))
    values = np.array([statistic(np.concatenate([rows[c] for c in draw])) for draw in draws])
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values):
        return NO_INTERVAL
    tail = expanded_tail(confidence, k)
    # Attained values: interpolating between the few that small samples have means nothing.
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


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
