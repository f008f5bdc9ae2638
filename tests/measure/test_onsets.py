"""Onsets: streaks by hand, precision, early stopping, nulls."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokscope.measure.onsets import is_event, onsets, reached, sustained_onset
from grokscope.runs.settings import EarlyStop, OnsetSettings
from synthetic import make_spec, make_trace

SETTINGS = OnsetSettings(
    evaluations=3,
    train_threshold=0.99,
    test_thresholds=(0.5, 0.95),
    event_threshold=0.95,
    lost_below=0.5,
)


def test_first_streak_that_is_long_enough():
    steps = np.arange(0, 90, 10)
    values = [0.9, 0.2, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.1]
    assert sustained_onset(steps, values, 0.9, 1) == 0
    assert sustained_onset(steps, values, 0.9, 2) == 20
    assert sustained_onset(steps, values, 0.9, 3) == 50
    assert sustained_onset(steps, values, 0.9, 4) is None


def test_streak_may_end_with_the_run():
    assert sustained_onset([0, 1, 2], [0, 1, 1], 0.5, 2) == 1


def test_nan_breaks_a_streak():
    values = [1, 1, np.nan, 1, 1, 1]
    assert sustained_onset(range(6), values, 0.5, 3) == 3


@pytest.mark.parametrize("values", [[], [1.0], [np.nan] * 9, [0.0] * 9])
def test_not_reached_is_none(values):
    assert sustained_onset(range(len(values)), values, 0.5, 3) is None


def test_a_streak_of_none_is_refused():
    with pytest.raises(ValueError, match="evaluations is 0"):
        sustained_onset([0], [1.0], 0.5, 0)


def test_threshold_has_the_precision_of_the_values():
    nineteen_of_twenty = np.float32(19 / 20)
    assert float(nineteen_of_twenty) < 0.95
    assert reached(np.array([nineteen_of_twenty]), 0.95).tolist() == [True]
    assert reached(np.array([0.95 - 1e-9]), 0.95).tolist() == [False]
    assert reached([0, 1], 0.95).tolist() == [False, True]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 6), st.booleans())
def test_agrees_with_a_loop(above, evaluations, settled):
    def streak(start):
        end = start
        while end < len(above) and above[end]:
            end += 1
        return end - start >= evaluations or (settled and start < end == len(above))

    expected = next((i for i in range(len(above)) if streak(i)), None)
    values = np.asarray(above, float)
    assert sustained_onset(range(len(above)), values, 0.5, evaluations, settled) == expected


def test_columns_and_the_evaluated_grid():
    """Train memorises at step 23, seen at 30; test passes 0.5 at 60, stays under 0.95."""
    step = np.arange(101)
    trace = make_trace(
        make_spec(steps=100), train_metric=step >= 23, test_metric=np.where(step < 60, 0, 0.7)
    )
    assert onsets(trace, SETTINGS) == {
        "train_onset_step": 30,
        "train_onset_censored": False,
        "test_onset_step": None,
        "test_onset_censored": True,
        "test_onset_0.5_step": 60,
        "test_onset_0.5_censored": False,
        "test_onset_0.95_step": None,
        "test_onset_0.95_censored": True,
        "test_lost_step": None,
        "test_lost_censored": None,
    }


STOP = EarlyStop(metrics=("test",), threshold=0.95, hold_steps=10)


@pytest.mark.parametrize(
    ("stop", "stopped", "onset"),
    [
        (STOP, "early_stop", 90),
        (STOP, "completed", None),
        (replace(STOP, metrics=("train",)), "early_stop", None),
        (replace(STOP, threshold=0.9), "early_stop", None),
    ],
)
def test_a_run_stopped_as_settled_has_its_onset(stop, stopped, onset):
    """Two evaluations of three, at the end: enough only if early stopping waited for that."""
    trace = make_trace(
        make_spec(steps=100, early_stop=stop), stopped=stopped, test_metric=np.arange(101) >= 90
    )
    found = onsets(trace, SETTINGS)
    assert found["test_onset_step"] == onset
    assert found["test_onset_censored"] is (onset is None)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_hardly_any_rows(n_rows):
    trace = make_trace(make_spec(), stopped="diverged", test_metric=np.ones(n_rows))
    assert onsets(trace, SETTINGS)["test_onset_step"] is None


CASES = [
    (100, 301, True),
    (100, 300, False),
    (None, 300, False),
    (100, None, False),
    (None, None, False),
    (500, 9, False),
]


@pytest.mark.parametrize(("train", "test", "event"), CASES)
def test_an_event_is_a_delayed_onset(train, test, event):
    for null in (None, np.nan, pd.NA):
        columns = {"train_onset_step": train, "test_onset_step": test}
        columns = {name: null if step is None else step for name, step in columns.items()}
        found = is_event(columns, 200)
        assert found.shape == () and bool(found) is event


@pytest.mark.parametrize("dtype", ["Int64", "float", object])
def test_events_of_a_table(dtype):
    train, test, expected = zip(*CASES, strict=True)
    columns = {"train_onset_step": train, "test_onset_step": test}
    table = pd.DataFrame({name: pd.Series(steps, dtype=dtype) for name, steps in columns.items()})
    found = is_event(table, 200)
    assert found.dtype == bool and found.tolist() == list(expected)
    assert is_event(columns, 200).tolist() == list(expected)
    assert is_event(table[:0], 200).shape == (0,)
