"""Processes killed at random moments: no clean-up needed, nothing done twice, same results."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from faults import (
    FIGURES,
    REPORT,
    SMALL_TARGETS,
    contents,
    copy_without,
    count,
    differences,
    done,
    end,
    finish,
    full,
    jobs,
    said,
    start,
    targets,
    wait_for_job,
)
from project import copy_checkout

pytestmark = pytest.mark.slow

# What is missing before the first kill, so that kills hit all kinds of jobs (None: a checkout
# without results), and which process is killed in turn.
STARTS = {
    "trainings": (None, ("group", "snakemake", "job")),
    "figures": (FIGURES, ("snakemake", "job", "group")),
    "report": (REPORT, ("job", "group", "snakemake")),
}


def kill(kind, process, rng):
    """Kill one of the jobs, the whole process group or Snakemake alone.

    Returns what ran: the script of the killed job, or of every job there was, which is none
    while Snakemake plans; None if there was nothing left to kill.
    """
    if kind == "job":
        while process.poll() is None:
            if running := jobs(process):
                victim = rng.choice(list(running))
                victim.kill()
                return [running[victim]]
            time.sleep(0.01)
        return None
    running = jobs(process)
    if process.poll() is not None:
        return None
    if kind == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return list(running.values()) or ["(no job)"]


def interrupted_call(folder, wanted, rng, kind, most):
    """Call with kills of one kind; what each hit, what was complete before it, and exit status."""
    process = start(folder, wanted=wanted)
    hits, whole = [], {}
    try:
        # One in three may hit the planning, the others jobs, however slow the machine.
        if rng.random() < 2 / 3:
            wait_for_job(process)
        while process.poll() is None:
            time.sleep(rng.uniform(0.1, 6))
            # Before the kill: until then more can finish, never less.
            before = done(folder)
            if len(hits) < most and (hit := kill(kind, process, rng)) is not None:
                hits.append(hit)
                whole |= before
        return hits, whole, process.returncode
    finally:
        end(process)


def check_kept(kept, where):
    for path, written in kept.items():
        assert path.exists(), f"{path} is gone; {where}"
        assert path.stat().st_mtime_ns == written, f"{path} was made again; {where}"


def check_results(folder, begin, finished, where):
    """The same bytes, including training times if nothing was trained."""
    wanted = contents(finished, times=begin != "trainings")
    found = contents(folder, times=begin != "trainings")
    if begin == "trainings" and not full():
        assert {path.removeprefix("results/") for path in SMALL_TARGETS} <= set(found), where
        wanted = {name: wanted[name] for name in found}
    assert differences(found, wanted) == [], where


@pytest.mark.parametrize("begin", STARTS)
def test_kills_at_random_moments(begin, finished, tmp_path):
    seed = int(os.environ.get("FAULTS_SEED", "1"))
    rng = random.Random(seed)
    missing, kinds = STARTS[begin]
    # The first start has what the division leaves.
    share = (count("KILLS") + 2 - list(STARTS).index(begin)) // len(STARTS)
    asked = targets() if missing is None else ("all",)
    tally, scripts = Counter(), Counter()
    calls, number, kept = 0, 0, {}

    def make_folder():
        folder = tmp_path / str(number)
        folder.mkdir()
        if missing is None:
            copy_checkout(folder)
        else:
            copy_without(missing, finished, folder)
        return folder

    folder = make_folder()
    while tally.total() < share:
        kind = kinds[calls % len(kinds)]
        calls += 1
        most = min(3, share - tally.total())
        hits, whole, status = interrupted_call(folder, asked, rng, kind, most)
        tally[kind] += len(hits)
        scripts.update(script for hit in hits for script in hit)
        print(f"call {calls}: {kind} killed in {hits}, status {status}", flush=True)
        where = f"seed {seed}, call {calls} ({kind}, {hits})\n{said(folder)}"
        assert hits or status == 0, where
        assert "Traceback" not in said(folder) or kind == "job", where
        check_kept(kept | whole, where)
        kept = done(folder)
        if status == 0:
            check_results(folder, begin, finished, where)
            number += 1
            folder = make_folder()
            kept = {}
    finish(folder, wanted=asked)
    check_kept(kept, "last call")
    check_results(folder, begin, finished, "last call")
    print(f"kills: {dict(tally)}, {calls} calls, {number + 1} times to the end")
    print(f"jobs that ran at a kill: {dict(sorted(scripts.items()))}")
