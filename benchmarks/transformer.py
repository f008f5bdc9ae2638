"""Time per step of the standard one-block transformer, beside a plain PyTorch loop.

Run: ``python -m benchmarks.transformer`` (one thread, process time, interleaved, minima).
The plain loop is what the field writes: all positions, autograd, ``torch.optim.AdamW``, the same
columns logged at every step, the test set every 10 steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from grokscope.api import run_spec
from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset, make_dataset
from grokscope.train.engines.generic import GenericEngine

SETTINGS = {
    "p": 113,
    "width": 128,
    "depth": 1,
    "train_fraction": 0.3,
    "model": "transformer",
    "betas": [0.9, 0.98],
    "test_every": 10,
    "rank_every": None,
}


class Plain(nn.Module):
    """The transformer of Nanda et al. (2023), written as they do."""

    def __init__(self, p: int, d: int = 128, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Parameter(torch.randn(p + 1, d) / d**0.5)
        self.positions = nn.Parameter(torch.randn(3, d) / d**0.5)
        self.qkv = nn.ParameterList([nn.Parameter(torch.randn(d, d) / d**0.5) for _ in range(3)])
        self.output = nn.Parameter(torch.randn(d, d) / d**0.5)
        self.into = nn.Linear(d, 4 * d)
        self.out = nn.Linear(4 * d, d)
        self.read = nn.Parameter(torch.randn(d, p) / p**0.5)
        self.register_buffer("mask", torch.ones(3, 3).triu(1).bool())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed[tokens] + self.positions
        n, length, d = x.shape
        q, k, v = ((x @ w).view(n, length, self.heads, -1).transpose(1, 2) for w in self.qkv)
        scores = (q @ k.transpose(2, 3) / (d // self.heads) ** 0.5).masked_fill(
            self.mask, -torch.inf
        )
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, d)
        x = x + mixed @ self.output
        x = x + self.out(self.into(x).relu())
        return (x @ self.read)[:, -1]


def plain_loop(spec: RunSpec, data: Dataset) -> Callable[[int], list[float]]:
    """A step of the plain loop, which logs what a trace has."""
    model = Plain(data.samples.n_symbols)
    optimiser = torch.optim.AdamW(
        model.parameters(), spec.learning_rate, spec.betas, weight_decay=float(spec.weight_decay)
    )
    layers = [
        [model.embed, model.positions],
        [*model.qkv, model.output],
        [*model.into.parameters(), *model.out.parameters()],
        [model.read],
    ]
    rows = {}
    for part in ("train", "test"):
        index = getattr(data, part)
        pairs = torch.from_numpy(data.samples.operands[index])
        equals = torch.full_like(pairs[:, :1], data.samples.n_symbols)
        classes = torch.from_numpy(data.samples.classes[index])
        rows[part] = torch.cat([pairs, equals], 1), classes

    def norm(tensors: list[Tensor]) -> float:
        return float(torch.stack([t.norm() for t in tensors]).norm())

    def step(t: int) -> list[float]:
        optimiser.zero_grad()
        output = model(rows["train"][0])
        loss = functional.cross_entropy(output, rows["train"][1])
        loss.backward()
        with torch.no_grad():
            row = [float(loss), float((output.argmax(1) == rows["train"][1]).float().mean())]
            row += [norm([p.grad for p in layer]) for layer in layers]
            row += [norm(layer) for layer in layers]
            if t % 10 == 0:
                output = model(rows["test"][0])
                row.append(float(functional.cross_entropy(output, rows["test"][1])))
                row.append(float((output.argmax(1) == rows["test"][1]).float().mean()))
        optimiser.step()
        return row

    return step


def peak() -> float:
    """GFLOP/s of float32 products of the MLP's shape, the best of some."""
    a, b = torch.randn(1024, 128), torch.randn(128, 512)
    best = 0.0
    for _ in range(30):
        started = time.process_time()
        for _ in range(10):
            a @ b
        best = max(best, 10 * 2 * 1024 * 128 * 512 / (time.process_time() - started) / 1e9)
    return best


def products(spec: RunSpec, data: Dataset) -> float:
    """Floating-point operations per step that remain: those of the last position alone.

    Forward, and twice that backward; the test set every 10 steps forward. Products over the
    vocabulary (queries, keys and values) are left out: 2% of the whole.
    """
    d, classes = spec.width, data.samples.n_classes
    sample = 2 * (d * d + 2 * d * 4 * d + d * classes)
    return sample * (3 * len(data.train) + len(data.test) / 10)


def main(rounds: int = 4, steps: int = 10) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    spec = run_spec(**SETTINGS)
    data = make_dataset(spec)
    plain = plain_loop(spec, data)
    times: dict[str, list[float]] = {"plain": []}
    engines = {
        tile: GenericEngine([spec], [data], tile_rows=tile) for tile in (512, 1024, 2048, 4096)
    }
    for _ in range(rounds):
        started = time.process_time()
        for t in range(steps):
            plain(t)
        times["plain"].append((time.process_time() - started) / steps)
        for tile, engine in engines.items():
            started = time.process_time()
            for t in range(steps):
                engine.step(t, tested=t % 10 == 0, ranked=False, update=True)
            times.setdefault(f"ours, tiles of {tile}", []).append(
                (time.process_time() - started) / steps
            )
    best = {name: min(values) for name, values in times.items()}
    speed = peak()
    limit = products(spec, data) / speed / 1e9
    print(f"products: {products(spec, data) / 1e9:.2f} GFLOP per step, peak {speed:.0f} GFLOP/s")
    print(f"limit {limit * 1e3:.1f} ms")
    for name, value in best.items():
        print(
            f"{name}: {value * 1e3:.1f} ms, {best['plain'] / value:.2f} times the plain loop, "
            f"{limit / value:.0%} of the limit; median {np.median(times[name]) * 1e3:.1f}"
        )


if __name__ == "__main__":
    main()
