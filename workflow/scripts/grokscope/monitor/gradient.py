"""GradientMonitor: norms, logs and alarms of a training loop that is not ours.

The monitor hooks the optimiser, not the modules: a step hook sees gradients that are accumulated,
reduced over processes and clipped, as they will be applied, and torch.compile does not trace it.
Row t describes the state after t updates, as in a trace: gradients and weights are read just
before update t + 1.
"""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.optim import Optimizer

from grokscope.core.errors import UserError
from grokscope.measure.detectors.registry import COMBINED
from grokscope.monitor.alarms import Alarm, Calibration
from grokscope.monitor.groups import Grouping, group_parameters, plain_name
from grokscope.monitor.readings import Readings
from grokscope.monitor.session import Session
from grokscope.monitor.support import (
    check_model,
    check_optimizers,
    check_parameters,
    is_sharded,
    writes_here,
)
from grokscope.runs.settings import Analysis

# Most steps between flushes; processes that share a model flush together, after as many.
MOST_STEPS, SHARED_STEPS = 4096, 100
_MEASURED = re.compile(r"(step|(grad|weight|update)_norm(_.*)?)")
_METRIC_NAMES = {"train_accuracy": "train_metric", "test_accuracy": "test_metric"}


class GradientMonitor:
    """Watches a training: norms at every step, what the loop logs, alarms.

    Parameters
    ----------
    model
        As it is trained: wrapped by DistributedDataParallel, ``fully_shard`` or
        ``torch.compile`` where it is.
    optimizer
        One or several. With several, a row ends when each has stepped, or when one steps again.
    path
        File of the run, parquet. While the run runs, its rows are in ``path`` + ``.partial``.
    groups
        What norms are measured of: one group per module that holds parameters (None), per module
        cut to so many parts of its path (a number), per match of a regular expression in the
        parameter's name (its first group, if it has one; ``other`` where it does not match), or
        per name that ``groups(name, parameter)`` gives.
    detectors
        Which detectors alarm: names, or levels by name. None: all of the calibration; without
        one, those with a stated level.
    layers
        Groups that may alarm, ``combined`` being the whole model; None: all.
    calibration
        Table ``calibration`` of an evaluation, which gives each alarm its chance level.
    study
        Study of the calibration, if the table has several.
    analysis
        Windows and levels of the detectors; None: those of the calibration, else the defaults.
    on_alarm
        Called with each :class:`grokscope.monitor.alarms.Alarm`, in the training's thread, before
        an update.
    config
        What names the run: seed, width, weight decay, …; kept in the file.
    flush_seconds
        Time between flushes: an alarm comes so much later, and a process that dies loses no more.

    Raises
    ------
    UserError
        Naming what cannot be watched.

    Examples
    --------
    >>> with GradientMonitor(model, optimizer, path="run.parquet") as monitor:
    ...     for inputs, targets in batches:
    ...         loss = loss_of(model(inputs), targets)
    ...         loss.backward()
    ...         monitor.log(train_loss=loss)  # before the update: of the same state as gradients
    ...         optimizer.step()
    ...         optimizer.zero_grad()
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        path: str | os.PathLike[str],
        *,
        groups: Grouping = None,
        detectors: Sequence[str] | Mapping[str, float | None] | None = None,
        layers: Sequence[str] | None = (COMBINED,),
        calibration: str | os.PathLike[str] | None = None,
        study: str | None = None,
        analysis: Analysis | None = None,
        on_alarm: Callable[[Alarm], object] | None = None,
        config: Mapping[str, Any] | None = None,
        flush_seconds: float = 1.0,
    ) -> None:
        check_model(model)
        self._optimizers: list[Any] = (
            list(optimizer) if isinstance(optimizer, Sequence) else [optimizer]
        )
        check_optimizers(self._optimizers)
        self.groups = group_parameters(model, self._optimizers, groups)
        parameters = [p for entry in self.groups.watched for p in entry.parameters]
        check_parameters(parameters)
        self._sharded = is_sharded(parameters)
        self._n_parameters = self._count_parameters()
        frozen = {*self.groups.frozen}
        named = [(plain_name(full), p) for full, p in model.named_parameters()]
        self._frozen = [(name, p) for name, p in named if name in frozen]
        self._readings = Readings(self.groups, self._optimizers, self._sharded)
        self._session = Session(
            self.groups,
            path,
            detectors=detectors,
            layers=layers,
            calibration=None if calibration is None else Calibration.read(calibration, study),
            analysis=analysis,
            on_alarm=on_alarm,
            config=config,
        )
        # One process of several keeps the records; where each has a part of the model, all read.
        self._writes = writes_here(model, self._sharded)
        self._reads = self._writes or self._sharded
        self._columns: dict[str, str] = {}
        self._n_rows = 0
        self._seconds = flush_seconds
        self._due = 0.0
        self._handles: list[Any] = []
        self._closed = False
        self._process = os.getpid()

    def __enter__(self) -> Self:
        self.attach()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.close(complete=False, reason=kind.__name__)

    def attach(self) -> None:
        """Start to watch; ``with`` does it."""
        if self._handles or not self._reads:
            return
        for number, optimizer in enumerate(self._optimizers):
            hook = partial(self._before_step, number)
            self._handles.append(optimizer.register_step_pre_hook(hook))
        atexit.register(self._at_exit)

    @property
    def step(self) -> int:
        """Number of updates so far; one that a fused optimiser left out counts until a flush."""
        return self._n_rows - self._session.progress.n_skipped

    @property
    def alarms(self) -> list[Alarm]:
        """All alarms so far."""
        return self._session.alarms

    def log(self, **values: float | Tensor | None) -> None:
        """Hand over values of the current state, that is of the parameters as they are now.

        A training loss describes the parameters before the update, so log it before
        ``optimizer.step()``; what is evaluated after the update, log after it. The last value of
        a name counts; None is left out. Tensors on a device are not waited for.

        Parameters
        ----------
        **values
            ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy`` (shares of 1; for
            other metrics, best at 1, ``train_metric`` and ``test_metric``), and any other names.

        Raises
        ------
        UserError
            If a name is taken by what the monitor measures.
        """
        for name, value in values.items():
            column = self._columns.get(name) or self._column(name)
            if value is None:
                continue
            if isinstance(value, Tensor):
                # On a device the loop may change it before it has been read.
                value = value.detach().float().clone() if value.is_cuda else value.item()
            self._readings.logged[column] = value

    def _column(self, name: str) -> str:
        """Column of what is logged under a name."""
        if _MEASURED.fullmatch(name):
            raise UserError(f"monitor.log: {name!r} is what the monitor measures; rename it")
        return self._columns.setdefault(name, _METRIC_NAMES.get(name, name))

    def before_clipping(self, scaler: Any = None) -> None:
        """Read the gradients now: call it before ``clip_grad_norm_``, after ``unscale_``.

        Without it, the gradients of the file are those that the optimiser applies, clipped.

        Parameters
        ----------
        scaler
            The GradScaler, if there is one.

        Raises
        ------
        UserError
            If the scaler has not unscaled the gradients.
        """
        if not self._reads:
            return
        self._session.note_gradients("before clipping")
        for number, optimizer in enumerate(self._optimizers):
            if scaler is not None and scaler.is_enabled():
                stage = scaler._per_optimizer_states[id(optimizer)]["stage"]
                if stage.name != "UNSCALED":
                    raise UserError(
                        "before_clipping: gradients are still scaled; call "
                        "scaler.unscale_(optimizer) first, as clipping needs it too"
                    )
            self._readings.read_gradients(number, early=True)

    def close(self, complete: bool = True, reason: str = "completed") -> None:
        """End: the last state is read and the file is written.

        Parameters
        ----------
        complete
            Whether the training is over. If not, the rows stay in the growing file, for a
            training that resumes.
        reason
            Why it ended, for the file.

        Raises
        ------
        UserError
            What went wrong with the records and was not told yet, if `complete`.
        """
        if self._closed:
            return
        self._closed = True
        for handle in self._handles:
            handle.remove()
        atexit.unregister(self._at_exit)
        if not self._reads:
            return
        try:
            if complete:
                # A row of what is known of the last state: all but its gradients.
                if self._readings.is_open:
                    self._readings.end_row()
                self._readings.end_row()
            self._flush()
            if complete and self._writes:
                self._session.finish(reason)
        finally:
            self._session.stop()

    def state_dict(self) -> dict[str, Any]:
        """All that the next rows and alarms depend on, for a checkpoint; waits for the records.

        Numbers, words, lists and tensors: ``torch.load`` reads it with ``weights_only=True``.
        Where several processes share the model, call it in all; one gets the state.

        Returns
        -------
        dict
            Empty in a process that does not get it.

        Raises
        ------
        UserError
            If only some of the optimisers have stepped.
        """
        if not self._reads:
            return {}
        if self._readings.is_open:
            raise UserError("state_dict: call it when every optimiser has stepped")
        self._flush()
        change = self._readings.updates()
        return self._session.state(change, self._readings.logged) if self._writes else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, with the same file: later rows in it are dropped.

        Parameters
        ----------
        state
            Of :meth:`state_dict`.

        Raises
        ------
        UserError
            If the state is of other groups, detectors or another version, or if updates were made
            already.
        """
        if not self._writes:
            return
        if self._n_rows:
            raise UserError("load_state_dict: call it before the first update")
        self._session.restore(state)
        self._n_rows = self._session.progress.step

    def _before_step(self, number: int, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """Hook of an optimiser: read what it is about to apply, and to what."""
        if self._writes:
            self._session.check()
        closure = kwargs.get("closure") or (args[1] if len(args) > 1 else None)
        if closure is None:
            self._read(number)
            return None
        # The gradients are made by the closure; of several calls the first is at this state.
        calls = 0

        def watched() -> Any:
            nonlocal calls
            result = closure()
            calls += 1
            if calls == 1:
                self._read(number)
            return result

        return args[:1], kwargs | {"closure": watched}

    def _read(self, number: int) -> None:
        if self._session.gradients is None:
            self._session.note_gradients("as applied")
        before = self._readings.n_rows
        self._readings.read(number)
        self._n_rows += self._readings.n_rows - before
        most = SHARED_STEPS if self._sharded else MOST_STEPS
        due = not self._sharded and time.monotonic() >= self._due
        if due or self._readings.n_rows >= most:
            self._check_unchanged()
            self._flush()

    def _flush(self) -> None:
        if self._readings.n_rows:
            flush = self._readings.flush()
            if self._writes:
                self._session.put(flush)
        self._due = time.monotonic() + self._seconds

    def _count_parameters(self) -> int:
        return sum(len(g["params"]) for o in self._optimizers for g in o.param_groups)

    def _check_unchanged(self) -> None:
        """Refuse parameters that joined the training after the monitor."""
        joined = [name for name, p in self._frozen if p.requires_grad and p.grad is not None]
        if self._count_parameters() != self._n_parameters:
            joined.append("a parameter of the optimiser")
        if joined:
            raise UserError(
                f"{joined[0]} joined the training after the monitor was made; make the monitor "
                "when the optimiser has all its parameters and they require gradients"
            )

    def _at_exit(self) -> None:
        # A forked process has the hooks, not the thread.
        if os.getpid() == self._process:
            self.close(complete=False, reason="process ended")
