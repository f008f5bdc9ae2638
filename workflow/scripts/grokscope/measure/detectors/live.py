"""Live detectors: scores and alarms of a run that is still training, from its rows as they come.

Input: the rows of a trace, piece by piece. Output: the alarms that the finished trace has, each
as soon as the rows that it depends on are there. The detectors are those of the registry, called
on each piece (:mod:`grokscope.measure.past`), and alarms are raised by the one definition
(:mod:`grokscope.measure.alarms`): at a stated level step by step, as in the table ``alarms``; at
any other in blocks of ``resolution`` steps, as in ``evaluation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from grokscope.core.errors import UserError
from grokscope.data.trace import Trace
from grokscope.measure.alarms import AlarmRaiser
from grokscope.measure.detectors.registry import DETECTORS, Array, Detector, Signals
from grokscope.measure.detectors.scores import block_maxima
from grokscope.measure.past import Past
from grokscope.runs.settings import Analysis


class Rows(NamedTuple):
    """Rows of a run, as detectors read them from a trace.

    Attributes
    ----------
    frame
        Columns as in a trace, one row per step.
    layers
        Names of the layers, or groups, with norms; the last is the network's output.
    """

    frame: pd.DataFrame
    layers: Sequence[Any]

    @property
    def last_matrix(self) -> str:
        """Name of the group nearest the output, whose rank is logged."""
        return str(self.layers[-1])

    @property
    def imported(self) -> bool:
        """No: measured at every step, as in our own trainings."""
        return False

    def every_step(self, names: Iterable[str]) -> list[str]:
        """All of some columns: the monitor measures at every step."""
        return list(names)


class LiveAlarm(NamedTuple):
    """An alarm of a running training.

    Attributes
    ----------
    step
        At which it was known, as in the tables: the step itself at a stated level, else the end
        of its block.
    score, threshold
        In the detector's units.
    """

    step: int
    detector: str
    layer: str
    score: float
    threshold: float


def _signals(entry: Detector, rows: Rows, analysis: Analysis) -> Signals:
    return entry.signal(cast(Trace, rows), analysis)


class _Stream:
    """One detector at one level on one run, continued from piece to piece."""

    def __init__(self, entry: Detector, level: float, analysis: Analysis, by_step: bool) -> None:
        self.entry = entry
        self.level = level
        self.analysis = analysis
        self.resolution = 1 if by_step else analysis.detectors.resolution
        self.past = Past()
        self.raisers: dict[str, AlarmRaiser] = {}
        # Scores since the last whole block, with the last score of that.
        self.open: dict[str, Array] = {}

    def signals(self, rows: Rows) -> Signals:
        with self.past.continued():
            return _signals(self.entry, rows, self.analysis)

    def alarms(self, rows: Rows) -> list[LiveAlarm]:
        found = []
        for layer, scores in self.signals(rows).items():
            if layer not in self.raisers:
                silence = self.analysis.alarms.refractory // self.resolution
                self.raisers[layer] = AlarmRaiser(self.level, silence, self.entry.latched)
            raiser = self.raisers[layer]
            first = raiser.n_scores
            values = scores if self.resolution == 1 else self._blocks(layer, scores)
            found += [
                LiveAlarm(
                    int(index) * self.resolution,
                    self.entry.name,
                    layer,
                    float(values[index - first]),
                    self.level,
                )
                for index in raiser.feed(values)
            ]
        return found

    def _blocks(self, layer: str, scores: Array) -> Array:
        """Largest scores of the blocks that end with these steps."""
        known = self.open.get(layer)
        joined = scores if known is None else np.concatenate([known, scores])
        # What stands first is a block of its own: step 0, or what was the end of a block.
        blocks = block_maxima(joined, self.resolution).astype(np.float64)
        n_whole = max(len(blocks) - 1, 0)
        self.open[layer] = joined[n_whole * self.resolution :].copy()
        return blocks if known is None else blocks[1:]

    def state(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "past": self.past.state(),
            "open": dict(self.open),
            "raisers": {
                layer: [raiser.n_scores, raiser.last_alarm, raiser.held]
                for layer, raiser in self.raisers.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.past = Past.from_state(state["past"])
        self.open = dict(state["open"])
        silence = self.analysis.alarms.refractory // self.resolution
        self.raisers = {}
        for layer, (n_scores, last_alarm, held) in state["raisers"].items():
            raiser = AlarmRaiser(self.level, silence, self.entry.latched)
            raiser.n_scores, raiser.last_alarm, raiser.held = n_scores, last_alarm, held
            self.raisers[layer] = raiser


class LiveDetectors:
    """Detectors on a run that is still training.

    Parameters
    ----------
    levels
        Alarm level of each detector by name. None: its stated level.
    analysis
        Sections ``onset``, ``alarms`` and ``detectors``.

    Raises
    ------
    UserError
        Naming a detector that is unknown, has no stated level and got none, or has other scores
        when the rows come in pieces.
    """

    def __init__(self, levels: Mapping[str, float | None], analysis: Analysis) -> None:
        self.streams: dict[str, _Stream] = {}
        for name, level in levels.items():
            if name not in DETECTORS:
                raise UserError(f"detectors: no detector {name!r}; there are {sorted(DETECTORS)}")
            entry = DETECTORS[name]
            stated = entry.threshold and entry.threshold(analysis)
            if level is None and stated is None:
                raise UserError(
                    f"detectors: {name} has no stated level; give one (detectors={{{name!r}: "
                    "level}) or a calibration, whose levels were chosen on development seeds"
                )
            check_pieces(entry, analysis)
            by_step = level is None or level == stated
            chosen = stated if level is None else level
            assert chosen is not None
            self.streams[name] = _Stream(entry, float(chosen), analysis, by_step)

    def feed(self, rows: Rows) -> list[LiveAlarm]:
        """Alarms that are known with these rows, the next ones of the run, by step."""
        if not len(rows.frame):
            return []
        found = [alarm for stream in self.streams.values() for alarm in stream.alarms(rows)]
        return sorted(found, key=lambda alarm: alarm.step)

    def by_step(self, name: str) -> bool:
        """Whether a detector alarms step by step, at its stated level."""
        return self.streams[name].resolution == 1

    def state(self) -> dict[str, Any]:
        """All that the next alarms depend on: numbers, lists, mappings and arrays."""
        return {name: stream.state() for name, stream in self.streams.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state` of the same detectors and levels.

        Raises
        ------
        UserError
            If the state is of other detectors.
        """
        found = {name: entry["level"] for name, entry in state.items()}
        own = {name: stream.level for name, stream in self.streams.items()}
        if found != own:
            raise UserError(f"state of the detectors {found}, but here are {own}")
        for name, stream in self.streams.items():
            stream.restore(state[name])


def check_pieces(entry: Detector, analysis: Analysis) -> None:
    """Refuse a detector whose scores depend on the pieces in which the rows come.

    Tried on a made-up run, which is a check and no proof; those of Grokscope are tested at length.
    """
    n_steps = 2 * max(analysis.detectors.window, analysis.alarms.sigma_window or 100) + 150
    rng = np.random.default_rng(0)
    layers = [1, 2]
    names = [
        *("train_loss", "train_metric", "test_loss", "test_metric", "grad_norm"),
        *(f"{kind}_{layer}" for layer in layers for kind in ("grad_norm", "weight_norm")),
        *(f"effective_rank_{layer}" for layer in layers),
    ]
    walks = np.exp(0.1 * rng.normal(size=(n_steps, len(names))).cumsum(axis=0))
    frame = pd.DataFrame(walks.astype(np.float32), columns=names)
    whole = _signals(entry, Rows(frame, layers), analysis)
    past, parts = Past(), []
    for start in range(0, n_steps, 97):
        with past.continued():
            piece = Rows(frame[start : start + 97], layers)
            parts.append(_signals(entry, piece, analysis))
    for layer, scores in whole.items():
        pieces = np.concatenate([part[layer] for part in parts])
        if not np.array_equal(pieces, scores, equal_nan=True):
            raise UserError(
                f"detectors: {entry.name} has other scores when the rows of a run come in pieces, "
                "so it cannot run live; compose it of the functions of "
                "grokscope.measure.detectors.trailing"
            )
