"""Optimisers: torch's, on flat parameters, with learning rate schedules and gradient filters.

All parameters of a network are views of one vector. AdamW, Adam and SGD act on each number alone,
so they get the whole vector as one parameter; Muon gets its matrices, and AdamW the rest. What
they keep can be taken out and put back as arrays, so a training can be resumed bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokscope.runs.spec import RunSpec
from grokscope.train.engines.base import ADAM_EPS


def rate_factor(spec: RunSpec, update: int) -> float:
    """Share of the learning rate at an update, the first of which is 1.

    ``t / warmup_steps`` in the warm-up; then 1, or falling linearly or as half a cosine from 1
    towards 0, which the update after the last would have.
    """
    if update <= spec.warmup_steps:
        return update / spec.warmup_steps
    if spec.schedule == "constant":
        return 1.0
    done = (update - 1 - spec.warmup_steps) / (spec.steps - spec.warmup_steps)
    return 1 - done if spec.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


class Optimizer:
    """Updates of one run.

    Parameters
    ----------
    flat, gradient : (n_parameters,) tensors
    hidden
        Matrices that Muon orthogonalises, views of both: (parameter, gradient).
    rest
        Vectors of all other parameters, likewise.
    """

    def __init__(
        self,
        spec: RunSpec,
        flat: Tensor,
        gradient: Tensor,
        hidden: Sequence[tuple[Tensor, Tensor]],
        rest: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        self._spec, self._gradient = spec, gradient
        self._average: Tensor | None = None
        rate, decay = spec.learning_rate, float(spec.weight_decay)
        # Vectors of all that is updated number by number; of Muon, only what is no hidden matrix.
        vectors = _parameters(rest if spec.optimizer == "muon" else [(flat, gradient)])
        self._parts: list[tuple[torch.optim.Optimizer, float]] = []
        if spec.optimizer == "sgd":
            assert spec.momentum is not None
            nesterov = bool(spec.nesterov)
            self._add(torch.optim.SGD(vectors, rate, spec.momentum, 0, decay, nesterov), rate)
            return
        assert spec.betas is not None
        kind = torch.optim.Adam if spec.optimizer == "adam" else torch.optim.AdamW
        self._add(kind(vectors, rate, spec.betas, ADAM_EPS, decay, fused=True), rate)
        if spec.optimizer == "muon":
            assert spec.muon_learning_rate is not None and spec.momentum is not None
            self._add(
                torch.optim.Muon(
                    _parameters(hidden),
                    lr=spec.muon_learning_rate,
                    weight_decay=decay,
                    momentum=spec.momentum,
                    nesterov=bool(spec.nesterov),
                ),
                spec.muon_learning_rate,
            )

    def _add(self, optimizer: torch.optim.Optimizer, rate: float) -> None:
        self._parts.append((optimizer, rate))

    def update(self, number: int) -> None:
        """Make an update, the first of which has the number 1. The gradient may be changed."""
        self._filter()
        factor = rate_factor(self._spec, number)
        for optimizer, rate in self._parts:
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()

    def _filter(self) -> None:
        """Grokfast: add the gradient's exponential moving average (Lee et al. 2024)."""
        decay, strength = self._spec.filter_decay, self._spec.filter_strength
        if decay is None or strength is None:
            return
        if self._average is None:
            self._average = self._gradient.clone()
        else:
            self._average.lerp_(self._gradient, 1 - decay)
        self._gradient.add_(self._average, alpha=strength)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What the next updates depend on, by name: vectors of all parameters."""
        found = {} if self._average is None else {"average": self._average.cpu().numpy().copy()}
        for place, (optimizer, _) in enumerate(self._parts):
            parameters = optimizer.param_groups[0]["params"]
            for name in optimizer.state[parameters[0]] if optimizer.state else ():
                values = [optimizer.state[parameter][name] for parameter in parameters]
                if isinstance(values[0], Tensor):
                    vector = torch.cat([value.detach().reshape(-1) for value in values])
                    found[f"{name}_{place}"] = vector.cpu().numpy()
        return found

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from a :meth:`state`."""
        if "average" in state:
            self._average = torch.from_numpy(state["average"]).to(self._gradient, copy=True)
        for place, (optimizer, _) in enumerate(self._parts):
            parameters = optimizer.param_groups[0]["params"]
            for parameter in parameters:
                optimizer.state[parameter].clear()
            for name, vector in state.items():
                if not name.endswith(f"_{place}"):
                    continue
                name = name.removesuffix(f"_{place}")
                # The number of updates made is one number per parameter.
                sizes = [1 if name == "step" else p.numel() for p in parameters]
                pieces = torch.split(torch.from_numpy(vector), sizes)
                for parameter, piece in zip(parameters, pieces, strict=True):
                    shape = () if name == "step" else parameter.shape
                    optimizer.state[parameter][name] = piece.to(parameter.device, copy=True).view(
                        shape
                    )


def _parameters(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Parameters with their gradients in place."""
    for parameter, gradient in pairs:
        parameter.grad = gradient
    return [parameter for parameter, _ in pairs]
