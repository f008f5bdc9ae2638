"""Alarms that figures of the Gradient Acceleration Index show."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, GAI
from grokscope.measure.lacking import lacking
from grokscope.runs.settings import Analysis


def gai_alarms(alarms: pd.DataFrame) -> pd.DataFrame:
    """Alarms of the GAI of the combined gradient norm, among those of all detectors."""
    return alarms[(alarms["detector"] == GAI) & (alarms["layer"] == COMBINED)]


def gai_score(trace: Trace, analysis: Analysis) -> NDArray[np.float64]:
    """Score of the combined norm at each row of a trace, ``(n_rows,)``, NaN where unknown."""
    if lacking(trace, GAI) is not None:
        return np.full(len(trace.frame), np.nan)
    return DETECTORS[GAI].signal(trace, analysis)[COMBINED]
