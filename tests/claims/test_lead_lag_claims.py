"""LL1-LL5: verdicts on tables made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from claim_tables import PEARSON, build, judged, lead_lag, published_lead_lag, verdict

LL = ("LL1", "LL2", "LL3", "LL4", "LL5")


def test_lags_around_the_published_ones_hold() -> None:
    table = judged("LL", build(lead_lag()))
    assert table["verdict"].to_dict() == dict.fromkeys(LL, "holds")
    assert table["measured"].tolist() == [
        1,
        54,
        1,
        *[pytest.approx(-0.929), 1],
    ]
    assert (table["low"] < table["measured"]).all()
    assert table["seeds_needed"].isna().all()


def test_the_published_runs_alone_decide_nothing() -> None:
    """One seed, and three of them, say nothing of the next; the published digits are there."""
    table = judged("LL", build(published_lead_lag()))
    assert table["verdict"].to_dict() == dict.fromkeys(LL, "undecided")
    assert "641.7 ± 197.3 (422 to 804) at 0.5" in table.loc["LL2", "reason"]
    assert table.loc["LL2", "measured"] == pytest.approx(54.33, abs=0.01)
    assert table.loc["LL1", ["measured", "n", "seeds"]].tolist() == [1, 3, 1]
    assert "0.03 at 0.5" in table.loc["LL1", "reason"]
    assert "1 of 3 runs are censored" in table.loc["LL1", "reason"]
    assert "skip boundary, and so is none, in 3 of 3" in table.loc["LL3", "reason"]


@pytest.mark.parametrize(
    ("claim", "changes", "measured"),
    [
        ("LL1", {"lag": -1}, 0),
        ("LL1", {"lag": 0}, 0),
        ("LL2", {"replication_lag": -1}, -1),
        ("LL3", {"control_lag": 1}, 0),
        ("LL5", {"replication_lag": 900}, 0),
    ],
)
def test_a_premise_that_is_broken_at_one_fraction_fails_its_claim(
    claim: str, changes: dict[str, Any], measured: float
) -> None:
    table = judged("LL", build(lead_lag(9, **changes)))
    assert table.loc[claim, "verdict"] == "fails"
    assert table.loc[claim, "measured"] == measured
    others = set(LL) - {claim, "LL2", "LL5"}
    assert set(table.loc[sorted(others), "verdict"]) == {"holds"}


def test_a_lag_that_ties_with_the_next_fraction_is_no_fall() -> None:
    rows = lead_lag()
    lags = {(row["seed"], row["train_fraction"], row["task"]): row["lag"] for row in rows}
    for row in rows:
        if row["train_fraction"] == 0.9:
            row["replication_lag"] = lags[row["seed"], 0.7, row["task"]]
    assert verdict("LL5", build(rows))["verdict"] == "fails"


def test_a_control_without_any_lag_does_not_lead() -> None:
    """LL3 says zero or less."""
    row = verdict("LL3", build(lead_lag(control_lag=0)))
    assert (row["verdict"], row["measured"]) == ("holds", 1)


@pytest.mark.parametrize(
    ("claim", "changes"),
    [
        ("LL1", {"lag": -1}),
        ("LL2", {"replication_lag": -1}),
        ("LL3", {"control_lag": 1}),
        ("LL4", {"pearson_r": -0.3}),
        ("LL5", {"replication_lag": 900}),
    ],
)
def test_some_seeds_that_disagree_leave_a_claim_open(claim: str, changes: dict[str, Any]) -> None:
    row = verdict(claim, build(lead_lag(8, 3, **changes)))
    assert row["verdict"] == "undecided"
    assert row["seeds_needed"] > 8
    more = row["seeds_needed"] - 8
    assert f"About {more} more seed" in row["reason"]


def test_most_seeds_may_lead_and_their_mean_not() -> None:
    """LL2 asks for both: eight of nine lags are positive, the other is large and negative."""
    row = verdict("LL2", build(lead_lag(9, 1, replication_lag=-1900)))
    assert row["verdict"] == "undecided" and row["measured"] < 0
    assert verdict("LL1", build(lead_lag(9, 1, lag=-1900)))["verdict"] == "holds"


def test_the_mean_r_may_lie_a_tolerance_outside() -> None:
    """-0.66 + 0.05 = -0.61, by the interval's end."""
    for r, expected in ((-0.64, "holds"), (-0.615, "undecided"), (-0.58, "fails")):
        rows = lead_lag()
        for row in rows:
            if row["train_fraction"] == 0.9:
                row["pearson_r"] += r - PEARSON[0.9]
        assert verdict("LL4", build(rows))["verdict"] == expected, r


def test_one_seeded_claims_say_what_the_other_seeds_say() -> None:
    """The primary runs have one seed; LL1's lags over all three are those of LL2."""
    evidence = build(published_lead_lag())
    assert (
        "Over 3 seeds, those of fewer steps included, the means are 641.7 ("
        in (verdict("LL1", evidence)["reason"])
    )
    assert "Over 3 seeds" not in verdict("LL3", evidence)["reason"], "the control has one seed"


def test_a_missing_cell_is_not_testable_and_named_but_measured() -> None:
    rows = [row for row in lead_lag() if row["train_fraction"] != 0.7]
    row = verdict("LL1", build(rows))
    assert row["verdict"] == "not testable at this scale"
    assert "train_fraction 0.7" in row["reason"]
    assert row["measured"] == 1


def test_two_seeds_cannot_replicate() -> None:
    row = verdict("LL2", build(lead_lag(2)))
    assert row["verdict"] == "not testable at this scale"
    assert "3 seeds" in row["reason"]


def test_a_seed_without_lag_does_not_count_and_is_told() -> None:
    row = verdict("LL2", build(lead_lag(8, 1, replication_lag=None)))
    assert row["n"] == 23
    assert "In 1 of 24 runs it is undefined" in row["reason"]


def test_another_modulus_is_not_the_published_scale() -> None:
    rows = [row | {"n_train": 300, "n_test": 229} for row in lead_lag()]
    row = verdict("LL1", build(rows))
    assert row["verdict"] == "not testable at this scale"
    assert "9,409 samples" in row["reason"]
    assert row["measured"] == 1


def test_further_cells_do_not_count_where_the_published_ones_are_there() -> None:
    rows = lead_lag()
    wrong = {"lag": -999, "replication_lag": -999, "pearson_r": 0.9}
    extra = [row | {"width": 16} | wrong for row in rows if row["task"] == "modular_addition"]
    expected = judged("LL", build(rows))
    assert judged("LL", build(rows + extra))["verdict"].equals(expected["verdict"])
