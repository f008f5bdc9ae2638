"""The report: what it shows, that it is self-contained, and that its numbers are the tables'."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from grokscope.claims.evidence import FAILS, HOLDS, NOT_TESTABLE
from grokscope.report import (
    figure_title,
    find_caption,
    markdown_text,
    render_html,
    render_markdown,
    report_context,
    rst_html,
    shown,
    study_figures,
    tally,
)
from grokscope.report_tables import number, row_id, steps
from grokscope.study_summary import study_facts
from grokscope.validation import read_html, read_markdown_claims
from synthetic_results import PIXEL, PUBLISHED, TEMPLATES, Results, make_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return make_results(tmp_path_factory.mktemp("results"))


class Outline(HTMLParser):
    """Tags, links and the order of headings of a page; fails on tags that do not match."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.headings: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_the_page_is_well_formed_and_claims_come_first(results: Results) -> None:
    outline = Outline(results.html)
    assert outline.headings[1:] == [
        "Claims",
        "Lead and lag",
        "Gradient Acceleration Index",
        "Phase diagram",
        "Methods",
    ]


def test_the_page_needs_no_network_and_no_other_file(results: Results) -> None:
    for tag, attributes in Outline(results.html).tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,"))
    assert "http" not in results.html
    assert "url(" not in results.html
    assert "@import" not in results.html


def test_every_figure_is_embedded_and_described(results: Results) -> None:
    images = [attributes for tag, attributes in Outline(results.html).tags if tag == "img"]
    assert len(images) == 5
    data = base64.b64encode(PIXEL).decode()
    assert {image["src"] for image in images} == {f"data:image/png;base64,{data}"}
    assert all(image["alt"] for image in images)


def test_captions_are_escaped_and_their_markup_is_kept(results: Results) -> None:
    assert "Read <em>this</em>, <code>not</code> that &lt;b&gt;&amp;." in results.html
    assert rst_html("``<script>``") == "<code>&lt;script&gt;</code>"


def test_text_of_the_tables_is_escaped(results: Results) -> None:
    context = results.context | {
        "claims": [
            claim | {"reason": "<script>alert(1)</script>"} for claim in results.context["claims"]
        ]
    }
    page = render_html(TEMPLATES / "report.html.j2", context)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_each_claim_shows_everything(results: Results) -> None:
    claims = {
        (value.row, value.field): value
        for value in read_html(results.html)
        if value.table == "claims"
    }
    rows = results.tables["claims"].to_dict("records")
    assert len(rows) == 20
    for row, entry in zip(rows, PUBLISHED, strict=True):
        assert claims[f"claim={row['claim']}", "verdict"].value == row["verdict"]
        for text in (row["statement"], row["published"], row["reason"], entry["weakness"]):
            assert markdown_text(text) in results.markdown
    measured = claims["claim=GAI1", "measured"]
    value = results.tables["claims"].set_index("claim").loc["GAI1", "measured"]
    assert float(measured.value) == value
    assert measured.text == steps(value)


def test_markdown_says_the_same(results: Results) -> None:
    cells = read_markdown_claims(results.markdown)
    assert list(cells) == results.tables["claims"]["claim"].tolist()
    for row in results.tables["claims"].to_dict("records"):
        assert cells[row["claim"]]["measured"] == shown(row["measured"], row["unit"])
        assert cells[row["claim"]]["verdict"] == row["verdict"]
    figures = re.findall(r"\]\((\S+\.png)\)", results.markdown)
    assert len(figures) == 5
    assert all((results.root / "results" / name).is_file() for name in figures)


def test_the_same_results_give_the_same_bytes(results: Results) -> None:
    assert render_html(TEMPLATES / "report.html.j2", results.context) == results.html
    again = render_markdown(TEMPLATES / "report.md.j2", results.context, results.root / "results")
    assert again == results.markdown
    for text in (results.html, results.markdown):
        assert str(results.root) not in text
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_tables_name_their_source_in_every_study(results: Results) -> None:
    sources = {value.table for value in read_html(results.html)}
    assert sources == {"claims", "runs", "transitions", "evaluation", "phases"}


def test_censored_onsets_and_boundary_peaks_are_marked(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    transitions = results.tables["transitions"]
    lead_lag = transitions["study"] == "lead_lag"
    transitions.loc[lead_lag, "test_onset_step"] = None
    transitions.loc[lead_lag, "grad_peak_at_boundary"] = True
    context = report_context(
        tables=results.tables,
        published=PUBLISHED,
        summaries=results.summaries,
        figures=[],
        captions={},
        config=results.config,
    )
    page = render_html(TEMPLATES / "report.html.j2", context)
    assert "&gt; 400" in page
    assert "†" in page


def test_a_study_that_is_left_out_is_said_to_be(results: Results) -> None:
    config = results.config | {
        "studies": {name: of for name, of in results.config["studies"].items() if name != "gai"}
    }
    context = report_context(
        tables=results.tables,
        published=PUBLISHED,
        summaries=results.summaries,
        figures=[],
        captions={},
        config=config,
    )
    assert "This study is not in the configuration." in render_html(
        TEMPLATES / "report.html.j2", context
    )


def test_versions_configuration_and_command_stand_in_the_methods(results: Results) -> None:
    for text in (results.html, results.markdown):
        assert "refractory: 20" in text
        assert "make all" in text
        assert "numpy" in text


def test_figures_go_to_their_study_and_overlays_apart() -> None:
    paths = [
        Path("results/figures/lead_lag/overlays/task=modular_addition,seed=10.png"),
        Path("results/figures/lead_lag/overlays/task=modular_addition,seed=7.png"),
        Path("results/figures/lead_lag/lags.png"),
        Path("results/figures/phase_diagram/delay_map.png"),
        Path("results/phase_diagram.png"),
    ]
    figures, overlays = study_figures("lead_lag", paths, {"overlay": "One run."})
    assert [figure.path.stem for figure in figures] == ["lags"]
    assert [figure.title for figure in overlays] == [
        "Task modular addition, seed 7",
        "Task modular addition, seed 10",
    ]
    assert overlays[0].caption == "One run."
    figures, overlays = study_figures("phase_diagram", paths, {})
    assert [figure.path.stem for figure in figures] == ["phase_diagram", "delay_map"]
    assert overlays == []
    assert find_caption(paths[2], {"lags": "L."}) == "L."
    assert figure_title(paths[2]) == "Lags"


def test_numbers_are_printed_for_readers() -> None:
    assert [steps(value) for value in (12.0, 54.33, 10_000.0)] == ["12", "54.3", "10,000"]
    assert number(-0.66249) == "-0.662"
    assert shown(None, "share") == "–"
    assert shown(0.9, "share") == "0.900"


def test_tally_speaks_of_one_and_of_many() -> None:
    counts = tally([HOLDS, FAILS, FAILS])
    assert [(name, count) for name, _, count in counts] == [
        ("holds", 1),
        ("fail", 2),
        (NOT_TESTABLE, 0),
    ]


def test_markdown_text_cannot_break_a_table() -> None:
    assert markdown_text("a|b\n*c* <d>") == r"a\|b \*c\* \<d\>"


def test_row_ids_print_decimals_as_the_config_does() -> None:
    row = {"study": "gai", "task": "s5_composition", "depth": 2, "train_fraction": 0.7}
    row |= {"weight_decay": 1.0, "width": 128, "seed": 0}
    assert row_id(row, "runs").endswith("train_fraction=0.7,weight_decay=1,width=128,seed=0")


def test_summary_counts_by_hand(results: Results) -> None:
    facts = study_facts("phase_diagram", results.tables)
    assert facts["runs"] == 4
    assert facts["seeds"] == [42]
    assert facts["steps"] == 1600
    assert facts["seconds"] == 6.0
    assert facts["phases"] == {"grokking": 2, "memorisation": 2}
    assert facts["grid"]["train_fractions"] == [0.3, 0.9]
    lags = study_facts("lead_lag", results.tables)["lags"]
    assert [cell["lag"]["n"] for cell in lags] == [2, 1, 1, 1]
    transitions = results.tables["transitions"]
    first = (transitions["study"] == "lead_lag") & (transitions["train_fraction"] == 0.5)
    two = transitions.loc[first & (transitions["task"] == "modular_addition"), "lag"]
    assert lags[0]["lag"]["mean"] == sum(two) / 2
    assert results.summaries["gai"]["training"]["versions"]["torch"] == ["2.0"]
