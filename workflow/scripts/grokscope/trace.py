"""Traces: the parquet file of one run, written atomically and verified when read.

Row t describes the state after t updates. ``train_*`` and gradient norms are there at every
step; ``test_*``, ``softmax_collapse`` (share of training samples whose correct-class gradient
is exactly zero; null in regression) and ranks at their cadence, null elsewhere. The file's
metadata holds the run's specification and how it was made (:class:`TraceInfo`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grokscope.files import replacing
from grokscope.runs import RunKey, RunSpec

SCHEMA_VERSION = 2
RANK_MEASURES = ("effective", "stable", "numerical")
_SPEC, _INFO = b"grokscope.spec", b"grokscope.info"


class TraceError(ValueError):
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
    n_rows = len(columns["step"])
    arrays = []
    for field in schema:
        if field.name == "seed":
            arrays.append(pa.array(np.full(n_rows, spec.seed), field.type))
        else:
            values = np.asarray(columns[field.name])
            arrays.append(pa.array(values, field.type, from_pandas=True))
    metadata = {_SPEC: spec.to_json(), _INFO: json.dumps(asdict(info), sort_keys=True)}
    table = pa.Table.from_arrays(arrays, schema=schema.with_metadata(metadata))
    with replacing(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=["seed"],
            column_encoding={
                field.name: "DELTA_BINARY_PACKED" if field.name == "step" else "BYTE_STREAM_SPLIT"
                for field in schema
                if field.name != "seed"
            },
        )


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
        Naming the file, if it cannot be read, has another schema or another specification,
        or if its steps are not 0, 1, 2, ...
    """
    try:
        # Not read_table: that would parse "task=..." in the path into columns.
        file = pq.ParquetFile(path)
        metadata = file.schema_arrow.metadata or {}
        spec = RunSpec.from_json(metadata[_SPEC].decode())
        values: dict[str, Any] = json.loads(metadata[_INFO])
        if values.get("schema_version") != SCHEMA_VERSION:
            raise TraceError(
                f"{path}: trace schema version {values.get('schema_version')}, "
                f"this code reads version {SCHEMA_VERSION}; delete the file to train it again"
            )
        info = TraceInfo(**values)
        if not file.schema_arrow.remove_metadata().equals(trace_schema(spec)):
            raise TraceError(f"{path}: columns differ from the trace schema of its specification")
        frame = file.read(columns).to_pandas()
        steps = file.read(["step"])["step"].to_numpy()
    except TraceError:
        raise
    except FileNotFoundError:
        raise TraceError(f"{path}: no such trace") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{path}: not a readable trace ({error})") from error
    if expected is not None and spec != expected:
        have, want = asdict(spec), asdict(expected)
        differing = [name for name in want if have[name] != want[name]]
        raise TraceError(
            f"{path}: trace of another specification: "
            + ", ".join(f"{name} is {have[name]!r}, not {want[name]!r}" for name in differing)
        )
    if not np.array_equal(steps, np.arange(len(steps))):
        raise TraceError(f"{path}: steps are not 0, 1, 2, ... without gaps")
    return Trace(spec, info, frame)


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
