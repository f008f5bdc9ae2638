"""Whole target: ``snakemake phase_diagram`` from nothing, and its runs by the published loop."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import yaml

from benchmarks import ROOT
from benchmarks.checkout import checkout
from benchmarks.common import Options, Report, Table, Wanted, main, number
from grokscope.data.trace_reader import read_trace
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.spec import RunSpec

REPEATS = 1
CORES = 2
STUDY = "phase_diagram"
WANTED_RATIO, WANTED_OUTSIDE = 5.0, 0.05
LOOP_RUNS, QUICK_LOOP_RUNS = 12, 2
# Seconds between looks at the jobs: cheap enough not to slow the jobs.
LOOK_EVERY = 0.25


def specs(quick: bool) -> tuple[dict[str, Any], list[RunSpec]]:
    """Configuration and runs of the study: the default ones, or two of them."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    if quick:
        (grid,) = config["studies"][STUDY]["grids"]
        grid |= {"train_fractions": [0.3, 0.9], "weight_decays": [1.0], "widths": [32]}
    config["studies"] = {STUDY: config["studies"][STUDY]}
    return config, list(expand_runs(check_config(config)).values())


def by_workflow(config: dict[str, Any], runs: Sequence[RunSpec]) -> dict[str, Any]:
    """The target from nothing: seconds, seconds of its jobs, rows of each trace."""
    with checkout() as work:
        # As by default, but empty: without one, no run shares a job with others.
        work.configure(config, store=True)
        seconds, jobs = work.snakemake_jobs(STUDY, "--cores", str(CORES), every=LOOK_EVERY)
        traces = [read_trace(work.folder / run.key.path, run) for run in runs]
    training = [job for job in jobs if job.script.startswith("train_")]
    others = [job for job in jobs if not job.script.startswith("train_")]
    return {
        "seconds": seconds,
        "training_jobs": sum(job.seconds for job in training),
        "analysis_jobs": sum(job.seconds for job in others),
        "training": sum(trace.info.seconds for trace in traces),
        "jobs": len(jobs),
        "rows": [len(trace.frame) for trace in traces],
    }


def loop_run(spec: RunSpec) -> tuple[int, float]:
    """A run by the published loop: rows logged, seconds."""
    import torch

    from benchmarks.baselines import PlainLoop

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    start = perf_counter()
    rows = PlainLoop(spec).finish()
    return rows, perf_counter() - start


def sample(runs: Sequence[RunSpec], count: int) -> list[int]:
    """Places of some runs: one of each width and train fraction, the weight decays in turn."""
    shapes: dict[tuple[int, str], list[int]] = {}
    for place, run in enumerate(runs):
        shapes.setdefault((run.width, run.train_fraction), []).append(place)
    groups = list(shapes.values())
    chosen = []
    for turn in range(len(runs)):
        group = groups[turn % len(groups)]
        chosen.append(group[(turn + turn // len(groups)) % len(group)])
    return list(dict.fromkeys(chosen))[:count]


def by_loop(runs: Sequence[RunSpec], rows: Sequence[int], count: int) -> dict[str, Any]:
    """All runs by the published loop in as many processes as there are cores.

    A run that is not trained is given the time per step of the trained ones of the same width
    and train fraction (of all, if there are none) and the number of steps that ours made.
    """
    places = sample(runs, count)
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        start = perf_counter()
        found = list(pool.map(loop_run, [runs[place] for place in places]))
        wall = perf_counter() - start
    step = {place: seconds / steps for place, (steps, seconds) in zip(places, found, strict=True)}

    def step_of(run: RunSpec) -> float:
        alike = [
            value
            for place, value in step.items()
            if (runs[place].width, runs[place].train_fraction) == (run.width, run.train_fraction)
        ]
        return statistics.fmean(alike or step.values())

    trained = dict(zip(places, found, strict=True))
    total = sum(
        trained[place][1] if place in trained else step_of(run) * rows[place]
        for place, run in enumerate(runs)
    )
    whole = len(places) == len(runs)
    return {
        "trained": len(places),
        "wall": wall,
        "seconds": wall if whole else total / CORES,
        "rows": {place: steps for place, (steps, _) in trained.items()},
        "run_seconds": {place: seconds for place, (_, seconds) in trained.items()},
    }


def benchmark(options: Options) -> Report:
    """Run the target, then the loop."""
    config, runs = specs(options.quick)
    count = options.loop_runs or (QUICK_LOOP_RUNS if options.quick else LOOP_RUNS)
    found = []
    for _ in range(options.repeats):
        ours = by_workflow(config, runs)
        found.append({"ours": ours, "loop": by_loop(runs, ours["rows"], count)})
        print(found[-1], flush=True)
    seconds = {
        name: statistics.median(one[name]["seconds"] for one in found) for name in ("ours", "loop")
    }
    ours = found[0]["ours"]
    trained = found[0]["loop"]["trained"]
    core_time = CORES * ours["seconds"]
    outside = 1 - (ours["training_jobs"] + ours["analysis_jobs"]) / core_time
    ratio = seconds["loop"] / seconds["ours"]
    rows = [
        [f"`snakemake {STUDY} --cores {CORES}`", number(seconds["ours"]), ""],
        [
            f"the {len(runs)} runs by loop (a), {CORES} processes",
            number(seconds["loop"]),
            f"**{ratio:.2f}**",
        ],
    ]
    shares = [
        ["training (steps alone)", f"{ours['training'] / core_time:.0%}"],
        ["training jobs, their start included", f"{ours['training_jobs'] / core_time:.0%}"],
        ["analysis, figures", f"{ours['analysis_jobs'] / core_time:.0%}"],
        ["outside jobs: planning, waiting", f"{outside:.0%}"],
    ]
    wanted = [
        Wanted(
            f"`{STUDY}` from nothing: times faster than the published loop",
            f"{WANTED_RATIO:g}",
            f"{ratio:.2f}",
            ratio >= WANTED_RATIO,
        ),
        Wanted(
            f"`{STUDY}` from nothing: core time outside training and analysis (wanted of the "
            "whole default configuration)",
            f"below {WANTED_OUTSIDE:.0%}",
            f"{outside:.1%}",
            outside < WANTED_OUTSIDE,
        ),
    ]
    all_trained = (
        "All runs were trained by loop (a)."
        if trained == len(runs)
        else f"Loop (a) trained {trained} of the runs, one of each width and train fraction in "
        "turn; the others are calculated from its time per step and the steps that ours made, "
        "shared by two processes without loss."
    )
    return Report(
        "whole_target",
        "Whole target",
        [
            f"`snakemake {STUDY} --cores {CORES}` of the default configuration ({len(runs)} "
            "runs, their analysis and figures), no results, an empty trace store, workflow start "
            f"included. {all_trained} Both stop early by the same rule; the loop's start, "
            "analysis and figures are not counted.",
        ],
        [
            Table(["what", "seconds", "ratio"], rows, found),
            Table(["where the core time of Grokscope goes", "share"], shares, None),
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
