"""PD1-PD7: verdicts on tables made by hand."""

from __future__ import annotations

import pytest

from claim_tables import build, by_learning_rate, judged, phases, verdict
from grokscope.claims.registry import CLAIMS

PD = tuple(name for name in CLAIMS if name.startswith("PD"))


def test_the_published_phases_hold() -> None:
    table = judged("PD", build(phases()))
    assert table["verdict"].to_dict() == dict.fromkeys(PD, "holds")
    assert table["measured"].tolist() == [1, 1, 9, 3, 1, pytest.approx(5 / 20), 1]
    assert (table["low"] < table["measured"]).all()


@pytest.mark.parametrize(
    ("claim", "phase", "cell"),
    [
        ("PD1", "grokking", (0.01, 0.5, 64)),
        ("PD4", "grokking", (0.0, 0.9, 16)),
        ("PD4", "comprehension", (0.0, 0.5, 64)),
        ("PD5", "grokking", (1.0, 0.9, 64)),
        ("PD5", "comprehension", (1.0, 0.5, 64)),
        ("PD5", "comprehension", (1.0, 0.9, 16)),
    ],
)
def test_one_cell_of_all_seeds_fails_a_claim_and_of_some_leaves_it_open(
    claim: str, phase: str, cell: tuple[float, float, int]
) -> None:
    where = dict(zip(("weight_decay", "train_fraction", "width"), cell, strict=True))
    assert verdict(claim, build(phases(9, 9, phase, **where)))["verdict"] == "fails"
    row = verdict(claim, build(phases(9, 4, phase, **where)))
    assert row["verdict"] == "undecided" and row["seeds_needed"] > 9


def test_one_run_more_or_less_changes_no_count() -> None:
    """F32: 8 of 60 is not another number than 9."""
    where = {"weight_decay": 0.01, "train_fraction": 0.9, "width": 64}
    row = verdict("PD3", build(phases(8, 8, "memorisation", **where)))
    assert (row["verdict"], row["measured"]) == ("holds", 8)


@pytest.mark.parametrize(
    ("claim", "decays"),
    [("PD3", (0.001, 0.01, 0.1)), ("PD3", (0.0, 1.0)), ("PD4", (0.0,))],
)
def test_far_more_grokking_fails_the_counts(claim: str, decays: tuple[float, ...]) -> None:
    rows = [
        row | {"phase": "grokking"}
        if row["weight_decay"] in decays and row["train_fraction"] >= 0.7
        else row
        for row in phases()
    ]
    assert verdict(claim, build(rows))["verdict"] == "fails"


def test_grokking_elsewhere_fails_the_count_at_moderate_decay() -> None:
    """As many runs as published, none at a weight decay of 0.001 to 0.1."""
    moved = {(0.0, 0.7, 16), (1.0, 0.7, 16), (1.0, 0.7, 32), (1.0, 0.7, 64), (0.0, 0.7, 32)}
    moved |= {(0.0, 0.9, 16), (1.0, 0.9, 16)}
    rows = []
    for row in phases(10):
        cell = row["weight_decay"], row["train_fraction"], row["width"]
        moderate = 0 < row["weight_decay"] < 1 and row["phase"] == "grokking"
        rows.append(
            row | {"phase": "memorisation" if moderate else "grokking"}
            if moderate or cell in moved
            else row
        )
    row = verdict("PD3", build(rows))
    assert (row["measured"], row["verdict"]) == (9, "fails")


def without(phase: str) -> list[dict]:
    return [row | {"phase": "memorisation"} if row["phase"] == phase else row for row in phases()]


def test_a_missing_phase_fails() -> None:
    assert verdict("PD7", build(without("comprehension")))["verdict"] == "fails"
    assert verdict("PD7", build(without("confusion")))["verdict"] == "fails"


@pytest.mark.parametrize(("generalising", "expected"), [(15, "fails"), (16, "holds")])
def test_exactly_half_is_not_most(generalising: int, expected: str) -> None:
    """PD2: of the 30 runs of a seed at fraction 0.9, at two learning rates."""
    rates = (1e-3, 1e-2)
    parts: dict[float, list[dict]] = {rate: phases() for rate in rates}
    for seed in range(8):
        rows = [
            row
            for rate in rates
            for row in parts[rate]
            if row["train_fraction"] == 0.9 and row["seed"] == seed
        ]
        for place, row in enumerate(rows):
            row["phase"] = "grokking" if place < generalising else "memorisation"
    assert verdict("PD2", by_learning_rate(parts))["verdict"] == expected


@pytest.mark.parametrize("width", [32, 64])
def test_both_wider_networks_must_generalise_more(width: int) -> None:
    """PD6: one that does not is enough against it."""
    rows = []
    for row in phases():
        phase = row["phase"]
        if row["train_fraction"] == 0.9:
            phase = {16: "comprehension", width: "memorisation"}.get(row["width"], "comprehension")
        elif row["train_fraction"] == 0.7:
            phase = "memorisation" if row["width"] in (16, width) else "comprehension"
        rows.append(row | {"phase": phase})
    row = verdict("PD6", build(rows))
    assert (row["verdict"], row["measured"]) == ("fails", pytest.approx(-0.25))


def test_a_grid_with_a_cell_missing_is_not_testable() -> None:
    table = judged("PD", build([row for row in phases() if not is_first(row)]))
    assert set(table["verdict"]) == {"not testable at this scale"}
    assert table["reason"].str.contains("1 of the 60 published cells lack a run").all()


def is_first(row: dict) -> bool:
    return (row["weight_decay"], row["train_fraction"], row["width"]) == (0.0, 0.3, 16)


def test_a_diverged_run_is_counted_and_no_phase() -> None:
    where = {"weight_decay": 1.0, "train_fraction": 0.3, "width": 16}
    row = verdict("PD7", build(phases(8, 1, "diverged", **where)))
    assert (row["measured"], row["verdict"]) == (1, "holds")
    assert "diverged 1" in row["reason"]


def test_counts_have_an_interval_over_seeds() -> None:
    where = {"weight_decay": 0.01, "train_fraction": 0.9, "width": 64}
    row = verdict("PD3", build(phases(3, 1, "memorisation", **where)))
    assert row["measured"] == pytest.approx(26 / 3)
    assert row["low"] < 8 < 9 < row["high"] and row["seeds"] == 3
