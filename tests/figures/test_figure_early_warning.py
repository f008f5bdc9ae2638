"""Figures of alarms and ranks around onsets: what is drawn is what traces and tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawing import (
    CLAIMS_FILE,
    alarm_row,
    cells_of,
    diverged_run,
    drawn,
    learning_run,
    phases_like,
    rank_rows,
    transition_row,
    transitions_of,
    words_of,
)

from grokscope.data.tables import conform, empty
from grokscope.figures.alarm_leads import LEAD_BIN, alarm_leads, lead_table
from grokscope.figures.gai_trace import choose_run, gai_trace
from grokscope.figures.outcomes import outcomes
from grokscope.figures.palette import colour
from grokscope.figures.parts.alarms import gai_score
from grokscope.figures.published import published_values
from grokscope.figures.rank_at_onset import RankCurve, median_curve, rank_at_onset, rank_curves
from grokscope.figures.selection import key_of
from synthetic import ANALYSIS

PUBLISHED = published_values(CLAIMS_FILE, "GAI")


def test_run_shown_is_the_first_delayed_one_of_depth_three():
    runs = {
        name: learning_run(depth=depth, seed=seed)
        for name, depth, seed in (("a", 2, 0), ("b", 3, 0), ("c", 3, 1), ("d", 4, 0))
    }
    onsets = {"a": 950, "b": 300, "c": 900, "d": None}
    table = transitions_of([transition_row(t, onset=onsets[n]) for n, t in runs.items()])
    # b is of depth 3, but its onset comes only 100 steps after memorisation.
    assert key_of(choose_run(table, 200).row) == runs["c"].key
    assert key_of(choose_run(table, 700).row) == runs["a"].key
    undelayed = choose_run(table, 750)
    assert key_of(undelayed.row) == runs["b"].key
    assert "as none is delayed" in undelayed.rule
    none = transitions_of([transition_row(t, onset=None) for t in runs.values()])
    assert "none has an onset" in choose_run(none, 200).rule
    assert choose_run(empty("transitions"), 200) is None


def test_gai_trace_draws_the_alarms_of_this_run_only():
    trace, other = learning_run(depth=3), learning_run(depth=3, seed=1)
    runs = transitions_of([transition_row(trace), transition_row(other)])
    table = conform(
        pd.DataFrame(
            [
                alarm_row(trace, 120),
                alarm_row(trace, 480),
                alarm_row(other, 300),
                alarm_row(trace, 200, layer="1"),
                alarm_row(trace, 600, detector="cusum"),
            ]
        ),
        "alarms",
    )
    score = gai_score(trace, ANALYSIS)
    figure = drawn(gai_trace(trace, runs, table, score, 3.5, "a rule"))
    marks = next(line for line in figure.axes[1].lines if line.get_marker() == "v")
    assert list(marks.get_xdata()) == [120, 480]
    text = words_of(figure)
    for part in ("2 alarms", "onset, step 700", "(a rule)", "alarm level 3.5 SD"):
        assert part in text


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_gai_trace_of_a_short_run(rows):
    trace = diverged_run(rows)
    runs = transitions_of([transition_row(trace, onset=None)])
    figure = drawn(gai_trace(trace, runs, empty("alarms"), np.full(rows, np.nan), 3.5))
    text = words_of(figure)
    assert "shorter than the warm-up" in text
    assert "not reached" in text


def test_leads_are_onset_minus_alarm():
    trace, silent = learning_run(), learning_run(seed=1, onset=None)
    transitions = transitions_of([transition_row(trace), transition_row(silent, onset=None)])
    alarms = conform(
        pd.DataFrame(
            [alarm_row(trace, step) for step in (450, 400, 750)]
            + [alarm_row(silent, 100)]
            + [alarm_row(trace, 500, detector="cusum")]
        ),
        "alarms",
    )
    leads = lead_table(alarms, transitions)
    assert leads["lead"].tolist() == [300, 250, -50]
    assert leads["is_first"].tolist() == [True, False, False]
    figure = drawn(alarm_leads(alarms, transitions, PUBLISHED))
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() == LEAD_BIN]
    heights = {round(bar.get_x()): bar.get_height() for bar in bars}
    assert heights.keys() == {-100, 200, 300}
    assert len(set(heights.values())) == 1
    text = words_of(figure)
    assert "1 run of 2 without onset" in text
    assert "1/2 with onset" in text


def test_leads_without_onsets_or_alarms():
    trace = learning_run()
    none = transitions_of([transition_row(trace, onset=None)])
    alarms = conform(pd.DataFrame([alarm_row(trace, 5)]), "alarms")
    assert "no run with an onset" in words_of(drawn(alarm_leads(alarms, none, PUBLISHED)))
    some = transitions_of([transition_row(trace)])
    assert "no alarm in a run" in words_of(drawn(alarm_leads(empty("alarms"), some, PUBLISHED)))


def test_rank_curves_are_aligned_and_relative_to_the_rank_before():
    trace = learning_run(depth=3)
    rank = conform(pd.DataFrame(rank_rows(trace)), "rank")
    curves = rank_curves(trace, rank)
    assert {curve.measure for curve in curves} == {"effective", "stable", "numerical"}
    for curve in curves:
        assert curve.arm == "generalising"
        assert curve.share[curve.offset < 0] == pytest.approx(1.0)
        assert curve.share[curve.offset >= 0] == pytest.approx(0.6)
        assert 0 in curve.offset


def test_median_curve_needs_half_of_the_runs():
    def curve(share, last):
        offset = np.arange(-500.0, last + 1, 50)
        return RankCurve("stable", "matched", offset, np.full(len(offset), share))

    x, y = median_curve([curve(1.0, 100), curve(0.8, 300), curve(0.6, 500)])
    assert (x[0], x[-1]) == (-500, 300)
    assert y[x <= 100] == pytest.approx(0.8)
    assert y[x > 100] == pytest.approx(0.7)


def test_rank_at_onset_has_both_arms_and_counts_them():
    grok, never, lost = (
        learning_run(seed=seed, onset=onset) for seed, onset in ((0, 700), (1, None), (2, None))
    )
    rank = conform(
        pd.DataFrame(
            rank_rows(grok) + rank_rows(never, "matched") + rank_rows(lost, "none", None, None)
        ),
        "rank",
    )
    figure = drawn(rank_at_onset([grok, never, lost], rank, PUBLISHED))
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title(loc="right") == "n = 1 + 1"
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert {colour("arm", "generalising"), colour("arm", "matched")} <= colours
    assert "2 of 3 runs drawn" in words_of(figure)


def test_rank_at_onset_without_any_reference():
    trace = learning_run()
    rank = conform(pd.DataFrame(rank_rows(trace, "none", None, None)), "rank")
    assert "nothing to align" in words_of(drawn(rank_at_onset([trace], rank, PUBLISHED)))


def test_outcomes_have_the_colours_of_the_table_and_the_onsets():
    traces = [learning_run(depth=depth, seed=seed) for depth in (2, 8) for seed in (0, 1)]
    names = ["grokking", "memorisation", "diverged", "comprehension"]
    onsets = [1234, None, None, 90]
    table = transitions_of(
        [transition_row(t, onset=o) for t, o in zip(traces, onsets, strict=True)]
    )
    cells = cells_of(drawn(outcomes(phases_like(traces, names), table)))
    expected = {
        (0, 0): ("grokking", "grok\n1,234"),
        (1, 0): ("memorisation", "mem"),
        (0, 1): ("diverged", "div"),
        (1, 1): ("comprehension", "comp\n90"),
    }
    assert cells["Modular addition"] == {
        place: (colour("phase", phase), text) for place, (phase, text) in expected.items()
    }


def test_outcomes_of_a_hundred_seeds():
    traces = [learning_run(seed=seed, steps=10) for seed in range(100)]
    table = transitions_of([transition_row(t) for t in traces])
    figure = drawn(outcomes(phases_like(traces, ["grokking"] * 100), table))
    assert len(cells_of(figure)["Modular addition"]) == 100
    assert figure.get_figheight() < 10
