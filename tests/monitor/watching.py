"""What tests of the monitor share: small models, plain loops, norms computed otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from grokscope.monitor.gradient import GradientMonitor
from grokscope.monitor.records import read_rows

KINDS = ("grad_norm", "weight_norm", "update_norm")


def model_of(seed: int = 0, width: int = 16) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def batches(n: int, size: int = 32, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Fixed batches of a task that can be learned."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, size, 6, generator=generator)
    return list(zip(inputs, inputs[:, :, :3].argmax(2), strict=True))


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs.float(), targets)


def norm(tensors: Iterable[Tensor]) -> float:
    """Norm of all numbers of some tensors, in float64."""
    return float(np.sqrt(sum(float((t.detach().double() ** 2).sum()) for t in tensors)))


class Expected:
    """Norms of a loop as it goes, computed in float64 and apart from the monitor.

    Call ``before`` with the optimiser's gradients in place, just before each update.
    """

    def __init__(self, groups: dict[str, list[Tensor]]) -> None:
        self.groups = groups
        self.rows: list[dict[str, float]] = []
        self._last: dict[str, list[Tensor]] = {}

    def before(self, scale: float = 1.0, gradients: bool = True) -> None:
        row: dict[str, float] = {}
        total = 0.0
        for name, parameters in self.groups.items():
            there = [p.grad for p in parameters if p.grad is not None]
            found = norm(there) / scale if there and gradients else np.nan
            row[f"grad_norm_{name}"] = found
            total += 0 if np.isnan(found) else found**2
            row[f"weight_norm_{name}"] = norm(parameters)
            last = self._last.get(name)
            now = [p.detach().double().clone() for p in parameters]
            moved = [a - b for a, b in zip(now, last, strict=True)] if last else None
            row[f"update_norm_{name}"] = norm(moved) if moved else np.nan
            self._last[name] = now
        row["grad_norm"] = float(np.sqrt(total)) if gradients else np.nan
        self.rows.append(row)

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)


def layers(model: nn.Module, names: Iterable[str] = ("0", "2")) -> dict[str, list[Tensor]]:
    return {name: list(model.get_submodule(name).parameters()) for name in names}


def rows_of(path: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    table, metadata = read_rows(path)
    return table.to_pandas(), metadata


def assert_rows(found: pd.DataFrame, expected: pd.DataFrame, rtol: float = 2e-6) -> None:
    """Every expected column is there, to float32 rounding, with nulls where there are nulls."""
    assert len(found) == len(expected)
    assert found["step"].tolist() == list(range(len(expected)))
    for name in expected:
        np.testing.assert_allclose(
            found[name].to_numpy(float), expected[name], rtol=rtol, atol=1e-9, err_msg=name
        )


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    path: Any,
    n_steps: int = 30,
    **options: Any,
) -> GradientMonitor:
    """A plain loop under the monitor."""
    with GradientMonitor(model, optimizer, path, **options) as monitor:
        for inputs, targets in batches(n_steps):
            loss = loss_of(model(inputs), targets)
            loss.backward()
            monitor.log(train_loss=loss)
            optimizer.step()
            optimizer.zero_grad()
    return monitor
