"""Example curves: train and test metric of one run of each phase.

Inputs: rows of the phases table, and the traces of the chosen runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.core.formatting import tick
from grokscope.data.trace import Trace
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.cells import RARE
from grokscope.figures.parts.curves import last_step
from grokscope.figures.selection import decimate, in_order, known
from grokscope.measure.phases import PHASES

EXAMPLE_POINTS = 1000


def choose_examples(phases: pd.DataFrame) -> dict[str, pd.Series]:
    """One run of each phase present, always the same one.

    Grokking: the largest gap, the first in key order among equals. Other phases: the middle
    run, in key order, of those that have the phase.
    """
    ordered = in_order(phases)
    chosen = {}
    for phase in PHASES:
        runs = ordered[ordered["phase"] == phase]
        if phase == "grokking" and len(runs):
            chosen[phase] = runs.iloc[int(runs["gap"].astype(float).argmax())]
        elif len(runs):
            chosen[phase] = runs.iloc[(len(runs) - 1) // 2]
    return chosen


def example_panel(axes: Axes, trace: Trace, row: pd.Series) -> None:
    """Train and test metric of one run, and when each reached the threshold."""
    frame = trace.frame
    for split in ("train", "test"):
        if f"{split}_metric" not in frame:
            continue
        x, y = decimate(
            frame["step"].to_numpy(), frame[f"{split}_metric"].to_numpy(), EXAMPLE_POINTS
        )
        marker = "o" if len(x) < 60 else ""
        axes.plot(x, y, color=colour("split", split), marker=marker, markersize=2.5)
        reached = known(row, f"{split}_reached_step")
        if reached is not None:
            paint = colour("split", split)
            axes.axvline(reached, color=paint, linestyle="--", linewidth=1, zorder=1)
    style.unit_axis(axes)
    style.step_axis(axes, last_step(trace), ticks=4)
    if not frame.filter(regex="^(train|test)_metric$").notna().any(axis=None):
        style.note_inside(axes, "nothing recorded")


@style.styled
def example_curves(traces: Mapping[str, Trace], phases: pd.DataFrame) -> Figure:
    """One run of each phase present; phases without a run are said to be absent.

    Parameters
    ----------
    traces
        Trace of the example of each phase (:func:`choose_examples`).
    phases
        Rows of one study.
    """
    title = "One run of each phase"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    chosen = choose_examples(phases)
    names = [*layout.varying(phases), "seed"]
    shown = [phase for phase in PHASES if phase not in RARE or phase in chosen]
    n_rows = -(-len(shown) // 2)
    figure = style.new_figure(7.6, 1.2 + 2.3 * n_rows, title)
    grid = figure.subplots(n_rows, 2, squeeze=False)
    metric = style.metric_words(sorted(set(phases["task"])))
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for index, (axes, phase) in enumerate(zip(grid.flat, shown, strict=False)):
        gap, lines = None, 1
        if phase in chosen:
            example_panel(axes, traces[phase], chosen[phase])
            place = layout.place_of(chosen[phase], names)
            text = style.wrapped(layout.described(names, place, short=True), 3.3)
            axes.set_title(text, fontsize=8.5)
            lines += text.count("\n")
            gap = known(chosen[phase], "gap")
            if index % 2 == 0:
                axes.set_ylabel(metric)
            axes.set_xlabel(style.STEP_LABEL if index + 2 >= len(shown) else "")
        else:
            style.say(axes, f"no run of this study shows {phase}")
        words = phase.capitalize() + ("" if gap is None else f", gap {tick(gap)} steps")
        style.column_title(axes, words, 7 + 12 * lines)
    handles: list[Artist] = [
        style.line_entry(f"{split} {metric}", colour("split", split))
        for split in ("train", "test")
    ]
    handles.append(style.line_entry("threshold reached", "#555555", linestyle="--", linewidth=1))
    style.legend_below(figure, handles)
    return figure
