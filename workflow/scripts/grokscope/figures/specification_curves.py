"""Specification curves: each headline number under every combination of analysis choices.

Inputs: the table multiverse and the published values. A number takes two panels: its values
(:func:`curve_panel`) and the choices that they were measured under (:func:`choice_panel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grokscope.claims.samples import CHOICES
from grokscope.core.formatting import count
from grokscope.figures import style
from grokscope.figures.palette import colour
from grokscope.figures.published import Published

COLUMNS = 2
CURVE_HEIGHT = 1.35
ROW_HEIGHT = 0.15
"""Inches; one line of the smallest text."""
PANEL_WIDTH = 3.4
"""Inches, about: what a panel's marks share."""
CHOICE_WORDS = {
    "smoothing": "{}",
    "sigma": "{} σ",
    "sign": "{} GAI",
    "norm": "{} norm",
    "window": "window {}",
    "beta2": "β₂ {:g}",
    "onset_threshold": "onset at {:g}",
    "rank_measure": "{} rank",
}
VERDICTS = ("supports", "speaks against", "undecided")
UNJUDGED = "not judged"


class Quantity(NamedTuple):
    """What is drawn of a headline number.

    Attributes
    ----------
    name, label
        The number in words, and its axis.
    published
        Names of a claim's published value, or of the ends of its published range.
    level
        What chance reaches, and the number must exceed where no value was published.
    """

    name: str
    label: str
    published: tuple[str, ...] = ()
    level: float | None = None


QUANTITIES = {
    "median_lead": Quantity("median lead of the first alarm", "lead (steps)", ("low", "high")),
    "precision": Quantity("precision", "precision", ("precision",)),
    "recall": Quantity("recall", "recall", ("recall",)),
    "spike_correlation": Quantity("spike size and final accuracy", "Pearson r", ("r",)),
    "last_layer_first": Quantity("last layer before the first", "share of events", level=0.5),
    "rank_drop": Quantity("last layer's rank at onset", "relative drop", ("low", "high")),
    "every_depth": Quantity("lowest of the depths", "precision − chance", level=0.0),
    "corrected_excess": Quantity("all depths, corrected", "precision − chance", level=0.0),
}


def numbers(column: pd.Series) -> np.ndarray:
    """Values of a column, NaN for null."""
    return column.to_numpy(dtype=float, na_value=np.nan)


def verdicts(rows: pd.DataFrame) -> np.ndarray:
    """One of :data:`VERDICTS` a row, :data:`UNJUDGED` where there is no claim."""
    named = rows["supports"].map({True: VERDICTS[0], False: VERDICTS[1]}).astype(object)
    named = named.where(rows["supports"].notna(), VERDICTS[2])
    return named.where(rows["claim"].notna(), UNJUDGED).to_numpy()


def support_text(rows: pd.DataFrame) -> str:
    """How many of the decided specifications support the claim, and how many are not.

    Without a claim, how many have a number.
    """
    if rows["claim"].isna().all():
        return (
            f"{int(rows['measured'].notna().sum())} of {count(len(rows), 'choice')} have a number"
        )
    decided = rows["supports"].dropna()
    undecided = int((rows["measured"].notna() & rows["supports"].isna()).sum())
    without = int((rows["measured"].isna() & rows["supports"].isna()).sum())
    parts = []
    if len(decided):
        share = int(decided.sum()) / len(decided)
        parts.append(f"{int(decided.sum())} of {len(decided)} choices support it ({share:.0%})")
    if undecided:
        parts.append(f"{undecided} undecided")
    if without:
        parts.append(f"{without} without a number")
    return ", ".join(parts)


Options = list[list[tuple[str, Any]]]


def options(rows: pd.DataFrame) -> Options:
    """The choices that were varied, each a list of its (column, value), in the table's order."""
    found = [[(name, value) for value in rows[name].dropna().unique()] for name in CHOICES]
    return [group for group in found if len(group) > 1]


def strokes(axes: Axes, place: np.ndarray, low: np.ndarray, high: np.ndarray, **how: Any) -> None:
    """Vertical strokes as one path: with as many paths an SVG is twice as large."""
    gap = np.full(len(place), np.nan)
    x, y = np.repeat(place, 3), np.column_stack([low, high, gap]).ravel()
    axes.plot(x, y, solid_capstyle="butt", **how)


def curve_panel(axes: Axes, rows: pd.DataFrame, published: Published) -> None:
    """Values of a number, one beside the other, with intervals and what was published.

    Parameters
    ----------
    rows
        One row per specification, in the order in which they are drawn.
    published
        Published values by claim.
    """
    quantity = QUANTITIES[str(rows["quantity"].iloc[0])]
    place, measured = np.arange(len(rows)), numbers(rows["measured"])
    low, high = numbers(rows["low"]), numbers(rows["high"])
    values = published.get(str(rows["claim"].iloc[0]), {})
    ends = [float(values[name]) for name in quantity.published if name in values]
    if len(ends) == 2:
        axes.axhspan(*ends, color=colour("event", "window"), alpha=0.6, linewidth=0, zorder=0)
    elif ends:
        axes.axhline(ends[0], color=colour("support", "published"), linewidth=1.6, zorder=1)
    if quantity.level is not None:
        axes.axhline(quantity.level, color="#555555", linestyle=":", linewidth=1.2, zorder=1)
    judged = verdicts(rows)
    width = mark_width(len(rows))
    for verdict in (*VERDICTS, UNJUDGED):
        here = judged == verdict
        paint = colour("support", verdict)
        strokes(axes, place[here], low[here], high[here], color=paint, alpha=0.3, lw=min(width, 4))
        axes.plot(
            place[here],
            measured[here],
            "o",
            markersize=float(np.clip(width * 1.4, 1.8, 5)),
            markeredgewidth=0,
            color=paint,
            linestyle="none",
        )
    default = rows["is_default"].to_numpy(bool)
    axes.plot(
        place[default],
        measured[default],
        "D",
        markersize=5.5,
        markerfacecolor="white",
        markeredgecolor=colour("support", "default"),
        markeredgewidth=1.3,
        linestyle="none",
        zorder=4,
    )
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.margins(y=0.08)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    style.number_axis(axes.yaxis, 4)
    axes.set_ylabel(quantity.label)


def mark_width(specifications: int) -> float:
    """Width of a specification's mark (points): three quarters of its column."""
    return float(np.clip(0.75 * PANEL_WIDTH * 72 / max(specifications, 1), 0.6, 9))


def choice_panel(axes: Axes, rows: pd.DataFrame, varied: Options, lines: int) -> None:
    """Which specification makes which choice: a line an option, a column a specification.

    Parameters
    ----------
    rows
        As in :func:`curve_panel`.
    varied
        The choices to show, as of :func:`options`.
    lines
        Lines that the panel has room for; those of all panels are equally high.
    """
    place, judged = np.arange(len(rows)), verdicts(rows)
    width = mark_width(len(rows))
    labels: list[str] = []
    for number, group in enumerate(varied):
        if number % 2 == 0:
            start = len(labels) - 0.5
            axes.axhspan(start, start + len(group), color="#F2F2F2", linewidth=0, zorder=0)
        for name, value in group:
            chosen = (rows[name] == value).fillna(False).to_numpy(bool)
            for verdict in (*VERDICTS, UNJUDGED):
                here = place[chosen & (judged == verdict)]
                line = np.full(len(here), len(labels))
                paint = colour("support", verdict)
                strokes(axes, here, line - 0.36, line + 0.36, color=paint, lw=width)
            labels.append(CHOICE_WORDS[name].format(value))
    default = place[rows["is_default"].to_numpy(bool)]
    axes.vlines(
        default, -0.5, len(labels) - 0.5, color=colour("support", "default"), lw=0.9, zorder=4
    )
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.set_ylim(lines - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


@style.styled
def specification_curves(
    multiverse: pd.DataFrame, published: Published, lacking: str | None = None
) -> Figure:
    """Headline numbers under every combination of analysis choices.

    Parameters
    ----------
    multiverse
        The table of this name, of one study.
    published
        Published values by claim.
    lacking
        Why there is nothing to draw, of logs that lack what it needs.
    """
    judged = multiverse["claim"].notna().any()
    title = (
        f"How much each {'claim' if judged else 'number'} depends on the choices of its analysis"
    )
    if multiverse["measured"].isna().all():
        nothing = "nothing can be measured under any choice"
        return style.empty_figure(title, lacking or nothing)
    quantities = list(dict.fromkeys(multiverse["quantity"]))
    rows_of = {name: multiverse[multiverse["quantity"] == name] for name in quantities}
    varied = {name: options(rows) for name, rows in rows_of.items()}
    lines = max(1, *(sum(map(len, groups)) for groups in varied.values()))
    heights = (CURVE_HEIGHT, ROW_HEIGHT * lines)
    grid_rows = -(-len(quantities) // COLUMNS)
    figure = style.new_figure(style.MAX_WIDTH, 1.1 + grid_rows * (sum(heights) + 0.55), title)
    grid = figure.subplots(
        2 * grid_rows, COLUMNS, squeeze=False, height_ratios=heights * grid_rows
    )
    for axes in grid.flat:
        axes.set_visible(False)
    for index, (name, rows) in enumerate(rows_of.items()):
        line, column = divmod(index, COLUMNS)
        curve, choice = grid[2 * line, column], grid[2 * line + 1, column]
        curve.set_visible(True)
        claim = rows["claim"].iloc[0]
        words = QUANTITIES[name].name
        heading = words[:1].upper() + words[1:] if pd.isna(claim) else f"{claim}: {words}"
        curve.set_title(f"{heading}\n{support_text(rows)}")
        drawn = rows[rows["measured"].notna()].sort_values("measured", kind="stable")
        if drawn.empty:
            style.say(curve, "nothing to measure under any choice")
            continue
        curve_panel(curve, drawn, published)
        if varied[name]:
            choice.set_visible(True)
            choice_panel(choice, drawn, varied[name], lines)
    shown = set(verdicts(multiverse[multiverse["measured"].notna()]))
    style.legend_below(
        figure,
        legend_entries([verdict for verdict in (*VERDICTS, UNJUDGED) if verdict in shown]),
        "Each column is one combination of analysis choices, sorted by the number it gives; the "
        "marks below say which choices it makes, vertical lines are intervals over seeds.",
    )
    return figure


def legend_entries(shown: Sequence[str]) -> list[Artist]:
    """Legend of the verdicts that occur and of all that marks a panel."""
    words = {
        "supports": "supports the claim",
        "undecided": "too few seeds to tell",
        UNJUDGED: "number under one combination",
    }
    entries: list[Artist] = [
        style.mark_entry(words.get(name, name), colour("support", name), "o", markersize=5)
        for name in shown
    ]
    red = colour("support", "default")
    entries.append(
        style.mark_entry("configured choice", red, "D", hollow=True, face="white", markersize=5.5)
    )
    if judged := set(shown) != {UNJUDGED}:
        entries += [
            style.line_entry("published value", colour("support", "published"), lw=1.6),
            Patch(facecolor=colour("event", "window"), alpha=0.6, label="published range"),
        ]
    level = "level to exceed" if judged else "level of chance"
    return [*entries, style.line_entry(level, "#555555", linestyle=":", lw=1.2)]
