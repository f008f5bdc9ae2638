"""Levels: the scores of detectors as how many of some thresholds each is above.

Input: scores of the runs of a study. Output: packed arrays, read by ``js/scores.js``.

Whether a score alarms depends on nothing but whether it is above the threshold. So the page offers
a choice of thresholds, keeps of each score how many of them it is above, one byte, and is exact at
every threshold that it offers; those that the tables have are among them.

Scores are kept in blocks of steps, as the tables' chosen thresholds are evaluated; and, of
detectors with a stated threshold, by the step, as their alarms are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokscope.report.explorer.packing import Packer

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

# Thresholds on offer: so many quantiles of the scores, and so many equally spaced ones. A byte
# counts to 255, with one code for unknown scores.
QUANTILES = EQUAL = 32
# Scores by the step of a detector that alarms again while its score stays high are noise for the
# most part. Thresholds begin at the quantile that this share lies below.
FLOOR = 0.97


def offered(scores: Sequence[Floats], needed: Iterable[float], floor: float = 0.0) -> Floats:
    """Thresholds to choose from, ascending.

    Parameters
    ----------
    scores
        Of each run; NaN where unknown.
    needed
        Thresholds that must be among them.
    floor
        Share of the scores that lies below the lowest, unless a needed one is lower.
    """
    values = np.concatenate([np.empty(0), *scores])
    values = values[np.isfinite(values)]
    found = np.asarray([*needed], float)
    if len(values):
        shares = np.linspace(floor, 1, QUANTILES)
        at_shares = np.quantile(values, shares, method="inverted_cdf")
        found = np.union1d(found, at_shares)
        found = np.union1d(found, np.linspace(at_shares[0], at_shares[-1], EQUAL))
    return np.asarray(found, float)


def codes(scores: Floats, thresholds: Floats) -> Codes:
    """How many thresholds each score is above, plus 1; 0 where the score is unknown."""
    above = np.searchsorted(thresholds, scores, side="left") + 1
    return np.where(np.isnan(scores), 0, above).astype(np.uint8)


def pack_blocks(
    packer: Packer, name: str, scores: Mapping[int, Floats], needed: Iterable[float]
) -> dict[str, Any]:
    """Pack the scores in blocks of a detector and layer, by index of the run."""
    thresholds = offered(list(scores.values()), needed)
    kept = [np.diff(codes(of, thresholds), prepend=np.uint8(0)) for of in scores.values()]
    packer.put(f"{name}/codes", _joined(kept), "u1")
    packer.put(f"{name}/thresholds", thresholds, "f8")
    return {"place": name, "runs": list(scores), "lengths": [len(of) for of in scores.values()]}


def pack_steps(
    packer: Packer,
    name: str,
    scores: Mapping[int, Floats],
    needed: Iterable[float],
    latched: bool,
) -> dict[str, Any]:
    """Pack the scores by the step, as :func:`pack_blocks`.

    Of an unlatched detector the scores below every threshold, and the unknown ones, have code 1.
    """
    thresholds = offered(list(scores.values()), needed, 0.0 if latched else FLOOR)
    kept = [codes(np.nan_to_num(of, nan=-np.inf), thresholds) for of in scores.values()]
    packer.put(f"{name}/codes", _joined(kept), "u1")
    packer.put(f"{name}/thresholds", thresholds, "f8")
    lengths = [len(of) for of in scores.values()]
    return {"place": name, "runs": list(scores), "lengths": lengths, "by_step": True}


def _joined(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, np.uint8), *arrays])
