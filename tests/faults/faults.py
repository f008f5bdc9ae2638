"""Provoked faults: how many, the small workflow they hit, and how to start and stop it.

``FAULTS=full`` asks for the counts of docs/reliability.md, ``FAULTS_KILLS=10`` for one of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import psutil

from project import TINY

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
    """Targets of the workflow."""
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
    """Output of the last call."""
    return (folder / "out.log").read_text(errors="replace")


def finish(folder: Path, *arguments: str, wanted: Sequence[str] | None = None) -> str:
    """Run the tiny workflow, which must succeed; its output."""
    process = start(folder, *arguments, wanted=wanted)
    try:
        assert process.wait(600) == 0, said(folder)
    finally:
        end(process)
    return said(folder)


def end(process: subprocess.Popen) -> None:
    """Kill everything that a call started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def jobs(process: subprocess.Popen) -> dict[psutil.Process, str]:
    """The processes that run a script for a call, and the script's name."""
    found = {}
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            line = child.cmdline()
            if len(line) > 1 and ".snakemake/scripts/" in line[1]:
                # As in tmp1a2b3c.plot_lags.py.
                found[child] = Path(line[1]).suffixes[0].removeprefix(".")
    except psutil.Error:
        pass
    return found


def wait_for_job(process: subprocess.Popen) -> bool:
    """Wait until a script runs for a call; whether one did."""
    while process.poll() is None:
        if jobs(process):
            return True
        time.sleep(0.02)
    return False


def done(folder: Path) -> dict[Path, int]:
    """Results that Snakemake records as complete, and when each was written."""
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


# What is made last, and what is made of that.
REPORT = ("report.*", "validat*")
FIGURES = ("figures", "summaries", "phase_diagram.*", *REPORT)


def copy_without(missing: Sequence[str], finished: Path, folder: Path) -> None:
    """Copy a checkout with results, file times included, without some of the results."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    for pattern in missing:
        for path in (folder / "results").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _timeless(path: Path) -> bytes:
    """Bytes of a file, without training times."""
    if path.stem == "runs":
        read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
        return read(path).drop(columns="seconds").to_csv().encode()
    if path.parent.name == "summaries":
        return json.dumps(json.loads(path.read_text()) | {"seconds": None}).encode()
    if path.stem == "report":
        text = re.sub(
            r'(data-field="seconds") data-value="[^"]*">[^<]*<', r"\1><", path.read_text()
        )
        return re.sub(r"[0-9,]+ (seconds of training)", r"\1", text).encode()
    return path.read_bytes()


def contents(folder: Path, times: bool = False) -> dict[str, bytes]:
    """Bytes of all results but traces, with or without training times."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        name = path.relative_to(folder / "results")
        if path.is_file() and name.parts[0] not in ("traces", "logs", "code"):
            found[str(name)] = path.read_bytes() if times else _timeless(path)
    return {name: data for name, data in found.items() if not name.endswith(".tmp")}


def differences(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """Names of files that differ."""
    return sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
