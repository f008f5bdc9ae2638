"""Style of all figures: one style file, one way to save, axes and legends that look alike.

Figures are plain :class:`matplotlib.figure.Figure` objects without pyplot, so nothing is
open that would need closing elsewhere. A figure function is wrapped in :func:`styled`,
because matplotlib reads its settings while artists are made.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grokscope.core.files import replacing
from grokscope.core.formatting import tick
from grokscope.runs.tasks import TASKS

STYLE_FILE = Path(__file__).with_name("grokscope.mplstyle")
PNG_DPI = 150
NOTE_SIZE = 8
TITLE_SIZE = 9.5
LINE_HEIGHT = 0.16
"""Inches of a further line of a panel's title."""
MAX_WIDTH = 10.0
"""Widest figure (inches); wider ones would not keep 8 pt readable on a phone."""

STEP_LABEL = "step (optimiser updates)"
GRADIENT_LABEL = "gradient L2 norm"
WEIGHT_LABEL = "weight L2 norm"

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function under the style file alone, whatever the user's matplotlibrc says."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            settings = matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)
            matplotlib.rcParams.update(settings)
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Empty figure (inches) with a left-aligned title, wrapped to its width."""
    if width > MAX_WIDTH:
        raise ValueError(f"a figure {width:g} in wide; at most {MAX_WIDTH:g} in")
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    if title:
        # Bold DejaVu Sans at 11 pt takes at most about 0.095 in a character.
        text = textwrap.fill(title, width=int(width / 0.095))
        figure.suptitle(text, x=0.01, ha="left")
    return figure


@styled
def save(
    figure: Figure, png_path: str | os.PathLike[str], svg_path: str | os.PathLike[str]
) -> None:
    """Write a figure as PNG and SVG, free of dates and versions, and close it.

    The same figure gives the same bytes: Snakemake's checksums then see that nothing changed.
    """
    # Where the layout's solver puts axes differs in the last bits from one time to the next, and
    # an SVG names its clip paths by all of them.
    figure.set_dpi(PNG_DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, 9).tolist())
    with replacing(png_path) as temporary:
        figure.savefig(temporary, format="png", dpi=PNG_DPI, metadata={"Software": None})
    with replacing(svg_path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    figure.clear()


def metric_words(tasks: str | Sequence[str]) -> str:
    """What the metric of these tasks is: accuracy, R², or both; of tasks of logs the metric."""
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    ours = {
        "R²" if name.endswith("_regression") else "accuracy" for name in names if name in TASKS
    }
    kinds = ours | {"metric" for name in names if name not in TASKS}
    return " or ".join(sorted(kinds)) if kinds else "accuracy"


def note_inside(axes: Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to draw."""
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 34),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#666666",
        style="italic",
    )


def say(axes: Axes, text: str) -> None:
    """Empty panel that says in words why it is empty."""
    note_inside(axes, text)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


@styled
def empty_figure(title: str, text: str) -> Figure:
    """Figure that only says in words why there is nothing to draw."""
    figure = new_figure(7.0, 2.4, title)
    say(figure.subplots(), text)
    return figure


@cache
def text_width(text: str, size: float) -> float:
    """Width of a line of text (inches)."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72


def wrapped(text: str, width: float, size: float = 8.5) -> str:
    """Parts of a text, separated by commas, in lines no wider than `width` (inches)."""
    lines = [""]
    for part in text.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and text_width(longer, size) > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def legend_below(
    figure: Figure, handles: Sequence[Artist], note: str = "", columns: int | None = None
) -> None:
    """Legend under the axes, never over data, with a note in words above its entries.

    The note says what was left out or how something was chosen. The entries stand in as many
    columns as fit, in even rows.
    """
    room = figure.get_figwidth() - 0.2
    if note:
        character = text_width(note, NOTE_SIZE) / len(note)
        note = textwrap.fill(note, int(room / character) - 2)
    if not handles:
        if note:
            figure.supxlabel(note, x=0.01, ha="left", fontsize=NOTE_SIZE, color="#555555")
        return
    widths = [0.42 + text_width(str(handle.get_label()), 8.5) for handle in handles]
    fitting = columns or len(handles)
    while fitting > 1:
        rows = -(-len(handles) // fitting)
        if sum(max(widths[i : i + rows]) + 0.18 for i in range(0, len(widths), rows)) <= room:
            break
        fitting -= 1
    legend = figure.legend(
        handles=list(handles),
        loc="outside lower left",
        ncols=-(-len(handles) // -(-len(handles) // fitting)),
        title=note or None,
        title_fontsize=NOTE_SIZE,
        alignment="left",
    )
    legend.get_title().set_color("#555555")


def step_axis(axes: Axes, last: float, label: bool = True, ticks: int = 6) -> None:
    """Steps from 0 to the last, with thousands separated."""
    axes.set_xlim(0, max(float(last), 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if label:
        axes.set_xlabel(STEP_LABEL)


def number_axis(axis: Any, ticks: int = 5) -> None:
    """Few ticks, thousands separated, trailing zeros dropped."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def unit_axis(axes: Axes) -> None:
    """Metric from 0 to 1, with room for lines that run along its ends.

    R² has no lower end; what falls below the axis is cut off.
    """
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "", "0.5", "", "1"])


def column_title(axes: Axes, text: str, height: float = 16, size: float = 9) -> None:
    """Bold title of a column of panels, above the title of its first panel (points)."""
    axes.annotate(
        text,
        (0, 1),
        xytext=(0, height),
        xycoords="axes fraction",
        textcoords="offset points",
        weight="bold",
        fontsize=size,
    )


def corner(axes: Axes, text: str) -> None:
    """Small remark above the right end of a panel."""
    axes.set_title(text, loc="right", fontsize=8.5, color="#444444", pad=3)


def points(x: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """A line of one point is invisible: how to draw the point."""
    return {"marker": "o", "markersize": 3} if len(x) == 1 else {}


def line_entry(label: str, colour: str, **look: Any) -> Line2D:
    """Legend entry of a line."""
    return Line2D([], [], color=colour, label=label, **look)


def mark_entry(label: str, colour: str, marker: str, hollow: bool = False, **look: Any) -> Line2D:
    """Legend entry of a marker, filled or hollow."""
    paint = (
        {"markerfacecolor": look.pop("face", "none"), "markeredgecolor": colour}
        if hollow
        else {"color": colour}
    )
    return Line2D([], [], linestyle="none", marker=marker, label=label, **paint, **look)


def text_colour(background: str) -> str:
    """Black or white, whichever is readable on a colour (WCAG relative luminance)."""
    channels = np.asarray(to_rgb(background))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "white" if luminance < 0.179 else "black"
