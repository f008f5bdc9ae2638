"""Phases: the published rule, its edges, votes."""

import itertools

import numpy as np
import pandas as pd
import pytest

from grokscope.measure.panel import measure_panel
from grokscope.measure.phases import GENERALISING, PHASES, label, phase_rows
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace

ANALYSIS = default_analysis(phases={"threshold": 0.95, "gap": 200})
STEP = np.arange(2501)


def run(train_from=None, test_from=None, columns=None, **overrides):
    """A run whose metrics reach 0.96 at given steps, or never; evaluated every 100 steps."""
    metrics = {
        f"{name}_metric": 0.1 if start is None else np.where(start <= STEP, 0.96, 0.1)
        for name, start in (("train", train_from), ("test", test_from))
    }
    spec = make_spec(steps=2500, test_every=100, study="phase_diagram", **overrides)
    return make_trace(spec, **(metrics | (columns or {})))


def phases_table(traces):
    return measure_panel(traces, ANALYSIS).tables["phases"]


def only(trace):
    table = phases_table([trace])
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize(
    ("train_from", "test_from", "phase", "gap"),
    [
        (None, None, "confusion", None),
        (300, None, "memorisation", None),
        (300, 501, "grokking", 300),  # seen at 600
        (300, 600, "grokking", 300),
        (300, 500, "comprehension", 200),
        (300, 300, "comprehension", 0),
        (500, 300, "comprehension", -200),
        (None, 300, "confusion", None),
        (2500, 2500, "comprehension", 0),
    ],
)
def test_published_rule(train_from, test_from, phase, gap):
    found = only(run(train_from, test_from))
    assert found["phase"] == phase
    assert (gap is None and pd.isna(found["gap"])) or found["gap"] == gap
    assert found["gap_censored"] == (test_from is None)


def test_steps_of_evaluations():
    found = only(run(301, 1099))
    assert found["train_reached_step"] == 400
    assert found["test_reached_step"] == 1100


def test_final_metrics_decide_not_the_best():
    """Reached and then missed: the gap is known, the label is that of the end."""
    lost = np.where((STEP >= 300) & (STEP < 2000), 1.0, 0.9)
    found = only(run(300, columns={"test_metric": lost}))
    assert found["phase"] == "memorisation"
    assert found["gap"] == 0
    assert not found["gap_censored"]
    assert only(run(test_from=300, columns={"train_metric": lost}))["phase"] == "confusion"


@pytest.mark.parametrize(
    ("low_from", "low_until", "level", "phase", "lost"),
    [
        (2000, 2600, 0.49, "collapsed", 2000),
        (2000, 2600, 0.5, "memorisation", None),  # Not below it.
        (2100, 2600, 0.0, "collapsed", 2100),
        (2200, 2600, 0.0, "memorisation", None),  # Four evaluations.
        (1000, 1500, 0.0, "comprehension", 1000),  # It came back.
        (1000, 1400, 0.0, "comprehension", None),
    ],
)
def test_a_run_that_generalised_and_lost_it_collapsed(low_from, low_until, level, phase, lost):
    low = (low_from <= STEP) & (low_until > STEP)
    metric = np.where(STEP < 300, 0.1, np.where(low, level, 0.96))
    tables = measure_panel([run(300, columns={"test_metric": metric})], ANALYSIS).tables
    row = tables["transitions"].iloc[0]
    assert tables["phases"]["phase"].tolist() == [phase]
    assert row["test_onset_step"] == 300
    assert (None if pd.isna(row["test_lost_step"]) else row["test_lost_step"]) == lost
    assert row["test_lost_censored"] == (lost is None)


def test_what_never_generalised_cannot_be_lost():
    # Four evaluations are no onset.
    brief = np.where((STEP >= 300) & (STEP < 700), 1.0, 0.0)
    tables = measure_panel([run(300, columns={"test_metric": brief})], ANALYSIS).tables
    assert tables["phases"]["phase"].tolist() == ["memorisation"]
    assert tables["transitions"][["test_lost_step", "test_lost_censored"]].isna().all(axis=None)


def test_the_initial_state_is_no_evaluation():
    lucky = np.where(STEP < 50, 1.0, np.where(STEP < 1000, 0.1, 1.0))
    found = only(run(100, columns={"test_metric": lucky}))
    assert found["test_reached_step"] == 1000
    assert found["phase"] == "grokking"


def test_threshold_counts_as_reached_in_float32():
    found = only(run(columns={"train_metric": 0.95, "test_metric": 19 / 20}))
    assert found["phase"] == "comprehension"


def test_nan_metrics_are_not_reached():
    assert only(run(columns={"train_metric": np.nan, "test_metric": np.nan}))["phase"] == (
        "confusion"
    )
    assert only(run(100, columns={"test_metric": np.nan}))["phase"] == "memorisation"


def test_a_diverged_run_says_so_whatever_it_reached():
    trace = make_trace(
        make_spec(steps=2500), diverged_step=2400, train_metric=np.ones(2400), test_metric=1.0
    )
    assert only(trace)["phase"] == "diverged"


@pytest.mark.parametrize("n_rows", [0, 1, 2, 3])
@pytest.mark.parametrize("stopped", ["early_stop", "completed"])
def test_hardly_any_rows(n_rows, stopped):
    trace = make_trace(make_spec(), stopped=stopped, train_metric=np.zeros(n_rows))
    assert only(trace)["phase"] == "confusion"


def test_every_run_has_a_label():
    for diverged, train, test, gap, lost in itertools.product(
        (False, True), (False, True), (False, True), (-100, 0, 200, 201), (False, True)
    ):
        assert label(diverged, train, test, gap, 200, lost) in PHASES
    assert label(False, True, False, None, 200, False) == "memorisation"
    with pytest.raises(ValueError, match="gap is None"):
        label(False, True, True, None, 200, False)


def test_vote_and_agreement_of_the_seeds_of_a_cell():
    """Two grokking runs of three; a tie goes to the first in the published order."""
    traces = [
        run(300, 900, seed=0),
        run(300, 300, seed=1),
        run(300, 1000, seed=2),
        run(300, 300, seed=0, width=64),
        run(300, None, seed=1, width=64),
        run(300, 300, seed=0, weight_decay=0.1),
    ]
    table = phases_table(iter(traces))
    assert table["vote"].tolist() == ["grokking"] * 3 + ["memorisation"] * 2 + ["comprehension"]
    assert table["agreement"].tolist() == pytest.approx([2 / 3] * 3 + [0.5] * 2 + [1.0])
    assert table["cell_seeds"].tolist() == [3, 3, 3, 2, 2, 1]
    assert len(phases_table([])) == 0


def test_a_vote_is_of_a_cell_where_more_settings_vary():
    """Two moduli are two cells, though all fixed key columns are the same."""
    specs = [make_spec(seed=s, p=p, varied=("p",)) for p in (59, 97) for s in (0, 1)]
    labels = ["grokking", "grokking", "memorisation", "confusion"]
    rows = phase_rows(
        {spec.key: {"phase": name} for spec, name in zip(specs, labels, strict=True)}
    )
    assert [(row["p"], row["vote"], row["cell_seeds"]) for row in rows] == [
        (59, "grokking", 2),
        (59, "grokking", 2),
        (97, "confusion", 2),
        (97, "confusion", 2),
    ]


def test_generalising_phases_end_with_both_metrics_at_the_threshold():
    labels = {label(False, True, True, gap, 200, False) for gap in (0, 201)}
    assert labels == set(GENERALISING) < set(PHASES)
