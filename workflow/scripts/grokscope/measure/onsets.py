"""Onsets: the step from which a metric stays at or above a threshold, their loss, and events.

Input: a trace and the settings ``analysis.onset``. Output: the onset columns of the table
``transitions``. An onset that a run does not reach is None and censored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from grokscope.data.trace import Trace
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.settings import OnsetSettings
from grokscope.runs.spec import decimal_string


def reached(values: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Where values are at or above a threshold; NaN is not.

    The threshold is rounded to the precision of the values: an accuracy of 19/20 is kept as
    float32, just below the float64 0.95, and does reach 0.95.
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    above: NDArray[np.bool_] = values >= values.dtype.type(threshold)
    return above


def sustained_onset(
    steps: ArrayLike,
    values: ArrayLike,
    threshold: float,
    evaluations: int,
    settled: bool = False,
) -> int | None:
    """First step of the first streak of evaluations at or above a threshold.

    ``min {steps[i] : values[i], ..., values[i + evaluations - 1] >= threshold}``

    Parameters
    ----------
    steps, values
        Evaluated steps and the metric there, shape ``(n_evaluations,)``. NaN breaks a streak.
    threshold
        Level to reach, in the units of `values`.
    evaluations
        Length of the streak, at least 1.
    settled
        Whether the run ended because the metric had settled above the threshold: the streak
        in progress at the end then counts however short it is.

    Returns
    -------
    int or None
        The onset (optimiser updates), None if there is no such streak.

    Raises
    ------
    ValueError
        If `evaluations` is below 1.

    Examples
    --------
    >>> sustained_onset([0, 10, 20, 30, 40], [0.2, 0.96, 0.9, 0.97, 0.98], 0.95, evaluations=2)
    30
    """
    above = reached(values, threshold)
    if settled:
        above = np.append(above, np.ones(evaluations - 1, bool))
    return _first_streak(np.asarray(steps), above, evaluations)


def _first_streak(steps: NDArray[np.generic], flags: NDArray[np.bool_], length: int) -> int | None:
    """Step at which the first `length` true flags in a row begin; None without any."""
    if length < 1:
        raise ValueError(f"evaluations is {length}; a streak has at least 1")
    count = np.concatenate([[0], np.cumsum(flags)])
    starts = np.flatnonzero(count[length:] - count[:-length] == length)
    return int(steps[starts[0]]) if len(starts) else None


def lost_onset(trace: Trace, onset: int, settings: OnsetSettings) -> int | None:
    """Loss of an onset: the first step after it from which the test metric stays low.

    Parameters
    ----------
    onset
        Of the test metric.
    settings
        The metric is low below ``lost_below``, at ``evaluations`` evaluations in a row.

    Returns
    -------
    int or None
        The step (optimiser updates), None if the onset was not lost.
    """
    steps, values = evaluated(trace, "test")
    low = (steps > onset) & ~np.isnan(values) & ~reached(values, settings.lost_below)
    return _first_streak(steps, low, settings.evaluations)


def evaluated(trace: Trace, metric: str) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    """Steps at which the test set was evaluated, and the metric there.

    Parameters
    ----------
    metric
        ``train`` or ``test``.

    Returns
    -------
    steps, values
        Shape ``(n_evaluations,)`` each.
    """
    frame = trace.frame
    if trace.imported:
        return _logged(trace, metric)
    # Columns and not rows of the frame: a selection of rows copies every column.
    tested = ~np.isnan(frame["test_loss"].to_numpy())
    return frame["step"].to_numpy()[tested], frame[f"{metric}_metric"].to_numpy()[tested]


def _logged(trace: Trace, metric: str) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    """The same of an imported run, whose log may have one metric, or each at steps of its own.

    The train metric is taken at the steps of the test metric where it is known at all of them, so
    that both onsets are as fine; else where it was logged.
    """
    known = {
        name: ~np.isnan(trace.frame[f"{name}_metric"].to_numpy())
        for name in ("train", "test")
        if f"{name}_metric" in trace.frame
    }
    if metric not in known:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    there = known[metric]
    if metric == "train" and "test" in known and there[known["test"]].all():
        there = known["test"]
    return np.flatnonzero(there), trace.frame[f"{metric}_metric"].to_numpy()[there]


def is_unknown(trace: Trace, metric: str, onset: int | None) -> bool:
    """Whether nothing can be said of an onset: its metric was not logged, or was reached before.

    A log that begins later than one evaluation after the start, with the metric above the
    threshold, has missed the onset.

    Parameters
    ----------
    onset
        Of :func:`metric_onset`.
    """
    if not isinstance(trace.spec, ImportedSpec):
        return False
    column = trace.spec.column(f"{metric}_metric")
    if column is None:
        return True
    first = evaluated(trace, metric)[0][0]
    return onset == first and trace.spec.reached is None and first > (column.every or 0)


def metric_onset(trace: Trace, metric: str, threshold: float, evaluations: int) -> int | None:
    """Onset of a metric of a run, on the steps at which the test set was evaluated.

    Early stopping can end a run before the streak is complete (the kind ``phase_diagram`` stops
    after two evaluations). If what it waited for includes this metric at this level or above,
    the run has settled and the streak in progress counts.

    Parameters
    ----------
    metric
        ``train`` or ``test``.
    """
    stop = trace.spec.early_stop
    settled = (
        trace.info.stopped == "early_stop"
        and stop is not None
        and metric in stop.metrics
        and threshold <= stop.threshold
    )
    return sustained_onset(*evaluated(trace, metric), threshold, evaluations, settled)


def train_onset(trace: Trace, settings: OnsetSettings) -> int | None:
    """Onset of memorisation: of the train metric at ``train_threshold``."""
    return metric_onset(trace, "train", settings.train_threshold, settings.evaluations)


def onsets(trace: Trace, settings: OnsetSettings) -> dict[str, Any]:
    """All onsets of a run.

    Returns
    -------
    dict
        ``<name>_step`` (int or None) and ``<name>_censored`` (None where nothing is known, see
        :func:`is_unknown`) for the names ``train_onset``,
        ``test_onset`` (at ``event_threshold``) and ``test_onset_<x>`` for each x of
        ``test_thresholds``; then the same of the loss of ``test_onset``, ``test_lost``, None where
        nothing is known of it.
    """
    at = {
        threshold: metric_onset(trace, "test", threshold, settings.evaluations)
        for threshold in {*settings.test_thresholds, settings.event_threshold}
    }
    found = {
        "train_onset": train_onset(trace, settings),
        "test_onset": at[settings.event_threshold],
    }
    for threshold in settings.test_thresholds:
        found[f"test_onset_{decimal_string(threshold)}"] = at[threshold]
    columns: dict[str, Any] = {}
    for name, step in found.items():
        unknown = is_unknown(trace, name.partition("_")[0], step)
        columns[f"{name}_step"] = None if unknown else step
        columns[f"{name}_censored"] = None if unknown else step is None
    onset = columns["test_onset_step"]
    # Logs of first steps tell nothing of what came after.
    if onset is None or (isinstance(trace.spec, ImportedSpec) and trace.spec.reached is not None):
        return columns | {"test_lost_step": None, "test_lost_censored": None}
    lost = lost_onset(trace, onset, settings)
    return columns | {"test_lost_step": lost, "test_lost_censored": lost is None}


def is_event(columns: pd.DataFrame | Mapping[str, Any], gap: int) -> NDArray[np.bool_]:
    """Whether a run generalised late: over `gap` steps from train onset to test onset.

    A run that never memorised, or has not generalised, has no event.

    Parameters
    ----------
    columns
        ``train_onset_step`` and ``test_onset_step``: the table ``transitions``, or any mapping of
        these two to Series, arrays or single values. Null (None, NaN, NA) is not reached.
    gap
        ``analysis.phases.gap`` (steps).

    Returns
    -------
    ndarray
        Shape of the columns: ``(n_runs,)``, or ``()`` for single values.
    """
    delay = _steps(columns["test_onset_step"]) - _steps(columns["train_onset_step"])
    return np.asarray(delay > gap)


def _steps(values: Any) -> NDArray[np.float64]:
    """Steps as floats, NaN for null."""
    if isinstance(values, pd.Series):
        return values.to_numpy(np.float64, na_value=np.nan)
    return np.asarray(np.nan if values is pd.NA else values, np.float64)
