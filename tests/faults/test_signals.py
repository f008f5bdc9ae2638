"""Signals and second calls: a clean end, no clean-up needed, one owner at a time."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from faults import (
    contents,
    count,
    differences,
    end,
    finish,
    jobs,
    said,
    start,
    wait_for_job,
)
from grokscope.workflow import lock
from grokscope.workflow.lock import InUseError, claim, clear_stale_lock, stop_orphans
from project import ROOT, TINY, run_tool

slow = pytest.mark.slow


@slow
def test_a_signal_ends_the_call_and_its_jobs(checkout, finished):
    """The signal goes to Snakemake alone, as from a batch system or a service manager."""
    rng = random.Random(1)
    for time_no in range(count("SIGNALS")):
        number = (signal.SIGTERM, signal.SIGINT)[time_no % 2]
        process = start(checkout, "--forceall")
        try:
            assert wait_for_job(process), said(checkout)
            time.sleep(rng.uniform(0, 3))
            running = jobs(process)
            process.send_signal(number)
            # Snakemake 9.27 alone hangs in every second case.
            status = process.wait(60)
        finally:
            end(process)
        text = said(checkout)
        assert status == 1, (time_no, text)
        assert f"{number.name}: running jobs are ended; the same command goes on." in text
        assert "Traceback" not in text, text
        assert not any(job.is_running() for job in running)
        assert not list(checkout.glob(".snakemake/locks/*"))
    finish(checkout)
    wanted, found = contents(finished), contents(checkout)
    assert found and differences(found, {name: wanted[name] for name in found}) == []


@slow
def test_the_second_call_says_that_there_is_a_first(checkout):
    first = start(checkout, wanted=["phase_diagram"])
    call = ["snakemake", "lead_lag", "--cores", "1", "--configfile", str(TINY)]
    try:
        assert wait_for_job(first), said(checkout)
        # Suspended with its jobs, so that it does not finish before the others.
        os.killpg(first.pid, signal.SIGSTOP)
        for before in ([], ["snakemake", "--unlock", "--configfile", str(TINY)]):
            # Not even after --unlock.
            if before:
                run_tool(before, checkout)
            second = run_tool(call, checkout)
            output = second.stdout + second.stderr
            assert second.returncode == 1, output
            assert f"snakemake (process {first.pid} on " in output
            assert "works in" in output
            assert "Traceback" not in output
        # A dry run disturbs nobody and is allowed.
        look = run_tool([*call, "-n"], checkout)
        assert look.returncode == 0, look.stdout + look.stderr
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(60) == 1
    finally:
        end(first)


def child(function):
    """Run a function in a process of its own, which then waits; its id."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os.write(write, b"x")
            time.sleep(600)
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    return pid


@pytest.fixture
def state(tmp_path):
    """A directory as a killed Snakemake leaves it."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("results/a\n")
    return tmp_path


def test_a_lock_whose_owner_lives_stays(state):
    owner = child(lambda: claim(state))
    try:
        for refused in (clear_stale_lock, claim):
            with pytest.raises(InUseError, match=rf"process {owner} on .* works in"):
                refused(state)
        assert list(state.glob("locks/*"))
    finally:
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
    assert clear_stale_lock(state) == [state / "locks/0.input.lock"]
    assert not list(state.glob("locks/*"))


def on_another_machine(monkeypatch):
    """Simulate a second machine that sees the files and not the locks of the first."""
    monkeypatch.setattr(lock, "_machine", lambda: ["host far", "far"], raising=False)
    monkeypatch.setattr("fcntl.flock", lambda descriptor, operation: None)


def test_a_lock_of_another_machine_stays(state, monkeypatch):
    """Whether its owner lives cannot be seen from here: flock may hold for one machine alone."""
    owner = child(lambda: claim(state))
    try:
        on_another_machine(monkeypatch)
        for refused in (clear_stale_lock, claim):
            with pytest.raises(InUseError, match=rf"process {owner} on .* delete {state}/owner"):
                refused(state)
        assert list(state.glob("locks/*"))
        # As the message says.
        (state / "owner.lock").unlink()
        assert clear_stale_lock(state) == [state / "locks/0.input.lock"]
    finally:
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="boots have a name on Linux alone")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_container_or_a_restart_is_the_same_machine(state, monkeypatch, lost):
    """Either has one of the names of the machine that the killed owner ran on."""
    owner = child(lambda: claim(state))
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    names = lock._machine()
    names[lost] = "another"
    monkeypatch.setattr(lock, "_machine", lambda: names)
    assert clear_stale_lock(state) == [state / "locks/0.input.lock"]


def test_an_owner_that_ends_by_itself_leaves_the_directory_to_other_machines(state, monkeypatch):
    code = (
        "import sys; from pathlib import Path; from grokscope.workflow.lock import claim\n"
        "claim(Path(sys.argv[1])); print(Path(sys.argv[1], 'owner.lock').read_text())"
    )
    call = [sys.executable, "-c", code, str(state)]
    ended = subprocess.run(
        call, check=True, capture_output=True, text=True, cwd=ROOT / "workflow/scripts"
    )
    assert "snakemake (process" in ended.stdout
    on_another_machine(monkeypatch)
    assert clear_stale_lock(state) == [state / "locks/0.input.lock"]


def test_nothing_is_made_where_nothing_is_stale(tmp_path):
    assert clear_stale_lock(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_who_only_looks_at_a_script_is_no_job(tmp_path):
    script = tmp_path / ".snakemake/scripts/job.train_runs.py"
    script.parent.mkdir(parents=True)
    script.write_text("")
    # As orphans are: without a Snakemake above.
    shell = "tail -f {0} & echo $!; {1} -c 'import time; time.sleep(600)' {0} & echo $!"
    shell = shell.format(script, sys.executable)
    with subprocess.Popen(
        ["sh", "-c", shell],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as started:
        pids = [int(started.stdout.readline()) for _ in range(2)]
        try:
            time.sleep(0.5)
            assert stop_orphans(tmp_path / ".snakemake") == []
            assert all(psutil.pid_exists(pid) for pid in pids)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def test_a_job_of_another_user_is_named(tmp_path, monkeypatch):
    class Foreign:
        pid = 77

        def kill(self):
            raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(lock, "_orphans", lambda state: iter([Foreign()]))
    with pytest.raises(InUseError, match="process 77 of another user"):
        stop_orphans(tmp_path / ".snakemake")


def test_orphans_are_stopped_and_other_jobs_are_not(tmp_path):
    code = "import time; time.sleep(600)"
    scripts = {}
    for name in ("mine", "other"):
        folder = tmp_path / name / ".snakemake/scripts"
        folder.mkdir(parents=True)
        scripts[name] = folder / "job.train_run.py"
        scripts[name].write_text(code)
    # Started by a process that then dies, as Snakemake's jobs are.
    pids = {}
    for name, script in scripts.items():
        shell = psutil.Popen(
            ["sh", "-c", f"'{sys.executable}' {script} 1>&2 & echo $!"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        pids[name] = int(shell.stdout.readline())
        shell.wait()
        shell.stdout.close()
    try:
        deadline = time.time() + 30
        # A process that is just being replaced by its program has no command line for a moment.
        while time.time() < deadline and not all(
            "".join(psutil.Process(pid).cmdline()).endswith("train_run.py")
            for pid in pids.values()
        ):
            time.sleep(0.05)
        assert stop_orphans(tmp_path / "mine/.snakemake") == [pids["mine"]]
        assert psutil.Process(pids["other"]).status() != psutil.STATUS_ZOMBIE
        assert stop_orphans(tmp_path / "mine/.snakemake") == []
    finally:
        for pid in pids.values():
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
