"""Multiverse: alarms counted by hand, planted kinks, headline numbers by hand, the scripts."""

import json
import runpy
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from grokscope import multiverse
from grokscope.alarms import alarm_steps, gai, score, scores
from grokscope.claims import rules
from grokscope.multiverse import Sample, expected_hits, multiverse_table
from grokscope.rank import rank_table
from grokscope.statistics import NO_INTERVAL, Interval
from grokscope.summary import runs_table
from grokscope.tables import conform, empty, read_table, write_table
from grokscope.variants import (
    Choice,
    Target,
    choices,
    count_alarms,
    first_alarm,
    hit_share,
    layer_order,
    spike,
    targets,
    variant_rows,
    variants_table,
)
from synthetic import make_spec, make_trace, write

ROOT = Path(__file__).parents[1]
PUBLISHED = yaml.safe_load((ROOT / "workflow/report/claims.yaml").read_text(encoding="utf-8"))
WINDOW = (200, 400)
SETTINGS = {
    "onset": {
        "evaluations": 5,
        "train_threshold": 0.99,
        "test_thresholds": [0.5, 0.95],
        "event_threshold": 0.95,
    },
    "alarms": {
        "smoothing_window": 20,
        "sigma_window": 100,
        "threshold": 3.5,
        "refractory": 100,
        "centred": False,
    },
    "phases": {"threshold": 0.95, "gap": 200},
    "rank": {"before": 500, "after": 500},
    "evaluation": {
        "lead_window": list(WINDOW),
        "development_seeds": [0],
        "confidence": 0.95,
        "resamples": 100,
        "seed": 0,
    },
    "multiverse": {
        "smoothing": ["causal", "centred"],
        "sigma": ["running", "expanding"],
        "sign": ["signed", "absolute"],
        "norm": ["raw", "log"],
        "windows": [10, 20],
    },
}
DEFAULT = Choice("causal", "running", "signed", "raw", 20)

EVENT = Target(0.95, 1000, True)
FAST = Target(0.95, 500, False)
NEVER = Target(0.95, None, False)


def steps(*values):
    return np.array(values, np.int64)


def learning_run(seed=1, kinks=(), onset=1200, n_steps=2000, **spec):
    """Memorises at 300, passes 0.5 at `onset` - 200 and 0.95 at `onset` (None: neither).

    The norm is noise around 1, too small for an alarm; at each kink it rises for 20 steps.
    """
    step = np.arange(n_steps + 1)
    noise = np.random.default_rng(seed).choice([-1e-3, 1e-3], n_steps + 1)
    norm = 1 + noise + sum(0.05 * np.clip(step - kink, 0, 20) for kink in kinks)
    test = np.zeros(n_steps + 1)
    if onset is not None:
        test[onset - 200 :], test[onset:] = 0.6, 1.0
    return make_trace(
        make_spec(seed=seed, steps=n_steps, **spec),
        grad_norm=norm,
        train_metric=(step >= 300) * 1.0,
        test_metric=test,
    )


def rows_of(trace, **wanted):
    rows = list(variant_rows(trace, SETTINGS))
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


# --- rules -----------------------------------------------------------------------------------


def test_rules_by_hand():
    some = Interval(0.2, 0.6)
    assert rules.inside(200, 200, 400) and rules.inside(400, 200, 400)
    assert not rules.inside(199.5, 200, 400) and not rules.inside(401, 200, 400)
    assert rules.reaches(0.4, some, 0.6) and not rules.reaches(0.4, some, 0.61)
    assert rules.reaches(0.7, NO_INTERVAL, 0.7) and not rules.reaches(0.7, NO_INTERVAL, 0.71)
    assert rules.above(0.4, some, 0.19) and not rules.above(0.4, some, 0.2)
    assert rules.above(0.4, NO_INTERVAL, 0.3)
    assert rules.correlates(0.4, some, 0.5) and not rules.correlates(0.4, some, 0.82)
    assert not rules.correlates(0.4, Interval(-0.1, 0.9), 0.82)


def test_significance_needs_seeds():
    assert rules.significant(0.4, Interval(0.2, 0.6), True) is True
    assert rules.significant(0.4, Interval(0.0, 0.6), True) is False
    assert rules.significant(0.4, Interval(0.2, 0.6), False) is None
    assert rules.significant(0.4, NO_INTERVAL, False) is None
    assert rules.significant(0.0, NO_INTERVAL, False) is False


# --- alarms of a run -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarms", "target", "expected"),
    [
        # The window is 600..800: its ends hit, their neighbours do not.
        ([600], EVENT, (1, 1, 1)),
        ([800], EVENT, (1, 1, 1)),
        ([599, 801], EVENT, (2, 2, 0)),
        # One to one: the second alarm in the window is false.
        ([650, 750], EVENT, (2, 2, 1)),
        # At the onset and after it the run is no longer at risk.
        ([700, 1000, 1500], EVENT, (1, 1, 1)),
        # No event: judged if the window ends by the last step, 2000.
        ([100, 1600, 1601], NEVER, (3, 2, 0)),
        # Generalised without delay: nothing can follow, all are false.
        ([100, 1600, 1601], FAST, (3, 3, 0)),
        ([], EVENT, (0, 0, 0)),
    ],
)
def test_alarms_are_counted_by_what_comes_of_them(alarms, target, expected):
    """Each choice by itself: neither the silent one nor the busy one beside it matters."""
    beside = [steps(), steps(*alarms), steps(50, 610, 790)]
    silent, found, _ = count_alarms(beside, target, 2000, WINDOW)
    assert silent == (0, 0, 0)
    assert found == expected


def test_hit_share_counts_scored_steps_at_risk():
    scored = np.ones(2001, bool)
    assert hit_share(scored, EVENT, WINDOW) == 201 / 1000
    scored[:500] = False
    assert hit_share(scored, EVENT, WINDOW) == 201 / 500
    # The window's start lies in the warm-up.
    scored[:700] = False
    assert hit_share(scored, EVENT, WINDOW) == 101 / 300
    scored[:1000] = False
    assert hit_share(scored, EVENT, WINDOW) is None
    assert hit_share(scored, NEVER, WINDOW) == hit_share(scored, FAST, WINDOW) == 0


def test_hit_share_of_an_onset_before_the_window():
    early = Target(0.95, 300, True)
    assert hit_share(np.ones(1000, bool), early, WINDOW) == 101 / 300
    assert hit_share(np.ones(1000, bool), Target(0.95, 100, True), WINDOW) == 0


def test_leads_are_of_alarms_before_events():
    assert EVENT.lead(999) == 1
    assert EVENT.lead(1000) is None
    assert EVENT.lead(None) is None
    assert FAST.lead(100) is NEVER.lead(100) is None


def test_spike_is_the_largest_score_before_onset():
    values = np.full(2001, np.nan)
    values[[100, 400, 700, 1800]] = [1, 5, 4, 9]
    assert spike(values, EVENT, 3.5) == 5
    assert spike(values, NEVER, 3.5) == 9
    assert spike(values, Target(0.95, 300, False), 3.5) is None
    assert spike(np.full(10, np.nan), NEVER, 3.5) is None


def test_first_alarm():
    assert first_alarm(np.array([np.nan, 3.5, 3.6, 9]), 3.5) == 2
    assert first_alarm(np.array([np.nan, 3.5]), 3.5) is None


def test_layer_order_is_minus_one_where_the_last_layer_leads():
    assert layer_order([100, 200, 300]) == pytest.approx(-1)
    assert layer_order([300, None, 200]) == pytest.approx(1)
    # tau-b by hand: pairs (1,2) +, (1,3) 0, (2,3) -; sqrt(3 * 2) below.
    assert layer_order([300, 200, 300]) == pytest.approx(0)
    assert layer_order([100, 300, 300]) == pytest.approx(-2 / np.sqrt(6))
    assert layer_order([100, None]) is layer_order([100, 100]) is layer_order([]) is None


# --- choices ---------------------------------------------------------------------------------


def test_choices_are_all_combinations():
    found = list(choices(SETTINGS["multiverse"], SETTINGS["alarms"]))
    assert len(found) == len(set(found)) == 2**5
    assert DEFAULT in found
    without = list(choices(SETTINGS["multiverse"], SETTINGS["alarms"] | {"sigma_window": None}))
    assert {choice.sigma for choice in without} == {"expanding"} and len(without) == 2**4


def test_each_choice_changes_what_it_says():
    norms = np.exp(np.random.default_rng(0).normal(size=(2, 500)).cumsum(axis=-1) / 100)
    base = DEFAULT.scores(norms, 100)
    assert base.tobytes() == score(gai(norms, 20), 100).tobytes()
    expected = {
        "centred": score(gai(norms, 20, centred=True), 100),
        "expanding": score(gai(norms, 20), None),
        "absolute": score(np.abs(gai(norms, 20)), 100),
        "log": score(gai(np.log(norms), 20), 100),
        "window": score(gai(norms, 10), 100),
    }
    found = {
        "centred": DEFAULT._replace(smoothing="centred"),
        "expanding": DEFAULT._replace(sigma="expanding"),
        "absolute": DEFAULT._replace(sign="absolute"),
        "log": DEFAULT._replace(norm="log"),
        "window": DEFAULT._replace(window=10),
    }
    for name, choice in found.items():
        assert choice.scores(norms, 100).tobytes() == expected[name].tobytes()
        assert not np.array_equal(expected[name], base, equal_nan=True)


def test_log_of_a_zero_norm_has_no_score():
    norms = np.ones((1, 300)) + np.random.default_rng(0).random((1, 300))
    norms[0, 200] = 0
    found = DEFAULT._replace(norm="log").scores(norms, 100)[0]
    assert np.isfinite(found[199]) and np.isnan(found[200:203]).all()


def test_targets_of_every_threshold():
    trace = learning_run(onset=600)
    # 0.5 is passed at 400, 100 steps after memorisation: fast there, an event at 0.95.
    assert targets(trace, SETTINGS["onset"], 200) == [
        Target(0.5, 400, False),
        Target(0.95, 600, True),
    ]
    assert targets(learning_run(onset=None), SETTINGS["onset"], 200) == [
        Target(0.5, None, False),
        Target(0.95, None, False),
    ]


# --- table variants --------------------------------------------------------------------------


def test_planted_kinks_are_counted_by_hand():
    """Kinks at 800 and 960 before an onset at 1200, one at 1500 after it."""
    trace = learning_run(kinks=(800, 960, 1500))
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    # The index is up for the 20 steps of the kink: alarms at its first steps.
    assert row["event"] and (row["n_alarms"], row["n_judged"], row["n_hits"]) == (2, 2, 1)
    assert 380 <= row["first_lead"] <= 400
    # At 0.5 the onset is 1000: the second kink is too late, both leads are 200 shorter.
    (half,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.5)
    assert half["first_lead"] == row["first_lead"] - 200
    assert (half["n_alarms"], half["n_hits"]) == (2, 0)
    assert row["spike"] == half["spike"] > 10
    # The first score is at step 1 + 20 + 100; 1079 (879) steps at risk have one.
    assert row["chance"] == pytest.approx(201 / (1200 - 121))
    assert half["chance"] == pytest.approx(201 / (1000 - 121))
    # Both layers share the norm, so they are first at the same step.
    assert row["last_first_lead"] == row["first_first_lead"] > 0 and row["tau"] is None


def test_default_variant_agrees_with_the_alarms():
    trace = learning_run(kinks=(800, 960, 1500))
    settings = SETTINGS["alarms"]
    combined = scores(trace, settings)["combined"]
    expected = alarm_steps(combined, settings["threshold"], settings["refractory"])
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    before = expected[expected < 1200]
    assert row["n_alarms"] == len(before) and row["first_lead"] == 1200 - before[0]
    assert row["spike"] == np.nanmax(combined[:1200])


def test_centred_smoothing_knows_earlier():
    """A centred average sees a kink up to half a window before it happens: the leak."""
    trace = learning_run(kinks=(800,))
    (causal,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    centred = DEFAULT._replace(smoothing="centred")._asdict()
    (leaking,) = rows_of(trace, **centred, onset_threshold=0.95)
    assert leaking["first_lead"] == causal["first_lead"] + 10


def run_with_kinks(kinks, **spec):
    """A run that generalises at 1200, with a kink in the norm of each layer."""
    step = np.arange(2001)
    noise = np.random.default_rng(0).choice([-1e-3, 1e-3], 2001)
    norms = {
        f"grad_norm_{layer}": 1 + noise + 0.05 * np.clip(step - kink, 0, 20)
        for layer, kink in kinks.items()
    }
    return make_trace(
        make_spec(steps=2000, **spec),
        train_metric=(step >= 300) * 1.0,
        test_metric=(step >= 1200) * 1.0,
        **norms,
    )


def test_last_layer_that_leads_has_the_longer_lead():
    trace = run_with_kinks({1: 900, 2: 800})
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    assert row["last_first_lead"] - row["first_first_lead"] == pytest.approx(100, abs=5)
    assert row["tau"] == pytest.approx(-1)
    # The combined norm is constant: no score, no alarm, no share of steps at risk.
    assert row["n_alarms"] == 0 and row["first_lead"] is row["spike"] is row["chance"] is None


def test_rank_drop_agrees_with_the_rank_table():
    step = np.arange(2001)
    trace = make_trace(
        make_spec(steps=2000),
        train_metric=(step >= 300) * 1.0,
        test_metric=(step >= 1200) * 1.0,
        effective_rank_2=np.where(step < 1200, 10.0, 6.0),
        stable_rank_2=np.where(step < 1200, 4.0, 5.0),
        numerical_rank_1=np.where(step < 1200, 10.0, 1.0),
    )
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    drops = {m: row[f"{m}_drop"] for m in ("effective", "stable", "numerical")}
    assert drops == pytest.approx({"effective": 0.4, "stable": -0.25, "numerical": 0})
    table = rank_table([trace], SETTINGS["rank"], SETTINGS["onset"])
    last = table[table["is_last_layer"]].set_index("measure")["relative_drop"]
    assert dict(last.astype(float)) == pytest.approx(drops)
    # Without a rank there is no drop.
    unranked = make_trace(make_spec(steps=2000, rank_every=None), test_metric=(step >= 1200) * 1.0)
    assert rows_of(unranked)[0]["effective_drop"] is None


@pytest.mark.parametrize("rows", [0, 1, 5, 100])
def test_short_and_diverged_runs_have_rows(rows):
    trace = make_trace(
        make_spec(steps=1000), diverged_step=rows, grad_norm=np.linspace(1, 2, rows)
    )
    table = variants_table([trace], SETTINGS)
    assert len(table) == 2 * 2**5
    assert not table["event"].any() and (table["n_alarms"] == 0).all()


def test_embeddings_are_no_layer_of_the_order():
    trace = run_with_kinks({0: 700, 1: 900, 2: 800}, encoding="embedding", p=7)
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    assert row["last_first_lead"] - row["first_first_lead"] == pytest.approx(100, abs=5)
    assert row["tau"] == pytest.approx(-1)


# --- headline numbers ------------------------------------------------------------------------


def sample(seeds=None, **columns):
    """A sample of runs with these columns, of seeds 1, 2, ..., two depths in turn."""
    n = len(next(iter(columns.values())))
    rows = pd.DataFrame(
        {
            "seed": range(1, n + 1) if seeds is None else seeds,
            "depth": [2 + i % 2 for i in range(n)],
            "task": "modular_addition",
            "event": True,
        }
        | columns
    )
    return Sample(rows, SETTINGS["evaluation"])


VALUES = {entry["id"]: entry["values"] for entry in PUBLISHED}


def test_median_lead_counts_misses_as_zero():
    found = multiverse.median_lead(
        sample(
            event=[True, True, True, False],
            first_lead=[300.0, 350.0, np.nan, np.nan],
        ),
        VALUES["GAI1"],
    )
    assert (found.measured, found.n, found.supports) == (300, 3, True)
    missed = multiverse.median_lead(sample(first_lead=[300, np.nan, np.nan]), VALUES["GAI1"])
    assert (missed.measured, missed.supports) == (0, False)


def test_precision_pools_alarms_and_recall_events():
    runs = sample(event=[True, True, False], n_hits=[1, 0, 0], n_judged=[3, 0, 1])
    found = multiverse.precision(runs, VALUES["GAI2"])
    assert (found.measured, found.n, found.supports) == (0.25, 3, False)
    # Seeds alone give 1/3, nothing and 0; resamples lie between.
    assert found.interval == (0, pytest.approx(1 / 3))
    found = multiverse.recall(runs, VALUES["GAI3"])
    assert (found.measured, found.n, found.supports) == (0.5, 2, True)


def test_spike_correlation_is_of_classification_runs_with_an_alarm():
    found = multiverse.spike_correlation(
        sample(
            spike=[4.0, 5.0, 6.0, np.nan, 400.0],
            final_test_metric=[0.1, 0.2, 0.3, 1.0, -5.0],
            task=["modular_addition"] * 4 + ["cubic_regression"],
        ),
        VALUES["GAI4"],
    )
    assert found.measured == pytest.approx(1) and found.n == 3 and found.supports


def test_order_of_layers_by_hand():
    """Last first, first first, tie, only the last, only the first, neither."""
    runs = sample(
        last_first_lead=[300, 100, 200, 50, np.nan, np.nan],
        first_first_lead=[100, 300, 200, np.nan, 50, np.nan],
    )
    found = multiverse.last_layer_first(runs, {})
    assert (found.measured, found.n, found.supports) == (0.4, 5, False)
    always = sample(last_first_lead=[300, 200], first_first_lead=[100, np.nan])
    assert multiverse.last_layer_first(always, {}).supports


def test_rank_drop_is_the_median_over_events():
    runs = sample(stable_drop=[0.2, 0.4, np.nan, 0.9], event=[True, True, True, False])
    found = multiverse.rank_drop(runs, VALUES["GAI6"], "stable")
    assert found.measured == pytest.approx(0.3) and (found.n, found.supports) == (2, True)


def test_expected_hits_agree_with_random_alarms():
    """Simulated: 3 alarms at random among 100 steps of which 20 hit, one to one."""
    rng = np.random.default_rng(0)
    hits = (rng.integers(100, size=(20_000, 3)) < 20).any(axis=1).mean()
    expected = expected_hits(np.array([0.2, np.nan]), np.array([3.0, 0]))
    assert expected == pytest.approx([1 - 0.8**3, 0])
    assert hits == pytest.approx(expected[0], abs=0.01)


def test_excess_over_chance_by_hand():
    """Two alarms in a run with hit share 0.5 have 0.75 hits by chance."""
    runs = sample(n_hits=[1, 0], n_judged=[2, 1], chance=[0.5, 0.5], event=[True, True])
    worst = multiverse.every_depth(runs, VALUES["GAI7"])
    # Depth 2: (1 - 0.75) / 2; depth 3: -0.5.
    assert (worst.measured, worst.n, worst.supports) == (-0.5, 2, False)
    pooled = multiverse.corrected_excess(runs, VALUES["GAI8"])
    assert pooled.measured == pytest.approx(-0.25 / 3) and pooled.supports is False
    good = sample(n_hits=[1, 1], n_judged=[2, 1], chance=[0.5, 0.5])
    assert multiverse.every_depth(good, VALUES["GAI7"]).supports
    # Two seeds cannot be significant at 1 - 0.05 / 7.
    assert multiverse.corrected_excess(good, VALUES["GAI8"]).supports is None


def test_interval_of_the_family_is_wider():
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, 20)
    runs = sample(n_hits=hits, n_judged=np.ones(20), chance=np.full(20, 0.1))
    found = multiverse.corrected_excess(runs, VALUES["GAI8"]).interval
    plain = runs.ratio_interval(hits - 0.1, np.ones(20))
    assert found.low < plain.low < plain.high < found.high


def test_a_silent_depth_speaks_against_every_depth():
    runs = sample(n_hits=[1, 0], n_judged=[1, 0], chance=[0.1, 0.1])
    found = multiverse.every_depth(runs, VALUES["GAI7"])
    assert found.measured == pytest.approx(0.9) and found.supports is False


def test_nothing_to_measure_is_null():
    nothing = sample(
        event=[False],
        n_hits=[0],
        n_judged=[0],
        chance=[0.0],
        first_lead=[np.nan],
        spike=[np.nan],
        final_test_metric=[0.5],
        last_first_lead=[np.nan],
        first_first_lead=[np.nan],
        effective_drop=[np.nan],
    )
    for claim, measure in multiverse.OF_ALARMS.items():
        assert measure(nothing, VALUES[claim]) == multiverse.NOTHING, claim
    assert multiverse.rank_drop(nothing, VALUES["GAI6"], "effective") == multiverse.NOTHING


# --- table multiverse ------------------------------------------------------------------------


# Fewer choices: 8 instead of 32.
FEW = SETTINGS | {"multiverse": SETTINGS["multiverse"] | {"sign": ["signed"], "norm": ["raw"]}}


@pytest.fixture(scope="module")
def study():
    """Variants and runs of six seeds: two silent, four with kinks; one never generalises."""
    plans = [(), (850,), (850, 1000), (300,), (900,), ()]
    traces = [
        learning_run(seed=seed, kinks=kinks, onset=None if seed == 4 else 1200)
        for seed, kinks in enumerate(plans)
    ]
    return variants_table(traces, FEW), runs_table(traces)


def test_table_has_a_row_a_claim_and_choice(study):
    table = multiverse_table(*study, PUBLISHED, FEW)
    counts = table["claim"].value_counts()
    assert dict(counts) == dict.fromkeys(multiverse.OF_ALARMS, 2 * 2**3) | {"GAI6": 2 * 3}
    default = table[table["is_default"]].set_index("claim")
    assert default.index.tolist() == [f"GAI{number}" for number in range(1, 9)]
    # Seed 0 is for development. Of 5 runs, 4 with event: leads 350, 350, 900 and none.
    assert default.loc["GAI1", "n"] == 4
    assert default.loc["GAI1", "measured"] == pytest.approx(345, abs=15)
    assert default.loc["GAI1", "supports"]
    # Alarms: 850 hits, 850 hits and 1000 not, 300 not, 900 in the run without event not.
    assert default.loc["GAI2", "measured"] == pytest.approx(2 / 5)
    assert default.loc["GAI3", "measured"] == pytest.approx(2 / 4)
    assert default.loc["GAI6", "rank_measure"] == "effective"
    assert pd.isna(default.loc["GAI6", "window"]) and pd.isna(default.loc["GAI1", "rank_measure"])


def test_table_is_invariant_to_the_order_of_runs(study):
    variants, runs = study
    choice = [*multiverse.CHOICES, "claim"]
    tables = [
        multiverse_table(part, runs.iloc[::-1], PUBLISHED, FEW).sort_values(choice)
        for part in (variants, variants.sample(frac=1, random_state=1))
    ]
    one, other = (table.reset_index(drop=True) for table in tables)
    pd.testing.assert_frame_equal(one, other)


def test_table_of_no_runs_is_empty():
    table = multiverse_table(empty("variants"), empty("runs"), PUBLISHED, FEW)
    assert table.empty


def test_configured_choice_outside_the_grid_is_not_marked(study):
    settings = FEW | {"alarms": SETTINGS["alarms"] | {"smoothing_window": 33}}
    table = multiverse_table(*study, PUBLISHED, settings)
    assert table[table["is_default"]]["claim"].tolist() == ["GAI6"]


def test_regression_arms_are_no_accuracies():
    traces = [
        learning_run(seed=seed, kinks=(850,), onset=None, task=task)
        for seed, task in product((1, 2, 3, 4), ("modular_addition", "cubic_regression"))
    ]
    table = multiverse_table(variants_table(traces, FEW), runs_table(traces), PUBLISHED, FEW)
    # All accuracies are 0, so nothing correlates; and nothing generalises.
    assert table["measured"].isna().all() and table["supports"].isna().all()


def test_scripts_write_the_tables(tmp_path):
    traces = [learning_run(seed=seed, kinks=(850,)) for seed in (1, 2)]
    paths = [str(write(trace, tmp_path)) for trace in traces]
    outputs = {name: str(tmp_path / f"{name}.parquet") for name in ("variants", "multiverse")}
    specs = json.dumps([json.loads(trace.spec.to_json()) for trace in traces])
    run = {
        "vary_analysis": SimpleNamespace(
            input=SimpleNamespace(traces=paths),
            output=SimpleNamespace(table=outputs["variants"]),
            params=SimpleNamespace(specs=specs, settings=json.dumps(FEW)),
        ),
        "judge_multiverse": SimpleNamespace(
            input=SimpleNamespace(
                variants=outputs["variants"],
                runs=str(tmp_path / "runs.parquet"),
                published=str(ROOT / "workflow/report/claims.yaml"),
            ),
            output=SimpleNamespace(table=outputs["multiverse"]),
            params=SimpleNamespace(settings=json.dumps(FEW)),
        ),
    }
    write_table(runs_table(traces), tmp_path / "runs.parquet", "runs")
    for name, stub in run.items():
        script = ROOT / "workflow" / "scripts" / f"{name}.py"
        runpy.run_path(str(script), init_globals={"snakemake": stub}, run_name="__main__")
    variants = read_table(outputs["variants"], "variants")
    pd.testing.assert_frame_equal(variants, variants_table(traces, FEW))
    table = read_table(outputs["multiverse"], "multiverse")
    pd.testing.assert_frame_equal(conform(table, "multiverse"), table)
    default = table[table["is_default"]].set_index("claim")
    assert default.loc["GAI3", "measured"] == 1
