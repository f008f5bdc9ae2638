"""Signals: the score of each detector at each step of a run.

Input: a trace and the analysis settings. Output: scores, see
:class:`grokscope.measure.detectors.registry.Detector`. Smoothing is that of the Gradient
Acceleration Index; all other windows are ``analysis.detectors.window`` (steps).

References
----------
Page 1954, "Continuous inspection schemes" (CUSUM).
Lucas & Crosier 1982, "Robust CUSUM" (bounded terms).
Basseville & Nikiforov 1993, "Detection of abrupt changes" (two adjacent windows).
Dakos et al. 2012, "Methods for detecting early warnings of critical transitions in time series"
(variance and lag-1 autocorrelation after detrending).
Du & Ji 2026, "Gradient norm phase transitions as early indicators of generalization in grokking",
paperId 2603.00392 (gradient-norm peaks).
"""

from __future__ import annotations

import numpy as np

from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import COMBINED, GAI, Array, Signals, detector
from grokscope.measure.detectors.trailing import (
    ROUNDING,
    carried_forward,
    column,
    delayed,
    fall_from_peak,
    level,
    local_trend,
    logarithm,
    rolling_covariance,
    rolling_mean,
    rolling_variance,
)
from grokscope.measure.gai import gai, score
from grokscope.measure.past import so_far
from grokscope.runs.settings import Analysis

# A step moves the CUSUM by at most so many standard deviations: a single spike, or the end of a
# long constant stretch, must not keep it up for thousands of steps.
LARGEST_DEVIATION = 10.0

# The local trend follows the norm over this share of the window in which fluctuations around it
# are counted: short enough to follow the fall of the norm, long enough to leave fluctuations.
TREND_SHARE = 5

# A loss that underflows to 0 is the smallest there is, not an unknown one.
SMALLEST_LOSS = float(np.finfo(np.float32).tiny)


def _just_below(level: float) -> float:
    """The float32 before a level: what is at the level, as traces keep it, is above this."""
    return float(np.nextafter(np.float32(level), np.float32(-np.inf)))


@detector(
    GAI,
    description="Gradient Acceleration Index: second difference of the smoothed gradient norm, "
    "in standard deviations from its past",
    threshold=lambda analysis: float(analysis.alarms.threshold),
    latched=False,
    needs=("grad_norm",),
)
def gradient_acceleration(trace: Trace, analysis: Analysis) -> Signals:
    """Scores of the combined norm and of each layer's, see :mod:`grokscope.measure.gai`."""
    settings = analysis.alarms
    names = trace.every_step(f"grad_norm_{layer}" for layer in trace.layers)
    columns = {COMBINED: "grad_norm"} | {n.removeprefix("grad_norm_"): n for n in names}
    # One row per signal: steps must lie side by side.
    norms = np.stack([column(trace, name) for name in columns.values()])
    scores = score(gai(norms, settings.smoothing_window), settings.sigma_window)
    return dict(zip(columns, scores, strict=True))


@detector(
    "grad_norm_peak",
    description="Fall of the smoothed gradient norm from its largest value so far (share)",
    needs=("grad_norm",),
)
def grad_norm_peak(trace: Trace, analysis: Analysis) -> Signals:
    """``1 - s[t] / max(s[0 .. t])`` with s the trailing moving average of the gradient norm."""
    window = analysis.alarms.smoothing_window
    return {COMBINED: fall_from_peak(rolling_mean(column(trace, "grad_norm"), window))}


@detector(
    "weight_norm_turn",
    description="Fall of the total weight norm from its largest value so far (share)",
    needs=("weight_norm",),
    every_step=False,
)
def weight_norm_turn(trace: Trace, analysis: Analysis) -> Signals:
    """``1 - w[t] / max(w[0 .. t])`` with w the root of the layers' summed squared norms."""
    # Logs may have the whole network's alone.
    if "weight_norm" in trace.frame:
        return {COMBINED: fall_from_peak(level(trace, "weight_norm"))}
    squares = [column(trace, f"weight_norm_{layer}") ** 2 for layer in trace.layers]
    return {COMBINED: fall_from_peak(np.sqrt(np.sum(squares, axis=0)))}


@detector(
    "train_accuracy",
    description="Training accuracy (R² in regression) at the level of memorisation",
    threshold=lambda analysis: _just_below(analysis.onset.train_threshold),
    needs=("train_metric",),
    every_step=False,
)
def train_accuracy(trace: Trace, analysis: Analysis) -> Signals:
    """The last training metric. The stated level counts as reached: the threshold is below."""
    return {COMBINED: carried_forward(column(trace, "train_metric"))}


@detector(
    "train_loss", description="Training loss, as -log10", needs=("train_loss",), every_step=False
)
def train_loss(trace: Trace, analysis: Analysis) -> Signals:
    """``-log10(loss)`` of the last loss, a loss of 0 taken as the smallest float32."""
    losses = carried_forward(column(trace, "train_loss"))
    return {COMBINED: -np.log10(np.maximum(losses, SMALLEST_LOSS))}


@detector(
    "rank_fall",
    description="Fall of the last layer's effective rank from its largest value so far (share)",
    needs=("rank",),
    every_step=False,
)
def rank_fall(trace: Trace, analysis: Analysis) -> Signals:
    """``1 - r[t] / max(r[0 .. t])`` with r the last measured rank; unknown if never measured."""
    ranks = carried_forward(column(trace, f"effective_rank_{trace.last_matrix}"))
    return {COMBINED: fall_from_peak(ranks)}


@detector(
    "grad_norm_variance",
    description="Variance of the log gradient norm around its local trend, as log10",
    needs=("grad_norm",),
)
def grad_norm_variance(trace: Trace, analysis: Analysis) -> Signals:
    """``log10 var(r[t - window + 1 .. t])`` with r of :func:`fluctuations`."""
    window = analysis.detectors.window
    return {COMBINED: np.log10(rolling_variance(fluctuations(trace, window), window))}


@detector(
    "grad_norm_autocorrelation",
    description="Lag-1 autocorrelation of the log gradient norm around its local trend",
    needs=("grad_norm",),
)
def grad_norm_autocorrelation(trace: Trace, analysis: Analysis) -> Signals:
    """Pearson correlation of r[t] and r[t - 1], with r of :func:`fluctuations`.

    Over the last ``window`` pairs; unknown where r is constant to rounding.
    """
    window = analysis.detectors.window
    now = fluctuations(trace, window)
    before = delayed(now, 1)
    variances = rolling_variance(now, window), rolling_variance(before, window)
    covariance = rolling_covariance(now, before, window)
    result = np.full(len(now), np.nan)
    varied = np.minimum(*variances) > ROUNDING**2
    np.divide(covariance, np.sqrt(variances[0] * variances[1]), out=result, where=varied)
    return {COMBINED: np.clip(result, -1, 1)}


@detector(
    "cusum",
    description="One-sided CUSUM of the log gradient norm, in standard deviations of its past",
    needs=("grad_norm",),
)
def cusum(trace: Trace, analysis: Analysis) -> Signals:
    """``C[t] = max(0, C[t-1] + z[t] - drift)`` (Page 1954).

    z[t] is the deviation of the log norm from the ``window`` steps before it, in their standard
    deviations (:func:`grokscope.measure.gai.score`), bounded by ``LARGEST_DEVIATION``. The
    level and not its increments: a norm that fluctuates around a baseline has increments that
    cancel, and a sum of them would never tell a rise. An unknown z leaves the sum as it is.
    """
    settings = analysis.detectors
    deviation = score(logarithm(column(trace, "grad_norm")), settings.window)
    known = np.isfinite(deviation)
    bounded = np.clip(deviation, -LARGEST_DEVIATION, LARGEST_DEVIATION)
    total = so_far(np.where(known, bounded - settings.cusum_drift, 0), np.add)
    # The recurrence without its loop: the sum since it was last at its lowest.
    return {COMBINED: np.where(known, total - so_far(total, np.minimum), np.nan)}


@detector(
    "change_point",
    description="Change of the log gradient norm's slope between two adjacent windows, "
    "in standard errors",
    needs=("grad_norm",),
)
def change_point(trace: Trace, analysis: Analysis) -> Signals:
    """``|m1 - m0| / sqrt((v1 + v0) / half)``, two samples of the norm's log increments.

    m1, v1 are mean and variance of the last ``half = window // 2`` increments, m0, v0 those of
    the ``half`` before them (Basseville & Nikiforov 1993). The slope and not the level, which
    differs between any two windows while the norm falls. Increments are not independent, so the
    unit is a scale and not a significance.
    """
    half = analysis.detectors.window // 2
    values = logarithm(column(trace, "grad_norm"))
    increments = values - delayed(values, 1)
    mean, variance = rolling_mean(increments, half), rolling_variance(increments, half)
    error = np.sqrt((variance + delayed(variance, half)) / half)
    return {COMBINED: np.abs(mean - delayed(mean, half)) / error}


@detector(
    "test_loss_peak",
    description="Fall of the test loss from its largest value so far (share)",
    uses_test_data=True,
    needs=("test_loss",),
    every_step=False,
)
def test_loss_peak(trace: Trace, analysis: Analysis) -> Signals:
    """``1 - l[t] / max(l[0 .. t])`` with l the last evaluated test loss."""
    return {COMBINED: fall_from_peak(carried_forward(column(trace, "test_loss")))}


@detector(
    "test_accuracy",
    description="Test accuracy (R² in regression)",
    uses_test_data=True,
    needs=("test_metric",),
    every_step=False,
)
def test_accuracy(trace: Trace, analysis: Analysis) -> Signals:
    """The last evaluated test metric."""
    return {COMBINED: carried_forward(column(trace, "test_metric"))}


def fluctuations(trace: Trace, window: int) -> Array:
    """Log gradient norm around its local trend.

    The trend at t is the end of the line through the last ``window // TREND_SHARE`` steps.

    Parameters
    ----------
    window
        Steps in which fluctuations are counted.

    Returns
    -------
    ndarray
        Shape ``(n_steps,)``; NaN before the trend is known and where a norm of 0 is near.
    """
    values = logarithm(column(trace, "grad_norm"))
    # A line through two points leaves nothing.
    return values - local_trend(values, max(window // TREND_SHARE, 3))
