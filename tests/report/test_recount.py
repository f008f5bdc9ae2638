"""What the report computes itself is counted again: no cell and no sentence may be wrong."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pandas as pd
import pytest
from handmade import frame, key, onsets

from grokscope.report.checks.page import check_counted, check_markdown
from grokscope.report.checks.printed import Printed, PrintedCell, read_html, read_markdown
from grokscope.report.checks.recount import Expected, expected
from grokscope.report.checks.recount_studies import early_warning, lead_lag, phase_diagram
from grokscope.runs.config import default_analysis
from synthetic_results import (
    PUBLISHED,
    Results,
    studies_of,
)


@pytest.fixture(params=["small_results", "own_results"])
def results(request: pytest.FixtureRequest) -> Results:
    made: Results = request.getfixturevalue(request.param)
    return made


def counted(results: Results) -> tuple[Printed, Expected]:
    of = (results.tables, studies_of(results.config), PUBLISHED, results.config.analysis)
    return read_html(results.html), expected(*of)


def other(text: str) -> str:
    """The same text with another last digit."""
    place = max(i for i, character in enumerate(text) if character.isdigit())
    return text[:place] + str((int(text[place]) + 3) % 10) + text[place + 1 :]


def test_each_number_without_a_source_is_counted_again(results: Results) -> None:
    """Each of them, one after the other, is changed in the page and found."""
    printed, wanted = counted(results)
    assert check_counted(printed, wanted).problems == []
    changed = 0
    for (chapter, title), table in printed.tables.items():
        for row in table.rows:
            for place, cell in enumerate(row):
                if cell.bare:
                    row[place] = PrintedCell(other(cell.text), bare=True)
                    problems = check_counted(printed, wanted).problems
                    assert len(problems) == 1, (chapter, title, table.header[place])
                    assert f"{table.header[place]} of" in problems[0]
                    row[place] = cell
                    changed += 1
    assert changed > 60


def test_each_sentence_that_counts_is_counted_again(results: Results) -> None:
    printed, wanted = counted(results)
    for place, numbers in wanted.numbers.items():
        if numbers:
            text = printed.sentences[place]
            printed.sentences[place] = other(text)
            assert place[1] in " ".join(check_counted(printed, wanted).problems), place
            printed.sentences[place] = text
    assert {name for _, name in wanted.numbers} >= {"title", "lead", "tally", "facts", "seconds"}


def test_a_table_that_lacks_a_row_or_a_column_or_is_missing_is_named(results: Results) -> None:
    printed, wanted = counted(results)
    for place, rows in wanted.tables.items():
        if not rows:
            continue
        for spoil in ("row", "columns", "table"):
            spoilt = Printed(dict(printed.tables), printed.sentences)
            table = spoilt.tables[place] = deepcopy(printed.tables[place])
            if spoil == "row":
                table.rows.pop()
            elif spoil == "columns":
                names = [table.header.index(name) for name in rows[0]][-2:]
                if len(names) < 2:
                    continue
                first, second = names
                header = table.header
                header[first], header[second] = header[second], header[first]
            else:
                del spoilt.tables[place]
            problems = check_counted(spoilt, wanted).problems
            assert any(place[1] in problem for problem in problems), (place, spoil)


def test_a_number_without_source_that_nothing_counts_is_named(results: Results) -> None:
    printed, wanted = counted(results)
    table = printed.tables["Methods", "Versions"]
    table.rows[0][1] = PrintedCell("7", bare=True)
    assert "a number without a source" in check_counted(printed, wanted).problems[0]


def test_markdown_says_what_the_page_says(results: Results) -> None:
    page, wanted = counted(results)
    tally = wanted.numbers["", "tally"]
    claims = results.tables["claims"]

    def problems(text: str) -> list[str]:
        return check_markdown(read_markdown(text), page, claims, tally).problems

    assert problems(results.markdown) == []
    lines = results.markdown.splitlines()
    for start in ("# Grokscope", "- **GAI2**", "| memorised", "1", "2", "3", "| GAI |"):
        numbers = [n for n, line in enumerate(lines) if line.startswith(start)]
        for number in numbers:
            if any(map(str.isdigit, lines[number].removeprefix(start))):
                spoilt = [*lines[:number], other(lines[number]), *lines[number + 1 :]]
                assert problems("\n".join(spoilt)), lines[number]


def scored(*names: str) -> dict[str, str]:
    return {name: f"{name},{name}_low,{name}_high" for name in names}


ALARMS = {"events": "n_events", "alarms": "n_alarms", "judged": "n_judged", "hits": "n_hits"}
WARNINGS = {"false per 10,000": "false_alarms_per_10000", "time in warning": "time_in_warning"}
RULES = {**ALARMS, **WARNINGS, **scored("precision", "recall"), "F1": "f1"}
RULES |= {"median lead": "lead_median,lead_q25,lead_q75", "steps ahead": "lead_min,lead_max"}
RANKING = {**WARNINGS, "area": "observed", "precision": "precision", "recall": "recall"}
RANKING |= {f"p, {name}": "p" for name in ("random", "shifted", "swapped", "constant time")}
# Which column of its table stands under which head, by title.
HEADS = {
    "Transitions of each run": {
        "task": "task",
        "fraction": "train_fraction",
        "seed": "seed",
        "steps": "max_steps",
        "gradient peak": "grad_peak_step",
        "metric transition": "metric_transition_step",
        "metric there": "metric_at_transition",
        "lag": "lag",
        "lag, first 300": "replication_lag",
        "cross-corr. lag": "xcorr_lag",
        "Pearson r": "pearson_r",
        "onset": "test_onset_step",
        "onset lag": "onset_lag",
        "final metric": "final_test_metric",
    },
    "Alarms in each panel and layer": {
        **ALARMS,
        **{name: name for name in ("task", "depth", "layer", "precision", "recall")},
        "lead, lower quartile": "lead_q25",
        "median": "lead_median",
        "upper": "lead_q75",
    },
    "Detectors by what they know": RANKING,
    "Detectors that see test data, not ranked": RANKING,
    "GAI above its published threshold, by rule and window": RULES,
    "GAI above the threshold that was best on development seeds": RULES,
    "GAI at each depth": {**RANKING, **RULES, "depth": "depth", "runs": "n_runs"},
    "GAI against each null model": {
        "steps ahead": "lead_min,lead_max",
        "GAI": "observed",
        "p": "p",
        "random: mean": "null_mean",
        "shifted: mean": "null_mean",
        "swapped: mean": "null_mean",
        "constant time: mean": "null_mean",
    },
    "Phase of each cell": {"fraction 0.3": "vote", "fraction 0.9": "vote"},
    "Every run": {
        "p": "p",
        "fraction": "train_fraction",
        "weight decay": "weight_decay",
        "learning rate": "learning_rate",
        "width": "width",
        "task": "task",
        "seed": "seed",
        "phase": "phase",
        "gap": "gap",
        "train metric": "final_train_metric",
        "test metric": "final_test_metric",
        "steps": "steps",
        "seconds": "seconds",
    },
}


def test_each_copied_cell_stands_under_the_head_of_its_column(results: Results) -> None:
    """And numbers of a null model, a window or a layer are of the row that they stand in."""
    for (_, title), table in counted(results)[0].tables.items():
        for row in table.rows:
            for head, cell in zip(table.header, row, strict=True):
                if not cell.field:
                    continue
                assert cell.field == HEADS[title][head], (title, head)
                for model in ("random", "shifted", "swapped", "constant time"):
                    if model in head:
                        assert f"null_model={model.replace(' ', '_')}" in cell.row


# ------------------------------------------------- the recount itself, by hand


def test_lags_are_recounted_by_hand() -> None:
    values = {"lag": 9, "max_steps": 3000}
    lags = [422, 699, 804, None]
    rows = [key(seed=seed, replication_lag=lag, **values) for seed, lag in enumerate(lags)]
    of = {"transitions": frame(rows).drop(columns="max_steps"), "runs": frame(rows)}
    found = dict(lead_lag(of, PUBLISHED["LL"]))
    (row,) = found["Lag over seeds"]
    assert (row["seeds"], row["smallest"], row["largest"]) == (3, 422, 804)
    assert row["mean lag"] == pytest.approx(641.667, abs=1e-3)
    assert row["sd"] == pytest.approx(197.348, abs=1e-3)
    assert row["published"] == (641.7, 197.3, 422, 804)
    assert [of["published"] for of in found["Transitions of each run"]] == [699] * 4


def test_early_warnings_are_recounted_by_hand() -> None:
    analysis = default_analysis(phases={"gap": 200}, evaluation={"lead_window": [200, 400]})
    given = [(100, 1000), (100, None), (10, 20)]
    transitions = frame([onsets(*steps, seed=seed) for seed, steps in enumerate(given)])
    fired = [(0, 100, "memorisation"), (0, 650, "none"), (0, 700, "none"), (0, 1000, "none")]
    fired += [(1, 50, "memorisation"), (1, 2700, "loss_spike"), (2, 2900, "loss_spike")]
    alarms = [
        key(seed=seed, detector="gai", layer="combined", step=step, cause=cause)
        for seed, step, cause in fired
    ]
    ends = ("completed", "diverged", "completed")
    runs = [key(seed=seed, final_test_metric=0.1 * seed, stopped=ends[seed]) for seed in range(3)]
    drop = {"layer": 2, "measure": "effective", "is_last_layer": True}
    drops = [("onset", 0.2), ("onset", 0.4), ("onset", 0.9), ("matched", 0.1), ("onset", None)]
    rank = [key(reference=name, relative_drop=value, **drop) for name, value in drops]
    chance: dict[str, Any] = {"study": "gai", "task": None, "depth": None, "layer": "combined"}
    chance |= {"score": "auc", "p": 0.1}
    areas = {"gai": 0.6, "cusum": 0.7, "test_accuracy": 0.9, "constant_time": 0.8}
    found = dict(
        early_warning(
            {
                "transitions": transitions,
                "alarms": frame(alarms),
                "runs": frame(runs),
                "rank": frame(rank),
                "chance": pd.DataFrame(
                    [chance | {"detector": name, "observed": of} for name, of in areas.items()]
                ),
            },
            analysis,
        )
    )
    (panel,) = found["Outcome of each panel"]
    assert list(panel.values())[2:] == [3, 3, 2, 1, 1000, 0.1, 1]
    (fall,) = found["Fall of the last layer's rank"]
    assert list(fall.values())[3:] == [3, 0.4, 1, 0.1]
    causes = [list(row.values())[1:] for row in found["What else happened at GAI's alarms"]]
    assert causes == [[2, 50, 0, 0], [1, 25, 0, 1], [0, 0, 0, 0], [1, 25, 1, 0]]
    places = [(row["detector"], row["#"]) for row in found["Detectors by what they know"]]
    assert places == [
        ("constant time", None),
        ("CUSUM", 1),
        ("GAI", 2),
        ("alarm at step 0", None),
    ]


def test_phases_are_recounted_by_hand() -> None:
    """A tied vote goes to the first phase in their order."""
    labels = ("grokking", "memorisation", "comprehension", "confusion", "grokking")
    rows = [key(phase=name, seed=seed) for seed, name in enumerate(labels[:2])]
    rows += [key(phase=name, seed=seed, width=16) for seed, name in enumerate(labels[2:])]
    found = dict(phase_diagram(frame(rows)))
    widths = [list(row.values()) for row in found["Runs that generalise, by parameter"][-2:]]
    assert widths == [["width", 16, 3, 2, 2 / 3, 1], ["width", 128, 2, 1, 0.5, 1]]
    (row,) = found["Phase of each cell"]
    assert list(row.values())[-2:] == ["confusion 1/3", "memorisation 1/2"]
