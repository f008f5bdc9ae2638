"""Faults on purpose: how many, the small workflow they hit, and how to start and stop it.

``FAULTS=full`` asks for the counts of docs/reliability.md, ``FAULTS_KILLS=10`` for one of them.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil

from grokscope.plan import STUDY_TABLES
from project import ROOT

TINY = ROOT / "tests/tiny.yaml"
# What the small workflow makes; all of the results where the counts are full.
SMALL_TARGETS = (
    "results/studies/lead_lag/transitions.parquet",
    "results/studies/phase_diagram/phases.parquet",
)

# In continuous integration, and in full.
COUNTS = {"KILLS": (3, 50), "TRACES": (200, 200), "CONFIGS": (150, 500), "SIGNALS": (2, 12)}


def full() -> bool:
    """Whether the full counts were asked for."""
    return os.environ.get("FAULTS") == "full"


def count(name: str) -> int:
    """How many faults of a kind to provoke."""
    return int(os.environ.get(f"FAULTS_{name}", COUNTS[name][full()]))


def targets() -> tuple[str, ...]:
    """What the workflow is asked for; ``FAULTS_TARGETS`` names something else."""
    named = os.environ.get("FAULTS_TARGETS")
    if named is not None:
        return tuple(named.split())
    return ("all",) if full() else SMALL_TARGETS


def start(folder: Path, *arguments: str, wanted: Sequence[str] | None = None) -> subprocess.Popen:
    """Start the tiny workflow in a process group of its own; output goes to ``out.log``."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = [str(binaries / "snakemake"), *(targets() if wanted is None else wanted)]
    command += ["--cores", "2", *arguments, "--configfile", str(TINY)]
    with (folder / "out.log").open("w") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    """What the last call wrote."""
    return (folder / "out.log").read_text(errors="replace")


def finish(folder: Path, *arguments: str, wanted: Sequence[str] | None = None) -> str:
    """Run the tiny workflow to its end, which must be a good one; what it wrote."""
    process = start(folder, *arguments, wanted=wanted)
    try:
        assert process.wait(600) == 0, said(folder)
    finally:
        end(process)
    return said(folder)


def end(process: subprocess.Popen) -> None:
    """Leave nothing of a call behind."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def jobs(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that run a script for a call."""
    found = []
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            line = child.cmdline()
            if len(line) > 1 and ".snakemake/scripts/" in line[1]:
                found.append(child)
    except psutil.Error:
        pass
    return found


def done(folder: Path) -> dict[Path, int]:
    """Results that Snakemake knows to be whole, and when each was written."""
    incomplete = {
        base64.urlsafe_b64decode("".join(path.relative_to(state).parts).replace("@", "")).decode()
        for state in [folder / ".snakemake/incomplete"]
        for path in state.rglob("*")
        if path.is_file()
    }
    return {
        path: path.stat().st_mtime_ns
        for path in (folder / "results").rglob("*")
        if path.is_file()
        and path.suffix not in (".log", ".tmp")
        and "code" not in path.relative_to(folder).parts
        and str(path.relative_to(folder)) not in incomplete
    }


def tables(folder: Path) -> dict[str, bytes]:
    """Bytes of all tables that are there; of ``runs`` those of all but the seconds."""
    found = {}
    places = ("tables", "studies/*", "panels/*/*/*")
    for path in sorted(file for place in places for file in folder.glob(f"results/{place}/*.*")):
        if path.stem != "runs":
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif path.suffix == ".csv":
            runs = pd.read_csv(path).drop(columns="seconds")
            found[str(path.relative_to(folder))] = runs.to_csv().encode()
    csv = [name for name in found if name.endswith(".csv")]
    assert len(csv) == len(STUDY_TABLES) or targets() != ("all",)
    assert len(found) >= len(SMALL_TARGETS)
    return found
