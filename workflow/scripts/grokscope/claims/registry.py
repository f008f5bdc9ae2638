"""Registry: what a claim is, the runs it is about, and what its function finds.

To add a claim, describe it in ``workflow/report/claims.yaml`` and register one function:

>>> @claim("LL9", quantity="longest lag", unit="steps", scale=PRIMARY)
... def longest_lag(evidence, values):
...     return Finding(...)

A function judges whatever runs there are. If they are not those the claim is about (a cell
missing, another modulus, fewer steps), the verdict becomes ``not testable at this scale``, the
reason says what is missing, and the measured value stays for the reader. Value, interval, chance
and reason are all of the runs that :meth:`Scale.select` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.evidence import Evidence
from grokscope.claims.measures import Headline
from grokscope.claims.rows import groups
from grokscope.claims.rules import Condition, Ruling, rule
from grokscope.evaluate.intervals import Interval
from grokscope.evaluate.matching import Booleans
from grokscope.runs.settings import EvaluationSettings

# What a published cell is named by, within a task.
CELL = ("depth", "train_fraction", "weight_decay", "width")

Values = Mapping[str, Any]


class NotTestable(Exception):
    """There is nothing to measure; the message says what is missing."""


@dataclass(frozen=True)
class Finding:
    """What a claim's function found.

    Attributes
    ----------
    n, seeds
        Runs or events measured, and the distinct seeds of the runs.
    ruling
        What its rule says of the runs at hand, whether or not they are those of the claim.
    p
        One-sided p-value against the claim's null; None where none is defined.
    """

    measured: float
    interval: Interval
    n: int
    seeds: int
    ruling: Ruling
    reason: str
    p: float | None = None

    @classmethod
    def of(
        cls, conditions: Sequence[Condition], confidence: float, *, n: int, seeds: int, reason: str
    ) -> Finding:
        """Of a claim that all conditions are met; its number is that of the weakest one."""
        weakest = min(conditions, key=Condition.room)
        return cls(
            measured=weakest.estimate,
            interval=weakest.interval(confidence),
            n=n,
            seeds=seeds,
            ruling=rule(conditions, confidence),
            reason=reason,
        )


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

    def published(self, frame: pd.DataFrame) -> Booleans:
        """Which rows are of published cells, sizes and step counts; shape ``(n_rows,)``."""
        keep = frame["max_steps"].to_numpy() >= self.steps
        keep &= frame["task"].isin(list(self.sizes)).to_numpy()
        for task, size in self.sizes.items():
            if size is not None:
                # A run whose log does not tell its sizes is of another one.
                differs = (frame["n_train"] + frame["n_test"] != size).fillna(True)
                other = (frame["task"] == task) & differs
                keep &= ~other.to_numpy(bool)
        for name, values in self._cells.items():
            near = np.isclose(frame[name].to_numpy(float)[:, None], values)
            keep &= near.any(axis=1)
        return np.asarray(keep, bool)

    def missing(self, frame: pd.DataFrame) -> str | None:
        """What of the published runs there is not, as a sentence; None if all are there."""
        found = frame[self.published(frame)]
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

    def chosen(self, frame: pd.DataFrame) -> Booleans:
        """Which rows the claim is about: published ones if all are there, else all of its tasks.

        Shape ``(n_rows,)``.
        """
        if self.missing(frame) is None:
            return self.published(frame)
        return frame["task"].isin(list(self.sizes)).to_numpy(bool)

    def select(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that the claim is about."""
        return frame[self.chosen(frame)].reset_index(drop=True)

    def _describe(self, task: str) -> str:
        size = self.sizes[task]
        text = task if size is None else f"{task} with {size:,} samples"
        return f"{text} and at least {self.steps:,} steps" if self.steps else text


Judge = Callable[[Evidence, Values], Finding]
# What a headline number says of a claim with these published values.
Rule = Callable[[Headline, Values, EvaluationSettings], Ruling]


@dataclass(frozen=True)
class Claim:
    """A claim's function and what it measures.

    Attributes
    ----------
    of_family
        Whether it is about the p-values of the study's other claims, and judged after them.
    measure, supports
        Name of its number in :data:`grokscope.claims.measures.MEASURES` and the rule it is judged
        by, if that number is also measured under other analysis choices.
    """

    judge: Judge
    quantity: str
    unit: str
    scale: Scale
    of_family: bool = False
    measure: str | None = None
    supports: Rule | None = None


CLAIMS: dict[str, Claim] = {}


def claim(
    name: str,
    *,
    quantity: str,
    unit: str,
    scale: Scale,
    of_family: bool = False,
    measure: str | None = None,
    supports: Rule | None = None,
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
    of_family, measure, supports
        See :class:`Claim`.
    """

    def register(judge: Judge) -> Judge:
        if name in CLAIMS:
            raise ValueError(f"claim {name!r} is registered twice")
        CLAIMS[name] = Claim(judge, quantity, unit, scale, of_family, measure, supports)
        return judge

    return register
