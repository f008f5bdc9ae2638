"""Records: the file of a watched run, and the one that grows while it runs.

A finished run leaves one parquet file with one row per step. While it runs, its rows stand in a
file beside it, ``run.parquet.partial``: an Arrow stream to which whole batches are appended, so
whatever ends the process leaves all batches but the last, and that is recognised as cut off.
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import grokscope
from grokscope.core.errors import BadFileError, UserError
from grokscope.core.files import replacing

FORMAT_VERSION = 1
# Key of a file's metadata.
MONITOR = b"grokscope.monitor"
METRICS = ("train_loss", "train_metric", "test_loss", "test_metric")
PARTIAL = ".partial"

Columns = Mapping[str, NDArray[Any]]


def library_versions() -> dict[str, str]:
    """Versions of what measured."""
    import torch

    versions = {"grokscope": grokscope.__version__, "torch": torch.__version__}
    return versions | {"numpy": np.__version__, "python": platform.python_version()}


def partial_path(path: str | os.PathLike[str]) -> Path:
    """The file that grows while the run runs."""
    path = Path(path)
    return path.with_name(path.name + PARTIAL)


def read_partial(path: str | os.PathLike[str]) -> pa.Table:
    """The whole batches of a file that was growing.

    Raises
    ------
    BadFileError
        If it is missing or not such a file.
    """
    batches = []
    try:
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_stream(file)
            schema = reader.schema
            while True:
                try:
                    batches.append(reader.read_next_batch())
                except (StopIteration, pa.ArrowException, OSError):
                    break
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BadFileError(f"{path}: no rows of a monitor ({reason})") from error
    return pa.Table.from_batches(batches, schema)


def read_rows(path: str | os.PathLike[str]) -> tuple[pa.Table, dict[str, Any]]:
    """Rows and metadata of a run: of its file, or of what stands beside it.

    Raises
    ------
    BadFileError
        If neither is there, or it is none of a monitor.
    """
    path = Path(path)
    if path.exists():
        try:
            table = pq.ParquetFile(path).read()
        except (OSError, pa.ArrowException) as error:
            raise BadFileError(f"{path}: not a readable parquet file ({error})") from error
    elif partial_path(path).exists():
        table = read_partial(partial_path(path))
    else:
        raise BadFileError(f"{path}: no such run, nor {partial_path(path).name} beside it")
    metadata = table.schema.metadata or {}
    if MONITOR not in metadata:
        raise BadFileError(f"{path}: not written by a GradientMonitor")
    return table, json.loads(metadata[MONITOR])


def recover(path: str | os.PathLike[str]) -> int:
    """Make the file of a run whose process died, marked as not complete; its number of rows.

    The growing file stays: a resumed training goes on with it.

    Raises
    ------
    UserError
        If the run has a file already, or left nothing.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"{path}: is there already; the run was finished")
    table, metadata = read_rows(path)
    _write(path, table, metadata | {"complete": False, "stopped_reason": "process died"})
    return len(table)


def _write(path: Path, table: pa.Table, metadata: Mapping[str, Any]) -> None:
    text = json.dumps(metadata, sort_keys=True)
    with replacing(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({MONITOR: text}), temporary, compression="zstd"
        )


class Recording:
    """Rows of a run that are appended as they come.

    Parameters
    ----------
    path
        Of the run's file.
    columns
        Names of the columns that are known from the beginning.
    metadata
        What the file says of the run while it grows.
    start
        Step of the first row to come. Rows from there on that an earlier process wrote are
        dropped: the run went back to its checkpoint.

    Raises
    ------
    UserError
        If rows of another process are there and the run starts at 0, or if rows are missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: list[str],
        metadata: Mapping[str, Any],
        start: int = 0,
    ) -> None:
        self.path = Path(path)
        self._partial = partial_path(path)
        self._metadata = dict(metadata)
        self._schema = _schema(columns, self._metadata)
        self._waiting: list[pa.RecordBatch] = []
        self._warned = False
        there = [place for place in (self.path, self._partial) if place.exists()]
        if start == 0 and there:
            raise UserError(
                f"{there[0]}: has rows of an earlier run; move it away, or load the state "
                "of the monitor from that run's checkpoint (load_state_dict)"
            )
        kept = pa.Table.from_batches([], self._schema)
        if start:
            kept = self._earlier(start)
            self._schema = _schema(kept.column_names[1:], self._metadata)
        self._begin(kept)

    def _earlier(self, start: int) -> pa.Table:
        table, found = read_rows(self.path)
        if found["groups"] != self._metadata["groups"]:
            raise UserError(f"{self.path}: has the groups {found['groups']}, not those of now")
        steps = table["step"].to_numpy()
        kept = table.filter(pa.array(steps < start))
        if len(kept) and kept["step"][-1].as_py() != start - 1:
            raise UserError(
                f"{self.path}: ends at step {kept['step'][-1]}, but the state that was loaded "
                f"goes on at step {start}: rows are missing"
            )
        return kept

    def _begin(self, rows: pa.Table) -> None:
        """Write the growing file anew, whole, and go on behind it."""
        with replacing(self._partial) as temporary, temporary.open("wb") as file:
            file.write(self._schema.serialize())
            for batch in rows.replace_schema_metadata(self._schema.metadata).to_batches():
                file.write(batch.serialize())
        self._end = self._partial.stat().st_size

    def append(self, columns: Columns) -> None:
        """Append rows; what cannot be written now, for lack of space, is kept for later.

        Parameters
        ----------
        columns
            Arrays of one length; ``step``, and numbers with NaN for null. A column that is not
            known yet is null in all rows before.
        """
        new = [name for name in columns if name not in self._schema.names]
        if new:
            self._extend(new)
        n_rows = len(columns["step"])
        arrays = []
        for field in self._schema:
            values = columns.get(field.name)
            if values is None:
                arrays.append(pa.nulls(n_rows, field.type))
            else:
                arrays.append(pa.array(values, field.type, from_pandas=True))
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._write_waiting()

    def _write_waiting(self) -> bool:
        try:
            with self._partial.open("r+b") as file:
                while self._waiting:
                    # Over what a write that failed left half.
                    file.seek(self._end)
                    file.truncate()
                    data = self._waiting[0].serialize()
                    file.write(data)
                    file.flush()
                    self._end += data.size
                    del self._waiting[0]
        except OSError as error:
            if not self._warned:
                self._warned = True
                reason = error.strerror or str(error)
                warnings.warn(
                    f"{self._partial}: cannot be written ({reason}); its rows are kept in "
                    "memory until it can",
                    stacklevel=2,
                )
            return False
        return True

    def _extend(self, names: list[str]) -> None:
        """Give the growing file further columns, null so far."""
        waiting, self._waiting = self._waiting, []
        table = pa.Table.from_batches(
            [*read_partial(self._partial).to_batches(), *waiting], schema=self._schema
        )
        for name in names:
            table = table.append_column(name, pa.nulls(len(table), pa.float32()))
        self._schema = _schema(table.column_names[1:], self._metadata)
        self._begin(table)

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Write the run's file and remove the growing one.

        Raises
        ------
        WriteError
            If the file cannot be written; then the growing one stays.
        """
        self._write_waiting()
        table = pa.Table.from_batches(
            [*read_partial(self._partial).to_batches(), *self._waiting], schema=self._schema
        )
        _write(self.path, table, metadata)
        self._partial.unlink(missing_ok=True)


def _schema(columns: list[str], metadata: Mapping[str, Any]) -> pa.Schema:
    fields = [("step", pa.int64()), *((name, pa.float32()) for name in columns)]
    return pa.schema(fields, {MONITOR: json.dumps(metadata, sort_keys=True)})
