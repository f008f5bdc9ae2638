"""Scores: what a panel's detectors say of its runs, in blocks of steps, and when that alarms.

Input: traces. Output: a parquet file a panel, a row a (run, detector, layer), and the alarms of
any threshold.

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

from grokscope.core.files import replacing
from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import DETECTORS, Settings

_SCHEMA = pa.schema(
    [
        ("study", pa.string()),
        ("task", pa.string()),
        ("depth", pa.int64()),
        ("train_fraction", pa.float64()),
        ("weight_decay", pa.float64()),
        ("width", pa.int64()),
        ("seed", pa.int64()),
        ("detector", pa.string()),
        ("layer", pa.string()),
        ("warm_up", pa.int64()),
        ("scores", pa.list_(pa.float32())),
    ]
)
# As in tables, so that scores merge with them.
_DTYPES = {pa.string(): "string", pa.int64(): "Int64", pa.float64(): "Float64"}


class ScoresError(ValueError):
    """A file that is not one of scores."""


def block_maxima(values: ArrayLike, resolution: int) -> NDArray[np.float32]:
    """Largest value of each block of steps.

    Parameters
    ----------
    values
        Shape ``(n_steps,)``, NaN where unknown.
    resolution
        Steps a block.

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


def alarm_blocks(
    scores: ArrayLike, threshold: float, refractory_blocks: int, latched: bool
) -> NDArray[np.int64]:
    """Blocks at which a score alarms.

    The first block above the threshold alarms; so does each further one that is more than
    `refractory_blocks` after the alarm before it and, if `latched`, separated from it by a block
    that is not above the threshold. A score at the threshold is not above it, nor is NaN.

    Parameters
    ----------
    scores
        Shape ``(n_blocks,)``.
    threshold
        In the units of the scores.
    refractory_blocks
        ``refractory // resolution`` for a refractory period in steps.
    latched
        See :class:`grokscope.measure.detectors.registry.Detector`.

    Returns
    -------
    ndarray
        Shape ``(n_alarms,)``, ascending; block k is known at step ``k * resolution``.
    """
    # float64, lest the threshold be rounded to the precision of the scores.
    above = np.asarray(scores, np.float64) > threshold
    candidates, others = np.flatnonzero(above), np.flatnonzero(~above)
    alarms: list[int] = []
    index = 0
    while index < len(candidates):
        alarms.append(int(candidates[index]))
        silent = alarms[-1] + refractory_blocks
        if latched:
            after = np.searchsorted(others, alarms[-1])
            if after == len(others):
                break
            silent = max(silent, int(others[after]))
        index = int(np.searchsorted(candidates, silent, side="right"))
    return np.asarray(alarms, np.int64)


def score_run(trace: Trace, settings: Settings) -> list[dict[str, Any]]:
    """Scores of every registered detector on a run.

    Parameters
    ----------
    settings
        The config section ``analysis``; of it ``onset``, ``alarms`` and ``detectors``.

    Returns
    -------
    list of dict
        A row a detector and layer: the run's key, ``detector``, ``layer``, ``scores`` (float32,
        see :func:`block_maxima`) and ``warm_up``: the first step (int) whose block has a score,
        None if none has.
    """
    resolution = settings["detectors"]["resolution"]
    key = trace.key.row()
    rows = []
    for name, detector in DETECTORS.items():
        for layer, values in detector.signal(trace, settings).items():
            scores = block_maxima(values, resolution)
            known = np.flatnonzero(np.isfinite(scores))
            warm_up = int(known[0]) * resolution if len(known) else None
            names = {"detector": name, "layer": layer}
            rows.append(key | names | {"warm_up": warm_up, "scores": scores})
    return rows


def write_scores(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write the rows of :func:`score_run` under a temporary name, then move them into place."""
    ordered = sorted(rows, key=lambda row: str(row["detector"]))
    # A row group a detector, so that one can be read without the others.
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer,
    ):
        for _, group in groupby(ordered, key=lambda row: row["detector"]):
            writer.write_table(pa.Table.from_pylist(list(group), schema=_SCHEMA))


def read_scores(
    paths: Sequence[str | os.PathLike[str]], detector: str | None = None
) -> pd.DataFrame:
    """Scores of some panels.

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
        float32 arrays of shape ``(n_blocks,)``. A row a run, detector and layer, by file.

    Raises
    ------
    ScoresError
        Naming the file, if it cannot be read or has other columns.
    """
    wanted = None if detector is None else [("detector", "==", detector)]
    tables = [_read_panel(path, wanted) for path in paths]
    table = pa.concat_tables(tables) if tables else _SCHEMA.empty_table()
    columns: dict[str, Any] = {
        field.name: table[field.name].to_pandas().astype(_DTYPES[field.type])
        for field in _SCHEMA
        if field.name != "scores"
    }
    # Object, not a two-dimensional array, also where all runs are equally long.
    columns["scores"] = table["scores"].to_pandas()
    return pd.DataFrame(columns)


def _read_panel(
    path: str | os.PathLike[str], wanted: list[tuple[str, str, str]] | None
) -> pa.Table:
    """One file, checked against the schema."""
    try:
        # partitioning=None: some versions of pyarrow parse "task=..." in a path into columns.
        if not pq.read_schema(path).remove_metadata().equals(_SCHEMA):
            raise ScoresError(f"{path}: columns differ from the schema of scores")
        return pq.read_table(path, filters=wanted, partitioning=None)
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such scores") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise ScoresError(f"{path}: not a readable file of scores ({error})") from error
