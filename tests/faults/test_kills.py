"""Processes killed at random moments: nothing to clear up, nothing done twice, same results."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from faults import (
    SMALL_TARGETS,
    contents,
    copy_without_report,
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
)
from project import copy_checkout

pytestmark = pytest.mark.slow

# What there is before the first kill, what is asked for, and who is killed in turn. From
# nothing most moments fall into trainings and tables, from tables into figures and report.
STARTS = {"nothing": ("group", "snakemake", "job"), "tables": ("job", "snakemake", "group")}


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
    """A call with kills of one kind; what each hit, what was whole before each, and its exit."""
    process = start(folder, wanted=wanted)
    hits, whole = [], {}
    try:
        while process.poll() is None:
            time.sleep(rng.uniform(0.5, 12))
            # Before the kill: what is finished between the two is more, never less.
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
    """The same bytes; where nothing was trained, down to how long it took."""
    wanted = contents(finished, times=begin == "tables")
    found = contents(folder, times=begin == "tables")
    if begin == "nothing" and not full():
        assert {path.removeprefix("results/") for path in SMALL_TARGETS} <= set(found), where
        wanted = {name: wanted[name] for name in found}
    assert differences(found, wanted) == [], where


@pytest.mark.parametrize("begin", STARTS)
def test_kills_at_random_moments(begin, finished, tmp_path):
    seed = int(os.environ.get("FAULTS_SEED", "1"))
    rng = random.Random(seed)
    kinds = STARTS[begin]
    wanted = (count("KILLS") + (begin == "tables")) // 2
    asked = ("all",) if begin == "tables" else targets()
    tally, scripts = Counter(), Counter()
    calls, number, kept = 0, 0, {}

    def make_folder():
        folder = tmp_path / str(number)
        folder.mkdir()
        if begin == "tables":
            copy_without_report(finished, folder)
        else:
            copy_checkout(folder)
        return folder

    folder = make_folder()
    while tally.total() < wanted:
        kind = kinds[calls % len(kinds)]
        calls += 1
        most = min(6, wanted - tally.total())
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
