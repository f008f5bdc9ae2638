"""GAI: the Gradient Acceleration Index of gradient norms, and its score.

Input: gradient norms. Output: a score of each step: its GAI in standard deviations from the mean
of the GAIs before it.

All functions work along the last axis, the steps, and take any leading axes (runs, layers).
Everything is float64. Nothing at step t uses data after t, unless ``centred`` is set. Values fall
over eight orders of magnitude within a run, so no sum here ever has a term taken out again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokscope.measure.past import so_far, trailing

# With an unlimited sigma window: past values that a mean and a standard deviation need.
MINIMUM_PAST = 100

# A standard deviation below this share of the mean is rounding of a constant, that is 0.
FLAT = 1e-9

Array = NDArray[np.float64]


@trailing(reach=lambda window, centred=False: window + 1)
def gai(values: ArrayLike, window: int, centred: bool = False) -> Array:
    """Gradient Acceleration Index: second difference of the moving average.

    Causal: ``g[t] = s[t] - 2 s[t-1] + s[t-2]`` with ``s[t] = mean(v[t - window + 1 .. t])``;
    centred: ``g[t] = s[t+1] - 2 s[t] + s[t-1]``, s over ``window`` steps from ``t - window // 2``
    on. All but four terms of the averages cancel: the causal index is
    ``g[t] = ((v[t] - v[t-1]) - (v[t-window] - v[t-window-1])) / window``, which is what is
    computed, exact to rounding of these four. The centred index is the causal one of
    ``(window + 1) // 2`` steps later.

    Parameters
    ----------
    values
        Gradient norms, shape ``(..., n_steps)``.
    window
        Moving-average window (steps).
    centred
        Whether to use the future.

    Returns
    -------
    ndarray
        Shape ``(..., n_steps)``, per step². NaN before ``t = window + 1`` (centred: that much
        shifted, and in the last ``(window + 1) // 2`` steps), and where one of the four values is
        not finite.
    """
    values = _finite(values)
    n_steps = values.shape[-1]
    result = np.full(values.shape, np.nan)
    slope = np.diff(values, axis=-1)
    known = (slope[..., window:] - slope[..., :-window]) / window
    first = window + 1 - ((window + 1) // 2 if centred else 0)
    result[..., first : first + max(n_steps - window - 1, 0)] = known
    return result


def score(values: ArrayLike, sigma_window: int | None) -> Array:
    """Deviation of each value from the values before it.

    ``z[t] = (x[t] - mean(past)) / sd(past)`` with ``past = x[t - sigma_window .. t - 1]`` (all
    finite ``x[.. t - 1]`` if `sigma_window` is None) and the sample standard deviation.

    Parameters
    ----------
    values
        Shape ``(..., n_steps)``.
    sigma_window
        Steps, or None.

    Returns
    -------
    ndarray
        Shape ``(..., n_steps)``, in standard deviations. NaN where x[t] is not finite, where the
        standard deviation is 0 (to rounding, ``FLAT``), and in the warm-up: until there are
        `sigma_window` finite values in a row (``MINIMUM_PAST`` finite values if it is None)
        before t. For causal GAI the first score is at ``t = window + 1 + sigma_window``.

    Notes
    -----
    Mean and sum of squared deviations accumulate over blocks of `sigma_window` steps, forwards
    and backwards (Welford's recurrence); a window is the end of one block and the start of the
    next, merged (Chan et al. 1983). That is one pass for any window, no subtraction of sums, and
    a value that has left the window leaves no trace.

    References
    ----------
    Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".
    """
    values = _finite(values)
    result = np.full(values.shape, np.nan)
    if not values.size:
        return result
    signals = values.reshape(-1, values.shape[-1])
    # One signal after the other: what is made on the way stays in cache.
    for signal, scored in zip(signals, result.reshape(signals.shape), strict=True):
        if sigma_window is None:
            scored[:] = _score_expanding(signal)
        else:
            scored[:] = _score_running(signal, sigma_window)
    return result


def _score_expanding(values: Array) -> Array:
    """:func:`score` of one signal against all its past."""
    finite = np.isfinite(values)
    # Of the finite values up to each step: a NaN adds nothing and changes nothing.
    one = finite.astype(np.float64)
    count = so_far(one, np.add)
    total = so_far(np.where(finite, values, 0), np.add)
    past_count, past_total = count - one, _delayed_by_one(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        past_mean = past_total / past_count
        # Welford's recurrence, as in _accumulate.
        terms = (values - past_mean) ** 2 * (past_count / count)
    squares = so_far(np.where(finite & (past_count > 0), terms, 0), np.add)
    past_squares = _delayed_by_one(squares)
    scored = _deviations(values, past_mean, past_squares, past_count)
    return np.where(past_count >= MINIMUM_PAST, scored, np.nan)


@trailing(reach=lambda: 1)
def _delayed_by_one(values: Array) -> Array:
    """The value of the step before, 0 at the first."""
    result = np.zeros_like(values)
    result[1:] = values[:-1]
    return result


@trailing(reach=lambda window: window, grid=lambda window: window)
def _score_running(values: Array, window: int) -> Array:
    """:func:`score` of one signal against the last `window` steps.

    A NaN spreads from its step to one end of its block, as far as the windows that hold it, so
    counts are those of windows without NaN.
    """
    n_steps = len(values)
    result = np.full(n_steps, np.nan)
    n_blocks = -(-n_steps // window)
    if n_blocks < 2:
        return result
    blocks = np.full((n_blocks, window), np.nan)
    blocks.reshape(-1)[:n_steps] = values
    count = np.arange(1.0, window + 1)
    start_mean, start_squares = _accumulate(blocks, count)
    end_mean, end_squares = _accumulate(blocks[:-1, ::-1], count)
    scored = np.empty((n_blocks - 1, window))
    # The window before the first step of a block is the block before.
    scored[:, 0] = _deviations(
        blocks[1:, 0], start_mean[:-1, -1], start_squares[:-1, -1], count[-1]
    )
    # The window before step k is the end of the block before, from its step k, and the start of
    # the block, up to its step k - 1: merged.
    share = count[:-1] / window
    distance = start_mean[1:, :-1] - end_mean[:, -2::-1]
    mean = end_mean[:, -2::-1] + distance * share
    distance *= distance
    distance *= count[-2::-1]
    distance *= share
    squares = end_squares[:, -2::-1] + start_squares[1:, :-1]
    squares += distance
    scored[:, 1:] = _deviations(blocks[1:, 1:], mean, squares, count[-1])
    result[window:] = scored.reshape(-1)[: n_steps - window]
    return result


def _deviations(values: Array, mean: Array, squares: Array, count: Array | np.float64) -> Array:
    """Values less the means of samples, in their standard deviations; NaN where these are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(squares / (count - 1))
        result = (values - mean) / deviation
    result[deviation <= FLAT * np.abs(mean)] = np.nan
    return result


def _finite(values: ArrayLike) -> Array:
    """The values as float64, NaN for what is not finite."""
    values = np.asarray(values, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _accumulate(values: Array, count: Array) -> tuple[Array, Array]:
    """Mean and sum of squared deviations of the values up to each step.

    Welford's recurrence along the last axis: ``M2[k] = M2[k-1] + (x[k] - mean[k-1])² (k-1)/k``,
    a sum of terms that are never negative. `count` is 1, 2, ... steps.
    """
    mean = np.cumsum(values, axis=-1)
    mean /= count
    terms = np.zeros_like(mean)
    new = terms[..., 1:]
    np.subtract(values[..., 1:], mean[..., :-1], out=new)
    new *= new
    new *= count[:-1] / count[1:]
    return mean, np.cumsum(terms, axis=-1)
