"""GAI4-GAI6: spikes, layers and ranks, and what they are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from claim_tables import alarm, build, events, gai, key, verdict
from grokscope.claims.controls import order_score, permuted_correlation, permuted_order
from grokscope.runs.spec import KEY_COLUMNS


def test_spike_size_takes_the_largest_spike_before_onset() -> None:
    """A planted relation; huge spikes after the onset and those of regressions must not enter."""
    rows, alarms = gai(depths=(2, 3)), []
    for number, row in enumerate(events(rows)):
        row["final_test_metric"] = number / 24 + 0.01 * (number % 3)
        alarms += [alarm(row, 700, peak=5 + number), alarm(row, 500, peak=4)]
        alarms += [alarm(row, 1500, peak=1000 - 30 * number)]
    for row in rows:
        if row["task"] == "cubic_regression":
            row["final_test_metric"] = -5.0
            alarms.append(alarm(row, 700, peak=400.0))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["measured"] == pytest.approx(1, abs=1e-3)
    assert (row["verdict"], row["n"]) == ("holds", 24)
    assert row["p"] == 1 / 200, "no permutation of 199 is as good"


def test_spike_size_without_relation_fails() -> None:
    rng, rows = np.random.default_rng(1), gai(seeds=5)
    alarms = []
    for row in events(rows):
        row["final_test_metric"] = float(rng.uniform())
        alarms.append(alarm(row, 700, peak=float(rng.uniform(4, 9))))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert abs(row["measured"]) < 0.5
    assert row["p"] > 0.05


def test_a_correlation_of_cells_is_none_of_runs() -> None:
    """Spike and accuracy rise with the depth, and within a depth one falls with the other."""
    rows, alarms = gai(seeds=5), []
    for row in events(rows):
        row["final_test_metric"] = row["depth"] / 10 - 0.01 * row["seed"]
        alarms.append(alarm(row, 700, peak=5 + 10 * row["depth"] + row["seed"]))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["measured"] > 0.9
    assert "Across 10 cells r = 1.000, within cells -1.000" in row["reason"]


def test_permuted_correlation_agrees_with_the_exact_test() -> None:
    """Four runs: of 24 orders only the one at hand has the largest r."""
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 5.0])
    assert permuted_correlation(x, y, 999, 0) == pytest.approx(1 / 24)
    assert permuted_correlation(x, -y, 999, 0) == pytest.approx(1)


def test_order_score_is_kendalls_tau() -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 4, size=(50, 5)).astype(float)
    steps = steps[[len(set(row)) > 1 for row in steps]]
    expected = [stats.kendalltau(np.arange(5), row).statistic for row in steps]
    assert order_score(steps) == pytest.approx(expected)


def test_permuted_order_of_two_layers_is_a_coin() -> None:
    """20 events, last layer first in all: p of a coin is 2^-20; in half of them, about 0.6."""
    first = np.tile([20.0, 10.0], (20, 1))
    taus, p = permuted_order(first, 999, 0)
    assert taus.tolist() == [-1] * 20
    assert p == 1 / 1000
    first[:10] = [10.0, 20.0]
    _, p = permuted_order(first, 999, 0)
    assert p == pytest.approx(stats.binom.cdf(10, 20, 0.5), abs=0.06)
    taus, p = permuted_order(np.array([[5.0, 5.0], [np.nan, 3.0]]), 999, 0)
    assert (len(taus), p) == (0, None)


def test_layer_order() -> None:
    """Layers that alarm from last to first hold; from first to last fail."""
    rows = gai()
    for sign, expected in ((-1, "holds"), (1, "fails")):
        alarms = [
            alarm(row, 500 + sign * 10 * layer, layer=str(layer))
            for row in events(rows)
            for layer in range(1, row["depth"] + 1)
        ]
        row = verdict("GAI5", build(rows, alarms=alarms))
        assert row["verdict"] == expected
        assert row["measured"] == (1 if sign < 0 else 0)
        assert f"median {sign:.2f} over 60 events" in row["reason"]
        assert row["p"] == (1 / 200 if sign < 0 else 1)


def test_a_first_layer_that_never_alarms_comes_after_the_last() -> None:
    rows = gai()
    alarms = [alarm(row, 500, layer=str(row["depth"])) for row in events(rows)]
    assert verdict("GAI5", build(rows, alarms=alarms))["measured"] == 1


def rank_rows(rows: list[dict[str, Any]], drop: float, reference: str = "onset") -> list[dict]:
    return [
        {name: row[name] for name in KEY_COLUMNS}
        | {"layer": row["depth"], "is_last_layer": True, "measure": measure, "before": 10.0}
        | {"after": 10 * (1 - drop), "relative_drop": drop, "reference": reference}
        | {"reference_step": 1000, "steepest_fall_step": 900, "steepest_fall_lead": 100}
        for row in rows
        for measure in ("effective", "stable", "numerical")
    ]


@pytest.mark.parametrize(
    ("drop", "expected"),
    [(0.4, "holds"), (0.3, "holds"), (0.5, "holds"), (0.2, "fails"), (0.6, "fails")],
)
def test_rank_drop(drop: float, expected: str) -> None:
    rows = gai()
    never = [row | {"test_onset_step": None, "width": 64} for row in events(rows)]
    rank = rank_rows(events(rows), drop) + rank_rows(never, 0.25, "matched")
    row = verdict("GAI6", build(rows + never, rank=rank))
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(drop)
    assert "(matched: 0.250 in 60; p " in row["reason"]
    # All drops of one kind are above all of the other, or below.
    assert (row["p"] < 0.001) == (drop > 0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "of the same cells"),
        ({"width": 64}, "of the same tasks and depths"),
        ({"depth": 5}, "other depths included"),
        ({"task": "cubic_regression"}, "there are none"),
    ],
)
def test_rank_controls_are_the_nearest_there_are(change: dict[str, Any], words: str) -> None:
    rows = events(gai(depths=(2,)))
    never = [row | {"test_onset_step": None, "seed": row["seed"] + 10} | change for row in rows]
    never = list({str(key(**{n: row[n] for n in KEY_COLUMNS})): row for row in never}.values())
    rank = rank_rows(rows, 0.4) + rank_rows(never, 0.1, "matched")
    row = verdict("GAI6", build(rows + never, rank=rank))
    assert words in row["reason"]
    assert (row["p"] is None) == ("none" in words)
