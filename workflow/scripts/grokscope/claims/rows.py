"""Rows of result tables: chosen by value, grouped, and one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as mappings of column names."""
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def select(frame: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows that have these values; None asks for null (in `depth`: all depths pooled)."""
    keep = np.ones(len(frame), bool)
    for name, value in where.items():
        column = frame[name]
        same = column.isna() if value is None else (column == value).fillna(False)
        keep &= same.to_numpy(bool)
    return frame[keep].reset_index(drop=True)


def groups(
    frame: pd.DataFrame, names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Groups of a frame by several columns, null being a value, each with its values."""
    for values, group in frame.groupby(list(names), dropna=False):
        yield cast(tuple[Any, ...], values), group
