"""Rules by hand: regions, what decides, and about how many seeds would."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from scipy import stats

from grokscope.claims.rules import (
    POSITIVE,
    Condition,
    Outcome,
    Region,
    Ruling,
    fewest,
    majority,
    mean,
    rule,
    seeds_needed,
)
from grokscope.evaluate.intervals import NO_INTERVAL, Interval

PUBLISHED = Region(200, 400, closed=True)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ((200, 400), True, False),
        ((199, 400), False, False),
        ((200, 401), False, False),
        ((100, 200), False, False),
        ((400, 500), False, False),
        ((100, 199), False, True),
        ((401, 500), False, True),
        ((100, 500), False, False),
        ((None, 300), False, False),
        ((300, None), False, False),
        ((401, None), False, True),
        (NO_INTERVAL, False, False),
    ],
)
def test_published_ends_belong_to_what_was_published(
    interval: tuple[float | None, float | None], inside: bool, outside: bool
) -> None:
    found = Interval(*interval)
    assert (PUBLISHED.inside(found), PUBLISHED.outside(found)) == (inside, outside)


def test_nothing_is_not_positive() -> None:
    assert not POSITIVE.inside(Interval(0, 1)) and not POSITIVE.outside(Interval(0, 1))
    assert POSITIVE.inside(Interval(0.1, 1))
    assert POSITIVE.outside(Interval(-1, 0))


def known(estimate: float, intervals: Mapping[float, tuple[float, float]]) -> Condition:
    """That a number is positive, with intervals that are known (by confidence)."""
    return Condition(estimate, lambda at: Interval(*intervals[round(at, 6)]), 10, POSITIVE)


def test_all_conditions_hold_uncorrected_and_one_fails_corrected() -> None:
    good = known(2, {0.95: (1, 3), 0.975: (-1, 5)})
    bad = known(-2, {0.95: (-3, -1), 0.975: (-5, -0.5)})
    unclear = known(-2, {0.95: (-3, -1), 0.975: (-5, 1)})
    assert rule([good, good], 0.95) == Ruling(Outcome.HOLDS)
    assert rule([good, bad], 0.95) == Ruling(Outcome.FAILS)
    assert rule([unclear], 0.95) == Ruling(Outcome.FAILS), "one alone needs no correction"
    # From -2 up to 1 it reaches 3; to end at 0 it must be 1.5 times as narrow: 2.25 as many.
    assert rule([good, unclear], 0.95) == Ruling(Outcome.UNDECIDED, 23)


@pytest.mark.parametrize(
    ("interval", "needed"), [((-1, 3), 40), ((-2, 4), 90), ((0, 2), 11), ((0.5, 1.5), 11)]
)
def test_an_interval_narrows_as_the_root_of_the_seeds(
    interval: tuple[float, float], needed: int
) -> None:
    """Of 10 seeds an interval twice as wide as the room it has: 40 seeds."""
    assert seeds_needed(known(1, {0.95: interval}), 0.95) == needed


@pytest.mark.parametrize("region", [Region(0, 100), Region(-100, 2), Region(0, 2)])
def test_the_nearer_end_of_a_region_says_how_many_seeds(region: Region) -> None:
    found = replace(known(1, {0.95: (-1, 3)}), region=region)
    assert rule([found], 0.95) == Ruling(Outcome.UNDECIDED, 40)


def test_the_last_condition_that_is_open_says_how_many_seeds() -> None:
    two, three = (
        known(1, {0.95: (-1, 3), 0.975: (-9, 9)}),
        known(1, {0.95: (-2, 4), 0.975: (-9, 9)}),
    )
    assert rule([two, three], 0.95).seeds_needed == 90


def test_an_estimate_on_the_border_is_decided_by_no_number() -> None:
    assert rule([majority(5, 10)], 0.95) == Ruling(Outcome.UNDECIDED, None)


def test_six_seeds_that_agree_are_the_fewest_that_decide() -> None:
    assert fewest(0.95) == 6
    for seeds in range(1, 8):
        all_show, none_show = (rule([majority(n, seeds)], 0.95) for n in (seeds, 0))
        if seeds < 6:
            assert all_show == none_show
            assert all_show.outcome is Outcome.UNDECIDED and all_show.seeds_needed in (6, 7)
        else:
            assert (all_show.outcome, none_show.outcome) == (Outcome.HOLDS, Outcome.FAILS)


@pytest.mark.parametrize(("shown", "seeds"), [(5, 6), (7, 10), (3, 10), (13, 20)])
def test_the_number_of_seeds_that_would_decide_does(shown: int, seeds: int) -> None:
    """About: within a quarter, at the same share."""
    ruling = rule([majority(shown, seeds)], 0.95)
    assert ruling.outcome is Outcome.UNDECIDED and ruling.seeds_needed is not None

    def decided(n: int) -> bool:
        hits = round(shown / seeds * n)
        return rule([majority(hits, n)], 0.95).outcome is not Outcome.UNDECIDED

    assert decided(math.ceil(ruling.seeds_needed * 1.25))
    assert not decided(math.floor(ruling.seeds_needed * 0.6))


def test_a_mean_has_students_interval_over_seeds() -> None:
    found = mean([1, 1, 2, 3], [1, 3, 4, 9], Region())
    assert found.seeds == 3
    half = stats.t.ppf(0.975, 1.5) * math.sqrt(13 / 3)
    assert found.interval(0.95) == pytest.approx((5 - half, 5 + half))
    assert mean([1, 2], [3, 3], Region()).interval(0.95) == NO_INTERVAL
    assert None not in mean([1, 2], [3, 3], Region(), scatter=1).interval(0.95)
