"""Alarms of anyone: scores and chance without tables, traces or training."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from grokscope.evaluate import alarms
from grokscope.evaluate.alarms import evaluate_alarms
from grokscope.evaluate.matching import Cohort, alarms_of, score_alarms
from grokscope.evaluate.nulls import MOVED

ONSETS = [1000.0, 1400.0, np.nan]


def test_the_example_is_right() -> None:
    found = doctest.testmod(alarms)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("rule", ["run", "first", "every"])
def test_scores_are_those_of_matching(rule: str) -> None:
    steps = [[100, 700], [1300], [50, 4900]]
    window = None if rule == "run" else (200, 400)
    found = evaluate_alarms(steps, ONSETS, [5000] * 3, window, rule, surrogates=19)
    expected = score_alarms(alarms_of(steps), Cohort.from_onsets(ONSETS, [5000] * 3), rule, window)
    assert (found.precision, found.recall, found.f1) == pytest.approx(
        [of.item() for of in expected], nan_ok=True
    )
    assert (found.n_events, found.n_alarms) == (2, 5)
    assert len(found.chance) == 9 and set(found.chance["null_model"]) == set(MOVED)


def test_chance_of_shifted_alarms_is_the_share_of_places_that_hit() -> None:
    """Alarms from step 100 on, before the onset at 900 places, of which 201 hit.

    The length of the runs is nothing to it. The alarms are those of a perfect detector.
    """
    found = evaluate_alarms(
        [[700]] * 40, [1000.0] * 40, [1999] * 40, (200, 400), first=100, surrogates=400
    )
    rows = found.chance.set_index(["score", "null_model"])
    assert rows.loc[("recall", "shifted"), "null_mean"] == pytest.approx(201 / 900, abs=0.01)
    # At least one of the 40 alarms in one of the 201 of 36,000 places before an event.
    hit = 1 - (1 - 201 / 36_000) ** 40
    assert rows.loc[("recall", "random"), "null_mean"] == pytest.approx(hit, abs=0.01)
    assert (rows["p"] == rows["p_best"]).all()
    assert rows.loc[("recall", "swapped"), "p"] == 1  # all runs are alike


def test_swapping_stays_in_the_cell() -> None:
    """Two cells with onsets and alarms of their own: swapped within, all alarms stay right."""
    onsets, steps = [1000.0] * 3 + [3000.0] * 3, [[700]] * 3 + [[2700]] * 3
    apart = evaluate_alarms(steps, onsets, [4000] * 6, (200, 400), cell=list("aaabbb"))
    mixed = evaluate_alarms(steps, onsets, [4000] * 6, (200, 400))
    means = [
        of.chance.set_index(["score", "null_model"]).loc[("recall", "swapped"), "null_mean"]
        for of in (apart, mixed)
    ]
    assert means[0] == 1 and means[1] < 0.7


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="onset has 3 values, but there are alarms of 2 runs"):
        evaluate_alarms([[1], [2]], ONSETS, [5000] * 2, (200, 400))
    with pytest.raises(ValueError, match="no runs"):
        evaluate_alarms([], [], [], (200, 400))
    with pytest.raises(ValueError, match="run 0 alarms at step 1, before its first, 50"):
        evaluate_alarms([[1], [], []], ONSETS, [5000] * 3, (200, 400), first=50)
    with pytest.raises(ValueError, match="0 <= lo <= hi"):
        evaluate_alarms([[1], [], []], ONSETS, [5000] * 3, None)
    with pytest.raises(ValueError, match="rule is 'best'"):
        evaluate_alarms([[1], [], []], ONSETS, [5000] * 3, (200, 400), "best")
