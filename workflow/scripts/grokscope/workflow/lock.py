"""Working directory: one Snakemake at a time, and no manual clean-up after a kill.

Snakemake marks a directory as in use by files in ``.snakemake/locks``, which outlive a killed
process. Here the owner also holds a lock of the operating system, which ends with the process:
whoever can take it knows that files left in ``.snakemake/locks`` have no owner, and that jobs
still running in the directory are orphans.

On some network file systems such a lock holds for one machine alone (Lustre with ``localflock``,
NFS with ``local_lock``). So the lock's file also names the machine, until its owner ends by
itself; where it names another one, nobody here can know whether the owner lives: its files stay.
"""

from __future__ import annotations

import atexit
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
    folder = state.parent.resolve()
    descriptor = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    owner, _, machine = os.pread(descriptor, 1000, 0).decode(errors="replace").partition("\n")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUseError(
            f"{owner or 'another process'} works in {folder}: wait for it, or stop it with SIGINT"
        ) from None
    except OSError:
        os.close(descriptor)
        return None
    if machine and not set(machine.split("\n")) & set(_machine()):
        os.close(descriptor)
        raise InUseError(
            f"{owner} worked in {folder} and has not said that it ended; whether it lives cannot "
            f"be seen from {platform.node()}. If it does not, delete {folder / state.name / _LOCK}"
        )
    return descriptor


def _machine() -> list[str]:
    """Names of this machine, one of which is enough: containers have host names of their own."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return [f"host {platform.node()}", *([boot.read_text().strip()] if boot.is_file() else [])]


def clear_stale_lock(state: Path = Path(".snakemake")) -> list[Path]:
    """Remove Snakemake's lock files if their owner is dead, and return them.

    Raises
    ------
    InUseError
        If the owner lives, or may live on another machine.
    """
    # A call that only plans must not write into the directory, which may be read-only.
    stale = list(state.glob("locks/*.lock"))
    if not stale and not (state / _LOCK).exists():
        return []
    try:
        descriptor = _lock(state)
    except OSError:
        # Nothing can be written here: a plan needs no lock, and anything else will say so.
        return []
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
        If another process owns it, or one on another machine may.
    """
    descriptor = _lock(state)
    if descriptor is None:
        return
    text = f"snakemake (process {os.getpid()} on {platform.node()}, since {time.ctime()})"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, "\n".join([text, *_machine()]).encode(), 0)
    _held.append(descriptor)
    atexit.register(_disown, descriptor, os.getpid())


def _disown(descriptor: int, owner: int) -> None:
    """Say that the owner ended by itself; a fork of it does not."""
    if os.getpid() == owner:
        os.ftruncate(descriptor, 0)


def _orphans(state: Path) -> Iterator[psutil.Process]:
    """Processes that run a job's script in the directory without a Snakemake as ancestor."""
    scripts = f"{state.resolve()}/scripts/"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            # Not an editor or a pager that shows the script.
            interpreter, script, *_ = [*process.cmdline(), "", ""]
            named = "python" in Path(interpreter).name.lower()
            if not named or not script.startswith(scripts):
                continue
            above = [parent.cmdline() for parent in process.parents()]
            if not any("snakemake" in Path(word).name for line in above for word in line[:3]):
                yield process


def stop_orphans(state: Path = Path(".snakemake")) -> list[int]:
    """Kill the jobs on this machine whose Snakemake was killed; their process ids.

    To be called by the owner of the directory: an orphan's output would otherwise interfere with
    the new owner's jobs.

    Raises
    ------
    InUseError
        If one belongs to another user.
    """
    orphans = list(_orphans(state))
    for process in orphans:
        try:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        except psutil.AccessDenied:
            raise InUseError(
                f"process {process.pid} of another user, whose snakemake is dead, works in "
                f"{state.parent.resolve()}: wait for it, or have it stopped"
            ) from None
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
