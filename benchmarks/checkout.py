"""A copy of this checkout in a temporary folder, and the workflow run in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import yaml

from project import copy_checkout

# Seconds between looks at the processes of a watched run; a look takes some milliseconds.
LOOK_EVERY = 0.05


@dataclass
class Job:
    """What a process of a script needed: peak resident memory, when it was first and last seen."""

    script: str
    kilobytes: int
    first: float
    last: float

    @property
    def seconds(self) -> float:
        return self.last - self.first


@dataclass(frozen=True)
class Checkout:
    """What a workflow run needs, in a folder of its own."""

    folder: Path

    def configure(self, config: Mapping[str, Any], *, store: bool = False) -> None:
        """Replace the default configuration; with an empty trace store, or none."""
        folder = str(self.folder / "store") if store else None
        text = yaml.safe_dump({**config, "store": folder}, sort_keys=False)
        (self.folder / "config/config.yaml").write_text(text, encoding="utf-8")

    def run(
        self,
        command: Sequence[str],
        jobs: dict[int, Job] | None = None,
        every: float = LOOK_EVERY,
    ) -> tuple[float, str]:
        """Run a command with the checkout's environment; the seconds it took, what it printed.

        Parameters
        ----------
        jobs
            Filled with what each job needed, by process; not looked at if None.
        every
            Seconds between looks.

        Raises
        ------
        RuntimeError
            With its output, if it fails.
        """
        path = [self.folder / "no_slurm", Path(sys.executable).parent, os.environ["PATH"]]
        # The workflow sets its own numbers of threads.
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = {k: v for k, v in os.environ.items() if k not in threads}
        # Compiled here, as in a first checkout: the user's folder may hold kernels already.
        environment["NUMBA_CACHE_DIR"] = str(self.folder / "kernels")
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            start = perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**environment, "PATH": os.pathsep.join(map(str, path))},
                stdout=output,
                stderr=output,
            )
            if jobs is not None:
                _watch(process, jobs, every)
            code = process.wait()
            seconds = perf_counter() - start
            output.seek(0)
            text = output.read()
        if code:
            raise RuntimeError(text[-4000:])
        return seconds, text

    def snakemake(self, *arguments: str) -> float:
        """Run the workflow; the seconds it took."""
        return self.run(self.command(*arguments))[0]

    def snakemake_jobs(
        self, *arguments: str, every: float = LOOK_EVERY
    ) -> tuple[float, list[Job]]:
        """Run the workflow; the seconds it took, what its jobs needed."""
        jobs: dict[int, Job] = {}
        seconds = self.run(self.command(*arguments), jobs, every)[0]
        return seconds, list(jobs.values())

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """The command that runs the workflow."""
        return [sys.executable, "-m", "snakemake", *arguments]


def _watch(process: subprocess.Popen[bytes], jobs: dict[int, Job], every: float) -> None:
    """Note what the scripts that a process starts need, until it ends.

    On Linux the system's high-water mark is read, so a look just before a job's end suffices.
    """
    main = psutil.Process(process.pid)
    while process.poll() is None:
        with suppress(psutil.Error, OSError):
            for child in main.children(recursive=True):
                with suppress(psutil.Error, OSError):
                    now = perf_counter()
                    if child.pid not in jobs:
                        # Snakemake runs a copy of the script: .snakemake/scripts/tmp….name.py
                        names = [w for w in child.cmdline() if "/.snakemake/scripts/" in w]
                        if not names:
                            continue
                        jobs[child.pid] = Job(names[0].split(".")[-2], 0, now, now)
                    job = jobs[child.pid]
                    job.kilobytes, job.last = max(job.kilobytes, _most_kilobytes(child)), now
        time.sleep(every)


def _most_kilobytes(process: psutil.Process) -> int:
    """Most memory that a process has had; where the system does not tell, what it has now."""
    status = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found.group(1)) if found else process.memory_info().rss // 1024


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@contextmanager
def checkout() -> Iterator[Checkout]:
    """A checkout that is deleted when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="grokscope-"))
    try:
        copy_checkout(folder)
        # Where Snakemake's Slurm plugin is installed, each start asks scontrol, which waits for
        # seconds if its daemon is down.
        _executable(folder / "no_slurm/scontrol", "#!/bin/sh\nexit 1\n")
        yield Checkout(folder)
    finally:
        shutil.rmtree(folder)
