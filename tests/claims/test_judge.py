"""The table of verdicts: complete for any evidence, and what is an error."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from claim_tables import (
    PUBLISHED,
    SET_OF,
    SETTINGS,
    TRANSITION,
    alarm,
    build,
    events,
    gai,
    judged,
    key,
    lead_lag,
    phases,
)
from grokscope.claims.judge import judge_study
from grokscope.claims.published import read_published
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rules import Outcome
from grokscope.runs.kinds import KINDS


def test_every_claim_is_there_for_any_evidence() -> None:
    """Empty tables: every claim stands, not testable, with a reason."""
    table = pd.concat(judged(name, build([])) for name in PUBLISHED)
    assert len(table) == 20
    assert table.index.is_unique
    assert set(table["verdict"]) == {"not testable at this scale"}
    assert table["reason"].str.contains("has no runs").all()


def test_every_published_claim_has_a_function_and_none_is_left_over() -> None:
    assert set(SET_OF) == set(CLAIMS)
    for name, claims in PUBLISHED.items():
        assert name in KINDS[claims.kind].claim_sets


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_runs_of_no_rows_are_no_error(name: str) -> None:
    """A run that diverged at once has nulls everywhere."""
    nothing = dict.fromkeys(TRANSITION) | {"train_onset_censored": True, "warm_up": None}
    rows = [key("mine") | nothing | {"phase": "diverged", "final_test_metric": None}]
    table = judged(name, build(rows))
    assert set(table["verdict"]) == {"not testable at this scale"}


def test_the_table_is_complete_and_total() -> None:
    alarms = [alarm(row, 700) for row in events(gai())]
    studies = {
        "LL": build(lead_lag()),
        "GAI": build(gai(), alarms=alarms),
        "PD": build(phases(3)),
    }
    for name, tables in studies.items():
        table = judged(name, tables)
        assert table.index.tolist() == [claim.id for claim in PUBLISHED[name].claims]
        assert set(table["verdict"]) <= set(Outcome)
        assert table["reason"].str.endswith((".", "%")).all()
        inside = table[table["low"].notna()]
        assert (inside["low"] <= inside["measured"]).all()
        assert (inside["measured"] <= inside["high"]).all()
        assert table.equals(judged(name, tables)), "the same evidence, other numbers"


def test_one_seed_decides_nothing() -> None:
    """However right, or wrong, its runs are."""
    right, wrong = lead_lag(1), lead_lag(1, lag=-1, replication_lag=-1, pearson_r=0.5)
    open_ones = {Outcome.UNDECIDED, Outcome.NOT_TESTABLE}
    for step in (100, 700):
        rows = gai(1)
        tables = build(rows, alarms=[alarm(row, step) for row in events(rows)])
        assert set(judged("GAI", tables)["verdict"]) <= open_ones
    for rows in (right, wrong):
        assert set(judged("LL", build(rows))["verdict"]) <= open_ones
    for rows in (phases(1), [row | {"phase": "grokking"} for row in phases(1)]):
        assert set(judged("PD", build(rows))["verdict"]) == {Outcome.UNDECIDED}


def test_a_study_has_any_name() -> None:
    """The name moves nothing but the surrogates, which are drawn by it."""
    rows = gai()
    alarms = [alarm(row, 700 - 30 * row["seed"]) for row in events(rows)]
    other = {"study": "my_study"}
    renamed = [row | other for row in rows], [of | other for of in alarms]
    one, two = build(rows, alarms=alarms), build(renamed[0], alarms=renamed[1])
    columns = ["measured", "low", "high", "n", "seeds", "verdict"]
    one_table, two_table = judged("GAI", one), judged("GAI", two)
    assert set(two_table["study"]) == {"my_study"}
    pd.testing.assert_frame_equal(
        one_table.loc["GAI1":"GAI6", columns], two_table.loc["GAI1":"GAI6", columns]
    )
    for made, name in ((lead_lag(), "LL"), (phases(), "PD")):
        found = judged(name, build([row | other for row in made]))
        assert set(found["verdict"]) == {"holds"}


def test_runs_that_differ_in_a_varied_setting_are_different_runs() -> None:
    """The same seeds at two learning rates, and a setting that a task does not use (null)."""
    rows = gai()
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])

    def varied(frame: pd.DataFrame) -> pd.DataFrame:
        modular = frame["task"] == "modular_addition"
        p = pd.array([97 if yes else None for yes in modular], "Int64")
        parts = [frame.assign(p=p, learning_rate=rate) for rate in (1e-3, 1e-2)]
        return pd.concat(parts, ignore_index=True)

    made = judged("GAI", {name: varied(table) for name, table in tables.items()})
    once = judged("GAI", tables)
    assert (made["n"] == 2 * once["n"]).all()
    assert made.loc[["GAI1", "GAI3"], "measured"].tolist() == [300, 1]


def test_claims_of_another_kind_or_table_of_another_study_are_errors() -> None:
    tables = build(gai())
    claims = PUBLISHED["LL"]
    with pytest.raises(ValueError, match="of kind 'early_warning', but the claims LL are about"):
        judge_study("gai", tables, claims, "early_warning", SETTINGS)
    with pytest.raises(ValueError, match=r"table runs of study 'mine' has rows of \['gai'\]"):
        judge_study("mine", tables, None, "early_warning", SETTINGS)


def test_a_study_without_claims_is_measured_and_not_judged() -> None:
    rows = gai()
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])
    made = judge_study("gai", tables, None, "early_warning", SETTINGS)
    assert made.claims.empty
    assert made.multiverse["claim"].isna().all() and made.multiverse["supports"].isna().all()
    lead = made.multiverse.set_index("quantity").loc["median_lead"]
    assert (lead["measured"], lead["study"], lead["is_default"]) == (300, "gai", True)
    nothing = judge_study("gai", tables, None, "lead_lag", SETTINGS)
    assert nothing.claims.empty and nothing.multiverse.empty


ENTRY = "{id: X1, statement: a, published: b, values: {}, rule: d, weakness: c}"
SET = "X: {kind: lead_lag, title: a, authors: null, identifier: null, code: null, claims: [%s]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SET % "{id: X1, statement: a, published: b, values: {}}", "claim 'X1' has the fields"),
        (SET % f"{ENTRY}, {ENTRY}", "'X1' stands twice"),
        ("X: {kind: lead_lag, title: a, claims: []}", "claim set 'X' has the fields"),
        (SET.replace("lead_lag", "gai") % ENTRY, "of kind 'gai'; one of lead_lag"),
    ],
)
def test_a_file_of_claims_that_is_wrong_is_an_error(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published(path)


def test_a_published_claim_without_function_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(SET % ENTRY)
    claims = read_published(path)["X"]
    with pytest.raises(ValueError, match="no function judges claim 'X1' of X"):
        judge_study("lead_lag", build(lead_lag()), claims, "lead_lag", SETTINGS)
