"""Worker: turns readings into rows, alarms and a file, beside the training.

Input: flushes of readings, from the training's thread. Output: rows appended to the run's file,
and alarms, which the training's thread takes from a queue.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.core.errors import UserError
from grokscope.measure.detectors.live import LiveAlarm, LiveDetectors, Rows
from grokscope.monitor.records import METRICS, Recording

Array = NDArray[np.float64]


@dataclass
class Flush:
    """Readings of some steps, which may still be on their way from a device.

    Attributes
    ----------
    squares : callable
        Gives the squared norms by group of gradients (NaN: no gradient), weights and updates
        (NaN: not known), each of shape ``(n, n_groups)``.
    skipped : callable
        Gives whether the update was left out, because gradients overflowed; shape ``(n,)``.
    logged : list of dict
        What the loop handed over for each step, by column.
    """

    squares: Callable[[], tuple[Array, Array, Array]]
    skipped: Callable[[], NDArray[np.bool_]]
    logged: list[dict[str, Any]]


@dataclass
class Progress:
    """What the next row depends on besides its own readings; part of a checkpoint.

    Attributes
    ----------
    step : int
        Updates of the rows that are done: the step of the next row.
    logged : dict
        Values for the next row.
    update : list of float or None
        Squared norms by group of the update that led to it, so far as it was read before; NaN: of
        none, as before the first row.
    n_skipped : int
        Updates that were left out.
    """

    step: int = 0
    logged: dict[str, float] = field(default_factory=dict)
    update: list[float] | None = None
    n_skipped: int = 0


class Worker:
    """Handles flushes one after the other, in a thread of its own.

    Attributes
    ----------
    alarms : SimpleQueue of LiveAlarm
    """

    def __init__(
        self,
        groups: Sequence[str],
        detectors: LiveDetectors,
        recording: Recording,
        progress: Progress,
    ) -> None:
        self.groups = list(groups)
        self.detectors = detectors
        self.recording = recording
        self.progress = progress
        self.alarms: queue.SimpleQueue[LiveAlarm] = queue.SimpleQueue()
        self.error: BaseException | None = None
        # Few: a training that is faster than its records waits for them.
        self._jobs: queue.Queue[Flush | None] = queue.Queue(maxsize=4)
        self._thread = threading.Thread(target=self._work, name="grokscope-monitor", daemon=True)
        self._thread.start()

    def put(self, flush: Flush) -> None:
        """Hand over a flush; waits only if several are not done."""
        self._jobs.put(flush)

    def wait(self) -> None:
        """Until everything that was handed over is done.

        Raises
        ------
        Exception
            The first error of the thread.
        """
        self._jobs.join()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End the thread when all is done."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self.error is None:
                    self.handle(job)
            except BaseException as error:
                self.error = error
            finally:
                self._jobs.task_done()
        self._jobs.task_done()

    def handle(self, flush: Flush) -> None:
        """Rows of a flush: scored, and appended to the file."""
        columns = self._columns(flush)
        if not len(columns["step"]):
            return
        frame = pd.DataFrame({name: columns.get(name) for name in self._needed(columns)})
        for alarm in self.detectors.feed(Rows(frame, self.groups)):
            self.alarms.put(alarm)
        self.recording.append(columns)

    def _needed(self, columns: Mapping[str, Any]) -> list[str]:
        """Columns that detectors may ask for; those that nobody measured are unknown."""
        last = self.groups[-1]
        return list(dict.fromkeys([*columns, *METRICS, f"effective_rank_{last}"]))

    def _columns(self, flush: Flush) -> dict[str, NDArray[Any]]:
        """Columns of the rows of a flush, NaN for null.

        An update that was left out makes no row: the state stayed as it was. What was logged for
        it, and the update before it, go with the next row, the same state.
        """
        gradients, weights, updates = flush.squares()
        skipped = flush.skipped()
        rows: list[int] = []
        logged: list[dict[str, float]] = []
        changes: list[Array] = []
        for place, values in enumerate(flush.logged):
            self.progress.logged |= {name: _number(name, value) for name, value in values.items()}
            change = updates[place]
            if self.progress.update is not None:
                change = change + np.array(self.progress.update)
            if skipped[place]:
                self.progress.update = change.tolist()
                self.progress.n_skipped += 1
                continue
            rows.append(place)
            logged.append(self.progress.logged)
            changes.append(change)
            self.progress.logged, self.progress.update = {}, None
        n_rows = len(rows)
        step = self.progress.step + np.arange(n_rows)
        self.progress.step += n_rows
        found: dict[str, NDArray[Any]] = {"step": step}
        names = [*METRICS, *(name for entry in logged for name in entry)]
        for name in dict.fromkeys(names):
            found[name] = np.array([entry.get(name, np.nan) for entry in logged], np.float32)
        kinds = {
            "grad_norm": gradients[rows],
            "weight_norm": weights[rows],
            "update_norm": np.array(changes).reshape(n_rows, len(self.groups)),
        }
        found["grad_norm"] = np.sqrt(_total(kinds["grad_norm"])).astype(np.float32)
        for kind, squares in kinds.items():
            norms = np.sqrt(squares).astype(np.float32)
            for place, group in enumerate(self.groups):
                found[f"{kind}_{group}"] = np.ascontiguousarray(norms[:, place])
        return found


def _total(squares: Array) -> Array:
    """Sum over groups of what is known; NaN where nothing is."""
    known = ~np.isnan(squares)
    return np.where(known.any(axis=1), np.where(known, squares, 0).sum(axis=1), np.nan)


def _number(name: str, value: Any) -> float:
    """A logged value as a number, checked where its name says what it can be."""
    number = float(value)
    if name.endswith("_metric") and number > 1:
        raise UserError(
            f"monitor.log: {name} is {number:g}, above 1; a share of 1 is expected, not percent"
        )
    return number
