"""The report: what it shows, that it is self-contained, and that its numbers are the tables'."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from grokscope.claims.rules import Outcome
from grokscope.claims.wording import NULLS
from grokscope.core.formatting import steps
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.report.checks.printed import read_html, read_markdown
from grokscope.report.figures import Figure, figure_title, run_figures, study_figures
from grokscope.report.page import markdown_text, render_html, render_markdown, rst_html
from grokscope.report.summary import TABLES as OF_SUMMARY
from grokscope.report.summary import study_facts
from grokscope.report.tables.parts import Table
from grokscope.report.tables.ranking import Rank, answer
from grokscope.report.verdicts import BADGES, shown, tally
from grokscope.runs.kinds import KINDS
from synthetic_results import PIXEL, PUBLISHED, TEMPLATES, Results


@pytest.fixture
def results(small_results: Results) -> Results:
    return small_results


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


def test_the_page_is_well_formed_and_each_study_has_a_chapter(results: Results) -> None:
    outline = Outline(results.html)
    assert outline.headings[1:] == [
        "What was measured",
        "Claims",
        "lead_lag: lead and lag",
        "gai: early warning",
        "phase_diagram: phase diagram",
        "Methods",
    ]


def test_the_page_needs_no_network_and_no_other_file(results: Results) -> None:
    for tag, attributes in Outline(results.html).tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name in ("src", "href"):
            value = attributes.get(name)
            beside = name == "href" and value is not None and value.startswith("explorer.html")
            assert value is None or beside or value.startswith(("#", "data:image/png;base64,"))
    assert "http" not in results.html
    assert "url(" not in results.html
    assert "@import" not in results.html


def test_every_figure_is_embedded_and_described(results: Results) -> None:
    images = [attributes for tag, attributes in Outline(results.html).tags if tag == "img"]
    assert len(images) == 7
    data = base64.b64encode(PIXEL).decode()
    assert {image["src"] for image in images} == {f"data:image/png;base64,{data}"}
    assert all(image["alt"] for image in images)


def test_captions_are_escaped_and_their_markup_is_kept(results: Results) -> None:
    assert "Read <em>this</em>, <code>not</code> that &lt;b&gt;&amp;." in results.html
    assert rst_html("``<script>``") == "<code>&lt;script&gt;</code>"


def test_text_of_the_tables_is_escaped(results: Results) -> None:
    claims = results.tables["claims"].assign(reason="<script>alert(1)</script>")
    context = results.render(tables=results.tables | {"claims": claims})
    page = render_html(TEMPLATES / "report.html.j2", context)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_each_claim_shows_everything(results: Results) -> None:
    claims = {
        (value.row, value.field): value
        for value in read_html(results.html).shown
        if value.table == "claims"
    }
    rows = results.tables["claims"].to_dict("records")
    assert len(rows) == 20
    entries = [entry for name in ("LL", "GAI", "PD") for entry in PUBLISHED[name].claims]
    for row, entry in zip(rows, entries, strict=True):
        name = f"study={row['study']},claim={row['claim']}"
        assert claims[name, "verdict"].value == row["verdict"]
        texts = (row["statement"], row["published"], row["reason"], entry.weakness, entry.rule)
        for text in texts:
            assert markdown_text(text) in results.markdown
    measured = claims["study=gai,claim=GAI1", "measured"]
    value = results.tables["claims"].set_index("claim").loc["GAI1", "measured"]
    assert float(measured.value) == value
    assert measured.text == steps(value)


def test_markdown_says_the_same(results: Results) -> None:
    table = read_markdown(results.markdown).tables["Claims", "Claims"]
    rows = results.tables["claims"].to_dict("records")
    assert len(table.rows) == len(rows)
    for cells, row in zip(table.rows, rows, strict=True):
        printed = dict(zip(table.header, (cell.text for cell in cells), strict=True))
        assert (printed["study"], printed["id"]) == (row["study"], row["claim"])
        assert printed["measured"] == shown(row["measured"], row["unit"])
        assert printed["verdict"] == row["verdict"]
        assert printed["rule"] == row["rule"]
    figures = re.findall(r"\]\((\S+\.png)\)", results.markdown)
    assert len(figures) == 7
    assert all((results.root / "results" / name).is_file() for name in figures)


def test_the_same_results_give_the_same_bytes(results: Results) -> None:
    assert render_html(TEMPLATES / "report.html.j2", results.context) == results.html
    again = render_markdown(TEMPLATES / "report.md.j2", results.context, results.root / "results")
    assert again == results.markdown
    for page in (results.html, results.markdown):
        assert str(results.root) not in page
        # But for the dates of publications.
        for claims in PUBLISHED.values():
            page = page.replace(claims.identifier or "", "")
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", page)


def test_tables_name_their_source_in_every_study(results: Results) -> None:
    sources = {value.table for value in read_html(results.html).shown}
    assert sources == {"claims", "runs", "transitions", "evaluation", "chance", "phases"}


def test_censored_onsets_and_boundary_peaks_are_marked(results: Results) -> None:
    transitions = results.tables["transitions"].copy()
    lead_lag = transitions["study"] == "lead_lag"
    transitions.loc[lead_lag, "test_onset_step"] = None
    transitions.loc[lead_lag, "grad_peak_at_boundary"] = True
    context = results.render(tables=results.tables | {"transitions": transitions})
    page = render_html(TEMPLATES / "report.html.j2", context)
    assert "&gt; 400" in page
    assert "†" in page


def test_versions_configuration_and_command_stand_in_the_methods(results: Results) -> None:
    for text in (results.html, results.markdown):
        assert "refractory: 20" in text
        assert "make all" in text
        assert "numpy" in text


def test_figures_go_to_their_study_and_overlays_apart() -> None:
    overlay = "results/figures/lead_lag/overlays/task=modular_addition/depth=2"
    paths = [
        Path(f"{overlay}/seed=10.png"),
        Path(f"{overlay}/seed=7.png"),
        Path("results/figures/lead_lag/lags.png"),
        Path("results/figures/map/effects.png"),
        Path("results/figures/map/delay_map.png"),
        Path("results/figures/other/delay_map.png"),
        Path("results/map.png"),
    ]
    captions = {"lags": "L.", "overlay": "One run."}
    figures = study_figures("lead_lag", KINDS["lead_lag"], paths, captions)
    assert figures == {"lags": Figure(paths[2], "lags", "Lags", "L.")}
    overlays = run_figures("lead_lag", KINDS["lead_lag"], paths, captions)
    assert [figure.title for figure in overlays] == [
        "Modular addition, depth 2, seed 7",
        "Modular addition, depth 2, seed 10",
    ]
    assert overlays[0].caption == "One run."
    kind = KINDS["phase_diagram"]
    figures = study_figures("map", kind, paths, captions)
    assert list(figures) == ["phase_diagram", "delay_map", "effects"], "in the order of the kind"
    assert figures["phase_diagram"].path == Path("results/map.png")
    assert figures["delay_map"].path == Path("results/figures/map/delay_map.png")
    assert run_figures("map", kind, paths, captions) == []
    assert figure_title("gai_trace") == "GAI trace"


def chapter(page: str) -> str:
    """The HTML of the chapter of the study gai."""
    return page.split('<section id="study-gai">')[1].split("</section>")[0]


def table_of(results: Results, title: str) -> Table:
    """A table of that chapter by the beginning of its title."""
    found = next(one for one in results.context["chapters"] if one.study.name == "gai")
    parts = [part for part in found.body.parts if part.title.startswith(title)]
    assert isinstance(parts[0], Table)
    return parts[0]


def test_the_evidence_opens_with_its_figure_and_a_sentence_per_claim(results: Results) -> None:
    page = chapter(results.html)
    figure, sentences, table = (page.index(tag) for tag in ("<img", '<ul class="sen', "<table"))
    assert figure < sentences < table
    assert page.count("<img") == 3
    names = [f"GAI{n}" for n in range(1, 9)]
    assert re.findall(r'<li data-counted="\w+"><a href="#claim-gai-(\w+)">', page) == names
    claims = results.tables["claims"].set_index("claim")
    sentence = read_html(results.html).sentences["gai: early warning", "GAI2"]
    assert f"published: {claims.loc['GAI2', 'published']}" in sentence


def test_the_evidence_ranks_detectors_without_test_data(results: Results) -> None:
    """By the area in the table, those that see test data apart, references without a number."""
    ranking = table_of(results, "Detectors by what they know")
    apart = table_of(results, "Detectors that see test data")
    areas = [float(row[2].value) for row in ranking.rows[:-1]]
    assert areas == sorted(areas, reverse=True)
    names = [row[1].text for row in ranking.rows]
    assert "constant time" in names
    assert "GAI" in names
    assert not {"test loss peak", "test accuracy"} & set(names)
    assert {row[1].text for row in apart.rows} == {"test loss peak", "test accuracy"}
    places = [row[0].text for row in ranking.rows if row[0].text != "–"]
    assert places == [str(n) for n in range(1, len(DETECTORS) - 1)]
    assert ranking.rows[names.index("constant time")][0].text == "–"
    assert names[-1] == "alarm at step 0"
    recall = ranking.rows[-1][-2]
    assert recall.source is not None
    assert (recall.source[0], recall.text) == ("evaluation", "0.000")


def test_the_evidence_shows_every_rule_and_the_published_window(results: Results) -> None:
    table = table_of(results, "GAI above its published threshold, by rule")
    windows = [(row[0].text, row[1].text) for row in table.rows]
    steps_ahead = ("10–40", "20–60 (published)", "10–100")
    assert windows == [
        ("any alarm", "before onset"),
        *((rule, ahead) for rule in ("first alarm", "every alarm") for ahead in steps_ahead),
    ]
    recall, lead = table.rows[-1][6], table.rows[-1][-1]
    assert re.fullmatch(r"1\.000 \(0\.\d{3}–1\.000\)", recall.text)
    assert lead.source is not None
    assert lead.source[2] == "lead_median,lead_q25,lead_q75"


def test_a_detector_that_beats_all_null_models_is_said_to_know() -> None:
    def rank(name: str, p: float, area: float, **of: bool) -> Rank:
        nulls = {model: {"p": p, "observed": area} for model in NULLS}
        of = {"uses_test_data": False, "is_reference": False} | of
        return Rank(name, area, nulls, dict.fromkeys(NULLS, p), **of)

    known = rank("cusum", 0.001, 0.9)
    assert answer([known, rank("gai", 0.5, 0.5)], 0.05).startswith("Yes: CUSUM knows, of 2 ")
    assert "Number 2 is GAI (0.500): unadjusted, it does not beat chance" in answer(
        [known, rank("gai", 0.5, 0.5)], 0.05
    )
    # 0.03 twice is not below 0.05, adjusted for two detectors.
    assert answer([rank("cusum", 0.03, 0.9), rank("gai", 0.04, 0.5)], 0.05).startswith("No: ")
    clock = replace(known, p=known.p | {"constant_time": 0.6})
    assert answer([clock], 0.05).startswith("No: "), "one null model is not beaten"
    unknown = replace(known, p={model: known.p[model] for model in list(NULLS)[:3]})
    assert answer([unknown], 0.05).startswith("Not testable: "), "one null model is unknown"
    # It is one of the family all the same: 0.03 twice is not below 0.05.
    pair = [rank("cusum", 0.03, 0.9), replace(unknown, detector="gai")]
    assert answer(pair, 0.05).startswith("No: of 2 ")
    test_data = rank("test_accuracy", 0.001, 0.99, uses_test_data=True)
    assert answer([test_data, rank("gai", 0.5, 0.5)], 0.05).startswith("No: of 1 ")
    assert "No held-out run" in answer([test_data], 0.05)


def test_claims_are_printed_for_readers() -> None:
    assert shown(None, "share") == "–"
    assert shown(0.9, "share") == "0.900"
    assert shown(54.33, "steps") == "54.3"


def test_tally_speaks_of_one_and_of_many() -> None:
    counts = tally([Outcome.HOLDS, Outcome.FAILS, Outcome.FAILS, "undecided"])
    assert [(name, count) for name, _, count in counts] == [
        ("holds", 1),
        ("fail", 2),
        ("undecided", 1),
        ("not testable at this scale", 0),
    ]
    assert {badge for _, badge, _ in counts} == set(BADGES.values())
    assert len({symbol for _, symbol in BADGES.values()}) == len(Outcome), "not by colour alone"


def test_markdown_text_cannot_break_a_table() -> None:
    assert markdown_text("a|b\n*c* <d>") == r"a\|b \*c\* \<d\>"


def test_summary_counts_by_hand(results: Results) -> None:
    tables = {name: results.tables[name] for name in OF_SUMMARY}
    facts = study_facts("phase_diagram", tables)
    assert facts["runs"] == 4
    assert facts["seeds"] == [42]
    assert facts["steps"] == 1600
    assert facts["seconds"] == 6.0
    assert facts["phases"] == {"grokking": 2, "memorisation": 2}
    assert facts["grid"]["train_fractions"] == [0.3, 0.9]
    lags = study_facts("lead_lag", tables)["lags"]
    assert [cell["lag"]["n"] for cell in lags] == [2, 1, 1, 1]
    transitions = results.tables["transitions"]
    first = (transitions["study"] == "lead_lag") & (transitions["train_fraction"] == 0.5)
    two = transitions.loc[first & (transitions["task"] == "modular_addition"), "lag"]
    assert lags[0]["lag"]["mean"] == sum(two) / 2
    assert results.summaries["gai"]["training"]["versions"]["torch"] == ["2.0"]


def changed_claims(results: Results, **of: object) -> tuple[str, str]:
    """Both pages where the first claims differ."""
    claims = results.tables["claims"].copy()
    for name, value in of.items():
        claims.loc[claims["claim"] == "GAI2", name] = value
    context = results.render(tables=results.tables | {"claims": claims})
    html = render_html(TEMPLATES / "report.html.j2", context)
    return html, render_markdown(TEMPLATES / "report.md.j2", context, results.root / "results")


def test_each_outcome_has_a_badge_its_rule_and_what_would_decide(results: Results) -> None:
    of = {"verdict": "undecided", "seeds_needed": 17, "low": None, "high": 0.5}
    for page in changed_claims(results, **of):
        assert "about 17 seeds in all would decide" in page
        assert "1 undecided" in page
        assert "−∞" in page
    html, _ = changed_claims(results, **of)
    assert '<span class="badge undecided"' in html
    assert "?&nbsp;</span>undecided" in html
    assert Outline(html).headings[1] == "Claims", "what is decided or open comes first"
    rule = next(claim.rule for claim in PUBLISHED["GAI"].claims if claim.id == "GAI2")
    assert f'data-field="rule">{rst_html(rule)}</span>' in html


def test_several_kinds_of_processors_are_told(results: Results) -> None:
    assert "kinds of processors trained" not in results.html
    runs = results.tables["runs"].copy()
    mine = runs.index[runs["study"] == "gai"]
    runs.loc[mine[:2], "processor"] = "aarch64 Apple neon"
    context = results.render(tables=results.tables | {"runs": runs})
    page = render_html(TEMPLATES / "report.html.j2", context)
    assert page.count("2 kinds of processors trained these runs") == 1
    assert "2 kinds of processors" in chapter(page)
    rows = read_html(page).tables["Methods", "Processors"].texts()
    assert rows[0] == ["study", "trained on", "runs"]
    assert ["gai: early warning", "aarch64 Apple neon", "2"] in rows
    assert len(rows) == 5
