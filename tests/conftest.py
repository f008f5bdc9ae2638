"""Shared fixtures."""

import os
import sys

import pytest
from filelock import FileLock

from project import TINY, copy_checkout, run_tool


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the tiny configuration was computed; to be copied, not changed."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # One for all workers: the first makes it, the others wait.
        folder = folder.parent
    folder /= "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            unfinished = tmp_path_factory.mktemp("unfinished")
            copy_checkout(unfinished)
            call = ["snakemake", "all", "--cores", "2", "--configfile", str(TINY)]
            result = run_tool(call, unfinished)
            assert result.returncode == 0, result.stdout + result.stderr
            unfinished.rename(folder)
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
    if "grokscope.train.engines.vectors" in sys.modules:
        sys.modules["grokscope.train.engines.vectors"].flush_subnormals(False)
