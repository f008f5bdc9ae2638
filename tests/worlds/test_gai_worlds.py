"""Control worlds of GAI1-GAI8: alarms that warn; alarms of chance; one premise is broken."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

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
    gai_study,
    gai_trace,
    none_holds,
    only,
    world,
)

from grokscope.runs.spec import KEY_COLUMNS

CLAIMS = tuple(f"GAI{number}" for number in range(1, 9))
TRUE = dict.fromkeys(CLAIMS, HOLDS)


@pytest.fixture(scope="module")
def warned() -> World:
    """Every claim is true; eight held-out seeds of its own for each depth."""
    return world(configuration("config", {"gai": gai_study(8)}), "gai", gai_trace)


def alarms_of(of: World) -> pd.Series:
    """Steps of the combined norm's alarms of each row of the variants, a list each."""
    texts = of.tables["variants"]["alarms"].fillna("")
    return pd.Series([[int(step) for step in text.split()] for text in texts], dtype=object)


def with_alarms(of: World, alarms: pd.Series) -> World:
    """The world with other alarms of the combined norm."""
    texts = alarms.map(lambda steps: " ".join(map(str, sorted(steps))) or None)
    return of.but("variants", alarms=texts)


def moved(of: World, by: int) -> World:
    """The world with all alarms so many steps later."""
    return with_alarms(of, alarms_of(of).map(lambda steps: [step + by for step in steps]))


def test_a_world_in_which_alarms_warn(warned: World) -> None:
    assert warned.verdicts() == TRUE


@pytest.mark.slow
@pytest.mark.parametrize("draw", [1, 2, 3])
def test_a_perfect_detector_passes_with_the_fewest_seeds(draw: int) -> None:
    """Six held-out events a depth, the fewest that can decide, in every world."""
    config = configuration("config", {"gai": gai_study(6)})
    assert world(config, "gai", partial(gai_trace, draw=draw)).verdicts() == TRUE


@pytest.mark.parametrize("name", ["config", "evidence"])
def test_a_perfect_detector_at_the_scale_of_the_configurations(name: str) -> None:
    """Depths 6 and 8 do not grok there, as in the pilot, so nothing can be said of every depth."""
    of = world(configuration(name), "gai", partial(gai_trace, deep=False))
    only({"GAI7": NOT_TESTABLE}, of.verdicts(), TRUE)
    row = of.judged().loc["GAI7"]
    assert row["p"] < 0.05, "where there are events, alarms beat shifted ones"
    assert row["low"] > 0.5, "and are right more often than not"
    assert "No event at depth 6, 8." in row["reason"]


def test_depths_of_two_events_leave_the_other_claims_alone() -> None:
    """A detector that is right everywhere, at two depths of two events each."""
    of = world(configuration("evidence"), "gai", gai_trace)
    only({"GAI7": NOT_TESTABLE}, of.verdicts(), TRUE)


def published_scale(of: World, alarms: bool = True) -> World:
    """Tables of 100 seeds a depth and 50,000 steps, with onsets near 1,000.

    Alarms come 300 steps before them or, at random times in as many steps as are at risk.
    """
    rng, made = np.random.default_rng(0), {}
    events = of.tables["variants"].query("event and onset_threshold == 0.95")
    first = events.drop_duplicates("depth")
    onset = rng.normal(1000, 50, 100 * len(first)).round().astype(int)
    fired = onset - rng.integers(240, 361, len(onset))
    if not alarms:
        fired = rng.integers(600, onset)
    facts = {
        "runs": {"steps": 50_000, "max_steps": 50_000},
        "transitions": {"test_onset_step": onset, "last_step": 50_000},
        "variants": {"onset": onset, "alarms": [str(step) for step in fired]},
    }
    for name, columns in facts.items():
        table = of.tables[name]
        template = first[list(KEY_COLUMNS)].merge(table, on=list(KEY_COLUMNS))
        if name == "variants":
            template = template[template["onset_threshold"] == 0.95]
        rows = template.loc[template.index.repeat(100)].reset_index(drop=True)
        rows = rows.assign(seed=1000 + np.arange(len(rows)), **columns)
        made[name] = rows.astype(table.dtypes)
    claims = [of.claims.claim(name) for name in ("GAI1", "GAI2", "GAI3", "GAI7", "GAI8")]
    rest = {name: of.tables[name].head(0) for name in ("alarms", "rank", "phases")}
    return replace(of, tables=made | rest, claims=replace(of.claims, claims=tuple(claims)))


def test_a_perfect_detector_passes_at_the_published_scale(warned: World) -> None:
    """160 events in runs of 50,000 steps did not suffice where alarms shift over whole runs."""
    assert set(published_scale(warned).verdicts().values()) == {HOLDS}


def test_noise_fails_at_the_published_scale(warned: World) -> None:
    verdicts = published_scale(warned, alarms=False).verdicts()
    none_holds(verdicts)
    assert {verdicts["GAI2"], verdicts["GAI3"]} == {FAILS}


def test_a_world_of_noise() -> None:
    config = configuration("config", {"gai": gai_study(8)})
    verdicts = world(config, "gai", partial(gai_trace, warns=False)).verdicts()
    none_holds(verdicts)
    assert {verdicts[claim] for claim in ("GAI1", "GAI2", "GAI3", "GAI4", "GAI6")} == {FAILS}


@pytest.mark.parametrize("by", [-300, 250])
def test_alarms_out_of_the_window(warned: World, by: int) -> None:
    """Whatever is counted by the window goes with it: spikes, layers and ranks do not."""
    verdicts = moved(warned, by).verdicts()
    none_holds(verdicts, but=["GAI4", "GAI5", "GAI6"])
    assert {verdicts[claim] for claim in ("GAI1", "GAI2", "GAI3", "GAI7")} == {FAILS}


def test_every_second_alarm_is_false(warned: World) -> None:
    alarms = alarms_of(warned).map(lambda steps: steps + [step + 210 for step in steps])
    verdicts = with_alarms(warned, alarms).verdicts()
    only({"GAI2": FAILS, "GAI7": UNDECIDED}, verdicts, TRUE)


def test_every_second_event_is_missed(warned: World) -> None:
    missed = warned.tables["variants"]["seed"] % 2 == 0
    alarms = alarms_of(warned).where(~missed, pd.Series([[]] * len(missed)))
    verdicts = with_alarms(warned, alarms).verdicts()
    only({"GAI1": UNDECIDED, "GAI3": FAILS, "GAI7": UNDECIDED}, verdicts, TRUE)


def test_spikes_of_any_size(warned: World) -> None:
    """GAI8 is about the p-values of all claims, GAI4's among them."""
    spike = warned.tables["variants"]["spike"]
    known = np.flatnonzero(spike.notna())
    drawn = spike.astype(float).to_numpy(copy=True)
    drawn[known] = np.random.default_rng(0).permutation(drawn[known])
    verdicts = warned.but("variants", spike=drawn).verdicts()
    only({"GAI4": FAILS, "GAI8": UNDECIDED}, verdicts, TRUE)


def test_spikes_start_in_the_first_layer(warned: World) -> None:
    variants, alarms = warned.tables["variants"], warned.tables["alarms"]
    first, last = variants["first_first_lead"], variants["last_first_lead"]
    layers = alarms["layer"].where(
        alarms["layer"] == "combined",
        (alarms["depth"] + 1 - pd.to_numeric(alarms["layer"], errors="coerce")).map(
            "{:.0f}".format
        ),
    )
    broken = warned.but("variants", first_first_lead=last, last_first_lead=first)
    verdicts = broken.but("alarms", layer=layers).verdicts()
    only({"GAI5": FAILS, "GAI8": UNDECIDED}, verdicts, TRUE)


@pytest.mark.parametrize("share", [0.25, 2.0])
def test_ranks_fall_by_less_or_more(warned: World, share: float) -> None:
    drops = {"effective_drop": warned.tables["variants"]["effective_drop"] * share}
    falls = {"relative_drop": warned.tables["rank"]["relative_drop"] * share}
    verdicts = warned.but("variants", **drops).but("rank", **falls).verdicts()
    only({"GAI6": FAILS}, verdicts, TRUE)


def test_ranks_fall_without_an_onset_as_well(warned: World) -> None:
    """GAI6 says how much they fall, and GAI8 that this is more than where nothing is learned."""
    rank = warned.tables["rank"]
    matched = rank["reference"] == "matched"
    verdicts = warned.but(
        "rank", relative_drop=rank["relative_drop"].mask(matched, 0.4)
    ).verdicts()
    only({"GAI8": UNDECIDED}, verdicts, TRUE)


def test_one_depth_at_which_alarms_are_false(warned: World) -> None:
    deep = warned.tables["variants"]["depth"] == 8
    late = moved(warned, 200).tables["variants"]["alarms"]
    broken = warned.but("variants", alarms=warned.tables["variants"]["alarms"].mask(deep, late))
    verdicts = broken.verdicts()
    assert verdicts["GAI7"] == FAILS
    none_holds(verdicts, but=["GAI1", "GAI4", "GAI5", "GAI6"])


def test_three_events_decide_nothing(warned: World) -> None:
    verdicts = warned.seeds([0, 200, 300, 400]).verdicts()
    assert verdicts == dict.fromkeys(CLAIMS, UNDECIDED) | {"GAI7": NOT_TESTABLE}


def test_a_world_without_events(warned: World) -> None:
    assert set(warned.seeds([0]).verdicts().values()) == {NOT_TESTABLE}
