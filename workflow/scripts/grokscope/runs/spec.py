"""Runs: which trainings a configuration asks for, what specifies each, where each is kept.

Input: a validated configuration (:mod:`grokscope.runs.config`). Output: the run table, a mapping
of :class:`RunKey` to :class:`RunSpec`. No numerics are imported here: the Snakefile expands
tens of thousands of runs at parse time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

KEY_COLUMNS = ("study", "task", "depth", "train_fraction", "weight_decay", "width", "seed")

TRACE_PATTERN = (
    "results/traces/{study}/task={task}/depth={depth}/train_fraction={train_fraction}"
    "/weight_decay={weight_decay}/width={width}/seed={seed}.parquet"
)


def decimal_string(value: float | str) -> str:
    """Canonical decimal notation of a number, without exponent: 0.10 -> "0.1", 1 -> "1.0".

    Train fractions and weight decays travel as such strings from the config to paths, so one
    value has one path.
    """
    text = format(Decimal(repr(float(value))), "f")
    return text if "." in text else text + ".0"


class Panel(NamedTuple):
    """The runs that are analysed together."""

    study: str
    task: str
    depth: int


class RunKey(NamedTuple):
    """What distinguishes a run from all others; decimals are canonical strings."""

    study: str
    task: str
    depth: int
    train_fraction: str
    weight_decay: str
    width: int
    seed: int

    @property
    def panel(self) -> Panel:
        return Panel(self.study, self.task, self.depth)

    @property
    def path(self) -> str:
        """Path of the run's trace, relative to the working directory."""
        return TRACE_PATTERN.format(**self._asdict())

    def row(self) -> dict[str, Any]:
        """Key columns as they stand in tables: decimals as numbers."""
        values = self._asdict()
        values["train_fraction"] = float(self.train_fraction)
        values["weight_decay"] = float(self.weight_decay)
        return values

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._asdict().items())


@dataclass(frozen=True)
class RunSpec:
    """All that a training depends on besides code and libraries.

    Parameters that the task or the encoding does not use are None, so that changing them
    does not ask for the run anew.
    """

    study: str
    task: str
    depth: int
    train_fraction: str
    weight_decay: str
    width: int
    seed: int
    data_seed: int
    init_seed: int
    p: int | None
    samples: int | None
    encoding: str
    embedding_dim: int | None
    learning_rate: float
    betas: tuple[float, float]
    steps: int
    test_every: int
    rank_every: int | None
    rank_tolerance: float
    early_stop: Mapping[str, Any] | None

    @property
    def key(self) -> RunKey:
        return RunKey(*(getattr(self, name) for name in KEY_COLUMNS))

    def to_json(self) -> str:
        """One line of JSON with sorted keys: equal specifications give equal strings."""
        # Not asdict: it copies deeply, and a plan has tens of thousands of these.
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Inverse of :meth:`to_json`.

        Raises
        ------
        ValueError
            If a field is missing or unknown.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != _FIELDS:
            found = set(values) if isinstance(values, dict) else {type(values).__name__}
            raise ValueError(f"not a run specification; fields differ: {sorted(found ^ _FIELDS)}")
        values["betas"] = tuple(values["betas"])
        return cls(**values)


_FIELDS = frozenset(field.name for field in fields(RunSpec))


def expand_study(study: str, settings: Mapping[str, Any]) -> Iterator[RunSpec]:
    """Specifications of all runs of one study, in the order of the grids."""
    from grokscope.runs.tasks import TASKS

    for grid in settings["grids"]:
        for task, depth, fraction, decay, width, seed in product(
            grid["tasks"],
            grid["depths"],
            grid["train_fractions"],
            grid["weight_decays"],
            grid["widths"],
            grid["seeds"],
        ):
            uses = TASKS[task].parameters
            # A scalar input has no symbols to encode.
            encoding = settings["encoding"] if TASKS[task].symbolic else "scalar"
            data_seed, init_seed = settings["data_seed"], settings["init_seed"]
            yield RunSpec(
                study=study,
                task=task,
                depth=depth,
                train_fraction=decimal_string(fraction),
                weight_decay=decimal_string(decay),
                width=width,
                seed=seed,
                data_seed=seed if data_seed is None else data_seed,
                init_seed=seed if init_seed is None else init_seed,
                p=settings["p"] if "p" in uses else None,
                samples=settings["samples"] if "samples" in uses else None,
                encoding=encoding,
                embedding_dim=settings["embedding_dim"] if encoding == "embedding" else None,
                learning_rate=float(settings["learning_rate"]),
                betas=(float(settings["betas"][0]), float(settings["betas"][1])),
                steps=grid["steps"],
                test_every=settings["test_every"],
                rank_every=settings["rank_every"],
                rank_tolerance=float(settings["rank_tolerance"]),
                early_stop=settings["early_stop"],
            )


def expand_runs(config: Mapping[str, Any]) -> dict[RunKey, RunSpec]:
    """Run table of a validated configuration."""
    return {
        spec.key: spec
        for study, settings in config["studies"].items()
        for spec in expand_study(study, settings)
    }


def panels(keys: Iterable[RunKey]) -> dict[Panel, list[RunKey]]:
    """Runs of each panel, in the order given."""
    grouped: dict[Panel, list[RunKey]] = {}
    for key in keys:
        grouped.setdefault(key.panel, []).append(key)
    return grouped
