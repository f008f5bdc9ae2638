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

from grokscope.claims import claims_table, multiverse, rules
from grokscope.claims.multiverse import Chance, Sample, multiverse_table
from grokscope.claims.registry import HOLDS, NOT_TESTABLE, Evidence
from grokscope.data.tables import concatenate, conform, empty, read_table, write_table
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.matching import Cohort
from grokscope.evaluate.statistics import NO_INTERVAL, Interval
from grokscope.evaluate.study import evaluation_tables, raise_alarms
from grokscope.measure.alarms import alarm_steps, alarms_table, gai, score, scores
from grokscope.measure.detectors import DETECTORS, score_run
from grokscope.measure.rank import rank_table
from grokscope.measure.summary import runs_table
from grokscope.measure.transitions import transitions_table
from grokscope.measure.variants import (
    Choice,
    Target,
    choices,
    fire,
    first_alarm,
    layer_order,
    steps_of,
    steps_text,
    targets,
    variant_rows,
    variants_table,
)
from synthetic import ANALYSIS, make_spec, make_trace, write

ROOT = Path(__file__).parents[2]
PUBLISHED = yaml.safe_load((ROOT / "workflow/report/claims.yaml").read_text(encoding="utf-8"))
SETTINGS = ANALYSIS | {
    "phases": {"threshold": 0.95, "gap": 200},
    "rank": {"before": 500, "after": 500},
    "evaluation": {
        "lead_window": [200, 400],
        "horizons": [1000],
        "minimum_lead": 10,
        "primary_horizon": 1000,
        "development_seeds": [0],
        "surrogates": 99,
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
TRANSITIONS = {
    "skip_fraction": 0.02,
    "savgol_window": 51,
    "savgol_order": 3,
    "max_lag": 500,
    "replication_steps": 2000,
}
CAUSES = {"window": 200, "spike_factor": 2.0, "collapse_share": 0.01}
RANKED = SETTINGS["rank"], SETTINGS["onset"]
DEFAULT = Choice("causal", "running", "signed", "raw", 20)

EVENT = Target(0.95, 1000, True)
FAST = Target(0.95, 500, False)
NEVER = Target(0.95, None, False)


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


def test_an_interval_moves_down_by_chance():
    assert Interval(0.2, 0.6).minus(0.5) == (pytest.approx(-0.3), pytest.approx(0.1))
    assert NO_INTERVAL.minus(0.5) == NO_INTERVAL


def test_significance_needs_seeds():
    assert rules.significant(0.4, Interval(0.2, 0.6), True) is True
    assert rules.significant(0.4, Interval(0.0, 0.6), True) is False
    assert rules.significant(0.4, Interval(0.2, 0.6), False) is None
    assert rules.significant(0.4, NO_INTERVAL, False) is None
    assert rules.significant(0.0, NO_INTERVAL, False) is False


# --- alarms of a run -------------------------------------------------------------------------


def test_leads_are_of_alarms_before_events():
    assert EVENT.lead(999) == 1
    assert EVENT.lead(1000) is None
    assert EVENT.lead(None) is None
    assert FAST.lead(100) is NEVER.lead(100) is None


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


def test_planted_kinks_by_hand():
    """Kinks at 800 and 960 before an onset at 1200, one at 1500 after it."""
    trace = learning_run(kinks=(800, 960, 1500))
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    (half,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.5)
    assert (row["event"], row["onset"]) == (True, 1200)
    assert (half["event"], half["onset"]) == (True, 1000)
    # Alarms of the whole run whatever the onset, known at the ends of their blocks.
    assert row["alarms"] == half["alarms"] == "810 970 1510"
    # The first score is at step 1 + 20 + 100, in the block that ends at 130.
    assert row["warm_up"] == 130
    # Both layers share the norm, so they are first at the same step.
    assert row["last_first_lead"] == row["first_first_lead"] > 0 and row["tau"] is None
    assert half["first_first_lead"] == row["first_first_lead"] - 200


def test_spikes_are_of_alarms_before_onset():
    """A spike keeps its peak where it passes the onset; one that starts after it has no part."""
    trace = learning_run(kinks=(800, 1190, 1500))
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    combined = scores(trace, SETTINGS["alarms"])["combined"]
    starts = np.flatnonzero(combined > 3.5)
    first, late = starts[0], starts[starts > 1100][0]
    assert late < 1200
    assert row["spike"] == max(combined[first : first + 101].max(), combined[late:][:101].max())
    # One that starts after the onset at 1000, or in a run without alarm by then, has none.
    (half,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.5)
    assert half["spike"] == combined[first : first + 101].max()
    (never,) = rows_of(learning_run(onset=None), **DEFAULT._asdict(), onset_threshold=0.95)
    assert never["spike"] is never["alarms"] is never["onset"] is None


def test_default_variant_has_the_alarms_of_the_evaluation():
    """Known at 810, the first silences up to 910; step by step, 905 would be its last."""
    step = np.arange(2001)
    norm = learning_run(kinks=(804, 1500)).frame["grad_norm"] + 5 * np.clip(step - 907, 0, 20)
    trace = make_trace(
        make_spec(steps=2000),
        grad_norm=norm,
        train_metric=(step >= 300) * 1.0,
        test_metric=(step >= 1200) * 1.0,
    )
    combined = scores(trace, SETTINGS["alarms"])["combined"]
    exact = alarm_steps(combined, 3.5, 100)
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    (scored,) = (
        of
        for of in score_run(trace, SETTINGS)
        if (of["detector"], of["layer"]) == ("gai", "combined")
    )
    cohort = Cohort.from_onsets([1200], [2000])
    signal = Signal(cohort, [np.asarray(scored["scores"], float)], 10)
    known = raise_alarms(signal, 3.5, 100, latched=False).step
    assert steps_of(row["alarms"]).tolist() == known.tolist()
    assert exact[:2].tolist() == [805, 908] and known[:2].tolist() == [810, 920]
    assert row["warm_up"] == scored["warm_up"] == 10 * signal.grid.first[0]
    assert steps_of("").tolist() == []


def test_a_score_that_stays_above_the_threshold_alarms_again():
    """As GAI does in the evaluation: after each refractory period, from the warm-up on."""
    settings = SETTINGS | {"alarms": SETTINGS["alarms"] | {"threshold": -100}}
    norms = np.random.default_rng(0).random((2, 600))
    assert fire(norms, DEFAULT, settings).known.tolist() == [130, 240, 350, 460, 570]


def test_centred_smoothing_knows_earlier():
    """A centred average sees a kink up to half a window before it happens: the leak."""
    trace = learning_run(kinks=(800,))
    (causal,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    centred = DEFAULT._replace(smoothing="centred")._asdict()
    (leaking,) = rows_of(trace, **centred, onset_threshold=0.95)
    assert leaking["first_first_lead"] == causal["first_first_lead"] + 10


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
    # The combined norm is constant: no score, no alarm.
    assert row["warm_up"] is row["alarms"] is row["spike"] is None


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
    assert not table["event"].any() and table[["alarms", "warm_up", "onset"]].isna().all(axis=None)


def test_embeddings_are_no_layer_of_the_order():
    trace = run_with_kinks({0: 700, 1: 900, 2: 800}, encoding="embedding", p=7)
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    assert row["last_first_lead"] - row["first_first_lead"] == pytest.approx(100, abs=5)
    assert row["tau"] == pytest.approx(-1)


# --- headline numbers ------------------------------------------------------------------------


def sample(seeds=None, chance=None, **columns):
    """A sample of runs with these columns, of seeds 1, 2, ..., two depths in turn."""
    n = len(next(iter(columns.values())))
    rows = pd.DataFrame(
        {
            "seed": range(1, n + 1) if seeds is None else seeds,
            "depth": [2 + i % 2 for i in range(n)],
            "study": "gai",
            "task": "modular_addition",
            "event": True,
        }
        | columns
    )
    return Sample(rows, SETTINGS["evaluation"], chance or {})


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


def outcomes_of(alarms, onsets, last=2000, warm_up=0, **changes):
    """What comes of the alarms of some runs, all with delayed onsets where there are any."""
    rows = sample(
        onset=[np.nan if onset is None else onset for onset in onsets],
        event=[onset is not None for onset in onsets],
        steps=last,
        warm_up=float(warm_up),
        alarms=[steps_text(np.array(of, np.int64)) for of in alarms],
    )
    return multiverse.outcomes(rows, SETTINGS | changes)


def test_outcomes_by_hand():
    """The window is 600 to 800 before the onset at 1000; the run ends at 2000."""
    found = outcomes_of(
        [[600], [800], [590, 810], [650, 750], [700, 1000, 1500], [100, 1600, 1610], []],
        [1000, 1000, 1000, 1000, 1000, None, 1000],
    ).rows
    assert found["n_hits"].tolist() == [1, 1, 0, 1, 1, 0, 0]
    # At the onset and after it the run is not at risk; 1610 + 400 is after the end.
    assert found["n_judged"].tolist() == [1, 1, 2, 2, 1, 2, 0]
    expected = [400, 200, 410, 350, 300, np.nan, np.nan]
    np.testing.assert_array_equal(found["first_lead"], expected)


def test_a_fast_run_has_false_alarms_to_its_end():
    runs = sample(
        onset=[500.0],
        event=[False],
        steps=2000,
        warm_up=0.0,
        alarms=["100 1600 1610"],
    )
    found = multiverse.outcomes(runs, SETTINGS).rows
    assert (found["n_judged"].item(), found["n_hits"].item()) == (3, 0)


def test_chance_is_the_share_of_shifts_that_hit():
    """One alarm a run, shifted over 171 blocks, of which 21 hit and 100 - 30 are at risk."""
    found = outcomes_of(
        [[700]] * 40,
        [1000] * 40,
        last=2000,
        warm_up=300,
        evaluation=SETTINGS["evaluation"] | {"surrogates": 999},
    )
    # Precision of what is at risk: 21 of 70 blocks; recall would be 21 of 171.
    for depth in (None, 2, 3):
        assert found.chance[depth].mean == pytest.approx(21 / 70, abs=0.02)
        assert found.chance[depth].p < 0.01


def test_runs_without_score_or_alarm_have_no_chance():
    found = outcomes_of([[], []], [1000, None], warm_up=np.nan)
    assert found.chance == {} and found.rows["n_judged"].tolist() == [0, 0]
    assert multiverse.every_depth(found, {}) == multiverse.NOTHING
    assert multiverse.corrected_excess(found, VALUES["GAI8"]) == multiverse.NOTHING


CLEAR = {None: Chance(0.5, 0.01), 2: Chance(0.25, 0.01), 3: Chance(0.75, 0.01)}


def test_excess_over_chance_by_hand():
    runs = sample(n_hits=[1, 0], n_judged=[2, 1], chance=CLEAR)
    worst = multiverse.every_depth(runs, VALUES["GAI7"])
    # Depth 2: 1 / 2 - 0.25; depth 3: -0.75.
    assert (worst.measured, worst.n, worst.supports) == (-0.75, 2, False)
    pooled = multiverse.corrected_excess(runs, VALUES["GAI8"])
    assert pooled.measured == pytest.approx(1 / 3 - 0.5) and pooled.supports is False
    good = sample(n_hits=[1, 1], n_judged=[1, 1], chance=CLEAR)
    assert multiverse.every_depth(good, VALUES["GAI7"]).supports
    # Two seeds cannot be significant at 1 - 0.05 / 7.
    assert multiverse.corrected_excess(good, VALUES["GAI8"]).supports is None


def test_every_depth_must_be_significant():
    chance = CLEAR | {3: Chance(0.75, 0.05)}
    found = multiverse.every_depth(sample(n_hits=[1, 1], n_judged=[1, 1], chance=chance), {})
    assert found.measured == 0.25 and found.supports is False


def test_interval_of_the_family_is_wider():
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, 20)
    runs = sample(n_hits=hits, n_judged=np.ones(20), chance={None: Chance(0.1, 0.5)})
    found = multiverse.corrected_excess(runs, VALUES["GAI8"])
    plain = runs.ratio_interval(hits, np.ones(20)).minus(0.1)
    assert found.interval.low < plain.low < found.measured < plain.high < found.interval.high


def test_a_silent_depth_speaks_against_every_depth():
    chance = {2: Chance(0.25, 0.01)}
    runs = sample(n_hits=[1, 0], n_judged=[1, 0], chance=chance)
    found = multiverse.every_depth(runs, VALUES["GAI7"])
    assert found.measured == 0.75 and found.supports is False


def test_nothing_to_measure_is_null():
    nothing = sample(
        event=[False],
        n_hits=[0],
        n_judged=[0],
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


# --- the configured choice and the table claims ----------------------------------------------


def planted_study():
    """Runs of two depths and eight seeds that differ in all that a GAI claim measures.

    Kinks of random sizes in the norms of the layers: the first at a random time, a larger one 60
    steps later that is of the same spike, one at the end of the refractory period, and one in
    the window in most runs. Every fourth run never generalises, and two end before they have a
    score.
    """
    rng, step, traces = np.random.default_rng(5), np.arange(2001), []
    for depth, seed in product((2, 3), range(8)):
        norms = {}
        start, ahead = rng.integers(200, 700), rng.choice([150, 250, 350], p=[0.2, 0.4, 0.4])
        for layer in range(1, depth + 1):
            norm = 1 + rng.choice([-1e-3, 1e-3], 2001)
            for kink, scale in (
                (start, 0.2),
                (start + 60, 5),
                (start + 105, 1),
                (1200 - ahead, 1),
            ):
                late = kink + rng.integers(-3, 4)
                norm += scale * rng.uniform(0.01, 0.2) * np.clip(step - late, 0, 20)
            norms[layer] = norm
        onset = 3000 if seed % 4 == 3 else 1200 + 10 * rng.integers(-5, 5)
        test = np.where(step >= onset, rng.uniform(0.95, 1), rng.uniform(0, 0.9))
        fallen = np.where(step >= onset, rng.uniform(0.5, 0.9), 1.0) * rng.uniform(0.9, 1, 2001)
        traces.append(
            make_trace(
                make_spec(seed=seed, depth=depth, steps=2000),
                grad_norm=np.sqrt(sum(norm**2 for norm in norms.values())),
                **{f"grad_norm_{layer}": norm for layer, norm in norms.items()},
                **{f"effective_rank_{depth}": 10 * fallen},
                train_metric=(step >= 300) * 1.0,
                test_metric=test,
            )
        )
    return traces + [
        make_trace(
            make_spec(seed=8 + rows, steps=2000), diverged_step=rows, grad_norm=np.ones(rows)
        )
        for rows in (0, 50)
    ]


@pytest.fixture(scope="module")
def judged():
    """Tables ``multiverse`` and ``claims`` of the planted study, made as the workflow does."""
    traces, scored = planted_study(), []
    for trace in traces:
        scored += score_run(trace, FEW)
    signals = pd.DataFrame(scored)
    transitions = transitions_table(traces, TRANSITIONS, FEW["onset"])
    runs = runs_table(traces)
    evaluated = evaluation_tables(
        lambda name: signals[signals["detector"] == name],
        transitions,
        FEW | {"alarms": FEW["alarms"]},
        {"gai": DETECTORS["gai"]},
    )
    table = multiverse_table(variants_table(traces, FEW), runs, PUBLISHED, FEW)
    claims = claims_table(
        [entry for entry in PUBLISHED if entry["study"] == "gai"],
        Evidence(
            runs=runs,
            transitions=transitions,
            alarms=alarms_table(traces, FEW | {"causes": CAUSES}),
            rank=concatenate(
                [
                    rank_table([of for of in traces if of.key.depth == depth], *RANKED)
                    for depth in (2, 3)
                ],
                "rank",
            ),
            phases=empty("phases"),
            evaluation=evaluated["evaluation"],
            chance=evaluated["chance"],
            multiverse=table,
            settings=FEW,
        ),
    )
    return table, claims.set_index("claim")


@pytest.mark.parametrize("claim", [f"GAI{number}" for number in range(1, 9)])
def test_the_configured_choice_gives_the_number_of_the_claim(judged, claim):
    """To the last bit; and it is no number that any choice would give."""
    table, claims = judged
    mine, published = table[table["claim"] == claim], claims.loc[claim]
    default = mine[mine["is_default"]].squeeze()
    assert default["measured"] == published["measured"]
    assert default["n"] == published["n"]
    assert (mine["measured"].dropna() != default["measured"]).any()
    # GAI8's claim also asks the other p-values, and its interval is of alarms step by step.
    if claim != "GAI8":
        if published["verdict"] != NOT_TESTABLE:
            assert default["supports"] == (published["verdict"] == HOLDS)
        ends = [float(published[name]) for name in ("low", "high")]
        assert [default["low"], default["high"]] == pytest.approx(ends)
        assert ends[0] < ends[1]


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
        runpy.run_path(str(script))["main"](stub)
    variants = read_table(outputs["variants"], "variants")
    pd.testing.assert_frame_equal(variants, variants_table(traces, FEW))
    table = read_table(outputs["multiverse"], "multiverse")
    pd.testing.assert_frame_equal(conform(table, "multiverse"), table)
    default = table[table["is_default"]].set_index("claim")
    assert default.loc["GAI3", "measured"] == 1
