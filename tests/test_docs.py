"""Documentation: the site builds without a warning, and every block of its pages is run."""

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from documents import LANGUAGES, PAGES, Block, Story, blocks
from foreign_logs import curves
from grokscope import default_analysis
from grokscope.report.definitions import definitions
from grokscope.runs.kinds import KINDS
from project import ROOT, run_tool

# Pages with blocks that are not run, and why: as the comments before these blocks say.
NOT_RUN = {
    "docs/cluster.md": Counter(
        {"needs SLURM": 2, "needs Kubernetes and S3": 1, "needs a second machine": 1}
    ),
}


def name_of(page: Path) -> str:
    """Path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def all_blocks() -> list[Block]:
    """Every block of every page."""
    return [block for page in PAGES for block in blocks(page)]


def test_every_block_says_what_it_is():
    found = all_blocks()
    assert len(found) >= 30
    for block in found:
        assert block.language in LANGUAGES, f"{block.place}: {block.language!r}"


def test_what_is_not_run_is_what_is_expected():
    found: dict[str, Counter[str]] = {}
    for block in all_blocks():
        if block.reason is not None:
            found.setdefault(name_of(block.page), Counter())[block.reason] += 1
    assert found == NOT_RUN


def test_text_is_no_command():
    for block in all_blocks():
        if block.language == "text":
            assert not re.search(r"^(\$ )?(snakemake|make|grokscope|pip|git) ", block.text, re.M)


def test_all_definitions_of_the_report_are_explained():
    page = (ROOT / "docs/numbers.md").read_text("utf-8")
    named = re.findall(r"^<!-- definition: (.+) -->$", page, re.M)
    words = [word for word, _ in definitions(default_analysis(), KINDS, has_claims=True)]
    assert sorted(named) == sorted(words)


def check_readme(folder: Path) -> None:
    """The sweep that it shows was made."""
    assert json.loads((folder / "results/validation.json").read_text())["status"] == "ok"
    assert (folder / "results/my_sweep.png").stat().st_size > 10_000
    report = (folder / "results/report.md").read_text()
    assert "not testable" not in report and "my\\_sweep: phase diagram" in report
    phases = pd.read_parquet(folder / "results/tables/phases.parquet")
    assert len(phases) == 16
    assert list(phases.columns[:8]) == [
        *("study", "task", "depth", "train_fraction", "weight_decay", "width"),
        *("learning_rate", "seed"),
    ]
    assert sorted(phases["learning_rate"].unique()) == [0.003, 0.01]


def check_map(folder: Path) -> None:
    """Nine cells of two seeds."""
    assert len(pd.read_parquet(folder / "results/studies/my_map/phases.parquet")) == 18
    assert (folder / "results/my_map.png").exists()


def check_extended(folder: Path) -> None:
    """Task, detector, claim and figure are where those of the project are."""
    assert json.loads((folder / "results/validation.json").read_text())["status"] == "ok"
    tables = folder / "results/tables"
    evaluation = pd.read_parquet(tables / "evaluation.parquet")
    loud = evaluation[evaluation["detector"] == "loud_gradient"]
    assert {"my_warnings", "control"} <= set(loud["study"])
    assert {"modular_affine_product", "step_regression"} <= set(evaluation["task"].dropna())
    claims = pd.read_parquet(tables / "claims.parquet").set_index("claim")
    assert claims.loc["PD8", "verdict"] == "not testable at this scale"
    assert claims.loc["PD8", "measured"] == 1
    assert (folder / "results/figures/my_phases/reached.png").stat().st_size > 5_000
    assert "One point per run" in (folder / "results/report.md").read_text()
    multiverse = pd.read_parquet(tables / "multiverse.parquet")
    mine = multiverse[multiverse["study"] == "my_warnings"]
    assert set(mine["beta2"].dropna()) == {0.98, 0.999}
    assert mine["claim"].isna().all() and mine["supports"].isna().all()
    runs = pd.read_parquet(tables / "runs.parquet").set_index("study")
    assert set(runs.loc["my_warnings", "betas"]) == {"0.9,0.98", "0.9,0.999"}
    assert runs.loc["control", "betas"].isna().all()


def write_logs(folder):
    """The logs of somebody's trainings."""
    for optimizer in ("adamw", "muon"):
        for seed in range(2):
            log = folder / f"logs/{optimizer}/s{seed}/metrics.csv"
            log.parent.mkdir(parents=True)
            curves(onset=700 + 50 * seed).to_csv(log, index=False)


# What a page's reader has before the first block.
GIVEN = {"docs/own_logs.md": write_logs}


def check_watched(folder):
    assert not list(folder.glob("*.partial"))
    table = pd.read_parquet(folder / "run.parquet")
    assert {"grad_norm", "train_loss", "test_metric"} <= set(table.columns)


# What a page has left in its folder.
CHECKS = {
    "docs/monitor.md": check_watched,
    "README.md": check_readme,
    "docs/phase_diagrams.md": check_map,
    "docs/extend.md": check_extended,
}


def test_the_sweep_of_the_readme_is_short():
    (sweep,) = [block for block in blocks(ROOT / "README.md") if block.language == "yaml"]
    assert len(sweep.text.splitlines()) <= 16


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.reason is None for b in blocks(page))], ids=name_of
)
def test_blocks_run(page, finished, tmp_path, monkeypatch):
    folder = tmp_path / "checkout"
    shutil.copytree(finished, folder)
    for name in ("Makefile", "requirements.txt", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    for name in ("docs", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    GIVEN.get(name_of(page), lambda folder: None)(folder)
    story = Story(folder)
    for block in blocks(page):
        if block.reason is None:
            story.run(block)
    CHECKS.get(name_of(page), lambda folder: None)(folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages, as ``make docs`` makes them."""
    recipe = re.search(r"^SPHINX := \$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text(), re.M)
    folder = tmp_path_factory.mktemp("site")
    call = recipe[1].replace("build/doctrees", str(folder.with_name("doctrees"))).split()
    result = run_tool([*call, "-b", "html", "docs", str(folder)])
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def pages_of(site: Path) -> dict[Path, BeautifulSoup]:
    """Every page of the site."""
    return {
        path: BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in site.rglob("*.html")
    }


def test_site_needs_nothing_from_elsewhere(site):
    """Whatever a page loads lies beside it, and every link within the site leads somewhere."""
    pages = pages_of(site)
    assert {"index.html", "api.html", "numbers.html", "evidence/README.html"} <= {
        path.relative_to(site).as_posix() for path in pages
    }
    for path, page in pages.items():
        loaded = page.select("[src], link[rel~=stylesheet], link[rel~=icon]")
        for element in loaded:
            address = element.get("src") or element["href"]
            assert not urlsplit(address).scheme and not address.startswith("/"), (path, address)
        for element in [*loaded, *page.select("a[href]")]:
            address = urlsplit(element.get("src") or element["href"])
            if address.scheme:
                assert address.scheme in ("https", "mailto"), (path, element)
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.exists(), (path, element)
            if address.fragment and target in pages:
                anchor = unquote(address.fragment)
                assert pages[target].find(id=anchor), (path, element)
    for style in site.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", style.read_text()):
            assert address.startswith("data:") or (style.parent / address).exists(), address


def test_site_says_nothing_of_this_machine(site):
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        assert str(ROOT) not in text and str(Path.home()) not in text, path
