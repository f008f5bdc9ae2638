"""Imported runs: what specifies a run that was read from a log.

Of our own trainings the specification decides the numbers. Of a log, its bytes do, and how they
are to be read: so the specification holds the hash of the log, and what its columns mean.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from grokscope.runs.spec import EarlyStop, RunKey, RunSpec

# Columns of a trace that are not of a group of parameters.
PLAIN_COLUMNS = (
    "train_loss",
    "test_loss",
    "train_metric",
    "test_metric",
    "grad_norm",
    "weight_norm",
)
# Traces have a row per step in memory.
MOST_STEPS = 5_000_000
# Columns of one group of parameters (a layer, say), as in ``grad_norm_encoder``.
GROUP_COLUMNS = ("grad_norm_", "weight_norm_", "update_norm_")


@dataclass(frozen=True)
class LoggedColumn:
    """A column of an imported trace.

    Attributes
    ----------
    name, logged
        Its name in the trace and in the log.
    every
        Steps from one value to the next; None where they are not at equal distances.
    scale
        What logged values were multiplied by (0.01: they were percentages).
    mean_over
        ``row`` for values of one step; ``since_last`` for means over the steps since the value
        before; a number of steps for means over so many.
    """

    name: str
    logged: str
    every: int | None
    scale: float = 1.0
    mean_over: str | int = "row"


@dataclass(frozen=True)
class ImportedSpec:
    """Everything that an imported trace depends on besides code.

    Attributes
    ----------
    settings
        Name and value, as text, of the further key columns of its study.
    log, part, digest, format
        Path of the log, the run's name in it if it has several, the hash of its bytes, and how
        it was read.
    row
        What the row of step t describes: ``after_update`` (the state after t updates, as in our
        own traces), ``before_update`` (the state before the t-th update) or ``unknown``.
    columns
        Those of the trace, in its order.
    first_step, last_step
        Of the log (optimiser updates).
    diverged_step
        First step with a non-finite loss; the rows end before it.
    reached
        Of a log that has no curves but the steps at which metrics first reached a level: that
        level. Its metrics are then lower bounds, 0 until that step and the level from it on.
    """

    study: str
    task: str
    depth: int
    train_fraction: str
    weight_decay: str
    width: int | None
    seed: int
    settings: tuple[tuple[str, str], ...]
    log: str
    part: str | None
    digest: str
    format: str
    row: str
    columns: tuple[LoggedColumn, ...]
    first_step: int
    last_step: int
    diverged_step: int | None = None
    reached: float | None = None

    @property
    def key(self) -> RunKey:
        return RunKey(
            self.study,
            self.task,
            self.depth,
            self.train_fraction,
            self.weight_decay,
            self.width,
            self.seed,
            self.settings,
        )

    @property
    def steps(self) -> int:
        """Last step of the log; what was allowed is not known."""
        return self.last_step

    @property
    def early_stop(self) -> EarlyStop | None:
        """None: why the run ended is not known."""
        return None

    @property
    def groups(self) -> list[str]:
        """Groups of parameters with a gradient norm, in the order of the log."""
        prefix = GROUP_COLUMNS[0]
        names = [column.name for column in self.columns]
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    def column(self, name: str) -> LoggedColumn | None:
        """A column of the trace; None if the log has none."""
        return next((column for column in self.columns if column.name == name), None)

    def to_json(self, with_varied: bool = False) -> str:
        """One line of JSON with sorted keys, as :meth:`RunSpec.to_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_values(cls, values: Any) -> ImportedSpec:
        """From a mapping read from JSON.

        Raises
        ------
        ValueError
            If a field is missing or unknown.
        """
        if not isinstance(values, dict) or set(values) != _FIELDS:
            found = set(values) if isinstance(values, dict) else {type(values).__name__}
            raise ValueError(f"not of an imported run; fields differ: {sorted(found ^ _FIELDS)}")
        try:
            columns = tuple(LoggedColumn(**column) for column in values["columns"])
            settings = tuple((str(name), str(text)) for name, text in values["settings"])
        except TypeError as error:
            raise ValueError(f"not of an imported run: {error}") from None
        return cls(**values | {"columns": columns, "settings": settings})


_FIELDS = frozenset(field.name for field in fields(ImportedSpec))

AnySpec = RunSpec | ImportedSpec


def spec_from_values(values: Any) -> AnySpec:
    """The specification of a trained or imported run, from a mapping read from JSON.

    Raises
    ------
    ValueError
        If it is neither's.
    """
    kind = ImportedSpec if isinstance(values, dict) and "log" in values else RunSpec
    return kind.from_values(values)


def read_any_specs(text: str) -> list[AnySpec]:
    """Specifications of trained and imported runs from a JSON list."""
    return [spec_from_values(values) for values in json.loads(text)]
