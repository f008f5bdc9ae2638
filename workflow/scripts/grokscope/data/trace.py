"""Traces: the format of the parquet file of one run.

Written by :mod:`grokscope.data.trace_writer`, read and verified by
:mod:`grokscope.data.trace_reader`, a module of its own so that editing it retrains nothing.

Of our own trainings row t describes the state after t updates. ``train_*`` and the norms are
measured at every step; ``test_*``, ``softmax_collapse`` (share of training samples whose
correct-class gradient is exactly zero; null in regression) and ranks at their cadence, null
elsewhere. A trace that was imported from a log has a row per step of the log and the columns that
the log has. The file's metadata holds the run's specification and how it was made
(:class:`TraceInfo`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from grokscope.data.parts import Parts, parts_of
from grokscope.runs.imported import AnySpec, ImportedSpec
from grokscope.runs.spec import RunKey, RunSpec

if TYPE_CHECKING:
    # Training jobs do not need pandas, which costs a third of a second and 40 MB.
    import pandas as pd

SCHEMA_VERSION = 4
# Keys of a file's metadata.
SPEC, INFO, DIGEST = b"grokscope.spec", b"grokscope.info", b"grokscope.digest"
# Placeholder of the digest while the bytes are hashed.
NO_DIGEST = b"0" * 64


@dataclass(frozen=True)
class TraceInfo:
    """How a trace was made.

    Attributes
    ----------
    stopped : str
        ``completed`` (all updates made), ``early_stop``, ``diverged`` or, of an imported run,
        ``ended``: why its log ends is not known.
    diverged_step : int or None
        First step with a non-finite value; the rows end before it.
    n_train, n_test, n_parameters : int
        Sizes of the training set, the test set and the model.
    device, processor, threads, seconds, versions
        Where it was trained, how long it took, and library versions. Traces of one specification,
        device, processor and set of versions have the same numbers.
    resumed_at : sequence of int
        Steps at which a stopped training was resumed.
    parts
        Names of the network's parts; None of a multilayer perceptron, whose layers are numbers.

    Of an imported run sizes, device, processor, threads and seconds are None.
    """

    stopped: str
    diverged_step: int | None
    n_train: int | None
    n_test: int | None
    n_parameters: int | None
    device: str | None
    processor: str | None
    threads: int | None
    seconds: float | None
    versions: Mapping[str, str]
    resumed_at: Sequence[int] = ()
    schema_version: int = SCHEMA_VERSION
    parts: Parts | None = None

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        values = asdict(self)
        if self.parts is None:
            del values["parts"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> TraceInfo:
        """From a mapping read from JSON; TypeError or KeyError if its fields differ."""
        parts = values.get("parts")
        if parts is not None:
            parts = Parts(**{name: tuple(names) for name, names in parts.items()})
        resumed_at = tuple(values["resumed_at"])
        return cls(**{**values, "resumed_at": resumed_at, "parts": parts})


@dataclass(frozen=True)
class Trace:
    """One run: its specification, how it was made, and one row per step.

    Attributes
    ----------
    spec
        What was trained.
    info
        How: why it stopped, sizes, device, time and versions.
    frame
        One row per step, shape ``(steps + 1, n_columns)``; row t describes the state after t
        updates. Null where a column was not measured. That of an imported run has a row for
        each step from 0 to the last, null where nothing was logged, so that a step is its row in
        all traces.
    """

    spec: AnySpec
    info: TraceInfo
    frame: pd.DataFrame

    @property
    def key(self) -> RunKey:
        """What tells the run from the others of its configuration."""
        return self.spec.key

    @property
    def imported(self) -> bool:
        """Whether it was read from a log."""
        return isinstance(self.spec, ImportedSpec)

    @property
    def parts(self) -> Parts:
        """Names of the layers and matrices that have columns; imported runs have no ranks."""
        if isinstance(self.spec, ImportedSpec):
            return Parts(tuple(self.spec.groups), ())
        return known_parts(self.spec, self.info.parts)

    @property
    def layers(self) -> list[str]:
        """Layers with a gradient norm: numbers, 0 the pair of embeddings; or names."""
        return list(self.parts.layers)

    @property
    def last_matrix(self) -> str:
        """Name of the matrix nearest the output, of those with ranks."""
        return self.parts.matrices[-1]

    @property
    def weight_layers(self) -> list[str]:
        """Layers with a weight norm; ``combined`` where a log has that of all weights alone."""
        if not isinstance(self.spec, ImportedSpec):
            return self.layers
        names = [column.name for column in self.spec.columns]
        groups = [n.removeprefix("weight_norm_") for n in names if n.startswith("weight_norm_")]
        return groups or ["combined"] * ("weight_norm" in names)

    def every_step(self, names: Iterable[str]) -> list[str]:
        """Choose those of some columns that are known at every step.

        Parameters
        ----------
        names
            Of columns.

        Returns
        -------
        list of str
            All of them, unless the run was read from a log.
        """
        if not isinstance(self.spec, ImportedSpec):
            return list(names)
        columns = {column.name: column.every for column in self.spec.columns}
        return [name for name in names if columns.get(name) == 1]

    def evaluated(self) -> pd.DataFrame:
        """Take the rows at which the test set was evaluated.

        Returns
        -------
        DataFrame
            Shape ``(n_evaluations, n_columns)``.
        """
        return self.frame[self.frame["test_loss"].notna()]


def known_parts(spec: RunSpec, parts: Parts | None) -> Parts:
    """Parts of a run's network: those that its trace names, or those that follow from its kind.

    Raises
    ------
    ValueError
        If neither says.
    """
    found = parts or parts_of(spec)
    if found is None:
        raise ValueError("the parts of a network of a user's own are not named")
    return found


def trace_schema(spec: AnySpec, parts: Parts | None = None) -> pa.Schema:
    """Columns of the run's trace, in order; no others are allowed."""
    if isinstance(spec, ImportedSpec):
        return _schema([column.name for column in spec.columns])
    names = ["train_loss", "test_loss", "train_metric", "test_metric", "softmax_collapse"]
    return _schema([*names, "grad_norm", *known_parts(spec, parts).columns])


def _schema(names: Sequence[str]) -> pa.Schema:
    # The seed is a column because it is a file name, not a folder, in the tree of traces.
    return pa.schema(
        [("step", pa.int32()), ("seed", pa.int64())] + [(name, pa.float32()) for name in names]
    )
