"""HuggingFaceMonitor: the monitor as a callback of the Trainer of transformers.

Needs the package ``transformers``. Gradients are those that the optimiser applies, after the
Trainer's clipping (``max_grad_norm``). The Trainer tells no loss of a step: ``train_loss`` is the
mean of the steps since the last log, as the file's configuration says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from grokscope.core.errors import UserError
from grokscope.monitor.gradient import GradientMonitor

METRICS = {"loss": "train_loss", "eval_loss": "test_loss", "eval_accuracy": "test_accuracy"}
# File in the Trainer's checkpoint.
STATE = "grokscope_monitor.pt"


class HuggingFaceMonitor(TrainerCallback):  # type: ignore[misc]
    """Watches ``trainer.train``; its state is a file in each checkpoint.

    Parameters
    ----------
    path
        File of the run.
    metrics
        Which entries of the Trainer's log go into the file, and under which names.
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

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Make the monitor, with the state of the checkpoint that is resumed."""
        untested = {
            f"{args.world_size} processes": args.world_size > 1,
            "several devices (n_gpu)": args.n_gpu > 1,
            "deepspeed": bool(args.deepspeed),
            "fsdp": bool(args.fsdp),
            "fp16": args.fp16,
        }
        for name, used in untested.items():
            if used:
                raise UserError(f"HuggingFaceMonitor does not support {name}: not tested")
        # What accelerate wraps steps as well, so hooks on it see each update.
        optimizer = kwargs["optimizer"]
        optimizer = getattr(optimizer, "optimizer", optimizer)
        note = {"train_loss": f"mean of the steps since the last log, {args.logging_steps} apart"}
        options = {**self._options, "config": note | dict(self._options.get("config", {}))}
        self.monitor = GradientMonitor(kwargs["model"], optimizer, self._path, **options)
        if state.global_step:
            kept = _checkpoint(args, state) / STATE
            if not kept.exists():
                raise UserError(f"{kept}: no state of the monitor in the checkpoint")
            self.monitor.load_state_dict(torch.load(kept, weights_only=True))
        self.monitor.attach()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log what the Trainer logs; it does so after an update and after an evaluation."""
        for name, ours in self._metrics.items():
            if self.monitor is not None and logs is not None and name in logs:
                self.monitor.log(**{ours: logs[name]})

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Put the monitor's state into the checkpoint."""
        folder = _checkpoint(args, state)
        if self.monitor is not None and folder.exists():
            torch.save(self.monitor.state_dict(), folder / STATE)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Write the file."""
        assert self.monitor is not None
        self.monitor.close()


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
