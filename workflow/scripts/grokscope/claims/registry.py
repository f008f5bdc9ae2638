"""Evidence: the tables that claims are judged by, the runs they are about, and how to say it.

Input: the result tables. Output: what the modules ``lead_lag``, ``gai`` and
``phase_diagram`` are written with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd

from grokscope.evaluate.statistics import (
    Interval,
    Rows,
    cluster_bootstrap,
)
from grokscope.runs.spec import KEY_COLUMNS

HOLDS, FAILS, NOT_TESTABLE = "holds", "fails", "not testable at this scale"
VERDICTS = (HOLDS, FAILS, NOT_TESTABLE)
KEY = list(KEY_COLUMNS)
# What distinguishes the cells of one task.
CELL = ["depth", "train_fraction", "weight_decay", "width"]
GENERALISING = ("grokking", "comprehension")
PHASES = ("confusion", "memorisation", "grokking", "comprehension")

Values = Mapping[str, Any]
Cell = tuple[Any, ...]


class NotTestable(Exception):
    """There is nothing to measure; the message says what is missing."""


def alpha(settings: Mapping[str, Any]) -> float:
    """Level below which a p-value counts: 1 - confidence, without the rounding of floats.

    Parameters
    ----------
    settings
        Config section ``analysis``.
    """
    return round(1 - float(settings["evaluation"]["confidence"]), 12)


@dataclass(frozen=True)
class Evidence:
    """The tables that claims are judged by.

    Attributes
    ----------
    settings
        Config section ``analysis``; used are ``evaluation`` (all keys), ``phases.gap`` and
        ``detectors.resolution``.
    p_holm
        Adjusted p-values of the study's other claims, by id; for a claim about them all.
    """

    runs: pd.DataFrame
    transitions: pd.DataFrame
    alarms: pd.DataFrame
    rank: pd.DataFrame
    phases: pd.DataFrame
    evaluation: pd.DataFrame
    chance: pd.DataFrame
    multiverse: pd.DataFrame
    settings: Mapping[str, Any]
    p_holm: Mapping[str, float] = field(default_factory=dict)

    @property
    def alpha(self) -> float:
        """Level below which a p-value counts."""
        return alpha(self.settings)

    def of(self, table: str, study: str) -> pd.DataFrame:
        """Rows of a study, with the sizes and final metrics of their runs."""
        frame: pd.DataFrame = getattr(self, table)
        facts = self.runs[[*KEY, "max_steps", "n_train", "n_test", "final_test_metric"]]
        return frame[frame["study"] == study].merge(facts, on=KEY, validate="many_to_one")

    def interval(
        self,
        frame: pd.DataFrame,
        statistic: Callable[[Rows], float],
        confidence: float | None = None,
    ) -> Interval:
        """Bootstrap interval over the seeds of a frame's rows."""
        settings = self.settings["evaluation"]
        return cluster_bootstrap(
            frame["seed"].to_numpy(),
            statistic,
            confidence=settings["confidence"] if confidence is None else confidence,
            resamples=settings["resamples"],
            seed=settings["seed"],
        )


@dataclass(frozen=True)
class Finding:
    """What a claim's function found.

    `p` is the one-sided p-value against the claim's null; None where none is defined.
    """

    measured: float
    interval: Interval
    n: int
    seeds: int
    holds: bool
    reason: str
    testable: bool = True
    p: float | None = None


@dataclass(frozen=True)
class Scale:
    """The runs that a claim is about, as far as tables tell them from others.

    Attributes
    ----------
    sizes
        Samples (train and test together) of each task; None takes any number.
    steps
        Fewest updates allowed a run.
    depths, train_fractions, weight_decays, widths
        Published cells; empty takes any.
    seeds
        Fewest seeds a cell.
    any_task
        Whether one of the tasks is enough.
    """

    sizes: Mapping[str, int | None]
    steps: int = 0
    depths: tuple[int, ...] = ()
    train_fractions: tuple[float, ...] = ()
    weight_decays: tuple[float, ...] = ()
    widths: tuple[int, ...] = ()
    seeds: int = 1
    any_task: bool = False

    @property
    def _cells(self) -> dict[str, tuple[float, ...]]:
        values = (self.depths, self.train_fractions, self.weight_decays, self.widths)
        return {name: of for name, of in zip(CELL, values, strict=True) if of}

    def published(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of published cells, sizes and step counts."""
        keep = frame["max_steps"].to_numpy() >= self.steps
        keep &= frame["task"].isin(list(self.sizes)).to_numpy()
        for task, size in self.sizes.items():
            if size is not None:
                other = (frame["task"] == task) & (frame["n_train"] + frame["n_test"] != size)
                keep &= ~other.to_numpy()
        for name, values in self._cells.items():
            near = np.isclose(frame[name].to_numpy(float)[:, None], values)
            keep &= near.any(axis=1)
        return frame[keep].reset_index(drop=True)

    def missing(self, frame: pd.DataFrame) -> str | None:
        """What of the published runs there is not, as a sentence; None if all are there."""
        found = self.published(frame)
        needed = [task for task, size in self.sizes.items() if size is not None]
        lacking = [task for task in needed if not (found["task"] == task).any()]
        if len(lacking) == len(needed) or (lacking and not self.any_task):
            wanted = " or ".join(self._describe(task) for task in lacking)
            return f"There is no run of {wanted}."
        if not self._cells:
            return None
        names = list(self._cells)
        seeds = {
            tuple(map(float, cell)): group["seed"].nunique()
            for cell, group in groups(found, names)
        }
        cells = list(product(*self._cells.values()))
        short = [cell for cell in cells if seeds.get(tuple(map(float, cell)), 0) < self.seeds]
        if not short:
            return None
        first = ", ".join(f"{name} {value}" for name, value in zip(names, short[0], strict=True))
        task = (" or " if self.any_task else " and ").join(map(self._describe, needed))
        number = "a run" if self.seeds == 1 else f"{self.seeds} seeds"
        return (
            f"{len(short)} of the {len(cells)} published cells lack {number} of {task} "
            f"(the first: {first})."
        )

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Published rows if all are there, else all rows of the tasks."""
        if self.missing(frame) is None:
            return self.published(frame)
        return frame[frame["task"].isin(list(self.sizes))].reset_index(drop=True)

    def _describe(self, task: str) -> str:
        size = self.sizes[task]
        text = task if size is None else f"{task} with {size:,} samples"
        return f"{text} and at least {self.steps:,} steps" if self.steps else text


Judge = Callable[[Evidence, Values], Finding]


@dataclass(frozen=True)
class Claim:
    """A claim's function and what it measures.

    A claim `of_family` is about the p-values of the study's other claims, and judged after them.
    """

    judge: Judge
    quantity: str
    unit: str
    scale: Scale
    of_family: bool = False


CLAIMS: dict[str, Claim] = {}


def claim(
    name: str, *, quantity: str, unit: str, scale: Scale, of_family: bool = False
) -> Callable[[Judge], Judge]:
    """Register the function that judges a claim.

    Parameters
    ----------
    name
        Claim id, as in ``claims.yaml``.
    quantity, unit
        What is measured; ``share`` and ``r`` are numbers without dimension.
    scale
        The runs without which the claim is not testable.
    of_family
        Whether it is about the p-values of the study's other claims.
    """

    def register(judge: Judge) -> Judge:
        if name in CLAIMS:
            raise ValueError(f"claim {name!r} is registered twice")
        CLAIMS[name] = Claim(judge, quantity, unit, scale, of_family)
        return judge

    return register


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as mappings of column names."""
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def select(frame: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows that have these values; None asks for null (in `depth`: all depths pooled)."""
    keep = np.ones(len(frame), bool)
    for name, value in where.items():
        column = frame[name]
        same = column.isna() if value is None else (column == value).fillna(False)
        keep &= same.to_numpy(bool)
    return frame[keep].reset_index(drop=True)


def groups(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """Groups of a frame by several columns, the names as a tuple of numbers."""
    for cell, group in frame.groupby(names):
        yield cast(Cell, cell), group


def steps_text(value: float) -> str:
    """A number of steps, with a decimal only where it is a mean."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def share_text(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def p_text(value: float | None) -> str:
    """A p-value: "p = 0.012", "p < 0.001"."""
    if value is None or math.isnan(value):
        return "no p"
    return f"p = {value:.3f}" if value >= 0.0005 else "p < 0.001"


def span_text(interval: Interval, show: Callable[[float], str]) -> str:
    if interval.low is None or interval.high is None:
        return "no interval"
    return f"{show(interval.low)} to {show(interval.high)}"
