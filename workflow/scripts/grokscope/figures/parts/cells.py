"""Discrete cells of a map: one unit square per combination, with text where it fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from grokscope.core.formatting import count
from grokscope.figures import style
from grokscope.figures.palette import colour
from grokscope.measure.phases import PHASES

PHASE_SHORT = {
    "confusion": "conf",
    "memorisation": "mem",
    "grokking": "grok",
    "comprehension": "comp",
    "collapsed": "coll",
    "diverged": "div",
}
# Named in legends where there is one.
RARE = ("collapsed", "diverged")
CELL_FONT = 8
TICK_FONT = 8.5
LINE_HEIGHT = 0.135
"""Inches."""

Size = tuple[float, float]
"""Width and height of a cell in inches."""


class Cell(NamedTuple):
    """One discrete cell of a map: what fills it, what stands in it."""

    colour: str
    text: str


def fits(text: str, size: Size) -> bool:
    """Whether every line of a text is narrower than a cell."""
    widest = max(style.text_width(line, CELL_FONT) for line in text.split("\n"))
    return widest <= size[0] - 0.02


def draw_cell(axes: Axes, column: float, row: float, cell: Cell, size: Size) -> None:
    """One unit cell centred on (column, row); its text is left out where it does not fit."""
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5),
            1,
            1,
            facecolor=cell.colour,
            edgecolor="white",
            linewidth=1.2 if min(size) > 0.2 else 0.3,
            gid=f"cell-{row:g}-{column:g}",
        )
    )
    lines = cell.text.split("\n")
    while lines and LINE_HEIGHT * len(lines) > size[1]:
        lines.pop()
    if lines and fits("\n".join(lines), size):
        axes.text(
            column,
            row,
            "\n".join(lines),
            ha="center",
            va="center_baseline" if len(lines) == 1 else "center",
            fontsize=CELL_FONT,
            color=style.text_colour(cell.colour),
            linespacing=1.15,
        )


def cell_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str], size: Size) -> None:
    """Axes of a map: ticks in the middle of cells, no frame, and as many labels as fit."""
    axes.set_xlim(-0.5, max(len(columns), 1) - 0.5)
    axes.set_ylim(-0.5, max(len(rows), 1) - 0.5)
    widest = max((style.text_width(label, TICK_FONT) for label in columns), default=0.0)
    for axis, labels, cell, label_size in (
        (axes.xaxis, columns, size[0], widest + 0.08),
        (axes.yaxis, rows, size[1], LINE_HEIGHT + 0.02),
    ):
        # Every second, third, ... label, so that the distance between labels is the same.
        shown = range(0, len(labels), max(1, math.ceil(label_size / cell)))
        axis.set_ticks(shown, [labels[i] for i in shown])
        axis.set_tick_params(length=0)
    axes.spines[:].set_visible(False)


def phase_handles(phases: pd.DataFrame) -> list[Artist]:
    """Legend entries of the phases, with the number of runs of each."""
    counts = phases["phase"].value_counts()
    return [
        Patch(
            facecolor=colour("phase", phase),
            label=f"{phase} ({PHASE_SHORT[phase]}): {count(int(counts.get(phase, 0)), 'run')}",
        )
        for phase in PHASES
        if phase not in RARE or counts.get(phase, 0)
    ]
