"""Traces, written atomically, with the hash of their own bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grokscope.core.files import replacing
from grokscope.data.trace import DIGEST, INFO, NO_DIGEST, SPEC, TraceInfo, trace_schema
from grokscope.runs.imported import AnySpec


def write_trace(
    path: str | os.PathLike[str],
    spec: AnySpec,
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
    schema = trace_schema(spec, info.parts)
    values = {**columns, "seed": np.full(len(columns["step"]), spec.seed)}
    arrays = [_from_numpy(values[field.name], field.type) for field in schema]
    metadata = {SPEC: spec.to_json(), INFO: info.to_json()}
    table = pa.Table.from_arrays(arrays, schema=schema.with_metadata(metadata))
    with replacing(path) as temporary:
        write_sealed(table, temporary)


# Not pa.array, which imports pandas to check whether its argument is pandas data.
def _from_numpy(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Numbers as an Arrow array, with null for NaN."""
    values = np.ascontiguousarray(values, kind.to_pandas_dtype())
    there = np.packbits(~np.isnan(values), bitorder="little")
    buffers = [pa.py_buffer(there), pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, len(values), buffers)


def write_sealed(table: pa.Table, path: Path) -> None:
    """Write a table with the digest of the file's bytes, hashed with zeros in its place."""
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
        writer.add_key_value_metadata({DIGEST: NO_DIGEST})
    data = path.read_bytes()
    # The metadata are at the end of the file.
    place = data.rindex(NO_DIGEST)
    digest = hashlib.sha256(data).hexdigest().encode()
    path.write_bytes(data[:place] + digest + data[place + len(digest) :])
