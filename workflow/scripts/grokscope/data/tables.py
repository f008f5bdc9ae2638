"""Result tables: closed schemas, one reader and one writer.

The schemas are in ``workflow/schemas/tables.yaml``; :func:`data_dictionary` makes
``docs/data_dictionary.md`` from them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grokscope.core.errors import BadFileError
from grokscope.core.files import replacing
from grokscope.core.schemas import read_schema
from grokscope.runs.names import SETTINGS
from grokscope.runs.spec import KEY_COLUMNS, key_columns

_TYPES = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
_PLACEHOLDERS = {"<l>": r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", "<x>": r"0?\.\d+|1\.0"}


class TableError(BadFileError):
    """A table that does not match its schema, or a file that is not a table."""


def _schemas() -> Mapping[str, Any]:
    return read_schema("tables.yaml")


def table_names() -> list[str]:
    """Names of all tables that have a schema."""
    return list(_schemas()["tables"])


@cache
def columns_of(table: str) -> dict[str, Mapping[str, Any]]:
    """Key columns and other columns of a table, in order, with type and description.

    Key columns of settings are ``optional``: only studies whose grids vary a setting have it.
    """
    schema = _schemas()["tables"][table]
    key = {name: _schemas()["key"][name] for name in key_of(table)}
    if "key" not in schema:
        optional = {name: _schemas()["settings"][name] for name in SETTINGS}
        seed = key.pop("seed")
        key |= {name: {**entry, "optional": True} for name, entry in optional.items()}
        key["seed"] = seed
    return cast(dict[str, Mapping[str, Any]], key | schema["columns"])


def key_of(table: str) -> list[str]:
    """Key columns that are always in a table."""
    return list(_schemas()["tables"][table].get("key", KEY_COLUMNS))


def _required(table: str) -> list[str]:
    return [
        name
        for name, entry in columns_of(table).items()
        if "<" not in name and not entry.get("optional")
    ]


@cache
def declared(table: str, column: str) -> Mapping[str, Any] | None:
    """Declaration of a column, whose declared name may have a placeholder; None if unknown."""
    names = columns_of(table)
    if column in names:
        return names[column]
    for name, entry in names.items():
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
    missing = [name for name in _required(table) if name not in frame.columns]
    if missing:
        raise TableError(f"table {table}: missing columns {', '.join(missing)}")
    names = [name for name in columns_of(table) if name in frame.columns]
    extra = [name for name in frame.columns if name not in names]
    result = {}
    for name in names + extra:
        entry = declared(table, name)
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


def empty(table: str, keys: Iterable[str] = ()) -> pd.DataFrame:
    """A table without rows.

    Parameters
    ----------
    keys
        Key columns of its runs: those of settings that its study varies are kept, so that it
        merges with the study's other tables.
    """
    wanted = {*_required(table), *keys}
    names = [name for name in columns_of(table) if name in wanted]
    return conform(pd.DataFrame({name: [] for name in names}), table)


def from_rows(
    rows: Sequence[Mapping[str, Any]], table: str, keys: Iterable[str] = ()
) -> pd.DataFrame:
    """A table of rows, each a mapping of column to value; without rows :func:`empty`."""
    return conform(pd.DataFrame(rows), table) if rows else empty(table, keys)


def key_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Key columns of runs, in the order and with the types that they have in tables."""
    frame = pd.DataFrame(rows)
    entries = columns_of("runs")
    names = key_columns(frame.columns)
    return frame[names].astype({name: _TYPES[entries[name]["type"]] for name in names})


def run_keys(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Key of each row's run, with None for null, so that equal keys compare equal."""
    keys = table[key_columns(table.columns)].astype(object)
    return list(keys.where(keys.notna(), None).itertuples(index=False, name=None))


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str], table: str) -> None:
    """Check a table against its schema and write it; ``.csv`` writes CSV, else parquet."""
    checked = conform(frame, table)
    with replacing(path) as temporary:
        if Path(path).suffix == ".csv":
            checked.to_csv(temporary, index=False)
        else:
            checked.to_parquet(temporary, index=False)


def read_table(path: str | os.PathLike[str], table: str) -> pd.DataFrame:
    """Read a parquet table and check it against its schema.

    Raises
    ------
    TableError
        Naming the file, if it cannot be read or does not match the schema.
    """
    try:
        # Not pandas.read_parquet: that would parse "task=..." in the path into columns.
        return conform(pq.ParquetFile(path).read().to_pandas(), table)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise TableError(f"{path}: not a readable table ({reason})") from error


def read_tables(paths: Iterable[str | os.PathLike[str]], table: str) -> pd.DataFrame:
    """Several parquet tables of one schema, concatenated."""
    return concatenate([read_table(path, table) for path in paths], table)


def concatenate(frames: Iterable[pd.DataFrame], table: str) -> pd.DataFrame:
    """Tables concatenated; columns that only some have (layers) are null in the others."""
    parts = list(frames)
    full = [part for part in parts if len(part)]
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    if not full:
        return empty(table, columns)
    return conform(pd.concat(full, ignore_index=True).reindex(columns=columns), table)


def data_dictionary() -> str:
    """Markdown description of every table and column."""
    lines = [
        "# Data dictionary",
        "",
        "Made from `workflow/schemas/tables.yaml`; do not edit by hand. Tables are in",
        "`results/tables/` as parquet and CSV. Null means not reached, not measured or not",
        "applicable, never zero. `<l>` stands for a layer, `<x>` for a threshold of the config.",
        "",
        "Tables of runs begin with the key columns. Further settings that the grids of a study",
        "vary are key columns, too, between `width` and `seed` (null where a task does not use",
        "the setting, and in a table of several studies for those that do not vary it):",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *(
            f"| `{name}` | {entry['type']} | {entry['description']} |"
            for name, entry in _schemas()["settings"].items()
        ),
        "",
    ]
    for table in table_names():
        own = _schemas()["tables"][table]["columns"]
        lines += [f"## {table}", "", _schemas()["tables"][table]["description"], ""]
        lines += ["| column | type | may be null | meaning |", "|---|---|---|---|"]
        for name, entry in columns_of(table).items():
            null = "yes" if entry.get("nullable") else ""
            if name in SETTINGS and name not in own:
                continue
            lines.append(f"| `{name}` | {entry['type']} | {null} | {entry['description']} |")
        lines.append("")
    return "\n".join(lines)
