"""Outcomes: phase and onset of every run of a study.

Inputs: rows of the phases and transitions tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.core.formatting import title_words
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.cells import (
    LINE_HEIGHT,
    PHASE_SHORT,
    Cell,
    Size,
    cell_axes,
    draw_cell,
    phase_handles,
)
from grokscope.figures.selection import known, left_out, spread
from grokscope.runs.spec import key_columns

MAX_PANELS = 12
MAX_SEEDS = 100
MAX_COLUMNS = 16


def outcome_panel(
    axes: Axes,
    runs: pd.DataFrame,
    name: str,
    values: Sequence[Any],
    seeds: Sequence[int],
    size: Size,
) -> None:
    """Phase of the runs of one panel: a column a value of a parameter, a row a seed."""
    labels = [layout.value_words(name, value) for value in values]
    cell_axes(axes, labels, [str(seed) for seed in seeds], size)
    by_value = layout.groups(runs, [name])
    for column, value in enumerate(values):
        for _, row in by_value[(value,)].iterrows():
            if int(row["seed"]) not in seeds:
                continue
            phase = str(row["phase"])
            onset = known(row, "test_onset_step")
            text = PHASE_SHORT.get(phase, phase)
            text += f"\n{onset:,.0f}" if onset is not None else ""
            cell = Cell(colour("phase", phase), text)
            draw_cell(axes, column, seeds.index(int(row["seed"])), cell, size)
    axes.set_ylim(len(seeds) - 0.5, -0.5)
    axes.set_xlabel("depth (linear layers)" if name == "depth" else layout.axis_words(name))


@style.styled
def outcomes(phases: pd.DataFrame, transitions: pd.DataFrame) -> Figure:
    """Which runs of the grid memorise, grok and comprehend, and when they generalise.

    Parameters
    ----------
    phases, transitions
        Rows of one study. Runs that differ in more than task, depth and seed get a panel of
        their own. Where the depth does not vary, the first parameter that does makes columns.
    """
    title = "Outcome of every run, with the step of its onset"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    keys = key_columns(phases.columns)
    runs = phases.merge(transitions[[*keys, "test_onset_step"]], on=keys, how="left")
    varied = layout.varying(runs)
    name = "depth" if "depth" in varied or varied in ([], ["task"]) else layout.map_axes(runs).x
    names = ["task", *layout.needed(runs, ["task", name])]
    panels = layout.groups(runs, names)
    shown = spread(list(panels), MAX_PANELS)
    all_values = {place: layout.values_of(panels[place], name) for place in shown}
    values = {place: spread(every, MAX_COLUMNS) for place, every in all_values.items()}
    all_seeds = sorted(int(seed) for seed in runs["seed"].unique())
    seeds = spread(all_seeds, MAX_SEEDS)
    most = len(spread(layout.values_of(runs, name), MAX_COLUMNS))
    columns = min(3, len(shown), max(1, 16 // most))
    n_rows = -(-len(shown) // columns)
    wide = min(style.MAX_WIDTH, max(5.0, 0.9 + columns * (most * 0.56 + 0.15)))
    titles = {place: title_words(str(place[0])) for place in shown}
    for place in shown if names[1:] else ():
        text = layout.described(names[1:], place[1:], short=True)
        titles[place] += "\n" + style.wrapped(text, (wide - 0.9) / columns, style.TITLE_SIZE)
    further = max([0, *(text.count("\n") - 1 for text in titles.values())])
    tall = 0.7 + style.LINE_HEIGHT * further
    row_height = 0.36 if len(seeds) <= 12 else max(0.06, 4.0 / len(seeds))
    figure = style.new_figure(wide, 1.6 + n_rows * (len(seeds) * row_height + tall), title)
    grid = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    size = ((wide - 0.8) / columns / most * 0.95, row_height * 0.97)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for index, (axes, place) in enumerate(zip(grid.flat, shown, strict=False)):
        outcome_panel(axes, panels[place], name, values[place], seeds, size)
        axes.set_title(titles[place])
        axes.set_ylabel("seed" if index % columns == 0 else "")
    notes = []
    # Where the rows are too low for a second line, no onset is written.
    if size[1] >= 2 * LINE_HEIGHT:
        notes.append("Number: onset step of the test metric; none where it was not reached.")
    notes.append(
        left_out(
            (shown, list(panels), "panels"),
            (seeds, all_seeds, "seeds"),
            (
                max(values.values(), key=len),
                max(all_values.values(), key=len),
                f"values of {layout.parameter_words(name)}",
            ),
        )
    )
    style.legend_below(figure, phase_handles(runs), " ".join(note for note in notes if note))
    return figure
