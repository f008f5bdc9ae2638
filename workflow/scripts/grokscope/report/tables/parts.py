"""Parts of report tables: cells that name their source, rows and tables.

Input: rows of result tables. Output: cells. A cell that shows numbers of a result table names
table, row and columns, so that validation can read them back. A number that the report counts or
averages itself has no source: validation makes it again (:mod:`grokscope.report.checks.recount`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from grokscope.claims.rows import records
from grokscope.core.formatting import ABSENT, plain, steps, words
from grokscope.data.layout import varying
from grokscope.runs.names import SETTINGS
from grokscope.runs.spec import key_columns

_SCOPE = ["study", "task", "depth", "detector", "layer", "threshold_source", "rule"]
_SCOPE += ["lead_min", "lead_max"]
_CHOICES = ["smoothing", "sigma", "sign", "norm", "window", "beta2", "onset_threshold"]
# What identifies a row beside the key columns of its run.
OF_RUNS: Mapping[str, Sequence[str]] = {
    "runs": (),
    "transitions": (),
    "phases": (),
    "alarms": ("detector", "layer", "step"),
    "rank": ("layer", "measure"),
    "variants": _CHOICES,
}
# What identifies a row of a table that has no runs' keys.
OF_STUDIES: Mapping[str, Sequence[str]] = {
    "evaluation": _SCOPE,
    "chance": [*_SCOPE, "score", "null_model"],
    "curves": ("study", "depth", "detector", "layer", "point"),
    "calibration": ("study", "detector", "layer", "threshold_source"),
    "multiverse": ["study", "claim", "quantity", *_CHOICES, "rank_measure"],
    "claims": ("study", "claim"),
}


def row_columns(table: str, columns: Iterable[str]) -> list[str]:
    """Names of the columns that identify a row of a result table.

    Parameters
    ----------
    columns
        Names of the table's columns.
    """
    if table in OF_RUNS:
        return [*key_columns(columns), *OF_RUNS[table]]
    return list(OF_STUDIES[table])


def row_id(row: Mapping[str, Any], table: str) -> str:
    """Text that identifies a row of a result table, its values as printed.

    A setting that the row's study does not vary, or its task does not use, is left out: a run
    has one name in the tables of its study and in those of all studies.
    """
    parts = []
    for name in row_columns(table, row):
        value = row[name]
        if pd.isna(value):
            if table in OF_RUNS and name in SETTINGS:
                continue
            text = "null"
        else:
            text = plain(value) if isinstance(value, float) else str(value)
        parts.append(f"{name}={text}")
    return ",".join(parts)


def row_ids(frame: pd.DataFrame, table: str) -> list[str]:
    """:func:`row_id` of every row."""
    names = row_columns(table, frame.columns)
    return [row_id(row, table) for row in records(frame[names])]


@dataclass(frozen=True)
class Cell:
    """One cell of a report table.

    Attributes
    ----------
    source
        Table, row and columns (separated by commas) of what it shows; None if the report
        computes it.
    value
        What stands there, in full; of several columns separated by commas.
    """

    text: str
    numeric: bool = False
    source: tuple[str, str, str] | None = None
    value: str | None = None
    style: str | None = None


NOTHING = Cell(ABSENT, numeric=True)


@dataclass(frozen=True)
class Table:
    """One table of the report; `note` says how to read it, a `folded` one is closed at first."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    folded: bool = False


class RowCells:
    """Cells of one row of a result table, each with its source."""

    def __init__(self, row: Mapping[str, Any], table: str) -> None:
        self.row, self.table, self.id = row, table, row_id(row, table)

    def __call__(
        self,
        column: str,
        form: Callable[[float], str] = steps,
        absent: str = ABSENT,
        mark: str = "",
    ) -> Cell:
        """A number."""
        value = self.row[column]
        if pd.isna(value):
            return Cell(absent, numeric=True)
        source = (self.table, self.id, column)
        return Cell(form(float(value)) + mark, True, source, repr(float(value)))

    def ranged(self, columns: Sequence[str], form: Callable[[float], str]) -> Cell:
        """A number with the ends of its interval, or its quartiles: "0.750 (0.700–0.800)".

        For numbers that are never negative; with "to", the tables of GAI would not fit a screen.
        """
        shown = self(columns[0], form)
        low, high = (self.row[end] for end in columns[1:])
        if pd.isna(low) or pd.isna(high):
            return shown
        span = f" ({form(float(low))}–{form(float(high))})"
        return Cell(shown.text + span, True, self._several(columns), self._values(columns))

    def between(self, low: str, high: str, mark: str = "") -> Cell:
        """A window of steps: "200–400"."""
        text = f"{steps(self.row[low])}–{steps(self.row[high])}{mark}"
        names = (low, high)
        return Cell(text, source=self._several(names), value=self._values(names))

    def setting(self, column: str) -> Cell:
        """A key column: what distinguishes the row."""
        value = self.row[column]
        if pd.isna(value):
            return NOTHING
        if isinstance(value, str):
            return replace(self.text(column), text=words(value))
        return self(column, plain)

    def settings(self, columns: Iterable[str]) -> list[Cell]:
        """Several key columns."""
        return [self.setting(name) for name in columns]

    def _several(self, columns: Sequence[str]) -> tuple[str, str, str]:
        return self.table, self.id, ",".join(columns)

    def _values(self, columns: Sequence[str]) -> str:
        return ",".join(repr(float(self.row[name])) for name in columns)

    def text(self, column: str, style: str | None = None, mark: str = "") -> Cell:
        """A text."""
        value = str(self.row[column])
        source = (self.table, self.id, column)
        return Cell(value + mark, source=source, value=value, style=style)


def parameter(value: Any) -> Cell:
    """A parameter that a counted row is about."""
    if pd.isna(value):
        return NOTHING
    if isinstance(value, str):
        return Cell(words(value))
    return Cell(plain(float(value)), numeric=True)


def computed(value: float, form: Callable[[float], str] = steps) -> Cell:
    """A number that the report computes, and so without a source; a dash for null."""
    return Cell(ABSENT if pd.isna(value) else form(float(value)), numeric=True)


def also_varying(table: pd.DataFrame, shown: Iterable[str]) -> list[str]:
    """Parameters that the runs of a table differ in and that are not among those shown."""
    return [name for name in varying(table) if name not in set(shown)]


def parameter_words(name: str) -> str:
    """A parameter as the head of a column."""
    return {"train_fraction": "fraction"}.get(name, name.replace("_", " "))


def sorted_rows(frame: pd.DataFrame, by: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table in the order of some columns."""
    return records(frame.sort_values(list(by), kind="stable"))


def of_study(table: pd.DataFrame, study: str) -> pd.DataFrame:
    """Rows of a study, without the key columns that only other studies of the table have."""
    mine = table[table["study"] == study]
    # Tables without runs have no seed; their p is a p-value.
    # A table without rows says nothing of what its study varies: it keeps what may be a key.
    names = SETTINGS if "seed" in table.columns and len(mine) else ()
    foreign = [name for name in names if name in mine and mine[name].isna().all()]
    return mine.drop(columns=foreign).reset_index(drop=True)
