"""Logs as text and arrays: CSV, JSON lines, Hugging Face's trainer state, parquet, npz."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from grokscope.core.errors import UserError
from grokscope.data.logs.rows import Floats, LogError, Rows, flat, from_records, widened

# Words for a value that was not logged; "nan" is one that was.
_NULLS = ["", "None", "none", "null", "NULL", "NA", "N/A", "<NA>"]
_MONITOR = b"grokscope.monitor"


def read_csv(path: Path) -> Iterator[Rows]:
    """Wide or long tables, separated by commas, semicolons or tabs."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().rstrip("\r\n")
    if not header:
        raise LogError(f"{path}: is empty; a table begins with the names of its columns")
    if header.replace('"', "").lower() == "wall time,step,value":
        raise LogError(
            f"{path}: one tag as TensorBoard's web page exports it, at most 1,000 points of a "
            "longer run; allowed: the event files themselves (events.out.tfevents.*)"
        )
    separator = max(",;\t", key=header.count)
    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(use_threads=False),
            parse_options=pacsv.ParseOptions(delimiter=separator),
            convert_options=pacsv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise LogError(f"{path}: not a table of comma-separated values ({_line(error)})") from None
    yield widened(_from_arrow(path, table, "csv"))


def read_parquet(path: Path) -> Iterator[Rows]:
    """Wide or long tables, W&B's artifacts among them; our live monitor's say what they are."""
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise LogError(f"{path}: not a readable parquet file ({_line(error)})") from None
    metadata = table.schema.metadata or {}
    if b"grokscope.spec" in metadata:
        raise LogError(f"{path}: is a trace of Grokscope already, which needs no import")
    if _MONITOR not in metadata:
        yield widened(_from_arrow(path, table, "parquet"))
        return
    try:
        facts = json.loads(metadata[_MONITOR])
        if facts["version"] != 1:
            raise LogError(f"{path}: of version {facts['version']} of the monitor; allowed: 1")
        config, row = flat(facts["config"]), str(facts["row"])
        groups = [str(group) for group in facts["groups"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise LogError(f"{path}: the monitor's metadata are damaged ({_line(error)})") from None
    rows = _from_arrow(path, table, "grokscope_monitor")
    numbers = dict(rows.numbers)
    squares = [numbers.get(f"weight_norm_{group}") for group in groups]
    if groups and all(of is not None for of in squares) and "weight_norm" not in numbers:
        # The groups of a monitor share out all parameters, each once.
        numbers["weight_norm"] = np.sqrt(sum(of**2 for of in squares if of is not None))
    yield Rows("grokscope_monitor", numbers, rows.texts, config, row=row, complete=True)


def _from_arrow(path: Path, table: pa.Table, name: str) -> Rows:
    """Columns of numbers and of text; anything else is left out."""
    if len(set(table.column_names)) < len(table.column_names):
        twice = next(n for n in table.column_names if table.column_names.count(n) > 1)
        raise LogError(f"{path}: two columns are named {twice!r}; allowed: names that differ")
    numbers: dict[str, Floats] = {}
    texts: dict[str, list[str | None]] = {}
    for column, field in zip(table.columns, table.schema, strict=True):
        kind = field.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            numbers[field.name] = _numbers(column)
        elif pa.types.is_null(kind):
            numbers[field.name] = np.full(len(column), np.nan)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts[field.name] = column.to_pylist()
        elif pa.types.is_boolean(kind):
            texts[field.name] = [None if v is None else str(v) for v in column.to_pylist()]
    return Rows(name, numbers, texts)


def _numbers(column: pa.ChunkedArray) -> Floats:
    """NaN for null, inf for what is not finite."""
    column = column.cast(pa.float64()).combine_chunks()
    known = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), bool)
    values = np.array(column.to_numpy(zero_copy_only=False), np.float64)
    values[known & ~np.isfinite(values)] = np.inf
    values[~known] = np.nan
    return values


def read_jsonl(path: Path) -> Iterator[Rows]:
    """A mapping a line; lines without numbers of steps, or of one nested mapping, are settings."""
    records: list[Mapping[str, Any]] = []
    config: dict[str, Any] = {}
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                raise LogError(
                    f"{path}: line {number} is not JSON; a log that is still being written has "
                    "half a line at its end: wait for it, or cut it off"
                ) from None
            if not isinstance(record, dict):
                raise LogError(f"{path}: line {number} is no mapping; allowed: {{name: value}}")
            nested = list(record.values())
            if len(nested) == 1 and isinstance(nested[0], dict):
                # The first word counts: a summary repeats the settings.
                config = flat(nested[0]) | config
            else:
                records.append(record)
    # A line of settings at the top that is not nested.
    if len(records) > 1 and not set(records[0]) & set(records[1]):
        config |= flat(records.pop(0))
    yield widened(from_records(records, format="jsonl", config=config))


def read_json(path: Path) -> Iterator[Rows]:
    """A JSON file: Hugging Face's trainer state, or a list of rows."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        raise LogError(f"{path}: is not JSON") from None
    if isinstance(content, dict) and "log_history" in content:
        yield _huggingface(path, content)
    elif isinstance(content, list) and all(isinstance(row, dict) for row in content):
        yield widened(from_records(content, format="jsonl"))
    else:
        raise LogError(f"{path}: allowed: a trainer_state.json, or a list of rows {{name: value}}")


def _huggingface(path: Path, state: Mapping[str, Any]) -> Rows:
    """``log_history``: the loss is a mean since the last log, the last row sums up all."""
    history = state["log_history"]
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise LogError(f"{path}: log_history is no list of rows")
    rows = [row for row in history if "train_runtime" not in row]
    found = from_records(rows, format="huggingface")
    names = {"step": "step", "train_loss": "loss", "grad_norm": "grad_norm"}
    names |= {"test_loss": "eval_loss", "test_metric": "eval_accuracy"}
    names |= {"train_metric": "train_accuracy"}
    config = {k: v for k, v in flat(state).items() if isinstance(v, int | float | str)}
    return Rows(
        "huggingface",
        found.numbers,
        found.texts,
        config,
        names={name: of for name, of in names.items() if of in found.numbers},
        means={"loss": "since_last"},
        row="before_update",
        complete=True,
    )


def read_npz(path: Path) -> Iterator[Rows]:
    """One array of numbers a column, all equally long; single numbers and texts are settings."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise LogError(f"{path}: not a readable npz file of numbers ({_line(error)})") from None
    config = {name: of.item() for name, of in arrays.items() if of.ndim == 0}
    columns = {name: of for name, of in arrays.items() if of.ndim == 1 and of.dtype.kind in "iuf"}
    if len({len(of) for of in columns.values()}) > 1:
        sizes = ", ".join(f"{name} {len(of)}" for name, of in columns.items())
        raise LogError(f"{path}: columns differ in length ({sizes}); allowed: one value a row")
    numbers = {}
    for name, of in columns.items():
        values = of.astype(np.float64)
        # An array has no null: NaN stands for it, and only infinity is not finite.
        numbers[name] = np.where(np.isinf(values), math.inf, values)
    yield Rows("npz", numbers, config=config)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
