"""Complete results, made once for all tests of the report; a test that spoils them copies them."""

from __future__ import annotations

import pytest

from grokscope.runs.config import check_config
from synthetic_results import Results, make_results, own_figures, own_values


@pytest.fixture(scope="session")
def small_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three studies, one of each kind, all judged."""
    return make_results(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def own_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Studies of one's own: two under the same claims, and one that varies p."""
    root = tmp_path_factory.mktemp("own")
    return make_results(root, check_config(own_values()), figures=own_figures(root))
