"""Rows: what a log says, before anyone asks what it means.

A reader of a format gives these. In columns of numbers NaN is a value that was not logged and inf
one that was logged and is not finite, since the two mean different things: a loss that is not
there, and a training that diverged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokscope.core.errors import BadFileError

Floats = NDArray[np.float64]
# How tools write numbers that JSON has no words for.
_NOT_FINITE = {"nan", "inf", "-inf", "infinity", "-infinity", "+inf", "+infinity"}


class LogError(BadFileError):
    """A log that cannot be imported as it is; the message says why, and what would be right."""


@dataclass(frozen=True)
class Rows:
    """The rows of a log in the order written, and what it says of its run.

    Attributes
    ----------
    format
        The name of the format that they were read from.
    numbers, texts
        Columns by name, shape ``(n_rows,)`` each.
    config
        Settings of the run, nested ones under names with dots.
    part
        Name of the run if the format has several in a log.
    names
        Where the columns of a trace stand, if the format tells: name in the trace to column.
    means
        Columns, by their name here, that are means over steps and not values of one.
    row
        What a row describes, if the format tells (see :class:`ImportedSpec`).
    later_wins
        Whether the format says that of two rows of a step the later counts.
    complete
        Whether the columns are complete: not a sample that the tool has drawn.
    """

    format: str
    numbers: Mapping[str, Floats]
    texts: Mapping[str, list[str | None]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    part: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, str | int] = field(default_factory=dict)
    row: str = "unknown"
    later_wins: bool = False
    complete: bool = False

    def __len__(self) -> int:
        columns: list[Sized] = [*self.numbers.values(), *self.texts.values()]
        return len(columns[0]) if columns else 0

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return [*self.numbers, *self.texts]


def number_of(value: Any) -> float | None:
    """A logged value as a number: NaN for none, inf for one that is not finite.

    None for what is no number.
    """
    if value is None or value == "":
        return math.nan
    if isinstance(value, str):
        text = value.strip().lower()
        if text in _NOT_FINITE:
            return math.inf
        try:
            return float(text)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else math.inf


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots; W&B's ``{"value": ...}`` unpacked."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        place = f"{prefix}{name}"
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        if isinstance(value, Mapping):
            found |= flat(value, f"{place}.")
        else:
            found[place] = value
    return found


def from_records(records: Iterable[Mapping[str, Any]], **facts: Any) -> Rows:
    """Rows from mappings of column to value; a column that a row lacks is not logged there."""
    rows = list(map(flat, records))
    names = list(dict.fromkeys(name for row in rows for name in row))
    numbers: dict[str, Floats] = {}
    texts: dict[str, list[str | None]] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        as_numbers = [number_of(value) for value in values]
        if None not in as_numbers:
            numbers[name] = np.array(as_numbers, np.float64)
        else:
            texts[name] = [_text(value) for value in values]
    return Rows(numbers=numbers, texts=texts, **facts)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, default=str)


# Names of the columns of a long table: a metric's name and its value.
_METRIC = ("metric", "key", "name", "tag", "variable")
_VALUE = ("value", "val")


def widened(rows: Rows) -> Rows:
    """Rows of (step, name, value) as one column per name; other rows as they are."""
    name = next((name for name in rows.texts if name.lower() in _METRIC), None)
    value = next((name for name in rows.numbers if name.lower() in _VALUE), None)
    if name is None or value is None:
        return rows
    there = rows.texts[name]
    numbers = {key: of for key, of in rows.numbers.items() if key != value}
    for metric in dict.fromkeys(filter(None, there)):
        mine = np.array([text == metric for text in there])
        numbers[metric] = np.where(mine, rows.numbers[value], np.nan)
    texts = {key: of for key, of in rows.texts.items() if key != name}
    return Rows(rows.format, numbers, texts, rows.config, rows.part, complete=rows.complete)


def selected(rows: Rows, wanted: NDArray[np.bool_], part: str | None = None) -> Rows:
    """Some of the rows, with the name of their run."""
    kept = np.flatnonzero(wanted)
    return Rows(
        rows.format,
        {name: of[kept] for name, of in rows.numbers.items()},
        {name: [of[i] for i in kept] for name, of in rows.texts.items()},
        rows.config,
        rows.part if part is None else part,
        rows.names,
        rows.means,
        rows.row,
        rows.later_wins,
        rows.complete,
    )
