"""Detectors: cheap predictors of generalisation, one interface, none of which sees the future.

Input: traces and the config section ``analysis``. Output: the scores of a run in blocks of steps,
which the evaluation turns into alarms and compares with onsets.

A detector is a signal: a score of each step, made of the rows up to that step. A score above a
threshold is an alarm, so whatever is a warning is large: losses are negated, a *peak* is scored
by how far the signal has fallen from it (it is not known before). To add a detector, write one
function and register it in :mod:`grokscope.measure.detectors.signals`:

>>> @detector("loud_gradient", description="gradient norm")
... def loud_gradient(trace, settings):
...     return {COMBINED: column(trace, "grad_norm")}

Its threshold is then chosen on development seeds, and the tests check that it is causal.
"""

from __future__ import annotations

# Imported for the detectors that it registers.
from grokscope.measure.detectors import signals  # noqa: F401
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, Detector, detector
from grokscope.measure.detectors.scores import (
    alarm_blocks,
    block_maxima,
    read_scores,
    score_run,
    write_scores,
)

__all__ = [
    "COMBINED",
    "DETECTORS",
    "Detector",
    "alarm_blocks",
    "block_maxima",
    "detector",
    "read_scores",
    "score_run",
    "write_scores",
]
