"""Trailing statistics: what is known of a signal at each step from the steps up to it.

Input and output: arrays of shape ``(n_steps,)``, float64, NaN where unknown. Value t depends on
values 0 .. t only, exactly: every sum has its own terms and no others, nothing is taken out of a
running sum again, so no later value and no value that has left a window leaves a trace. Each can
continue (:mod:`grokscope.measure.past`), so what is composed of them scores running trainings.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import Array
from grokscope.measure.past import cumulative, so_far, trailing

# Traces are float32: relative changes below this are rounding.
ROUNDING = float(np.finfo(np.float32).eps)


def column(trace: Trace, name: str) -> Array:
    """A column of a trace, NaN for what is not finite."""
    values: Array = trace.frame[name].to_numpy(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def level(trace: Trace, name: str) -> Array:
    """A column of a trace; of an imported run, which may log it rarely, the last known value."""
    values = column(trace, name)
    return carried_forward(values) if trace.imported else values


def logarithm(values: ArrayLike) -> Array:
    """Natural logarithm, NaN for what is not positive."""
    values = np.asarray(values, np.float64)
    result = np.full(values.shape, np.nan)
    np.log(values, out=result, where=values > 0)
    return result


@cumulative
def carried_forward(values: ArrayLike) -> Array:
    """The last known value at each step, NaN before the first."""
    return np.asarray(pd.Series(np.asarray(values, np.float64)).ffill(), np.float64)


@trailing(reach=lambda by: by)
def delayed(values: Array, by: int) -> Array:
    """Each value `by` steps later, NaN before."""
    result = np.full(len(values), np.nan)
    result[by:] = values[: max(len(values) - by, 0)]
    return result


def fall_from_peak(values: ArrayLike) -> Array:
    """Relative fall from the largest value so far: ``1 - v[t] / max(v[0 .. t])``.

    0 at a new peak, 1 at zero. NaN where v[t] is unknown or nothing was positive yet.
    """
    values = np.asarray(values, np.float64)
    peak = so_far(values, np.fmax)
    fall = np.full(values.shape, np.nan)
    np.divide(peak - values, peak, out=fall, where=peak > 0)
    return fall


@trailing(reach=lambda window: window - 1)
def local_trend(values: ArrayLike, window: int) -> Array:
    """End of the least-squares line through the last `window` values.

    ``l[t] = sum_i w[i] v[t - window + 1 + i]`` with ``w[i] = 1 / window + d[i] d[-1] / sum(d²)``
    and d the steps from the window's middle. A straight line is its own trend.

    Parameters
    ----------
    values
        Shape ``(n_steps,)``.
    window
        Steps, at least 2.

    Returns
    -------
    ndarray
        Shape ``(n_steps,)``; NaN where the window leaves the signal or meets NaN.
    """
    distance = np.arange(window) - (window - 1) / 2
    weights = 1 / window + distance * distance[-1] / (distance @ distance)
    from scipy import ndimage  # a fifth of a second to import

    return ndimage.correlate1d(
        np.asarray(values, np.float64),
        weights,
        origin=(window - 1) // 2,
        mode="constant",
        cval=np.nan,
    )


@trailing(reach=lambda window: window, grid=lambda window: window)
def rolling_mean(values: ArrayLike, window: int) -> Array:
    """Mean of the last `window` values: ``m[t] = mean(v[t - window + 1 .. t])``.

    Parameters
    ----------
    values
        Shape ``(n_steps,)``.
    window
        Steps.

    Returns
    -------
    ndarray
        Shape ``(n_steps,)``; NaN where the window leaves the signal or meets NaN.

    Notes
    -----
    The steps are cut into blocks of `window`. A window is the end of one block and the start of
    the next, so two cumulative sums per block, forwards and backwards, give all windows in one
    pass.
    """
    values = np.asarray(values, np.float64)
    n_steps = len(values)
    blocks = np.pad(values, (0, -n_steps % window)).reshape(-1, window)
    starts = np.cumsum(blocks, axis=1).ravel()[:n_steps]
    ends = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].ravel()[:n_steps]
    total = starts + delayed(ends, window - 1)
    # The window that ends with a block is that block, not to be counted from both sides.
    total[window - 1 :: window] = starts[window - 1 :: window]
    return total / window


def rolling_covariance(one: Array, other: Array, window: int) -> Array:
    """Covariance (divided by `window`) of the last `window` pairs of values.

    For signals whose mean is of the order of their standard deviation: residuals, increments.
    Shapes and NaN as in :func:`rolling_mean`.
    """
    means = rolling_mean(one, window) * rolling_mean(other, window)
    return rolling_mean(one * other, window) - means


def rolling_variance(values: Array, window: int) -> Array:
    """Variance of the last `window` values, at least the square of ``ROUNDING``."""
    return np.maximum(rolling_covariance(values, values, window), ROUNDING**2)
