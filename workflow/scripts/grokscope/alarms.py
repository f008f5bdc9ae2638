"""Alarms: the Gradient Acceleration Index (GAI) of gradient norms.

Input: traces and the config sections ``analysis.{alarms, onset, causes}``. Output: the table
``alarms``.

A step's score is its GAI, measured in standard deviations from the mean of the GAIs before it;
a score above the threshold is an alarm. All functions work along the last axis, the steps, and
take any leading axes (runs, layers). Everything is float64.

Nothing at step t uses data after t, unless ``centred`` is set. Values fall over eight orders of
magnitude within a run, so no sum here ever has a term taken out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from grokscope.causes import alarm_causes
from grokscope.tables import concatenate, from_rows
from grokscope.trace import Trace

# With an unlimited sigma window: past values that a mean and a standard deviation need.
MINIMUM_PAST = 100

# A standard deviation below this share of the mean is rounding of a constant, that is 0.
FLAT = 1e-9

Array = NDArray[np.float64]


def smooth(values: ArrayLike, window: int, centred: bool = False) -> Array:
    """Moving average.

    Causal: ``s[t] = mean(v[t - window + 1 .. t])``; centred: ``s[t] = mean(v[t - window // 2 ..
    t - window // 2 + window - 1])``.

    Parameters
    ----------
    values
        Shape ``(..., n_steps)``.
    window
        Steps.
    centred
        Whether to use the future.

    Returns
    -------
    ndarray
        Shape ``(..., n_steps)``; NaN where the window leaves the signal or meets a non-finite
        value.
    """
    values = _finite(values)
    # correlate1d sums each window anew; uniform_filter1d would add and subtract.
    before = window // 2 if centred else window - 1
    return ndimage.correlate1d(
        values,
        np.full(window, 1 / window),
        origin=before - window // 2,
        mode="constant",
        cval=np.nan,
    )


def gai(values: ArrayLike, window: int, centred: bool = False) -> Array:
    """Gradient Acceleration Index: second difference of the moving average.

    Causal: ``g[t] = s[t] - 2 s[t-1] + s[t-2]``; centred: ``g[t] = s[t+1] - 2 s[t] + s[t-1]``, with
    s of :func:`smooth`. All but four terms of the averages cancel: the causal index is
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
    n_steps = values.shape[-1]
    if sigma_window is None:
        count, mean, squares = _shifted(_accumulate(values), 1, n_steps)
        known = count >= MINIMUM_PAST
    else:
        blocks = -(-n_steps // sigma_window)
        padding = [(0, 0)] * (values.ndim - 1) + [(0, blocks * sigma_window - n_steps)]
        padded = np.pad(values, padding, constant_values=np.nan)
        blocked = padded.reshape(*values.shape[:-1], blocks, sigma_window)
        starts = [part.reshape(padded.shape) for part in _accumulate(blocked)]
        ends = [part[..., ::-1].reshape(padded.shape) for part in _accumulate(blocked[..., ::-1])]
        # The window before t ends with the start of t - 1's block, up to t - 1, and begins
        # with the end of the block before, from t - sigma_window. When t begins a block, the
        # window is one whole block, and is not to be counted from both sides.
        new = _shifted(starts, 1, n_steps)
        old = _shifted(ends, sigma_window, n_steps)
        for part in old:
            part[..., ::sigma_window] = 0
        count, mean, squares = _merged(old, new)
        known = count == sigma_window
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(squares / (count - 1))
        result = (values - mean) / deviation
    result[~known | (deviation <= FLAT * np.abs(mean))] = np.nan
    return result


def _finite(values: ArrayLike) -> Array:
    """The values as float64, NaN for what is not finite."""
    values = np.asarray(values, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _accumulate(values: Array) -> list[Array]:
    """Count, mean and sum of squared deviations of the finite values up to each step.

    Welford's recurrence along the last axis: ``M2[k] = M2[k-1] + (x[k] - mean[k-1])² (k-1)/k``,
    a sum of terms that are never negative.
    """
    finite = np.isfinite(values)
    count = np.cumsum(finite, axis=-1, dtype=np.float64)
    mean = np.cumsum(np.where(finite, values, 0), axis=-1) / np.maximum(count, 1)
    weight = (count[..., 1:] - 1) / np.maximum(count[..., 1:], 1)
    terms = np.zeros_like(mean)
    terms[..., 1:] = np.where(finite[..., 1:], (values[..., 1:] - mean[..., :-1]) ** 2 * weight, 0)
    return [count, mean, np.cumsum(terms, axis=-1)]


def _shifted(parts: Iterable[Array], by: int, n_steps: int) -> list[Array]:
    """Each part `by` steps later, cut to `n_steps`, zero (an empty sample) before."""
    result = []
    for part in parts:
        later = np.zeros((*part.shape[:-1], n_steps))
        later[..., by:] = part[..., : max(n_steps - by, 0)]
        result.append(later)
    return result


def _merged(one: list[Array], other: list[Array]) -> list[Array]:
    """Count, mean and sum of squared deviations of two samples together."""
    total = one[0] + other[0]
    share = other[0] / np.maximum(total, 1)
    distance = other[1] - one[1]
    return [
        total,
        one[1] + distance * share,
        one[2] + other[2] + distance**2 * one[0] * share,
    ]


def alarm_steps(scores: ArrayLike, threshold: float, refractory: int) -> NDArray[np.int64]:
    """Steps at which a score is above a threshold, outside the refractory period.

    The first such step is an alarm; so is each further one more than `refractory` steps after
    the alarm before it. NaN is no alarm.

    Parameters
    ----------
    scores
        Shape ``(n_steps,)``.

    Returns
    -------
    ndarray
        Shape ``(n_alarms,)``.
    """
    candidates = np.flatnonzero(np.asarray(scores) > threshold)
    alarms = []
    index = 0
    while index < len(candidates):
        alarms.append(candidates[index])
        index = int(np.searchsorted(candidates, alarms[-1] + refractory, side="right"))
    return np.asarray(alarms, np.int64)


def scores(trace: Trace, settings: Mapping[str, Any]) -> dict[str, Array]:
    """Score of each gradient norm of a run at each step.

    Parameters
    ----------
    settings
        ``smoothing_window``, ``sigma_window``, ``centred``.

    Returns
    -------
    dict
        Arrays of shape ``(n_steps,)`` for ``combined`` and each layer number.
    """
    columns = {"combined": "grad_norm"} | {str(i): f"grad_norm_{i}" for i in trace.layers}
    norms = trace.frame[list(columns.values())].to_numpy(np.float64).T
    index = gai(norms, settings["smoothing_window"], settings["centred"])
    return dict(zip(columns, score(index, settings["sigma_window"]), strict=True))


def find_alarms(trace: Trace, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Alarms of a run, a row an alarm, with the run's key.

    Parameters
    ----------
    settings
        Sections ``alarms`` (those of :func:`scores`, ``threshold`` and ``refractory``), ``onset``
        and ``causes`` (:func:`grokscope.causes.alarm_causes`).
    """
    of = settings["alarms"]
    detector = "gai_centred" if of["centred"] else "gai"
    rows = [
        trace.key.row()
        | {"detector": detector, "layer": layer, "step": int(step), "score": float(values[step])}
        for layer, values in scores(trace, of).items()
        for step in alarm_steps(values, of["threshold"], of["refractory"])
    ]
    steps = [row["step"] for row in rows]
    causes = alarm_causes(trace, steps, settings["onset"], settings["causes"])
    return from_rows(
        [row | {"cause": cause} for row, cause in zip(rows, causes, strict=True)], "alarms"
    )


def alarms_table(traces: Iterable[Trace], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table ``alarms`` of some runs; settings as in :func:`find_alarms`."""
    return concatenate((find_alarms(trace, settings) for trace in traces), "alarms")
