"""Rank: planted drops, matched references, windows, nulls."""

import numpy as np
import pandas as pd
import pytest

from grokscope.measure.panel import measure_panel
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace

ANALYSIS = default_analysis(rank={"before": 200, "after": 200})
STEP = np.arange(1001)


def run(onset=None, steps=1000, columns=None, **overrides):
    """A run that generalises at `onset`, or never."""
    step = STEP[: steps + 1]
    metric = np.zeros(len(step)) if onset is None else step >= onset
    early = {"stopped": "early_stop"} if steps < 1000 else {}
    return make_trace(make_spec(**overrides), test_metric=metric, **early, **(columns or {}))


def rank_table(traces):
    return measure_panel(traces, ANALYSIS).tables["rank"]


def row(table, layer=2, measure="effective", seed=0):
    chosen = table[
        (table["layer"] == str(layer)) & (table["measure"] == measure) & (table["seed"] == seed)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_planted_drop():
    """40 before onset, 30 from it on; measured every 50 steps, so the fall ends at 500."""
    columns = {
        "effective_rank_2": np.where(STEP < 500, 40, 30),
        "stable_rank_1": np.where(STEP < 700, 10, 4),
    }
    table = rank_table([run(500, columns=columns)])
    assert len(table) == 2 * 3
    last = row(table)
    assert last["is_last_layer"]
    assert last["reference"] == "onset"
    assert last["reference_step"] == 500
    assert (last["before"], last["after"]) == (40, 30)
    assert last["relative_drop"] == pytest.approx(0.25)
    assert last["steepest_fall_step"] == 500
    assert last["steepest_fall_lead"] == 0
    first = row(table, layer=1, measure="stable")
    assert not first["is_last_layer"]
    # 500, 550, 600, 650 before the fall against 700 after it: the window is half-open.
    assert (first["before"], first["after"]) == (10, 10)
    assert first["steepest_fall_lead"] == -200
    flat = row(table, layer=1)
    assert flat["relative_drop"] == 0
    assert pd.isna(flat["steepest_fall_step"])
    assert pd.isna(flat["steepest_fall_lead"])


def test_windows_end_where_they_should():
    """[300, 500) and [500, 700]: measurements 250 and 750 are outside, 300 and 700 inside."""
    ranks = np.full(1001, 1.0)
    ranks[[300, 350, 400, 450]] = [8, 8, 2, 4]
    ranks[[500, 550, 600, 650, 700]] = [5, 5, 7, 9, 9]
    table = rank_table([run(500, columns={"effective_rank_2": ranks})])
    assert row(table)["before"] == 6
    assert row(table)["after"] == 7
    assert row(table)["relative_drop"] == pytest.approx(-1 / 6)
    # The largest fall anywhere: from 9 at 700 to 1 at 750.
    assert row(table)["steepest_fall_step"] == 750


def test_matched_reference_is_the_median_onset_of_the_cell():
    runs = [run(300, seed=0), run(400, seed=1), run(None, seed=2), run(900, seed=3, width=64)]
    table = rank_table(runs)
    assert row(table, seed=2)["reference"] == "matched"
    assert row(table, seed=2)["reference_step"] == 350


def test_matched_reference_is_the_panels_if_no_run_of_the_cell_generalises():
    table = rank_table([run(900, seed=3, width=64), run(None, seed=2)])
    assert row(table, seed=2)["reference"] == "matched"
    assert row(table, seed=2)["reference_step"] == 900


def test_median_onset_is_rounded():
    runs = [run(300, seed=0, test_every=1), run(403, seed=1, test_every=1), run(seed=2)]
    assert row(rank_table(runs), seed=2)["reference_step"] == 352


@pytest.mark.parametrize("others", [[], [run(700, seed=1)]])
def test_no_reference_without_a_generalising_run_or_beyond_the_end(others):
    columns = {"effective_rank_2": np.linspace(9, 3, 601)}
    table = rank_table([run(steps=600, columns=columns), *others])
    found = row(table)
    assert found["reference"] == "none"
    assert found[["reference_step", "before", "after", "relative_drop"]].isna().all()
    assert pd.notna(found["steepest_fall_step"])
    assert pd.isna(found["steepest_fall_lead"])


def test_a_run_as_long_as_the_matched_step_has_a_reference():
    table = rank_table([run(steps=700), run(700, seed=1)])
    assert row(table)["reference"] == "matched"


def test_unmeasured_ranks_are_null():
    table = rank_table([run(500, rank_every=None)])
    assert table["reference_step"].eq(500).all()
    assert table[["before", "after", "relative_drop", "steepest_fall_step"]].isna().all(axis=None)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_hardly_any_rows(n_rows):
    short = make_trace(make_spec(seed=7), stopped="diverged", test_metric=np.zeros(n_rows))
    table = rank_table([short, run(500)])
    assert row(table, seed=7)["reference"] == "none"


def test_table_matches_its_schema_and_takes_a_stream():
    table = rank_table(iter([run(500), run(seed=1)]))
    assert len(table) == 2 * 2 * 3
    assert len(rank_table([])) == 0


def test_runs_of_two_panels_are_refused():
    with pytest.raises(ValueError, match="one panel"):
        rank_table([run(), run(depth=3)])
