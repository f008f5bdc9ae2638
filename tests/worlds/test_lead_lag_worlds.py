"""Control worlds of LL1-LL5: gradient peaks lead; nothing leads; one premise is broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from control_worlds import (
    FAILS,
    HOLDS,
    NOT_TESTABLE,
    UNDECIDED,
    World,
    configuration,
    lead_lag_trace,
    none_holds,
    only,
    seeds_of,
    world,
)

CLAIMS = ("LL1", "LL2", "LL3", "LL4", "LL5")
TRUE = dict.fromkeys(CLAIMS, HOLDS)


@pytest.fixture(scope="module")
def leads() -> World:
    """Every claim is true, at the scale of the evidence."""
    return world(configuration("evidence"), "lead_lag", lead_lag_trace)


def at(of: World, fraction: float, task: str = "modular_addition") -> pd.Series:
    """Which transitions are of a cell."""
    table = of.tables["transitions"]
    return (table["task"] == task) & (table["train_fraction"].astype(float) == fraction)


def moved(of: World, column: str, where: pd.Series, by: float) -> World:
    """The world with other values of a column of the transitions."""
    column_now = of.tables["transitions"][column].astype(float)
    return of.but("transitions", **{column: column_now.where(~where, column_now + by)})


def test_a_world_in_which_gradients_lead(leads: World) -> None:
    assert leads.verdicts() == TRUE
    assert leads.seeds(seeds_of("config", "lead_lag")).verdicts() == TRUE


def test_a_world_of_noise(leads: World) -> None:
    """Lags and correlations have either sign, in the control as well."""
    rng, n = np.random.default_rng(0), len(leads.tables["transitions"])
    lag = rng.integers(1, 500, n) * rng.choice([-1, 1], n)
    noise = {"lag": lag, "replication_lag": lag, "pearson_r": rng.uniform(-1, 1, n)}
    verdicts = leads.but("transitions", **noise).verdicts()
    none_holds(verdicts)
    assert {verdicts["LL4"], verdicts["LL5"]} == {FAILS}


def test_a_world_in_which_gradients_follow(leads: World) -> None:
    """The opposite of what was published is no undecided matter."""
    table = leads.tables["transitions"]
    opposite = {name: -table[name] for name in ("lag", "replication_lag", "pearson_r")}
    assert set(leads.but("transitions", **opposite).verdicts().values()) == {FAILS}


@pytest.mark.parametrize(
    ("claim", "column", "fraction", "task", "by"),
    [
        ("LL1", "lag", 0.9, "modular_addition", -200),
        ("LL1", "lag", 0.5, "modular_addition", -2000),
        ("LL2", "replication_lag", 0.9, "modular_addition", -200),
        ("LL3", "lag", 0.7, "sine_regression", 100),
        ("LL4", "pearson_r", 0.5, "modular_addition", 0.5),
        ("LL5", "replication_lag", 0.9, "modular_addition", 900),
    ],
)
def test_one_broken_premise_fails_its_claim_alone(
    leads: World, claim: str, column: str, fraction: float, task: str, by: float
) -> None:
    broken = moved(leads, column, at(leads, fraction, task), by)
    only({claim: FAILS}, broken.verdicts(), TRUE)


def test_one_seed_decides_nothing(leads: World) -> None:
    verdicts = dict.fromkeys(CLAIMS, UNDECIDED) | {"LL2": NOT_TESTABLE}  # wants three
    assert leads.seeds([42]).verdicts() == verdicts


def test_five_seeds_are_too_few_for_a_majority(leads: World) -> None:
    verdicts = leads.seeds([42, 123, 7, 0, 1]).verdicts()
    assert verdicts == dict.fromkeys(CLAIMS, UNDECIDED) | {"LL4": HOLDS}


def test_a_world_without_a_published_cell(leads: World) -> None:
    without = leads.of(lambda table: table["train_fraction"].astype(float) != 0.7)
    assert set(without.verdicts().values()) == {NOT_TESTABLE}
