"""Null models: what each keeps and what it destroys, and that chance scores like chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from grokscope.evaluate import nulls
from grokscope.evaluate.matching import Alarms, AtRisk, Cohort, alarms_of
from grokscope.evaluate.nulls import Grid, stream

STEP = 10


def cohort_of(onsets: list[float], lasts: list[int], **codes: list[int]) -> Cohort:
    """Runs of one panel and cell, unless `codes` say otherwise."""
    cohort = Cohort.from_onsets(onsets, lasts)
    return replace(cohort, **{name: np.array(values) for name, values in codes.items()})


def by_draw(alarms: Alarms, run: int) -> list[list[int]]:
    """Sorted steps of a run in each data set."""
    mine = alarms.run == run
    return [
        sorted(alarms.step[mine & (alarms.draw == draw)].tolist()) for draw in range(alarms.draws)
    ]


# ------------------------------------------------------------------ random


def test_random_alarms_keep_the_number_in_each_panel_and_fall_anywhere_at_risk() -> None:
    """Panel 0: 3 blocks at risk of run 0, 6 of run 2. Alarms after the event do not count."""
    cohort = cohort_of([50, np.nan, np.nan], [99, 105, 79], panel=[0, 1, 0])
    grid = Grid(STEP, np.array([2, 4, 2]))
    observed = AtRisk(alarms_of([[20, 30, 60], [50], []]), cohort)
    made = nulls.random_alarms(observed, grid, 3000, stream(0, "test"))
    fired = AtRisk(made, cohort)
    assert len(fired.run) == len(made.run)  # all at risk
    assert (fired.counts[:, [0, 2]].sum(axis=1) == 2).all()
    assert (fired.counts[:, 1] == 1).all()
    places, number = np.unique(
        np.stack([made.run, made.step])[:, made.run != 1], axis=1, return_counts=True
    )
    expected = [(0, 20), (0, 30), (0, 40), *((2, step) for step in range(20, 80, 10))]
    assert [tuple(place) for place in places.T] == expected
    assert number / 6000 == pytest.approx(np.full(9, 1 / 9), abs=0.02)
    assert set(made.step[made.run == 1]) == set(range(40, 101, 10))


# ------------------------------------------------------------------ shifted


def test_shifted_alarms_keep_their_distances_on_a_circle_of_the_time_at_risk() -> None:
    """Blocks 2 .. 7 of a run with its onset at 75: alarms at 3, 4 and 6 come at all 6 offsets.

    Not those at the onset and after it: they are not at risk, and never come to be.
    """
    cohort = cohort_of([75, np.nan], [99, 99])
    grid = Grid(STEP, np.array([2, 0]))
    alarms = AtRisk(alarms_of([[30, 40, 60, 80, 90], []]), cohort)
    made = nulls.shifted_alarms(alarms, grid, 400, stream(0, "test"))
    assert len(AtRisk(made, cohort).run) == len(made.run)
    found = {tuple(steps) for steps in by_draw(made, 0)}
    circle = {
        tuple(sorted(20 + 10 * ((block - 2 + offset) % 6) for block in (3, 4, 6)))
        for offset in range(6)
    }
    assert found == circle


def test_runs_shift_independently() -> None:
    cohort = cohort_of([np.nan] * 2, [99, 99])
    alarms = AtRisk(alarms_of([[0], [0]]), cohort)
    made = nulls.shifted_alarms(alarms, Grid(STEP, np.zeros(2, int)), 2000, stream(0, "test"))
    one, other = np.array(by_draw(made, 0))[:, 0], np.array(by_draw(made, 1))[:, 0]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


# ------------------------------------------------------------------ swapped


def test_swapped_alarms_stay_in_their_cell() -> None:
    """Not only in their panel: run 1 is of the same panel as the others, and of another cell."""
    cohort = cohort_of([np.nan] * 4, [99] * 4, cell=[0, 1, 0, 0])
    alarms = alarms_of([[10, 50], [70], [], [20]])
    made = nulls.swapped_alarms(alarms, cohort, 600, stream(0, "test"))
    given = {run: by_draw(made, run) for run in range(4)}
    assert given[1] == [[70]] * 600
    orders = {tuple(map(tuple, order)) for order in zip(given[0], given[2], given[3], strict=True)}
    assert orders == set(permutations([(10, 50), (), (20,)]))


def test_alarms_of_a_short_record_are_not_given_to_a_longer_one() -> None:
    """Whose alarms are known until the event, or without one to the end; all such orders alike."""
    onsets, lasts = [100.0, 200, 300, np.nan], [250, 300, 400, 350]
    cohort = cohort_of(onsets, lasts)
    needs = [100, 200, 300, 350]
    allowed = [
        order
        for order in permutations(range(4))
        if all(lasts[giver] >= need for giver, need in zip(order, needs, strict=True))
    ]
    drawn = nulls.swaps(cohort, 4000, stream(0, "test"))
    orders, number = np.unique(drawn, axis=0, return_counts=True)
    assert [tuple(order) for order in orders] == allowed and len(allowed) == 8
    assert number / 4000 == pytest.approx(np.full(8, 1 / 8), abs=0.03)


def test_alarms_after_the_onset_of_the_giver_reach_the_receiver() -> None:
    """Runs 0 and 1 go on after their onsets; what run 0 raises then may warn of run 1's."""
    cohort = cohort_of([100.0, 300.0], [400, 400])
    made = nulls.swapped_alarms(alarms_of([[50, 250], []]), cohort, 50, stream(0, "test"))
    fired = AtRisk(made, cohort)
    assert {tuple(counts) for counts in fired.counts.tolist()} == {(1, 0), (0, 2)}


# ------------------------------------------------------------------ constant_time


def test_constant_times_are_medians_of_resampled_onsets() -> None:
    """Of 27 resamples of three onsets the median is the lowest in 7, and the middle one in 13."""
    cohort = cohort_of([np.nan] * 3, [999] * 3, cell=[3, 4, 3])
    times = nulls.resampled_times({3: np.array([100.0, 300.0, 900.0])}, cohort, 4000, seed=0)
    assert np.isnan(times[:, 1]).all()
    assert (times[:, 0] == times[:, 2]).all()
    shares = [np.mean(times[:, 0] == time) for time in (100, 300, 900)]
    assert shares == pytest.approx([7 / 27, 13 / 27, 7 / 27], abs=0.03)
    even = nulls.resampled_times({3: np.array([100.0, 300.0])}, cohort, 4000, seed=0)
    shares = [np.mean(even[:, 0] == time) for time in (100, 200, 300)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_constant_alarms_put_the_onset_in_the_middle_of_the_window() -> None:
    made = nulls.constant_alarms(np.array([[1000.0, np.nan, 250.0]]), (200, 401))
    assert (made.run.tolist(), made.step.tolist()) == ([0, 2], [699, 0])


# ------------------------------------------------------------------ any model


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="'E'; one of random, shifted, swapped"):
        list(
            nulls.surrogates(
                "E",
                alarms_of([[]]),
                cohort_of([60], [99]),
                Grid(1, np.zeros(1, int)),
                1,
                stream(0),
            )
        )
