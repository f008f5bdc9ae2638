"""Optimisers: torch's, on flat parameters, with learning rate schedules and gradient filters.

All parameters of a network are views of one vector. AdamW, Adam and SGD act on each number alone,
so they get the whole vector as one parameter; Muon gets its matrices, and AdamW the rest. What
they keep can be taken out and put back as arrays, so a training can be resumed bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

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


# A parameter and its gradient.
Pair = tuple[Tensor, Tensor]


class Optimizer:
    """Updates of runs that differ in weight decay and learning rate alone.

    Parameters
    ----------
    specs
        R runs.
    flat, gradient : (R, n_parameters) tensors
    hidden
        Of each run the matrices that Muon orthogonalises, views of both: (parameter, gradient).
    rest
        Likewise all other parameters.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        flat: Tensor,
        gradient: Tensor,
        hidden: Sequence[Sequence[Pair]],
        rest: Sequence[Sequence[Pair]],
    ) -> None:
        self._spec = spec = specs[0]
        self._gradient = gradient
        self._average: Tensor | None = None
        # Vectors of all that is updated number by number; of Muon, only what is no hidden matrix.
        whole = [[(flat[run], gradient[run])] for run in range(len(specs))]
        vectors = [_parameters(pairs) for pairs in (rest if spec.optimizer == "muon" else whole)]
        # Each of torch's optimisers with what it updates of each run.
        self._parts: list[tuple[torch.optim.Optimizer, list[list[Tensor]]]] = []
        rates = [spec.learning_rate for spec in specs]
        if spec.optimizer == "sgd":
            groups = _groups(vectors, rates, specs)
            assert spec.momentum is not None
            sgd = torch.optim.SGD(groups, momentum=spec.momentum, nesterov=bool(spec.nesterov))
            self._parts.append((sgd, vectors))
            return
        assert spec.betas is not None
        kind = torch.optim.Adam if spec.optimizer == "adam" else torch.optim.AdamW
        adam = kind(_groups(vectors, rates, specs), betas=spec.betas, eps=ADAM_EPS, fused=True)
        self._parts.append((adam, vectors))
        if spec.optimizer == "muon":
            assert spec.muon_learning_rate is not None and spec.momentum is not None
            matrices = [_parameters(pairs) for pairs in hidden]
            groups = _groups(matrices, [spec.muon_learning_rate] * len(specs), specs)
            muon = torch.optim.Muon(groups, momentum=spec.momentum, nesterov=bool(spec.nesterov))
            self._parts.append((muon, matrices))

    def update(self, number: int) -> None:
        """Make an update, the first of which has the number 1. The gradient may be changed."""
        self._filter()
        factor = rate_factor(self._spec, number)
        for optimizer, _ in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
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
        """What the next updates depend on, by name: a vector of all parameters per run."""
        found = {} if self._average is None else {"average": self._average.cpu().numpy().copy()}
        for place, (optimizer, parameters) in enumerate(self._parts):
            kept = optimizer.state
            for name in kept[parameters[0][0]] if kept else ():
                values = [[kept[p][name] for p in own] for own in parameters]
                if isinstance(values[0][0], Tensor):
                    vectors = [torch.cat([v.detach().reshape(-1) for v in run]) for run in values]
                    found[f"{name}_{place}"] = torch.stack(vectors).cpu().numpy()
        return found

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from a :meth:`state`."""
        if "average" in state:
            self._average = torch.from_numpy(state["average"]).to(self._gradient, copy=True)
        for place, (optimizer, parameters) in enumerate(self._parts):
            optimizer.state.clear()
            for name, vectors in state.items():
                if not name.endswith(f"_{place}"):
                    continue
                name = name.removesuffix(f"_{place}")
                for own, vector in zip(parameters, vectors, strict=True):
                    # The number of updates made is one number per parameter.
                    sizes = [1 if name == "step" else p.numel() for p in own]
                    pieces = torch.split(torch.from_numpy(vector), sizes)
                    for parameter, piece in zip(own, pieces, strict=True):
                        value = piece.to(parameter.device, copy=True)
                        shape = () if name == "step" else parameter.shape
                        optimizer.state[parameter][name] = value.view(shape)


def _parameters(pairs: Sequence[Pair]) -> list[Tensor]:
    """Parameters with their gradients in place."""
    for parameter, gradient in pairs:
        parameter.grad = gradient
    return [parameter for parameter, _ in pairs]


def _groups(
    parameters: Sequence[list[Tensor]], rates: Sequence[float], specs: Sequence[RunSpec]
) -> list[dict[str, Any]]:
    """Runs of one learning rate and weight decay together, which torch updates at once."""
    found: dict[tuple[float, float], list[Tensor]] = {}
    for own, rate, spec in zip(parameters, rates, specs, strict=True):
        found.setdefault((rate, float(spec.weight_decay)), []).extend(own)
    return [
        {"params": params, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), params in found.items()
    ]
