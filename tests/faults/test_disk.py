"""A full and a read-only disk: one line that names the path, and nothing half-written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faults import end, finish, full, said, start
from grokscope.core.errors import WriteError
from grokscope.core.files import replacing
from project import ROOT

TRACE = (
    "results/traces/lead_lag/task=modular_addition/depth=2/train_fraction=0.7"
    "/weight_decay=0.1/width=8/seed=1.parquet"
)
FIGURE = "results/figures/lead_lag/lags.png"
REPORT = "results/report.html"


def mount(*arguments):
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


@pytest.fixture
def cramped(checkout, request):
    """A checkout with its results on a disk of a few megabytes."""
    if sys.platform != "linux":
        pytest.skip("mounts a small disk in memory, as Linux alone can")
    results = checkout / "results"
    results.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(results)):
        if "FAULTS_INSIDE" in os.environ:
            pytest.fail("to fill a disk, these tests need to mount one: as root or in a namespace")
        # Other users can be root in a namespace of their own.
        inside = subprocess.run(
            [
                *("unshare", "--map-root-user", "--mount", sys.executable),
                *("-m", "pytest", "-p", "no:cacheprovider", request.node.nodeid),
            ],
            cwd=ROOT,
            env=os.environ | {"FAULTS_INSIDE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert inside.returncode == 0, inside.stdout + inside.stderr
        pytest.skip("passed in a namespace")
    yield checkout
    subprocess.run(["umount", "--lazy", str(results)], check=True)


def fill(folder, left):
    """Fill the disk of the results but for `left` bytes; the file that fills it."""
    results = folder / "results"
    filler = results / "filler"
    size = shutil.disk_usage(results).free - left
    filler.write_bytes(bytes(size))
    return filler


def refused(folder, target):
    """Run a call that must fail; its output."""
    process = start(folder, wanted=[target])
    try:
        assert process.wait(600) == 1, said(folder)
    finally:
        end(process)
    return said(folder)


def half_written(folder):
    """Files under temporary names."""
    return list((folder / "results").rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "room"), [(TRACE, 8_192), (FIGURE, 20_480), *([(REPORT, 65_536)] if full() else [])]
)
def test_a_full_disk(cramped, target, room):
    # The plan writes the stamps; with them the disk is not yet full.
    before = {TRACE: "-n", FIGURE: TRACE, REPORT: "results/summaries/gai.json"}[target]
    finish(cramped, wanted=["-n", TRACE] if before == "-n" else [before])
    filler = fill(cramped, room)
    text = refused(cramped, target)
    lines = [line for line in text.splitlines() if "No space left on device" in line]
    assert lines, text
    assert all(re.match(r"error: results/\S+: .*No space left", line) for line in lines), text
    assert "Traceback" not in text, text
    assert not (cramped / target).exists()
    assert not half_written(cramped)
    filler.unlink()
    finish(cramped, wanted=[target])
    assert (cramped / target).stat().st_size > 0


@pytest.mark.slow
def test_a_read_only_disk(cramped):
    finish(cramped, wanted=["-n", TRACE])
    assert mount("-o", "remount,ro", str(cramped / "results"))
    text = refused(cramped, TRACE)
    assert "Traceback" not in text, text
    lines = [line for line in text.splitlines() if "Read-only file system" in line]
    assert lines and all("results/" in line for line in lines), text
    assert mount("-o", "remount,rw", str(cramped / "results"))
    finish(cramped, wanted=[TRACE])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_write_that_fails_names_the_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "deep/table.csv"

    def write_too_much():
        with replacing(path) as temporary:
            temporary.write_text("half")
            # Every write to it finds the disk full.
            Path("/dev/full").write_text("x" * 100_000)

    with pytest.raises(WriteError, match=r"table\.csv: cannot be written: No space left") as error:
        write_too_much()
    assert "\n" not in str(error.value)
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    writing = replacing(tmp_path / "file/table.csv")
    with pytest.raises(WriteError, match=r"file/table\.csv: cannot be written: File exists"):
        writing.__enter__()
