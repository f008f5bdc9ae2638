"""Figures of the phase_diagram study: phases over weight decay, train fraction and width.

Inputs: rows of the phases table, and traces for the example curves. One function a figure
(:func:`phase_diagram`, :func:`delay_map`, :func:`example_curves`, :func:`effects`), one a
panel. Maps are discrete cells; nothing is interpolated between measured grid points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy.stats import binomtest

from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.selection import decimate, key_of, known, spread
from grokscope.figures.style import colour
from grokscope.runs.spec import KEY_COLUMNS, RunKey

MAX_PANELS = 12
PANELS_A_ROW = 4
CELL_FONT = 8
TICK_FONT = 8.5
LINE_HEIGHT = 0.135
"""Inches."""
GENERALISING = ("grokking", "comprehension")
# Perceptually ordered, readable with every common colour deficiency.
DELAY_COLOURS = colormaps["viridis"]


class Cell(NamedTuple):
    """One discrete cell of a map: what fills it, what stands in it."""

    colour: str
    text: str


class PanelKey(NamedTuple):
    """The runs of one panel of a map."""

    task: str
    depth: int
    width: int


def fits(text: str, size: tuple[float, float]) -> bool:
    """Whether every line of a text is narrower than a cell (inches)."""
    widest = max(style.text_width(line, CELL_FONT) for line in text.split("\n"))
    return widest <= size[0] - 0.02


def draw_cell(
    axes: Axes, column: float, row: float, cell: Cell, size: tuple[float, float]
) -> None:
    """One unit cell centred on (column, row); its text is left out where it does not fit.

    Parameters
    ----------
    size
        Width and height of a cell in inches.
    """
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


def cell_axes(
    axes: Axes, columns: Sequence[str], rows: Sequence[str], size: tuple[float, float]
) -> None:
    """Axes of a map: ticks in the middle of cells, no frame, and as many labels as fit.

    Parameters
    ----------
    size
        Width and height of a cell in inches.
    """
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


def panel_keys(phases: pd.DataFrame) -> list[PanelKey]:
    """Panels of a map: one for each task, depth and width."""
    names = ["task", "depth", "width"]
    unique = phases[names].drop_duplicates().sort_values(names)
    return [PanelKey(str(t), int(d), int(w)) for t, d, w in unique.itertuples(index=False)]


def panel_words(key: PanelKey, keys: Sequence[PanelKey]) -> str:
    """Title of a panel: the width, and task and depth if they differ between panels."""
    parts = [f"width {key.width}"]
    if len({other.depth for other in keys}) > 1:
        parts.insert(0, f"depth {key.depth}")
    if len({other.task for other in keys}) > 1:
        parts.insert(0, style.words(key.task))
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def phase_cell(runs: pd.DataFrame) -> Cell:
    """Cell of the phase that its seeds vote for, with the agreement where there are several."""
    row = runs.iloc[0]
    phase, seeds = str(row["vote"]), int(row["cell_seeds"])
    text = style.PHASE_SHORT.get(phase, phase)
    if seeds > 1:
        text += f"\n{round(float(row['agreement']) * seeds)}/{seeds}"
    return Cell(colour("phase", phase), text)


def delay_cell(runs: pd.DataFrame, largest: float, smallest: float) -> Cell:
    """Cell of the (median) gap of its seeds; grey, in words, where no seed has a gap."""
    gaps = runs["gap"].dropna().astype(float)
    if len(gaps):
        gap = float(gaps.median())
        scale = Normalize(smallest, max(largest, smallest + 1))
        text = f"{gap:,.0f}".replace("-", "−")
        if len(runs) > 1:
            text += f"\n{len(gaps)}/{len(runs)}"
        return Cell(to_hex(DELAY_COLOURS(scale(gap))), text)
    if (runs["phase"] == "diverged").all():
        return Cell(colour("phase", "diverged"), "diverged")
    if runs["train_reached_step"].isna().all():
        return Cell(colour("state", "not memorised"), "not\nmemorised")
    return Cell(colour("state", "never"), "never")


def map_panel(
    axes: Axes,
    cells: Mapping[tuple[float, float], Cell],
    decays: Sequence[float],
    fractions: Sequence[float],
    size: tuple[float, float],
) -> int:
    """Cells of one panel; returns the number of cells that were not run.

    Parameters
    ----------
    cells
        Cell of each (weight decay, train fraction).
    decays, fractions
        Rows and columns, those of all panels of the figure.
    size
        Width and height of a cell in inches.
    """
    cell_axes(axes, [f"{f:g}" for f in fractions], [f"{d:g}" for d in decays], size)
    for row, decay in enumerate(decays):
        for column, fraction in enumerate(fractions):
            if (decay, fraction) in cells:
                draw_cell(axes, column, row, cells[(decay, fraction)], size)
            else:
                axes.text(column, row, "–", ha="center", va="center", color="#999999")
    return len(decays) * len(fractions) - len(cells)


def panel_cells(
    phases: pd.DataFrame, key: PanelKey, make_cell: Callable[[pd.DataFrame], Cell]
) -> dict[tuple[float, float], Cell]:
    """Cell of each (weight decay, train fraction) of a panel that has runs."""
    runs = phases[(phases[["task", "depth", "width"]] == list(key)).all(axis=1)]
    cells = {}
    for decay in runs["weight_decay"].unique():
        for fraction in runs["train_fraction"].unique():
            of_cell = (runs["weight_decay"] == decay) & (runs["train_fraction"] == fraction)
            if of_cell.any():
                cells[float(decay), float(fraction)] = make_cell(runs[of_cell])
    return cells


def has_number(cell: Cell) -> bool:
    """Whether a cell shows a number."""
    return any(character.isdigit() for character in cell.text)


def map_figure(
    phases: pd.DataFrame, title: str, make_cell: Callable[[pd.DataFrame], Cell], room: float = 0
) -> tuple[Figure, str]:
    """A panel a width, weight decay (rows) over train fraction (columns).

    Parameters
    ----------
    room
        Inches to leave on the right.

    Returns
    -------
    figure, note
        The note says what is missing, if anything is.
    """
    keys = panel_keys(phases)
    shown = spread(keys, MAX_PANELS)
    decays = sorted(float(decay) for decay in phases["weight_decay"].unique())
    fractions = sorted(float(fraction) for fraction in phases["train_fraction"].unique())
    # Cells of at least 0.18 in: with many train fractions, fewer panels stand in a row.
    fitting = max(1, int((8.6 - room) / (0.18 * len(fractions))))
    columns = min(len(shown), PANELS_A_ROW, fitting)
    n_rows = -(-len(shown) // columns)
    wide = min(style.MAX_WIDTH, max(5.0, 1.2 + room + columns * len(fractions) * 0.68))
    panel_tall = max(1.2, min(4.5, 0.5 + 0.46 * len(decays)))
    tall = 1.5 + n_rows * panel_tall
    # Inches of a cell before the layout is known: what labels and titles leave, on the safe side.
    size = (
        (wide - room - 0.65 - 0.09 * (columns - 1)) / columns / len(fractions),
        (panel_tall - 0.5) / len(decays),
    )
    figure = style.new_figure(wide, tall, title)
    grid = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    panels = [panel_cells(phases, key, make_cell) for key in shown]
    crowded = any(
        not fits(cell.text, size)
        for cells in panels
        for cell in cells.values()
        if has_number(cell)
    )
    missing = 0
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for index, (key, cells) in enumerate(zip(shown, panels, strict=True)):
        axes = grid.flat[index]
        if crowded:
            # Numbers in some cells only would look as if the others had none.
            cells = {
                place: cell._replace(text="") if has_number(cell) else cell
                for place, cell in cells.items()
            }
        missing += map_panel(axes, cells, decays, fractions, size)
        axes.set_title(panel_words(key, shown))
        if index + columns >= len(shown):
            axes.set_xlabel("train fraction")
        if index % columns == 0:
            axes.set_ylabel("weight decay")
    notes = ["Too many cells for numbers in them."] if crowded else []
    if missing:
        notes.append(f"{style.count(missing, 'cell')} not in the grid (–).")
    if len(shown) < len(keys):
        notes.append(f"Shown: {len(shown)} of {len(keys)} panels, evenly spread.")
    return figure, " ".join(notes)


@style.styled
def phase_diagram(phases: pd.DataFrame) -> Figure:
    """Phase of each cell (vote of its seeds), with the agreement of several seeds.

    Parameters
    ----------
    phases
        Rows of one study.
    """
    title = "Phases of learning over weight decay, training data and width"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    figure, note = map_figure(phases, title, phase_cell)
    if (phases["cell_seeds"] > 1).any():
        note = ("k/n: k of the cell's n seeds have the phase shown. " + note).strip()
    counts = phases["phase"].value_counts()
    handles: list[Artist] = [
        Patch(
            facecolor=colour("phase", phase),
            label=f"{phase} ({style.PHASE_SHORT[phase]}): "
            f"{style.count(int(counts.get(phase, 0)), 'run')}",
        )
        for phase in style.PHASES
        if phase != "diverged" or counts.get(phase, 0)
    ]
    style.legend_below(figure, handles, note)
    return figure


@style.styled
def delay_map(phases: pd.DataFrame) -> Figure:
    """Steps from memorisation to generalisation of each cell; grey where there is no gap."""
    title = "Delay of generalisation after memorisation"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    # The scale is that of the drawn cells, which are medians where there are several seeds.
    cell_names = ["task", "depth", "train_fraction", "weight_decay", "width"]
    medians = phases.groupby(cell_names)["gap"].median().dropna().astype(float)
    smallest = min(0.0, float(medians.min())) if len(medians) else 0.0
    largest = float(medians.max()) if len(medians) else 1.0
    figure, note = map_figure(
        phases, title, lambda runs: delay_cell(runs, largest, smallest), room=0.95
    )
    if (phases["cell_seeds"] > 1).any():
        note = ("Median gap; k/n: k of the cell's n seeds have one. " + note).strip()
    if len(medians):
        bar = figure.colorbar(
            ScalarMappable(Normalize(smallest, max(largest, smallest + 1)), DELAY_COLOURS),
            ax=[axes for axes in figure.axes if axes.axison],
            label="gap (optimiser updates)",
            shrink=0.9,
            aspect=30,
            fraction=0.04,
            pad=0.02,
        )
        style.number_axis(bar.ax.yaxis)
        bar.outline.set_visible(False)
    none = phases["gap"].isna().groupby([phases[name] for name in cell_names]).all().sum()
    handles: list[Artist] = [
        Patch(facecolor=colour("state", "never"), label="never: memorised, not generalised"),
        Patch(facecolor=colour("state", "not memorised"), label="not memorised"),
    ]
    if (phases["phase"] == "diverged").any():
        handles.append(Patch(facecolor=colour("phase", "diverged"), label="diverged"))
    style.legend_below(
        figure, handles, f"No gap in {style.count(int(none), 'cell')}. {note}".strip()
    )
    return figure


def choose_examples(phases: pd.DataFrame) -> dict[str, pd.Series]:
    """One run of each phase present, always the same one.

    Grokking: the largest gap, the first in key order among equals. Other phases: the middle
    run, in key order, of those that have the phase.
    """
    ordered = phases.sort_values(list(KEY_COLUMNS), kind="stable").reset_index(drop=True)
    chosen = {}
    for phase in style.PHASES:
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
        x, y = decimate(frame["step"].to_numpy(), frame[f"{split}_metric"].to_numpy(), 1000)
        axes.plot(
            x, y, color=colour("split", split), marker="o" if len(x) < 60 else "", markersize=2.5
        )
        reached = known(row, f"{split}_reached_step")
        if reached is not None:
            axes.axvline(
                reached, color=colour("split", split), linestyle="--", linewidth=1, zorder=1
            )
    style.unit_axis(axes)
    last = float(frame["step"].iloc[-1]) if len(frame) else 0.0
    style.step_axis(axes, last, ticks=4)
    if not frame[["train_metric", "test_metric"]].notna().any(axis=None):
        axes.text(
            0.5,
            0.5,
            "nothing recorded",
            transform=axes.transAxes,
            ha="center",
            va="center",
            style="italic",
            color="#666666",
        )


def example_words(key: RunKey) -> str:
    """The run of an example, in words."""
    return (
        f"fraction {key.train_fraction}, decay {key.weight_decay}, width {key.width}, "
        f"seed {key.seed}"
    )


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
    shown = [phase for phase in style.PHASES if phase != "diverged" or phase in chosen]
    n_rows = -(-len(shown) // 2)
    figure = style.new_figure(7.6, 1.2 + 2.3 * n_rows, title)
    grid = figure.subplots(n_rows, 2, squeeze=False)
    metric = style.metric_words(sorted(set(phases["task"])))
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for index, (axes, phase) in enumerate(zip(grid.flat, shown, strict=False)):
        if phase in chosen:
            example_panel(axes, traces[phase], chosen[phase])
            axes.set_title(example_words(key_of(chosen[phase])), fontsize=8.5)
            gap = known(chosen[phase], "gap")
            if index % 2 == 0:
                axes.set_ylabel(metric)
            axes.set_xlabel(style.STEP_LABEL if index + 2 >= len(shown) else "")
        else:
            style.say(axes, f"no run of this study shows {phase}")
            gap = None
        axes.annotate(
            phase.capitalize() + ("" if gap is None else f", gap {style.number(gap)} steps"),
            (0, 1),
            xytext=(0, 19),
            xycoords="axes fraction",
            textcoords="offset points",
            weight="bold",
        )
    handles: list[Artist] = [
        Line2D([], [], color=colour("split", split), label=f"{split} {metric}")
        for split in ("train", "test")
    ]
    handles.append(
        Line2D([], [], color="#555555", linestyle="--", linewidth=1, label="threshold reached")
    )
    style.legend_below(figure, handles)
    return figure


def effect_panel(axes: Axes, phases: pd.DataFrame, name: str, confidence: float) -> None:
    """Share of runs that generalise at each value of one parameter, with Wilson intervals."""
    values = spread(sorted(phases[name].unique()), 12)
    for place, value in enumerate(values):
        runs = phases[phases[name] == value]
        hits = int(runs["phase"].isin(GENERALISING).sum())
        interval = binomtest(hits, len(runs)).proportion_ci(confidence, method="wilson")
        share = hits / len(runs)
        axes.plot([place, place], [interval.low, interval.high], color="#777777", linewidth=1.6)
        axes.plot(place, share, "o", color=colour("phase", "grokking"), markersize=6)
        axes.annotate(
            f"{hits}/{len(runs)}",
            (place, interval.high),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    if len(values) > 6:
        axes.tick_params(axis="x", rotation=60)
    axes.set_ylim(-0.03, 1.12)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y")


@style.styled
def effects(phases: pd.DataFrame, confidence: float = 0.95) -> Figure:
    """Share of runs that generalise against weight decay, train fraction and width."""
    title = "Share of runs that generalise"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    figure = style.new_figure(8.4, 3.3, title)
    panels = {
        "weight_decay": "weight decay",
        "train_fraction": "train fraction",
        "width": "width (hidden units)",
    }
    most = [min(phases[name].nunique(), 12) + 1.0 for name in panels]
    grid = figure.subplots(1, 3, sharey=True, width_ratios=most)
    for axes, (name, label) in zip(grid, panels.items(), strict=True):
        effect_panel(axes, phases, name, confidence)
        axes.set_xlabel(label)
    grid[0].set_ylabel("share of runs that generalise")
    style.legend_below(
        figure,
        [],
        f"Numbers: runs that grok or comprehend / all runs. Lines: {confidence:.0%} Wilson "
        "intervals; runs at one value differ in all other parameters.",
    )
    return figure
