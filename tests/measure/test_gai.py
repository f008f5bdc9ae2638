"""GAI: against a loop over steps, causality, extreme scales, bad values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from grokscope.measure.gai import MINIMUM_PAST, gai, score

windows = st.integers(1, 7)
norms = arrays(
    np.float64,
    array_shapes(min_dims=1, max_dims=1, max_side=60),
    elements=st.floats(0, 1e3, width=32),
)


def smooth_loop(values, window, centred):
    result = np.full(len(values), np.nan)
    for t in range(len(values)):
        start = t - (window // 2 if centred else window - 1)
        if start >= 0 and start + window <= len(values):
            result[t] = np.mean(values[start : start + window])
    return result


def gai_loop(values, window, centred):
    s = smooth_loop(values, window, centred)
    result = np.full(len(values), np.nan)
    for t in range(len(values)):
        now = t + 1 if centred else t
        if now - 2 >= 0 and now < len(values):
            result[t] = s[now] - 2 * s[now - 1] + s[now - 2]
    return result


def score_loop(values, sigma_window, minimum):
    result = np.full(len(values), np.nan)
    for t in range(len(values)):
        past = values[:t] if sigma_window is None else values[max(t - sigma_window, 0) : t]
        if np.isfinite(past).sum() >= minimum and np.isfinite(values[t]):
            past = past[np.isfinite(past)]
            if np.std(past) > 1e-9 * abs(np.mean(past)):
                result[t] = (values[t] - np.mean(past)) / np.std(past, ddof=1)
    return result


@given(norms, windows, st.booleans())
def test_gai_agrees_with_a_loop(values, window, centred):
    expected = gai_loop(values, window, centred)
    np.testing.assert_allclose(gai(values, window, centred), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 13, 14, 15, 200])
@pytest.mark.parametrize("sigma_window", [2, 3, 7, 100])
def test_score_agrees_with_a_loop(n_steps, sigma_window):
    values = np.random.default_rng(0).normal(size=n_steps)
    expected = score_loop(values, sigma_window, sigma_window)
    np.testing.assert_allclose(score(values, sigma_window), expected, rtol=1e-9)


def test_score_of_all_the_past_agrees_with_a_loop():
    values = np.random.default_rng(1).normal(size=300)
    values[[0, 50, 200]] = [np.inf, np.nan, -np.inf]
    expected = score_loop(values, None, MINIMUM_PAST)
    found = score(values, None)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # Two of the values before the first score are not finite.
    assert np.flatnonzero(np.isfinite(found))[0] == MINIMUM_PAST + 2


def test_gai_by_hand():
    """1, 1, 1, 4 with averages of two: 1, 1, 2.5, so the second difference is 1.5."""
    assert gai([1, 1, 1, 4], 2).tolist() == [pytest.approx(np.nan, nan_ok=True)] * 3 + [1.5]


def test_gai_of_a_parabola_is_its_curvature():
    values = 3.0 * np.arange(50) ** 2
    assert gai(values, 5)[6:] == pytest.approx(6.0)
    assert gai(values, 5, centred=True)[3:-3] == pytest.approx(6.0)


@settings(max_examples=300)
@given(
    arrays(np.float64, 80, elements=st.floats(0, 1e3, width=32)),
    st.data(),
    st.sampled_from([2, 5, 11, 30]),
    windows,
)
def test_nothing_uses_the_future(values, data, sigma_window, window):
    """Any change after t, even to infinity, leaves every bit of the scores up to t."""
    t = data.draw(st.integers(0, 78))
    later = values.copy()
    tail = st.floats(width=32)
    later[t + 1 :] = data.draw(arrays(np.float64, 79 - t, elements=tail))
    old, new = (score(gai(v, window), sigma_window) for v in (values, later))
    assert old[: t + 1].tobytes() == new[: t + 1].tobytes()


def test_expanding_window_uses_no_future_either():
    values = np.random.default_rng(2).random(300)
    later = values.copy()
    later[200:] = 1e6
    old, new = (score(gai(v, 20), None) for v in (values, later))
    assert np.isfinite(old[199])
    assert old[:200].tobytes() == new[:200].tobytes()


def test_centred_is_the_causal_index_of_later():
    values = np.random.default_rng(3).random(100)
    for window in (4, 5):
        shift = (window + 1) // 2
        assert (
            gai(values, window, True)[:-shift].tobytes() == gai(values, window)[shift:].tobytes()
        )


@pytest.mark.parametrize("sigma_window", [50, None])
@pytest.mark.parametrize("centred", [False, True])
def test_batch_equals_its_members(sigma_window, centred):
    values = np.random.default_rng(4).random((3, 2, 400))
    batch = score(gai(values, 20, centred), sigma_window)
    assert batch.shape == values.shape
    for i in np.ndindex(3, 2):
        assert batch[i].tobytes() == score(gai(values[i], 20, centred), sigma_window).tobytes()


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 3.0, 1e12])
def test_scores_do_not_depend_on_the_scale(scale):
    values = np.random.default_rng(5).random(1000)
    expected = score(gai(values, 20), 100)
    np.testing.assert_allclose(score(gai(scale * values, 20), 100), expected, rtol=1e-9)


def test_a_giant_that_has_left_the_window_leaves_no_trace():
    """Running sums would keep 1e8's rounding, larger than everything after it."""
    values = 1e-8 * np.random.default_rng(6).random(2000)
    giant = values.copy()
    giant[300] = 1e8
    expected, found = (score(gai(v, 20), 100) for v in (values, giant))
    np.testing.assert_allclose(found[430:], expected[430:], rtol=1e-9)
    assert np.isfinite(found[430:]).all()


def test_warm_up():
    values = np.random.default_rng(7).random(1000)
    known = np.flatnonzero(np.isfinite(score(gai(values, 20), 100)))
    assert known.tolist() == list(range(20 + 1 + 100, 1000))
    known = np.flatnonzero(np.isfinite(score(gai(values, 20), None)))
    assert known.tolist() == list(range(20 + 1 + MINIMUM_PAST, 1000))


@pytest.mark.parametrize("values", [np.zeros(500), np.full(500, 0.1), 0.3 * np.arange(500) ** 2])
@pytest.mark.parametrize("sigma_window", [50, None])
def test_no_deviation_no_alarm(values, sigma_window):
    assert np.isnan(score(gai(values, 20), sigma_window)).all()
    assert np.isnan(score(values[:1].repeat(500), sigma_window)).all()


def test_a_bad_value_blanks_its_windows_only():
    values = np.random.default_rng(8).random(1000)
    expected = score(gai(values, 20), 100)
    values[400] = np.inf
    found = score(gai(values, 20), 100)
    touched = np.flatnonzero(np.isnan(found) & np.isfinite(expected))
    # In the indices of steps 400 to 421, and so in the past of the 100 steps after those.
    assert touched.tolist() == list(range(400, 522))
    np.testing.assert_array_equal(np.delete(found, touched), np.delete(expected, touched))
