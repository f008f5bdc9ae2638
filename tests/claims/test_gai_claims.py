"""GAI1-GAI3, GAI7, GAI8: verdicts on alarms made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from claim_tables import alarm, build, events, gai, judged, settings, verdict
from grokscope.claims.wording import NULLS
from grokscope.data.tables import conform

BEATS_ALL = dict.fromkeys(NULLS, 0.001)
BEATS_TWO = {"random": 0.001, "shifted": 0.002, "swapped": 0.4, "constant_time": 0.7}


def test_the_published_alarms_are_judged(against: Callable[..., None]) -> None:
    """48 events with an alarm each, 300 steps ahead, in two a false one before and a late one."""
    rows = gai(24, depths=(2,))
    alarms = [alarm(row, 700) for row in events(rows)]
    alarms += [alarm(row, step) for row in events(rows)[:2] for step in (100, 2900)]
    # The regression arm has no event; of its alarms one ends too near the end to be judged.
    regression = next(row for row in rows if row["task"] == "cubic_regression")
    alarms.append(alarm(regression, 500))
    against(BEATS_ALL)
    against({"shifted": 0.02}, "recall")
    table = judged("GAI", build(rows, alarms=alarms), "GAI1", "GAI2", "GAI3")
    lead, precision, recall = (table.loc[name] for name in ("GAI1", "GAI2", "GAI3"))
    assert (lead["measured"], lead["verdict"], lead["n"]) == (300, "holds", 48)
    assert (lead["low"], lead["high"]) == (300, 300) and pd.isna(lead["p"])
    assert "48 of 48 events have an alarm before them; 46 of these come 200-400" in lead["reason"]
    assert precision["measured"] == pytest.approx(48 / 51)
    assert (precision["p"], precision["n"], precision["seeds"]) == (0.001, 72, 24)
    assert precision["low"] < precision["measured"] < precision["high"]
    assert "48 of 51 judged alarms" in precision["reason"]
    assert "0 of 51 alarms are censored" in precision["reason"]
    assert "it knows when this run groks" in precision["reason"]
    assert (recall["measured"], recall["verdict"], recall["p"]) == (1, "holds", 0.02)


def test_alarms_of_layers_and_other_detectors_have_no_part() -> None:
    rows = gai()
    alarms = [alarm(row, 700) for row in events(rows)]
    others = [alarm(row, 100, layer="1") for row in rows]
    others += [alarm(row, 100) | {"detector": "cusum"} for row in rows]
    tables = build(rows, alarms=alarms)
    more = tables | {"alarms": build(rows, alarms=alarms + others)["alarms"]}
    for name in ("GAI1", "GAI2", "GAI3"):
        assert verdict(name, tables) == verdict(name, more)


def test_a_lead_outside_the_window_fails() -> None:
    rows = gai()
    alarms = [alarm(row, 100) for row in events(rows)]
    # Most runs alarm and end without an onset.
    never = [row | {"test_onset_step": None, "width": 64} for row in rows]
    alarms += [alarm(row, 100) for row in never]
    row = verdict("GAI1", build(rows + never, alarms=alarms))
    assert (row["verdict"], row["measured"]) == ("fails", 900)
    assert "not reached" in row["reason"]


@pytest.mark.parametrize(
    ("step", "expected"), [(599, "fails"), (600, "holds"), (800, "holds"), (801, "fails")]
)
def test_the_ends_of_the_published_window_belong_to_it(step: int, expected: str) -> None:
    rows = gai(depths=(2,))
    row = verdict("GAI1", build(rows, alarms=[alarm(row, step) for row in events(rows)]))
    assert (row["measured"], row["verdict"]) == (1000 - step, expected)


def test_leads_count_misses_and_are_known_to_the_step() -> None:
    """An alarm at the onset, or after it, is a miss."""
    rows = gai()
    steps = {0: 691, 1: 700, 2: 1000}
    alarms = [alarm(row, steps[row["seed"] % 3]) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms))
    assert "40 of 60 events have an alarm before them" in row["reason"]
    assert (row["low"], row["measured"], row["high"]) == (0, 300, 309)


def test_development_seeds_have_no_part_in_the_lead() -> None:
    rows = gai(7)
    alarms = [alarm(row, 100 if row["seed"] == 0 else 700) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms), settings(development_seeds=[0]))
    assert (row["low"], row["high"]) == (300, 300)
    assert "60 of 60 events" in row["reason"]


def test_one_relabelled_cell_enters_nothing() -> None:
    """Runs of another modulus or of an unpublished task: no value, interval, chance or reason."""
    rows = gai(seeds=4)
    alarms = [alarm(row, 700 - 10 * row["seed"]) for row in events(rows)]
    expected = judged("GAI", build(rows, alarms=alarms))
    for change in (
        {"n_train": 300, "n_test": 229, "width": 64},
        {"task": "modular_cubic"},
        {"task": "modular_addition", "n_train": 300, "n_test": 229, "width": 32},
    ):
        others = [row | change for row in events(rows) if row["task"] == "s5_composition"]
        more = alarms + [alarm(row, 100) for row in others]
        found = judged("GAI", build(rows + others, alarms=more))
        pd.testing.assert_frame_equal(found, expected)


def test_the_reason_says_what_the_alarms_know(against: Callable[..., None]) -> None:
    rows = gai()
    alarms = [alarm(row, step) for row in events(rows) for step in (50, 100, 150, 700)]
    against(BEATS_TWO)
    row = verdict("GAI2", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert row["p"] == 0.002
    assert (
        "beats chance and shifted alarms but not other seeds' alarms or a constant time: it knows "
        "when such runs grok, not when this one does"
    ) in row["reason"]
    assert "Shifted alarms reach 0.100 (p = 0.002)." in row["reason"]


def test_without_alarms_precision_is_not_testable_but_recall_is_zero() -> None:
    table = judged("GAI", build(gai()))
    for name in ("GAI2", "GAI7", "GAI8"):
        assert table.loc[name, "verdict"] == "not testable at this scale"
        assert pd.isna(table.loc[name, "measured"])
    assert table.loc["GAI3", "verdict"] == "fails"
    assert table.loc["GAI3", "measured"] == 0


def test_without_events_nothing_is_testable() -> None:
    rows = gai(test_onset_step=None)
    table = judged("GAI", build(rows, alarms=[alarm(row, 700) for row in rows]))
    for claim in ("GAI1", "GAI2", "GAI3", "GAI5", "GAI6", "GAI7", "GAI8"):
        row = table.loc[claim]
        assert row["verdict"] == "not testable at this scale"
        assert "None of the 90 " in row["reason"]
        assert "runs has an event" in row["reason"]


def alarms_by_depth(rows: list[dict], right: dict[int, int]) -> list[dict]:
    """One alarm per run with event: right in that many runs of a depth, wrong in the others."""
    alarms: list[dict] = []
    for depth, number in right.items():
        runs = [row for row in events(rows) if row["depth"] == depth]
        alarms += [alarm(row, 700 if i < number else 100) for i, row in enumerate(runs)]
    return alarms


def every_depth(
    against: Callable[..., None],
    right: dict[int, int],
    p: float = 0.01,
    p_best: float = 0.001,
    events_at: tuple[int, ...] = (2, 3, 4, 6, 8),
) -> dict[str, Any]:
    """GAI7 where alarms of all depths are right, but for what is said of depth 8."""
    rows = gai(8)
    for row in rows:
        if row["depth"] not in events_at:
            row["test_onset_step"] = None
    for depth in set(right):
        last = depth == 8
        score = {"shifted": p if last else 0.001}
        against(score, depth=depth, p_best=p_best if last else 0.001)
    return verdict("GAI7", build(rows, alarms=alarms_by_depth(rows, right)))


ALL_RIGHT = dict.fromkeys((2, 3, 4, 6, 8), 16)


@pytest.mark.parametrize(
    ("p", "right", "p_best", "expected"),
    [
        (0.01, 16, 0.001, "holds"),
        (0.06, 16, 0.001, "undecided"),
        (0.01, 8, 0.001, "undecided"),
        (0.01, 0, 0.001, "fails"),
        (0.06, 16, 0.06, "not testable at this scale"),
        # Where nothing can be told from chance, nothing speaks against it either.
        (1.0, 0, 0.06, "not testable at this scale"),
    ],
)
def test_one_depth_decides_on_every_depth(
    p: float, right: int, p_best: float, expected: str, against: Callable[..., None]
) -> None:
    row = every_depth(against, ALL_RIGHT | {8: right}, p, p_best)
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(right / 16)
    assert row["p"] == (p if p_best < 0.05 else 0.001)
    assert "depth 8 (16 of 24 runs with event)" in row["reason"]
    assert row["n"] == 5 * 24
    assert ("about 3 events are needed" in row["reason"]) == (p_best > 0.05)


@pytest.mark.parametrize(("right", "expected"), [(16, "not testable at this scale"), (0, "fails")])
def test_a_depth_without_events_leaves_it_open_unless_another_fails(
    right: int, expected: str, against: Callable[..., None]
) -> None:
    alarms = {2: 16, 3: 16, 4: 16, 8: right}
    row = every_depth(against, alarms, events_at=(2, 3, 4, 8))
    assert row["verdict"] == expected
    assert "No event at depth 6" in row["reason"]


def test_a_silent_depth_cannot_be_judged(against: Callable[..., None]) -> None:
    row = every_depth(against, {2: 16, 3: 16, 4: 16, 6: 16})
    assert row["verdict"] == "not testable at this scale"
    assert "depth 8 (16 of 24 runs with event): no judged alarm" in row["reason"]


def significance(
    seeds: int,
    step: int,
    against: Callable[..., None],
    p_recall: float = 0.001,
    surrogates: int = 199,
    **chance: float,
) -> dict[str, Any]:
    rows = gai(seeds, depths=(2,))
    against({"shifted": 0.001}, **chance)
    against({"shifted": p_recall}, "recall")
    tables = build(rows, alarms=[alarm(row, step) for row in events(rows)])
    return verdict("GAI8", tables, settings(surrogates=surrogates))


@pytest.mark.parametrize(
    ("seeds", "step", "chance", "expected"),
    [
        (1, 700, {}, "undecided"),
        (6, 700, {}, "holds"),
        # 0.025^(1/6) = 0.54 is above this chance, with Bonferroni 0.0036^(1/6) = 0.39 is not.
        (6, 700, {"mean": 0.45}, "undecided"),
        (6, 100, {}, "undecided"),
        (26, 100, {}, "fails"),
        (26, 100, {"p_best": 0.2}, "not testable at this scale"),
        (26, 700, {"p_best": 0.2}, "not testable at this scale"),
    ],
)
def test_significance_needs_seeds_and_events(
    seeds: int, step: int, chance: dict[str, float], expected: str, against: Callable[..., None]
) -> None:
    assert significance(seeds, step, against, **chance)["verdict"] == expected


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_significance_needs_every_adjusted_p(p: float, against: Callable[..., None]) -> None:
    row = significance(6, 700, against, p_recall=p)
    assert row["verdict"] == "undecided"
    assert "Of 2 p-values, adjusted by Holm, those of GAI3 are not below 0.05" in row["reason"]
    assert "it lacks the significance of every other claim" in row["reason"]
    assert row["measured"] == pytest.approx(0.9)


def test_significance_needs_surrogates(against: Callable[..., None]) -> None:
    """By hand: of 39 surrogates p is 1/40 at best, and twice that is not below 0.05."""
    row = significance(6, 700, against, p_recall=0.05, surrogates=39)
    assert row["verdict"] == "undecided"
    assert "surrogates: of 39 none of 2 adjusted p-values can be below 0.05" in row["reason"]
    assert "at least 40 are needed" in row["reason"]


def test_a_tiny_modulus_is_not_the_gai_study() -> None:
    rows = gai(n_train=200, n_test=100)
    alarms = [alarm(row, 700 if row["seed"] else 100) for row in events(rows)]
    row = verdict("GAI2", build(rows, alarms=alarms))
    assert row["verdict"] == "not testable at this scale"
    assert row["measured"] == pytest.approx(5 / 6)


def test_p_values_are_adjusted_over_the_claims_that_have_one(
    against: Callable[..., None],
) -> None:
    """By hand: Holm takes the smallest of two twice, and the other once."""
    against({"shifted": 0.01})
    against({"shifted": 0.04}, "recall")
    rows = gai(6, depths=(2,))
    table = judged("GAI", build(rows, alarms=[alarm(row, 700) for row in events(rows)]))
    assert table["p"].notna().sum() == 2
    columns = ["p", "p_holm", "p_bonferroni"]
    assert table.loc["GAI2", columns].tolist() == pytest.approx([0.01, 0.02, 0.02])
    assert table.loc["GAI3", columns].tolist() == pytest.approx([0.04, 0.04, 0.08])
    assert "Of 2 p-values, adjusted by Holm, all are below 0.05" in table.loc["GAI8", "reason"]


def test_a_large_p_value_is_one_of_the_family(against: Callable[..., None]) -> None:
    against({"shifted": 0.01})
    against({"shifted": 0.7}, "recall")
    rows = gai(6, depths=(2,))
    table = judged("GAI", build(rows, alarms=[alarm(row, 700) for row in events(rows)]))
    columns = ["p", "p_holm", "p_bonferroni"]
    assert table.loc["GAI2", columns].tolist() == pytest.approx([0.01, 0.02, 0.02])
    assert table.loc["GAI3", columns].tolist() == pytest.approx([0.7, 0.7, 1])


def test_the_reason_counts_the_choices_that_support_a_claim() -> None:
    """The configured choice, and two others without an alarm."""
    rows = gai(18, depths=(2,))
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])
    others = [
        tables["variants"].assign(window=window, alarms=None, spike=None) for window in (10, 30)
    ]
    variants = conform(pd.concat([tables["variants"], *others]), "variants")
    table = judged("GAI", tables | {"variants": variants})
    assert table.loc["GAI1", "reason"].endswith(
        "Of the 3 analysis choices 1 support it, 2 speak against it."
    )
    # Without a judged alarm there is no precision.
    assert table.loc["GAI2", "reason"].endswith(
        "Of the 1 analysis choices 1 support it, 0 speak against it."
    )
    assert "analysis choices" not in table.loc["GAI5", "reason"]
