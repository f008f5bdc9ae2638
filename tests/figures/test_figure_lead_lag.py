"""Figures of gradient peaks and lags: what is drawn is what traces and tables say."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import (
    CLAIMS_FILE,
    diverged_run,
    drawn,
    lead_lag_runs,
    lead_lag_table,
    learning_run,
    transition_row,
    transitions_of,
    words_of,
)

from grokscope.claims.published import read_published
from grokscope.figures.lags import lags
from grokscope.figures.overlay import overlay
from grokscope.figures.palette import colour
from grokscope.figures.parts.run_grid import MAX_ROWS
from grokscope.figures.published import published_lags, published_values
from grokscope.figures.summary_grid import summary_grid
from grokscope.figures.weight_norms import weight_norms
from synthetic import ANALYSIS

PUBLISHED = published_values(CLAIMS_FILE, "LL")


def test_overlay_draws_the_events_at_their_steps():
    trace = learning_run()
    table = transitions_of([transition_row(trace)])
    figure = drawn(overlay(trace, table))
    text = words_of(figure)
    for part in ("gradient peak, step 150", "metric transition, step 690", "step 700", "lag 540"):
        assert part in text
    for axes in figure.axes[1:]:
        upright = [
            line.get_xdata()[0]
            for line in axes.lines
            if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
        ]
        assert sorted(upright) == [150, 690, 700]
    assert figure.axes[1].get_yscale() == "log"


def test_overlay_draws_the_loss_of_generalisation():
    trace = learning_run()
    row = transition_row(trace) | {"test_lost_step": 1200, "test_lost_censored": False}
    text = words_of(drawn(overlay(trace, transitions_of([row]))))
    assert "generalisation lost, step 1,200" in text


def test_overlay_says_what_is_missing():
    trace = learning_run(onset=None)
    table = transitions_of([transition_row(trace, onset=None, peak=None, transition=None)])
    text = words_of(drawn(overlay(trace, table)))
    assert "not reached" in text
    assert "a transition is missing" in text


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_overlay_of_a_run_that_diverged_at_once(rows):
    trace = diverged_run(rows)
    table = transitions_of([transition_row(trace, onset=None, peak=None, transition=None)])
    text = words_of(drawn(overlay(trace, table)))
    assert f"diverged at step {rows}" in text
    if rows == 0:
        assert "no positive gradient norm was recorded" in text


def test_summary_grid_has_a_panel_a_run():
    traces = lead_lag_runs()
    figure = summary_grid(traces, lead_lag_table(traces), ANALYSIS.transitions)
    assert len(drawn(figure).axes) == len(traces)
    assert words_of(figure).count("lag 540") == len(traces)


def test_summary_grid_caps_its_panels_in_words():
    traces = [learning_run(study="lead_lag", seed=seed, steps=100) for seed in range(30)]
    table = transitions_of([transition_row(t) for t in traces])
    figure = drawn(summary_grid(traces, table, ANALYSIS.transitions))
    assert len(figure.axes) == MAX_ROWS
    assert f"{MAX_ROWS} of 30 rows" in words_of(figure)


def test_summary_grid_with_holes_and_diverged_runs():
    traces = [
        learning_run(study="lead_lag", train_fraction=0.5, seed=1),
        diverged_run(0, study="lead_lag", train_fraction=0.9, seed=2),
    ]
    table = transitions_of([transition_row(t, peak=None, transition=None) for t in traces])
    text = words_of(drawn(summary_grid(traces, table, ANALYSIS.transitions)))
    assert text.count("not in the grid") == 2
    assert "nothing recorded" in text


def test_lags_shows_every_run_the_published_values_and_the_censored():
    traces = lead_lag_runs()
    figure = drawn(lags(lead_lag_table(traces), PUBLISHED))
    addition = figure.axes[0]
    assert addition.get_title(loc="left") == "Modular addition"
    by_colour = {}
    for line in addition.lines:
        if line.get_linestyle() == "None":
            name = line.get_markeredgecolor()
            name = line.get_color() if name == "white" else name
            by_colour.setdefault(name, []).append(float(line.get_ydata()[0]))
    # Known by hand: 690 - 150 four times; 700 - 150 in the two runs with an onset.
    assert by_colour[colour("lag", "slope")] == [540] * 4
    assert by_colour[colour("lag", "onset")] == [550] * 2
    published = by_colour[colour("lag", "published")]
    assert sorted(published) == [12, 69, 82, 422, 699, 804]
    assert "2/2" in [text.get_text() for text in addition.texts]


def test_published_lags_have_the_published_means():
    values = published_lags(PUBLISHED, "modular_addition")
    steps = {fraction: [lag.steps for lag in lags_] for fraction, lags_ in values.items()}
    published = next(c for c in read_published(CLAIMS_FILE)["LL"].claims if c.id == "LL2").values
    for fraction, three in steps.items():
        assert len(three) == 3
        assert round(np.mean(three), 1) == published["mean"][str(fraction)]
        assert round(float(np.std(three, ddof=1)), 1) == published["sd"][str(fraction)]
    seeds = {fraction: [lag.seed for lag in lags_] for fraction, lags_ in values.items()}
    assert seeds == {0.5: [None, 42, None], 0.7: [None, 42, None], 0.9: [42, None, None]}
    assert published_lags(PUBLISHED, "sine_regression")[0.5] == [(-60, 42)]
    assert published_lags(PUBLISHED, "s5_composition") == {}
    assert published_lags({}, "modular_addition") == {}


def test_lags_without_any_lag():
    traces = [diverged_run(1, study="lead_lag")]
    table = transitions_of(
        [transition_row(t, onset=None, peak=None, transition=None) for t in traces]
    )
    assert "no lag" in words_of(drawn(lags(table, PUBLISHED)))


def test_weight_norms_draw_each_layer_in_its_colour():
    figure = drawn(weight_norms(lead_lag_runs()))
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == [colour("layer", 1), colour("layer", 2)] * 2
    assert "Stopped" not in words_of(figure)
    text = words_of(drawn(weight_norms([diverged_run(0), diverged_run(3)])))
    assert "2 diverged" in text
