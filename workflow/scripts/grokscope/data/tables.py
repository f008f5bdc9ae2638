"""Result tables: closed schemas, one reader and one writer.

The schemas stand in ``workflow/schemas/tables.yaml``; ``docs/data_dictionary.md`` is made
from them by :func:`data_dictionary`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow.parquet as pq

from grokscope.core.files import replacing
from grokscope.core.schemas import read_schema
from grokscope.runs.spec import KEY_COLUMNS

_TYPES = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
_PLACEHOLDERS = {"<l>": r"\d+", "<x>": r"0?\.\d+|1\.0"}


class TableError(ValueError):
    """A table that does not match its schema."""


def _schemas() -> Mapping[str, Any]:
    return read_schema("tables.yaml")


def table_names() -> list[str]:
    """Names of all tables that have a schema."""
    return list(_schemas()["tables"])


def columns_of(table: str) -> dict[str, Mapping[str, Any]]:
    """Key columns and own columns of a table, in order, with type and description."""
    schema = _schemas()["tables"][table]
    key = {name: _schemas()["key"][name] for name in schema.get("key", KEY_COLUMNS)}
    return cast(dict[str, Mapping[str, Any]], key | schema["columns"])


def key_of(table: str) -> list[str]:
    """Key columns of a table."""
    return list(_schemas()["tables"][table].get("key", KEY_COLUMNS))


def _declared(table: str, column: str) -> Mapping[str, Any] | None:
    """Declaration of a column, also where its name has a placeholder."""
    declared = columns_of(table)
    if column in declared:
        return declared[column]
    for name, entry in declared.items():
        pattern = re.escape(name)
        for placeholder, expression in _PLACEHOLDERS.items():
            pattern = pattern.replace(re.escape(placeholder), f"(?:{expression})")
        if "<" in name and re.fullmatch(pattern, column):
            return entry
    return None


def conform(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """The table with the schema's column types and order.

    Raises
    ------
    TableError
        If a column is missing, unknown, of another type or null where it may not be.
    """
    names = [name for name in columns_of(table) if "<" not in name]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise TableError(f"table {table}: missing columns {', '.join(missing)}")
    extra = [name for name in frame.columns if name not in names]
    result = {}
    for name in names + extra:
        entry = _declared(table, name)
        if entry is None:
            raise TableError(f"table {table}: unknown column {name!r}; add it to tables.yaml")
        try:
            dtype: Any = _TYPES[entry["type"]]
            result[name] = frame[name].astype(dtype)
        except (TypeError, ValueError) as error:
            raise TableError(
                f"table {table}, column {name!r}: not {entry['type']} ({error})"
            ) from error
        if not entry.get("nullable", False) and result[name].isna().any():
            raise TableError(f"table {table}, column {name!r}: null values are not allowed")
    return pd.DataFrame(result, columns=names + extra).reset_index(drop=True)


def empty(table: str) -> pd.DataFrame:
    """A table without rows."""
    names = [name for name in columns_of(table) if "<" not in name]
    return conform(pd.DataFrame({name: [] for name in names}), table)


def from_rows(rows: Sequence[Mapping[str, Any]], table: str) -> pd.DataFrame:
    """A table of rows, each a mapping of column to value; without rows an empty table."""
    return conform(pd.DataFrame(rows), table) if rows else empty(table)


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str], table: str) -> None:
    """Check a table against its schema and write it; ``.csv`` writes CSV, else parquet."""
    checked = conform(frame, table)
    with replacing(path) as temporary:
        if Path(path).suffix == ".csv":
            checked.to_csv(temporary, index=False)
        else:
            checked.to_parquet(temporary, index=False)


def read_table(path: str | os.PathLike[str], table: str) -> pd.DataFrame:
    """Read a parquet table and check it against its schema."""
    # Not pandas.read_parquet: that would parse "task=..." in the path into columns.
    return conform(pq.ParquetFile(path).read().to_pandas(), table)


def concatenate(frames: Iterable[pd.DataFrame], table: str) -> pd.DataFrame:
    """One table of many; columns that only some have (layers) are null in the others."""
    parts = list(frames)
    full = [part for part in parts if len(part)]
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    if not full:
        return empty(table)
    return conform(pd.concat(full, ignore_index=True).reindex(columns=columns), table)


def data_dictionary() -> str:
    """Markdown description of every table and column."""
    lines = [
        "# Data dictionary",
        "",
        "Made from `workflow/schemas/tables.yaml`; do not edit by hand. Tables stand in",
        "`results/tables/` as parquet and CSV. A null is a value that was not reached, not",
        "measured or not applicable, never zero. `<l>` stands for a layer, `<x>` for a",
        "threshold of the config.",
        "",
    ]
    for table in table_names():
        lines += [f"## {table}", "", _schemas()["tables"][table]["description"], ""]
        lines += ["| column | type | may be null | meaning |", "|---|---|---|---|"]
        for name, entry in columns_of(table).items():
            null = "yes" if entry.get("nullable") else ""
            lines.append(f"| `{name}` | {entry['type']} | {null} | {entry['description']} |")
        lines.append("")
    return "\n".join(lines)
