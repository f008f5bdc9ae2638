"""Shared fixtures."""

import sys

import pytest

from project import ROOT, copy_checkout, run_tool


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the tiny configuration was computed; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("finished")
    copy_checkout(folder)
    call = ["snakemake", "all", "--cores", "2", "--configfile", str(ROOT / "tests/tiny.yaml")]
    result = run_tool(call, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a workflow run needs, without results."""
    copy_checkout(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """A training flushes them to zero for its whole process; other tests draw some."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
