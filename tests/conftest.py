"""Shared fixtures."""

import sys

import pytest

from project import copy_checkout


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
