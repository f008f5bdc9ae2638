"""Baselines of the trainer: the published loop, and the same loop vectorised over seeds.

Both train and log the same as Grokscope: at every step the loss, the metric and each layer's
gradient and weight norm, at the test cadence the test loss and metric. Inputs are made once,
before the loop.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import ScalarSamples
from grokscope.train.dataset import Dataset, make_dataset


class Network(nn.Module):
    """The published networks: linear layers with ReLU between, on one-hot floats or embeddings."""

    def __init__(self, spec: RunSpec, data: Dataset) -> None:
        super().__init__()
        torch.manual_seed(spec.init_seed)
        samples = data.samples
        self.embeddings = nn.ModuleList()
        if isinstance(samples, ScalarSamples):
            size, out = samples.inputs.shape[1], samples.targets.shape[1]
        else:
            size, out = 2 * samples.n_symbols, samples.n_classes
            if spec.embedding_dim is not None:
                for _ in range(2):
                    self.embeddings.append(nn.Embedding(samples.n_symbols, spec.embedding_dim))
                size = 2 * spec.embedding_dim
        sizes = [size] + [spec.width] * (spec.depth - 1) + [out]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        if len(self.embeddings):
            x = torch.cat([embed(x[:, n]) for n, embed in enumerate(self.embeddings)], dim=1)
        for linear in self.linears[:-1]:
            x = torch.relu(linear(x))
        return self.linears[-1](x)

    def layers(self) -> dict[str, list[str]]:
        """Names of the parameters whose norm is taken together."""
        result = {}
        if len(self.embeddings):
            result["0"] = ["embeddings.0.weight", "embeddings.1.weight"]
        for n in range(len(self.linears)):
            result[str(n + 1)] = [f"linears.{n}.weight", f"linears.{n}.bias"]
        return result


def tensors(spec: RunSpec, data: Dataset, part: str, device: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the training or test set, as the network takes them."""
    index = getattr(data, part)
    samples = data.samples
    if isinstance(samples, ScalarSamples):
        x = torch.tensor(samples.inputs[index], dtype=torch.float32)
        y = torch.tensor(samples.targets[index], dtype=torch.float32)
    else:
        pairs = torch.tensor(samples.operands[index])
        y = torch.tensor(samples.classes[index])
        x = pairs
        if spec.embedding_dim is None:
            x = functional.one_hot(pairs, samples.n_symbols).flatten(1).float()
    return x.to(device), y.to(device)


def loss_and_metric(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss, and accuracy or R²."""
    if y.is_floating_point():
        loss = functional.mse_loss(output, y)
        total = (y - y.mean()).square().mean()
        return loss, 1 - loss.detach() / total
    accuracy = (output.argmax(1) == y).float().mean()
    return functional.cross_entropy(output, y), accuracy


class PlainLoop:
    """nn.Linear, autograd and torch.optim.AdamW, one run, logged with ``item``: loop (a)."""

    def __init__(self, spec: RunSpec, device: str = "cpu") -> None:
        self.spec = spec
        data = make_dataset(spec)
        self.network = Network(spec, data).to(device)
        self.train = tensors(spec, data, "train", device)
        self.test = tensors(spec, data, "test", device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=spec.learning_rate,
            betas=spec.betas,
            weight_decay=float(spec.weight_decay),
        )
        self.layers = self.network.layers()
        self.rows: list[dict[str, float]] = []

    def advance(self, steps: int) -> None:
        """Log a row and make an update, repeated `steps` times."""
        parameters = dict(self.network.named_parameters())
        for _ in range(steps):
            self.optimiser.zero_grad()
            x, y = self.train
            loss, metric = loss_and_metric(self.network(x), y)
            loss.backward()
            row = {"train_loss": loss.item(), "train_metric": metric.item()}
            for layer, names in self.layers.items():
                grads = torch.stack([parameters[name].grad.norm() for name in names])
                norms = torch.stack([parameters[name].detach().norm() for name in names])
                row[f"grad_norm_{layer}"] = grads.norm().item()
                row[f"weight_norm_{layer}"] = norms.norm().item()
            step = len(self.rows)
            if step % self.spec.test_every == 0:
                with torch.no_grad():
                    x, y = self.test
                    loss, metric = loss_and_metric(self.network(x), y)
                row |= {"test_loss": loss.item(), "test_metric": metric.item()}
            if self.spec.rank_every is not None and step % self.spec.rank_every == 0:
                for n, linear in enumerate(self.network.linears, 1):
                    row |= ranks(linear.weight.detach(), self.spec.rank_tolerance, n)
            self.rows.append(row)
            self.optimiser.step()

    def finish(self) -> int:
        """Train to the end, or until the early stopping rule holds; the number of rows logged."""
        stop = self.spec.early_stop
        since: int | None = None
        while len(self.rows) <= self.spec.steps:
            self.advance(1)
            row, step = self.rows[-1], len(self.rows) - 1
            if stop is None or "test_metric" not in row:
                continue
            if all(row[f"{name}_metric"] >= stop.threshold for name in stop.metrics):
                since = step if since is None else since
                if step - since >= stop.hold_steps:
                    break
            else:
                since = None
        return len(self.rows)


def ranks(weight: Tensor, tolerance: float, layer: int) -> dict[str, float]:
    """Effective, stable and numerical rank of a layer's weights."""
    sigma = torch.linalg.svdvals(weight)
    share = sigma / sigma.sum()
    return {
        f"effective_rank_{layer}": torch.special.entr(share).sum().exp().item(),
        f"stable_rank_{layer}": (sigma.square().sum() / sigma[0].square()).item(),
        f"numerical_rank_{layer}": (sigma > tolerance * sigma[0]).sum().item(),
    }


class VmapLoop:
    """``torch.func``: the same networks stacked, vmap over seeds, AdamW on the stack (loop b).

    Its log stays on the device until a call of :meth:`advance` ends.
    """

    def __init__(self, specs: Sequence[RunSpec], device: str = "cpu") -> None:
        self.spec = specs[0]
        datasets = [make_dataset(spec) for spec in specs]
        networks = [Network(spec, data) for spec, data in zip(specs, datasets, strict=True)]
        self.layers = networks[0].layers()
        base = copy.deepcopy(networks[0]).to("meta")
        stacked, _ = stack_module_state(networks)  # type: ignore[arg-type]
        self.parameters = {
            name: value.detach().to(device).requires_grad_() for name, value in stacked.items()
        }
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(),
            lr=self.spec.learning_rate,
            betas=self.spec.betas,
            weight_decay=float(self.spec.weight_decay),
        )
        parts = {}
        for part in ("train", "test"):
            pairs = [
                tensors(spec, data, part, device)
                for spec, data in zip(specs, datasets, strict=True)
            ]
            parts[part] = tuple(torch.stack(side) for side in zip(*pairs, strict=True))
        self.train, self.test = parts["train"], parts["test"]

        def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return loss_and_metric(functional_call(base, parameters, (x,)), y)

        self.gradients: Any = vmap(grad_and_value(loss, has_aux=True))
        self.evaluate: Any = vmap(loss)
        self.steps = 0
        self.rows: Tensor | None = None

    def advance(self, steps: int) -> None:
        """Log a row and make an update, repeated `steps` times."""
        rows = []
        for _ in range(steps):
            detached = {name: value.detach() for name, value in self.parameters.items()}
            grads, (loss, metric) = self.gradients(detached, *self.train)
            row = [loss, metric]
            for names in self.layers.values():
                for values in (grads, detached):
                    flat = [values[name].flatten(1) for name in names]
                    norms = [torch.linalg.vector_norm(part, dim=1) for part in flat]
                    row.append(torch.linalg.vector_norm(torch.stack(norms), dim=0))
            if self.steps % self.spec.test_every == 0:
                with torch.no_grad():
                    row += self.evaluate(detached, *self.test)
            else:
                row += [torch.full_like(loss, torch.nan)] * 2
            rows.append(torch.stack(row))
            for name, value in self.parameters.items():
                value.grad = grads[name]
            self.optimiser.step()
            self.steps += 1
        self.rows = torch.stack(rows).cpu()
