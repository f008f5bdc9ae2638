"""The registry of detectors.

Input: functions that score a trace. Output: ``DETECTORS``, by name, in the order of registration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokscope.data.trace import Trace
from grokscope.runs.settings import Analysis

# Name of the signal of a whole network, beside those of its layers.
COMBINED = "combined"
# The detector that the claims of the kind early_warning are about.
GAI = "gai"
# Sections of the analysis settings that scores and alarms depend on.
ALARM_SECTIONS = ("alarms", "detectors", "onset")

Array = NDArray[np.float64]
# Score of each step by layer (``combined``, ``1``, ...).
Signals = Mapping[str, Array]
SignalFunction = Callable[[Trace, Analysis], Signals]


@dataclass(frozen=True)
class Detector:
    """A causal predictor of generalisation.

    Attributes
    ----------
    name : str
        Its name in tables and figures.
    signal : callable
        ``signal(trace, analysis)``: by layer (``combined``, ``1``, ...) the score of each step,
        float64 of shape ``(n_steps,)``, NaN where unknown. Score t depends on rows 0 .. t only.
    uses_test_data : bool
        Whether the score needs held-out data: such a detector is not ranked among the others.
    threshold : callable or None
        ``threshold(analysis)``: the stated alarm level. None: chosen on development seeds.
    latched : bool
        Whether a score that stays above the threshold is one alarm, however long it stays.
    description : str
        One line for the reader of the report.
    needs : tuple of str or None
        Columns of traces that the score is made of. An imported run without one of them is not
        testable; None: no imported run is.
    every_step : bool
        Whether these must be known at every step. Else a value counts until the next one.
    """

    name: str
    signal: SignalFunction
    uses_test_data: bool
    threshold: Callable[[Analysis], float] | None
    latched: bool
    description: str
    needs: tuple[str, ...] | None = None
    every_step: bool = True


DETECTORS: dict[str, Detector] = {}


def detector(
    name: str,
    *,
    description: str,
    uses_test_data: bool = False,
    threshold: Callable[[Analysis], float] | None = None,
    latched: bool = True,
    needs: tuple[str, ...] | None = None,
    every_step: bool = True,
) -> Callable[[SignalFunction], SignalFunction]:
    """Register the decorated function as the signal of a :class:`Detector`.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def register(signal: SignalFunction) -> SignalFunction:
        if name in DETECTORS:
            raise ValueError(f"detector {name!r} is registered already")
        DETECTORS[name] = Detector(
            name, signal, uses_test_data, threshold, latched, description, needs, every_step
        )
        return signal

    return register
