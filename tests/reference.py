"""The published training loop in plain PyTorch: nn.Linear, autograd, torch.optim.AdamW.

Written after papers.md, independently of grokscope.train.models: what ours is compared with.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import ScalarSamples
from grokscope.train.dataset import make_dataset
from grokscope.train.engines.base import Columns, Engine
from grokscope.train.engines.cpu import CpuEngine
from grokscope.train.engines.cuda import CudaEngine

# A state as engines have it, the row logged of it, and the parameters after one update.
Step = tuple[dict[str, NDArray[np.generic]], NDArray[np.float32], NDArray[np.generic]]


def flat(network: "Network", of: Callable[[nn.Parameter], Tensor]) -> Tensor:
    """Something of every parameter, flat as parameters lie in a batch."""
    parts = [of(embedding.weight) for embedding in network.embeddings]
    for linear in network.linears:
        parts += [of(linear.weight).T, of(linear.bias)]
    return torch.cat([part.detach().reshape(-1) for part in parts])


def autograd_gradient(network: "Network") -> Tensor:
    """The gradient that a backward pass left, flat as parameters lie in a batch."""
    return flat(network, lambda p: p.grad)


def start_like(engine: CpuEngine | CudaEngine, networks: Iterable["Network"]) -> None:
    """Give the runs of an engine the parameters of networks; torch's own to the last bit."""
    for run, network in enumerate(networks):
        engine.parameters.flat[run] = flat(network, lambda p: p)


class Network(nn.Module):
    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        self.data = make_dataset(spec)
        samples = self.data.samples
        torch.manual_seed(spec.init_seed)
        self.embeddings = nn.ModuleList()
        if isinstance(samples, ScalarSamples):
            size, out = 1, 1
        elif spec.encoding == "embedding":
            for _ in range(2):
                self.embeddings.append(nn.Embedding(samples.n_symbols, spec.embedding_dim))
            size, out = 2 * spec.embedding_dim, samples.n_classes
        else:
            size, out = 2 * samples.n_symbols, samples.n_classes
        sizes = [size] + [spec.width] * (spec.depth - 1) + [out]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def inputs(self, index: np.ndarray, dtype: torch.dtype) -> Tensor:
        samples = self.data.samples
        if isinstance(samples, ScalarSamples):
            return torch.tensor(samples.inputs[index], dtype=dtype)
        pairs = torch.tensor(samples.operands[index])
        if len(self.embeddings):
            return pairs
        hot = nn.functional.one_hot(pairs, samples.n_symbols).flatten(1)
        return hot.to(dtype)

    def targets(self, index: np.ndarray, dtype: torch.dtype) -> Tensor:
        samples = self.data.samples
        if isinstance(samples, ScalarSamples):
            return torch.tensor(samples.targets[index], dtype=dtype)
        return torch.tensor(samples.classes[index])

    def forward(self, x: Tensor) -> Tensor:
        if len(self.embeddings):
            x = torch.cat([e(x[:, side]) for side, e in enumerate(self.embeddings)], dim=1)
        for linear in self.linears[:-1]:
            x = torch.relu(linear(x))
        return self.linears[-1](x)

    def layers(self) -> dict[int, list[nn.Parameter]]:
        result = {n: list(linear.parameters()) for n, linear in enumerate(self.linears, 1)}
        if len(self.embeddings):
            result[0] = list(self.embeddings.parameters())
        return dict(sorted(result.items()))

    def loss(self, part: str, dtype: torch.dtype) -> tuple[Tensor, float]:
        index = getattr(self.data, part)
        output, y = self(self.inputs(index, dtype)), self.targets(index, dtype)
        if isinstance(self.data.samples, ScalarSamples):
            loss = nn.functional.mse_loss(output, y)
            error = (output.detach() - y).square().sum()
            return loss, float(1 - error / (y - y.mean()).square().sum())
        accuracy = (output.argmax(1) == y).to(dtype).mean()
        return nn.functional.cross_entropy(output, y), float(accuracy)


def norm(tensors: list[Tensor]) -> float:
    return float(torch.sqrt(sum((t**2).sum() for t in tensors)))


def reference_steps(spec: RunSpec, dtype: torch.dtype) -> Iterator[tuple[dict, Step]]:
    """Steps without end, each with the columns of its state that every step has."""
    torch.set_num_threads(1)
    network = Network(spec).to(dtype)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=spec.learning_rate,
        betas=spec.betas,
        weight_decay=float(spec.weight_decay),
    )
    of, updates = optimiser.state.__getitem__, 0
    while True:
        optimiser.zero_grad()
        loss, metric = network.loss("train", dtype)
        loss.backward()
        with torch.no_grad():
            test_loss, test_metric = network.loss("test", dtype)
        layers = network.layers().items()
        row = {"train_loss": loss.item(), "train_metric": metric}
        row |= {f"grad_norm_{i}": norm([p.grad for p in layer]) for i, layer in layers}
        row |= {f"weight_norm_{i}": norm([p.detach() for p in layer]) for i, layer in layers}
        row |= {"test_loss": test_loss.item(), "test_metric": test_metric}
        state = {
            "parameters": flat(network, lambda p: p).numpy()[None],
            # Before its first update the optimiser has no moments.
            "mean": flat(network, lambda p: of(p).get("exp_avg", 0 * p)).numpy()[None],
            "square": flat(network, lambda p: of(p).get("exp_avg_sq", 0 * p)).numpy()[None],
            "updates": np.array(updates),
        }
        optimiser.step()
        updates += 1
        after = flat(network, lambda p: p).numpy()[None]
        yield row, (state, np.array([list(row.values())], np.float32), after)


def train_reference(spec: RunSpec, steps: int, dtype: torch.dtype) -> dict[str, list[float]]:
    """Rows 0 .. steps of the columns that every step has."""
    rows = [row for row, _ in islice(reference_steps(spec, dtype), steps + 1)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def assert_steps_equal(engine: Engine, spec: RunSpec, steps: Iterable[Step]) -> None:
    """Every float32 step of an engine is that of another program from the same state.

    From the same state, so that nothing builds up: two correct programs that train on their own
    part after some steps. What differs is the rounding of one step. Losses, R² and weight norms
    are continuous in it. Gradients are not where a pre-activation is within rounding of zero, as
    one of 421,504 is about every 30 steps, nor an accuracy where logits nearly tie, nor an update
    of AdamW where a gradient does nothing but cancel. So of those a fifth of all steps may differ
    for some such reason, in each run: many times what is expected, far below what an error makes.
    """
    columns = Columns(spec)
    metrics = [1, columns.tested.start + 1]
    accuracies = metrics if spec.encoding != "scalar" else []
    continuous = [0, columns.tested.start, *range(len(columns.names))[columns.weight_norms]]
    equal = []
    for state, want, after in steps:
        engine.restore(state)
        engine.step(0, tested=True, ranked=False, update=True)
        found = engine.rows(1)[:, 0]
        np.testing.assert_allclose(found[:, continuous], want[:, continuous], rtol=1e-5)
        if not accuracies:
            # R² crosses zero, where no relative error means anything.
            np.testing.assert_allclose(found[:, metrics], want[:, metrics], rtol=1e-5, atol=1e-6)
        norms = [array[:, columns.grad_norms] for array in (found, want)]
        size = np.linalg.norm(after - state["parameters"], axis=1)
        error = np.linalg.norm(engine.state()["parameters"] - after, axis=1)
        equal.append(
            np.isclose(*norms, rtol=1e-4, atol=0).all(axis=1)
            & np.isclose(found[:, accuracies], want[:, accuracies], rtol=1e-6, atol=0).all(axis=1)
            & (error <= 1e-2 * size)
        )
    assert (np.mean(equal, axis=0) >= 0.8).all(), np.array(equal)
