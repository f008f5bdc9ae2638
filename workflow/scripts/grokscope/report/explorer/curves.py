"""Curves: the columns of traces, decimated so that no spike is lost, in a few bytes per point.

Input: traces and the steps around which every step counts. Output: packed arrays, read by
``js/curves.js``.

*Decimation.* The measured steps of a column are cut into ``BUCKETS`` buckets of equal length; each
keeps its smallest and its largest value in the order in which they come, so a spike of one step is
there at every zoom. Around alarms and onsets each step is a bucket of its own.

*Precision.* A value is one of ``LEVELS`` levels between the smallest and the largest of its curve,
equally spaced in the value or, where these are far apart, in its logarithm. The tables have the
exact numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.report.explorer.packing import Packer, deltas

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

BUCKETS = 100
LEVELS = 500
# A positive column whose largest value is so many times its smallest has levels of its logarithm.
WIDE = 20.0
# Columns of a trace that are no curves.
_KEYS = ("step", "seed")


class Curve(NamedTuple):
    """One column of a run: the range of its levels, and two of them per bucket.

    Attributes
    ----------
    grid
        Number of the buckets among those of the run.
    levels
        First and second extreme of each bucket, one after the other, ``(2 n_buckets,)``.
    """

    grid: int
    low: float
    high: float
    logarithmic: bool
    levels: Integers


class RunCurves(NamedTuple):
    """The curves of a run: first step of each bucket of each grid, and the columns."""

    grids: list[Integers]
    columns: dict[str, Curve]


def bucket_edges(steps: Integers, near: Integers, reach: int) -> Integers:
    """Where the buckets of some measured steps begin, by index, and the end.

    Parameters
    ----------
    steps
        Measured steps, ascending, shape ``(n,)``, at least one.
    near
        Steps around which each step is a bucket.
    reach
        How far around (steps).

    Returns
    -------
    ndarray
        Ascending from 0 to n.
    """
    edges = np.linspace(0, len(steps), min(BUCKETS, len(steps)) + 1).astype(np.int64)
    single = np.zeros(len(steps) + 1, bool)
    for step in near:
        begin, end = np.searchsorted(steps, [step - reach, step + reach + 1])
        single[begin : end + 1] = begin < end
    return np.union1d(edges, np.flatnonzero(single))


def extremes(values: Integers, edges: Integers) -> Integers:
    """Smallest and largest value of each bucket, in the order in which they come.

    Returns
    -------
    ndarray
        Shape ``(2 n_buckets,)``.
    """
    starts, sizes = edges[:-1], np.diff(edges)
    smallest = np.minimum.reduceat(values, starts)
    largest = np.maximum.reduceat(values, starts)
    place = np.arange(len(values))
    at = [
        np.minimum.reduceat(np.where(values == np.repeat(of, sizes), place, len(values)), starts)
        for of in (smallest, largest)
    ]
    falls = at[1] < at[0]
    pair = np.where(falls, largest, smallest), np.where(falls, smallest, largest)
    return np.stack(pair, axis=1).ravel().astype(np.int64)


def quantised(values: Floats) -> tuple[Integers, float, float, bool]:
    """Levels of finite values, the smallest and the largest value, and whether of logarithms."""
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high > WIDE * low
    scaled = np.log(values) if logarithmic else values
    bottom, top = (np.log(low), np.log(high)) if logarithmic else (low, high)
    span = (top - bottom) or 1.0
    return np.rint((scaled - bottom) / span * LEVELS).astype(np.int64), low, high, logarithmic


def run_curves(frame: pd.DataFrame, near: Mapping[int, Sequence[int]]) -> RunCurves:
    """The curves of a trace.

    Parameters
    ----------
    frame
        A row per step, columns as measured; null where not.
    near
        Steps around which every step counts, by how far around.
    """
    steps = frame["step"].to_numpy(np.int64)
    grids: list[Integers] = []
    edges: list[Integers] = []
    known: dict[bytes, int] = {}
    columns: dict[str, Curve] = {}
    for name in frame.columns:
        if name in _KEYS:
            continue
        values = frame[name].to_numpy(np.float64, na_value=np.nan)
        there = np.isfinite(values)
        if not there.any():
            continue
        place = known.setdefault(there.tobytes(), len(grids))
        if place == len(grids):
            measured = steps[there]
            of_reach = [
                bucket_edges(measured, np.asarray(at, np.int64), reach)
                for reach, at in near.items()
            ]
            cut = of_reach[0]
            for more in of_reach[1:]:
                cut = np.union1d(cut, more)
            grids.append(measured[cut[:-1]])
            edges.append(cut)
        levels, low, high, logarithmic = quantised(values[there])
        pairs = extremes(levels, edges[place])
        columns[str(name)] = Curve(place, low, high, logarithmic, pairs)
    return RunCurves(grids, columns)


def pack_curves(packer: Packer, name: str, runs: Sequence[RunCurves]) -> dict[str, Any]:
    """Pack the curves of the runs of a study.

    Parameters
    ----------
    name
        Prefix of the arrays' names.

    Returns
    -------
    dict
        ``grids``: buckets of each grid of each run; ``columns``: by name, the runs that have it.
    """
    starts = [np.diff(grid, prepend=0) for run in runs for grid in run.grids]
    packer.put(f"{name}/starts", _joined(starts), "u4")
    # Sorted, so that the layers of a quantity are neighbours and compress well.
    names = {column for run in runs for column in run.columns}
    columns = {}
    for number, column in enumerate(sorted(names)):
        of_runs = {i: run.columns[column] for i, run in enumerate(runs) if column in run.columns}
        place = f"{name}/column{number}"
        curves = list(of_runs.values())
        packer.put(f"{place}/levels", _joined([deltas(curve.levels) for curve in curves]), "u1")
        packer.put(f"{place}/low", [curve.low for curve in curves], "f4")
        packer.put(f"{place}/high", [curve.high for curve in curves], "f4")
        columns[column] = {
            "place": place,
            "runs": list(of_runs),
            "grid": [curve.grid for curve in curves],
            "logarithmic": [int(curve.logarithmic) for curve in curves],
        }
    return {
        "grids": [[len(grid) for grid in run.grids] for run in runs],
        "columns": columns,
        "levels": LEVELS,
        "place": f"{name}/starts",
    }


def _joined(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Arrays one after the other; none at all are an empty one."""
    return np.concatenate([np.empty(0, np.uint8), *arrays])
