"""Chance: scores beside surrogates, calibration, and what a perfect detector can reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grokscope.evaluate import chance, nulls
from grokscope.evaluate.chance import Counts
from grokscope.evaluate.matching import Alarms, AtRisk, Cohort, alarms_of
from grokscope.evaluate.nulls import Grid, stream

STEP = 10


def grid_of(cohort: Cohort, first: int = 0, resolution: int = STEP) -> Grid:
    return Grid(resolution, np.full(len(cohort), first // resolution))


def rows_of(
    model: str,
    alarms: Alarms,
    cohort: Cohort,
    grid: Grid,
    tasks: list[Any],
    *,
    draws: int = 199,
    rng: np.random.Generator | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table for all runs together."""
    scopes = np.ones((1, len(cohort)), bool)
    asked = {"tasks": tasks, "scopes": scopes, "draws": draws, "rng": rng or stream(0, model)}
    n_events = np.array([cohort.event.sum()])
    sides = []
    for counts, hits in (
        (
            chance.count(AtRisk(alarms, cohort), tasks),
            chance.null_hits(model, alarms, cohort, grid, **asked),
        ),
        (
            chance.perfect_counts(cohort, grid, tasks),
            chance.perfect_null_hits(model, cohort, grid, **asked),
        ),
    ):
        sides.append(chance.against_moved(counts.pooled(scopes), hits))
    return chance.compare_counts(*sides, n_events, alpha=0.05)


# ------------------------------------------------------------------ comparison


def test_compared_by_hand() -> None:
    row = chance.compare(0.5, np.array([0.2, 0.6, np.nan, 0.4]))
    assert (row["observed"], row["surrogates"]) == (0.5, 3)
    assert (row["null_mean"], row["p"]) == pytest.approx((0.4, 2 / 4))
    assert row["null_low"] == pytest.approx(0.2 + 0.05 * 0.2)
    nothing = chance.compare(np.nan, np.array([np.nan]))
    assert nothing == dict.fromkeys(nothing) | {"surrogates": 0}


def test_no_surrogate_is_dropped_and_one_hit_of_one_is_no_precision_of_one() -> None:
    """Eight perfect alarms, half of each run not judged after its end without an onset.

    Counted over their own judged alarms, surrogates often have "1 of 1", or none at all.
    """
    cohort = Cohort.from_onsets([500.0] * 8, [999] * 8)
    alarms = alarms_of([[200]] * 8)
    for row in rows_of("shifted", alarms, cohort, grid_of(cohort), [("every", (200, 400))]):
        assert row["surrogates"] == 199
        assert row["p"] == 1 / 200
        # 21 of 50 places hit; F1 is 2 hits over 8 + 8.
        assert row["null_mean"] == pytest.approx(21 / 50, abs=0.04)


@pytest.mark.parametrize("model", nulls.MOVED)
def test_precision_of_surrogates_is_over_the_observed_judged_alarms(model: str) -> None:
    """Two alarms judged of three: the third is censored, wherever surrogates have it."""
    cohort = Cohort.from_onsets([500.0, 700.0, np.nan], [999] * 3)
    alarms = alarms_of([[200], [100], [900]])
    precision, recall, f1 = rows_of(
        model, alarms, cohort, grid_of(cohort), [("every", (200, 400))]
    )
    assert precision["observed"] == recall["observed"] == f1["observed"] == 0.5
    assert precision["null_mean"] == recall["null_mean"] == f1["null_mean"]
    assert precision["p"] == recall["p"] == f1["p"]


def test_without_a_judged_alarm_there_is_no_precision_and_no_recall_above_chance() -> None:
    cohort = Cohort.from_onsets([500.0, np.nan], [999] * 2)
    precision, recall, _ = rows_of(
        "random", alarms_of([[], [900]]), cohort, grid_of(cohort), [("every", (200, 400))]
    )
    assert precision["observed"] is None and precision["p"] is None
    assert (recall["observed"], recall["p"]) == (0, 1)


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does their size to null ``shifted``, whose draws come run by run."""
    cohort = Cohort.from_onsets([60.0, np.nan], [99, 99])
    found = []
    for chunk in (1, 20, 10_000):
        monkeypatch.setattr(nulls, "CHUNK", chunk)
        found.append(
            chance.null_hits(
                "shifted",
                alarms_of([[30, 50], [80]]),
                cohort,
                grid_of(cohort),
                tasks=[("every", (10, 30)), ("run", None)],
                scopes=np.array([[True, True], [True, False]]),
                draws=50,
                rng=stream(0, "shifted"),
            )
        )
    for hits in found[1:]:
        assert (hits == found[0]).all()
    assert found[0].shape == (2, 50, 2)


@pytest.mark.parametrize("model", nulls.MOVED)
def test_no_alarms_and_no_scores_are_no_error(model: str) -> None:
    cohort = Cohort.from_onsets([60.0, np.nan], [99, -1])
    grid = Grid(STEP, np.array([10, 0]))
    for row in rows_of(model, alarms_of([[], []]), cohort, grid, [("every", (10, 30))]):
        assert row["p"] in (None, 1.0)
        assert row["p_best"] in (None, 1.0) and row["events_needed"] is None


def test_counts_without_a_value_have_no_score() -> None:
    one = Counts(np.ones((1, 1, 1)), np.ones((1, 1, 1)))
    side = chance.against_moved(one, np.full((1, 3, 1), np.nan))
    rows = chance.compare_counts(side, side, np.array([2]), alpha=0.05)
    assert [row["surrogates"] for row in rows] == [0, 0, 0]
    for name in ("p", "p_best", "events_needed"):
        assert [row[name] for row in rows] == [None] * 3


def test_constant_times_are_tested_by_exchange() -> None:
    """Three runs in which the detector hits and the constant time misses: p is 1 / 8.

    Its own precision of 0 stands beside the score, and says nothing of luck: that a single hit
    of many alarms is above 0 is no evidence.
    """
    taken = stream(0, "exchange").random((4000, 3)) < 0.5
    everyone, n_events = np.ones((1, 3), bool), np.array([3])
    own = Counts(np.ones((1, 1, 3), bool), np.ones((1, 1, 3), int))
    constant = Counts(np.zeros((1, 4000, 3), bool), np.ones((1, 4000, 3), bool))
    side = chance.against_constant(own, constant, taken, everyone[0], everyone)
    for row in chance.compare_counts(side, side, n_events, alpha=0.05):
        assert (row["observed"], row["null_mean"], row["null_high"]) == (1, 0, 0)
        assert row["p"] == row["p_best"] == pytest.approx(1 / 8, abs=0.02)
        assert row["events_needed"] == 5
    # A run without a constant time keeps its own outcome.
    known = np.array([False, True, False])
    side = chance.against_constant(own, constant, taken, known, everyone)
    row, *_ = chance.compare_counts(side, side, n_events, alpha=0.05)
    assert row["p"] == pytest.approx(1 / 2, abs=0.03)
    side = chance.against_constant(own, constant, taken, np.zeros(3, bool), everyone)
    assert [row["p"] for row in chance.compare_counts(side, side, n_events, 0.05)] == [None] * 3


# ------------------------------------------------------------------ what can be tested


def test_a_perfect_alarm_is_in_the_middle_of_the_steps_that_hit() -> None:
    """Of 100-300; of 250-300, after warm-up; of none; none without an event."""
    cohort = Cohort.from_onsets([500.0, 500.0, 400.0, np.nan], [999] * 4)
    grid = Grid(STEP, np.array([0, 25, 30, 0]))
    made = chance.perfect_alarms(cohort, grid, (200, 400))
    assert (made.run.tolist(), made.step.tolist()) == ([0, 1], [200, 270])
    anywhere = chance.perfect_alarms(cohort, grid, None)
    assert (anywhere.run.tolist(), anywhere.step.tolist()) == ([0, 1, 2], [240, 370, 340])
    off = Cohort.from_onsets([505.0], [999])
    for window in ((200, 209), (205, 205)):
        made = chance.perfect_alarms(off, grid_of(off), window)
        assert 505 - made.step[0] in range(window[0], window[1] + 1)
    assert not len(chance.perfect_alarms(off, grid_of(off), (201, 204)).run)


@pytest.mark.parametrize(("n_events", "testable"), [(1, False), (2, False), (3, False), (4, True)])
def test_the_smallest_p_is_that_of_all_shifts_right(n_events: int, testable: bool) -> None:
    """21 of 50 places hit: 0.42 of one event, 0.031 of four; so four events decide."""
    cohort = Cohort.from_onsets([500.0] * n_events, [999] * n_events)
    row, *_ = rows_of(
        "shifted",
        alarms_of([[]] * n_events),
        cohort,
        grid_of(cohort),
        [("every", (200, 400))],
        draws=4000,
    )
    assert row["p_best"] == pytest.approx(0.42**n_events, abs=0.03)
    assert (row["p_best"] < 0.05) == testable
    assert row["events_needed"] == 4


def test_the_smallest_p_of_swaps_is_that_of_the_one_right_order() -> None:
    """Of 24 orders of four onsets far apart one is right; of four close ones all are."""
    apart = Cohort.from_onsets([1000.0, 2000, 3000, 4000], [4999] * 4)
    close = Cohort.from_onsets([1000.0, 1010, 1020, 1030], [4999] * 4)
    alone = replace(apart, cell=np.arange(4))
    found = []
    for cohort in (apart, close, alone):
        row, *_ = rows_of(
            "swapped",
            alarms_of([[]] * 4),
            cohort,
            grid_of(cohort),
            [("first", (200, 400))],
            draws=4000,
        )
        found.append((row["p_best"], row["events_needed"]))
    assert found[0][0] == pytest.approx(1 / 24, abs=0.01)
    assert found[1:] == [(1, None), (1, None)]


def test_the_smallest_p_of_random_alarms_is_that_of_one_each() -> None:
    """Two alarms at 100 places of two runs, 21 of each hit: 2 * 0.21 ** 2."""
    cohort = Cohort.from_onsets([500.0] * 2, [999] * 2)
    row, *_ = rows_of(
        "random", alarms_of([[], []]), cohort, grid_of(cohort), [("every", (200, 400))], draws=4000
    )
    assert row["p_best"] == pytest.approx(2 * 0.21**2, abs=0.015)
    assert row["events_needed"] == 3


def test_which_runs_alarm_is_nothing_that_shifts_can_test() -> None:
    """By rule ``run`` a shifted alarm is as good: not testable by any number of events."""
    cohort = Cohort.from_onsets([500.0] * 50, [999] * 50)
    row, *_ = rows_of("shifted", alarms_of([[200]] * 50), cohort, grid_of(cohort), [("run", None)])
    assert (row["p"], row["p_best"], row["events_needed"]) == (1, 1, None)


def test_events_that_are_needed_by_hand() -> None:
    """0.5 ** 5 is below 0.05; 0.05 itself is not below; 19 surrogates reach 0.05 at least."""
    assert chance.events_needed(0.5, 1, 0.05, 999) == 5
    assert chance.events_needed(0.05, 3, 0.05, 999) == 4
    assert chance.events_needed(0.001, 160, 0.05, 999) == 70
    assert chance.events_needed(0.05, 3, 0.05, 19) is None
    for p, n in ((1.0, 5), (None, 5), (1.0, 0)):
        assert chance.events_needed(p, n, 0.05, 999) is None
