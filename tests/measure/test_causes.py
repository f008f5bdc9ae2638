"""Causes of alarms on planted signals."""

import numpy as np
import pytest

from grokscope.measure.causes import alarm_causes, loss_spikes
from grokscope.measure.onsets import train_onset
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import CauseSettings
from synthetic import make_spec, make_trace

SETTINGS = CauseSettings(window=50, spike_factor=2.0, collapse_share=0.01)
STEPS = np.arange(1001)


def labels(steps, **columns):
    trace = make_trace(make_spec(steps=1000), **columns)
    memorised = train_onset(trace, default_analysis().onset)
    return alarm_causes(trace, steps, memorised, SETTINGS)


def test_a_spike_is_measured_from_the_lowest_loss_of_the_window_before():
    loss = np.ones(20)
    loss[5] = 0.4
    spikes = loss_spikes(loss, 3, 2.0)
    # 1 > 2 * 0.4 while step 5 is one of the three before.
    assert np.flatnonzero(spikes).tolist() == [6, 7, 8]


def test_a_spike_does_not_look_ahead():
    loss = np.ones(20)
    loss[5] = 0.4
    assert not loss_spikes(loss, 3, 2.0)[:6].any()


def test_a_falling_loss_has_no_spike():
    assert not loss_spikes(np.exp(-STEPS / 50), 50, 2.0).any()


def test_nothing_visible():
    assert labels([10, 500]) == ["none", "none"]
    assert labels([]) == []


@pytest.mark.parametrize(
    ("step", "label"), [(349, "none"), (350, "memorisation"), (450, "memorisation"), (451, "none")]
)
def test_memorisation_is_the_train_onset_within_the_window(step, label):
    assert labels([step], train_metric=STEPS >= 400) == [label]


def test_a_loss_spike():
    loss = np.where((STEPS >= 600) & (STEPS < 605), 3.0, 1.0)
    assert labels([540, 550, 654, 655], train_loss=loss) == [
        "none",
        "loss_spike",
        "loss_spike",
        "none",
    ]


def test_softmax_collapse_at_the_stated_share():
    share = np.where(STEPS >= 700, 0.01, 0.009)
    assert labels([640, 650, 900], softmax_collapse=share) == ["none", *["softmax_collapse"] * 2]


def test_steps_without_order_keep_their_labels():
    loss = np.where((STEPS >= 600) & (STEPS < 605), 3.0, 1.0)
    assert labels([900, 600, 10], train_loss=loss) == ["none", "loss_spike", "none"]


def test_the_first_cause_of_the_list_is_taken():
    seen = labels([400], train_metric=STEPS >= 400, softmax_collapse=1.0)
    assert seen == ["memorisation"]


def test_regression_has_no_collapse():
    spec = make_spec(task="cubic_regression", steps=1000)
    trace = make_trace(spec, softmax_collapse=np.nan)
    assert alarm_causes(trace, [500], None, SETTINGS) == ["none"]
