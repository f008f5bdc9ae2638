"""Complete results, made once for all tests of the report; a test that spoils them copies them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer_page import DESKTOP, PHONE, Looked, chromium, write_page
from playwright.sync_api import Browser

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def explorer_file(small_results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer of the small results."""
    return write_page(small_results, tmp_path_factory.mktemp("explorer") / "explorer.html")


@pytest.fixture
def desktop(browser: Browser, explorer_file: Path) -> Iterator[Looked]:
    """The explorer on a desktop; its console must stay free of errors."""
    looked = Looked(browser, explorer_file, DESKTOP, dark=False)
    yield looked
    looked.context.close()
    assert looked.problems == []


@pytest.fixture
def phone(browser: Browser, explorer_file: Path) -> Iterator[Looked]:
    """The same on a phone, in the dark."""
    looked = Looked(browser, explorer_file, PHONE, dark=True)
    yield looked
    looked.context.close()
    assert looked.problems == []
