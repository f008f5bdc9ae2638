"""Report tables from hand-made result tables: every cell that the report computes itself."""

from __future__ import annotations

from typing import Any

import pandas as pd
from handmade import cells, column, frame, key, onsets, texts

from grokscope.core.formatting import ABSENT, detector_words, number, probability, steps
from grokscope.report.tables.lead_lag import seed_table, transition_table
from grokscope.report.tables.overview import overview_table
from grokscope.report.tables.parts import RowCells, of_study, row_id
from grokscope.report.tables.phase_diagram import effect_table, map_table, run_table
from synthetic import make_spec

LL = {
    "LL1": {"task": "modular_addition", "seed": 42, "lag": {"0.5": 699, "0.9": 12}},
    "LL2": {
        "task": "modular_addition",
        "mean": {"0.5": 641.7},
        "sd": {"0.5": 197.3},
        "min": {"0.5": 422},
        "max": {"0.5": 804},
    },
}


# ----------------------------------------------------------------------- parts


def test_numbers_are_printed_for_readers() -> None:
    assert [steps(value) for value in (12.0, 54.33, 10_000.0)] == ["12", "54.3", "10,000"]
    assert number(-0.66249) == "-0.662"
    assert [probability(value) for value in (0.0125, 0.001, 1e-9)] == ["0.013", "0.001", "< 0.001"]
    assert detector_words("grad_norm_peak") == "gradient-norm peak"
    assert detector_words("gai") == "GAI"


def test_row_ids_print_decimals_as_the_config_does() -> None:
    row = key(train_fraction=0.7, weight_decay=1.0)
    assert row_id(row, "runs").endswith("train_fraction=0.7,weight_decay=1,width=128,seed=0")


def test_a_run_has_one_id_in_the_tables_of_its_study_and_of_all() -> None:
    """Settings that its study does not vary are null where another study varies them."""
    alone = key(step=40, detector="gai", layer="1")
    assert row_id(alone, "alarms") == row_id(alone | {"p": None, "betas": pd.NA}, "alarms")
    varied = make_spec(varied=("p", "learning_rate"), p=59).key.row()
    assert "width=128,p=59,learning_rate=0.001,seed=0" in row_id(varied, "runs")
    assert row_id(varied, "runs") == row_id(varied | {"samples": None}, "runs")
    scope = {"study": "gai", "depth": None, "detector": "gai", "layer": "1", "point": 3}
    assert row_id(scope, "curves") == "study=gai,depth=null,detector=gai,layer=1,point=3"


def test_rows_of_a_study_come_without_the_settings_of_others() -> None:
    table = frame([key(p=23), key(study="map", p=None)])
    assert "p" not in of_study(table, "map")
    assert of_study(table, "gai")["p"].tolist() == [23]
    # Without rows there is nothing to tell by, and other tables of the study may have the key.
    assert "p" in of_study(table, "silent")
    chance = frame([{"study": "gai", "p": None}])
    assert "p" in of_study(chance, "gai"), "a p-value"


def test_a_cell_names_its_source_and_nulls_have_none() -> None:
    cells = RowCells(key(lag=12.5, xcorr_lag=None), "transitions")
    cell = cells("lag", mark=" †")
    assert (cell.text, cell.value) == ("12.5 †", "12.5")
    assert cell.source == ("transitions", row_id(key(), "transitions"), "lag")
    assert cells("xcorr_lag").source is None
    assert cells("xcorr_lag").text == ABSENT


# -------------------------------------------------------------------- lead_lag


def transitions(**of: Any) -> dict[str, Any]:
    values = dict.fromkeys(("metric_at_transition", "xcorr_lag", "pearson_r", "onset_lag"), 0.0)
    values |= {"grad_peak_step": 60, "grad_peak_at_boundary": False, "metric_transition_step": 90}
    values |= {"lag": 30, "replication_lag": 30, "test_onset_step": None, "last_step": 3000}
    return key(max_steps=3000, final_test_metric=0.5, weight_decay=0.1, width=64) | values | of


def test_published_lags_stand_beside_the_runs_with_the_most_steps() -> None:
    """Not beside those of a certain seed; of each task by itself."""
    rows = [
        transitions(seed=7),
        transitions(seed=42, max_steps=2000),
        transitions(seed=5, train_fraction=0.9),
        transitions(seed=42, train_fraction=0.7),
        transitions(seed=1, task="s5_composition", max_steps=9000),
    ]
    table = transition_table(frame(rows), LL, 2000)
    shown = zip(column(table, "seed"), column(table, "published"), strict=True)
    assert list(shown) == [
        ("7", "699"),
        ("42", ABSENT),
        ("42", ABSENT),
        ("5", "12"),
        ("1", ABSENT),
    ]
    assert table.header[:4] == ["task", "fraction", "seed", "steps"]


def test_a_study_without_these_claims_has_no_published_lags() -> None:
    table = transition_table(frame([transitions()]), {}, 2000)
    assert "published" not in table.header
    assert len(table.header) == len(table.rows[0])
    assert "published" not in seed_table(frame([transitions(), transitions(seed=1)]), {}, 9).header


def test_boundary_peaks_and_censored_onsets_are_marked() -> None:
    rows = [transitions(grad_peak_at_boundary=True, last_step=2500), transitions(seed=1)]
    table = transition_table(frame(rows), LL, 2000)
    assert column(table, "gradient peak") == ["60 †", "60"]
    assert column(table, "onset") == ["> 2,500", "> 3,000"]
    assert "†" in table.note
    rows = [transitions(last_step=None), transitions(seed=1, test_onset_step=1200)]
    table = transition_table(frame(rows), LL, 2000)
    assert column(table, "onset") == ["censored", "1,200"]
    assert "†" not in table.note


def test_lags_over_seeds_by_hand() -> None:
    """Sample standard deviation; the lag of the first steps; cells of one seed are left out."""
    lags = [422, 699, 804]
    rows = [transitions(seed=n, replication_lag=lag, lag=9) for n, lag in enumerate(lags)]
    rows += [transitions(train_fraction=0.9), transitions(train_fraction=0.9, seed=1)]
    rows[-1]["replication_lag"] = None
    table = seed_table(frame(rows), LL, 2000)
    assert table.header[:5] == ["task", "depth", "fraction", "weight decay", "width"]
    assert texts(table) == [
        cells(
            "modular addition | 2 | 0.5 | 0.1 | 64 | 3 | 641.7 | 197.3 | 422 | 804 | "
            "641.7 ± 197.3 (422 to 804)"
        )
    ]


def test_what_else_a_grid_varies_is_shown() -> None:
    rows = [transitions(p=p, depth=depth) for p in (23, 59) for depth in (2, 3)]
    table = transition_table(frame(rows), {}, 2000)
    assert table.header[:5] == ["task", "fraction", "depth", "p", "seed"]
    assert column(table, "p") == ["23", "59", "23", "59"]
    rows += [row | {"seed": 1} for row in rows]
    assert len(seed_table(frame(rows), {}, 2000).rows) == 4


def test_runs_whose_task_does_not_use_a_varied_setting_are_kept() -> None:
    rows = [transitions(p=23), transitions(p=23, seed=1)]
    rows += [row | {"task": "sine_regression", "p": None} for row in rows]
    table = transition_table(frame(rows), {}, 2000)
    assert column(table, "p") == ["23", "23", ABSENT, ABSENT]
    assert column(seed_table(frame(rows), {}, 2000), "p") == ["23", ABSENT]


# --------------------------------------------------------------- phase_diagram


def phase(name: str, vote: str | None = None, **of: Any) -> dict[str, Any]:
    row = key(phase=name, vote=vote or name, agreement=1.0, cell_seeds=1, gap=None)
    return row | of


def test_the_map_has_the_first_varying_parameter_as_columns() -> None:
    rows = [
        phase("grokking", weight_decay=0.0, train_fraction=0.3),
        phase("confusion", weight_decay=0.0, train_fraction=0.9),
        phase("memorisation", weight_decay=1.0, train_fraction=0.9),
    ]
    table = map_table(frame(rows))
    assert table.header == cells(
        "task | depth | width | weight decay | fraction 0.3 | fraction 0.9"
    )
    assert [row[3:] for row in texts(table)] == [
        ["0", "grokking", "confusion"],
        ["1", ABSENT, "memorisation"],
    ]
    assert table.note == "One seed per cell."
    assert table.rows[0][4].style == "grokking"


def test_the_map_follows_whatever_varies() -> None:
    rows = [phase("grokking", p=p, learning_rate=rate) for p in (23, 59) for rate in (0.001, 0.01)]
    rows += [row | {"task": "sine_regression", "p": None, "vote": "confusion"} for row in rows[:2]]
    table = map_table(frame(rows))
    assert table.header[-2:] == ["learning rate 0.001", "learning rate 0.01"]
    assert table.header[2] == "p"
    assert column(table, "p") == ["23", "59", ABSENT]
    assert column(table, "learning rate 0.01") == ["grokking", "grokking", "confusion"]


def test_the_vote_of_several_seeds_comes_with_how_many_agree() -> None:
    """The vote, which every row of the cell has, not the phase of its first run."""
    common = {"vote": "grokking", "agreement": 2 / 3, "cell_seeds": 3}
    names = ("confusion", "grokking", "grokking")
    rows = [phase(name, seed=seed, **common) for seed, name in enumerate(names)]
    table = map_table(frame(rows))
    assert texts(table)[0][-1] == "grokking 2/3"
    assert table.rows[0][-1].value == "grokking"
    assert "how many agree" in table.note


def test_effects_count_generalising_and_grokking_runs() -> None:
    names = ("grokking", "comprehension", "memorisation", "confusion")
    rows = [phase(name, width=16, seed=seed) for seed, name in enumerate(names)]
    rows += [phase("grokking", width=64), phase("diverged", width=64, seed=1)]
    table = effect_table(frame(rows))
    assert texts(table)[-2:] == [
        ["width", "16", "4", "2", "0.500", "1"],
        ["width", "64", "2", "1", "0.500", "1"],
    ]
    assert texts(table)[0] == ["weight decay", "1", "6", "3", "0.500", "2"]
    varied = [row | {"p": 23 + row["seed"]} for row in rows]
    assert column(effect_table(frame(varied)), "parameter")[-4:] == ["p"] * 4


def test_every_run_shows_its_own_phase() -> None:
    rows = [phase("confusion", "grokking", gap=None), phase("grokking", seed=1, gap=300)]
    facts = {"final_train_metric": 1.0, "final_test_metric": 0.25, "steps": 900, "seconds": 1.26}
    table = run_table(frame(rows), frame([key(seed=seed, **facts) for seed in (0, 1)]))
    assert texts(table) == [
        ["1", "0.5", "128", "0", "confusion", ABSENT, "1.000", "0.250", "900", "1.3"],
        ["1", "0.5", "128", "1", "grokking", "300", "1.000", "0.250", "900", "1.3"],
    ]


# -------------------------------------------------------------------- overview


def test_the_overview_counts_each_study_by_itself() -> None:
    seeds = enumerate(((100, 1000), (100, 250), (100, None), (None, None)))
    rows = [onsets(*found, seed=seed) for seed, found in seeds]
    rows += [onsets(100, 1000, study="map", p=23)]
    labels = ("grokking", "comprehension", "memorisation", "diverged")
    phases = [phase(name, seed=seed) for seed, name in enumerate(labels)]
    results = {
        "runs": frame([{name: row[name] for name in key()} for row in rows]),
        "transitions": frame(rows),
        "phases": frame([*phases, phase("confusion", study="map")]),
    }
    table = overview_table(results, ["map", "gai"], 200)
    assert table.header == ["number of", "map", "gai"]
    assert texts(table) == [
        ["runs", "1", "4"],
        ["seeds", "1", "4"],
        ["memorised", "1", "3"],
        ["generalised", "1", "2"],
        ["events", "1", "1"],
        ["confusion", "1", "0"],
        ["memorisation", "0", "1"],
        ["grokking", "0", "1"],
        ["comprehension", "0", "1"],
        ["collapsed", "0", "0"],
        ["diverged", "0", "1"],
    ]


def test_a_study_without_runs_counts_nothing() -> None:
    table = overview_table(
        {
            "runs": frame([key()]),
            "transitions": frame([onsets(None, None)]),
            "phases": frame([phase("confusion")]),
        },
        ["a"],
        200,
    )
    assert set(column(table, "a")) == {"0"}
