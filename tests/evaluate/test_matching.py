"""Alarms against onsets: scores by hand, by brute force, censoring and invariances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokscope.evaluate.matching import (
    AtRisk,
    Cohort,
    Window,
    alarms_of,
    codes,
    held_out,
    is_event,
    ratios,
    score_alarms,
)

GAP = 200
NEVER = np.nan


def scores(steps: list[list[int]], cohort: Cohort, rule: str, window: Window | None = None) -> Any:
    """Precision, recall and F1 of one data set."""
    return tuple(float(value[0]) for value in score_alarms(alarms_of(steps), cohort, rule, window))


def counts(steps: list[list[int]], cohort: Cohort, rule: str, window: Window | None) -> Any:
    """Hits and judged alarms of each run."""
    hits, judged = AtRisk(alarms_of(steps), cohort).judge(rule, window)
    return hits[0].astype(int).tolist(), judged[0].tolist()


# ------------------------------------------------------------------ by hand

WINDOW = (200, 400)
# Onset 1000 is hit from 600 to 800; the second run never generalises.
COHORT = Cohort.from_onsets([1000, NEVER], [3000, 3000])
# Too early, hit, hit, too late, then after the onset | false, false, censored.
PLANTED = [[599, 600, 800, 801, 1000, 2700], [50, 2600, 2601]]


def test_every_alarm_by_hand() -> None:
    """Of four alarms before the event one is the hit; two of three others are judged."""
    assert counts(PLANTED, COHORT, "every", WINDOW) == ([1, 0], [4, 2])
    assert scores(PLANTED, COHORT, "every", WINDOW) == pytest.approx((1 / 6, 1, 2 / 7))


def test_first_alarm_by_hand() -> None:
    """The first alarm of the event's run is a step too early, that of the other false."""
    assert counts(PLANTED, COHORT, "first", WINDOW) == ([0, 0], [1, 1])
    assert scores(PLANTED, COHORT, "first", WINDOW) == (0, 0, 0)
    later = [PLANTED[0][1:], PLANTED[1]]
    assert scores(later, COHORT, "first", WINDOW) == pytest.approx((1 / 2, 1, 2 / 3))


def test_runs_by_hand() -> None:
    """Any alarm before the event, however early; a censored alarm does not save its run."""
    assert counts(PLANTED, COHORT, "run", None) == ([1, 0], [1, 1])
    assert counts([[1000], [2999]], COHORT, "run", None) == ([0, 0], [0, 1])
    assert scores(PLANTED, COHORT, "run") == pytest.approx((1 / 2, 1, 2 / 3))


def test_a_perfect_oracle_scores_one() -> None:
    onsets = 1000 + 50 * np.arange(5.0)
    cohort = Cohort.from_onsets([*onsets, NEVER], np.full(6, 4000))
    steps = [[int(onset) - 300] for onset in onsets]
    for rule in ("run", "first", "every"):
        assert scores([*steps, []], cohort, rule, WINDOW) == (1, 1, 1)


@pytest.mark.parametrize("rule", ["first", "every"])
def test_ends_of_the_window_are_hits(rule: str) -> None:
    cohort = Cohort.from_onsets([1000], [1000])
    hit = [counts([[step]], cohort, rule, WINDOW)[0][0] for step in (599, 600, 800, 801)]
    assert hit == [0, 1, 1, 0]


@pytest.mark.parametrize("rule", ["first", "every"])
def test_an_alarm_is_censored_where_its_window_leaves_the_run(rule: str) -> None:
    cohort = Cohort.from_onsets([NEVER], [3000])
    judged = [counts([[step]], cohort, rule, WINDOW)[1][0] for step in (2600, 2601)]
    assert judged == [1, 0]


@pytest.mark.parametrize("rule", ["first", "every"])
def test_alarms_of_a_run_that_generalised_fast_are_false(rule: str) -> None:
    """However well they precede its onset, and up to its end: no event can follow."""
    cohort = Cohort.from_onsets([1000], [3000], event=[False])
    assert counts([[700]], cohort, rule, WINDOW) == ([0], [1])
    assert counts([[2999]], cohort, rule, WINDOW) == ([0], [1])
    assert np.isnan(scores([[700]], cohort, rule, WINDOW)[1])


def test_an_event_run_that_ends_soon_is_judged() -> None:
    """The onset is known, so what followed its alarms is too."""
    cohort = Cohort.from_onsets([1000], [1010])
    assert counts([[100, 950]], cohort, "every", WINDOW) == ([0], [2])


def test_no_alarms() -> None:
    assert scores([[], []], COHORT, "every", WINDOW) == pytest.approx((np.nan, 0, 0), nan_ok=True)


def test_runs_without_rows() -> None:
    cohort = Cohort.from_onsets([NEVER], [-1])
    assert counts([[]], cohort, "run", None) == ([0], [0])
    assert cohort.risk_end.tolist() == [0]


def test_ratios_without_events_or_alarms() -> None:
    precision, recall, f1 = ratios([0, 0, 1], [0, 2, 2], [3, 0, 4])
    assert precision == pytest.approx([np.nan, 0, 0.5], nan_ok=True)
    assert recall == pytest.approx([0, np.nan, 0.25], nan_ok=True)
    assert f1 == pytest.approx([0, np.nan, 1 / 3], nan_ok=True)


# ------------------------------------------------------------------ time in warning


def test_warnings_by_hand() -> None:
    """Window 10-20, event at 100: warned 20-30, 25-35 (together 16 steps) and 95-99."""
    fired = AtRisk(alarms_of([[10, 15, 85]]), Cohort.from_onsets([100], [300]))
    assert fired.warning_steps("every", (10, 20))[0, 0] == 16 + 5
    assert fired.warning_steps("first", (10, 20))[0, 0] == 11
    assert fired.warning_steps("run", None)[0, 0] == 90


# ------------------------------------------------------------------ by brute force

RUN = st.tuples(
    st.none() | st.integers(1, 40),
    st.integers(0, 40),
    st.booleans(),
    st.lists(st.integers(0, 60), max_size=8, unique=True),
)


def judged_one_by_one(
    onset: float | None, last: int, event: bool, steps: list[int], window: Window
) -> dict[str, tuple[int, int, int]]:
    """Hits, judged alarms and steps in warning by rule, each alarm looked at alone."""
    lo, hi = window
    end = onset if event and onset is not None else last + 1
    risk = sorted(step for step in steps if step < end)
    hit = [event and lo <= onset - step <= hi for step in risk]
    known = [onset is not None or step + hi <= last for step in risk]

    def warned(alarms: list[int]) -> int:
        return sum(any(a + lo <= t <= a + hi for a in alarms) for t in range(end))

    return {
        "run": (int(event and bool(risk)), int(bool(risk)), end - risk[0] if risk else 0),
        "first": (sum(hit[:1]), sum(known[:1]), warned(risk[:1])),
        "every": (int(any(hit)), sum(known), warned(risk)),
    }


@settings(max_examples=200, deadline=None)
@given(runs=st.lists(RUN, min_size=1, max_size=4), lo=st.integers(0, 6), width=st.integers(0, 9))
def test_agrees_with_looking_at_each_alarm(runs: list[Any], lo: int, width: int) -> None:
    window = (lo, lo + width)
    onsets, lasts, delayed, steps = zip(*runs, strict=True)
    lasts = tuple(max(last, onset or 0) for onset, last in zip(onsets, lasts, strict=True))
    events = [d and onset is not None for d, onset in zip(delayed, onsets, strict=True)]
    cohort = Cohort.from_onsets(
        [NEVER if onset is None else onset for onset in onsets], lasts, event=events
    )
    fired = AtRisk(alarms_of(steps), cohort)
    expected = [
        judged_one_by_one(*run, window) for run in zip(onsets, lasts, events, steps, strict=True)
    ]
    for rule in ("run", "first", "every"):
        hits, judged = fired.judge(rule, window)
        warned = fired.warning_steps(rule, window)
        found = list(zip(hits[0], judged[0], warned[0], strict=True))
        assert found == [by_rule[rule] for by_rule in expected], rule


# ------------------------------------------------------------------ form


def test_data_sets_are_judged_apart() -> None:
    alarms = alarms_of(PLANTED)
    both = alarms._replace(
        run=np.tile(alarms.run, 2),
        step=np.concatenate([alarms.step, alarms.step + 1]),
        draw=np.repeat([0, 1], len(alarms.run)),
        draws=2,
    )
    one, other = PLANTED, [[step + 1 for step in steps] for steps in PLANTED]
    for rule in ("run", "first", "every"):
        found = np.transpose(score_alarms(both, COHORT, rule, WINDOW))
        assert found[0] == pytest.approx(scores(one, COHORT, rule, WINDOW))
        assert found[1] == pytest.approx(scores(other, COHORT, rule, WINDOW))


@pytest.mark.parametrize("rule", ["run", "first", "every"])
def test_the_order_of_runs_and_alarms_does_not_matter(rule: str) -> None:
    backwards = [steps[::-1] for steps in PLANTED[::-1]]
    turned = COHORT.take(np.array([1, 0]))
    assert scores(PLANTED, COHORT, rule, WINDOW) == scores(backwards, turned, rule, WINDOW)
    fired, again = AtRisk(alarms_of(PLANTED), COHORT), AtRisk(alarms_of(backwards), turned)
    warned = again.warning_steps(rule, WINDOW)[0, ::-1]
    assert fired.warning_steps(rule, WINDOW)[0].tolist() == warned.tolist()


@pytest.mark.parametrize("window", [None, (400, 200), (-1, 5)])
def test_an_empty_window_is_an_error(window: Any) -> None:
    with pytest.raises(ValueError, match="0 <= lo <= hi"):
        score_alarms(alarms_of(PLANTED), COHORT, "every", window)


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="'some'; one of run, first, every"):
        score_alarms(alarms_of(PLANTED), COHORT, "some", WINDOW)


@pytest.mark.parametrize(
    ("train", "test", "event", "fast"),
    [
        (100, 301, True, False),
        (100, 300, False, True),
        (100, 100, False, True),
        (None, 900, False, True),
        (9, None, False, False),
    ],
)
def test_event_is_an_onset_more_than_the_gap_after_memorisation(
    train: int | None, test: int | None, event: bool, fast: bool
) -> None:
    key = {"study": "gai", "task": "modular_addition", "depth": 2, "train_fraction": 0.6}
    key |= {"weight_decay": 1.0, "width": 128, "seed": 0}
    steps = {"train_onset_step": train, "test_onset_step": test, "last_step": 1000}
    row = pd.DataFrame([key | steps]).astype(dict.fromkeys(steps, "Int64"))
    cohort = Cohort.from_transitions(row, GAP)
    assert is_event(row, GAP).tolist() == [event]
    assert (cohort.event[0], cohort.fast[0], cohort.memorised[0]) == (
        event,
        fast,
        train is not None,
    )
    assert cohort.risk_end[0] == (test if event else 1001)


def test_held_out_seeds() -> None:
    seeds = pd.Series([0, 1, 0, 2])
    assert held_out(seeds, [0]).tolist() == [False, True, False, True]
    assert held_out(seeds, [7]).all()
    assert held_out(seeds, [0, 1, 2]).all()
    assert held_out(seeds, []).all()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["b", "a", None]),
            st.sampled_from([3, 1, None]),
            st.sampled_from([0.5, 0.1, np.nan]),
        ),
        max_size=12,
    )
)
def test_codes_are_those_of_groups_in_order(rows: list[tuple[Any, ...]]) -> None:
    """Null is a name of its own, and the last, whatever the type of a column."""
    table = pd.DataFrame(rows, columns=["word", "integer", "float"]).astype(
        {"word": "string", "integer": "Int64", "float": "float64"}
    )
    table["category"] = table["word"].astype("category")
    for names in (["word"], ["category", "float"], ["integer", "word", "float"]):
        expected = table.groupby(names, dropna=False).ngroup()
        assert codes(table, names).tolist() == expected.tolist()
