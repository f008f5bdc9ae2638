"""Traces: the parquet file of one run, written atomically and verified when read.

Row t describes the state after t updates. ``train_*`` and gradient norms are there at every
step; ``test_*``, ``softmax_collapse`` (share of training samples whose correct-class gradient
is exactly zero; null in regression) and ranks at their cadence, null elsewhere. The file's
metadata holds the run's specification and how it was made (:class:`TraceInfo`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grokscope.core.files import BadFileError, replacing
from grokscope.runs.spec import RunKey, RunSpec

if TYPE_CHECKING:
    # A training job needs no data frame: pandas costs a third of a second and 40 MB.
    import pandas as pd

SCHEMA_VERSION = 3
RANK_MEASURES = ("effective", "stable", "numerical")
_SPEC, _INFO, _DIGEST = b"grokscope.spec", b"grokscope.info", b"grokscope.digest"
# What stands in the digest's place while the bytes are hashed.
_NO_DIGEST = b"0" * 64
_ENDS = ("completed", "early_stop", "diverged")
# What may become part of a path.
_NAME, _DECIMAL = re.compile(r"[a-z0-9_]+"), re.compile(r"\d+\.\d+")


class TraceError(BadFileError):
    """A trace that is damaged, of another schema, or of another run."""


@dataclass(frozen=True)
class TraceInfo:
    """How a trace was made.

    Attributes
    ----------
    stopped : str
        ``completed`` (all updates made), ``early_stop`` or ``diverged``.
    diverged_step : int or None
        First step with a non-finite value; the rows end before it.
    n_train, n_test, n_parameters : int
        Sizes of the training set, the test set and the model.
    device, threads, seconds, versions
        What trained it, for how long, with which libraries.
    resumed_at : sequence of int
        Steps from which a stopped training went on.
    """

    stopped: str
    diverged_step: int | None
    n_train: int
    n_test: int
    n_parameters: int
    device: str
    threads: int
    seconds: float
    versions: Mapping[str, str]
    resumed_at: Sequence[int] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Trace:
    """One run: what specifies it, how it was made, a row a step."""

    spec: RunSpec
    info: TraceInfo
    frame: pd.DataFrame

    @property
    def key(self) -> RunKey:
        return self.spec.key

    @property
    def layers(self) -> list[int]:
        """Layer numbers of the gradient norms; 0 is the pair of embeddings."""
        return gradient_layers(self.spec)

    def evaluated(self) -> pd.DataFrame:
        """Rows at which the test set was evaluated."""
        return self.frame[self.frame["test_loss"].notna()]


def gradient_layers(spec: RunSpec) -> list[int]:
    """Layers with a gradient norm: 1..depth, and 0 for learned embeddings."""
    return list(range(0 if spec.encoding == "embedding" else 1, spec.depth + 1))


def trace_schema(spec: RunSpec) -> pa.Schema:
    """Columns of the run's trace, in order; closed."""
    layers = gradient_layers(spec)
    names = ["train_loss", "test_loss", "train_metric", "test_metric", "softmax_collapse"]
    names.append("grad_norm")
    names += [f"grad_norm_{layer}" for layer in layers]
    names += [f"weight_norm_{layer}" for layer in layers]
    names += [
        f"{measure}_rank_{layer}"
        for layer in range(1, spec.depth + 1)
        for measure in RANK_MEASURES
    ]
    # The seed is a column because it is a file name, not a folder, in the tree of traces.
    return pa.schema(
        [("step", pa.int32()), ("seed", pa.int64())] + [(name, pa.float32()) for name in names]
    )


def write_trace(
    path: str | os.PathLike[str],
    spec: RunSpec,
    info: TraceInfo,
    columns: Mapping[str, np.ndarray],
) -> None:
    """Write a trace under a temporary name, then move it into place.

    Parameters
    ----------
    columns
        Arrays of shape ``(n_rows,)`` for every column of :func:`trace_schema` but ``seed``;
        NaN stands for null.
    """
    schema = trace_schema(spec)
    values = {**columns, "seed": np.full(len(columns["step"]), spec.seed)}
    arrays = [_from_numpy(values[field.name], field.type) for field in schema]
    metadata = {_SPEC: spec.to_json(), _INFO: json.dumps(asdict(info), sort_keys=True)}
    table = pa.Table.from_arrays(arrays, schema=schema.with_metadata(metadata))
    with replacing(path) as temporary:
        write_sealed(table, temporary)


# Not pa.array and to_numpy: they import pandas, to see whether they were given some.
def _from_numpy(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Numbers as Arrow's, null for NaN."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    there = np.packbits(~np.isnan(values), bitorder="little")
    buffers = [pa.py_buffer(there), pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers of a table's column, read-only; float64 if some are null, which are NaN."""
    array = column.combine_chunks()
    if not array.null_count:
        return np.from_dlpack(array)
    there = np.from_dlpack(array.is_valid().cast(pa.uint8())).view(bool)
    values = np.full(len(array), np.nan)
    values[there] = np.from_dlpack(array.drop_null())
    return values


def write_sealed(table: pa.Table, path: Path) -> None:
    """Write a table with the digest of its file's bytes, hashed with zeros for the digest."""
    plain = {"step": "DELTA_BINARY_PACKED"}
    with pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        use_dictionary=["seed"],
        column_encoding={
            name: plain.get(name, "BYTE_STREAM_SPLIT")
            for name in table.column_names
            if name != "seed"
        },
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_DIGEST: _NO_DIGEST})
    data = path.read_bytes()
    # The metadata stand at the file's end.
    place = data.rindex(_NO_DIGEST)
    digest = hashlib.sha256(data).hexdigest().encode()
    path.write_bytes(data[:place] + digest + data[place + len(digest) :])


def _check_digest(data: bytes, metadata: Mapping[bytes, bytes]) -> None:
    """Refuse a file in which any byte is another than was written."""
    digest = metadata.get(_DIGEST, b"")
    place = data.rfind(digest) if len(digest) == len(_NO_DIGEST) else -1
    if place < 0:
        raise TraceError("has no digest")
    whole = data[:place] + _NO_DIGEST + data[place + len(digest) :]
    if hashlib.sha256(whole).hexdigest().encode() != digest:
        raise TraceError("its bytes are not those that were written")


def _check_names(spec: RunSpec) -> None:
    """Refuse a specification that no configuration asks for, as its key may become a path."""
    names = all(_NAME.fullmatch(name) for name in (spec.study, spec.task))
    decimals = (spec.train_fraction, spec.weight_decay)
    if not names or not all(_DECIMAL.fullmatch(value) for value in decimals):
        raise TraceError("has a specification that cannot be")


def _check_info(info: TraceInfo, spec: RunSpec, n_rows: int) -> None:
    """Refuse facts that no training states, and rows that are too few or too many."""
    counts = (info.n_train, info.n_test, info.n_parameters, info.threads)
    if (
        info.stopped not in _ENDS
        or not all(isinstance(count, int) and count > 0 for count in counts)
        or not isinstance(info.device, str)
        or not isinstance(info.seconds, int | float)
        or not 0 <= info.seconds < math.inf
        or not isinstance(info.versions, Mapping)
        or not all(isinstance(value, str) for value in info.versions.values())
        or (info.diverged_step is None) != (info.stopped != "diverged")
    ):
        raise TraceError("says of its training what cannot be")
    rows = {
        "completed": n_rows == spec.steps + 1,
        "early_stop": spec.early_stop is not None and 0 < n_rows <= spec.steps,
        "diverged": n_rows == info.diverged_step and n_rows <= spec.steps,
    }
    if not rows[info.stopped]:
        raise TraceError(f"has {n_rows} rows, which does not fit {info.stopped}")


def _wrong_column(table: pa.Table, spec: RunSpec) -> str | None:
    """A column with a value where there can be none, or none where there must be one."""
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
        elif "_rank_" in name:
            needed = ranked
        # R² of one sample or of equal targets, softmax of a regression and some ranks of a
        # zero matrix are undefined.
        undefined = name.startswith(("effective", "stable")) or (
            not symbolic and (name.endswith("_metric") or name == "softmax_collapse")
        )
        # The last row of a run that was stopped may have been evaluated for being the last.
        beyond = there & ~needed & (steps < len(table) - 1)
        share = (name.endswith("_metric") and symbolic) or name == "softmax_collapse"
        if (
            beyond.any()
            or (needed & ~there).any() > undefined
            or np.isinf(values).any()
            or ("_norm" in name and (values < 0).any())
            or (share and ((values < 0) | (values > 1)).any())
        ):
            return str(name)
    return None


def check_trace(
    path: str | os.PathLike[str],
    expected: RunSpec | None = None,
    columns: list[str] | None = None,
) -> tuple[RunSpec, TraceInfo, pa.Table]:
    """What :func:`read_trace` reads, without its data frame; the same arguments and errors."""
    try:
        # Read once: what is checked is what is used.
        data = Path(path).read_bytes()
        # Not read_table: that would parse "task=..." in the path into columns.
        file = pq.ParquetFile(pa.BufferReader(data))
        metadata = file.metadata.metadata or {}
        spec = RunSpec.from_json(metadata[_SPEC].decode())
        values: dict[str, Any] = json.loads(metadata[_INFO])
        if values.get("schema_version") != SCHEMA_VERSION:
            raise TraceError(
                f"trace schema version {values.get('schema_version')}, "
                f"this code reads version {SCHEMA_VERSION}; delete the file to train it again"
            )
        _check_digest(data, metadata)
        # Others would be read by others: pandas, for one, has its own.
        if unknown := set(metadata) - {_SPEC, _INFO, _DIGEST, b"ARROW:schema"}:
            raise TraceError(f"has metadata that no trace has: {sorted(unknown)}")
        if expected is not None and spec != expected:
            have, want = asdict(spec), asdict(expected)
            differing = [name for name in want if have[name] != want[name]]
            raise TraceError(
                "trace of another specification: "
                + ", ".join(f"{name} is {have[name]!r}, not {want[name]!r}" for name in differing)
            )
        _check_names(spec)
        info = TraceInfo(**(values | {"resumed_at": tuple(values["resumed_at"])}))
        n_rows = file.metadata.num_rows
        _check_info(info, spec, n_rows)
        # The depth first: a schema of a forged one may have no end.
        if spec.depth > len(file.schema_arrow) or not file.schema_arrow.remove_metadata().equals(
            trace_schema(spec)
        ):
            raise TraceError("columns differ from the trace schema of its specification")
        # One thread a job; a pool of threads may still end while the process does.
        table = file.read(columns, use_threads=False)
        facts = file.read(["step", "seed"], use_threads=False)
        steps, seeds = _to_numpy(facts["step"]), _to_numpy(facts["seed"])
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise TraceError(f"{path}: no such trace") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{path}: not a readable trace ({error})") from error
    if not np.array_equal(steps, np.arange(n_rows)):
        raise TraceError(f"{path}: steps are not 0, 1, 2, ... without gaps")
    if not (seeds == spec.seed).all():
        raise TraceError(f"{path}: the column seed is not that of its specification")
    wrong = _wrong_column(table, spec)
    if wrong is not None:
        raise TraceError(f"{path}: column {wrong}: a value is missing, or one cannot be")
    return spec, info, table


def read_trace(
    path: str | os.PathLike[str],
    expected: RunSpec | None = None,
    columns: list[str] | None = None,
) -> Trace:
    """Read a trace and refuse one that is not what it should be.

    Parameters
    ----------
    path
        The parquet file.
    expected
        Specification asked for; None accepts any.
    columns
        Columns to load; None loads all.

    Raises
    ------
    TraceError
        Naming the file, if it cannot be read, if any of its bytes is not that which was
        written, if it has another schema or another specification, or if its rows are not
        those of a training: steps 0, 1, 2, ..., values at their cadence, none elsewhere.
    """
    spec, info, table = check_trace(path, expected, columns)
    return Trace(spec, info, table.to_pandas(use_threads=False))


def read_traces(paths: Sequence[str | os.PathLike[str]], specs: str) -> Iterator[Trace]:
    """Traces one after the other, so that a panel need not fit in memory.

    Parameters
    ----------
    paths
        Trace files.
    specs
        A JSON list of the specifications that they must have, in the same order.

    Raises
    ------
    ValueError
        If there are not as many specifications as files.
    TraceError
        If a file is not a trace of its specification.
    """
    expected = [RunSpec.from_json(json.dumps(spec)) for spec in json.loads(specs)]
    if len(paths) != len(expected):
        raise ValueError(f"{len(paths)} traces for {len(expected)} specifications")
    for path, spec in zip(paths, expected, strict=True):
        yield read_trace(path, spec)
