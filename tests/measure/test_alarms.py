"""Alarms: the rule by hand and against a loop, spikes, planted kinks, the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grokscope.measure.alarms import alarm_rows, alarm_steps, largest_spike, spike_peaks
from grokscope.measure.detectors.registry import COMBINED, DETECTORS
from grokscope.measure.detectors.scores import run_signals
from grokscope.measure.gai import gai, score
from grokscope.measure.onsets import train_onset
from grokscope.measure.panel import measure_panel
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace

ANALYSIS = default_analysis()
NAN = np.nan


def scores(trace, analysis=ANALYSIS):
    """Scores of the GAI by layer."""
    return DETECTORS["gai"].signal(trace, analysis)


def find_alarms(trace, analysis=ANALYSIS, detector="gai"):
    """Rows of a run's alarms by one detector."""
    rows = alarm_rows(
        trace, run_signals(trace, analysis), train_onset(trace, analysis.onset), analysis
    )
    return [row for row in rows if row["detector"] == detector]


def test_alarm_steps_by_hand():
    values = np.zeros(30)
    values[[3, 4, 8, 9, 20]] = 5
    values[[1, 5]] = [np.nan, 3.5]
    assert alarm_steps(values, 3.5, 0).tolist() == [3, 4, 8, 9, 20]
    assert alarm_steps(values, 3.5, 4).tolist() == [3, 8, 20]
    assert alarm_steps(values, 3.5, 5).tolist() == [3, 9, 20]
    assert alarm_steps(values, 3.5, 100).tolist() == [3]
    assert alarm_steps(values, 5, 0).tolist() == []


@given(arrays(np.bool_, st.integers(0, 60)), st.integers(0, 10))
def test_alarm_steps_agree_with_a_loop(above, refractory):
    expected = []
    for t in range(len(above)):
        if above[t] and (not expected or t > expected[-1] + refractory):
            expected.append(t)
    assert alarm_steps(above.astype(float), 0.5, refractory).tolist() == expected


@pytest.mark.parametrize(
    ("scores", "refractory", "latched", "expected"),
    [
        ([0, 2, 2, 2, 2, 2], 0, False, [1, 2, 3, 4, 5]),
        ([0, 2, 2, 2, 2, 2], 1, False, [1, 3, 5]),
        ([0, 2, 2, 2, 2, 2], 0, True, [1]),
        ([2, 2, 0, 2, 0, 2], 0, True, [0, 3, 5]),
        ([2, 2, NAN, 2, 1, 2], 0, True, [0, 3, 5]),
        # Silent when it comes back up, still up when the silence ends.
        ([2, 0, 2, 2, 2, 2], 3, True, [0, 4]),
        ([2, 0, 2, 0, 0, 2], 3, True, [0, 5]),
        ([2, 2, 2, 2, 0, 2], 3, True, [0, 5]),
        # At the threshold is not above it.
        ([1, 1, 0, 1], 0, False, []),
        ([NAN, NAN], 0, False, []),
        ([], 0, True, []),
    ],
)
def test_alarm_rule(scores, refractory, latched, expected):
    found = alarm_steps(scores, 1.0, refractory, latched)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize("latched", [False, True])
def test_alarm_rule_agrees_with_a_loop(latched):
    rng = np.random.default_rng(6)
    for _ in range(200):
        scores = rng.choice([0, 1, 2, NAN], rng.integers(0, 30), p=[0.2, 0.1, 0.6, 0.1])
        refractory = int(rng.integers(0, 5))
        expected, last, armed = [], None, True
        for block, value in enumerate(scores):
            if not value > 1:
                armed = True
            elif (last is None or block - last > refractory) and (armed or not latched):
                expected.append(block)
                last, armed = block, False
        assert alarm_steps(scores, 1, refractory, latched).tolist() == expected


def test_a_threshold_is_not_rounded_to_the_precision_of_the_scores():
    scores = np.array([0.1], np.float32)  # 0.10000000149
    assert alarm_steps(scores, 0.1, 0, latched=False).tolist() == [0]


def kinked(step, n_steps=3000):
    """A noisy decay over eight orders of magnitude that turns up sharply from a step on."""
    t = np.arange(n_steps)
    noise = 1 + 1e-3 * np.random.default_rng(9).normal(size=n_steps)
    decay = 10 ** (-8 * t / n_steps)
    return decay * noise * (1 + 0.2 * np.maximum(t - step, 0))


def test_a_spike_lasts_to_the_end_of_the_refractory_period():
    values = np.full(1000, np.nan)
    # Alarms at 100 and 301; 200 is the last step of the first spike, 201 would be an alarm.
    values[[99, 100, 150, 200, 301, 401, 402]] = [3, 4, 5, 6, 4, 7, 3.5]
    alarms = alarm_steps(values, 3.5, 100)
    assert alarms.tolist() == [100, 301]
    assert spike_peaks(values, alarms, 100).tolist() == [6, 7]
    # The end of the run cuts a spike short.
    assert spike_peaks(values[:160], alarms[:1], 100).tolist() == [5]
    assert spike_peaks(values, alarms[:0], 100).shape == (0,)


@given(arrays(np.float64, 80, elements=st.floats(0, 8, width=32)), st.integers(0, 20))
def test_every_score_above_the_threshold_is_of_one_spike(values, refractory):
    alarms = alarm_steps(values, 3.5, refractory)
    spikes = [np.arange(80)[step : step + refractory + 1] for step in alarms]
    covered = np.concatenate([np.empty(0, int), *spikes])
    assert len(covered) == len(set(covered))
    assert set(np.flatnonzero(values > 3.5)) <= set(covered)
    peaks = spike_peaks(values, alarms, refractory)
    assert peaks.max(initial=3.5) == values.max(initial=3.5, where=values > 3.5)


def test_the_largest_spike_is_of_alarms_before_the_onset():
    peaks, steps = np.array([5.0, 9.0, 7.0]), [100, 400, 700]
    assert largest_spike(peaks, steps, 400) == 5, "an alarm at the onset is not before it"
    assert largest_spike(peaks, steps, 401) == 9
    assert largest_spike(peaks, steps, np.nan) == 9
    assert largest_spike(peaks, steps, 100) is None
    assert largest_spike(peaks[:0], [], np.nan) is None


def test_a_planted_kink_is_found_when_it_happens_and_not_before():
    norms = kinked(2000)
    trace = make_trace(make_spec(steps=2999), grad_norm=norms, grad_norm_1=1.0, grad_norm_2=1.0)
    found = find_alarms(trace)
    assert {row["layer"] for row in found} == {"combined"}
    after = [row for row in found if row["step"] >= 2000]
    assert after[0]["step"] in range(2000, 2005)
    combined = scores(trace)["combined"]
    for row in found:
        assert row["score"] == combined[row["step"]] > 3.5
        assert row["peak"] == np.nanmax(combined[row["step"] : row["step"] + 101])
    plain = make_trace(make_spec(steps=2999), grad_norm=kinked(10**6))
    assert after[0]["score"] > np.nanmax(scores(plain)["combined"])


def test_a_centred_index_sees_a_kink_before_it_happens():
    norms = kinked(2000)
    causal, centred = (score(gai(norms, 20, centred), 500) for centred in (False, True))
    assert np.nanargmax(centred[1950:2050]) == np.nanargmax(causal[1950:2050]) - 10


def test_layers_alarm_on_their_own():
    trace = make_trace(
        make_spec(steps=2999, depth=3, encoding="embedding"),
        grad_norm=kinked(10**6),
        **{f"grad_norm_{layer}": kinked(1500 + 300 * layer) for layer in range(4)},
    )
    found = find_alarms(trace)
    for layer in range(4):
        steps = [r["step"] for r in found if r["layer"] == str(layer) and r["score"] > 6]
        assert steps[0] in range(1500 + 300 * layer, 1505 + 300 * layer)


def test_every_detector_with_a_stated_threshold_has_its_alarms_in_the_table():
    """Memorised from 301 on, lost at 700 and found again: latched, so two alarms."""
    step = np.arange(3000)
    metric = np.where((step > 300) & (step != 700), 1.0, 0.5)
    trace = make_trace(train_metric=metric, grad_norm=kinked(2000))
    table = measure_panel([trace], ANALYSIS).tables["alarms"]
    stated = {name for name, entry in DETECTORS.items() if entry.threshold is not None}
    assert set(table["detector"]) == stated == {"gai", "train_accuracy"}
    found = table[table["detector"] == "train_accuracy"]
    assert found["step"].tolist() == [301, 701]
    assert found["layer"].tolist() == [COMBINED] * 2
    assert found["score"].tolist() == found["peak"].tolist() == [1, 1]
    # The train onset is 310, evaluated every 10 steps.
    assert found["cause"].tolist() == ["memorisation", "none"]


def test_table_of_a_panel():
    traces = [
        make_trace(make_spec(steps=2999, seed=1), grad_norm=kinked(2000)),
        make_trace(make_spec(steps=2999, seed=2), grad_norm=1.0),
        make_trace(make_spec(seed=3), stopped="diverged", grad_norm=np.ones(0)),
        make_trace(make_spec(seed=4), stopped="diverged", grad_norm=np.ones(3)),
        make_trace(make_spec(steps=2999, seed=5), grad_norm=kinked(1000)),
    ]
    table = measure_panel(iter(traces), ANALYSIS).tables["alarms"]
    assert set(table["seed"]) == {1, 5}
    rows = [row for trace in traces for row in find_alarms(trace)]
    assert table.to_dict("records") == rows
