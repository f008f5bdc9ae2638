"""The published training loop in plain PyTorch: nn.Linear, autograd, torch.optim.AdamW.

Written after papers.md, independently of grokscope.train.models: what ours is compared with.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import ScalarSamples, make_dataset


def autograd_gradient(network: "Network") -> Tensor:
    """The gradient that a backward pass left, flat as parameters lie in a batch."""
    parts = [embedding.weight.grad for embedding in network.embeddings]
    for linear in network.linears:
        parts += [linear.weight.grad.T, linear.bias.grad]
    return torch.cat([part.reshape(-1) for part in parts])


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


def train_reference(spec: RunSpec, steps: int) -> dict[str, list[float]]:
    """Rows 0 .. steps of the columns that every step has."""
    torch.set_num_threads(1)
    network = Network(spec)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=spec.learning_rate,
        betas=spec.betas,
        weight_decay=float(spec.weight_decay),
    )
    rows: dict[str, list[float]] = {}
    for _ in range(steps + 1):
        optimiser.zero_grad()
        loss, metric = network.loss("train", torch.float32)
        loss.backward()
        with torch.no_grad():
            test_loss, test_metric = network.loss("test", torch.float32)
        row = {
            "train_loss": loss.item(),
            "train_metric": metric,
            "test_loss": test_loss.item(),
            "test_metric": test_metric,
        }
        for layer, parameters in network.layers().items():
            row[f"grad_norm_{layer}"] = norm([p.grad for p in parameters])
            row[f"weight_norm_{layer}"] = norm([p.detach() for p in parameters])
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
        optimiser.step()
    return rows
