"""The report of studies of one's own: several of a kind, further settings varied, no claims."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from grokscope.report.chapters import CHAPTERS, chapter
from grokscope.report.checks.printed import read_html
from grokscope.report.definitions import definitions
from grokscope.report.page import render_html, render_markdown
from grokscope.report.studies import Study, read_studies
from grokscope.report.summary import study_facts
from grokscope.report.verdicts import Judged, citation, support_tables, supports
from grokscope.runs.config import default_analysis
from grokscope.runs.kinds import KINDS
from synthetic_results import (
    PUBLISHED,
    TEMPLATES,
    Results,
    studies_of,
)


@pytest.fixture
def results(own_results: Results) -> Results:
    return own_results


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_each_study_has_a_chapter_in_the_order_of_the_configuration(results: Results) -> None:
    assert headings(results.html) == [
        "What was measured",
        "Claims",
        "narrow: early warning",
        "wide: early warning",
        "my_map: phase diagram",
        "Methods",
    ]
    for name in ("narrow", "wide", "my_map"):
        assert f'href="#study-{name}"' in results.html
    assert "<img" in results.html.split('id="study-my_map"')[1]


def test_the_opening_names_the_studies_where_they_share_claims(results: Results) -> None:
    def opening(judged: list[Judged]) -> list[str]:
        page = render_html(
            TEMPLATES / "report.html.j2", {**results.context, "decided": True, "judged": judged}
        )
        (table,) = re.findall(r'<table class="glance">.*?</table>', page, re.S)
        return re.findall(r'scope="rowgroup">(.*?)</th>', table)

    judged = results.context["judged"]
    assert opening(judged) == ["narrow: early warning", "wide: early warning"]
    assert opening(judged[:1]) == []


def test_no_id_of_the_page_is_used_twice(results: Results) -> None:
    ids = re.findall(r'\bid="([^"]+)"', results.html)
    assert len(ids) == len(set(ids))
    links = re.findall(r'href="#([^"]+)"', results.html)
    assert set(links) <= set(ids)


def test_every_number_agrees_with_its_table(results: Results) -> None:
    assert results.problems_of_tables() == {}
    assert results.problems_of_files() == {}
    rows = {shown.row for shown in read_html(results.html).shown}
    assert "study=narrow,claim=GAI1" in rows
    assert "study=wide,claim=GAI1" in rows
    assert any("study=my_map" in row and "p=23,learning_rate=0.01,seed=1" in row for row in rows)
    assert not any("study=narrow" in row and "p=" in row for row in rows)


def test_settings_that_vary_are_part_of_tables_and_summaries(results: Results) -> None:
    section = results.html.split('id="study-my_map"')[1].split("</section>")[0]
    assert '<th scope="col" class="num">p</th>' in section
    grid = results.summaries["my_map"]["grid"]
    assert grid["p"] == [23, 59]
    assert grid["learning_rate"] == [0.01]
    assert grid["train_fractions"] == [0.3, 0.9]
    assert "p" not in results.summaries["narrow"]["grid"]
    # Modular addition with either modulus, and sine regression, which uses none.
    assert len(results.summaries["my_map"]["lags"]) == 6
    parameters = [cell["p"] for cell in results.summaries["my_map"]["lags"]]
    assert parameters.count(None) == 2


def test_a_summary_is_the_same_from_the_tables_of_the_study_alone(results: Results) -> None:
    """Those do not have the settings that only other studies vary."""
    names = ("runs", "transitions", "phases", "claims")
    for study in ("narrow", "my_map"):
        alone = {
            name: results.tables[name][results.tables[name]["study"] == study] for name in names
        }
        if study == "narrow":
            alone = {
                name: table.drop(columns=["p", "learning_rate"] if "seed" in table else [])
                for name, table in alone.items()
            }
        tables = {name: results.tables[name] for name in names}
        assert study_facts(study, alone) == study_facts(study, tables)
    assert (
        study_facts("my_map", {name: results.tables[name] for name in names[:3]})["claims"] == []
    )


def test_claims_over_several_studies_say_how_many_choices_support_them(results: Results) -> None:
    table = results.context["supports"][0]
    assert table.title == "Claims GAI over 2 studies"
    counts = supports(results.tables["multiverse"])
    for row in table.rows:
        claim = row[0].text
        known = [counts.get((study, claim)) for study in ("narrow", "wide")]
        totals = [sum(of) for of in zip(*filter(None, known), strict=True)]
        texts = [
            "{} for, {} against, of {}".format(*given) if given else "–"
            for given in [*known, totals]
        ]
        assert [cell.text for cell in row[2:]] == texts
    assert {("narrow", "GAI2"), ("wide", "GAI2")} <= set(counts)
    assert len(table.rows) == 8
    assert "GAI over 2 studies" in results.markdown


def test_support_is_counted_by_hand() -> None:
    """A choice that cannot tell is of the measured; what cannot be measured is not counted."""
    rows = [("a", "GAI1", 1.0, True), ("a", "GAI1", 1.0, False), ("a", "GAI1", 1.0, None)]
    rows += [("a", "GAI1", 1.0, False), ("a", "GAI1", None, None), ("b", "GAI1", 1.0, True)]
    names = ("study", "claim", "measured", "supports")
    multiverse = pd.DataFrame(
        [dict(zip(names, row, strict=True)) for row in [*rows, ("c", None, 1.0, None)]]
    ).convert_dtypes()
    assert supports(multiverse) == {("a", "GAI1"): (1, 2, 4), ("b", "GAI1"): (1, 0, 1)}
    assert support_tables([], multiverse) == []


def test_the_publication_stands_above_its_claims(results: Results) -> None:
    claims = PUBLISHED["GAI"]
    assert claims.title in results.html
    assert "authors not stated" in citation(claims)
    assert "no public code" in citation(claims)
    known = citation(PUBLISHED["LL"])
    assert "Yun Du" in known
    assert "2603.00392" in known
    assert "github.com/davidydu/Claw4S" in known


def without_claims(results: Results) -> dict[str, str]:
    """A report of the same results in which no study is judged."""
    studies = [Study(study.name, study.kind, None) for study in studies_of(results.config)]
    tables = results.tables | {
        "claims": results.tables["claims"].head(0),
        "multiverse": results.tables["multiverse"].assign(claim=None, supports=None),
    }
    context = results.render(studies=studies, tables=tables)
    return {
        "html": render_html(TEMPLATES / "report.html.j2", context),
        "md": render_markdown(TEMPLATES / "report.md.j2", context, Path("results")),
    }


def test_a_report_without_claims_opens_with_what_was_measured(results: Results) -> None:
    pages = without_claims(results)
    assert headings(pages["html"])[0] == "What was measured"
    assert "Grokscope: what was measured" in pages["html"]
    for text in pages.values():
        assert "not testable" not in text
        assert "verdict" not in text.lower().split("methods")[0].replace(".verdict", "")
        assert "Detectors by what they know" in text
    assert "## Claims" not in pages["md"]


def test_definitions_are_those_of_what_the_report_holds() -> None:
    analysis = default_analysis()
    words = [word for word, _ in definitions(analysis, {"phase_diagram"}, has_claims=False)]
    assert words == ["Step", "Onset", "Event", "Phases"]
    words = [word for word, _ in definitions(analysis, {"lead_lag"}, has_claims=True)]
    assert "Gradient peak, metric transition, lag" in words
    assert "Interval" in words
    assert "Null models" not in words
    of_alarms = dict(definitions(analysis, {"early_warning"}, has_claims=False))
    assert "Null models" in of_alarms
    assert "p, Holm, Bonferroni" not in of_alarms


def test_every_kind_of_study_has_a_chapter() -> None:
    assert set(CHAPTERS) == set(KINDS)
    with pytest.raises(ValueError, match="'lead_lag' has a chapter already"):
        chapter("lead_lag")(CHAPTERS["lead_lag"])


def test_studies_are_told_in_the_order_given() -> None:
    text = '{"z": {"kind": "lead_lag", "claims": "LL"}, "a": {"kind": "phase_diagram", '
    text += '"claims": null}}'
    studies = read_studies(text)
    assert studies == [Study("z", "lead_lag", "LL"), Study("a", "phase_diagram", None)]
    assert studies[0].title == "z: lead and lag"
