"""Parts of report tables: cells that name their source, rows and tables.

Input: rows of result tables. Output: cells. A cell that shows a number of a result table names
table, row and column, so that validation can read it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokscope.claims.rows import records
from grokscope.core.formatting import ABSENT, plain, steps, words
from grokscope.data.layout import varying
from grokscope.runs.spec import VARIABLE, key_columns

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
            if table in OF_RUNS and name in VARIABLE:
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
    """One cell of a report table; `source` names the table, row and column it shows."""

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

    def text(self, column: str, style: str | None = None, mark: str = "") -> Cell:
        """A text."""
        value = str(self.row[column])
        source = (self.table, self.id, column)
        return Cell(value + mark, source=source, value=value, style=style)


def parameter(value: Any) -> Cell:
    """A parameter of a run; it identifies, so it has no source."""
    if pd.isna(value):
        return NOTHING
    if isinstance(value, str):
        return Cell(words(value))
    return Cell(plain(float(value)), numeric=True)


def parameters(row: Mapping[str, Any], names: Iterable[str]) -> list[Cell]:
    """Cells of some parameters of a run."""
    return [parameter(row[name]) for name in names]


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
    names = VARIABLE if "seed" in table.columns and len(mine) else ()
    foreign = [name for name in names if name in mine and mine[name].isna().all()]
    return mine.drop(columns=foreign).reset_index(drop=True)
