"""Grid of panels over runs: columns are the first parameter that varies, rows all others.

Inputs: traces. Used by the figures that draw every run of a study.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from grokscope.data.trace import Trace
from grokscope.figures import layout, style
from grokscope.figures.parts.curves import last_step
from grokscope.figures.selection import left_out, spread

MAX_ROWS = 12
MAX_COLUMNS = 5
GRID_POINTS = 400
"""Points a line in small panels: an SVG of a whole grid stays below a megabyte or two."""


class RunGrid(NamedTuple):
    """Runs in rows and columns.

    Attributes
    ----------
    column, row
        Names of the parameters.
    columns, rows
        Their combinations that are drawn, in order.
    traces
        Runs by (row, column).
    note
        What was left out, in words; empty if nothing was.
    """

    column: str
    row: list[str]
    columns: list[layout.Place]
    rows: list[layout.Place]
    traces: dict[tuple[layout.Place, layout.Place], list[Trace]]
    note: str

    def longest(self, row: layout.Place) -> int:
        """Last step of the longest run drawn in a row."""
        runs = [t for column in self.columns for t in self.traces.get((row, column), [])]
        return max(map(last_step, runs), default=0)

    def tasks(self) -> list[str]:
        """Tasks of the rows."""
        return [str(row[0]) for row in self.rows]

    def row_words(self, row: layout.Place) -> str:
        """Name of a row, a line a parameter."""
        parts = [
            layout.described([name], (value,), short=True)
            for name, value in zip(self.row, row, strict=True)
        ]
        return "\n".join([parts[0][:1].upper() + parts[0][1:], *parts[1:]])


def run_grid(traces: Sequence[Trace], last: Sequence[str] = ()) -> RunGrid:
    """Runs in a grid; a large one is thinned evenly.

    Parameters
    ----------
    last
        What rows are told apart by besides all parameters that vary: ``("seed",)`` for one run
        per panel.
    """
    table = layout.runs_of(trace.key for trace in traces)
    column = layout.map_axes(table).x
    row = ["task", *layout.needed(table, ["task", column]), *last]
    by_place = {
        (place[:-1], place[-1:]): [traces[index] for index in group.index]
        for place, group in layout.groups(table, [*row, column]).items()
    }
    rows, columns = (list(layout.groups(table, names)) for names in (row, [column]))
    few = spread(rows, MAX_ROWS), spread(columns, MAX_COLUMNS)
    note = left_out(
        (few[0], rows, "rows"), (few[1], columns, f"values of {layout.parameter_words(column)}")
    )
    return RunGrid(column, row, few[1], few[0], by_place, note)


def grid_figure(
    grid: RunGrid, title: str, column_width: float, row_height: float, sharey: Any
) -> tuple[Figure, np.ndarray]:
    """Empty figure of the grid, with its columns named."""
    figure = style.new_figure(
        min(style.MAX_WIDTH, 1.4 + column_width * len(grid.columns)),
        1.5 + row_height * len(grid.rows),
        title,
    )
    panels = figure.subplots(len(grid.rows), len(grid.columns), squeeze=False, sharey=sharey)
    for axes, column in zip(panels[0], grid.columns, strict=True):
        style.column_title(axes, layout.title([grid.column], column))
    return figure, panels
