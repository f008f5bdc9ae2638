"""Cost of the live monitor: a training step with it and without, and what others cost.

Loops of one model in one process, in turn: plain, under the monitor, with the norm that
``clip_grad_norm_`` returns and is logged at each step by ``.item()``, and with norms of each group
by plain torch. For a small model the whole step counts in microseconds; for one of 10 million
parameters in shares of a step.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from benchmarks.common import Options, Report, Table, Wanted, interleave, main, number, spread
from grokscope import GradientMonitor

REPEATS = 11
KINDS = ("plain", "monitor", "clip_grad_norm_ and item", "norms by group, item")
# Where it is installed, as by make test-tools: histograms of all gradients.
WANDB = find_spec("wandb") is not None
if WANDB:
    KINDS += ("wandb.watch and log",)
WANTED_US, WANTED_SHARE = 15.0, 0.01


class Mixer(nn.Module):
    """A network of 10 million parameters over sequences: the MLP blocks of a transformer."""

    def __init__(self, width: int = 512, layers: int = 5) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.LayerNorm(width),
                    nn.Linear(width, 4 * width),
                    nn.GELU(),
                    nn.Linear(4 * width, width),
                )
                for _ in range(layers)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(x)
        return found


def small(groups: int) -> tuple[nn.Module, Tensor]:
    """A multilayer perceptron with so many linear layers, as grokking studies train them."""
    sizes = [194, *[128] * (groups - 1), 97]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), torch.randn(64, 194)


@contextmanager
def training(
    make: Callable[[], tuple[nn.Module, Tensor]], n: int
) -> Iterator[dict[str, Callable[[], float]]]:
    """One training: by kind, what makes its next n steps and gives the seconds of one.

    All kinds have the same model: where its tensors lie in memory makes more difference than what
    is to be measured.
    """
    torch.manual_seed(0)
    model, inputs = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    logged: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        # It flushes once a call, which is about as often as by itself.
        monitor = GradientMonitor(
            model, optimizer, Path(folder) / "run.parquet", flush_seconds=math.inf
        )

        def step(kind: str) -> None:
            loss = model(inputs).square().mean()
            loss.backward()
            if kind == "monitor":
                monitor.log(train_loss=loss)
            elif kind == "clip_grad_norm_ and item":
                norm = nn.utils.clip_grad_norm_(model.parameters(), 1e9)
                logged.append([loss.item(), norm.item()])
            elif kind == "norms by group, item":
                norms = [
                    torch.stack([t.norm() for t in tensors]).norm().item()
                    for module in model.modules()
                    if (own := list(module.parameters(recurse=False)))
                    for tensors in ([p.grad for p in own], [p.detach() for p in own])
                ]
                logged.append([loss.item(), *norms])
            elif kind == "wandb.watch and log":
                wandb.log({"train_loss": loss.item()})
            optimizer.step()
            optimizer.zero_grad()

        def seconds(kind: str) -> float:
            if kind == "monitor":
                monitor.attach()
            if kind == "wandb.watch and log":
                wandb.watch(model, log="gradients", log_freq=1)
            start = perf_counter()
            for _ in range(n):
                step(kind)
            if kind == "monitor":
                # What the worker has left to do counts, too.
                monitor.state_dict()
            found = (perf_counter() - start) / n
            while monitor._handles:
                monitor._handles.pop().remove()
            if kind == "wandb.watch and log":
                wandb.unwatch(model)
            return found

        if WANDB:
            import wandb

            settings = wandb.Settings(silent=True, console="off")
            wandb.init(mode="offline", dir=folder, settings=settings)

        calls = {kind: partial(seconds, kind) for kind in KINDS}
        for call in calls.values():
            # Compiles kernels, fills caches.
            call()
        yield calls
        monitor.close(complete=False)
        if WANDB:
            wandb.finish()


def benchmark(options: Options) -> Report:
    """Time small and large models under everything."""
    cases: list[tuple[str, Callable[[], tuple[nn.Module, Tensor]], int, int]] = [
        (f"MLP of {groups} layers", partial(small, groups), groups, 400) for groups in (2, 4, 8)
    ]
    # Twice the layers: each block's LayerNorm and linear layers are groups.
    big = "10 million parameters, batch of 8 x 512"
    cases.append((big, lambda: (Mixer(), torch.randn(8, 512, 512)), 15, 1))
    rows, raw, wanted = [], {}, []
    for name, make, groups, n in cases:
        if not options.wants(name):
            continue
        steps = max(n // 10, 1) if options.quick else n
        with training(make, steps) as calls:
            times = interleave(calls, options.repeats if name == big else 4 * options.repeats)
        raw[name] = times
        added = {
            kind: statistics.median(
                t - p for t, p in zip(times[kind], times["plain"], strict=True)
            )
            for kind in KINDS[1:]
        }
        plain = statistics.median(times["plain"])
        rows.append(
            [
                name,
                str(groups),
                spread([1e6 * t for t in times["plain"]]),
                *(f"{number(1e6 * t)} ({100 * t / plain:.1f}%)" for t in added.values()),
            ]
        )
        if name == big:
            share = added["monitor"] / plain
            wanted.append(
                Wanted(
                    f"monitor, {name}: share of a step",
                    "below 1%",
                    f"{100 * share:.2f}%",
                    share < WANTED_SHARE,
                )
            )
        else:
            each = 1e6 * added["monitor"] / groups
            wanted.append(
                Wanted(
                    f"monitor, {name}: µs a step and group",
                    f"below {WANTED_US:g}",
                    number(each),
                    each < WANTED_US,
                )
            )
    columns = [
        "model",
        "groups",
        "plain step, µs",
        *(f"added by {kind}, µs" for kind in KINDS[1:]),
    ]
    method = [
        "A step of AdamW, full: forward, backward, update. Added: the median of the differences "
        "to the plain loop beside it, in brackets the share of a plain step. The monitor measures "
        "gradients, weights and updates of every group, scores its detectors and writes its file; "
        "the other two measure less and write nothing.",
    ]
    return Report("monitor", "Live monitor", method, [Table(columns, rows, raw)], wanted)


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
