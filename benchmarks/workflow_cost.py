"""Workflow cost by number of runs: dry run, a call with nothing to do, time per trivial job."""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

from benchmarks.checkout import Checkout, checkout
from benchmarks.common import Options, Report, Table, Wanted, main, spread

REPEATS = 3
RUNS = (105, 1_500, 5_010, 15_000)
# From here on every number is measured once.
MANY = 5_000
JOBS = 50
WANTED_RUNS, WANTED_SECONDS = 1_500, 15.0

# Writes empty traces and logs.
_TRIVIAL = """import os
for path in [*snakemake.output, *snakemake.log]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").close()
"""
# A target that consists of the traces alone.
_TRACES = """rule traces:
    input:
        plan.traces(plan.keys()),


"""
# Snakemake's touch waits a tenth of a second after each job, for file systems with coarse times.
_TOUCH = """import sys, types
import snakemake.executors.touch as touch
from snakemake.cli import main
touch.time = types.SimpleNamespace(sleep=lambda seconds: None)
main(sys.argv[1:])
"""


def grid(runs: int) -> dict[str, Any]:
    """A configuration of the published study's shape: 3 tasks, 5 depths, seeds."""
    sweep = {
        "tasks": ["modular_addition", "s5_composition", "cubic_regression"],
        "depths": [2, 3, 4, 6, 8],
        "train_fractions": [0.6],
        "weight_decays": [1.0],
        "widths": [64],
        "seeds": list(range(runs // 15)),
        # Long runs: one job per run.
        "steps": 50_000,
    }
    return {"studies": {"gai": {"kind": "early_warning", "grids": [sweep]}}}


def pretend(work: Checkout) -> None:
    """Make every output an empty file, with the records that Snakemake keeps of finished jobs."""
    listed = work.run(work.command("all", "--summary"))[1]
    # The same time for all, after that of the inputs.
    now = time.time() + 1
    for line in listed.splitlines():
        name, *others = line.split("\t")
        if not others or name == "output_file":
            continue
        path = work.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now, now))
    time.sleep(2)
    work.run([sys.executable, "-c", _TOUCH, "all", "--touch", "--forceall", "--cores", "1"])


def trivial_jobs(work: Checkout, jobs: int) -> float:
    """Seconds that each of some trivial jobs adds to a run with nothing to do."""
    traces = sorted(work.folder.glob("results/traces/gai/**/*.parquet"))
    for path in traces[:: max(len(traces) // jobs, 1)][:jobs]:
        path.unlink()
    busy = work.snakemake("traces", "--cores", "1")
    idle = work.snakemake("traces", "--cores", "1")
    return (busy - idle) / jobs


def measure(runs: int, repeats: int) -> dict[str, Any]:
    """All numbers at one number of runs."""
    with checkout() as work:
        work.configure(grid(runs))
        for script in work.folder.glob("workflow/scripts/train_*.py"):
            script.write_text(_TRIVIAL, encoding="utf-8")
        snakefile = work.folder / "Snakefile"
        # Before the check of targets at the end, which must know it.
        begin, rule_all, end = snakefile.read_text(encoding="utf-8").partition("rule all:")
        snakefile.write_text(begin + _TRACES + rule_all + end, encoding="utf-8")
        help_seconds = [work.snakemake("--version") for _ in range(repeats)]
        dry = [work.snakemake("all", "--dry-run", "--quiet", "all") for _ in range(repeats)]
        pretend(work)
        idle = [work.snakemake("all", "--cores", "1") for _ in range(repeats)]
        job = [trivial_jobs(work, JOBS) for _ in range(repeats)]
    return {"runs": runs, "start": help_seconds, "dry": dry, "idle": idle, "job": job}


def benchmark(options: Options) -> Report:
    """Measure all sizes."""
    sizes = RUNS[:2] if options.quick else RUNS
    found = []
    for runs in sizes:
        if options.wants(str(runs)):
            found.append(measure(runs, 1 if runs > MANY else options.repeats))
            print(found[-1], flush=True)
    rows = []
    for size in found:
        start, dry, idle = (statistics.median(size[name]) for name in ("start", "dry", "idle"))
        per_run = [f"{1e3 * (seconds - start) / size['runs']:.2f}" for seconds in (dry, idle)]
        cells = [spread(size["dry"]), spread(size["idle"]), *per_run]
        rows.append([f"{size['runs']:,}", *cells, spread([1e3 * job for job in size["job"]])])
    wanted = []
    for size in found:
        if size["runs"] == WANTED_RUNS:
            seconds = statistics.median(size["idle"])
            what = f"`all` with nothing to do at {WANTED_RUNS:,} runs, s"
            met = seconds <= WANTED_SECONDS
            wanted.append(Wanted(what, f"at most {WANTED_SECONDS:g}", f"{seconds:.1f}", met))
    if len(found) > 1 and found[-1]["runs"] > MANY:
        first, last = found[1], found[-1]
        growth = [statistics.median(size["idle"]) / size["runs"] for size in (first, last)]
        ratio = growth[1] / growth[0]
        what = (
            f"seconds per run with nothing to do, {last['runs']:,} runs against {first['runs']:,}"
        )
        wanted.append(Wanted(what, "linear: about 1", f"{ratio:.2f}", ratio < 1.5))
    return Report(
        "workflow_cost",
        "Workflow cost",
        [
            "`snakemake all` on a grid of the published study's shape (3 tasks, 5 depths), in a "
            "copy of the checkout. Outputs are empty files with Snakemake's records of finished "
            "jobs. A trivial job is a training with a script that writes an empty file, its "
            f"Python start included: the time of a run with {JOBS} of them less that of one with "
            "none, one at a time. Milliseconds per run exclude the time of `snakemake --version`. "
            f"Sizes above {MANY:,} are measured once.",
        ],
        [
            Table(
                [
                    "runs",
                    "dry run of all (s)",
                    "nothing to do (s)",
                    "dry run, per run (ms)",
                    "nothing to do, per run (ms)",
                    "per trivial job (ms)",
                ],
                rows,
                found,
            )
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
