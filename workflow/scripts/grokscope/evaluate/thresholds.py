"""Thresholds: at which levels a detector's alarms are evaluated, and the references beside them.

A *policy* is a subject's alarms at one level. The alarms at a stated level are those of the table
``alarms``, known to the step. The level chosen on development seeds is the one with the best F1
by rule ``first`` on the development runs of the whole study, for each window anew; its alarms are
known in blocks of steps, as the scores are kept.

Two references stand beside the detectors: ``constant_time`` raises one alarm per run, such that
the constant time of its cell (the median onset of its development events) is in the middle of
the window; ``step_zero`` one at step 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from grokscope.evaluate import nulls
from grokscope.evaluate.chance import Task
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.matching import Alarms, AtRisk, Integers, Window, alarms_of, ratios
from grokscope.evaluate.nulls import Grid
from grokscope.evaluate.study import Scored, Study
from grokscope.measure.alarms import alarm_steps
from grokscope.measure.detectors.registry import COMBINED, Detector

CONSTANT_TIME = "constant_time"
STEP_ZERO = "step_zero"
# Candidate thresholds, at most.
CANDIDATES = 200


class Subject(NamedTuple):
    """What is evaluated: a signal of a detector, or a reference."""

    detector: str
    layer: str
    uses_test_data: bool


class Policy(NamedTuple):
    """Alarms of a subject at one level on some runs, and what they are to be scored by.

    Attributes
    ----------
    source
        ``published`` (stated), ``development`` or ``none``.
    grid
        Where its alarms can fall; null models move them on it.
    """

    subject: Subject
    threshold: float | None
    source: str
    tasks: list[Task]
    alarms: Alarms
    grid: Grid


def choose_threshold(signal: Signal, window: Window) -> float | None:
    """Alarm level with the best F1 by rule ``first``.

    Candidates are the values at which the first alarm of a run changes: the records of the
    score while the run is at risk; of more than ``CANDIDATES``, as many quantiles. Of equally
    good ones the highest is taken.

    Parameters
    ----------
    signal
        Scores of the development runs.
    window
        ``(lo, hi)`` in steps.

    Returns
    -------
    float or None
        None if no level has an F1 above 0.
    """
    cohort, step = signal.cohort, signal.resolution
    stops = signal.grid.blocks_at_risk(cohort)
    # Ascending, so the first block above a level is a search.
    records = [
        np.fmax.accumulate(np.append(-np.inf, scores[:stop]))[1:]
        for scores, stop in zip(signal.scores, stops, strict=True)
    ]
    levels = np.unique(np.concatenate([np.empty(0), *records]))
    levels = levels[np.isfinite(levels)]
    if not len(levels) or not cohort.event.any():
        return None
    if len(levels) > CANDIDATES:
        shares = np.linspace(0, 1, CANDIDATES)
        levels = np.unique(np.quantile(levels, shares, method="inverted_cdf"))
    blocks = np.stack([np.searchsorted(record, levels, side="right") for record in records], 1)
    draw, run = np.nonzero(blocks < np.array([len(record) for record in records]))
    first = Alarms(run, blocks[draw, run] * step, draw, len(levels))
    hits, judged = AtRisk(first, cohort).judge("first", window)
    f1 = ratios(hits.sum(axis=1), judged.sum(axis=1), cohort.event.sum()).f1
    best = f1.max()
    return float(levels[np.flatnonzero(f1 == best)[-1]]) if best > 0 else None


def raise_alarms(
    signal: Signal, threshold: float | None, refractory: int, latched: bool
) -> Alarms:
    """Alarms of block scores at a level, none without a level; `refractory` in steps."""
    if threshold is None:
        return alarms_of([[] for _ in signal.scores])
    step = signal.resolution
    blocks = [
        alarm_steps(of_run, threshold, refractory // step, latched) for of_run in signal.scores
    ]
    return alarms_of([of_run * step for of_run in blocks])


def policies(
    study: Study,
    subject: Subject,
    detector: Detector,
    scored: Scored,
    stated: Mapping[int, Integers],
) -> Iterator[Policy]:
    """Alarms of a signal on held-out runs: at the stated level, and at each level chosen.

    Parameters
    ----------
    scored
        The signal on all runs that have it.
    stated
        Steps of its alarms at the stated level by run, see :meth:`Study.alarms`.
    """
    held_out, chosen = scored.among(study.held_out), scored.among(study.development)
    if detector.threshold is not None:
        alarms = alarms_of([stated.get(run, []) for run in held_out.rows.tolist()])
        level = float(detector.threshold(study.analysis))
        yield Policy(subject, level, "published", study.tasks, alarms, held_out.steps)
    best = {
        window: choose_threshold(chosen.signal, window)
        for window in {*study.windows, study.primary}
    }
    levels: dict[float | None, list[Task]] = {}
    for rule, window in study.tasks:
        levels.setdefault(best[window or study.primary], []).append((rule, window))
    refractory = study.analysis.alarms.refractory
    for threshold, tasks in levels.items():
        alarms = raise_alarms(held_out.signal, threshold, refractory, detector.latched)
        grid = held_out.signal.grid
        yield Policy(subject, threshold, "development", tasks, alarms, grid)


def references(study: Study) -> Iterator[Policy]:
    """The predictors ``constant_time``, for each task anew, and ``step_zero``."""
    times = study.constant_times[None, study.held_out]
    # They are never set against null models, so their grid is never used.
    anywhere = Grid(1, np.zeros(len(study.held_out), np.int64))
    constant = Subject(CONSTANT_TIME, COMBINED, False)
    for rule, window in study.tasks:
        alarms = nulls.constant_alarms(times, window or study.primary)
        yield Policy(constant, None, "none", [(rule, window)], alarms, anywhere)
    start = alarms_of([[0] for _ in study.held_out])
    yield Policy(Subject(STEP_ZERO, COMBINED, False), None, "none", study.tasks, start, anywhere)
