"""Scores: what the detectors say of the runs of a panel, by step and in blocks of steps.

Input: traces. Output: one parquet file per panel, with one row per run, detector and layer.

Block k holds the largest score of steps ((k-1) c, k c], c = ``resolution``, and is known at step
k c; block 0 is step 0. Steps after the last whole block are dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from grokscope.core.errors import BadFileError
from grokscope.core.files import replacing
from grokscope.data.tables import columns_of
from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, Signals
from grokscope.measure.lacking import lacking
from grokscope.runs.settings import Analysis, DetectorSettings
from grokscope.runs.spec import key_columns

_ARROW = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
_SCORED = {
    "detector": pa.string(),
    "layer": pa.string(),
    "warm_up": pa.int64(),
    "scores": pa.list_(pa.float32()),
}
# As in tables, so that scores merge with them.
_DTYPES = {
    pa.string(): "string",
    pa.int64(): "Int64",
    pa.float64(): "Float64",
    pa.bool_(): "boolean",
}


def _schema(columns: Iterable[str]) -> pa.Schema:
    """Schema of scores of runs with these columns: their key, then what is scored."""
    declared = columns_of("runs")
    key = {name: _ARROW[declared[name]["type"]] for name in key_columns(columns)}
    return pa.schema(list((key | _SCORED).items()))


def block_maxima(values: ArrayLike, resolution: int) -> NDArray[np.float32]:
    """Largest value of each block of steps.

    Parameters
    ----------
    values
        Shape ``(n_steps,)``, NaN where unknown.
    resolution
        Steps per block.

    Returns
    -------
    ndarray
        Shape ``((n_steps - 1) // resolution + 1,)``, empty without steps; NaN where no step of
        the block has a value.
    """
    values = np.asarray(values, np.float64)
    n_blocks = (len(values) - 1) // resolution
    whole = values[1 : 1 + max(n_blocks, 0) * resolution].reshape(-1, resolution)
    maxima = np.concatenate([values[:1], np.fmax.reduce(whole, axis=1)])
    return maxima.astype(np.float32)


def first_score(values: NDArray[np.float64]) -> int | None:
    """First step with a score, the end of the warm-up; None without any."""
    known = np.isfinite(values)
    return int(known.argmax()) if known.any() else None


def run_signals(trace: Trace, analysis: Analysis) -> dict[str, Signals]:
    """Scores of each step by every detector that the run is testable by: by name, then by layer.

    Parameters
    ----------
    analysis
        Sections ``onset``, ``alarms`` and ``detectors``.
    """
    return {
        name: entry.signal(trace, analysis)
        for name, entry in DETECTORS.items()
        if lacking(trace, name) is None
    }


def score_rows(
    trace: Trace, signals: Mapping[str, Signals], settings: DetectorSettings
) -> list[dict[str, Any]]:
    """Rows of the scores of a run, one per detector and layer.

    Parameters
    ----------
    signals
        Of :func:`run_signals`.

    Returns
    -------
    list of dict
        The run's key, ``detector``, ``layer``, ``warm_up`` (the first step with a score, None
        without any) and ``scores`` (float32, see :func:`block_maxima`; None of a detector that an
        imported run is not testable by).
    """
    key = trace.key.row()
    return [
        key
        | {
            "detector": name,
            "layer": layer,
            "warm_up": first_score(values),
            "scores": block_maxima(values, settings.resolution),
        }
        for name, layers in signals.items()
        for layer, values in layers.items()
    ] + [
        key | {"detector": name, "layer": COMBINED, "warm_up": None, "scores": None}
        for name in DETECTORS
        if lacking(trace, name) is not None
    ]


def score_run(trace: Trace, analysis: Analysis) -> list[dict[str, Any]]:
    """Scores of every registered detector on a run, in blocks of steps.

    Parameters
    ----------
    analysis
        Sections ``onset``, ``alarms`` and ``detectors``.

    Returns
    -------
    list of dict
        See :func:`score_rows`.
    """
    return score_rows(trace, run_signals(trace, analysis), analysis.detectors)


def write_scores(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write the rows of :func:`score_run` of a study's runs, whole or not at all."""
    ordered = sorted(rows, key=lambda row: str(row["detector"]))
    schema = _schema(ordered[0] if ordered else ())
    # A row group per detector, so that one can be read without the others.
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", write_page_checksum=True
        ) as writer,
    ):
        for _, group in groupby(ordered, key=lambda row: row["detector"]):
            writer.write_table(pa.Table.from_pylist(list(group), schema=schema))


def read_scores(
    paths: Sequence[str | os.PathLike[str]], detector: str | None = None
) -> pd.DataFrame:
    """Scores of some panels of a study.

    Parameters
    ----------
    paths
        Files of :func:`write_scores`.
    detector
        Name of the only detector to load; None loads all.

    Returns
    -------
    DataFrame
        The run's key, ``detector``, ``layer``, ``warm_up`` (steps, may be null) and ``scores``:
        float32 arrays of shape ``(n_blocks,)``. One row per run, detector and layer, by file.
        A key column that only some files have is null for the others.

    Raises
    ------
    BadFileError
        Naming the file, if it is missing, damaged or has other columns.
    """
    tables = [_read_panel(path, detector) for path in paths]
    schema = _schema({name for table in tables for name in table.column_names})
    table = pa.concat_tables([schema.empty_table(), *tables], promote_options="default")
    columns: dict[str, Any] = {
        field.name: table[field.name].to_pandas().astype(_DTYPES[field.type])
        for field in schema
        if field.name != "scores"
    }
    # Object, not a two-dimensional array, also where all runs are equally long.
    columns["scores"] = table["scores"].to_pandas()
    return pd.DataFrame(columns)


def _read_panel(path: str | os.PathLike[str], detector: str | None) -> pa.Table:
    """One file, checked against its schema."""
    wanted = None if detector is None else [("detector", "==", detector)]
    try:
        found = pq.read_schema(path).remove_metadata()
        # partitioning=None: some versions of pyarrow parse "task=..." in a path into columns.
        table = pq.read_table(
            path, filters=wanted, partitioning=None, page_checksum_verification=True
        )
    except FileNotFoundError:
        raise BadFileError(f"{path}: no such scores") from None
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BadFileError(f"{path}: not a readable file of scores ({reason})") from error
    if not found.equals(_schema(found.names)):
        raise BadFileError(f"{path}: columns differ from the schema of scores")
    return table
