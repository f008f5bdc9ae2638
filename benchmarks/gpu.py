"""The trainer on an accelerator: throughput, what TF32 changes, agreement with the CPU.

``python -m benchmarks.gpu`` (``make bench-gpu``) needs CUDA. Parts are saved one by one and can
run alone (``--only agreement onsets``). With ``--device cpu`` the same batched program runs on the
CPU: what it computes can be judged there (agreement, onsets), how fast it is cannot.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from benchmarks.accelerated import PUBLISHED_STEPS, Accelerated, accelerated, dataset, tf32_on
from benchmarks.baselines import VmapLoop
from benchmarks.common import (
    Options,
    Report,
    Table,
    Wanted,
    arguments,
    interleave,
    number,
    options_of,
    save,
    show,
    spread,
)
from benchmarks.onsets import METHOD as ONSET_METHOD
from benchmarks.onsets import compared_onsets, onset_specs, onset_steps
from benchmarks.step_time import GAI, LONG, SHORT, Case, Theirs, timed
from grokscope.api import run_spec
from grokscope.train.dataset import make_dataset
from grokscope.train.engines.base import MAX_ROWS, Columns, Engine
from grokscope.train.engines.cpu import CpuEngine
from grokscope.train.engines.cuda import ACTIVATION_BYTES, CudaEngine
from grokscope.train.engines.generic import GenericEngine
from synthetic import make_spec

REPEATS = 3
BLOCKS = (1, 10, 100, 500)
BUDGETS = (ACTIVATION_BYTES, 2**29, 2**25)
STATES = MAX_ROWS
# Until rounding has flipped a ReLU or two: depth 2. Deeper networks part sooner, by chaos; in
# float64 they must agree all the same.
TOLERANCES = {"float32": 2e-3, "float64": 1e-6}
FRACTIONS = {"modular_addition": 0.6, "s5_composition": 0.7, "cubic_regression": 0.7}
DEPTHS = (2, 3, 4, 6, 8)
NETWORK_BLOCKS = (1, 10, 50)
# Whether runs are stacked.
ENGINES = {"one program": True, "one after the other": False}
# The published gai study: seeds per shape, steps between ranks.
PUBLISHED_SEEDS, RANK_EVERY = 100, 50


# On a CPU: the parts that judge what is computed.
JUDGED = ("agreement", "onsets")
PREFIX = {"cuda": "gpu", "cpu": "batched"}
NOTES = {
    "cuda": [],
    "cpu": [
        "The batched program of the accelerator, run on the CPU; TF32 is emulated by rounding "
        "what goes into each product to 10 bits of mantissa."
    ],
}


def where(options: Options) -> str:
    """What runs the batched program, in words."""
    return "accelerator" if options.device == "cuda" else "batched program"


def case(task: str, depth: int, **overrides: Any) -> Case:
    """A shape of the published study."""
    values = GAI | {"width": 128, "train_fraction": FRACTIONS[task]} | overrides
    return Case(f"{task}, depth {depth}", make_spec(**values, task=task, depth=depth))


def rate(seconds: Sequence[float], runs: int) -> list[float]:
    """Model-steps per second."""
    return [runs / value for value in seconds]


def throughput(options: Options) -> Report:
    """Ours in float32 and TF32 against torch.func, by number of runs."""
    device = options.device
    target = SHORT if options.quick else LONG
    shapes = [case("modular_addition", 2), case("cubic_regression", 2)]
    if not options.quick:
        shapes += [case("modular_addition", 4), case("modular_addition", 8)]
        shapes += [case("s5_composition", 4), case("cubic_regression", 8)]
    rows, raw = [], []
    for shape in shapes:
        for runs in BLOCKS[:3] if options.quick else BLOCKS:
            specs = shape.specs(runs)
            contestants: dict[str, Callable[[], float]] = {
                "ours": Accelerated(specs, device, target),
                "tf32": Accelerated(specs, device, target, tf32=True),
                "vmap": Theirs(lambda specs=specs: VmapLoop(specs, device), device, target),
            }
            seconds = interleave(contestants, options.repeats)
            found = {name: rate(values, runs) for name, values in seconds.items()}
            ratios = [a / b for a, b in zip(found["ours"], found["vmap"], strict=True)]
            raw.append({"case": shape.name, "runs": runs, "ratios": ratios, **found})
            rows.append(
                [shape.name, str(runs)]
                + [spread(found[name]) for name in contestants]
                + [f"**{spread(ratios)}**"]
            )
            print("  ".join(rows[-1]), flush=True)
    columns = ["case", "runs", "ours", "ours, TF32", "torch.func", "ours / torch.func"]
    caption = "Model-steps per second, width 128, no ranks:"
    many = [found for found in raw if found["runs"] == max(other["runs"] for other in raw)]
    worst = min(statistics.median(found["ratios"]) for found in many)
    wanted = Wanted(
        f"GPU: times the model-steps per second of torch.func, {many[0]['runs']} runs, "
        "slowest case",
        "5",
        number(worst),
        worst >= 5,
    )
    method = [
        "Ours: `grokscope.train.loop.train` with the CUDA engine, its blocks of "
        f"{MAX_ROWS} steps after the first; "
        "torch.func: `vmap` over seeds on the same device. Both log train loss, metric and the "
        "norms of every layer every step and test every 10 steps."
    ]
    table = Table(columns, rows, raw, caption)
    return Report("gpu_throughput", "Accelerator: throughput", method, [table], [wanted])


def budgets(options: Options) -> Report:
    """Throughput by the memory of activations: all rows at once, or what caches hold."""
    target = SHORT if options.quick else LONG
    shape = case("modular_addition", 4)
    rows, raw = [], []
    for runs in (4,) if options.quick else (10, 100):
        contestants = {
            f"{budget / 2**20:g} MiB": Accelerated(
                shape.specs(runs), options.device, target, activation_bytes=budget
            )
            for budget in BUDGETS
        }
        for name, seconds in interleave(contestants, options.repeats).items():
            raw.append({"runs": runs, "budget": name, "rates": rate(seconds, runs)})
            rows.append([str(runs), name, spread(raw[-1]["rates"])])
    caption = f"Model-steps per second by `activation_bytes`, {shape.name}:"
    table = Table(["runs", "at most", "model-steps per second"], rows, raw, caption)
    return Report("gpu_budgets", "Accelerator: memory of activations", [], [table])


def published(options: Options) -> Report:
    """Hours of the published study, from the step and the ranks of every shape."""
    device = options.device
    runs = 3 if options.quick else PUBLISHED_SEEDS
    target = SHORT if options.quick else LONG
    rows, raw, total = [], [], {"ours": 0.0, "tf32": 0.0}
    for task in FRACTIONS:
        for depth in DEPTHS[:1] if options.quick else DEPTHS:
            specs = case(task, depth).specs(runs)
            engine = CudaEngine(specs, [dataset(spec) for spec in specs], device=device)
            engine.ranks()
            contestants: dict[str, Callable[[], float]] = {
                "ours": Accelerated(specs, device, target),
                "tf32": Accelerated(specs, device, target, tf32=True),
                "ranks": lambda engine=engine: timed(engine.ranks, device),
            }
            found = {
                name: statistics.median(values)
                for name, values in interleave(contestants, options.repeats).items()
            }
            blocks = PUBLISHED_SEEDS / runs
            hours = {
                name: blocks * PUBLISHED_STEPS * (found[name] + found["ranks"] / RANK_EVERY) / 3600
                for name in total
            }
            for numbers, spent in hours.items():
                total[numbers] += spent
            name = f"{task}, depth {depth}"
            raw.append({"case": name, "runs": runs, "hours": hours, **found})
            rows.append(
                [name]
                + [number(1e3 * found[name]) for name in ("ours", "tf32", "ranks")]
                + [f"{hours[name]:.3f}" for name in total]
            )
            print("  ".join(rows[-1]), flush=True)
    rows.append(["**all**", "", "", "", *[f"**{hours:.2f}**" for hours in total.values()]])
    columns = ["case", "step, ms", "step, TF32, ms", "ranks, ms", "hours", "hours, TF32"]
    caption = (
        f"The published study, {PUBLISHED_SEEDS} seeds of each shape, {PUBLISHED_STEPS:,} steps; "
        f"hours are calculated from the medians of blocks of {runs} runs, ranks every "
        f"{RANK_EVERY} steps:"
    )
    wanted = Wanted(
        "GPU: the published study, 1,500 runs of 50,000 steps, TF32 off (calculated)",
        "1 hour",
        f"{total['ours']:.2f} hours (TF32 on: {total['tf32']:.2f})",
        None if options.quick else total["ours"] < 1,
    )
    table = Table(columns, rows, raw, caption)
    return Report("gpu_published", "Accelerator: the published study", [], [table], [wanted])


def first_rows(engine: Engine) -> np.ndarray:
    """The first states of an engine's runs, tested all."""
    for row in range(STATES):
        engine.step(row, tested=True, ranked=False, update=True)
    return engine.rows(STATES).astype(np.float64)


def agreement(options: Options) -> Report:
    """First states on the accelerator against those of the CPU engine."""
    rows, raw, wanted = [], [], []
    shapes = [case("modular_addition", 2), case("cubic_regression", 4)]
    if not options.quick:
        shapes += [case("modular_addition", 4), case("s5_composition", 2)]
    for shape in shapes:
        specs = shape.specs(2)
        datasets = [make_dataset(spec) for spec in specs]
        names = Columns(specs[0]).names
        for label, dtype, tf32 in (
            ("float64", torch.float64, False),
            ("float32", torch.float32, False),
            ("TF32", torch.float32, True),
        ):
            number = np.float64 if label == "float64" else np.float32
            theirs = first_rows(CpuEngine(specs, datasets, dtype=number))
            engine = CudaEngine(specs, datasets, dtype=dtype, device=options.device, tf32=tf32)
            with tf32_on(options.device) if tf32 else nullcontext():
                ours = first_rows(engine)
            worst = {}
            for kind in ("loss", "weight_norm", "grad_norm"):
                places = [i for i, name in enumerate(names) if kind in name]
                a, b = ours[:, :, places], theirs[:, :, places]
                worst[kind] = float(np.max(np.abs(a - b) / np.abs(b)))
            raw.append({"case": shape.name, "numbers": label, **worst})
            rows.append([shape.name, label, *[f"{value:.1e}" for value in worst.values()]])
            tolerance = TOLERANCES.get(label)
            if tolerance is not None and (label == "float64" or shape.spec.depth == 2):
                most = max(worst.values())
                name = (
                    f"{where(options)} against CPU, first {STATES} states, {label}, {shape.name}"
                )
                wanted.append(
                    Wanted(name, f"within {tolerance:g}", f"{most:.1e}", most <= tolerance)
                )
    columns = ["case", "numbers", "losses", "weight norms", "gradient norms"]
    caption = f"Largest relative difference to the CPU engine in the first {STATES} states:"
    table = Table(columns, rows, raw, caption)
    title = f"{where(options).capitalize()}: agreement with the CPU"
    return Report(
        f"{PREFIX[options.device]}_agreement", title, NOTES[options.device], [table], wanted
    )


def onsets(options: Options) -> Report:
    """Step of 95% test accuracy of the same seeds on the CPU and on the accelerator."""
    specs = onset_specs(options.quick)
    found = {"CPU": onset_steps(specs)}
    for name, tf32 in ((where(options), False), (f"{where(options)}, TF32", True)):
        with accelerated(options.device, tf32=tf32):
            found[name] = onset_steps(specs)
    table, wanted = compared_onsets(found, specs[0].steps)
    title = f"{where(options).capitalize()}: onsets"
    method = [ONSET_METHOD, *NOTES[options.device]]
    return Report(f"{PREFIX[options.device]}_onsets", title, method, [table], wanted)


def stepping(engine: Engine, device: str) -> Callable[[], float]:
    """Seconds per step of an engine, over steps with one evaluation of the test set in ten."""

    def work() -> None:
        for row in range(10):
            engine.step(row, tested=row == 0, ranked=False, update=True)

    work()
    return lambda: timed(work, device) / 10


def networks(options: Options) -> Report:
    """Runs of a transformer as one program (torch.func) against one after the other."""
    rows, raw = [], []
    for p, width in ((53, 64), (113, 128)):
        name = f"p {p}, width {width}"
        spec = run_spec(
            p=p,
            width=width,
            model="transformer",
            depth=1,
            train_fraction=0.5,
            betas=[0.9, 0.98],
            test_every=10,
            rank_every=None,
        )
        for runs in NETWORK_BLOCKS[:2] if options.quick else NETWORK_BLOCKS:
            specs = Case(name, spec).specs(runs)
            data = [dataset(spec) for spec in specs]
            contestants = {
                label: stepping(
                    GenericEngine(specs, data, device=options.device, stacked=stacked),
                    options.device,
                )
                for label, stacked in ENGINES.items()
            }
            seconds = interleave(contestants, options.repeats)
            found = {label: rate(values, runs) for label, values in seconds.items()}
            ratios = [a / b for a, b in zip(*found.values(), strict=True)]
            raw.append({"case": name, "runs": runs, "ratios": ratios, **found})
            rows.append([name, str(runs), *map(spread, found.values()), f"**{spread(ratios)}**"])
            print("  ".join(rows[-1]), flush=True)
    columns = ["transformer, one block", "runs", *ENGINES, "ratio"]
    caption = "Model-steps per second, the test set every 10 steps, no ranks:"
    table = Table(columns, rows, raw, caption)
    title = f"{where(options).capitalize()}: networks by automatic differentiation"
    return Report(f"{PREFIX[options.device]}_networks", title, [], [table])


PARTS = {
    "agreement": agreement,
    "throughput": throughput,
    "budgets": budgets,
    "published": published,
    "networks": networks,
    "onsets": onsets,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser)
    parser.set_defaults(device="cuda")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench-gpu: torch finds no CUDA device on this machine")
    options = options_of(given, REPEATS)
    for name, part in PARTS.items():
        if options.wants(name) and (options.device == "cuda" or name in JUDGED):
            report = part(options)
            show(report)
            if not given.dry:
                save(report, options)


if __name__ == "__main__":
    main()
