"""Traces, verified when read: schema, specification, content and cadence."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grokscope.core.errors import BadFileError
from grokscope.data.parts import Parts, parts_of
from grokscope.data.trace import (
    DIGEST,
    INFO,
    NO_DIGEST,
    SCHEMA_VERSION,
    SPEC,
    Trace,
    TraceInfo,
    trace_schema,
)
from grokscope.runs.imported import MOST_STEPS, AnySpec, ImportedSpec, spec_from_values
from grokscope.runs.names import VARIABLE
from grokscope.runs.spec import UNKNOWN, RunSpec

if TYPE_CHECKING:
    import pandas as pd

_ENDS = ("completed", "early_stop", "diverged")
# Allowed patterns of what becomes part of a path.
_NAME, _DECIMAL = re.compile(r"[a-z0-9_]+"), re.compile(r"\d+\.\d+")
# Of a part of a network.
_PART = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_NOT_NEGATIVE = ("grad_norm", "weight_norm", "attention_entropy")
_WORD = re.compile(r"[A-Za-z0-9_.,+-]+")
_OTHER_COLUMNS = "columns differ from the trace schema of its specification"


class TraceError(BadFileError):
    """A trace that is damaged, of another schema, or of another run."""


class OtherVersionError(TraceError):
    """A trace of another version of Grokscope, for which it may be good."""


# Not Arrow's to_numpy, which imports pandas.
def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """Values of a column, read-only; with nulls, float64 with NaN for null."""
    array = column.combine_chunks()
    if not array.null_count:
        return np.from_dlpack(array)
    there = np.from_dlpack(array.is_valid().cast(pa.uint8())).view(bool)
    values = np.full(len(array), np.nan)
    values[there] = np.from_dlpack(array.drop_null())
    return values


def _check_digest(data: bytes, metadata: Mapping[bytes, bytes]) -> None:
    """Refuse a file in which any byte differs from what was written."""
    digest = metadata.get(DIGEST, b"")
    place = data.rfind(digest) if len(digest) == len(NO_DIGEST) else -1
    if place < 0:
        raise TraceError("has no digest")
    whole = data[:place] + NO_DIGEST + data[place + len(digest) :]
    if hashlib.sha256(whole).hexdigest().encode() != digest:
        raise TraceError("content hash differs: the file was changed after it was written")


def _check_names(spec: AnySpec) -> None:
    """Refuse a specification that no configuration can produce: its key may become a path."""
    names = all(_NAME.fullmatch(name) for name in (spec.study, spec.task))
    decimals = [spec.train_fraction, spec.weight_decay]
    if isinstance(spec, ImportedSpec):
        decimals = [value for value in decimals if value != UNKNOWN]
        names &= all(_NAME.fullmatch(n) and _WORD.fullmatch(text) for n, text in spec.settings)
    if not names or not all(_DECIMAL.fullmatch(value) for value in decimals):
        raise TraceError("metadata invalid: a name or number of its specification")


def _check_import(info: TraceInfo, spec: ImportedSpec) -> None:
    """Refuse metadata that no import writes."""
    stopped = "ended" if spec.diverged_step is None else "diverged"
    if info.stopped != stopped or info.diverged_step != spec.diverged_step:
        raise TraceError("metadata invalid: how its log ends differs from its specification")


def _check_info(info: TraceInfo, spec: RunSpec, n_rows: int) -> None:
    """Refuse metadata that no training writes, and a wrong number of rows."""
    counts = (info.n_train, info.n_test, info.n_parameters, info.threads)
    if (
        info.stopped not in _ENDS
        or not all(isinstance(count, int) and count > 0 for count in counts)
        or not all(isinstance(word, str) for word in (info.device, info.processor))
        or not isinstance(info.seconds, int | float)
        or not 0 <= info.seconds < math.inf
        or not isinstance(info.versions, Mapping)
        or not all(isinstance(value, str) for value in info.versions.values())
        or (info.diverged_step is None) != (info.stopped != "diverged")
    ):
        raise TraceError("metadata invalid: a fact about its training is missing or impossible")
    rows = {
        "completed": n_rows == spec.steps + 1,
        "early_stop": spec.early_stop is not None and 0 < n_rows <= spec.steps,
        "diverged": n_rows == info.diverged_step and n_rows <= spec.steps,
    }
    if not rows[info.stopped]:
        raise TraceError(f"has {n_rows} rows, which does not fit {info.stopped}")


def _check_parts(spec: RunSpec, parts: Parts | None) -> None:
    """Refuse names of parts that the specification's network cannot have."""
    usual = parts_of(spec)
    expected = None if spec.model == "mlp" else usual
    if usual is None and parts is not None:
        groups = (parts.layers, parts.matrices, parts.attention)
        if parts.layers and all(
            len(set(names)) == len(names) and all(map(_PART.fullmatch, names)) for names in groups
        ):
            return
    if usual is None or parts != expected:
        raise TraceError("metadata invalid: names of the parts of its network")


def _wrong_column(table: pa.Table, spec: RunSpec) -> str | None:
    """Name of a column with an impossible, misplaced or missing value; None if all are valid."""
    steps = np.arange(len(table))
    tested = (steps % spec.test_every == 0) | (steps == spec.steps)
    ranked = np.zeros(len(table), bool)
    if spec.rank_every is not None:
        ranked = steps % spec.rank_every == 0
    symbolic = spec.encoding != "scalar"
    for name in sorted(set(table.column_names) - {"step", "seed"}):
        values = _to_numpy(table[name])
        there = ~np.isnan(values)
        needed = np.ones(len(table), bool)
        if name.startswith("test_") or name == "softmax_collapse":
            needed = tested
        elif "_rank_" in name or name.startswith("attention_entropy_"):
            needed = ranked
        # R² of one sample or of equal targets, softmax collapse of a regression and some ranks
        # of a zero matrix are undefined.
        undefined = name.startswith(("effective", "stable")) or (
            not symbolic and (name.endswith("_metric") or name == "softmax_collapse")
        )
        # The last row of a stopped run may be evaluated off the cadence, as the last state.
        beyond = there & ~needed & (steps < len(table) - 1)
        share = (name.endswith("_metric") and symbolic) or name == "softmax_collapse"
        if (
            beyond.any()
            or (needed & ~there).any() > undefined
            or np.isinf(values).any()
            or (name.startswith(_NOT_NEGATIVE) and (values < 0).any())
            or (share and (values < 0).any())
            or ((share or name.endswith("_metric")) and (values > 1).any())
        ):
            return str(name)
    return None


def _wrong_logged(table: pa.Table) -> str | None:
    """As :func:`_wrong_column`, of an imported trace, whose values have cadences of their own."""
    for name in sorted(set(table.column_names) - {"step", "seed"}):
        values = _to_numpy(table[name])
        known = values[~np.isnan(values)]
        if (
            not len(known)
            or np.isinf(known).any()
            or ("_norm" in name and (known < 0).any())
            or (name.endswith("_metric") and (known > 1).any())
        ):
            return str(name)
    return None


def check_trace(
    path: str | os.PathLike[str],
    expected: AnySpec | None = None,
    columns: list[str] | None = None,
) -> tuple[AnySpec, TraceInfo, pa.Table]:
    """As :func:`read_trace`, with an Arrow table; the same arguments and errors."""
    try:
        # Read once, so that what is checked is what is used.
        data = Path(path).read_bytes()
        # Not read_table: that would parse "task=..." in the path into columns.
        file = pq.ParquetFile(pa.BufferReader(data))
        metadata = file.metadata.metadata or {}
        spec = spec_from_values(json.loads(metadata[SPEC]))
        values: dict[str, Any] = json.loads(metadata[INFO])
        found = values.get("schema_version")
        if found != SCHEMA_VERSION:
            raise (OtherVersionError if isinstance(found, int) else TraceError)(
                f"trace schema version {found}, "
                f"this code reads version {SCHEMA_VERSION}; delete the file to train it again"
            )
        _check_digest(data, metadata)
        # Other libraries would interpret further keys: pandas, for one, has its own.
        if unknown := set(metadata) - {SPEC, INFO, DIGEST, b"ARROW:schema"}:
            raise TraceError(f"unknown metadata keys: {sorted(unknown)}")
        if expected is not None and spec != expected:
            have, want = asdict(spec), asdict(expected)
            differing = [name for name in want if have.get(name) != want[name]]
            raise TraceError(
                "trace of another specification: "
                + ", ".join(
                    f"{name} is {have.get(name)!r}, not {want[name]!r}" for name in differing
                )
            )
        _check_names(spec)
        info = TraceInfo.from_values(values)
        n_rows = file.metadata.num_rows
        if isinstance(spec, ImportedSpec):
            _check_import(info, spec)
        else:
            # The depth first: a forged one may have names of parts without end.
            if spec.depth > len(file.schema_arrow):
                raise TraceError(_OTHER_COLUMNS)
            _check_info(info, spec, n_rows)
            _check_parts(spec, info.parts)
        if not file.schema_arrow.remove_metadata().equals(trace_schema(spec, info.parts)):
            raise TraceError(_OTHER_COLUMNS)
        # One thread per job; a thread pool may still be shutting down when the process ends.
        table = file.read(columns, use_threads=False)
        facts = file.read(["step", "seed"], use_threads=False)
        steps, seeds = _to_numpy(facts["step"]), _to_numpy(facts["seed"])
    except TraceError as error:
        raise type(error)(f"{path}: {error}") from None
    except FileNotFoundError:
        raise TraceError(f"{path}: no such trace") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{path}: not a readable trace ({error})") from error
    if isinstance(spec, ImportedSpec):
        ends = [int(step) for step in steps[[0, -1]]] if n_rows else []
        if (
            (np.diff(steps) <= 0).any()
            or spec.last_step > MOST_STEPS
            or ends != [spec.first_step, spec.last_step]
        ):
            raise TraceError(f"{path}: steps do not ascend from the log's first to its last")
    elif not np.array_equal(steps, np.arange(n_rows)):
        raise TraceError(f"{path}: steps are not 0, 1, 2, ... without gaps")
    if not (seeds == spec.seed).all():
        raise TraceError(f"{path}: the column seed differs from the seed of its specification")
    wrong = _wrong_logged(table) if isinstance(spec, ImportedSpec) else _wrong_column(table, spec)
    if wrong is not None:
        raise TraceError(f"{path}: column {wrong}: a value is missing, misplaced or out of range")
    return spec, info, table


def read_trace(
    path: str | os.PathLike[str],
    expected: AnySpec | None = None,
    columns: list[str] | None = None,
) -> Trace:
    """Read and verify a trace.

    Parameters
    ----------
    path
        The parquet file.
    expected
        Required specification; None accepts any.
    columns
        Columns to load; None loads all.

    Returns
    -------
    Trace
        Its frame has one row per step.

    Raises
    ------
    TraceError
        Naming the file, if it cannot be read, if any of its bytes differs from what was written,
        if it has another schema or another specification, or if its rows are not those of a
        training: steps 0, 1, 2, ..., values at their cadence and nulls elsewhere.
    """
    spec, info, table = check_trace(path, expected, columns)
    frame = table.to_pandas(use_threads=False)
    if isinstance(spec, ImportedSpec):
        return Trace(expected or spec, info, by_step(frame))
    # The one that was asked for knows which settings its study varies; else the folders do.
    named = expected or replace(spec, varied=_varied(path))
    return Trace(named, info, frame)


def by_step(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a log with those of all other steps from 0 on, in which nothing is known."""
    # Trainings read no frame, and must not wait for pandas.
    import pandas as pd

    if "step" not in frame or not len(frame):
        return frame
    steps = np.arange(int(frame["step"].iloc[-1]) + 1, dtype=np.int32)
    whole = {"step": steps}
    for name in frame.columns.drop("step"):
        if name == "seed":
            whole[name] = np.full(len(steps), frame[name].iloc[0])
        else:
            whole[name] = np.full(len(steps), np.nan, np.float32)
            whole[name][frame["step"].to_numpy()] = frame[name].to_numpy()
    return pd.DataFrame(whole)


def _varied(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Settings that the folders ``name=value`` of a trace name, beside those of every run."""
    named = {part.partition("=")[0] for part in Path(path).parts if "=" in part}
    return tuple(name for name in VARIABLE if name in named)


def read_traces(
    paths: Sequence[str | os.PathLike[str]], specs: Sequence[AnySpec]
) -> Iterator[Trace]:
    """Traces one after the other, so that a panel need not fit in memory.

    Parameters
    ----------
    paths
        Trace files.
    specs
        Their required specifications, in the same order.

    Raises
    ------
    ValueError
        If there are not as many specifications as files.
    TraceError
        If a file is not a trace of its specification.
    """
    if len(paths) != len(specs):
        raise ValueError(f"{len(paths)} traces for {len(specs)} specifications")
    for path, spec in zip(paths, specs, strict=True):
        yield read_trace(path, spec)
