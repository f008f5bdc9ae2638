"""Layout: what a grid varies decides rows, columns and panels; no run is lost or ambiguous."""

from __future__ import annotations

from itertools import product

import pandas as pd
import pytest
from drawing import (
    alarm_row,
    cells_of,
    drawn,
    learning_run,
    phase_row,
    phases_like,
    phases_of,
    rank_rows,
    transition_row,
    transitions_of,
    words_of,
)
from test_detection_curves import tables

from grokscope.data.tables import conform
from grokscope.figures import layout
from grokscope.figures.alarm_leads import alarm_leads
from grokscope.figures.delay_map import delay_map
from grokscope.figures.detection_curves import detection_curves
from grokscope.figures.effects import effects
from grokscope.figures.example_curves import choose_examples, example_curves
from grokscope.figures.gai_trace import choose_run, gai_trace
from grokscope.figures.lags import lags
from grokscope.figures.outcomes import outcomes
from grokscope.figures.overlay import overlay
from grokscope.figures.palette import RESERVE, colour
from grokscope.figures.parts.alarms import gai_score
from grokscope.figures.phase_diagram import phase_diagram
from grokscope.figures.rank_at_onset import rank_at_onset
from grokscope.figures.selection import find_trace, in_order, key_of, of_run, row_of
from grokscope.figures.summary_grid import summary_grid
from grokscope.figures.weight_norms import weight_norms
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.runs.tasks import TASKS
from synthetic import ANALYSIS, write

VARIED = ("p",)


def combinations(**grid):
    """Every combination of some values."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def grid_of(**grid):
    """Phases of every combination, all grokking."""
    return phases_of([phase_row(**values) for values in combinations(**grid)])


def panel_titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def labels_of(axes):
    ticks = [[t.get_text() for t in a.get_ticklabels()] for a in (axes.xaxis, axes.yaxis)]
    return axes.get_xlabel(), ticks[0], axes.get_ylabel(), ticks[1]


def runs_with_a_modulus():
    """Modular addition at two moduli and S5, which has none, at two fractions; two seeds."""
    settings = combinations(
        task=["modular_addition"], p=[23, 59], train_fraction=[0.5, 0.7], seed=[0, 1]
    )
    settings += combinations(task=["s5_composition"], train_fraction=[0.5, 0.7], seed=[0, 1])
    return [learning_run(steps=800, varied=VARIED, **values) for values in settings]


# --- axes ------------------------------------------------------------------------------------


def test_the_default_grid_has_the_axes_of_the_paper():
    phases = grid_of(weight_decay=[0, 0.1], train_fraction=[0.3, 0.5, 0.7], width=[16, 32])
    assert layout.map_axes(phases) == ("train_fraction", "weight_decay", ["width"])
    figure = drawn(phase_diagram(phases))
    assert panel_titles(figure) == ["Width 16", "Width 32"]
    assert "Phases of learning over weight decay, train fraction and width" in words_of(figure)
    expected = "train fraction", ["0.3", "0.5", "0.7"], "weight decay", ["0", "0.1"]
    assert labels_of(figure.axes[0]) == expected


def test_width_and_fraction():
    phases = grid_of(width=[16, 128], train_fraction=[0.5, 0.7])
    figure = drawn(phase_diagram(phases))
    assert figure.get_suptitle() == "Phases of learning over width and train fraction"
    expected = "train fraction", ["0.5", "0.7"], "width (hidden units)", ["16", "128"]
    assert labels_of(figure.axes[0]) == expected
    assert panel_titles(figure) == ["Modular addition"]


def test_learning_rate_and_weight_decay():
    grid = combinations(learning_rate=[1e-4, 3e-3], weight_decay=[0.1, 1.0], depth=[2, 3])
    phases = phases_of([phase_row(varied=("learning_rate",), **values) for values in grid])
    for figure in (phase_diagram(phases), delay_map(phases)):
        expected = "weight decay", ["0.1", "1"], "learning rate", ["0.0001", "0.003"]
        assert labels_of(drawn(figure).axes[0]) == expected
        assert panel_titles(figure)[:2] == ["Depth 2", "Depth 3"]
        assert sum(map(len, cells_of(figure).values())) == len(phases)
    shown = [axes.get_xlabel() for axes in drawn(effects(phases, 0.95)).axes if axes.axison]
    assert shown == ["learning rate", "weight decay", "depth"]


@pytest.mark.parametrize(("grid", "cells"), [({"width": [16, 32, 64]}, 3), ({"seed": [0, 1]}, 1)])
def test_one_varying_parameter_is_one_row_and_none_one_cell(grid, cells):
    phases = grid_of(**grid)
    for figure in (phase_diagram(phases), delay_map(phases)):
        (panel,) = cells_of(drawn(figure)).values()
        assert {row for row, _ in panel} == {0}
        assert len(panel) == cells
    title = phase_diagram(phases).get_suptitle()
    assert title == "Phases of learning" + (" over width" if "width" in grid else "")
    assert len(drawn(effects(phases, 0.95)).axes) == 1


def test_a_task_without_the_parameter_has_a_value_of_its_own():
    traces = runs_with_a_modulus()
    phases = phases_like(traces, ["grokking"] * len(traces))
    assert layout.map_axes(phases) == ("train_fraction", "p", ["task"])
    figure = drawn(phase_diagram(phases))
    assert {title: len(cells) for title, cells in cells_of(figure).items()} == {
        "Modular addition": 4,
        "S5 composition": 2,
    }
    assert labels_of(figure.axes[0])[2:] == ("modulus p", ["23", "59", "none"])
    assert "6 cells not in the grid" in words_of(figure)
    by_modulus = effects(phases, 0.95).axes[0]
    assert [text.get_text() for text in by_modulus.texts] == ["4/4"] * 3


def test_needed_names_no_parameter_that_others_determine():
    rows = [("modular_addition", 0.6), ("s5_composition", 0.7)]
    grid = [phase_row(task=task, train_fraction=f, depth=d) for task, f in rows for d in (2, 3)]
    table = phases_of(grid)
    assert layout.varying(table) == ["train_fraction", "depth", "task"]
    assert layout.needed(table, ["task"]) == ["depth"]
    assert layout.needed(table, ["task", "depth"]) == []


def test_groups_are_sorted_with_nulls_last_and_keep_all_rows():
    table = layout.runs_of(trace.key for trace in runs_with_a_modulus())
    groups = layout.groups(table, ["p", "seed"])
    assert list(groups) == [(23, 0), (23, 1), (59, 0), (59, 1), (None, 0), (None, 1)]
    assert sum(map(len, groups.values())) == len(table)
    assert list(layout.groups(table, [])) == [()]
    words = layout.described(["task", "p", "train_fraction"], ("s5_composition", None, 0.5), True)
    assert words == "S5 composition, no modulus p, fraction 0.5"


# --- runs of a grid that varies more than the default one ----------------------------------------


def test_runs_are_found_by_all_of_their_key(tmp_path):
    traces = runs_with_a_modulus()
    table = in_order(transitions_of([transition_row(trace) for trace in traces]))
    paths = [write(trace, tmp_path) for trace in traces]
    for trace, path in zip(traces, paths, strict=True):
        assert key_of(row_of(table, trace.key)) == trace.key
        assert len(of_run(table, trace.key)) == 1
        assert find_trace(paths, trace.key) == str(path)


def test_every_run_has_a_place_and_a_name_of_its_own():
    traces = runs_with_a_modulus()
    table = in_order(transitions_of([transition_row(trace) for trace in traces]))
    assert len({overlay(trace, table).get_suptitle() for trace in traces}) == len(traces)
    grid = drawn(summary_grid(traces, table, ANALYSIS.transitions))
    assert sum(bool(axes.lines) for axes in grid.axes) == len(traces)
    rows = [axes.get_ylabel() for axes in grid.axes if axes.get_ylabel()]
    assert rows[0] == "Modular addition\nmodulus p 23\nseed 0"
    assert len(set(rows)) == 6
    norms = drawn(weight_norms(traces))
    assert [axes.get_title(loc="right") for axes in norms.axes] == ["2 runs"] * 6
    assert panel_titles(drawn(lags(table, {}))) == [
        "Modular addition, modulus p 23",
        "Modular addition, modulus p 59",
        "S5 composition, no modulus p",
    ]


def test_early_warning_tells_all_runs_apart():
    traces = runs_with_a_modulus()
    table = in_order(transitions_of([transition_row(trace) for trace in traces]))
    alarms = conform(pd.DataFrame([alarm_row(trace, 400) for trace in traces]), "alarms")
    figure = drawn(alarm_leads(alarms, table, {}))
    assert labels_of(figure.axes[0])[3] == [
        f"fraction {fraction}, modulus p {p}" for fraction in (0.7, 0.5) for p in (59, 23)
    ]
    assert words_of(figure).count("2/2 with onset 2 alarms") == 6
    assert "published" not in words_of(figure)
    cells = cells_of(drawn(outcomes(phases_like(traces, ["grokking"] * len(traces)), table)))
    assert sum(map(len, cells.values())) == len(traces)
    rank = in_order(conform(pd.DataFrame([r for t in traces for r in rank_rows(t)]), "rank"))
    figure = drawn(rank_at_onset(traces, rank, {}))
    # Measures x (fraction, modulus): S5 has columns of its own.
    assert len(figure.axes) == 3 * 6
    assert f"{len(traces)} of {len(traces)} runs drawn" in words_of(figure)
    trace = next(trace for trace in traces if trace.key == key_of(choose_run(table, 200).row))
    figure = gai_trace(trace, table, alarms, gai_score(trace, ANALYSIS), 3.5)
    assert "modulus p 23" in figure.get_suptitle()
    assert "1 alarm" in words_of(drawn(figure))
    phases = phases_like(traces, ["grokking"] * len(traces))
    (row,) = choose_examples(phases).values()
    trace = next(trace for trace in traces if trace.key == key_of(row))
    assert "modulus p" in words_of(drawn(example_curves({"grokking": trace}, phases)))


def test_what_is_left_out_is_said():
    seeds = [learning_run(steps=800, width=16 * n) for n in range(1, 51)]
    table = in_order(transitions_of([transition_row(trace) for trace in seeds]))
    alarms = conform(pd.DataFrame([alarm_row(trace, 400) for trace in seeds]), "alarms")
    assert "40 of 50 rows, evenly spread" in words_of(drawn(alarm_leads(alarms, table, {})))
    assert "8 of 50 values of width" in words_of(drawn(lags(table, {})))
    phases = phases_like(seeds, ["grokking"] * 50)
    assert "12 of 50 values of width" in words_of(drawn(effects(phases, 0.95)))
    assert "16 of 50 values of width" in words_of(drawn(outcomes(phases, table)))
    rank = in_order(conform(pd.DataFrame([r for t in seeds for r in rank_rows(t)]), "rank"))
    assert "6 of 50 columns" in words_of(drawn(rank_at_onset(seeds, rank, {})))


# --- what users register -------------------------------------------------------------------------


def test_a_new_task_is_drawn_in_every_figure(monkeypatch):
    monkeypatch.setitem(TASKS, "parity", TASKS["modular_addition"])
    traces = [
        learning_run(task=task, seed=seed, encoding="one_hot", p=23)
        for task in ("modular_addition", "parity")
        for seed in (0, 1)
    ]
    table = in_order(transitions_of([transition_row(trace) for trace in traces]))
    alarms = conform(pd.DataFrame([alarm_row(trace, 400) for trace in traces]), "alarms")
    phases = phases_like(traces, ["grokking"] * 4)
    rank = in_order(conform(pd.DataFrame([r for t in traces for r in rank_rows(t)]), "rank"))
    figures = [
        overlay(traces[-1], table),
        summary_grid(traces, table, ANALYSIS.transitions),
        weight_norms(traces),
        lags(table, {}),
        alarm_leads(alarms, table, {}),
        gai_trace(traces[-1], table, alarms, gai_score(traces[-1], ANALYSIS), 3.5),
        rank_at_onset(traces, rank, {}),
        outcomes(phases, table),
        phase_diagram(phases),
        delay_map(phases),
        effects(phases, 0.95),
        example_curves({"grokking": traces[-1]}, phases),
    ]
    for figure in figures:
        assert "parity" in words_of(drawn(figure)).lower() or figure is figures[-1]
    assert colour("task", "parity") == RESERVE[0]


def test_a_new_detector_is_drawn(monkeypatch):
    monkeypatch.setitem(DETECTORS, "loud_gradient", DETECTORS["cusum"])
    curves, chance = tables((2,))
    rename = {"train_loss": "loud_gradient"}
    figure = drawn(
        detection_curves(
            curves.replace({"detector": rename}), chance.replace({"detector": rename})
        )
    )
    assert "loud gradient 0.60" in words_of(figure)
