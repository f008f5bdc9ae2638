"""Delay map: steps from memorisation to generalisation of each cell of a grid.

Input: rows of the phases table.
"""

from __future__ import annotations

import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grokscope.core.formatting import count, tick
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.cells import Cell
from grokscope.figures.parts.maps import map_figure
from grokscope.runs.spec import cell_columns

# Perceptually ordered, readable with every common colour deficiency.
DELAY_COLOURS = colormaps["viridis"]


def delay_cell(runs: pd.DataFrame, scale: Normalize) -> Cell:
    """Cell of the (median) gap of its seeds; grey, in words, where no seed has a gap."""
    gaps = runs["gap"].dropna().astype(float)
    if len(gaps):
        gap = float(gaps.median())
        text = tick(round(gap))
        if len(runs) > 1:
            text += f"\n{len(gaps)}/{len(runs)}"
        return Cell(to_hex(DELAY_COLOURS(scale(gap))), text)
    if (runs["phase"] == "diverged").all():
        return Cell(colour("phase", "diverged"), "diverged")
    if runs["train_reached_step"].isna().all():
        return Cell(colour("state", "not memorised"), "not\nmemorised")
    return Cell(colour("state", "never"), "never")


@style.styled
def delay_map(phases: pd.DataFrame) -> Figure:
    """Steps from memorisation to generalisation of each cell; grey where there is no gap."""
    title = "Delay of generalisation after memorisation"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    cells = layout.groups(phases, cell_columns(phases.columns)).values()
    gaps = [runs["gap"].dropna().astype(float) for runs in cells]
    # The scale is that of the drawn cells, which are medians where there are several seeds.
    medians = [float(gap.median()) for gap in gaps if len(gap)]
    smallest = min([0.0, *medians])
    scale = Normalize(smallest, max([smallest + 1, *medians]))
    figure, note = map_figure(phases, title, lambda runs: delay_cell(runs, scale), room=0.95)
    if (phases["cell_seeds"] > 1).any():
        note = ("Median gap; k/n: k of the cell's n seeds have one. " + note).strip()
    if medians:
        bar = figure.colorbar(
            ScalarMappable(scale, DELAY_COLOURS),
            ax=[axes for axes in figure.axes if axes.axison],
            label="gap (optimiser updates)",
            shrink=0.9,
            aspect=30,
            fraction=0.04,
            pad=0.02,
        )
        style.number_axis(bar.ax.yaxis)
        bar.outline.set_visible(False)
    handles: list[Artist] = [
        Patch(facecolor=colour("state", "never"), label="never: memorised, not generalised"),
        Patch(facecolor=colour("state", "not memorised"), label="not memorised"),
    ]
    if (phases["phase"] == "diverged").any():
        handles.append(Patch(facecolor=colour("phase", "diverged"), label="diverged"))
    none = len(gaps) - len(medians)
    style.legend_below(figure, handles, f"No gap in {count(none, 'cell')}. {note}".strip())
    return figure
