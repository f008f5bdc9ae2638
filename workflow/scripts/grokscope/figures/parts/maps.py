"""Maps: discrete cells over two parameters, a panel for each combination of all others.

Nothing is interpolated between measured grid points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.core.formatting import count, title_words
from grokscope.figures import layout, style
from grokscope.figures.parts.cells import Cell, Size, cell_axes, draw_cell, fits
from grokscope.figures.selection import left_out, spread

MAX_PANELS = 12
PANELS_A_ROW = 4

Cells = Mapping[layout.Place, Cell]
"""Cell of each (y, x)."""


def map_panel(axes: Axes, cells: Cells, y: Sequence[Any], x: Sequence[Any], size: Size) -> int:
    """Cells of one panel; returns the number of cells that were not run.

    Parameters
    ----------
    y, x
        Values of rows and columns, those of all panels of the figure.
    """
    for row, y_value in enumerate(y):
        for column, x_value in enumerate(x):
            if (y_value, x_value) in cells:
                draw_cell(axes, column, row, cells[y_value, x_value], size)
            else:
                axes.text(column, row, "–", ha="center", va="center", color="#999999")
    return len(y) * len(x) - len(cells)


def has_number(cell: Cell) -> bool:
    """Whether a cell shows a number."""
    return any(character.isdigit() for character in cell.text)


def map_figure(
    phases: pd.DataFrame, title: str, make_cell: Callable[[pd.DataFrame], Cell], room: float = 0
) -> tuple[Figure, str]:
    """Cells over the first two parameters that vary, see :func:`.layout.map_axes`.

    Parameters
    ----------
    phases
        Rows of one study.
    make_cell
        Cell of the runs of one combination.
    room
        Inches to leave on the right.

    Returns
    -------
    figure, note
        The note says what is missing, if anything is.
    """
    x_name, y_name, names = layout.map_axes(phases)
    keys = layout.groups(phases, names)
    shown = spread(list(keys), MAX_PANELS)
    x, y = layout.values_of(phases, x_name), layout.values_of(phases, y_name)
    # Cells of at least 0.18 in: with many columns, fewer panels stand in a row.
    fitting = max(1, int((8.6 - room) / (0.18 * len(x))))
    columns = min(len(shown), PANELS_A_ROW, fitting)
    n_rows = -(-len(shown) // columns)
    wide = min(style.MAX_WIDTH, max(5.0, 1.2 + room + columns * len(x) * 0.68))
    panel_tall = max(1.2, min(4.5, 0.5 + 0.46 * len(y)))
    # Inches of a cell before the layout is known: what labels and titles leave, on the safe side.
    size = (
        (wide - room - 0.65 - 0.09 * (columns - 1)) / columns / len(x),
        (panel_tall - 0.5) / len(y),
    )
    task = title_words(str(phases["task"].iloc[0]))
    titles = [
        style.wrapped(layout.title(names, key, short=True), size[0] * len(x), style.TITLE_SIZE)
        if names
        else task
        for key in shown
    ]
    panel_tall += style.LINE_HEIGHT * max(text.count("\n") for text in titles)
    figure = style.new_figure(wide, 1.5 + n_rows * panel_tall, title)
    grid = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    panels = [
        {
            place: make_cell(runs)
            for place, runs in layout.groups(keys[key], [y_name, x_name]).items()
        }
        for key in shown
    ]
    crowded = any(
        not fits(cell.text, size)
        for cells in panels
        for cell in cells.values()
        if has_number(cell)
    )
    missing = 0
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    x_labels = [layout.value_words(x_name, value) for value in x]
    y_labels = [layout.value_words(y_name, value) for value in y]
    for index, cells in enumerate(panels):
        axes = grid.flat[index]
        if crowded:
            # Numbers in some cells only would look as if the others had none.
            cells = {
                place: cell._replace(text="") if has_number(cell) else cell
                for place, cell in cells.items()
            }
        cell_axes(axes, x_labels, y_labels, size)
        missing += map_panel(axes, cells, y, x, size)
        axes.set_title(titles[index])
        if index + columns >= len(shown):
            axes.set_xlabel(layout.axis_words(x_name))
        if index % columns == 0:
            axes.set_ylabel(layout.axis_words(y_name))
    notes = ["Too many cells for numbers in them."] if crowded else []
    if missing:
        notes.append(f"{count(missing, 'cell')} not in the grid (–).")
    notes.append(left_out((shown, list(keys), "panels")))
    return figure, " ".join(note for note in notes if note)


def over_all(phases: pd.DataFrame) -> list[str]:
    """Parameters that vary, in the order in which a map names them: y, x, panels."""
    axes = layout.map_axes(phases)
    return [n for n in (axes.y, axes.x, *axes.panels) if n in layout.varying(phases)]
