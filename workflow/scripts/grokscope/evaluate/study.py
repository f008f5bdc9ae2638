"""A study's runs and what detectors are evaluated by on them.

Input: the table ``transitions`` of a study and the settings. Output: its cohort, windows, scopes,
constant times, and the signals of a detector on its runs. Events, risk, hits and the rules of
counting are those of :mod:`grokscope.evaluate.matching`.

Seeds in ``development_seeds`` choose, all others are scored. A study without development seeds,
or with nothing else, chooses nothing and scores all seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from grokscope.data.parts import has_order, layer_order
from grokscope.data.tables import run_keys
from grokscope.evaluate import nulls
from grokscope.evaluate.chance import Counts, Task, constant_counts
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.matching import (
    Booleans,
    Cohort,
    Floats,
    Integers,
    Window,
    checked_window,
    floats,
    held_out,
)
from grokscope.evaluate.nulls import Grid
from grokscope.measure.detectors.registry import COMBINED
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import key_columns


class Scope(NamedTuple):
    """Runs that are pooled in one row of a table; null pools all."""

    task: str | None
    depth: int | None
    member: Booleans


class Scored(NamedTuple):
    """The scores of one layer of a detector on the runs of a study that have it.

    Attributes
    ----------
    rows
        Indices of the runs among those of the study, shape ``(n_runs,)``.
    signal
        Their scores in blocks of steps.
    first
        First step of each run with a score, shape ``(n_runs,)``; of a run without any, the number
        of its steps.
    """

    rows: Integers
    signal: Signal
    first: Integers

    def among(self, wanted: Integers) -> Scored:
        """Those of the runs that are among some of the study, by index."""
        kept = np.flatnonzero(np.isin(self.rows, wanted))
        return Scored(self.rows[kept], self.signal.take(kept), self.first[kept])

    @property
    def steps(self) -> Grid:
        """Where alarms can fall that are known to the step."""
        return Grid(1, self.first)


@dataclass(frozen=True)
class Study:
    """Runs of a study and what they are evaluated by.

    Attributes
    ----------
    runs
        Table ``transitions``, sorted by key.
    analysis
        Used are ``evaluation``, ``phases.gap`` and ``detectors.resolution``.
    left_out
        Keys of runs of which nobody knows whether they have an event, since their logs lack a
        metric: an alarm in one is neither a hit nor false.
    """

    runs: pd.DataFrame
    analysis: Analysis
    left_out: frozenset[tuple[Any, ...]] = frozenset()

    @classmethod
    def from_transitions(cls, transitions: pd.DataFrame, analysis: Analysis) -> Study:
        """The study of a table.

        Raises
        ------
        ValueError
            If the table is not of exactly one study, or lists a run twice.
        """
        names = list(transitions["study"].unique())
        if len(names) != 1:
            raise ValueError(f"transitions of one study at a time, not of {names}")
        key = key_columns(transitions.columns)
        twice = transitions.loc[transitions.duplicated(key), key]
        if len(twice):
            raise ValueError(f"transitions list a run twice: {twice.iloc[0].to_dict()}")
        known = known_events(transitions)
        return cls(
            transitions[known].sort_values(key, ignore_index=True),
            analysis,
            frozenset(run_keys(transitions[~known])),
        )

    @cached_property
    def name(self) -> str:
        return str(self.runs["study"].iloc[0])

    @cached_property
    def cohort(self) -> Cohort:
        return Cohort.from_transitions(self.runs, self.analysis.phases.gap)

    @cached_property
    def _scored(self) -> Booleans:
        return held_out(self.cohort.seed, self.analysis.evaluation.development_seeds)

    @property
    def development(self) -> Integers:
        """Runs that thresholds and constant times are chosen on, by index; may be none."""
        return np.flatnonzero(~self._scored)

    @property
    def held_out(self) -> Integers:
        """Runs that are scored, by index."""
        return np.flatnonzero(self._scored)

    @property
    def resolution(self) -> int:
        return self.analysis.detectors.resolution

    @property
    def primary(self) -> Window:
        """The window that curves are drawn for, and rule ``run`` has its threshold from."""
        return checked_window(self.analysis.evaluation.primary_window)

    @cached_property
    def windows(self) -> list[Window]:
        """Windows of the horizons, and the published one."""
        settings = self.analysis.evaluation
        found = [(settings.minimum_lead, horizon) for horizon in settings.horizons]
        return [checked_window(pair) for pair in dict.fromkeys([*found, settings.lead_window])]

    @cached_property
    def tasks(self) -> list[Task]:
        """Every rule and window."""
        rules = ("first", "every")
        return [("run", None), *((rule, window) for rule in rules for window in self.windows)]

    @cached_property
    def scopes(self) -> list[Scope]:
        """The study, each depth and each panel; members among all runs."""
        task = self.runs["task"].to_numpy(object)
        depth = self.runs["depth"].to_numpy(np.int64)
        depths = [Scope(None, int(d), depth == d) for d in np.unique(depth)]
        panels = [
            Scope(str(t), int(d), (task == t) & (depth == d))
            for t, d in sorted(set(zip(task, depth, strict=True)))
        ]
        return [Scope(None, None, np.ones(len(task), bool)), *depths, *panels]

    @cached_property
    def constant_onsets(self) -> dict[int, Floats]:
        """Onsets of the development events by code of their cell."""
        chosen = self.cohort.take(self.development)
        return {
            int(cell): chosen.onset[chosen.event & (chosen.cell == cell)]
            for cell in np.unique(chosen.cell[chosen.event])
        }

    @cached_property
    def constant_times(self) -> Floats:
        """Median development onset of each run's cell, NaN without one; shape ``(n_runs,)``."""
        medians = {cell: np.median(onsets) for cell, onsets in self.constant_onsets.items()}
        return np.array([medians.get(int(cell), np.nan) for cell in self.cohort.cell], float)

    @cached_property
    def resampled_times(self) -> Floats:
        """Times of null ``constant_time`` of each run, shape ``(surrogates, n_runs)``."""
        settings = self.analysis.evaluation
        return nulls.resampled_times(
            self.constant_onsets, self.cohort, settings.surrogates, settings.seed
        )

    @cached_property
    def constant_counts(self) -> dict[Task, Counts]:
        """Hits and judged alarms of null ``constant_time`` by task, of each run."""
        of_tasks = constant_counts(self.resampled_times, self.cohort, self.tasks, self.primary)
        parts = zip(*of_tasks, strict=True)
        return {task: Counts(*part) for task, part in zip(self.tasks, parts, strict=True)}

    @cached_property
    def exchanging(self) -> Booleans:
        """Which runs null ``constant_time`` exchanges, of those with a time.

        Shape ``(surrogates, n_runs)``.
        """
        settings = self.analysis.evaluation
        rng = nulls.stream(settings.seed, "exchange")
        half = rng.random((settings.surrogates, len(self.cohort))) < 0.5
        return half & ~np.isnan(self.constant_times)

    @cached_property
    def remembered(self) -> dict[tuple[Any, ...], Floats]:
        """What depends on the runs alone and is asked for again, by what names it."""
        return {}

    @cached_property
    def _place(self) -> dict[tuple[Any, ...], int]:
        return {key: i for i, key in enumerate(run_keys(self.runs))}

    def _known(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that are not of runs left out."""
        if not self.left_out:
            return table
        return table[[key not in self.left_out for key in run_keys(table)]]

    def _rows(self, table: pd.DataFrame, name: str) -> Integers:
        """Index of the run of each row of a table."""
        keys = run_keys(table)
        rows = [self._place.get(key, -1) for key in keys]
        if -1 in rows:
            raise ValueError(f"{name} of a run without transitions: {keys[rows.index(-1)]}")
        return np.array(rows, np.int64)

    def signals(self, scores: pd.DataFrame) -> dict[str, Scored]:
        """Signal of each layer, from the scores of a detector in any order.

        Raises
        ------
        ValueError
            If a score is of an unknown run, or not as long as its run; or if a run has none of
            the combined signal and is not marked as one that the detector cannot be had of.
        """
        scores = self._known(scores)
        found: dict[str, dict[int, tuple[Floats, float]]] = {}
        untestable: set[int] = set()
        columns = (scores["layer"], scores["scores"], floats(scores["warm_up"]))
        rows = self._rows(scores, "scores").tolist()
        for run, layer, values, warm_up in zip(rows, *columns, strict=True):
            if values is None:
                untestable.add(run)
                continue
            blocks = self.cohort.last[run] // self.resolution + 1
            if len(values) != blocks:
                raise ValueError(
                    f"scores of {self._named(run)}, layer {layer}: {len(values)} blocks, but its "
                    f"last step and a resolution of {self.resolution} make {blocks}"
                )
            found.setdefault(str(layer), {})[run] = np.asarray(values, float), warm_up
        missing = set(self._place.values()) - set(found.get(COMBINED, {})) - untestable
        if missing:
            raise ValueError(f"no scores of the combined signal of {self._named(min(missing))}")
        result = {}
        for layer in sorted(found, key=_layer_order):
            of_layer = np.array(sorted(found[layer]), np.int64)
            values, warm_ups = zip(*(found[layer][run] for run in of_layer), strict=True)
            cohort = self.cohort.take(of_layer)
            result[layer] = Scored(
                of_layer,
                Signal(cohort, values, self.resolution),
                first_steps(np.array(warm_ups), cohort),
            )
        return result

    def _named(self, run: int) -> str:
        """A run in a message."""
        names = key_columns(self.runs.columns)
        return ", ".join(f"{name}={self.runs[name].iloc[run]}" for name in names)

    def alarms(self, table: pd.DataFrame) -> dict[tuple[str, str], dict[int, Integers]]:
        """Steps of the alarms of each detector and layer by run, from the table ``alarms``.

        Raises
        ------
        ValueError
            If an alarm is of an unknown run.
        """
        table = self._known(table)
        names = [*key_columns(self.runs.columns), "detector", "layer"]
        code = table.groupby(names, dropna=False, sort=False).ngroup().to_numpy()
        steps = table["step"].to_numpy(np.int64)[np.argsort(code, kind="stable")]
        parts = np.split(steps, np.cumsum(np.bincount(code))[:-1])
        signals = table.drop_duplicates(names)
        found: dict[tuple[str, str], dict[int, Integers]] = {}
        columns = (signals["detector"], signals["layer"], self._rows(signals, "alarms").tolist())
        for detector, layer, run, part in zip(*columns, parts[: len(signals)], strict=True):
            found.setdefault((detector, layer), {})[run] = part
        return found


def known_events(transitions: pd.DataFrame) -> Booleans:
    """Of which runs it is known whether they have an event, shape ``(n_runs,)``.

    A table without the columns, as variants are, has no other runs.
    """
    flags = ("train_onset_censored", "test_onset_censored")
    there = [transitions[name].notna().to_numpy() for name in flags if name in transitions]
    return np.asarray(np.all([np.ones(len(transitions), bool), *there], axis=0))


def _layer_order(layer: str) -> tuple[Any, ...]:
    """The combined signal first, then layers from the input on; other groups as they come."""
    if layer == COMBINED:
        return (0,)
    return (1, *layer_order(layer)) if has_order(layer) else (2,)


def first_steps(warm_up: Floats, cohort: Cohort) -> Integers:
    """First step with a score of each run; where `warm_up` is NaN, the number of its steps."""
    return np.where(np.isnan(warm_up), cohort.last + 1, warm_up).astype(np.int64)
