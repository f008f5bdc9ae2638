"""Transitions: when gradients peak and when the test metric turns (Du & Ji 2026).

Input: traces and the config sections ``analysis.transitions`` and ``analysis.onset``.
Output: the table ``transitions``.

The published quantities are taken on the states from which an update was made, θ_0 ... θ_{T-1}.
A signal that is constant, has a non-finite value or is too short for a quantity gives None.

Reference: Du & Ji 2026, "Gradient-norm peaks precede generalisation", paperId 2603.00392.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal

from grokscope.data.tables import from_rows
from grokscope.data.trace import Trace
from grokscope.measure.onsets import onsets

# Cross-correlations closer than this are tied: rounding of the Fourier transforms is about
# 1e-15, and in a tie the lag closest to zero counts, not the luckier rounding.
TIE_TOLERANCE = 1e-9

Signal = NDArray[np.float64]


class Curve(NamedTuple):
    """A signal on steps at equal distances."""

    steps: NDArray[np.int64]
    values: Signal

    def varies(self) -> bool:
        """Whether it has two different values and no non-finite one."""
        return bool(np.isfinite(self.values).all() and (self.values != self.values[:1]).any())

    def head(self, n_steps: int) -> Curve:
        """The part before step `n_steps`."""
        inside = self.steps < n_steps
        return Curve(self.steps[inside], self.values[inside])


def curve(trace: Trace, column: str) -> Curve:
    """A column of a trace over the states from which an update was made.

    Test columns are taken at the multiples of ``test_every``. The last row of a run that ended
    as planned is a state that was only evaluated; a diverged run updated its last state too.
    """
    rows = trace.frame if trace.info.stopped == "diverged" else trace.frame.iloc[:-1]
    if column.startswith("test_"):
        rows = rows[rows["test_loss"].notna() & (rows["step"] % trace.spec.test_every == 0)]
    return Curve(rows["step"].to_numpy(np.int64), rows[column].to_numpy(np.float64))


def smooth(values: Signal, window: int, order: int) -> Signal:
    """Savitzky-Golay filter, shape ``(n,)`` to ``(n,)``.

    A signal shorter than the window is smoothed with the largest odd window that fits; the
    polynomial's order is lowered to that window - 1 where it must be (then nothing is smoothed).
    """
    n = len(values)
    if n == 0:
        return values
    window = min(window, n - 1 + n % 2)
    return signal.savgol_filter(values, window, min(order, window - 1))


class Extremum(NamedTuple):
    """A step and the smoothed signal there."""

    step: int
    value: float


def _skipped(norm: Curve, settings: Mapping[str, Any]) -> int:
    """Leading steps without search: ``int(skip_fraction * T)`` for T logged steps."""
    return int(settings["skip_fraction"] * len(norm.steps))


def _smoothed(of: Curve, settings: Mapping[str, Any]) -> Signal:
    return smooth(of.values, settings["savgol_window"], settings["savgol_order"])


def gradient_peak(norm: Curve, settings: Mapping[str, Any]) -> tuple[int, bool] | None:
    """Step of the largest smoothed gradient norm after the skipped start.

    Returns
    -------
    tuple or None
        The step, and whether it is the first step searched: a norm that only falls has its
        'peak' there.
    """
    if not norm.varies():
        return None
    skip = _skipped(norm, settings)
    index = int(np.argmax(_smoothed(norm, settings)[skip:]))
    return int(norm.steps[skip + index]), index == 0


def steepest_decrease(norm: Curve, settings: Mapping[str, Any]) -> int | None:
    """Step of the steepest fall of the smoothed gradient norm after the skipped start.

    ``argmin_t d(smoothed norm)/dt`` with central differences; None if it never falls.
    """
    if not norm.varies():
        return None
    skip = _skipped(norm, settings)
    slope = np.gradient(_smoothed(norm, settings), norm.steps)[skip:]
    index = int(np.argmin(slope))
    return int(norm.steps[skip + index]) if slope[index] < 0 else None


def metric_transition(metric: Curve, settings: Mapping[str, Any]) -> Extremum | None:
    """Step of the steepest rise of the smoothed test metric, and that metric.

    ``argmax_t d(smoothed metric)/dt`` over the evaluated steps; None if it never rises.
    """
    if not metric.varies():
        return None
    smoothed = _smoothed(metric, settings)
    slope = np.gradient(smoothed, metric.steps)
    index = int(np.argmax(slope))
    if slope[index] <= 0:
        return None
    return Extremum(int(metric.steps[index]), float(smoothed[index]))


def cross_correlation(leader: Signal, follower: Signal, max_lag: int) -> tuple[int, float] | None:
    """Lag of the largest absolute cross-correlation, and the correlation there.

    ``c(k) = 1/n sum_t z(leader)[t] z(follower)[t + k]``, ``|k| <= max_lag``, with z-scores
    (population standard deviation) and zeros beyond the ends; positive lag: the leader leads.
    Division by n, not n - |k|, as the published normalisation is unknown; it favours short lags.
    Values within ``TIE_TOLERANCE`` of the largest are tied; the lag closest to zero counts, and of
    -k and k the negative one, which speaks against the published claim.

    Parameters
    ----------
    leader, follower
        Shape ``(n,)``.
    max_lag
        In samples.

    Returns
    -------
    tuple or None
        None if a signal is constant up to rounding.
    """
    n = len(leader)
    standardised = []
    for values in (leader, follower):
        deviation = values.std() if n else 0.0
        if deviation <= 1e-12 * np.abs(values).max(initial=0.0):
            return None
        standardised.append((values - values.mean()) / deviation)
    leader, follower = standardised
    # Row k of "full" is sum_t follower[t + k] leader[t], as correlation_lags counts.
    correlation = signal.correlate(follower, leader, mode="full", method="fft") / n
    lags = signal.correlation_lags(n, n, mode="full")
    inside = np.abs(lags) <= max_lag
    correlation, lags = correlation[inside], lags[inside]
    size = np.abs(correlation)
    tied = np.flatnonzero(size >= size.max() - TIE_TOLERANCE)
    best = tied[np.argmin(np.abs(lags[tied]))]
    return int(lags[best]), float(correlation[best])


def derivative_correlation(
    norm: Curve, metric: Curve, cadence: int, settings: Mapping[str, Any]
) -> tuple[int, float] | None:
    """Cross-correlation of the derivatives of the smoothed signals, its lag in steps.

    The gradient norm is taken at the evaluated steps and smoothed there, like the metric.

    Parameters
    ----------
    norm, metric
        Gradient norm (at every step) and test metric (every `cadence` steps).
    """
    sampled = Curve(metric.steps, norm.values[metric.steps])
    if not (sampled.varies() and metric.varies()):
        return None
    leader, follower = (np.gradient(_smoothed(of, settings), of.steps) for of in (sampled, metric))
    found = cross_correlation(leader, follower, settings["max_lag"] // cadence)
    return None if found is None else (found[0] * cadence, found[1])


def pearson(norm: Curve, metric: Curve) -> float | None:
    """Pearson correlation of gradient norm and test metric over the evaluated steps, unsmoothed.

    None with fewer than three evaluations.
    """
    sampled = Curve(metric.steps, norm.values[metric.steps])
    if len(metric.steps) < 3 or not (sampled.varies() and metric.varies()):
        return None
    return float(np.corrcoef(sampled.values, metric.values)[0, 1])


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def gradient_lag(norm: Curve, metric: Curve, settings: Mapping[str, Any]) -> int | None:
    """Metric transition minus gradient peak (steps); positive: gradient first."""
    peak, transition = gradient_peak(norm, settings), metric_transition(metric, settings)
    return None if peak is None or transition is None else transition.step - peak[0]


def transitions(
    trace: Trace, settings: Mapping[str, Any], onset_settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns of the table ``transitions`` of one run, without its key.

    Parameters
    ----------
    settings
        ``skip_fraction``, ``savgol_window``, ``savgol_order``, ``max_lag``,
        ``replication_steps``.
    onset_settings
        See :func:`grokscope.measure.onsets.onsets`.
    """
    norm, metric = curve(trace, "grad_norm"), curve(trace, "test_metric")
    peak = gradient_peak(norm, settings)
    peak_step, at_boundary = (None, None) if peak is None else peak
    turn = metric_transition(metric, settings)
    turn_step, turn_value = (None, None) if turn is None else turn
    correlation = derivative_correlation(norm, metric, trace.spec.test_every, settings)
    first_steps = settings["replication_steps"]
    columns: dict[str, Any] = {
        "grad_peak_step": peak_step,
        "grad_peak_at_boundary": at_boundary,
        "grad_steepest_decrease_step": steepest_decrease(norm, settings),
        "metric_transition_step": turn_step,
        "metric_at_transition": turn_value,
        "lag": _difference(turn_step, peak_step),
        "replication_lag": gradient_lag(
            norm.head(first_steps), metric.head(first_steps), settings
        ),
        "xcorr_lag": None if correlation is None else correlation[0],
        "xcorr": None if correlation is None else correlation[1],
        "pearson_r": pearson(norm, metric),
    }
    columns |= onsets(trace, onset_settings)
    columns["onset_lag"] = _difference(columns["test_onset_step"], peak_step)
    columns["last_step"] = int(trace.frame["step"].iloc[-1]) if len(trace.frame) else None
    for layer in trace.layers:
        layer_peak = gradient_peak(curve(trace, f"grad_norm_{layer}"), settings)
        step = None if layer_peak is None else layer_peak[0]
        columns[f"grad_peak_step_{layer}"] = step
        columns[f"lag_{layer}"] = _difference(turn_step, step)
    return columns


def transitions_table(
    traces: Iterable[Trace], settings: Mapping[str, Any], onset_settings: Mapping[str, Any]
) -> pd.DataFrame:
    """The table ``transitions`` of some runs, a row a run."""
    rows = [trace.key.row() | transitions(trace, settings, onset_settings) for trace in traces]
    return from_rows(rows, "transitions")
