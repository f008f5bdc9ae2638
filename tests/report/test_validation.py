"""Validation: right results pass, and each planted corruption is named."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grokscope.claims.rules import Outcome
from grokscope.core.schemas import read_schema
from grokscope.data.trace_reader import read_trace
from grokscope.report.checks.check import Check, failures, outcome
from grokscope.report.checks.page import agrees
from grokscope.report.checks.printed import read_html
from grokscope.report.checks.recompute import recompute
from grokscope.report.checks.tables import check_tables
from synthetic import make_trace, write
from synthetic_results import PUBLISHED, Results, studies_of


@pytest.fixture
def original(small_results: Results) -> Results:
    return small_results


@pytest.fixture
def results(original: Results) -> Results:
    """Results that a test may spoil; traces and CSV files must be put elsewhere."""
    return replace(
        original,
        paths=dict(original.paths),
        csv=dict(original.csv),
        tables={name: table.copy() for name, table in original.tables.items()},
        summaries=deepcopy(original.summaries),
        verdicts=deepcopy(original.verdicts),
    )


def test_right_results_pass_every_check(original: Results) -> None:
    checks = original.validate()
    assert [problem for check in checks for problem in check.problems] == []
    assert all(check.n_checked > 0 for check in checks)
    assert outcome(checks)["status"] == "ok"
    assert failures(outcome(checks)) == []


def set_cell(table: str, column: str, value: object) -> Callable[[Results], None]:
    def spoil(results: Results) -> None:
        results.tables[table].loc[0, column] = value

    return spoil


def drop_row(table: str) -> Callable[[Results], None]:
    def spoil(results: Results) -> None:
        results.tables[table] = results.tables[table].drop(index=0).reset_index(drop=True)

    return spoil


def double_row(table: str) -> Callable[[Results], None]:
    def spoil(results: Results) -> None:
        frame = results.tables[table]
        results.tables[table] = pd.concat([frame, frame.head(1)], ignore_index=True)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "check", "words"),
    [
        (set_cell("runs", "final_test_metric", 0.123), "runs recomputed", "final_test_metric of"),
        (set_cell("runs", "stopped", "diverged"), "runs recomputed", "stopped of"),
        (set_cell("transitions", "lag", 9999), "transitions recomputed", "is 9999, recomputed"),
        (set_cell("transitions", "lag", None), "transitions recomputed", "is null, recomputed"),
        (set_cell("phases", "phase", "confusion"), "phases recomputed", "phase of study=lead_lag"),
        (set_cell("phases", "phase", "unclear"), "labels are total", "'unclear'"),
        (set_cell("alarms", "score", 99.0), "alarms recomputed", "score of"),
        (set_cell("alarms", "step", 1), "alarms recomputed", "not in the traces"),
        (set_cell("rank", "relative_drop", 0.99), "rank recomputed", "relative_drop of"),
        (set_cell("alarms", "cause", "loss_spike"), "alarms recomputed", "cause of"),
        (set_cell("evaluation", "n_hits", 77), "evaluation recomputed", "n_hits of"),
        (set_cell("evaluation", "rule", "every other"), "evaluation recomputed", "is missing"),
        (set_cell("chance", "null_mean", 0.77), "chance recomputed", "null_mean of"),
        (set_cell("curves", "sensitivity", 0.77), "curves recomputed", "sensitivity of"),
        (set_cell("variants", "warm_up", 77), "variants recomputed", "warm_up of"),
        (set_cell("variants", "alarms", "77"), "variants recomputed", "alarms of"),
        (set_cell("alarms", "peak", 77), "alarms recomputed", "peak of"),
        (
            set_cell("multiverse", "measured", 7.7),
            "multiverse recomputed",
            "measured of study=gai",
        ),
        (set_cell("multiverse", "supports", True), "multiverse recomputed", "supports of"),
        (set_cell("claims", "verdict", "holds"), "claims recomputed", "verdict of study=lead_lag"),
        (set_cell("claims", "measured", 7.7), "claims recomputed", "measured of"),
        (set_cell("claims", "reason", "because"), "claims recomputed", "reason of"),
        (drop_row("claims"), "claims recomputed", "is missing"),
        (drop_row("chance"), "chance recomputed", "is missing"),
        (double_row("evaluation"), "evaluation recomputed", "is in the table twice"),
        (set_cell("runs", "seed", 12345), "present once", "run not in the grid: study=lead_lag"),
        (drop_row("alarms"), "alarms recomputed", "is missing"),
        (drop_row("runs"), "present once", "runs: 0 rows of run study=lead_lag"),
        (drop_row("phases"), "present once", "phases: 0 rows of run"),
        (double_row("transitions"), "present once", "transitions: 2 rows of run"),
    ],
)
def test_a_spoilt_table_is_named(
    results: Results, spoil: Callable[[Results], None], check: str, words: str
) -> None:
    assert results.problems_of_tables() == {}
    spoil(results)
    problems = results.problems_of_tables()
    found = [text for name, texts in problems.items() if check in name for text in texts]
    assert any(words in text for text in found), problems


def test_what_differs_by_more_than_rounding_is_named(results: Results) -> None:
    metric = results.tables["runs"]["final_test_metric"]
    before = float(metric[0])
    results.tables["runs"].loc[0, "final_test_metric"] = before * (1 + 1e-8)
    assert results.problems_of_tables() == {}
    results.tables["runs"].loc[0, "final_test_metric"] = before * (1 + 1e-5)
    problems = results.problems_of_tables()["runs recomputed from the traces"]
    assert len(problems) == 1
    assert "final_test_metric of" in problems[0]


def test_a_missing_damaged_or_foreign_trace_is_named(results: Results, tmp_path: Path) -> None:
    first, second, third, *_ = results.paths
    results.paths[first] = tmp_path / "nowhere.parquet"
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(results.paths[second].read_bytes()[:1000])
    results.paths[second] = damaged
    spec = replace(results.specs[third], learning_rate=0.5)
    results.paths[third] = write(make_trace(spec), tmp_path)
    problems = results.problems()
    texts = problems["each trace matches its schema and its specification"]
    assert len(texts) == 3
    assert "no such trace" in texts[0]
    assert "not a readable trace" in texts[1]
    assert "learning_rate is 0.5, not 0.001" in texts[2]
    # The tables are not blamed for what the lost traces cannot tell.
    assert "runs recomputed from the traces" not in problems
    assert "transitions recomputed from the traces" not in problems


def test_a_trace_that_was_changed_disagrees_with_the_tables(
    results: Results, tmp_path: Path
) -> None:
    key = next(iter(results.paths))
    trace = read_trace(results.paths[key])
    frame = trace.frame.copy()
    frame["grad_norm"] = np.roll(frame["grad_norm"], 50)
    path = write(replace(trace, frame=frame), tmp_path)
    specs = {key: results.specs[key]}
    config, studies = results.config, studies_of(results.config)[:1]
    made = recompute({key: path}, specs, config.analysis, studies, PUBLISHED)
    checks = check_tables(results.tables, made, specs)
    problems = {check.name: " ".join(check.problems) for check in checks}
    for table, column in (("transitions", "grad_peak_step"), ("evaluation", "n_alarms")):
        assert f"{table}: {column} of " in problems[f"{table} recomputed from the traces"]


def test_only_the_study_of_a_lost_trace_is_not_compared(results: Results, tmp_path: Path) -> None:
    """Its evaluation and claims cannot be made; those of the other studies can."""
    lost = next(key for key in results.paths if key.study == "phase_diagram")
    results.paths[lost] = tmp_path / "nowhere.parquet"
    for name, column in (("evaluation", "n_hits"), ("claims", "n")):
        table = results.tables[name]
        table.loc[table["study"].isin(["phase_diagram", "gai"]), column] = 777
    problems = results.problems()
    for name in ("evaluation", "claims"):
        texts = problems[f"{name} recomputed from the traces"]
        assert texts
        assert all("study=gai" in text for text in texts)
    assert "summaries recomputed" not in problems or not any(
        "training" in text for text in problems["summaries recomputed"]
    )


def test_the_result_does_not_depend_on_the_number_of_processes(original: Results) -> None:
    analysis, studies = original.config.analysis, studies_of(original.config)
    made = recompute(original.paths, original.specs, analysis, studies, PUBLISHED, workers=2)
    assert list(made.tables) == list(original.recomputed.tables)
    for name, table in made.tables.items():
        pd.testing.assert_frame_equal(table, original.recomputed.tables[name], check_exact=True)
    assert made.environments == original.recomputed.environments
    assert made.complete == set(original.config.studies)
    assert made.reading.n_checked == len(original.specs)


def test_a_column_that_only_one_of_the_tables_has_is_named(results: Results) -> None:
    results.tables["runs"] = results.tables["runs"].drop(columns="device")
    results.tables["rank"]["extra"] = 1
    problems = results.problems_of_tables()
    assert problems["runs recomputed from the traces"] == ["runs: no column device"]
    assert "column extra is in the table" in problems["rank recomputed from the traces"][0]
    results.tables["phases"]["p"] = 23
    problems = results.problems_of_tables()
    assert "every run of the grid is present once" in problems


def test_text_that_reads_like_a_null_is_text(results: Results, tmp_path: Path) -> None:
    results.tables["runs"]["device"] = ["nan", "None", *["cpu"] * (len(results.specs) - 2)]
    results.csv["runs"] = tmp_path / "runs.csv"
    results.tables["runs"].to_csv(results.csv["runs"], index=False)
    assert results.problems_of_files() == {}


def test_a_csv_file_that_differs_is_named(results: Results, tmp_path: Path) -> None:
    name = "CSV files equal the parquet files"
    text = results.csv["phases"].read_text()
    results.csv["phases"] = tmp_path / "phases.csv"
    results.csv["phases"].write_text(text.replace("grokking", "comprehension", 1))
    assert "phases: phase differs in 1 rows" in results.problems_of_files()[name][0]
    results.csv["phases"].write_text("\n".join(text.splitlines()[:-1]) + "\n")
    assert "20 rows" in results.problems_of_files()[name][0]
    results.csv["phases"] = tmp_path / "nowhere.csv"
    assert "No such file" in results.problems_of_files()[name][0]


def test_a_verdict_as_json_that_differs_is_named(results: Results) -> None:
    name = "verdicts.json equals the table of claims"
    verdicts = results.verdicts["studies"][0]["verdicts"]
    before = verdicts[0]["verdict"]
    verdicts[0]["verdict"] = "holds" if before == "fails" else "fails"
    assert results.problems_of_files()[name] == ["lead_lag: differs from the table"]
    verdicts[0]["verdict"] = "perhaps"
    (problem,) = results.problems_of_files()[name]
    assert problem.startswith("schema: $.studies[0].verdicts[0].verdict: 'perhaps' is not one of")
    verdicts[0]["verdict"] = before
    del results.verdicts["studies"][1]
    assert results.problems_of_files()[name] == ["studies missing: ['gai']"]


def test_the_schema_of_verdicts_has_the_columns_of_the_table(results: Results) -> None:
    verdict = read_schema("verdicts.schema.json")["$defs"]["verdict"]
    columns = [*results.tables["claims"].drop(columns="study")]
    assert [*verdict["properties"]] == verdict["required"] == columns
    assert verdict["properties"]["verdict"]["enum"] == [*Outcome]


def test_a_summary_that_differs_is_named(results: Results) -> None:
    name = "summaries recomputed"
    results.summaries["gai"]["phases"]["grokking"] = 999
    results.summaries["lead_lag"]["training"]["versions"]["torch"] = ["9.9"]
    del results.summaries["phase_diagram"]
    texts = results.problems_of_tables()[name]
    assert any(text.startswith("gai: phases is") for text in texts)
    assert any(text.startswith("lead_lag: training is") and "9.9" in text for text in texts)
    assert "phase_diagram: no summary" in texts


@pytest.mark.parametrize("field", ["data-value", "text"])
def test_a_number_changed_in_the_page_is_named(results: Results, field: str) -> None:
    """Both what the attribute says and what the reader sees are compared."""
    shown = next(
        value
        for value in read_html(results.html).shown
        if value.table == "transitions" and value.field == "lag"
    )
    before = f'data-value="{shown.value}">{shown.text}</td>'
    spoilt = (
        before.replace(shown.value, "777.0")
        if field == "data-value"
        else before.replace(f">{shown.text}<", ">777<")
    )
    assert spoilt != before
    place = results.html.index(f'data-row="{shown.row}" data-field="lag"')
    results.html = results.html[:place] + results.html[place:].replace(before, spoilt, 1)
    texts = results.problems_of_files()["numbers of report.html agree with the tables"]
    assert len(texts) == 1
    assert "777" in texts[0]
    assert "transitions" in texts[0]


def test_a_claim_missing_or_changed_in_the_page_is_named(results: Results) -> None:
    name = "numbers of report.html agree with the tables"
    html = results.html
    results.html = html.replace("study=gai,claim=GAI2", "study=gai,claim=GAI99")
    texts = results.problems_of_files()[name]
    assert any("claim=GAI99" in text and "no table" in text for text in texts)
    assert any("claims study=gai,claim=GAI2 verdict is missing" in text for text in texts)
    results.html = html.replace(
        'data-field="verdict" data-value="not testable',
        'data-field="verdict" data-value="holds',
        1,
    )
    assert "holds" in results.problems_of_files()[name][0]


def test_a_stale_report_is_named(results: Results) -> None:
    """The claims changed after the report was written."""
    claims = results.tables["claims"]
    claims.loc[claims["claim"] == "GAI1", "measured"] = 1234.5
    problems = results.problems_of_files()
    for name in ("report.html", "report.md"):
        texts = next(texts for check, texts in problems.items() if name in check)
        assert any("GAI1" in text and "1234.5" in text for text in texts)


def test_markdown_that_differs_is_named(results: Results) -> None:
    name = "report.md agrees with report.html and the claims table"
    markdown = results.markdown
    results.markdown = markdown.replace("| not testable at this scale |", "| holds |", 1)
    assert "verdict of lead_lag LL1" in results.problems_of_files()[name][0]
    lines = markdown.splitlines()
    results.markdown = "\n".join(line for line in lines if "| PD7 |" not in line)
    missing = ["report.md: claim phase_diagram PD7 is missing"]
    assert results.problems_of_files()[name] == missing


def test_a_failed_claim_is_no_problem(results: Results) -> None:
    """Only what disagrees is a problem; the verdict itself may be anything."""
    assert set(results.tables["claims"]["verdict"]) == {"not testable at this scale"}
    assert "GAI2" in set(results.tables["claims"]["claim"])


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [
        ("54.3", 54.3333, True),
        ("54.4", 54.3333, False),
        ("10,000", 10000.0, True),
        ("-0.662", -0.66249, True),
        ("60 †", 60.0, True),
        ("0.95", 0.9549999, True),
        ("0.95", 0.9551, False),
        ("–", 1.0, False),
        ("< 0.001", 1e-9, True),
        ("< 0.001", 0.0011, False),
    ],
)
def test_printed_numbers_agree_to_their_digits(text: str, value: float, right: bool) -> None:
    assert agrees(text, value) == right


def test_the_outcome_lists_the_first_problems_and_counts_the_rest() -> None:
    check = Check("many", 100, [f"problem {i}" for i in range(30)])
    result = outcome([check, Check("none", 1)])
    assert result["status"] == "failed"
    assert len(result["checks"][0]["problems"]) == 21
    assert failures(result)[-1] == "many: and 10 more"
    with pytest.raises(ValueError, match="'ok' with 21 problems"):
        failures(result | {"status": "ok"})
