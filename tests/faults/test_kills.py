"""Processes killed at random moments: nothing to clear up, nothing done twice, same tables."""

import os
import random
import shutil
import signal
import time

import pytest

from faults import count, done, end, finish, jobs, said, start, tables
from project import copy_checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """Tables of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("untouched")
    copy_checkout(folder)
    finish(folder)
    return tables(folder)


def kill(kind, process, rng):
    """Kill one of the jobs, the whole process group or Snakemake alone; whether it was there."""
    if kind == "job":
        while process.poll() is None:
            if running := jobs(process):
                rng.choice(running).kill()
                return True
            time.sleep(0.01)
        return False
    if process.poll() is not None:
        return False
    if kind == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return True


def interrupted_call(folder, rng, kind, most):
    """A call with kills of one kind; how many, what was whole before each, and its exit."""
    process = start(folder)
    kills, whole = 0, {}
    try:
        while process.poll() is None:
            time.sleep(rng.uniform(0.5, 12))
            # Before the kill: what is finished between the two is more, never less.
            before = done(folder)
            if kills < most and kill(kind, process, rng):
                kills += 1
                whole |= before
        return kills, whole, process.returncode
    finally:
        end(process)


def test_kills_at_random_moments(untouched, tmp_path):
    wanted = count("KILLS")
    seed = int(os.environ.get("FAULTS_SEED", "1"))
    rng = random.Random(seed)
    kinds = ["group", "snakemake", "job"]
    tally = dict.fromkeys(kinds, 0)
    number, folder = 0, tmp_path / "0"
    folder.mkdir()
    copy_checkout(folder)
    calls, kept = 0, {}
    while sum(tally.values()) < wanted:
        kind = kinds[calls % len(kinds)]
        calls += 1
        most = min(6, wanted - sum(tally.values()))
        kills, whole, status = interrupted_call(folder, rng, kind, most)
        tally[kind] += kills
        print(f"call {calls}: {kills} kills of {kind}, status {status}", flush=True)
        where = f"seed {seed}, call {calls} ({kind}, {kills} kills)\n{said(folder)}"
        assert kills or status == 0, where
        assert "Traceback" not in said(folder) or kind == "job", where
        for path, written in (kept | whole).items():
            assert path.stat().st_mtime_ns == written, f"{path} was made again; {where}"
        kept = done(folder)
        if status == 0:
            assert tables(folder) == untouched, where
            shutil.rmtree(folder)
            number += 1
            folder = tmp_path / str(number)
            folder.mkdir()
            copy_checkout(folder)
            kept = {}
    finish(folder)
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written, f"{path} was made again"
    assert tables(folder) == untouched
    print(f"kills: {tally}, {calls} calls, {number} times from nothing to the end")
