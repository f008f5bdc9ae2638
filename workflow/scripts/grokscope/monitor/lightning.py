"""LightningMonitor: the monitor as a callback of Lightning's Trainer.

Needs the package ``lightning``. Gradients are those that the optimiser applies, after the
Trainer's clipping. The training loss is the one that ``training_step`` returns, the mean over
micro-batches where gradients are accumulated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from grokscope.core.errors import UserError
from grokscope.monitor.gradient import GradientMonitor

METRICS = {
    "train_acc": "train_accuracy",
    "train_accuracy": "train_accuracy",
    "val_loss": "test_loss",
    "val_acc": "test_accuracy",
    "val_accuracy": "test_accuracy",
}


class LightningMonitor(Callback):  # type: ignore[misc]
    """Watches ``trainer.fit``; its state is part of Lightning's checkpoints.

    Parameters
    ----------
    path
        File of the run.
    metrics
        Which of the metrics that the module logs go into the file, and under which names; by
        default ``METRICS``. Names with ``train_`` are read at each update, others after each
        validation.
    options
        Of :class:`GradientMonitor`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        metrics: Mapping[str, str] = METRICS,
        **options: Any,
    ) -> None:
        self.monitor: GradientMonitor | None = None
        self._path = path
        self._metrics = dict(metrics)
        self._options = options
        self._state: dict[str, Any] = {}
        self._loss: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the monitor: here are the optimisers, and what a checkpoint restored."""
        if trainer.world_size > 1:
            raise UserError(
                f"LightningMonitor does not support {trainer.world_size} processes: not tested"
            )
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            raise UserError("LightningMonitor does not support precision 16-mixed: not tested")
        self.monitor = GradientMonitor(
            pl_module, list(trainer.optimizers), self._path, **self._options
        )
        if self._state:
            self.monitor.load_state_dict(self._state)
        self.monitor.attach()

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Add the loss of a micro-batch, which Lightning has divided by their number."""
        loss = loss.detach()
        self._loss = loss if self._loss is None else self._loss + loss

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Log what describes the state before the update."""
        assert self.monitor is not None
        self.monitor.log(train_loss=self._loss)
        self._loss = None
        self._log(trainer, training=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what describes the state that was validated."""
        if self.monitor is not None and not trainer.sanity_checking:
            self._log(trainer, training=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        assert self.monitor is not None
        self.monitor.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Keep the rows for a resumed run."""
        if self.monitor is not None:
            self.monitor.close(complete=False, reason=type(exception).__name__)

    def state_dict(self) -> dict[str, Any]:
        """State of the monitor, for Lightning's checkpoint."""
        return self._state if self.monitor is None else self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the optimisers are there."""
        self._state = state_dict

    def _log(self, trainer: Trainer, training: bool) -> None:
        assert self.monitor is not None
        for name, ours in self._metrics.items():
            if name in trainer.callback_metrics and ours.startswith("train_") == training:
                self.monitor.log(**{ours: trainer.callback_metrics[name]})
