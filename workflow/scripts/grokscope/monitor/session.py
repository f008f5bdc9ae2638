"""Session: the records of one watched run: file, detectors, alarms, checkpoints."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokscope.core.errors import UserError
from grokscope.measure.detectors.live import LiveDetectors
from grokscope.measure.detectors.registry import ALARM_SECTIONS
from grokscope.monitor.alarms import Alarm, Calibration, chosen_levels
from grokscope.monitor.groups import Groups
from grokscope.monitor.records import FORMAT_VERSION, METRICS, Recording, library_versions
from grokscope.monitor.worker import Flush, Progress, Worker
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import Analysis

logger = logging.getLogger("grokscope.monitor")


class Session:
    """Records of a run; the arguments are those of :class:`GradientMonitor`.

    The file and the worker's thread are made with the first rows, so that a checkpoint can be
    loaded before.

    Attributes
    ----------
    gradients : str or None
        Which gradients were read: ``as applied`` or ``before clipping``.
    alarms : list of Alarm
    progress : Progress
    """

    def __init__(
        self,
        groups: Groups,
        path: str | os.PathLike[str],
        *,
        detectors: Sequence[str] | Mapping[str, float | None] | None,
        layers: Sequence[str] | None,
        calibration: Calibration | None,
        analysis: Analysis | None,
        on_alarm: Callable[[Alarm], object] | None,
        config: Mapping[str, Any] | None,
    ) -> None:
        if analysis is None:
            analysis = default_analysis() if calibration is None else calibration.analysis
        elif calibration is not None and not calibration.is_of(analysis):
            raise UserError(
                "calibration: its alarms were raised with other settings than those of "
                "`analysis`; leave `analysis` out to use the calibration's"
            )
        self._groups = groups
        self._path = path
        self._calibration = calibration
        levels = chosen_levels(detectors, calibration, analysis)
        self._detectors = LiveDetectors(levels, analysis)
        self._settings = analysis.to_json(ALARM_SECTIONS)
        self._layers = None if layers is None else {*layers}
        self._on_alarm = on_alarm
        self._config = dict(config or {})
        self._resumed: list[int] = []
        self._worker: Worker | None = None
        self.gradients: str | None = None
        self.alarms: list[Alarm] = []
        self.progress = Progress(update=[float("nan")] * len(groups.names))

    def note_gradients(self, which: str) -> None:
        """Note which gradients are read: the same in the whole run.

        Raises
        ------
        UserError
            If others were read before.
        """
        if self.gradients not in (None, which):
            raise UserError(
                f"before_clipping: the gradients of this run are read {self.gradients}; call it "
                "before every update or before none"
            )
        self.gradients = which

    def _started(self) -> Worker:
        if self._worker is None:
            names = self._groups.names
            columns = [*METRICS, "grad_norm"]
            columns += [
                f"{kind}_norm_{name}" for kind in ("grad", "weight", "update") for name in names
            ]
            metadata = self._metadata(False, "running")
            recording = Recording(self._path, columns, metadata, self.progress.step)
            self._worker = Worker(names, self._detectors, recording, self.progress)
        return self._worker

    def check(self) -> None:
        """Raise what went wrong in the worker's thread, hand over the alarms that it found."""
        worker = self._started()
        if worker.error is not None:
            raise worker.error
        self._deliver(worker)

    def put(self, flush: Flush) -> None:
        """Hand over rows."""
        self._started().put(flush)

    def finish(self, reason: str) -> None:
        """Write the run's file."""
        worker = self._started()
        worker.wait()
        self._deliver(worker)
        worker.recording.finish(self._metadata(True, reason))

    def stop(self) -> None:
        """End the worker's thread when it has done what was handed over."""
        if self._worker is not None:
            self._worker.stop()

    def state(self, change: NDArray[np.float64], logged: Mapping[str, Any]) -> dict[str, Any]:
        """State for a checkpoint.

        Parameters
        ----------
        change
            Squared norms by group of what has changed since the last row; they become part of
            the next.
        logged
            Values for the next row.
        """
        worker = self._started()
        worker.wait()
        self._deliver(worker)
        before = self.progress.update or [0.0] * len(change)
        self.progress.update = (np.array(before) + change).tolist()
        logged = {**self.progress.logged, **logged}
        return {
            "version": FORMAT_VERSION,
            "groups": list(self._groups.names),
            "step": self.progress.step,
            "logged": {name: float(value) for name, value in logged.items()},
            "update": self.progress.update,
            "n_skipped": self.progress.n_skipped,
            "gradients": self.gradients,
            "resumed_at": list(self._resumed),
            "alarms": [alarm.row() for alarm in self.alarms],
            "settings": self._settings,
            "detectors": packed(self._detectors.state()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`.

        Raises
        ------
        UserError
            If it is of other groups, detectors or another version.
        """
        names = self._groups.names
        if state.get("version") != FORMAT_VERSION or state.get("groups") != names:
            raise UserError(
                f"load_state_dict: state of version {state.get('version')} with the groups "
                f"{state.get('groups')}; here are version {FORMAT_VERSION} and the groups {names}"
            )
        if state["settings"] != self._settings:
            raise UserError(
                f"load_state_dict: state of the detector settings {state['settings']}; here are "
                f"{self._settings}"
            )
        self._detectors.restore(unpacked(state["detectors"]))
        self.progress = Progress(
            state["step"], dict(state["logged"]), list(state["update"]), state["n_skipped"]
        )
        self.gradients = state["gradients"]
        self._resumed = [*state["resumed_at"], state["step"]]
        self.alarms[:] = [Alarm.from_row(row) for row in state["alarms"]]

    def _deliver(self, worker: Worker) -> None:
        while not worker.alarms.empty():
            found = worker.alarms.get()
            if self._layers is not None and found.layer not in self._layers:
                continue
            chance = None
            if self._calibration is not None:
                by_step = self._detectors.by_step(found.detector)
                chance = self._calibration.chance_of(found, by_step)
            alarm = Alarm(*found, chance)
            self.alarms.append(alarm)
            logger.warning("%s", alarm)
            if self._on_alarm is not None:
                self._on_alarm(alarm)

    def _metadata(self, complete: bool, reason: str) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "groups": self._groups.names,
            "members": self._groups.members,
            "frozen": self._groups.frozen,
            "row": "before_update",
            "gradients": self.gradients,
            "config": self._config,
            "complete": complete,
            "stopped_reason": reason,
            "resumed_at": self._resumed,
            "skipped_updates": self.progress.n_skipped,
            "alarms": [alarm.row() for alarm in self.alarms],
            "library": library_versions(),
        }


def packed(value: Any) -> Any:
    """A state with tensors for arrays."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {key: packed(entry) for key, entry in value.items()}
    return [packed(entry) for entry in value] if isinstance(value, list) else value


def unpacked(value: Any) -> Any:
    """Inverse of :func:`packed`."""
    if isinstance(value, Tensor):
        return value.cpu().numpy()
    if isinstance(value, Mapping):
        return {key: unpacked(entry) for key, entry in value.items()}
    return [unpacked(entry) for entry in value] if isinstance(value, list) else value
