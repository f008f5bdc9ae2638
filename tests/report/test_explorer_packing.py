"""What the explorer packs: no spike is lost, every threshold on offer is exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_tables import SETTINGS, build, key
from grokscope.evaluate.study import Study
from grokscope.measure.alarms import alarm_steps
from grokscope.report.explorer.curves import BUCKETS, LEVELS, run_curves
from grokscope.report.explorer.levels import codes, offered
from grokscope.report.explorer.packing import Packer, deltas
from grokscope.report.explorer.runs import first_alarms


def test_a_spike_of_one_step_is_kept_wherever_it_is() -> None:
    for at in (0, 1, 4321, 9999):
        values = np.full(10_000, 0.5)
        values[at] = 3.0
        frame = pd.DataFrame({"step": np.arange(10_000), "seed": 1, "grad_norm": values})
        found = run_curves(frame, {5: []})
        curve = found.columns["grad_norm"]
        assert curve.high == 3.0
        assert (curve.levels == LEVELS).sum() in (1, 2)
        place = int(np.flatnonzero(curve.levels == LEVELS)[0]) // 2
        starts = [*found.grids[0], 10_000]
        assert starts[place] <= at < starts[place + 1]
        assert len(found.grids[0]) == BUCKETS


def test_each_step_near_an_event_is_kept() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 2, 5000)
    frame = pd.DataFrame({"step": np.arange(5000), "seed": 1, "grad_norm": values})
    found = run_curves(frame, {5: [2000], 12: [4990]})
    assert set(range(1995, 2006)) <= set(found.grids[0].tolist())
    assert set(range(4978, 5000)) <= set(found.grids[0].tolist())
    curve = found.columns["grad_norm"]
    place = found.grids[0].tolist().index(2000)
    value = curve.low + (curve.high - curve.low) * curve.levels[2 * place] / LEVELS
    assert value == pytest.approx(values[2000], abs=0.5001 / LEVELS)


def test_columns_are_of_the_steps_at_which_they_were_measured() -> None:
    steps = np.arange(101)
    tested = np.where(steps % 20 == 0, 1.0, np.nan)
    frame = pd.DataFrame({"step": steps, "seed": 1, "a": 1.0 * steps, "test_b": tested})
    frame["never"] = np.nan
    found = run_curves(frame, {5: [40]})
    assert found.grids[found.columns["test_b"].grid].tolist() == [0, 20, 40, 60, 80, 100]
    assert set(found.columns) == {"a", "test_b"}


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=60), st.booleans())
def test_alarms_at_every_threshold_on_offer_are_those_of_the_scores(scores, latched) -> None:
    values = np.array(scores)
    thresholds = offered([values], needed=[0.25])
    packed = codes(values, thresholds).astype(int)
    assert 0.25 in thresholds
    for level, threshold in enumerate(thresholds):
        expected = alarm_steps(values, threshold, 3, latched)
        assert alarm_steps(packed, level + 1, 3, latched).tolist() == expected.tolist()


def test_unknown_scores_have_a_code_of_their_own() -> None:
    assert codes(np.array([np.nan, 0.0, 9.0]), np.array([1.0, 2.0])).tolist() == [0, 1, 3]


def test_no_byte_overflows_with_the_most_thresholds() -> None:
    rng = np.random.default_rng(0)
    thresholds = offered([rng.normal(size=5000)], needed=rng.normal(size=20))
    assert len(thresholds) < 254


def test_deltas_come_back() -> None:
    values = np.array([0, 500, 3, 3, 499, 32767, 0])
    packed = deltas(values).astype(int).reshape(2, -1)
    folded = packed[0] + 256 * packed[1]
    assert np.cumsum(np.where(folded % 2, -(folded + 1) // 2, folded // 2)).tolist() == [*values]


def test_values_that_a_type_does_not_hold_are_refused() -> None:
    packer = Packer()
    with pytest.raises(ValueError, match="'a': values that u1 does not hold"):
        packer.put("a", [256], "u1")
    packer.put("a", [255], "u1")
    with pytest.raises(ValueError, match="packed already"):
        packer.put("a", [1], "u1")


def test_a_detector_that_a_run_cannot_have_missed_nothing_there() -> None:
    tables = build([key(seed=seed) for seed in (1, 2)])
    study = Study.from_transitions(tables["transitions"], SETTINGS)
    columns = first_alarms(study, "gai", {}, {0})
    assert columns["gai_verdict"]["values"] == ["missed", "not testable"]
    assert first_alarms(study, "gai", {}, ()) == {}
