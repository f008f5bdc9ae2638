"""Style of all figures: one palette, one style file, one way to save.

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
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grokscope.core.files import replacing

STYLE_FILE = Path(__file__).with_name("grokscope.mplstyle")
PNG_DPI = 150
NOTE_SIZE = 8
MAX_WIDTH = 10.0
"""Widest figure (inches); wider ones would not keep 8 pt readable on a phone."""

STEP_LABEL = "step (optimiser updates)"
GRADIENT_LABEL = "gradient L2 norm"
WEIGHT_LABEL = "weight L2 norm"

# Okabe & Ito (2008) for categories, Paul Tol's "muted" for layers, viridis for what is
# ordered: all three can be told apart with the common colour deficiencies.
PALETTE: dict[str, dict[str, str]] = {
    "phase": {
        "confusion": "#BBBBBB",
        "memorisation": "#E69F00",
        "grokking": "#009E73",
        "comprehension": "#56B4E9",
        "diverged": "#333333",
    },
    "split": {"train": "#0072B2", "test": "#D55E00"},
    "layer": {
        "combined": "#000000",
        "0": "#999933",
        "1": "#332288",
        "2": "#44AA99",
        "3": "#CC6677",
        "4": "#C8A93C",
        "5": "#88CCEE",
        "6": "#117733",
        "7": "#AA4499",
        "8": "#882255",
    },
    "measure": {"effective": "#0072B2", "stable": "#D55E00", "numerical": "#009E73"},
    "task": {
        "modular_addition": "#0072B2",
        "s5_composition": "#D55E00",
        "cubic_regression": "#009E73",
        "sine_regression": "#CC79A7",
        "modular_subtraction": "#56B4E9",
        "modular_multiplication": "#E69F00",
        "modular_division": "#332288",
        "modular_sum_of_squares": "#882255",
        "modular_cubic": "#777777",
    },
    "depth": {
        "2": "#440154",
        "3": "#443983",
        "4": "#31688E",
        "5": "#21918C",
        "6": "#35B779",
        "7": "#90D743",
        "8": "#D0BC1C",
    },
    "event": {
        "gradient_peak": "#332288",
        "metric_transition": "#AA4499",
        "onset": "#117733",
        "alarm": "#CC3311",
        "threshold": "#777777",
        "window": "#F0E442",
    },
    "lag": {"slope": "#0072B2", "onset": "#117733", "published": "#555555"},
    "arm": {"generalising": "#0072B2", "matched": "#D55E00"},
    "support": {
        "supports": "#0072B2",
        "speaks against": "#A0A0A0",
        "undecided": "#E69F00",
        "published": "#C8A93C",
        "default": "#CC3311",
    },
    # GAI and the clock stand out, signals of test data recede.
    "detector": {
        "gai": "#CC3311",
        "constant_time": "#000000",
        "grad_norm_peak": "#0072B2",
        "weight_norm_turn": "#009E73",
        "train_accuracy": "#E69F00",
        "train_loss": "#AA7B00",
        "rank_fall": "#CC79A7",
        "grad_norm_variance": "#56B4E9",
        "grad_norm_autocorrelation": "#332288",
        "cusum": "#999933",
        "change_point": "#44AA99",
        "test_loss_peak": "#777777",
        "test_accuracy": "#AAAAAA",
    },
    "state": {"never": "#CFCFCF", "not memorised": "#9E9E9E", "not run": "#FFFFFF"},
}

PHASES = ("confusion", "memorisation", "grokking", "comprehension", "diverged")
PHASE_SHORT = {
    "confusion": "conf",
    "memorisation": "mem",
    "grokking": "grok",
    "comprehension": "comp",
    "diverged": "div",
}

P = ParamSpec("P")
R = TypeVar("R")


class PaletteError(LookupError):
    """A thing to draw for which the palette has no colour."""


def colour(group: str, key: object) -> str:
    """Colour of one thing, for instance ``colour("phase", "grokking")``.

    Raises
    ------
    PaletteError
        Naming the missing colour: a fallback would draw two things alike in silence.
    """
    if group not in PALETTE:
        raise PaletteError(f"no palette {group!r}; there are {', '.join(PALETTE)}")
    if str(key) not in PALETTE[group]:
        raise PaletteError(
            f"no colour for {group} {str(key)!r}; add it to PALETTE[{group!r}] in {__name__}"
            f" (it has {', '.join(PALETTE[group])})"
        )
    return PALETTE[group][str(key)]


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


def words(name: str) -> str:
    """Name of a task or measure as words: ``modular_addition`` -> "modular addition"."""
    text = name.replace("_", " ")
    return "S5" + text[2:] if text.startswith("s5") else text


def title_words(name: str) -> str:
    """Same, with a capital, for titles."""
    text = words(name)
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Text without its leading capital, for use inside a sentence; S5 stays."""
    return text if text[1:2].isdigit() else text[:1].lower() + text[1:]


def metric_words(tasks: str | Sequence[str]) -> str:
    """What the metric of these tasks is: accuracy, R², or both."""
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    kinds = {"R²" if name.endswith("_regression") else "accuracy" for name in names}
    return " or ".join(sorted(kinds)) if kinds else "accuracy"


def count(number: int, noun: str) -> str:
    """Number and noun: "1 run", "12 runs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def say(axes: Axes, text: str) -> None:
    """Empty panel that says in words why it is empty."""
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
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def number(value: float) -> str:
    """Short text of a number: 0.1, 1, 12,000, with a true minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
    return text.replace("-", "−")


def unit_axis(axes: Axes) -> None:
    """Metric from 0 to 1, with room for lines that run along its ends.

    R² has no lower end; what falls below the axis is cut off.
    """
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "", "0.5", "", "1"])


def text_colour(background: str) -> str:
    """Black or white, whichever is readable on a colour (WCAG relative luminance)."""
    channels = np.asarray(to_rgb(background))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "white" if luminance < 0.179 else "black"
