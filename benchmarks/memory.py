"""Memory and disk: peaks of training and analysis jobs, bytes per step of a trace."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checkout import Job, checkout
from benchmarks.common import Options, Report, Table, Wanted, main
from benchmarks.traces import late_run
from grokscope.data.trace import trace_schema
from grokscope.data.trace_writer import write_trace
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.spec import RunSpec
from grokscope.train.loop import train
from synthetic import make_spec

REPEATS = 1
TRAINING_MB, ANALYSIS_MB, TRACE_SHARE = 450.0, 1500.0, 0.6

# Task, depth, width, steps: the most common run, the largest of the published grids, and a log
# of the published length (a network of this size fills it in seconds).
TRAININGS = (
    ("modular_addition", 2, 64, 500),
    ("modular_addition", 8, 128, 100),
    ("s5_composition", 8, 128, 100),
    ("cubic_regression", 8, 8, 50_000),
)
PANEL_DEPTH, PANEL_STEPS = 8, 50_000
PANEL_RUNS, QUICK_PANEL_RUNS = 100, 10
TRACE_STEPS = 2_000
# Scripts of the panel jobs, and a file that each makes.
PANEL_SCRIPTS = {"measure_panel": "runs", "vary_analysis": "variants"}


def gai(task: str, depth: int, width: int, runs: int, steps: int) -> dict[str, Any]:
    """A configuration of one panel."""
    sweep = {
        "tasks": [task],
        "depths": [depth],
        "train_fractions": [0.7],
        "weight_decays": [1.0],
        "widths": [width],
        "seeds": list(range(runs)),
        "steps": steps,
    }
    settings = {"betas": [0.9, 0.98], "test_every": 10, "rank_every": 50}
    return {"studies": {"gai": {"kind": "early_warning", "grids": [sweep], **settings}}}


def specs_of(config: dict[str, Any]) -> list[RunSpec]:
    """Specifications of its runs."""
    return list(expand_runs(check_config(config)).values())


def peak(name: str, jobs: Sequence[Job]) -> dict[str, Any]:
    """The job with the highest peak among some, under a name."""
    most = max(jobs, key=lambda job: job.kilobytes)
    return {"job": name, "kilobytes": most.kilobytes, "seconds": most.seconds}


def training_peaks(options: Options) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Peak memory of training jobs, as the workflow starts them.

    Returns
    -------
    later, first
        Jobs that find the kernels compiled, and those that compile them for a new checkout.
    """
    later, first = [], []
    for task, depth, width, steps in TRAININGS[1:2] if options.quick else TRAININGS:
        config = gai(task, depth, width, 2, steps)
        name = f"{task}, depth {depth}, width {width}, {steps:,} steps"
        with checkout() as work:
            work.configure(config)
            for spec, found, words in zip(
                specs_of(config), (first, later), (", compiling", ""), strict=True
            ):
                _, jobs = work.snakemake_jobs(spec.key.path, "--cores", "1")
                found.append(peak(name + words, jobs))
    return later, first


def panel_peaks(options: Options) -> list[dict[str, Any]]:
    """Peak memory of the jobs that analyse a panel of long runs."""
    runs = QUICK_PANEL_RUNS if options.quick else PANEL_RUNS
    config = gai("modular_addition", PANEL_DEPTH, 128, runs, PANEL_STEPS)
    folder = f"results/panels/gai/task=modular_addition/depth={PANEL_DEPTH}"
    tables = [f"{folder}/{table}.parquet" for table in PANEL_SCRIPTS.values()]
    with checkout() as work:
        work.configure(config)
        # Writes the stamps of the code, which must be older than the traces.
        work.snakemake("all", "--dry-run", "--quiet", "all")
        # A few synthetic courses, shared by all runs.
        courses = [late_run(make_spec(depth=PANEL_DEPTH, steps=PANEL_STEPS), n) for n in range(4)]
        for number, spec in enumerate(specs_of(config)):
            trace = courses[number % len(courses)]
            columns = {str(name): values.to_numpy() for name, values in trace.frame.items()}
            write_trace(work.folder / spec.key.path, spec, trace.info, columns)
        _, jobs = work.snakemake_jobs(*tables, "--cores", "1")
    size = f"{runs} runs of {PANEL_STEPS:,} steps, depth {PANEL_DEPTH}"
    return [
        peak(f"{script}, {size}", [job for job in jobs if job.script == script])
        for script in PANEL_SCRIPTS
    ]


def trace_sizes(options: Options) -> list[dict[str, Any]]:
    """Bytes per step of the traces of real trainings."""
    lead_lag = make_spec(
        study="lead_lag", width=64, weight_decay=0.1, betas=(0.9, 0.999), test_every=1
    )
    specs = {
        "lead_lag, depth 2": replace(lead_lag, steps=TRACE_STEPS),
        "gai, depth 4": make_spec(width=64, depth=4, steps=TRACE_STEPS),
        "gai, regression, depth 8": make_spec(
            task="cubic_regression", width=64, depth=8, steps=TRACE_STEPS
        ),
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in list(specs.items())[-1:] if options.quick else specs.items():
            (result,) = train([spec])
            path = Path(folder) / "trace.parquet"
            write_trace(path, result.spec, result.info, result.columns)
            rows = len(result.columns["step"])
            measured = [name for name in trace_schema(spec).names if name not in ("step", "seed")]
            values = int(sum(np.isfinite(result.columns[name]).sum() for name in measured))
            size = path.stat().st_size
            found.append(
                {
                    "trace": name,
                    "rows": rows,
                    "bytes_per_step": size / rows,
                    "values_per_step": values / rows,
                    "share_of_values": size / (4 * values),
                    "share_of_columns": size / (4 * len(measured) * rows),
                }
            )
    return found


def benchmark(options: Options) -> Report:
    """Measure jobs and traces."""
    training, compiling = training_peaks(options)
    panel, traces = panel_peaks(options), trace_sizes(options)
    jobs = [*training, *compiling, *panel]
    rows = [
        [job["job"], f"{job['kilobytes'] / 1024:.0f}", f"{job['seconds']:.1f}"] for job in jobs
    ]
    sizes = [
        [
            trace["trace"],
            f"{trace['rows']:,}",
            f"{trace['values_per_step']:.1f}",
            f"{trace['bytes_per_step']:.1f}",
            f"**{trace['share_of_columns']:.0%}**",
            f"{trace['share_of_values']:.0%}",
        ]
        for trace in traces
    ]
    wanted = []
    for name, found, limit in (
        ("training", training, TRAINING_MB),
        ("the first training of a checkout", compiling, TRAINING_MB),
        ("analysis of a panel", panel, ANALYSIS_MB),
    ):
        most = max(found, key=lambda job: job["kilobytes"])
        mb = most["kilobytes"] / 1024
        what = f"peak memory of {name}, MB ({most['job']})"
        wanted.append(Wanted(what, f"below {limit:,.0f}", f"{mb:.0f}", mb < limit))
    worst = max(traces, key=lambda trace: trace["share_of_columns"])
    share = worst["share_of_columns"]
    what = f"size of a trace against the same table as raw float32 ({worst['trace']})"
    wanted.append(Wanted(what, f"at most {TRACE_SHARE:.0%}", f"{share:.0%}", share <= TRACE_SHARE))
    return Report(
        "memory",
        "Memory and disk",
        [
            "Jobs as `snakemake` starts them, the peak resident memory and the time of each "
            "process, its start included. The first training jobs of a new checkout compile "
            "the passes of a step, later ones find them. The analysed panel has synthetic "
            "traces.",
            f"Traces of real trainings of {TRACE_STEPS:,} steps, lossless. Raw: four bytes per "
            "column and step, of all columns but step and seed; and, stricter, four bytes per "
            "measured value (test metrics and ranks are not measured at most steps).",
        ],
        [
            Table(["job", "peak memory (MB)", "seconds"], rows, jobs),
            Table(
                [
                    "trace",
                    "rows",
                    "values per step",
                    "bytes per step",
                    "of the raw table",
                    "of the raw values",
                ],
                sizes,
                traces,
            ),
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
