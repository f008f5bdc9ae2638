"""Variants: choices and their scores, planted kinks by hand, what choices share."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from grokscope.measure.alarms import alarm_steps, spike_peaks
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.gai import gai, score
from grokscope.measure.panel import measure_panel
from grokscope.measure.variants import (
    Choice,
    Target,
    choices,
    configured,
    fired_choices,
    first_alarm,
    layer_order,
    parse_steps,
    steps_text,
    targets,
    variant_rows,
    variants_table,
)
from grokscope.runs.config import default_analysis
from synthetic import learning_run, make_spec, make_trace

ANALYSIS = default_analysis(
    onset={"test_thresholds": [0.5, 0.95]},
    alarms={"sigma_window": 100},
    rank={"before": 500, "after": 500},
    multiverse={"windows": [10, 20]},
)
DEFAULT = Choice("causal", "running", "signed", "raw", 20)

EVENT = Target(0.95, 1000, True)
FAST = Target(0.95, 500, False)
NEVER = Target(0.95, None, False)


def rows_of(trace, **wanted):
    rows = list(variant_rows(trace, ANALYSIS))
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def combined_scores(trace):
    return DETECTORS["gai"].signal(trace, ANALYSIS)["combined"]


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


@pytest.mark.parametrize("seed", range(20))
def test_layer_order_is_kendalls_tau_b(seed):
    rng = np.random.default_rng(seed)
    leads = rng.integers(1, 5, rng.integers(2, 9)).tolist()
    expected = stats.kendalltau(range(len(leads)), [-lead for lead in leads]).statistic
    if len(set(leads)) == 1:
        assert layer_order(leads) is None
    else:
        assert layer_order(leads) == pytest.approx(expected)


def test_choices_are_all_combinations():
    found = list(choices(ANALYSIS.multiverse, ANALYSIS.alarms))
    assert len(found) == len(set(found)) == 2**5
    assert DEFAULT in found
    without = list(choices(ANALYSIS.multiverse, replace(ANALYSIS.alarms, sigma_window=None)))
    assert {choice.sigma for choice in without} == {"expanding"} and len(without) == 2**4


def test_the_configured_choice_is_always_one_of_them():
    assert configured(ANALYSIS.alarms) == DEFAULT
    others = list(choices(replace(ANALYSIS.multiverse, windows=(10,)), ANALYSIS.alarms))
    assert others[-1] == DEFAULT and len(set(others)) == len(others) == 2**4 + 1
    without = replace(ANALYSIS.alarms, sigma_window=None)
    assert configured(without) == DEFAULT._replace(sigma="expanding")


def scores_by_definition(norms, choice, sigma_window):
    """Scores of a choice, each made from the norms, nothing shared."""
    if choice.norm == "log":
        with np.errstate(divide="ignore"):
            norms = np.log(norms)
    index = gai(norms, choice.window, centred=choice.smoothing == "centred")
    index = np.abs(index) if choice.sign == "absolute" else index
    return score(index, sigma_window if choice.sigma == "running" else None)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("windows", [(10, 21), (20,)])
def test_each_choice_has_the_alarms_of_its_scores(windows, zeros):
    """Centred scores are never computed, absolute and log ones share: the alarms are the same."""
    norms = np.exp(np.random.default_rng(0).normal(size=(3, 1500)).cumsum(axis=-1) / 100)
    if zeros:
        norms[:, 700:720] = 0
    multiverse = replace(ANALYSIS.multiverse, windows=windows)
    settings = replace(ANALYSIS.alarms, threshold=2.0)
    found = fired_choices(norms, multiverse, settings)
    assert list(found) == list(choices(multiverse, settings))
    seen = set()
    for choice, fired in found.items():
        combined, *layers = scores_by_definition(norms, choice, 100)
        alarms = alarm_steps(combined, 2.0, 100)
        assert len(alarms) > 3
        assert fired.alarms.tolist() == alarms.tolist()
        assert fired.peaks == pytest.approx(spike_peaks(combined, alarms, 100), rel=1e-9)
        assert fired.warm_up == np.flatnonzero(np.isfinite(combined))[0]
        assert fired.firsts == [first_alarm(values, 2.0) for values in layers]
        seen.add((*fired.alarms.tolist(), *fired.peaks.tolist()))
    assert len(seen) == len(found), "each choice changes what it says"


def test_log_of_a_zero_norm_has_no_score():
    norms = np.ones((2, 300)) + np.random.default_rng(0).random((2, 300))
    norms[:, 200] = 0
    settings = replace(ANALYSIS.alarms, threshold=-100.0, refractory=0)
    fired = fired_choices(norms, ANALYSIS.multiverse, settings)
    assert {200, 201, 202} < set(fired[DEFAULT].alarms.tolist())
    alarms = fired[DEFAULT._replace(norm="log")].alarms.tolist()
    assert 199 in alarms and not {200, 201, 202} & set(alarms)


def test_targets_of_every_threshold():
    trace = learning_run(onset=600)
    # 0.5 is passed at 400, 100 steps after memorisation: fast there, an event at 0.95.
    assert targets(trace, ANALYSIS) == [
        Target(0.5, 400, False),
        Target(0.95, 600, True),
    ]
    assert targets(learning_run(onset=None), ANALYSIS) == [
        Target(0.5, None, False),
        Target(0.95, None, False),
    ]


def test_planted_kinks_by_hand():
    """Kinks at 800 and 960 before an onset at 1200, one at 1500 after it."""
    trace = learning_run(kinks=(800, 960, 1500))
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    (half,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.5)
    assert (row["event"], row["onset"]) == (True, 1200)
    assert (half["event"], half["onset"]) == (True, 1000)
    # Alarms of the whole run whatever the onset, one step after the kinks.
    assert row["alarms"] == half["alarms"] == "801 961 1501"
    # The first score is at step 1 + 20 + 100.
    assert row["warm_up"] == 121
    # Both layers share the norm, so they are first at the same step.
    assert row["last_first_lead"] == row["first_first_lead"] > 0 and row["tau"] is None
    assert half["first_first_lead"] == row["first_first_lead"] - 200


def test_spikes_are_of_alarms_before_onset():
    """A spike keeps its peak where it passes the onset; one that starts after it has no part."""
    trace = learning_run(kinks=(800, 1190, 1500))
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    combined = combined_scores(trace)
    starts = np.flatnonzero(combined > 3.5)
    first, late = starts[0], starts[starts > 1100][0]
    assert late < 1200
    assert row["spike"] == max(combined[first : first + 101].max(), combined[late:][:101].max())
    # One that starts after the onset at 1000, or in a run without alarm by then, has none.
    (half,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.5)
    assert half["spike"] == combined[first : first + 101].max()
    (never,) = rows_of(learning_run(onset=None), **DEFAULT._asdict(), onset_threshold=0.95)
    assert never["spike"] is never["alarms"] is never["onset"] is None


def test_default_variant_has_the_alarms_of_the_table_and_the_warm_up_of_the_scores():
    """The first alarm is at 805, silent up to 905: at 908 the steeper rise alarms again."""
    step = np.arange(2001)
    norm = learning_run(kinks=(804, 1500)).frame["grad_norm"] + 5 * np.clip(step - 907, 0, 20)
    trace = make_trace(
        make_spec(steps=2000),
        grad_norm=norm,
        train_metric=(step >= 300) * 1.0,
        test_metric=(step >= 1200) * 1.0,
    )
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    measured = measure_panel([trace], ANALYSIS)
    alarms = measured.tables["alarms"]
    alarms = alarms[(alarms["detector"] == "gai") & (alarms["layer"] == "combined")]
    assert parse_steps(row["alarms"]).tolist() == alarms["step"].tolist()
    assert alarms["step"].tolist()[:2] == [805, 908]
    assert row["spike"] == alarms.loc[alarms["step"] < 1200, "peak"].max()
    (scored,) = (
        found
        for found in measured.scores
        if (found["detector"], found["layer"]) == ("gai", "combined")
    )
    assert row["warm_up"] == scored["warm_up"] == 121


@pytest.mark.parametrize("steps", [[], [0], [3, 14, 1500]])
def test_steps_as_text(steps):
    text = steps_text(np.array(steps, np.int64))
    assert (text is None) == (not steps)
    assert parse_steps(text or "").tolist() == steps


def test_a_score_that_stays_above_the_threshold_alarms_again():
    """As GAI does in the evaluation: after each refractory period, from the warm-up on."""
    settings = replace(ANALYSIS.alarms, threshold=-100.0)
    norms = np.random.default_rng(0).random((2, 600))
    fired = fired_choices(norms, ANALYSIS.multiverse, settings)
    assert fired[DEFAULT].alarms.tolist() == [121, 222, 323, 424, 525]


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
    table = measure_panel([trace], ANALYSIS).tables["rank"]
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
    table = variants_table([trace], ANALYSIS)
    assert len(table) == 2 * 2**5
    assert not table["event"].any() and table[["alarms", "warm_up", "onset"]].isna().all(axis=None)


def test_embeddings_are_no_layer_of_the_order():
    trace = run_with_kinks({0: 700, 1: 900, 2: 800}, encoding="embedding", p=7)
    (row,) = rows_of(trace, **DEFAULT._asdict(), onset_threshold=0.95)
    assert row["last_first_lead"] - row["first_first_lead"] == pytest.approx(100, abs=5)
    assert row["tau"] == pytest.approx(-1)
