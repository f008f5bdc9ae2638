"""Working directory: one Snakemake at a time, and no manual clean-up after a kill.

Snakemake marks a directory as in use by files in ``.snakemake/locks``, which outlive a killed
process. Here the owner also holds a lock of the operating system, which ends with the process:
whoever can take it knows that files left in ``.snakemake/locks`` have no owner, and that jobs
still running in the directory are orphans.
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil

_LOCK = "owner.lock"
# Kept open, and so locked, until the process ends.
_held: list[int] = []


class InUseError(RuntimeError):
    """Another Snakemake is working in the directory."""


def _lock(state: Path) -> int | None:
    """Take the owner's lock; its descriptor, or None where the file system has no locks.

    Raises
    ------
    InUseError
        Naming the owner.
    """
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 1000, 0).decode(errors="replace") or "another process"
        os.close(descriptor)
        raise InUseError(
            f"{owner} works in {state.parent.resolve()}: wait for it, or stop it with SIGINT"
        ) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def clear_stale_lock(state: Path = Path(".snakemake")) -> list[Path]:
    """Remove Snakemake's lock files if their owner is dead, and return them.

    Raises
    ------
    InUseError
        If the owner lives.
    """
    # A call that only plans must not write into the directory, which may be read-only.
    stale = list(state.glob("locks/*.lock"))
    if not stale and not (state / _LOCK).exists():
        return []
    descriptor = _lock(state)
    if descriptor is None:
        return []
    # An owner that has not yet reached claim() may lose its files here, but not its claim.
    for path in stale:
        path.unlink(missing_ok=True)
    os.close(descriptor)
    return stale


def claim(state: Path = Path(".snakemake")) -> None:
    """Own the directory until this process ends.

    Raises
    ------
    InUseError
        If another process owns it.
    """
    descriptor = _lock(state)
    if descriptor is None:
        return
    text = f"snakemake (process {os.getpid()} on {platform.node()}, since {time.ctime()})"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    _held.append(descriptor)


def _orphans(state: Path) -> Iterator[psutil.Process]:
    """Processes that run a job's script in the directory without a Snakemake as ancestor."""
    scripts = f"{state.resolve()}/scripts/"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if not any(scripts in word for word in process.cmdline()):
                continue
            above = [parent.cmdline() for parent in process.parents()]
            if not any("snakemake" in Path(word).name for line in above for word in line[:3]):
                yield process


def stop_orphans(state: Path = Path(".snakemake")) -> list[int]:
    """Kill the jobs on this machine whose Snakemake was killed; their process ids.

    To be called by the owner of the directory: an orphan's output would otherwise interfere with
    the new owner's jobs.
    """
    orphans = list(_orphans(state))
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=10)
    return sorted(process.pid for process in orphans)


def stop_on_signals(local: bool) -> None:
    """End this process and its jobs cleanly on SIGTERM as on SIGINT.

    To be called after Snakemake has installed its own handler, which takes a lock that the
    interrupted thread may hold, and then waits for ever. Snakemake handles KeyboardInterrupt well.

    Parameters
    ----------
    local
        Whether jobs are children of this process. Others are cancelled by their executor.
    """

    def stop(number: int, frame: Any) -> NoReturn:
        # A second signal must not interrupt the handling of the first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        name = signal.Signals(number).name
        # Not print: the interrupted code may be printing.
        os.write(2, f"\n{name}: running jobs are ended; the same command goes on.\n".encode())
        # Each ended job would be reported as failed.
        logging.disable(logging.CRITICAL)
        if local:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.terminate()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
