"""Which runs and which points a figure draws.

Inputs: tables, trace paths, arrays. Everything is deterministic, so the same results give
the same figure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from grokscope.data.tables import read_table
from grokscope.runs.names import SETTINGS
from grokscope.runs.spec import UNKNOWN, RunKey, decimal_string, key_columns

MAX_POINTS = 2000

T = TypeVar("T")


def decimate(
    x: np.ndarray, y: np.ndarray, max_points: int = MAX_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Finite points of a line, thinned so that no spike is lost.

    The line is cut into ``max_points / 2`` stretches of equal length; of each, the smallest and
    the largest value stay, in order. Every peak and trough keeps its step and its height. The
    first and the last point stay as well.

    Parameters
    ----------
    x, y
        Shape ``(n,)``; points where either is not finite are dropped.
    max_points
        Most points returned; at least 4.

    Returns
    -------
    x, y
        Shape ``(<= max_points,)``.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) <= max_points:
        return x, y
    edges = np.linspace(0, len(x), max_points // 2, dtype=int)
    keep = {0, len(x) - 1}
    for start, end in pairwise(edges):
        keep |= {start + int(np.argmin(y[start:end])), start + int(np.argmax(y[start:end]))}
    index = np.array(sorted(keep))
    return x[index], y[index]


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` items, evenly spread from the first to the last."""
    if len(items) <= most:
        return list(items)
    index = np.linspace(0, len(items) - 1, most).round().astype(int)
    return [items[i] for i in index]


def left_out(*groups: tuple[Sequence[object], Sequence[object], str]) -> str:
    """Sentence on what :func:`spread` left out of (shown, all, noun in the plural); or empty."""
    parts = [f"{len(few):,} of {len(every):,} {noun}" for few, every, noun in groups]
    thinned = any(len(few) < len(every) for few, every, _ in groups)
    return f"Shown: {' and '.join(parts)}, evenly spread." if thinned else ""


def _text(value: Any) -> str:
    """A varied setting as in the key of a run; "none" for null."""
    if pd.isna(value):
        return UNKNOWN
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return decimal_string(value) if isinstance(value, float) else str(value)


def _decimal(value: Any) -> str:
    return UNKNOWN if pd.isna(value) else decimal_string(float(value))


def key_of(row: Mapping[str, Any] | pd.Series) -> RunKey:
    """Key of the run that a table row is about."""
    return RunKey(
        study=str(row["study"]),
        task=str(row["task"]),
        depth=int(row["depth"]),
        train_fraction=_decimal(row["train_fraction"]),
        weight_decay=_decimal(row["weight_decay"]),
        width=None if pd.isna(row["width"]) else int(row["width"]),
        seed=int(row["seed"]),
        settings=tuple((name, _text(row[name])) for name in SETTINGS if name in row),
    )


def of_run(table: pd.DataFrame, key: RunKey) -> pd.DataFrame:
    """Rows of one run, nulls of the key included."""
    match = pd.Series(True, index=table.index)
    for name, value in key.row().items():
        match &= table[name].isna() if value is None else (table[name] == value).fillna(False)
    return table[match]


def row_of(table: pd.DataFrame, key: RunKey) -> pd.Series:
    """The one row of a run.

    Raises
    ------
    LookupError
        If the run has no row or several.
    """
    rows = of_run(table, key)
    if len(rows) != 1:
        raise LookupError(f"{len(rows)} table rows for the run {key}; there should be one")
    return rows.iloc[0]


def find_trace(paths: Iterable[str | os.PathLike[str]], key: RunKey) -> str:
    """The path, among those given, of a run's trace.

    Raises
    ------
    LookupError
        If none of the paths is that of the run.
    """
    wanted = PurePath(key.path).parts
    for path in paths:
        if PurePath(path).parts[-len(wanted) :] == wanted:
            return os.fspath(path)
    raise LookupError(f"no trace of the run {key} among the inputs; wanted {key.path}")


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a table of runs, ordered by the run key."""
    return table.sort_values(key_columns(table.columns), kind="stable").reset_index(drop=True)


def read_runs(path: str | os.PathLike[str], table: str) -> pd.DataFrame:
    """A table of a study's runs, ordered by the run key."""
    return in_order(read_table(path, table))


def known(row: Mapping[str, Any] | pd.Series | None, name: str) -> float | None:
    """Value of a cell, None where it is null or not there."""
    if row is None:
        return None
    value = row.get(name)
    return None if value is None or pd.isna(value) else float(value)
