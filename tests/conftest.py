"""Shared fixtures."""

import pytest

from project import copy_checkout


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a workflow run needs, without results."""
    copy_checkout(tmp_path)
    return tmp_path
