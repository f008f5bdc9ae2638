"""Alarms: the steps at which a score is above a threshold, and the spikes that they start.

Input: the scores of a run's steps (:mod:`grokscope.measure.detectors`) and its trace. Output: rows
of the table ``alarms``: those of every detector with a stated threshold, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokscope.data.trace import Trace
from grokscope.measure.causes import alarm_causes
from grokscope.measure.detectors.registry import DETECTORS, Signals
from grokscope.runs.settings import Analysis

Array = NDArray[np.float64]
Steps = NDArray[np.int64]


class AlarmRaiser:
    """Raises the alarms of scores that come piece by piece; see :func:`alarm_steps`.

    Attributes
    ----------
    n_scores : int
        Scores seen so far.
    last_alarm : int or None
        Index of the last alarm.
    held : bool
        Whether the score stayed above the threshold since that alarm.
    """

    def __init__(self, threshold: float, refractory: int, latched: bool = False) -> None:
        self.threshold = threshold
        self.refractory = refractory
        self.latched = latched
        self.n_scores = 0
        self.last_alarm: int | None = None
        self.held = False

    def feed(self, scores: ArrayLike) -> Steps:
        """Indices, among all scores so far, of the new scores that alarm."""
        # float64, lest the threshold be rounded to the precision of the scores.
        above = np.asarray(scores, np.float64) > self.threshold
        candidates = np.flatnonzero(above)
        others = np.flatnonzero(~above)
        alarms: list[int] = []
        index = 0
        while True:
            silent = -1
            if self.last_alarm is not None:
                silent = self.last_alarm + self.refractory - self.n_scores
            if self.latched and self.held:
                # Released by the first score since the alarm that is not above.
                after = int(np.searchsorted(others, alarms[-1] if alarms else 0))
                if after == len(others):
                    break
                silent = max(silent, int(others[after]))
                self.held = False
            index = int(np.searchsorted(candidates, silent, side="right"))
            if index == len(candidates):
                break
            alarms.append(int(candidates[index]))
            self.last_alarm = alarms[-1] + self.n_scores
            self.held = True
        found = np.asarray(alarms, np.int64) + self.n_scores
        self.n_scores += len(above)
        return found


def alarm_steps(
    scores: ArrayLike, threshold: float, refractory: int, latched: bool = False
) -> Steps:
    """Find the indices at which a score alarms: the one definition of an alarm.

    The first index above the threshold alarms; so does each further one that is more than
    `refractory` after the alarm before it and, if `latched`, separated from it by an index that
    is not above the threshold. A score at the threshold is not above it, nor is NaN.

    Parameters
    ----------
    scores
        Shape ``(n,)``: of steps, or of blocks of steps.
    threshold
        In the units of the scores.
    refractory
        Silence after an alarm, in indices: steps, or ``refractory // resolution`` blocks.
    latched
        Whether a score that stays above the threshold is one alarm, however long it stays.

    Returns
    -------
    ndarray
        Shape ``(n_alarms,)``, ascending. A block k is known at step ``k * resolution``.

    Examples
    --------
    >>> alarm_steps([0, 4, 5, 0, 0, 6], threshold=3.5, refractory=3).tolist()
    [1, 5]
    """
    return AlarmRaiser(threshold, refractory, latched).feed(scores)


def spike_peaks(scores: ArrayLike, alarms: Steps, refractory: int) -> Array:
    """Largest score of the spike of each alarm.

    The spike of an alarm at step a is the steps ``a .. a + refractory``, also where they pass an
    onset: a score above the threshold in them raises no other alarm, and one after them does
    unless the detector is latched. So every score above the threshold of an unlatched detector is
    of exactly one spike. This looks ahead of the alarm, as a measurement may and a detector may
    not.

    Parameters
    ----------
    scores
        Shape ``(n_steps,)``.
    alarms
        Steps of :func:`alarm_steps`, shape ``(n_alarms,)``.
    refractory
        That of the alarms (steps).

    Returns
    -------
    ndarray
        Shape ``(n_alarms,)``; above the alarms' threshold.
    """
    values = np.asarray(scores, np.float64)
    peaks = [np.fmax.reduce(values[step : step + refractory + 1]) for step in alarms]
    return np.array(peaks, np.float64)


def largest_spike(peaks: Array, steps: ArrayLike, onset: float) -> float | None:
    """Largest spike of the alarms of a run before its onset; None without such an alarm.

    Parameters
    ----------
    peaks
        Of :func:`spike_peaks`, shape ``(n_alarms,)``.
    steps
        Steps of the alarms, shape ``(n_alarms,)``.
    onset
        Step; NaN, if it was not reached, takes all alarms.
    """
    before = peaks[~(np.asarray(steps) >= onset)]
    return float(before.max()) if len(before) else None


def alarm_rows(
    trace: Trace, signals: Mapping[str, Signals], memorised: int | None, analysis: Analysis
) -> list[dict[str, Any]]:
    """Rows of the table ``alarms`` of a run: one per alarm of a detector with a stated threshold.

    Parameters
    ----------
    signals
        Scores of each step by detector and layer, see
        :func:`grokscope.measure.detectors.scores.run_signals`.
    memorised
        Train onset of the run (step), None if it was not reached.
    analysis
        Sections ``alarms``, ``causes``, and those of the thresholds of the detectors.
    """
    refractory = analysis.alarms.refractory
    key = trace.key.row()
    rows = []
    for name, layers in signals.items():
        detector = DETECTORS[name]
        if detector.threshold is None:
            continue
        threshold = detector.threshold(analysis)
        for layer, values in layers.items():
            steps = alarm_steps(values, threshold, refractory, detector.latched)
            peaks = spike_peaks(values, steps, refractory)
            rows += [
                {"detector": name, "layer": layer, "step": step, "score": score, "peak": peak}
                for step, score, peak in zip(
                    steps.tolist(), values[steps].tolist(), peaks.tolist(), strict=True
                )
            ]
    causes = alarm_causes(trace, [row["step"] for row in rows], memorised, analysis.causes)
    return [key | row | {"cause": cause} for row, cause in zip(rows, causes, strict=True)]
