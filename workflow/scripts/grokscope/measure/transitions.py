"""Transitions: when gradients peak and when the test metric turns (Du & Ji 2026).

Input: traces, their onsets and the settings ``analysis.transitions``. Output: columns of the table
``transitions``.

The published quantities are taken on the states from which an update was made, θ_0 ... θ_{T-1}.
A signal that is constant, has a non-finite value or is too short for a quantity gives None.

Reference: Du & Ji 2026, "Gradient norm phase transitions as early indicators of generalization in
grokking", paperId 2603.00392.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokscope.data.trace import Trace
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.settings import TransitionSettings

# Cross-correlations closer than this are tied: rounding of the Fourier transforms is about
# 1e-15, and in a tie the lag closest to zero counts, not the luckier rounding.
TIE_TOLERANCE = 1e-9

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """A signal on steps at equal distances."""

    steps: NDArray[np.int64]
    values: Array

    def varies(self) -> bool:
        """Whether it has two different values and no non-finite one."""
        return bool(np.isfinite(self.values).all() and (self.values != self.values[:1]).any())

    def head(self, n_steps: int) -> Curve:
        """The part before step `n_steps`."""
        inside = self.steps < n_steps
        return Curve(self.steps[inside], self.values[inside])

    def slope(self) -> Array:
        """Derivative by central differences (per step)."""
        return np.asarray(np.gradient(self.values, self.steps))


def curve(trace: Trace, column: str) -> Curve:
    """A column of a trace over the states from which an update was made.

    Test columns are taken at the multiples of ``test_every``. The last row of a run that ended
    as planned is a state that was only evaluated; a diverged run updated its last state too.
    """
    if isinstance(trace.spec, ImportedSpec):
        return _logged(trace, trace.spec, column)
    frame = trace.frame
    stop = len(frame) if trace.info.stopped == "diverged" else max(len(frame) - 1, 0)
    steps, values = (frame[name].to_numpy()[:stop] for name in ("step", column))
    if column.startswith("test_"):
        tested = ~np.isnan(frame["test_loss"].to_numpy()[:stop])
        tested &= steps % trace.spec.test_every == 0
        steps, values = steps[tested], values[tested]
    return Curve(steps.astype(np.int64), values.astype(np.float64))


def _logged(trace: Trace, spec: ImportedSpec, name: str) -> Curve:
    """The values of a column of an imported run; empty if they are not at equal distances.

    A gradient norm must be known at every step: a peak between two logged ones would be missed.
    Where rows are said to be states after their updates, the last is one that was only evaluated.
    """
    nothing = Curve(np.empty(0, np.int64), np.empty(0))
    column = spec.column(name)
    if column is None or (name.startswith("grad_norm") and column.every != 1):
        return nothing
    evaluated_last = spec.row == "after_update" and spec.diverged_step is None
    values = trace.frame[name].to_numpy(np.float64)[: spec.last_step + (not evaluated_last)]
    steps = np.flatnonzero(~np.isnan(values))
    if len(np.unique(np.diff(steps))) > 1:
        return nothing
    return Curve(steps, values[steps])


def smooth(values: Array, window: int, order: int) -> Array:
    """Savitzky-Golay filter, shape ``(n,)`` to ``(n,)``.

    A signal shorter than the window is smoothed with the largest odd window that fits; the
    polynomial's order is lowered to that window - 1 where it must be (then nothing is smoothed).
    """
    n = len(values)
    if n == 0:
        return values
    window = min(window, n - 1 + n % 2)
    # Takes a second to import, and most jobs measure nothing.
    from scipy import signal

    return np.asarray(signal.savgol_filter(values, window, min(order, window - 1)))


def smoothed(raw: Curve, settings: TransitionSettings) -> Curve | None:
    """A curve after :func:`smooth`; None if it does not vary."""
    if not raw.varies():
        return None
    return Curve(raw.steps, smooth(raw.values, settings.savgol_window, settings.savgol_order))


class Extremum(NamedTuple):
    """A step and the smoothed signal there."""

    step: int
    value: float


# What follows takes smoothed curves, None for one that does not vary, and gives None for it.


def _skipped(norm: Curve, settings: TransitionSettings) -> int:
    """Leading steps without search: ``int(skip_fraction * T)`` for T logged steps."""
    return int(settings.skip_fraction * len(norm.steps))


def gradient_peak(norm: Curve | None, settings: TransitionSettings) -> tuple[int, bool] | None:
    """Step of the largest smoothed gradient norm after the skipped start.

    Returns
    -------
    tuple or None
        The step, and whether it is the first step searched: a norm that only falls has its
        'peak' there.
    """
    if norm is None:
        return None
    skip = _skipped(norm, settings)
    index = int(np.argmax(norm.values[skip:]))
    return int(norm.steps[skip + index]), index == 0


def steepest_decrease(norm: Curve | None, settings: TransitionSettings) -> int | None:
    """Step of the steepest fall of the smoothed gradient norm after the skipped start.

    ``argmin_t d(smoothed norm)/dt`` with central differences; None if it never falls.
    """
    if norm is None:
        return None
    skip = _skipped(norm, settings)
    slope = norm.slope()[skip:]
    index = int(np.argmin(slope))
    return int(norm.steps[skip + index]) if slope[index] < 0 else None


def metric_transition(metric: Curve | None) -> Extremum | None:
    """Step of the steepest rise of the smoothed test metric, and that metric.

    ``argmax_t d(smoothed metric)/dt`` over the evaluated steps; None if it never rises.
    """
    if metric is None:
        return None
    slope = metric.slope()
    index = int(np.argmax(slope))
    if slope[index] <= 0:
        return None
    return Extremum(int(metric.steps[index]), float(metric.values[index]))


def cross_correlation(leader: Array, follower: Array, max_lag: int) -> tuple[int, float] | None:
    """Lag of the largest absolute cross-correlation, and the correlation there.

    ``c(k) = 1/n sum_t z(leader)[t] z(follower)[t + k]``, ``|k| <= max_lag``, with z-scores
    (population standard deviation) and zeros beyond the ends; positive lag: the leader leads.
    Division by n, not ``n - |k|``, as the published normalisation is unknown; favours short lags.
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
    from scipy import signal

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
    norm: Curve | None, metric: Curve | None, max_lag: int
) -> tuple[int, float] | None:
    """Cross-correlation of the derivatives of the smoothed signals.

    Parameters
    ----------
    norm, metric
        Gradient norm and test metric at the evaluated steps, both smoothed there.
    max_lag
        In evaluations.

    Returns
    -------
    tuple or None
        Lag in evaluations, and the correlation; see :func:`cross_correlation`.
    """
    if norm is None or metric is None:
        return None
    return cross_correlation(norm.slope(), metric.slope(), max_lag)


def pearson(norm: Curve, metric: Curve) -> float | None:
    """Pearson correlation of gradient norm and test metric, unsmoothed, at the evaluated steps.

    None with fewer than three evaluations.
    """
    if len(metric.steps) < 3 or not (norm.varies() and metric.varies()):
        return None
    return float(np.corrcoef(norm.values, metric.values)[0, 1])


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def gradient_lag(norm: Curve, metric: Curve, settings: TransitionSettings) -> int | None:
    """Metric transition minus gradient peak (steps) of raw curves; positive: gradient first."""
    peak = gradient_peak(smoothed(norm, settings), settings)
    transition = metric_transition(smoothed(metric, settings))
    return None if peak is None or transition is None else transition.step - peak[0]


def _cadence(trace: Trace, metric: Curve) -> int:
    """Steps from one evaluation to the next."""
    if isinstance(trace.spec, ImportedSpec):
        return int(metric.steps[1] - metric.steps[0]) if len(metric.steps) > 1 else 1
    return trace.spec.test_every


def transitions(
    trace: Trace, settings: TransitionSettings, found_onsets: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns of the table ``transitions`` of one run, without its key.

    Parameters
    ----------
    found_onsets
        Columns of :func:`grokscope.measure.onsets.onsets`.
    """
    norm, metric = curve(trace, "grad_norm"), curve(trace, "test_metric")
    both, at, of = np.intersect1d(norm.steps, metric.steps, return_indices=True)
    sampled, tested = Curve(both, norm.values[at]), Curve(both, metric.values[of])
    smooth_norm, smooth_metric = smoothed(norm, settings), smoothed(metric, settings)
    peak_step, at_boundary = gradient_peak(smooth_norm, settings) or (None, None)
    turn_step, turn_value = metric_transition(smooth_metric) or (None, None)
    cadence = _cadence(trace, metric)
    lag, correlation = derivative_correlation(
        smoothed(sampled, settings), smoothed(tested, settings), settings.max_lag // cadence
    ) or (None, None)
    first_steps = settings.replication_steps
    columns: dict[str, Any] = {
        "grad_peak_step": peak_step,
        "grad_peak_at_boundary": at_boundary,
        "grad_steepest_decrease_step": steepest_decrease(smooth_norm, settings),
        "metric_transition_step": turn_step,
        "metric_at_transition": turn_value,
        "lag": _difference(turn_step, peak_step),
        "replication_lag": gradient_lag(
            norm.head(first_steps), metric.head(first_steps), settings
        ),
        "xcorr_lag": None if lag is None else lag * cadence,
        "xcorr": correlation,
        "pearson_r": pearson(sampled, tested),
    }
    columns |= found_onsets
    columns["onset_lag"] = _difference(columns["test_onset_step"], peak_step)
    columns["last_step"] = len(trace.frame) - 1 if len(trace.frame) else None
    for layer in trace.layers:
        layer_norm = smoothed(curve(trace, f"grad_norm_{layer}"), settings)
        step, _ = gradient_peak(layer_norm, settings) or (None, None)
        columns[f"grad_peak_step_{layer}"] = step
        columns[f"lag_{layer}"] = _difference(turn_step, step)
    return columns
