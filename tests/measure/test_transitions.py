"""Transitions: planted peaks and turns, lags of known sign, nulls."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grokscope.measure.onsets import onsets
from grokscope.measure.panel import measure_panel
from grokscope.measure.transitions import cross_correlation, smooth, transitions
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace

ANALYSIS = default_analysis(
    onset={"test_thresholds": [0.5], "event_threshold": 0.5},
    transitions={
        "skip_fraction": 0.02,
        "savgol_window": 51,
        "savgol_order": 3,
        "max_lag": 500,
        "replication_steps": 2000,
    },
)
STEP = np.arange(3001)


def bump(centre, width=100.0):
    return np.exp(-(((STEP - centre) / width) ** 2) / 2)


def rise(centre, width=60.0):
    return 1 / (1 + np.exp(-(STEP - centre) / width))


def measure(trace):
    return transitions(trace, ANALYSIS.transitions, onsets(trace, ANALYSIS.onset))


def transitions_table(traces):
    return measure_panel(traces, ANALYSIS).tables["transitions"]


def dense(**columns):
    return make_trace(make_spec(steps=3000, test_every=1), **columns)


def test_planted_peak_and_turn():
    found = measure(dense(grad_norm=0.2 + bump(600), test_metric=0.9 * rise(1200)))
    assert found["grad_peak_step"] == pytest.approx(600, abs=2)
    assert found["grad_peak_at_boundary"] is False
    # A Gaussian falls fastest one standard deviation after its top.
    assert found["grad_steepest_decrease_step"] == pytest.approx(700, abs=5)
    assert found["metric_transition_step"] == pytest.approx(1200, abs=2)
    assert found["metric_at_transition"] == pytest.approx(0.45, abs=0.01)
    assert found["lag"] == found["metric_transition_step"] - found["grad_peak_step"]
    # 0.9 rise passes 0.5 at rise = 5/9, that is at 1200 + 60 ln(5/4).
    assert found["test_onset_step"] == 1214
    assert found["onset_lag"] == 1214 - found["grad_peak_step"]
    assert found["last_step"] == 3000


def test_layers_have_their_own_peaks():
    found = measure(dense(grad_norm_1=bump(500), grad_norm_2=bump(900), test_metric=rise(1200)))
    assert found["grad_peak_step_1"] == pytest.approx(500, abs=2)
    assert found["grad_peak_step_2"] == pytest.approx(900, abs=2)
    assert found["lag_2"] == found["metric_transition_step"] - found["grad_peak_step_2"]
    assert found["lag"] is None  # the combined norm is constant


def test_embeddings_are_layer_0():
    trace = make_trace(make_spec(steps=3000, encoding="embedding"), grad_norm_0=bump(500))
    assert measure(trace)["grad_peak_step_0"] == pytest.approx(500, abs=2)


def test_a_falling_norm_peaks_on_the_skip_boundary():
    """As published for the control: 0.02 * 3000 = 60, the metric turns at 0, the lag is -60."""
    decay = np.exp(-STEP / 500)
    found = measure(dense(grad_norm=decay, test_metric=1 - decay))
    assert found["grad_peak_step"] == 60
    assert found["grad_peak_at_boundary"] is True
    assert found["metric_transition_step"] == 0
    assert found["lag"] == -60
    assert found["pearson_r"] == pytest.approx(-1, abs=1e-6)


def test_last_state_counts_only_if_it_was_updated():
    """A spike on the last row is seen in a run that diverged from there, not in a planned end."""
    spike = np.where(STEP == 3000, 100.0, 1.0) + 1e-3 * bump(600)
    assert measure(dense(grad_norm=spike))["grad_peak_step"] == pytest.approx(600, abs=2)
    assert measure(dense(grad_norm=spike, diverged_step=3001))["grad_peak_step"] == 3000


def test_evaluations_off_the_cadence_are_left_out():
    """The last evaluation comes early; a jump there is no transition."""
    trace = make_trace(
        make_spec(steps=3000, test_every=7), test_metric=rise(1200), diverged_step=3001
    )
    trace.frame.loc[3000, ["test_loss", "test_metric"]] = [1.0, 50.0]
    assert measure(trace)["metric_transition_step"] == pytest.approx(1200, abs=7)


def test_replication_lag_is_that_of_a_shorter_run():
    norm, metric = 0.2 + bump(600), rise(1200) + 3 * rise(2700, 30)
    norm[2000] = 100  # the first step that does not belong to it
    long = measure(dense(grad_norm=norm, test_metric=metric))
    short = measure(
        make_trace(
            make_spec(steps=2000, test_every=1), grad_norm=norm[:2001], test_metric=metric[:2001]
        )
    )
    assert long["lag"] == pytest.approx(700, abs=5)
    assert short["lag"] == pytest.approx(600, abs=5)
    assert long["replication_lag"] == short["replication_lag"] == short["lag"]


@pytest.mark.parametrize("test_every", [1, 10])
@pytest.mark.parametrize("delay", [300, -300])
def test_cross_correlation_lag_is_in_steps_and_positive_if_the_gradient_leads(test_every, delay):
    """One rise each: their derivatives are the same pulse, one delayed."""
    trace = make_trace(
        make_spec(steps=3000, test_every=test_every),
        grad_norm=rise(1500),
        test_metric=rise(1500 + delay),
    )
    found = measure(trace)
    # The division by n pulls the best lag a little towards zero.
    assert found["xcorr_lag"] == pytest.approx(delay, abs=1)
    assert found["xcorr"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("test_every", [1, 10])
def test_the_largest_lag_is_in_steps_whatever_the_cadence(test_every):
    """A delay of 300 is out of reach of 200 steps, within reach of 400."""
    trace = make_trace(
        make_spec(steps=3000, test_every=test_every),
        grad_norm=rise(1500),
        test_metric=rise(1800),
    )
    for max_lag, lag in ((200, 200), (400, 300)):
        settings = replace(ANALYSIS.transitions, max_lag=max_lag)
        found = transitions(trace, settings, onsets(trace, ANALYSIS.onset))
        assert found["xcorr_lag"] == pytest.approx(lag, abs=1)


def test_pearson_is_of_the_unsmoothed_signals_at_the_evaluated_steps():
    rng = np.random.default_rng(6)
    norm, metric = rng.random((2, 3001), np.float32)
    trace = make_trace(make_spec(steps=3000, test_every=10), grad_norm=norm, test_metric=metric)
    # The last state was evaluated, and no update was made from it.
    expected = np.corrcoef(norm[:3000:10], metric[:3000:10])[0, 1]
    assert measure(trace)["pearson_r"] == pytest.approx(expected)


def test_cross_correlation_against_the_definition():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 40))
    zx, zy = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    expected = {
        k: sum(zx[t] * zy[t + k] for t in range(40) if 0 <= t + k < 40) / 40 for k in range(-7, 8)
    }
    best = max(expected, key=lambda k: abs(expected[k]))
    lag, value = cross_correlation(x, y, 7)
    assert lag == best
    assert value == pytest.approx(expected[best])


def test_cross_correlation_of_negated_signals_is_minus_one():
    x = np.random.default_rng(2).normal(size=100)
    assert cross_correlation(x, -x, 50) == (0, pytest.approx(-1))


@pytest.mark.parametrize("distance", range(2, 41))
def test_cross_correlation_ties(distance):
    """A pulse of mean zero, then two: of -d - 1 and d the lag d counts, of -d and d the lag -d."""
    leader = np.zeros(201)
    leader[[100, 101]] = [1, -1]

    def best(*lags):
        return cross_correlation(leader, sum(np.roll(leader, lag) for lag in lags), 50)[0]

    assert best(-distance - 1, distance) == distance
    assert best(-distance, distance + 1) == -distance
    assert best(-distance, distance) == -distance


def test_two_evaluations_have_no_pearson_correlation():
    ramp = np.arange(12.0)
    trace = make_trace(make_spec(steps=11), grad_norm=ramp, test_metric=ramp)
    assert measure(trace)["pearson_r"] is None


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 50, 51, 52])
def test_smoothing_of_short_signals(n):
    values = np.random.default_rng(3).normal(size=n)
    assert smooth(values, 51, 3).shape == (n,)


def test_smoothing_keeps_a_cubic():
    x = np.linspace(-1, 1, 200)
    assert smooth(x**3 - x, 51, 3) == pytest.approx(x**3 - x)


def nulls(found):
    return {name for name, value in found.items() if value is None}


def test_constant_signals_give_nulls():
    found = measure(dense(grad_norm=np.full(3001, 0.3), test_metric=0.1))
    assert nulls(found) >= {
        "grad_peak_step",
        "grad_peak_at_boundary",
        "grad_steepest_decrease_step",
        "metric_transition_step",
        "metric_at_transition",
        "lag",
        "replication_lag",
        "xcorr_lag",
        "xcorr",
        "pearson_r",
        "onset_lag",
        "lag_1",
    }


def test_monotone_signals_have_no_turn_the_other_way():
    found = measure(dense(grad_norm=1.0 + STEP, test_metric=1 - rise(900)))
    assert found["grad_steepest_decrease_step"] is None
    assert found["metric_transition_step"] is None


def test_cross_correlation_with_a_signal_that_is_constant_to_rounding():
    noise = 1e-17 * np.random.default_rng(5).normal(size=100)
    assert cross_correlation(0.01 + noise, np.arange(100.0), 50) is None
    assert cross_correlation(np.arange(100.0), np.zeros(100), 50) is None


def test_a_metric_of_nan_gives_nulls_and_the_gradient_is_measured():
    found = measure(dense(grad_norm=bump(600), test_metric=np.nan))
    assert found["grad_peak_step"] == pytest.approx(600, abs=2)
    assert nulls(found) >= {"metric_transition_step", "xcorr_lag", "pearson_r", "test_onset_step"}


@pytest.mark.parametrize("stopped", ["early_stop", "diverged"])
@pytest.mark.parametrize("test_every", [1, 10])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 5, 12])
def test_hardly_any_rows(n_rows, test_every, stopped):
    rng = np.random.default_rng(4)
    trace = make_trace(
        make_spec(test_every=test_every),
        stopped=stopped,
        grad_norm=rng.random(n_rows),
        test_metric=rng.random(n_rows),
    )
    table = transitions_table([trace])
    assert len(table) == 1
    last = table["last_step"][0]
    assert last == n_rows - 1 if n_rows else pd.isna(last)


def test_table_of_a_panel():
    traces = [
        make_trace(make_spec(steps=3000, seed=seed), grad_norm=bump(peak), test_metric=rise(1500))
        for seed, peak in ((3, 700), (4, 800))
    ]
    table = transitions_table(iter(traces))
    assert table["seed"].tolist() == [3, 4]
    assert table["grad_peak_step"].tolist() == pytest.approx([700, 800], abs=2)
    assert table["lag_1"].notna().all()
    assert len(transitions_table([])) == 0
