"""Transformer: time per step beside a plain PyTorch loop.

Run: ``python -m benchmarks.transformer`` from the root of a checkout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import Options, Report, Table, Wanted, interleave, main, number, spread
from benchmarks.plain_transformer import Plain
from grokscope.api import run_spec
from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset, make_dataset
from grokscope.train.engines.generic import GenericEngine

REPEATS = 7
STEPS = 10
SETTINGS = {
    "p": 113,
    "width": 128,
    "depth": 1,
    "train_fraction": 0.3,
    "betas": [0.9, 0.98],
    "test_every": STEPS,
    "rank_every": None,
}
MODULE = f"{Path(__file__).with_name('plain_transformer.py')}:make"
PLAIN, SAME, OURS = "plain loop", "generic engine, the same module", "model: transformer"
WANTED_OVERHEAD, WANTED_SPEED = 1.05, 3.0


def plain_loop(spec: RunSpec, data: Dataset) -> Callable[[int], list[float]]:
    """A step of the plain loop: autograd, AdamW, and what a trace has of the same parameters."""
    model = Plain(data.samples.n_symbols)
    optimiser = torch.optim.AdamW(
        model.parameters(), spec.learning_rate, spec.betas, weight_decay=float(spec.weight_decay)
    )
    layers: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        layers.setdefault(name.rpartition(".")[0] or name, []).append(parameter)
    rows = {}
    for part in ("train", "test"):
        index = getattr(data, part)
        pairs = torch.from_numpy(data.samples.operands[index])
        rows[part] = pairs, torch.from_numpy(data.samples.classes[index])

    def norm(tensors: list[Tensor]) -> float:
        return float(torch.stack([t.norm() for t in tensors]).norm())

    def step(t: int) -> list[float]:
        optimiser.zero_grad()
        output = model(rows["train"][0])
        loss = functional.cross_entropy(output, rows["train"][1])
        loss.backward()
        with torch.no_grad():
            row = [float(loss), float((output.argmax(1) == rows["train"][1]).float().mean())]
            row += [norm([p.grad for p in layer]) for layer in layers.values()]
            row += [norm(layer) for layer in layers.values()]
            if t % spec.test_every == 0:
                output = model(rows["test"][0])
                row.append(float(functional.cross_entropy(output, rows["test"][1])))
                row.append(float((output.argmax(1) == rows["test"][1]).float().mean()))
        optimiser.step()
        return row

    return step


def engine_steps(spec: RunSpec, data: Dataset) -> Callable[[int], None]:
    """A step of the generic engine."""
    engine = GenericEngine([spec], [data])
    return lambda t: engine.step(t, tested=t % spec.test_every == 0, ranked=False, update=True)


def timer(step: Callable[[int], object]) -> Callable[[], float]:
    """Milliseconds of processor time per step, over steps with one evaluation."""

    def measure() -> float:
        start = time.process_time()
        for t in range(STEPS):
            step(t)
        return 1e3 * (time.process_time() - start) / STEPS

    return measure


def peak() -> float:
    """GFLOP/s of float32 products of the MLP's shape, the best of some."""
    a, b = torch.randn(1024, 128), torch.randn(128, 512)
    best = 0.0
    for _ in range(30):
        start = time.process_time()
        for _ in range(10):
            a @ b
        best = max(best, 10 * 2 * 1024 * 128 * 512 / (time.process_time() - start) / 1e9)
    return best


def products(spec: RunSpec, data: Dataset) -> float:
    """GFLOP per step that remain: those of the last position, forward and twice that backward.

    Products over the vocabulary (queries, keys and values) are left out: 2% of the whole.
    """
    d, classes = spec.width, data.samples.n_classes
    sample = 2 * (d * d + 2 * d * 4 * d + d * classes)
    return sample * (3 * len(data.train) + len(data.test) / spec.test_every) / 1e9


def benchmark(options: Options) -> Report:
    """Time the three in turn, on one thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    spec = run_spec(model="transformer", **SETTINGS)
    data = make_dataset(spec)
    same = run_spec(model="module", module=MODULE, **SETTINGS)
    steps = {
        PLAIN: plain_loop(spec, data),
        SAME: engine_steps(same, data),
        OURS: engine_steps(spec, data),
    }
    measures = {name: timer(step) for name, step in steps.items() if options.wants(name)}
    found = interleave(measures, options.repeats)
    gflop, speed = products(spec, data), peak()
    limit = 1e3 * gflop / speed
    best = {name: min(values) for name, values in found.items()}
    wanted = []
    if PLAIN in best and SAME in best:
        ratio = best[SAME] / best[PLAIN]
        what = "generic engine, a user's transformer: times the plain loop's time"
        bound = f"at most {WANTED_OVERHEAD}"
        wanted.append(Wanted(what, bound, number(ratio), ratio <= WANTED_OVERHEAD))
    if PLAIN in best and OURS in best:
        ratio = best[PLAIN] / best[OURS]
        what = "standard transformer, mod 113, d_model 128: times faster than the plain loop"
        reached = f"{ratio:.2f} (at the limit {best[PLAIN] / limit:.1f})"
        wanted.append(Wanted(what, f"{WANTED_SPEED:g}", reached, ratio >= WANTED_SPEED))
    rows = [
        [name, spread(values), number(min(values)), f"{limit / min(values):.0%}"]
        for name, values in found.items()
    ]
    return Report(
        "transformer",
        "Transformer",
        [
            "One block, p = 113, d_model 128, 4 heads, fraction 0.3, the test set every "
            f"{STEPS} steps; processor time of one thread. The plain loop computes every position "
            "by autograd and logs what a trace has. Ratios are of the smallest times.",
            f"Limit: {gflop:.2f} GFLOP per step remain (last position alone) at {speed:.0f} "
            f"GFLOP/s, measured on products of the MLP's shape: {limit:.1f} ms.",
        ],
        [
            Table(
                ["what", "ms per step", "smallest", "share of the limit"],
                rows,
                {"milliseconds": found, "gflop": gflop, "peak": speed},
            )
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
