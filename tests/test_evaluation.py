"""Alarms against onsets: known answers by hand, censoring, chance, and invariances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokscope.evaluation import evaluation_table, is_event, risk_steps, run_counts
from grokscope.tables import conform, empty

WINDOW, GAP = (200, 400), 200


def run(seed: int, train: int | None, test: int | None, last: int | None, **key: Any) -> dict:
    """Row of a transitions table: onsets and the last step."""
    return (
        {"study": "gai", "task": "modular_addition", "depth": 2, "train_fraction": 0.6}
        | {"weight_decay": 1.0, "width": 128, "seed": seed}
        | {"train_onset_step": train, "test_onset_step": test, "last_step": last}
        | key
    )


def transitions(*rows: dict) -> pd.DataFrame:
    steps = ["train_onset_step", "test_onset_step", "last_step"]
    return pd.DataFrame(rows).astype(dict.fromkeys(steps, "Int64"))


def alarms(of: dict[int, list[int]], layer: str = "combined", **key: Any) -> pd.DataFrame:
    """Alarm steps of each seed."""
    rows = [
        run(seed, None, None, None, **key) | {"detector": "gai", "layer": layer, "step": step}
        for seed, steps in of.items()
        for step in steps
    ]
    if not rows:
        return empty("alarms")
    columns = ["train_onset_step", "test_onset_step", "last_step"]
    return conform(pd.DataFrame(rows).drop(columns=columns).assign(score=4.0), "alarms")


def table(fired: pd.DataFrame, runs: pd.DataFrame, **of: str) -> dict[str, Any]:
    """Row of the evaluation of the combined norm, or of another detector or layer."""
    found = evaluation_table(fired, runs, lead_window=WINDOW, gap=GAP)
    chosen = found["layer"] == of.get("layer", "combined")
    return found[chosen].iloc[0].to_dict()


def test_counts_by_hand() -> None:
    """Window 200-400: onset 1000 of seed 0 is hit from 600 to 800."""
    runs = transitions(run(0, 100, 1000, 3000), run(1, 100, None, 3000))
    fired = alarms(
        {
            # too early, hit, hit, too late, after the onset, censored (2700 + 400 > 3000)
            0: [599, 600, 800, 801, 2000, 2700],
            # no event: false, false, censored
            1: [50, 2600, 2601],
        }
    )
    row = table(fired, runs)
    assert (row["n_runs"], row["n_events"], row["n_alarms"]) == (2, 1, 9)
    assert (row["n_judged"], row["n_hits"], row["n_detected"]) == (7, 2, 1)
    assert row["precision"] == pytest.approx(2 / 7)
    assert row["recall"] == 1.0
    assert row["median_first_lead"] == 401
    assert row["median_last_lead"] == 199
    # Seed 0: 201 hit steps among 0 .. 2600; seed 1 has none. 5 and 2 judged alarms.
    assert row["chance_precision"] == pytest.approx((5 * 201 / 2601 + 2 * 0) / 7)


def test_chance_is_the_precision_of_uniform_alarms() -> None:
    """An alarm at every step has by construction the precision of chance."""
    runs = transitions(run(0, 100, 1000, 1300), run(1, 10, 700, 900), run(2, 100, None, 2000))
    fired = alarms({0: list(range(1301))})
    row = table(fired, runs)
    assert row["precision"] == pytest.approx(row["chance_precision"])
    assert 0 < row["precision"] < 1


def test_hit_steps_beyond_the_judged_end() -> None:
    """Onset 1000 of a run that ends at 1100: hit steps 600-800, judged 0-700 and 701-800."""
    hits, judged = risk_steps(transitions(run(0, 100, 1000, 1100)), WINDOW, GAP)
    assert hits.tolist() == [201]
    assert judged.tolist() == [801]


def test_onset_so_early_that_the_window_starts_before_the_run() -> None:
    """Onset 300: hit steps are 0-100, not -100-100."""
    hits, judged = risk_steps(transitions(run(0, 0, 300, 1000)), WINDOW, GAP)
    assert (hits.tolist(), judged.tolist()) == ([101], [601])


def test_an_onset_earlier_than_the_window_cannot_be_hit() -> None:
    hits, _ = risk_steps(transitions(run(0, 0, 150, 1000)), WINDOW, gap=100)
    assert hits.tolist() == [0]


@pytest.mark.parametrize(
    ("train", "test", "event"),
    [(100, 301, True), (100, 300, False), (100, 100, False), (None, 900, False), (9, None, False)],
)
def test_event_is_an_onset_more_than_the_gap_after_memorisation(
    train: int | None, test: int | None, event: bool
) -> None:
    assert is_event(transitions(run(0, train, test, 1000)), GAP).tolist() == [event]


def test_an_alarm_before_fast_generalisation_is_false() -> None:
    """Comprehension is no event, however well an alarm precedes its onset."""
    runs = transitions(run(0, 900, 1000, 3000))
    row = table(alarms({0: [700]}), runs)
    assert (row["n_events"], row["n_judged"], row["n_hits"]) == (0, 1, 0)
    assert row["precision"] == 0.0
    assert row["chance_precision"] == 0.0
    assert pd.isna(row["recall"])


def test_no_alarms_at_all() -> None:
    """Each layer has its row; precision is unknown and recall is zero."""
    runs = transitions(run(0, 100, 1000, 3000))
    found = evaluation_table(empty("alarms"), runs, lead_window=WINDOW, gap=GAP)
    assert found["layer"].tolist() == ["combined", "1", "2"]
    assert found["precision"].isna().all()
    assert found["chance_precision"].isna().all()
    assert (found["recall"] == 0).all()
    assert found["median_first_lead"].isna().all()


def test_runs_without_rows_or_shorter_than_the_window() -> None:
    """Nothing can be judged in them, and nothing breaks."""
    runs = transitions(run(0, None, None, None), run(1, None, None, 50))
    row = table(alarms({1: [10]}), runs)
    assert (row["n_runs"], row["n_alarms"], row["n_judged"]) == (2, 1, 0)
    assert pd.isna(row["precision"])


def test_panels_and_layers_are_kept_apart() -> None:
    runs = transitions(run(0, 100, 1000, 3000), run(0, 100, 1000, 3000, depth=3))
    fired = pd.concat([alarms({0: [700]}), alarms({0: [1500]}, layer="3", depth=3)])
    found = evaluation_table(fired, runs, lead_window=WINDOW, gap=GAP)
    hits = found.set_index(["depth", "layer"])["n_hits"]
    assert hits.to_dict() == {(2, "combined"): 1, (2, "1"): 0, (2, "2"): 0} | {
        (3, layer): 0 for layer in ("combined", "1", "2", "3")
    }
    assert found.set_index(["depth", "layer"])["n_alarms"][(3, "3")] == 1


def test_a_second_detector_has_its_own_rows() -> None:
    runs = transitions(run(0, 100, 1000, 3000))
    fired = alarms({0: [700]}).assign(detector="loss_peak")
    found = evaluation_table(fired, runs, lead_window=WINDOW, gap=GAP)
    assert found[["detector", "layer"]].to_numpy().tolist() == [
        ["gai", "combined"],
        ["gai", "1"],
        ["gai", "2"],
        ["loss_peak", "combined"],
    ]
    assert found["n_hits"].tolist() == [0, 0, 0, 1]


def test_a_perfect_oracle_scores_one() -> None:
    runs = transitions(*[run(seed, 100, 1000 + 50 * seed, 4000) for seed in range(5)])
    row = table(alarms({seed: [700 + 50 * seed] for seed in range(5)}), runs)
    assert (row["precision"], row["recall"]) == (1.0, 1.0)
    assert row["chance_precision"] < 0.1


def test_the_order_of_runs_and_alarms_does_not_matter() -> None:
    runs = transitions(run(0, 100, 1000, 3000), run(1, 50, 2000, 3000), run(2, 9, None, 2000))
    fired = alarms({0: [599, 600, 2900], 1: [1650, 1700], 2: [5, 1900]})
    rng = np.random.default_rng(0)
    expected = evaluation_table(fired, runs, lead_window=WINDOW, gap=GAP)
    shuffled = evaluation_table(
        fired.iloc[rng.permutation(len(fired))],
        runs.iloc[rng.permutation(len(runs))],
        lead_window=WINDOW,
        gap=GAP,
    )
    pd.testing.assert_frame_equal(expected, shuffled)


@settings(max_examples=50, deadline=None)
@given(
    onset=st.none() | st.integers(0, 60),
    last=st.integers(0, 60),
    low=st.integers(0, 15),
    width=st.integers(0, 15),
)
def test_steps_at_risk_agree_with_judging_every_step(
    onset: int | None, last: int, low: int, width: int
) -> None:
    """Counting steps in closed form and judging an alarm at each step are one thing."""
    if onset is not None and onset > last:
        onset = None
    runs = transitions(run(0, 0, onset, last))
    window = (low, low + width)
    hits, judged = risk_steps(runs, window, gap=5)
    counts = run_counts(alarms({0: list(range(last + 1))}), runs, lead_window=window, gap=5)
    row = counts[counts["layer"] == "combined"].iloc[0]
    assert (hits[0], judged[0]) == (row["n_hits"], row["n_judged"])


def test_an_alarm_of_an_unknown_run_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"without transitions.*'seed': 7"):
        table(alarms({7: [10]}), transitions(run(0, 100, 1000, 3000)))


def test_an_empty_window_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\[400, 200\]"):
        run_counts(empty("alarms"), transitions(run(0, 1, 9, 99)), lead_window=(400, 200), gap=GAP)
