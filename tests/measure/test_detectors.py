"""Detectors: no future, honest marks, hand-computed scores, bad values."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from grokscope.measure.alarms import alarm_steps
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, detector
from grokscope.measure.detectors.scores import block_maxima, score_run
from grokscope.measure.detectors.signals import LARGEST_DEVIATION
from grokscope.measure.detectors.trailing import (
    ROUNDING,
    carried_forward,
    local_trend,
    rolling_covariance,
    rolling_mean,
)
from grokscope.measure.gai import gai, score
from grokscope.runs.config import default_analysis
from synthetic import make_spec, make_trace, noisy_trace

ANALYSIS = default_analysis(alarms={"sigma_window": 100}, detectors={"window": 100})
WINDOW, RESOLUTION = ANALYSIS.detectors.window, ANALYSIS.detectors.resolution
TEST_DATA = {"test_loss_peak", "test_accuracy"}


def analysis_with(section, **changes):
    changed = replace(getattr(ANALYSIS, section), **changes)
    return replace(ANALYSIS, **{section: changed})


def signal(name, trace, analysis=ANALYSIS):
    """The combined score of each step."""
    return DETECTORS[name].signal(trace, analysis)[COMBINED]


def scored(trace, centred):
    """Score of the gradient norm by the GAI, causal or not."""
    norm = trace.frame["grad_norm"].to_numpy(np.float64)
    settings = ANALYSIS.alarms
    return score(gai(norm, settings.smoothing_window, centred), settings.sigma_window)


def with_frame(trace, change):
    frame = trace.frame.copy()
    change(frame)
    return replace(trace, frame=frame)


def cut(trace, n_rows):
    return replace(trace, frame=trace.frame.iloc[:n_rows])


def garbage_after(trace, n_rows):
    """The run with everything from row `n_rows` on replaced."""
    values = np.array([0, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30], np.float32)
    rng = np.random.default_rng(1)

    def spoil(frame):
        for name in frame.columns.drop(["step", "seed"]):
            frame.loc[n_rows:, name] = rng.choice(values, len(frame) - n_rows)

    return with_frame(trace, spoil)


# The past does not depend on the future.


def sees_the_future(scores, n_rows=905):
    """Whether the first rows' scores change with the rows after them."""
    trace = noisy_trace()
    before = scores(trace)
    assert before
    for values in before.values():
        assert values.shape == (len(trace.frame),) and values.dtype == np.float64
        assert np.isfinite(values[n_rows - 60 : n_rows]).all(), "nothing is compared"
    return any(
        not np.array_equal(values[:n_rows], before[layer][:n_rows], equal_nan=True)
        for future in (cut(trace, n_rows), garbage_after(trace, n_rows))
        for layer, values in scores(future).items()
    )


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_is_causal(name):
    assert not sees_the_future(lambda trace: DETECTORS[name].signal(trace, ANALYSIS))


def test_the_check_of_causality_finds_a_centred_filter():
    assert sees_the_future(lambda trace: {COMBINED: scored(trace, centred=True)})
    assert not sees_the_future(lambda trace: {COMBINED: scored(trace, centred=False)})


def test_blocks_do_not_see_the_future():
    trace = noisy_trace()
    for future in (cut(trace, 905), garbage_after(trace, 905)):
        for row, other in zip(
            score_run(trace, ANALYSIS), score_run(future, ANALYSIS), strict=True
        ):
            # Steps 0 .. 904 make whole blocks up to step 900.
            np.testing.assert_array_equal(row["scores"][:91], other["scores"][:91])
            assert row["warm_up"] == other["warm_up"]


def test_a_centred_filter_leaks_the_signal_that_comes_after_the_event():
    event = 600
    norm = 1 + 1e-3 * np.random.default_rng(2).normal(size=1001)
    norm[event + 1 :] += np.arange(1, 401)  # The norm rises once the event is over.
    trace = make_trace(grad_norm=norm)
    first_alarm, best_before = {}, {}
    for centred in (False, True):
        scores = scored(trace, centred)
        first_alarm[centred] = alarm_steps(scores, 8, 100)[0]
        best_before[centred] = np.nanmax(scores[:event])
    assert best_before[True] > 100 > 5 > best_before[False]
    # Centred, it sees half a window ahead; causal, it has nothing to see.
    assert first_alarm == {False: event + 1, True: event + 1 - 10}


# What each detector claims to use is what it uses.


@pytest.mark.parametrize("name", DETECTORS)
def test_mark_of_test_data_is_true(name):
    trace = noisy_trace()

    def other_test_set(frame):
        frame["test_loss"] = frame["test_loss"] ** 2
        frame["test_metric"] = frame["test_metric"] ** 2

    same = np.array_equal(
        signal(name, trace), signal(name, with_frame(trace, other_test_set)), equal_nan=True
    )
    assert DETECTORS[name].uses_test_data == (not same) == (name in TEST_DATA)


def test_registry():
    assert list(DETECTORS) == [
        "gai",
        "grad_norm_peak",
        "weight_norm_turn",
        "train_accuracy",
        "train_loss",
        "rank_fall",
        "grad_norm_variance",
        "grad_norm_autocorrelation",
        "cusum",
        "change_point",
        "test_loss_peak",
        "test_accuracy",
    ]
    stated = {name for name, entry in DETECTORS.items() if entry.threshold is not None}
    assert stated == {"gai", "train_accuracy"}
    assert [name for name, entry in DETECTORS.items() if not entry.latched] == ["gai"]
    assert all(entry.name == name for name, entry in DETECTORS.items())
    assert all(entry.description and "\n" not in entry.description for entry in DETECTORS.values())


def test_a_name_is_registered_once():
    before = dict(DETECTORS)
    with pytest.raises(ValueError, match="'gai' is registered already"):
        detector("gai", description="another")(lambda trace, analysis: {})
    assert before == DETECTORS


# Known answers.


def test_gai_is_scored_for_each_layer():
    trace = noisy_trace()
    found = DETECTORS["gai"].signal(trace, ANALYSIS)
    assert list(found) == ["combined", "0", "1", "2", "3"]
    np.testing.assert_array_equal(found[COMBINED], scored(trace, centred=False))
    for layer in range(4):
        norm = trace.frame[f"grad_norm_{layer}"].to_numpy(np.float64)
        np.testing.assert_array_equal(found[str(layer)], score(gai(norm, 20), 100))
    assert DETECTORS["gai"].threshold(ANALYSIS) == 3.5


def test_gai_in_blocks_alarms_where_the_steps_do():
    trace = noisy_trace(6001, depth=2, encoding="one_hot")
    scores = DETECTORS["gai"].signal(trace, ANALYSIS)
    rows = {row["layer"]: row for row in score_run(trace, ANALYSIS) if row["detector"] == "gai"}
    assert list(rows) == list(scores) == ["combined", "1", "2"]
    for layer, values in scores.items():
        steps = alarm_steps(values, 2.5, refractory=0)
        assert len(steps) > 20
        blocks = alarm_steps(rows[layer]["scores"], 2.5, 0)
        assert blocks.tolist() == np.unique(-(-steps // RESOLUTION)).tolist()


def test_gradient_peak_is_the_fall_from_it():
    trace = make_trace(grad_norm=[1, 2, 4, 8, 6, 2, 30])
    found = signal("grad_norm_peak", trace, analysis_with("alarms", smoothing_window=2))
    # Means of two: 1.5, 3, 6, 7, 4, 16.
    np.testing.assert_allclose(found, [np.nan, 0, 0, 0, 0, 3 / 7, 0])


def test_a_gradual_peak_alarms_when_the_norm_has_fallen_not_at_the_peak():
    step = np.arange(1001)
    trace = make_trace(grad_norm=1 - ((step - 500) / 501) ** 2)
    analysis = analysis_with("alarms", smoothing_window=1)
    scores = block_maxima(signal("grad_norm_peak", trace, analysis), RESOLUTION)
    # Fallen by a fifth at 500 + 501 sqrt(0.2) = 724.05.
    assert (alarm_steps(scores, 0.2, 10, latched=True) * RESOLUTION).tolist() == [730]


def test_weight_norm_is_that_of_all_layers():
    trace = make_trace(weight_norm_1=[3, 6, 6, 0, 3], weight_norm_2=[4, 8, 4.5, 5, 4])
    # Norms 5, 10, 7.5, 5, 5.
    np.testing.assert_allclose(signal("weight_norm_turn", trace), [0, 0, 0.25, 0.5, 0.5])


def test_weight_norm_counts_the_embeddings():
    spec = make_spec(encoding="embedding", steps=1)
    trace = make_trace(spec, weight_norm_0=[10, 0], weight_norm_1=[0, 3], weight_norm_2=[0, 4])
    np.testing.assert_allclose(signal("weight_norm_turn", trace), [0, 0.5])


def test_train_accuracy_at_the_stated_level_is_reached():
    trace = make_trace(train_metric=[0.5, 0.9899, 0.99, 0.2])
    threshold = DETECTORS["train_accuracy"].threshold(ANALYSIS)
    assert 0.9899999 < threshold < 0.99
    scores = block_maxima(signal("train_accuracy", trace), 1)
    assert alarm_steps(scores, threshold, 0, latched=True).tolist() == [2]


def test_train_loss_is_negated_and_a_loss_of_zero_is_small():
    trace = make_trace(train_loss=[10, 1, 1e-3, 0, np.nan])
    found = signal("train_loss", trace)
    np.testing.assert_allclose(found[:3], [-1, 0, 3], atol=1e-7)
    # Where no loss was logged, the last one counts.
    assert 37 < found[3] < 38 and found[4] == found[3]


def test_rank_falls_from_its_peak_when_it_is_measured():
    ranks = np.repeat([10, 20, 15, 5], 50)
    trace = make_trace(effective_rank_2=ranks, effective_rank_1=np.arange(200, 0, -1))
    expected = np.repeat([0, 0, 0.25, 0.75], 50)
    np.testing.assert_allclose(signal("rank_fall", trace), expected)


def test_rank_that_was_never_measured_is_unknown():
    trace = make_trace(make_spec(rank_every=None))
    assert np.isnan(signal("rank_fall", trace)).all()


def test_fluctuations_that_alternate():
    """A line plus a ∓ a: the trend of 20 steps keeps a share of a, so r = ± b."""
    step = np.arange(500)
    amplitude = 0.1 * (-1.0) ** step
    trace = make_trace(grad_norm=np.exp(amplitude + 0.01 * step))
    kept = (amplitude - local_trend(amplitude, WINDOW // 5))[-1] ** 2
    variance = signal("grad_norm_variance", trace)
    np.testing.assert_allclose(variance[-1], np.log10(kept), rtol=1e-4)
    np.testing.assert_allclose(signal("grad_norm_autocorrelation", trace)[-1], -1, atol=1e-6)
    # Known once the trend (20 steps) and the window (100 steps) are; a pair needs one more.
    assert np.flatnonzero(np.isfinite(variance))[0] == 19 + 99
    autocorrelation = signal("grad_norm_autocorrelation", trace)
    assert np.flatnonzero(np.isfinite(autocorrelation))[0] == 19 + 100


def test_variance_and_autocorrelation_agree_with_a_loop():
    trace = noisy_trace(401)
    values = np.log(trace.frame["grad_norm"].to_numpy(np.float64))
    residual = np.full(401, np.nan)
    for t in range(19, 401):
        line = np.polyfit(np.arange(20), values[t - 19 : t + 1], 1)
        residual[t] = values[t] - np.polyval(line, 19)
    variance, autocorrelation = np.full((2, 401), np.nan)
    for t in range(118, 401):
        variance[t] = np.log10(np.var(residual[t - 99 : t + 1]))
    for t in range(119, 401):
        pairs = residual[t - 99 : t + 1], residual[t - 100 : t]
        autocorrelation[t] = np.corrcoef(*pairs)[0, 1]
    np.testing.assert_allclose(signal("grad_norm_variance", trace), variance)
    np.testing.assert_allclose(
        signal("grad_norm_autocorrelation", trace), autocorrelation, rtol=1e-6
    )


def test_what_is_not_yet_measured_is_unknown():
    np.testing.assert_array_equal(
        carried_forward([np.nan, np.nan, 3, np.nan, 1]), [np.nan, np.nan, 3, 3, 1]
    )


def test_cusum_agrees_with_its_recurrence():
    trace = noisy_trace(801)
    spiked = trace.frame["grad_norm"].to_numpy().copy()
    spiked[WINDOW] *= 10  # The sum starts at 0, not at its first term.
    spiked[500] *= 1e6  # Bounded.
    spiked[650] = np.nan  # Unknown for as long as it is in the baseline.
    trace = with_frame(trace, lambda frame: frame.__setitem__("grad_norm", spiked))
    values = np.log(spiked.astype(np.float64))
    total, expected = 0.0, np.full(801, np.nan)
    for t in range(WINDOW, 801):
        past = values[t - WINDOW : t]
        if np.isfinite(values[t - WINDOW : t + 1]).all():
            deviation = (values[t] - past.mean()) / past.std(ddof=1)
            total = max(0, total + np.clip(deviation, -10, LARGEST_DEVIATION) - 0.5)
            expected[t] = total
    assert expected[WINDOW] > 1 and expected[500] > 9 and np.isnan(expected[650:751]).all()
    np.testing.assert_allclose(signal("cusum", trace), expected, atol=1e-8)


def test_cusum_is_one_sided():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.01, 1001)
    rise = np.where(np.arange(1001) >= 500, 1.0, 0.0)
    up = signal("cusum", make_trace(grad_norm=np.exp(noise + rise)))
    down = signal("cusum", make_trace(grad_norm=np.exp(noise - rise)))
    assert np.nanmax(up[:500]) < 10 < up[510]
    assert np.nanmax(down[:600]) < 10


def test_change_point_is_the_difference_of_the_slopes():
    # Increments of mean 0.1, then 0.3, both with variance 0.01.
    increments = np.concatenate([np.tile([0, 0.2], 10), np.tile([0.2, 0.4], 10)])
    trace = make_trace(grad_norm=np.exp(np.concatenate([[0], np.cumsum(increments)])))
    found = signal("change_point", trace, analysis_with("detectors", window=20))
    assert np.isnan(found[:20]).all() and np.isfinite(found[20:]).all()
    # The last 10 increments and the 10 before them, of 40.
    np.testing.assert_allclose(found[30], 0.2 / np.sqrt(0.02 / 10), rtol=1e-5)
    np.testing.assert_allclose(found[[20, 40]], 0, atol=1e-4)
    assert np.argmax(found[20:]) == 10


def test_change_point_sees_a_fall_as_well_as_a_rise():
    step = np.arange(601)
    bend = np.maximum(step - 300, 0) * 0.01
    rise, fall = (signal("change_point", make_trace(grad_norm=np.exp(s * bend))) for s in (1, -1))
    np.testing.assert_allclose(rise, fall, rtol=1e-2, atol=0.5)
    assert np.nanmax(rise) > 100 and np.nanargmax(rise) == 350


def test_detectors_with_test_data_know_the_last_evaluation():
    spec = make_spec(steps=29)
    loss, metric = np.repeat([2, 8, 6], 10), np.repeat([0.1, 0.5, 0.9], 10)
    trace = make_trace(spec, test_loss=loss, test_metric=metric)
    expected = np.repeat([0, 0, 0.25], 10)
    np.testing.assert_allclose(signal("test_loss_peak", trace), expected)
    np.testing.assert_allclose(signal("test_accuracy", trace), metric, rtol=1e-6)


@pytest.mark.parametrize("window", [1, 2, 7, 50])
def test_trailing_statistics_agree_with_a_loop(window):
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(2, 100))
    one[30] = np.nan
    mean, covariance = np.full((2, 100), np.nan)
    for t in range(window - 1, 100):
        inside = slice(t - window + 1, t + 1)
        mean[t] = one[inside].mean()
        covariance[t] = ((one[inside] - mean[t]) * (other[inside] - other[inside].mean())).mean()
    np.testing.assert_allclose(rolling_mean(one, window), mean, atol=1e-14)
    np.testing.assert_allclose(rolling_covariance(one, other, window), covariance, atol=1e-14)


# Bad values: an answer or NaN, never an error, a warning or an infinite score.


@cache
def bad_traces():
    regression = make_spec(task="cubic_regression", steps=500)
    rng = np.random.default_rng(5)
    norm = np.exp(rng.normal(0, 0.1, 501))
    gap = norm.copy()
    gap[200:260] = 0
    return {
        "constant": make_trace(make_spec(steps=500)),
        "zero": make_trace(
            train_loss=0, test_loss=0, grad_norm=np.zeros(501), weight_norm_1=0, weight_norm_2=0
        ),
        "unknown": make_trace(grad_norm=np.full(501, np.nan), train_metric=np.nan),
        "gap": make_trace(grad_norm=gap),
        "huge": make_trace(grad_norm=norm * 1e37, weight_norm_1=norm * 1e37),
        "tiny": make_trace(grad_norm=norm * 1e-37, train_loss=norm * 1e-37),
        "regression": make_trace(regression, train_metric=-norm * 1e30, test_metric=-1e30),
        "no rank": make_trace(make_spec(rank_every=None, steps=500), grad_norm=norm),
        "embedding": make_trace(make_spec(encoding="embedding", depth=8, steps=500)),
        **{
            f"{n} rows": make_trace(make_spec(), diverged_step=n, grad_norm=np.ones(n))
            for n in (0, 1, 2, 5, 99, 101)
        },
    }


@pytest.mark.parametrize("name", bad_traces())
def test_bad_values_are_scored_or_unknown(name):
    trace = bad_traces()[name]
    rows = score_run(trace, ANALYSIS)
    assert {row["detector"] for row in rows} == set(DETECTORS)
    assert len(rows) == len(DETECTORS) + len(trace.layers)
    n_blocks = (len(trace.frame) - 1) // RESOLUTION + 1
    for row in rows:
        assert row["scores"].shape == (n_blocks,) and row["scores"].dtype == np.float32
        assert not np.isinf(row["scores"]).any()
        # A score after the last whole block is known, and is in no block.
        late = row["warm_up"] is not None and row["warm_up"] > (n_blocks - 1) * RESOLUTION
        assert np.isnan(row["scores"]).all() == (row["warm_up"] is None or late)


def test_a_constant_norm_neither_varies_nor_changes():
    trace = make_trace(make_spec(steps=500), grad_norm=0.3)
    np.testing.assert_allclose(np.nanmax(signal("change_point", trace)), 0, atol=1e-6)
    variance = signal("grad_norm_variance", trace)
    np.testing.assert_allclose(variance[-1], 2 * np.log10(ROUNDING))
    assert np.isnan(signal("grad_norm_autocorrelation", trace)).all()
