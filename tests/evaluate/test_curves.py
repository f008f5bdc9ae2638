"""Sensitivity against time in warning: known areas, brute force, and the null models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokscope.evaluate.curves import (
    Signal,
    Warnings,
    area,
    constant_placements,
    curve,
    look_back,
    perfect_signal,
    sensitivity,
    thresholds,
)
from grokscope.evaluate.matching import Cohort
from grokscope.evaluate.nulls import stream

STEP = 10
LOWEST = -np.inf


def signal(onsets: list[float], lasts: list[int], scores: list[np.ndarray]) -> Signal:
    return Signal(Cohort.from_onsets(onsets, lasts), scores, STEP)


def everything(of: Signal) -> np.ndarray:
    return np.ones(len(of.cohort), bool)


def auc(of: Signal, window: tuple[int, int]) -> float:
    warnings = Warnings(of, window)
    return float(area(warnings.at_event, warnings.at_risk(everything(of))))


# ------------------------------------------------------------------ looking back


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.none() | st.integers(-3, 3), max_size=12),
    nearest=st.integers(1, 4),
    width=st.integers(0, 5),
)
def test_looking_back_by_brute_force(scores: list, nearest: int, width: int) -> None:
    values = np.array([np.nan if score is None else score for score in scores], float)
    expected = []
    for k in range(len(values)):
        seen = values[max(k - nearest - width, 0) : max(k - nearest + 1, 0)]
        expected.append(np.max(seen, where=~np.isnan(seen), initial=LOWEST))
    assert look_back(values, nearest, nearest + width).tolist() == expected


def test_no_score_nearer_than_the_shortest_lead_counts() -> None:
    """Onset at 50, leads 11 to 30: the blocks at 20 and 30, not 40."""
    scores = np.array([0.0, 1, 2, 3, 9, 9, 9])
    assert Warnings(signal([50], [60], [scores]), (11, 30)).at_event.tolist() == [3]
    assert Warnings(signal([50], [60], [scores]), (10, 30)).at_event.tolist() == [9]
    # An onset inside a block is rounded down: from 55 on, block 40 is 15 steps ahead.
    assert Warnings(signal([55], [60], [scores]), (20, 30)).at_event.tolist() == [3]


# ------------------------------------------------------------------ area


def test_area_by_hand() -> None:
    """One event above 2 of 4 steps and equal to one; another below all."""
    assert area(np.array([2.0, -1.0]), np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx(
        (2.5 / 4 + 0) / 2
    )
    assert np.isnan(area(np.empty(0), np.array([1.0])))


def test_an_oracle_a_constant_and_an_opposite() -> None:
    """High only right before the event; always the same; low only right before the event.

    50 blocks are at risk; for the first of them no score is known, which is below all others.
    """
    before = np.zeros(101)
    before[49] = 1
    assert auc(signal([500], [1000], [before]), (10, 10)) == 1
    assert auc(signal([500], [1000], [np.ones(101)]), (10, 10)) == pytest.approx(1 / 50 + 49 / 100)
    assert auc(signal([500], [1000], [-before]), (10, 10)) == pytest.approx(1 / 50)


def test_no_score_at_all_is_chance() -> None:
    assert auc(signal([500], [1000], [np.full(101, np.nan)]), (10, 100)) == 0.5


def test_random_scores_have_half_the_area() -> None:
    rng = np.random.default_rng(0)
    many = signal(
        list(10.0 * rng.integers(20, 90, 300)), [999] * 300, list(rng.normal(size=(300, 100)))
    )
    assert auc(many, (10, 10)) == pytest.approx(0.5, abs=0.05)


def test_the_area_under_the_drawn_curve_is_the_area() -> None:
    rng = np.random.default_rng(1)
    at_event, at_risk = rng.normal(1, 1, 9), np.sort(np.append(rng.normal(size=80), [LOWEST] * 9))
    draws = rng.normal(size=(50, 9))
    rows = curve(at_event, at_risk, 0.5, draws, draws)
    x = np.array([row["time_in_warning"] for row in rows])
    y = np.array([row["sensitivity"] for row in rows])
    assert np.trapezoid(y, x) == pytest.approx(area(at_event, at_risk), abs=1e-9)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert [row["point"] for row in rows] == list(range(len(rows)))
    levels = [row["threshold"] for row in rows]
    assert levels[0] is None and levels[-1] is None
    assert levels[1:-1] == sorted(levels[1:-1], reverse=True)
    assert all(row["null_low"] <= row["null_high"] for row in rows)


def test_the_stated_threshold_is_one_point() -> None:
    at_event, at_risk = np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0, 4.0])
    rows = curve(at_event, at_risk, 1.5, at_event[None], at_event[None])
    (point,) = (row for row in rows if row["is_operating_point"])
    assert (point["time_in_warning"], point["sensitivity"]) == (0.5, 0.5)
    plain = curve(at_event, at_risk, None, at_event[None], at_event[None])
    assert not any(row["is_operating_point"] for row in plain)


def test_each_band_is_of_its_null_model() -> None:
    """Shifted scores are never above the level of 1, swapped ones always."""
    at_event, at_risk = np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0, 4.0])
    moved, swapped = np.zeros((5, 2)), np.full((5, 2), 9.0)
    rows = curve(at_event, at_risk, 1.0, moved, swapped)
    (point,) = (row for row in rows if row["is_operating_point"])
    assert (point["null_low"], point["null_high"]) == (0, 0)
    assert (point["swapped_low"], point["swapped_high"]) == (1, 1)


def test_many_levels_are_thinned() -> None:
    values = np.arange(10_000.0)
    levels = thresholds(values[:5], values, None)
    assert len(levels) <= 198
    assert levels[0] == values[-1] and levels[-1] == 0


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.lists(st.integers(-2, 5), min_size=3, max_size=3), min_size=1, max_size=4),
    levels=st.sets(st.integers(-1, 4), min_size=1),
)
def test_sensitivity_by_brute_force(values: list, levels: set) -> None:
    falling = np.array(sorted(levels, reverse=True), float)
    draws = np.array(values, float)
    expected = (draws[:, None, :] > falling[None, :, None]).mean(axis=2)
    assert sensitivity(draws, falling) == pytest.approx(expected)


# ------------------------------------------------------------------ null models


def planted() -> Signal:
    """Three runs of two panels: scores are 100 * run + block, the first two blocks unknown."""
    scores = [100.0 * run + np.arange(20) for run in range(3)]
    for of_run in scores:
        of_run[:2] = np.nan
    made = signal([100.0, 120.0, np.nan], [199] * 3, scores)
    codes = {"panel": np.array([0, 1, 0]), "cell": np.array([0, 1, 0])}
    return replace(made, cohort=replace(made.cohort, **codes))


def test_random_times_of_the_panel_and_of_the_run() -> None:
    """With leads of 10 to 10 steps M is the score of the block before."""
    warnings = Warnings(planted(), (10, 10))
    by_panel = warnings.surrogates("random", 3000, stream(0, "random"))
    assert set(by_panel[:, 0]) == {*range(2, 9), *range(202, 219)}
    assert set(by_panel[:, 1]) == set(range(102, 111))
    by_run = warnings.surrogates("shifted", 3000, stream(0, "shifted"))
    assert set(by_run[:, 0]) == set(range(2, 10))
    assert set(by_run[:, 1]) == set(range(102, 112))


def test_random_times_have_a_full_window() -> None:
    """Leads of 10 to 50 steps: from block 2 + 5 on; M is the score of the block before."""
    values = Warnings(planted(), (10, 50)).surrogates("random", 3000, stream(0, "random"))
    assert set(values[:, 1]) == set(range(106, 111))
    # A panel at risk for less than that has the last step at risk.
    values = Warnings(planted(), (10, 500)).surrogates("random", 3000, stream(0, "random"))
    assert set(values[:, 1]) == {110}


def test_shifted_scores_go_round() -> None:
    """Five scores known before the event: windows of two blocks, and of more than there are."""
    scores = np.array([np.nan, 5, 1, 2, 3, 4, 9])
    made = signal([60], [69], [scores])
    values = Warnings(made, (20, 30)).surrogates("shifted", 500, stream(0, "shifted"))
    assert sorted(set(values[:, 0])) == [2, 3, 4, 5]
    assert np.mean(values == 5) == pytest.approx(2 / 5, abs=0.07)
    assert (Warnings(made, (10, 120)).surrogates("shifted", 5, stream(0, "shifted")) == 5).all()


def test_donors_are_seeds_of_the_cell_that_reach_the_step() -> None:
    """Run 0 has run 2 and itself; run 1 has itself alone."""
    values = Warnings(planted(), (10, 10)).surrogates("swapped", 50, stream(0, "swapped"))
    assert set(values[:, 0]) == {9, 209}
    assert set(values[:, 1]) == {111}
    short = planted()
    short = replace(short, cohort=replace(short.cohort, last=np.array([199, 199, 99])))
    short = replace(short, scores=[*short.scores[:2], short.scores[2][:10]])
    values = Warnings(short, (10, 10)).surrogates("swapped", 50, stream(0, "swapped"))
    assert set(values[:, 0]) == {9}


@pytest.mark.parametrize("model", ["random", "shifted", "swapped"])
def test_random_scores_are_within_their_null(model: str) -> None:
    """The area of noise lies within the 95% interval of its surrogates about as often.

    Three seeds in each of four cells; noise that differs between runs, and over time. The
    binomial standard error with 300 data sets is 1.3 points.
    """
    inside = []
    for number in range(300):
        rng = stream(number, model)
        onsets = 10.0 * rng.integers(30, 90, 12)
        level = rng.normal(size=12)
        noise = [rng.normal(size=100) + level[run] for run in range(12)]
        made = signal(list(onsets), [999] * 12, noise)
        made = replace(made, cohort=replace(made.cohort, cell=np.arange(12) // 3))
        warnings = Warnings(made, (10, 100))
        at_risk = warnings.at_risk(everything(made))
        null = area(warnings.surrogates(model, 199, rng), at_risk)
        low, high = np.quantile(null, [0.025, 0.975])
        inside.append(low <= area(warnings.at_event, at_risk) <= high)
    assert np.mean(inside) >= 0.91


def test_scores_are_swapped_in_the_cell_not_in_the_panel() -> None:
    """All three runs are of one panel, run 1 is of a cell of its own."""
    made = planted()
    made = replace(made, cohort=replace(made.cohort, panel=np.zeros(3, np.int64)))
    values = Warnings(made, (10, 10)).surrogates("swapped", 50, stream(0, "swapped"))
    assert set(values[:, 0]) == {9, 209}
    assert set(values[:, 1]) == {111}


def test_a_perfect_signal_is_highest_at_the_events_and_nowhere_at_risk() -> None:
    made = perfect_signal(planted(), (10, 50))
    warnings = Warnings(made, (10, 50))
    assert warnings.at_event.tolist() == [1, 1]
    assert warnings.at_risk(everything(made)).max() == 0
    assert area(warnings.at_event, warnings.at_risk(everything(made))) == 1
    assert [np.isnan(of_run[:2]).all() for of_run in made.scores] == [True] * 3
    # Warm-up until the onset: nothing can warn of it.
    late = replace(planted(), scores=[np.r_[np.full(10, np.nan), np.zeros(10)]] * 3)
    assert Warnings(perfect_signal(late, (10, 50)), (10, 50)).at_event.tolist() == [LOWEST, 1]


def test_an_event_before_the_first_score_has_none() -> None:
    late = np.full(100, np.nan)
    late[60:] = 1
    made = signal([500.0], [999], [late])
    for model in ("random", "shifted"):
        values = Warnings(made, (10, 10)).surrogates(model, 5, stream(0, model))
        assert (values == LOWEST).all()


def test_areas_of_constant_times_by_brute_force() -> None:
    """Two cells with times, one without; the area of t - tau over all blocks at risk."""
    rng = np.random.default_rng(3)
    cohort = Cohort.from_onsets([300.0, 411, np.nan, 520, 250], [900, 700, 800, 640, 300])
    cohort = replace(cohort, cell=np.array([0, 0, 1, 1, 2]))
    times = np.array([310.0, 310, 505, 505, np.nan]) + rng.integers(-99, 99, (6, 1))
    member = np.array([True, True, True, True, True])
    expected = []
    for tau in times:
        pool = []
        for run, risk in enumerate(cohort.risk_end):
            steps = np.arange(0, risk, STEP)
            pool.append(np.nan_to_num(steps - tau[run], nan=LOWEST))
        at_event = cohort.onset[cohort.event] // STEP * STEP - tau[cohort.event]
        pooled = np.sort(np.concatenate(pool))
        expected.append(float(area(np.nan_to_num(at_event, nan=LOWEST), pooled)))
    found = constant_placements(times, cohort, member, STEP)
    assert found.mean(axis=1) == pytest.approx(expected)
    only = np.array([False, False, False, False, True])
    assert np.isnan(constant_placements(times, cohort, only, STEP)).all()
