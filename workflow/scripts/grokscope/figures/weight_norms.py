"""Weight norms: norm of every layer's weights over the steps, for all runs of a study.

Input: traces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.core.formatting import count
from grokscope.data.parts import has_order, layer_order
from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.palette import layer_colours, layer_words
from grokscope.figures.parts.run_grid import GRID_POINTS, grid_figure, run_grid
from grokscope.figures.selection import decimate


def weight_panel(
    axes: Axes, traces: Sequence[Trace], colours: Mapping[str, str]
) -> dict[str, None]:
    """Weight norms of some runs, colour by layer; returns the layers drawn, in order."""
    layers: dict[str, None] = {}
    for trace in traces:
        steps = trace.frame["step"].to_numpy()
        for layer in trace.weight_layers:
            column = "weight_norm" if layer == "combined" else f"weight_norm_{layer}"
            x, y = decimate(steps, trace.frame[column].to_numpy(), GRID_POINTS)
            if len(x) and layer in colours:
                axes.plot(x, y, color=colours[layer], linewidth=1.1, **style.points(x))
                layers[layer] = None
    if not layers:
        style.say(axes, "no weight norm was recorded")
        return layers
    style.number_axis(axes.yaxis, 4)
    diverged = sum(trace.info.stopped == "diverged" for trace in traces)
    style.corner(axes, count(len(traces), "run") + (f", {diverged} diverged" if diverged else ""))
    return layers


@style.styled
def weight_norms(traces: Sequence[Trace]) -> Figure:
    """Weight norm of every layer: columns are the first parameter that varies, rows all others.

    The runs of a panel differ in the seed alone; one line a run and layer.
    """
    title = "Weight norm of each layer"
    if not traces:
        return style.empty_figure(title, "no run in this study")
    grid = run_grid(traces)
    figure, panels = grid_figure(grid, title, 2.3, 1.9, sharey="row")
    layers: dict[str, None] = {}
    colours = layer_colours(layer for trace in traces for layer in trace.weight_layers)
    for i, row in enumerate(grid.rows):
        for j, column in enumerate(grid.columns):
            axes = panels[i, j]
            runs = grid.traces.get((row, column), [])
            if not runs:
                style.say(axes, "not in the grid")
                continue
            drawn = weight_panel(axes, runs, colours)
            layers |= drawn
            if drawn:
                style.step_axis(axes, grid.longest(row), label=i == len(panels) - 1, ticks=3)
        panels[i, 0].set_ylabel(f"{grid.row_words(row)}\n{style.WEIGHT_LABEL}")
    # Numbers in order, names of groups as the logs have them.
    ordered = all(map(has_order, layers))
    shown = sorted(layers, key=layer_order) if ordered else list(layers)
    handles = [style.line_entry(layer_words(name), colours[name]) for name in shown]
    style.legend_below(figure, handles, grid.note)
    return figure
