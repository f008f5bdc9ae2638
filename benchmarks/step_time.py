"""Step time of the trainer against the published loop, torch.func, and the matrix products."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.baselines import PlainLoop, VmapLoop
from benchmarks.common import (
    Options,
    Report,
    Table,
    Wanted,
    interleave,
    kind_of_cpu,
    main,
    spread,
)
from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import make_dataset
from grokscope.train.loop import train
from grokscope.train.models import Shape
from synthetic import make_spec

REPEATS = 5
# About how long a measurement of a trainer takes (seconds).
LONG, SHORT = 0.7, 0.4
PEAK_SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}

# Of the studies: every step tested (lead_lag), every tenth (gai). Ranks are left out: they are
# singular values every 50 or 100 steps, equal work in all programs.
LEAD_LAG = {
    "study": "lead_lag",
    "width": 64,
    "weight_decay": 0.1,
    "betas": (0.9, 0.999),
    "test_every": 1,
    "rank_every": None,
}
GAI = {"study": "gai", "test_every": 10, "rank_every": None}


@dataclass(frozen=True)
class Case:
    """A training whose step is timed.

    Attributes
    ----------
    spec
        Of the first run; the others have other seeds.
    runs
        Runs per batch of Grokscope.
    stacked
        Runs per batch of torch.func.
    ratio, share
        Wanted: times faster than the published loop, share of the limit.
    """

    name: str
    spec: RunSpec
    runs: int = 1
    stacked: int = 4
    ratio: float | None = None
    share: float | None = None

    def specs(self, count: int) -> list[RunSpec]:
        seeds = range(self.spec.seed, self.spec.seed + count)
        return [replace(self.spec, seed=n, data_seed=n, init_seed=n) for n in seeds]


def cpu_cases() -> list[Case]:
    """The cases of the project's targets."""
    cases = []
    for fraction in (0.5, 0.7, 0.9):
        spec = make_spec(**LEAD_LAG, train_fraction=fraction)
        cases.append(Case(f"mod 97, width 64, depth 2, fraction {fraction}", spec, ratio=3.5))
    for depth in (2, 4, 8):
        spec = make_spec(**GAI, depth=depth, train_fraction=0.7, width=128)
        cases.append(Case(f"mod 97, width 128, depth {depth}, fraction 0.7", spec, share=0.55))
    spec = make_spec(**GAI, task="s5_composition", depth=4, train_fraction=0.7, width=128)
    cases.append(Case("S5, width 128, depth 4, fraction 0.7", spec, share=0.55))
    for task, name in (("modular_addition", "mod 97"), ("s5_composition", "S5")):
        for depth in (2, 4, 8):
            spec = make_spec(**GAI, task=task, depth=depth, train_fraction=0.7, width=64)
            title = f"{name}, width 64, depth {depth}, tested every 10 steps"
            cases.append(Case(title, spec, share=0.7))
    for depth in (2, 4):
        spec = make_spec(**GAI, task="cubic_regression", depth=depth, train_fraction=0.7, width=64)
        name = f"regression, width 64, depth {depth}"
        cases.append(Case(name, spec))
        cases.append(Case(f"{name}, 16 runs", spec, runs=16, stacked=16, ratio=10))
    return cases


def cuda_cases() -> list[Case]:
    """The gai grid of the published scale, many runs per batch."""
    cases = []
    for task, name in (
        ("modular_addition", "mod 97"),
        ("s5_composition", "S5"),
        ("cubic_regression", "regression"),
    ):
        fraction = 0.6 if task == "modular_addition" else 0.7
        for depth in (2, 4, 8):
            spec = make_spec(**GAI, task=task, depth=depth, train_fraction=fraction, width=128)
            title = f"{name}, width 128, depth {depth}, 100 runs"
            cases.append(Case(title, spec, runs=100, stacked=100))
    return cases


def product_flops(spec: RunSpec) -> float:
    """Floating-point operations of the matrix products of one step of one run.

    With N training and M test samples and a layer of m inputs and n outputs: forward ``2 N m n``,
    gradient of the weights ``2 N m n``, gradient of the inputs ``2 N m n`` (not of the first
    layer), and ``2 M m n / test_every`` of the test set. The first layer of one-hot pairs is a
    gather and its gradient a scatter: none. Everything else (bias, ReLU, softmax, AdamW, norms)
    counts nothing, so the limit cannot be reached.
    """
    shape = Shape.of(spec, make_dataset(spec))
    total = 0.0
    for layer, (m, n) in enumerate(pairwise(shape.sizes), 1):
        if layer == 1 and shape.n_symbols and spec.embedding_dim is None:
            continue
        products = 2 if layer == 1 else 3
        total += 2 * m * n * (products * shape.n_train + shape.n_test / spec.test_every)
    return total


def settle(device: str) -> None:
    """Wait for the accelerator."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds that a call takes."""
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def sgemm_peak(device: str) -> float:
    """Highest rate (operations per second) of a product of two large square float32 matrices.

    Of torch's library, and on a CPU of numpy's too: MKL has no kernels for every processor.
    """
    best = 0.0
    for size in PEAK_SIZES[device]:
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        out = torch.empty_like(a)
        products: list[Callable[[], object]] = [partial(torch.mm, a, b, out=out)]
        if device == "cpu":
            products.append(partial(np.matmul, a.numpy(), b.numpy(), out=out.numpy()))
        for product in products:
            product()
            seconds = min(timed(product, device) for _ in range(3))
            best = max(best, 2 * size**3 / seconds)
    return best


class Ours:
    """Seconds per step of :func:`grokscope.train.loop.train`, its start left out.

    The difference of two trainings from the same start, one of `steps` and one of a fifth, the
    faster of two: a pause in it would make a step look faster than it is.
    """

    def __init__(self, specs: Sequence[RunSpec], device: str, target: float) -> None:
        self.specs, self.device = specs, device
        self.steps = 20
        while True:
            seconds = self() * 0.8 * self.steps
            if seconds > target / 2:
                break
            self.steps *= max(2, min(10, round(target / max(seconds, 1e-6))))

    def __call__(self) -> float:
        short = self.steps // 5
        seconds = [
            timed(
                lambda n=n: train(
                    [replace(spec, steps=n) for spec in self.specs], device=self.device
                ),
                self.device,
            )
            for n in (short, short, self.steps)
        ]
        return max(seconds[2] - min(seconds[:2]), 0.0) / (self.steps - short)


class Theirs:
    """Seconds per step of another loop, its start and first steps left out."""

    def __init__(self, make: Callable[[], Any], device: str, target: float) -> None:
        self.make, self.device = make, device
        self.steps = 2
        self.steps = max(2, round(target / self()))

    def __call__(self) -> float:
        loop = self.make()
        loop.advance(2)
        return timed(lambda: loop.advance(self.steps), self.device) / self.steps


def measure(case: Case, options: Options) -> dict[str, Any]:
    """All numbers of a case, the contestants in turn; seconds per step of one run."""
    target = SHORT if options.quick else LONG
    device = options.device
    contestants = {
        "ours": Ours(case.specs(case.runs), device, target),
        "plain": Theirs(lambda: PlainLoop(case.spec, device), device, target),
        "vmap": Theirs(lambda: VmapLoop(case.specs(case.stacked), device), device, target),
    }
    peak: dict[str, Callable[[], float]] = {"peak": lambda: sgemm_peak(device)}
    values = interleave(contestants | peak, options.repeats)
    values["ours"] = [seconds / case.runs for seconds in values["ours"]]
    values["vmap"] = [seconds / case.stacked for seconds in values["vmap"]]
    flops = product_flops(case.spec)
    ours, peaks = values["ours"], values["peak"]
    return {
        "case": case.name,
        "runs": case.runs,
        "stacked": case.stacked,
        "flops": flops,
        "steps": {name: loop.steps for name, loop in contestants.items()},
        **values,
        "ratio_plain": [a / b for a, b in zip(values["plain"], ours, strict=True)],
        "ratio_vmap": [a / b for a, b in zip(values["vmap"], ours, strict=True)],
        "share": [flops / rate / a for rate, a in zip(peaks, ours, strict=True)],
    }


def row(found: dict[str, Any]) -> list[str]:
    """A row of the table."""
    ms = {name: [1e3 * s for s in found[name]] for name in ("ours", "plain", "vmap")}
    limit = 1e3 * found["flops"] / statistics.median(found["peak"])
    return [
        found["case"],
        spread(ms["ours"]),
        spread(ms["plain"]),
        f"{spread(ms['vmap'])}, {found['stacked']} runs",
        f"{limit:.3g}",
        f"**{spread(found['ratio_plain'])}**",
        spread(found["ratio_vmap"]),
        f"**{statistics.median(found['share']):.0%}**",
        f"{1 / statistics.median(found['ours']):,.0f}",
    ]


def verdicts(case: Case, found: dict[str, Any], where: str) -> list[Wanted]:
    """The targets of a case."""
    result = []
    if case.ratio is not None:
        ratio = statistics.median(found["ratio_plain"])
        name = f"step time, {where}, {case.name}: times faster than the published loop"
        limit = found["flops"] / statistics.median(found["peak"])
        most = statistics.median(found["plain"]) / limit
        measured = f"{ratio:.2f} (at the limit {most:.1f})"
        result.append(Wanted(name, f"{case.ratio:g}", measured, ratio >= case.ratio))
    if case.share is not None:
        share = statistics.median(found["share"])
        name = f"step time, {where}, {case.name}: share of the limit"
        result.append(Wanted(name, f"{case.share:.0%}", f"{share:.0%}", share >= case.share))
    return result


def benchmark(options: Options) -> Report:
    """Time all cases."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cases = cuda_cases() if options.device == "cuda" else cpu_cases()
    chosen = [case for case in cases if options.wants(case.name)]
    if not chosen:
        names = "; ".join(case.name for case in cases)
        raise SystemExit(
            f"--only {' '.join(options.only)}: no such case of step_time; cases: {names}"
        )
    # A report a kind of processor: they differ in what a step costs.
    where = kind_of_cpu() if options.device == "cpu" else "GPU"
    rows, raw, wanted = [], [], []
    for case in chosen:
        found = measure(case, options)
        raw.append(found)
        rows.append(row(found))
        wanted += verdicts(case, found, where)
        print("  ".join(rows[-1]), flush=True)
    if options.device == "cuda":
        worst = min(statistics.median(found["ratio_vmap"]) for found in raw)
        name = "step time on the GPU: times the model-steps per second of torch.func, slowest case"
        wanted.append(Wanted(name, "5", f"{worst:.2f}", worst >= 5))
    peak = statistics.median([value for found in raw for value in found["peak"]])
    unit = "accelerator" if options.device == "cuda" else "core, one thread"
    table = Table(
        [
            "case",
            "ours",
            "(a) plain loop",
            "(b) torch.func",
            "(c) limit",
            "(a) / ours",
            "(b) / ours",
            "limit / ours",
            "model-steps per second",
        ],
        rows,
        raw,
        "Milliseconds per step of one run:",
    )
    return Report(
        f"step_time_{where.lower().replace(' ', '_')}",
        f"Step time ({where})",
        [
            "Ours: `grokscope.train.loop.train`, the difference of two lengths. (a): nn.Linear on "
            "one-hot floats (made once), autograd, `torch.optim.AdamW`, one run, every logged "
            "number read with `item`. (b): `torch.func.stack_module_state` and `vmap` over seeds, "
            "AdamW on the stack. All log train loss, metric and each layer's gradient and "
            "weight norm every step; the first three cases evaluate the test set every step, the "
            "others every 10 steps. No ranks. Subnormals are flushed to zero in all three, which "
            "the published code does not do; float32, TF32 off.",
            "(c): operations of the matrix products only, `2 m n (3 N + M / test_every)` for each "
            "layer of m inputs and n outputs after the first, N training and M test samples (a "
            "one-hot first layer is a gather and counts none; that of the regression has no "
            "gradient of its inputs), at the largest rate of torch's or numpy's products of "
            "square float32 matrices, measured between the others: "
            f"{peak / 1e9:,.0f} GFLOP/s on this {unit}.",
        ],
        [table],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
