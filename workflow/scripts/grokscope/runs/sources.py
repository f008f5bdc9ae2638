"""Sources: the logs that the runs of a study are imported from, as typed, frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from grokscope.runs.decoding import decode


@dataclass(frozen=True)
class ColumnSource:
    """Where a column of a trace stands in a log, see :class:`.imported.LoggedColumn`.

    Attributes
    ----------
    column
        Its name in the log; None for a column that is not to be taken from it.
    """

    column: str | None
    scale: float
    mean_over: str | int


@dataclass(frozen=True)
class Source:
    """Logs that the runs of a study are imported from.

    Attributes
    ----------
    files
        Patterns of paths, relative to the working directory.
    columns
        Where columns stand, for those that are not found by their names; ``step`` and ``run``
        among them.
    run
        What each run is: constants, and mappings with ``config`` or ``column`` to what names
        them in the log; ``path`` is a pattern of paths with ``{name}`` for values.
    where
        Values of columns that rows must have to be read.
    reached, not_reached
        Of logs of first steps at which a level was reached: the level, and what stands for none.
    last_step
        Last step of the runs, where the log does not tell.
    """

    files: tuple[str, ...]
    format: str
    columns: Mapping[str, ColumnSource]
    run: Mapping[str, Any]
    where: Mapping[str, Any]
    row: str
    overlap: str
    reached: float | None
    not_reached: float | None
    last_step: int | None

    def to_json(self) -> str:
        """One line with sorted keys: equal sources, equal strings."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Source:
        """Inverse of :meth:`to_json`."""
        values = json.loads(text)
        columns = {name: ColumnSource(**of) for name, of in values["columns"].items()}
        return decode(cls, values | {"columns": columns})
