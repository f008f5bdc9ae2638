"""Null models: what each keeps and what it destroys, and that chance scores like chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from grokscope.evaluate import nulls
from grokscope.evaluate.matching import Alarms, AtRisk, Cohort, alarms_of
from grokscope.evaluate.nulls import Counts, Grid, stream

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


def test_shifted_alarms_keep_their_distances_on_a_circle() -> None:
    """Blocks 2 .. 9: alarms at 3, 4 and 9 come at all 8 offsets, also those after an onset."""
    cohort = cohort_of([60, np.nan], [99, 99])
    grid = Grid(STEP, np.array([2, 0]))
    alarms = alarms_of([[30, 40, 90], []])
    made = nulls.shifted_alarms(alarms, cohort, grid, 400, stream(0, "test"))
    found = {tuple(steps) for steps in by_draw(made, 0)}
    circle = {
        tuple(sorted(20 + 10 * ((block - 2 + offset) % 8) for block in (3, 4, 9)))
        for offset in range(8)
    }
    assert found == circle


def test_runs_shift_independently() -> None:
    cohort = cohort_of([np.nan] * 2, [99, 99])
    made = nulls.shifted_alarms(
        alarms_of([[0], [0]]), cohort, Grid(STEP, np.zeros(2, int)), 2000, stream(0, "test")
    )
    one, other = np.array(by_draw(made, 0))[:, 0], np.array(by_draw(made, 1))[:, 0]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


# ------------------------------------------------------------------ swapped


def test_swapped_alarms_stay_in_their_cell() -> None:
    cohort = cohort_of([np.nan] * 4, [99, 99, 39, 99], cell=[0, 1, 0, 0])
    alarms = alarms_of([[10, 50], [70], [], [20]])
    made = nulls.swapped_alarms(alarms, cohort, 600, stream(0, "test"))
    given = {run: by_draw(made, run) for run in range(4)}
    assert given[1] == [[70]] * 600
    orders = {tuple(map(tuple, order)) for order in zip(given[0], given[2], given[3], strict=True)}
    assert orders == set(permutations([(10, 50), (), (20,)]))
    # Run 2 ends at 39: what it is given later is out of its risk.
    assert AtRisk(made, cohort).counts[:, 2].max() == 1


# ------------------------------------------------------------------ constant_time


def test_constant_times_are_medians_of_resampled_onsets() -> None:
    cohort = cohort_of([np.nan] * 3, [999] * 3, cell=[3, 4, 3])
    times = nulls.resampled_times({3: np.array([100.0, 300.0])}, cohort, 4000, seed=0)
    assert np.isnan(times[:, 1]).all()
    assert (times[:, 0] == times[:, 2]).all()
    shares = [np.mean(times[:, 0] == time) for time in (100, 200, 300)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_constant_alarms_put_the_onset_in_the_middle_of_the_window() -> None:
    made = nulls.constant_alarms(np.array([[1000.0, np.nan, 250.0]]), (200, 401))
    assert (made.run.tolist(), made.step.tolist()) == ([0, 2], [699, 0])


# ------------------------------------------------------------------ comparison


def test_compared_by_hand() -> None:
    row = nulls.compare(0.5, np.array([0.2, 0.6, np.nan, 0.4]))
    assert (row["observed"], row["surrogates"]) == (0.5, 3)
    assert (row["null_mean"], row["p"]) == pytest.approx((0.4, 2 / 4))
    assert row["null_low"] == pytest.approx(0.2 + 0.05 * 0.2)
    nothing = nulls.compare(np.nan, np.array([np.nan]))
    assert nothing == dict.fromkeys(nothing) | {"surrogates": 0}


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does their size to null ``shifted``, whose draws come run by run."""
    cohort = cohort_of([60.0, np.nan], [99, 99])
    arguments = {
        "tasks": [("every", (10, 30)), ("run", None)],
        "scopes": np.array([[True, True], [True, False]]),
        "draws": 50,
    }
    found = []
    for chunk in (1, 20, 10_000):
        monkeypatch.setattr(nulls, "CHUNK", chunk)
        found.append(
            nulls.null_counts(
                "shifted",
                alarms_of([[30, 50], [80]]),
                cohort,
                Grid(STEP, np.zeros(2, int)),
                rng=stream(0, "shifted"),
                **arguments,
            )
        )
    for counts in found[1:]:
        assert (counts.hits == found[0].hits).all()
        assert (counts.judged == found[0].judged).all()
    assert found[0].hits.shape == (2, 50, 2)


def test_no_alarms_and_no_scores_are_no_error() -> None:
    cohort = cohort_of([60.0, np.nan], [99, -1])
    for model in ("random", "shifted", "swapped"):
        counts = nulls.null_counts(
            model,
            alarms_of([[], []]),
            cohort,
            Grid(STEP, np.array([10, 0])),
            tasks=[("every", (10, 30))],
            scopes=np.ones((1, 2), bool),
            draws=5,
            rng=stream(0, model),
        )
        assert counts.judged.tolist() == [[[0]] * 5]


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


# ------------------------------------------------------------------ calibration

DATA_SETS, SURROGATES = 300, 199
TASKS = [("run", None), ("first", (10, 200)), ("every", (10, 200))]


def poisson_data(rng: np.random.Generator) -> tuple[Cohort, Alarms]:
    """Ten runs of two panels, most with an event, and alarms at random steps of the runs."""
    onsets = np.where(rng.random(10) < 0.8, 10 * rng.integers(30, 80, 10), np.nan)
    cohort = cohort_of(list(onsets), [999] * 10, panel=[0] * 5 + [1] * 5)
    return cohort, alarms_of([10 * np.flatnonzero(rng.random(100) < 0.02) for _ in range(10)])


@pytest.mark.parametrize("model", ["random", "shifted", "swapped"])
def test_poisson_alarms_score_as_chance(model: str) -> None:
    """Every score lies within the 95% interval of its surrogates in at least 93% of data sets.

    Nor are the intervals too wide to find anything: about half of the p-values are below 0.5,
    less the ties, which raise p.
    """
    inside: dict[tuple[int, str], list[bool]] = {}
    low_p = []
    for number in range(DATA_SETS):
        rng = stream(number, model)
        cohort, alarms = poisson_data(rng)
        everything = np.ones((1, len(cohort)), bool)
        null = nulls.null_counts(
            model,
            alarms,
            cohort,
            Grid(STEP, np.zeros(len(cohort), int)),
            tasks=TASKS,
            scopes=everything,
            draws=SURROGATES,
            rng=rng,
        )
        observed = nulls.count(AtRisk(alarms, cohort), TASKS, everything)
        events = np.array([cohort.event.sum()])
        for row in nulls.compare_counts(observed, null, events):
            if row["observed"] is not None:
                within = row["null_low"] <= row["observed"] <= row["null_high"]
                inside.setdefault((row["task"], row["score"]), []).append(within)
                low_p.append(row["p"] < 0.5)
    assert len(inside) == len(TASKS) * 3
    for name, found in inside.items():
        assert np.mean(found) >= 0.93, name
    assert 0.3 <= np.mean(low_p) <= 0.55


def test_an_oracle_beats_random_alarms() -> None:
    cohort = cohort_of([500.0, 700.0, 300.0, 650.0], [999] * 4)
    alarms = alarms_of([[400], [600], [200], [550]])
    everything = np.ones((1, 4), bool)
    observed = nulls.count(AtRisk(alarms, cohort), TASKS[1:], everything)
    for model in ("random", "shifted", "swapped"):
        null = nulls.null_counts(
            model,
            alarms,
            cohort,
            Grid(STEP, np.zeros(4, int)),
            tasks=TASKS[1:],
            scopes=everything,
            draws=999,
            rng=stream(0, model),
        )
        for row in nulls.compare_counts(observed, null, np.array([4])):
            # A single alarm that hits by chance has a precision of 1.
            if row["score"] != "precision":
                # By swapping, one in 24 orders is the right one; close onsets help further.
                assert row["p"] < (0.3 if model == "swapped" else 0.02)


def test_counts_without_a_value_have_no_score() -> None:
    one, none = np.ones((1, 1, 1)), np.full((1, 3, 1), np.nan)
    rows = nulls.compare_counts(Counts(one, one), Counts(none, none), np.array([2]))
    assert [row["surrogates"] for row in rows] == [0, 0, 0]
    assert [row["p"] for row in rows] == [None] * 3
