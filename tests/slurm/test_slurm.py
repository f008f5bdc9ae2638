"""The workflow on a real SLURM: same tables, whatever happens to jobs, nodes and Snakemake."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from cluster import wait_for
from grokscope.data.trace_reader import read_trace
from grokscope.runs.paths import STUDY_TABLES
from grokscope.runs.plan import Plan
from grokscope.runs.spec import RunSpec
from grokscope.train.checkpoint import Checkpoint
from grokscope.train.store import training_key
from project import ROOT, copy_checkout, run_tool

pytestmark = pytest.mark.slow

TABLES = [f"results/tables/{table}.csv" for table in STUDY_TABLES]
RUNS = "results/studies/gai/runs.parquet"
CLAIMS = "results/studies/gai/claims.parquet"
# The only column in which two equal runs differ.
TIMES = ["seconds"]
PROFILE = (
    "--profile",
    "profiles/slurm",
    # Answers are immediate here, so rare queries would only waste time.
    "--slurm-init-seconds-before-status-checks",
    "3",
)


# Three runs of some ten seconds and more that do not end early: two for one job, one for another.
LONG = {
    "p": 47,
    "rank_every": 1000,
    "grids": [
        {
            "tasks": ["modular_addition"],
            "depths": [2],
            "train_fractions": [0.7],
            "weight_decays": [0.1],
            "widths": [64],
            "seeds": [0],
            "steps": 30000,
        }
    ],
}
LONG_RUNS = {
    "studies": {
        "lead_lag": LONG | {"kind": "lead_lag"},
        "gai": LONG | {"kind": "early_warning", "grids": [LONG["grids"][0] | {"seeds": [0, 1]}]},
    },
    "device": "cpu",
    "runs_per_job": 2,
    "checkpoint_seconds": 1,
}


def checkout(folder: Path, config: str | dict) -> Path:
    """A checkout with another config and its own store, so that no run comes from elsewhere.

    Without any store, no run shares a job with others.
    """
    folder.mkdir()
    copy_checkout(folder)
    if isinstance(config, str):
        config = yaml.safe_load((ROOT / config).read_text())
    settings = config | {"store": str(folder / "store")}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(settings))
    return folder


@contextmanager
def started(folder: Path, *arguments: str):
    """A running Snakemake and the file with its output; killed if a test fails."""
    binaries = Path(sys.executable).parent
    output = folder / "snakemake.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [str(binaries / "snakemake"), *arguments],
            cwd=folder,
            env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, output
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_locally(folder: Path, *targets: str) -> None:
    result = run_tool(["snakemake", *targets, "--cores", "2"], folder)
    assert result.returncode == 0, result.stdout + result.stderr


def frame(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / name).drop(columns=TIMES, errors="ignore")


def assert_same_results(folder: Path, expected: Path) -> None:
    """Every table, and every trace row by row."""
    names = sorted(
        str(path.relative_to(expected))
        for path in expected.glob("results/**/*.parquet")
        if "traces" not in path.parts
    )
    assert names
    for name in names:
        tables = [frame(place, name) for place in (folder, expected)]
        pd.testing.assert_frame_equal(*tables, check_exact=True, obj=name)
    for name in TABLES:
        texts = [
            pd.read_csv(place / name, dtype=str).drop(columns=TIMES, errors="ignore").to_csv()
            for place in (folder, expected)
        ]
        assert texts[0] == texts[1], name
    traces = sorted(expected.glob("results/traces/**/*.parquet"))
    assert traces
    for trace in traces:
        frames = [read_trace(path).frame for path in (folder / trace.relative_to(expected), trace)]
        pd.testing.assert_frame_equal(*frames, check_exact=True, obj=trace.name)


def training_jobs(cluster, *options: str) -> list[str]:
    jobs = cluster.jobs("--states=running", *options)
    return [job for job, comment in jobs.items() if comment.startswith("rule_train")]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke configuration, computed on this machine without SLURM."""
    folder = checkout(tmp_path_factory.mktemp("local") / "smoke", "config/smoke.yaml")
    run_locally(folder, *TABLES)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """One study of the tiny configuration, computed on this machine without SLURM."""
    folder = checkout(tmp_path_factory.mktemp("local") / "tiny", "tests/tiny.yaml")
    run_locally(folder, CLAIMS)
    return folder


def test_smoke_survives_a_cancelled_job_and_a_dead_node(cluster, smoke, tmp_path):
    folder = checkout(tmp_path / "smoke", "config/smoke.yaml")
    with started(folder, *TABLES, *PROFILE) as (snakemake, output):
        wait_for(lambda: training_jobs(cluster, "--nodelist=n2"), "a training on n2")
        cancelled = training_jobs(cluster, "--nodelist=n2")[0]
        cluster.call("scancel", cancelled)
        wait_for(lambda: list(folder.glob("results/traces/**/*.parquet")), "a trace", 300)
        wait_for(lambda: training_jobs(cluster, "--nodelist=n1"), "a training on n1")
        lost = training_jobs(cluster, "--nodelist=n1")
        cluster.kill_node("n1")
        # The daemon of a spare node, since this machine has two cores.
        cluster.start_node("n3")
        assert snakemake.wait(900) == 0, output.read_text()
    assert cluster.field(cancelled, "JobState") == "CANCELLED"
    # SLURM itself put the lost job back into the queue.
    for job in lost:
        assert cluster.field(job, "JobState") == "COMPLETED"
        assert cluster.field(job, "Restarts") == "1"
    # Snakemake submitted the cancelled job again, and no other.
    assert output.read_text().count("Trying to restart job") == 1
    assert_same_results(folder, smoke)


def checkpoint_of(folder: Path, spec: RunSpec) -> Checkpoint:
    path = spec.key.path.replace("/traces/", "/checkpoints/").replace(".parquet", ".npz")
    return Checkpoint(folder / path, training_key(spec, "cpu"))


def preempt(cluster, folder: Path, job: str, spec: RunSpec) -> int:
    """Preempt the job that trains a run; the step of its checkpoint."""
    checkpoint = checkpoint_of(folder, spec)
    before = checkpoint.load().updates
    processes = cluster.preempt(job)
    # The job's script, its one step, the Snakemake of each, and the training.
    assert len(processes) >= 5, processes
    assert not (folder / spec.key.path).exists()
    left = checkpoint.load().updates
    assert 0 < before <= left < spec.steps
    return left


def asked_for(cluster, job: str) -> tuple[int, pd.Timedelta]:
    """Memory (MB) and time that a job asked for."""
    memory = cluster.field(job, "MinMemoryNode")
    return int(memory.removesuffix("M")), pd.Timedelta(cluster.field(job, "TimeLimit"))


def test_preempted_trainings_go_on_from_their_checkpoints(cluster, tmp_path):
    local, folder = (checkout(tmp_path / name, LONG_RUNS) for name in ("local", "preempted"))
    plan = Plan(LONG_RUNS)
    warned, finished, caught = plan.specs.values()
    assert (warned.key.study, finished.seed, caught.seed) == ("lead_lag", 0, 1)
    traces = plan.traces(plan.keys())
    others = set(cluster.jobs("--states=all"))
    options = [*PROFILE, "--set-resources", "train_run:slurm_partition=warned"]
    with (
        started(local, *traces, "--cores", "1", "--config", "runs_per_job=1") as (whole, said),
        started(folder, *traces, *options) as (snakemake, output),
    ):
        # With a warning: the training ends on SIGTERM, which SLURM counts as a failure.
        wait_for(checkpoint_of(folder, warned).path.exists, "the lone run's checkpoint")
        (first,) = training_jobs(cluster, "--partition=warned")
        warned_at = preempt(cluster, folder, first, warned)
        # Without a warning: SLURM itself requeues the job.
        wait_for(checkpoint_of(folder, caught).path.exists, "the second run's checkpoint")
        assert (folder / finished.key.path).exists()
        (requeued,) = training_jobs(cluster, "--partition=main")
        caught_at = preempt(cluster, folder, requeued, caught)
        for process, file in ((snakemake, output), (whole, said)):
            assert process.wait(300) == 0, file.read_text()
    jobs = cluster.jobs("--states=all")
    (again,) = {job for job in jobs.keys() - others if "rule_train_run" in jobs[job]} - {first}
    states = [cluster.field(job, "JobState") for job in (first, again, requeued)]
    assert states == ["FAILED", "COMPLETED", "COMPLETED"]
    assert cluster.field(requeued, "Restarts") == "1"
    assert output.read_text().count("Trying to restart job") == 1
    memory, limit = asked_for(cluster, first)
    assert asked_for(cluster, again) == (2 * memory, 2 * limit)
    for spec, resumed_at in ((warned, [warned_at]), (finished, []), (caught, [caught_at])):
        trace, expected = (read_trace(place / spec.key.path) for place in (folder, local))
        assert list(trace.info.resumed_at) == resumed_at
        assert list(expected.info.resumed_at) == []
        assert len(trace.frame) == spec.steps + 1
        assert list(trace.frame) == list(expected.frame)
        for name, values in expected.frame.items():
            assert trace.frame[name].to_numpy().tobytes() == values.to_numpy().tobytes(), name
    assert not list(folder.glob("results/checkpoints/**/*.npz"))
    # No training is still running.
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]
    assert not left


def documented_command(marker: str) -> str:
    """The shell command in the docs with a certain beginning."""
    text = (ROOT / "docs/cluster.md").read_text()
    return re.search(rf"^{re.escape(marker)}.*$", text, re.MULTILINE).group()


def test_after_a_killed_snakemake_the_documented_steps_suffice(cluster, tiny, tmp_path):
    folder = checkout(tmp_path / "killed", "tests/tiny.yaml")
    with started(folder, RUNS, *PROFILE) as (snakemake, _):
        wait_for(lambda: training_jobs(cluster), "a training")
        snakemake.send_signal(signal.SIGKILL)
        snakemake.wait()
    # Jobs of another folder must not be cancelled.
    other = cluster.call("sbatch", "--parsable", "--chdir=/", "--output=/dev/null", "--wrap=exit")
    mine = set(cluster.jobs()) - {other}
    assert mine
    subprocess.run(documented_command("squeue --me"), shell=True, cwd=folder, check=True)
    wait_for(lambda: not cluster.jobs(), "an empty queue", 60)
    assert {cluster.field(job, "JobState") for job in mine} == {"CANCELLED"}
    assert cluster.field(other, "JobState") == "COMPLETED"
    result = run_tool(["snakemake", RUNS, *PROFILE], folder)
    assert result.returncode == 0, result.stdout + result.stderr
    pd.testing.assert_frame_equal(frame(folder, RUNS), frame(tiny, RUNS))


def test_an_allocation_that_runs_out_of_time_goes_on_later(cluster, tiny, tmp_path):
    folder = checkout(tmp_path / "allocation", "tests/tiny.yaml")
    binaries = Path(sys.executable).parent
    job = cluster.call(
        "env",
        f"PATH={binaries}{os.pathsep}{os.environ['PATH']}",
        "sbatch",
        "--parsable",
        "--cpus-per-task=1",
        f"--chdir={folder}",
        str(folder / "profiles/slurm/allocation.sh"),
        RUNS,
    )
    log = folder / f"slurm-grokscope-{job}.log"
    wait_for(lambda: "Job stats" in log.read_text() if log.exists() else False, "Snakemake")
    time.sleep(1)
    cluster.call("scancel", "--signal=USR1", "--batch", job)
    wait_for(lambda: cluster.field(job, "JobState") == "COMPLETED", f"job {job}", 300)
    assert cluster.field(job, "Restarts") == "1"
    # It was not killed.
    assert "SIGINT: running jobs are ended" in log.read_text()
    assert "Out of time" in log.read_text()
    pd.testing.assert_frame_equal(frame(folder, RUNS), frame(tiny, RUNS))
    run = run_tool(["snakemake", RUNS, "--cores", "1", "--dry-run"], folder)
    assert "Nothing to be done" in run.stdout + run.stderr


def test_results_kept_in_a_storage_are_the_same(cluster, tiny, tmp_path):
    # Only the installed packages of the cluster are needed. Nothing is declared as shared but
    # the cache of downloaded source files.
    folder = checkout(tmp_path / "checkout", "tests/tiny.yaml")
    storage = tmp_path / "storage"
    options = [
        f"--default-storage-prefix={storage}",
        "--default-storage-provider=fs",
        "--shared-fs-usage=source-cache",
    ]
    run_locally(folder, CLAIMS, *options)
    assert not list(folder.glob("results/studies/**/*.parquet"))
    names = [
        str(path.relative_to(tiny))
        for path in tiny.glob("results/**/*.parquet")
        if "traces" not in path.parts
    ]
    assert CLAIMS in names
    for name in names:
        pd.testing.assert_frame_equal(frame(storage, name), frame(tiny, name), obj=name)


def test_a_training_on_cuda_asks_for_a_gpu(cluster, tiny, tmp_path):
    folder = checkout(tmp_path / "gpu", "tests/tiny.yaml")
    # No node has one, so SLURM's own refusal shows that it was requested.
    options = [*PROFILE, "--retries", "0", "--config", "device=cuda"]
    result = run_tool(["snakemake", RUNS, *options], folder)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert re.search(r"sbatch call:\s+sbatch .* --gpus=1 ", output), output
    assert "Requested node configuration is not available" in output or "gres" in output


def test_a_site_can_overrule_any_key_of_the_profile():
    # The default profile comes last, so it would win.
    default, slurm = (
        yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text())
        for name in ("default", "slurm")
    )
    assert not default.keys() & slurm.keys()
