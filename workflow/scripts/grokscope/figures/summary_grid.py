"""Summary grid: gradient norm and test metric of every run of a study.

Inputs: traces, and rows of the transitions table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.core.formatting import tick
from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.palette import colour
from grokscope.figures.parts.events import event_handles, mark_events, run_events
from grokscope.figures.parts.run_grid import GRID_POINTS, grid_figure, run_grid
from grokscope.figures.selection import decimate, known, row_of
from grokscope.measure.transitions import curve, smooth
from grokscope.runs.settings import TransitionSettings


def summary_panel(axes: Axes, trace: Trace, row: pd.Series, settings: TransitionSettings) -> None:
    """Smoothed gradient norm as a share of its maximum, and test metric, of one run."""
    norm = curve(trace, "grad_norm")
    metric = curve(trace, "test_metric")
    axes.set_ylim(-0.05, 1.05)
    finite = np.isfinite(norm.values).all() and len(norm.values) > 0
    if not finite and not len(metric.steps):
        style.say(axes, "nothing recorded")
        return
    if finite:
        smoothed = smooth(norm.values, settings.savgol_window, settings.savgol_order)
        if smoothed.max() > 0:
            x, y = decimate(norm.steps, smoothed / smoothed.max(), GRID_POINTS)
            axes.plot(x, y, color=colour("layer", "combined"), **style.points(x))
    x, y = decimate(metric.steps, metric.values, GRID_POINTS)
    axes.plot(x, y, color=colour("split", "test"), **style.points(x))
    mark_events(axes, run_events(row), width=0.9)
    lag = known(row, "lag")
    diverged = ", diverged" if trace.info.stopped == "diverged" else ""
    style.corner(axes, ("no lag" if lag is None else f"lag {tick(lag)}") + diverged)


@style.styled
def summary_grid(
    traces: Sequence[Trace], transitions: pd.DataFrame, settings: TransitionSettings
) -> Figure:
    """All runs of the study: columns are the first parameter that varies, rows all else.

    Parameters
    ----------
    traces
        The runs.
    transitions
        Their rows of the transitions table.
    settings
        How the gradient norm is smoothed, as in the analysis.
    """
    title = "Gradient norm and test metric of every run"
    if not traces:
        return style.empty_figure(title, "no run in this study")
    grid = run_grid(traces, last=("seed",))
    figure, panels = grid_figure(grid, title, 2.2, 1.35, sharey=True)
    for i, row in enumerate(grid.rows):
        for j, column in enumerate(grid.columns):
            axes = panels[i, j]
            runs = grid.traces.get((row, column), [])
            for trace in runs:
                summary_panel(axes, trace, row_of(transitions, trace.key), settings)
            if not runs:
                style.note_inside(axes, "not in the grid")
            style.step_axis(axes, grid.longest(row), label=i == len(panels) - 1, ticks=3)
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        panels[i, 0].set_ylabel(grid.row_words(row), fontsize=8.5)
    handles = [
        style.line_entry("smoothed gradient norm / its maximum", colour("layer", "combined")),
        style.line_entry(f"test {style.metric_words(grid.tasks())}", colour("split", "test")),
    ]
    style.legend_below(figure, [*handles, *event_handles()], grid.note)
    return figure
