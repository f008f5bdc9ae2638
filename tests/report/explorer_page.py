"""The explorer of results, and a browser to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from grokscope.data.trace_reader import read_traces
from grokscope.report import explorer
from grokscope.report.explorer.material import TABLES, pack_explorer
from grokscope.report.explorer.page import render_explorer
from synthetic_results import PUBLISHED, Results, studies_of

FOLDER = Path(explorer.__file__).parent
MODULES = sorted((FOLDER / "js").glob("*.js"))
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def packed(results: Results) -> str:
    """What the page of some results holds."""
    return pack_explorer(
        read_traces(list(results.paths.values()), list(results.specs.values())),
        tables={name: results.tables[name] for name in TABLES},
        studies=studies_of(results.config),
        published=PUBLISHED,
        analysis=results.config.analysis,
    )


def write_page(results: Results, path: Path) -> Path:
    """The explorer of some results."""
    template, style = FOLDER / "explorer.html.j2", FOLDER / "explorer.css"
    path.write_text(render_explorer(template, style, MODULES, packed(results)), encoding="utf-8")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, the distribution's own."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no browser: install Debian's package (apt-get install chromium)"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def address(state: Mapping[str, object]) -> str:
    """A state as the address has it."""
    return "&".join(f"{key}={value}" for key, value in state.items())


class Looked:
    """A page in a browser; `problems` are errors and warnings of its console."""

    def __init__(self, browser: Browser, path: Path, size: dict[str, int], dark: bool) -> None:
        self.context = browser.new_context(
            viewport=size, color_scheme="dark" if dark else "light", offline=True
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.path = path
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", self._ask)

    def _listen(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _ask(self, request) -> None:
        if not request.url.startswith((f"file://{self.path}", "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")

    def go(self, **state: object) -> Page:
        """The open page in another state of its address."""
        self.page.evaluate(
            "to => new Promise((done) => { addEventListener('hashchange', done, { once: true });"
            " location.hash = to; }).then(() => null)",
            address(state),
        )
        return self.page

    def open(self, **state: object) -> Page:
        """The page in a state of its address, read anew."""
        self.page.goto("about:blank")
        self.page.goto(f"file://{self.path}#{address(state)}")
        self.page.locator("html[data-ready]").wait_for(state="attached")
        return self.page
