"""Size and power of the tests against null models, in some of the worlds of benchmarks.power."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.power import ALPHA, PLACES, simulate

STUDIES = 200
# Three standard errors of a share of ALPHA.
ERROR = 3 * np.sqrt(ALPHA * (1 - ALPHA) / STUDIES)


def rejected(
    model: str, detector: str, where: str, n_events: int, studies: int = STUDIES
) -> float:
    return float(np.mean(simulate(model, detector, where, n_events, studies) < ALPHA))


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("model", ["random", "shifted", "swapped", "constant_time"])
def test_noise_is_found_no_more_often_than_alpha(model: str, where: str) -> None:
    assert rejected(model, "noise", where, 10) <= ALPHA + ERROR


@pytest.mark.parametrize("where", PLACES)
def test_who_knows_which_run_groks_is_not_said_to_know_when(where: str) -> None:
    assert rejected("shifted", "which", where, 10) <= ALPHA + ERROR


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("detector", ["typical", "drawn"])
def test_who_knows_the_typical_time_is_not_said_to_know_the_run(detector: str, where: str) -> None:
    assert rejected("swapped", detector, where, 20) <= ALPHA + ERROR


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("model", ["random", "shifted", "constant_time"])
def test_a_perfect_detector_of_20_events_is_found(model: str, where: str) -> None:
    """In runs of 50,000 steps, wherever the onset is: 1,000, 25,000 or 45,000."""
    assert rejected(model, "perfect", where, 20, 20) == 1


@pytest.mark.parametrize(("where", "power"), [("early", 1), ("middle", 1), ("late", 1)])
def test_a_perfect_detector_knows_the_run(where: str, power: float) -> None:
    assert rejected("swapped", "perfect", where, 20, 20) == power


def test_the_published_scale_decides() -> None:
    """160 events at 1,000 of 50,000 steps: p was 0.23-0.27, as alarms shifted past the onset."""
    assert (simulate("shifted", "perfect", "early", 160, 3) == 1 / 200).all()
