"""Phase diagram: the phase of each cell of a grid.

Input: rows of the phases table.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.cells import PHASE_SHORT, Cell, phase_handles
from grokscope.figures.parts.maps import map_figure, over_all


def phase_cell(runs: pd.DataFrame) -> Cell:
    """Cell of the phase that its seeds vote for, with the agreement where there are several."""
    row = runs.iloc[0]
    phase, seeds = str(row["vote"]), int(row["cell_seeds"])
    text = PHASE_SHORT.get(phase, phase)
    if seeds > 1:
        text += f"\n{round(float(row['agreement']) * seeds)}/{seeds}"
    return Cell(colour("phase", phase), text)


@style.styled
def phase_diagram(phases: pd.DataFrame) -> Figure:
    """Phase of each cell (vote of its seeds), with the agreement of several seeds.

    Parameters
    ----------
    phases
        Rows of one study.
    """
    title = "Phases of learning"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    figure, note = map_figure(phases, title + layout.over(over_all(phases)), phase_cell)
    if (phases["cell_seeds"] > 1).any():
        note = ("k/n: k of the cell's n seeds have the phase shown. " + note).strip()
    style.legend_below(figure, phase_handles(phases), note)
    return figure
