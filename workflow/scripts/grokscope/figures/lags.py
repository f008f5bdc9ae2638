"""Lags: how long after the gradient peak the test metric rises, beside the published values.

Input: rows of the transitions table, and the published values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.published import Published, PublishedLag, published_lags
from grokscope.figures.selection import known, left_out, spread

MAX_VALUES = 8
MAX_PANELS = 8
SEED_MARKERS = ("o", "s", "^", "D", "v", "P")
LEFT, RIGHT = -0.29, 0.29
"""Where the lags of a group stand: of the steepest rise, and of the onset."""


def seed_style(seeds: Sequence[int]) -> dict[int, str]:
    """Marker of each seed; with more seeds than markers, all look alike."""
    if len(seeds) > len(SEED_MARKERS):
        return dict.fromkeys(seeds, "o")
    return dict(zip(seeds, SEED_MARKERS, strict=False))


def lag_panel(
    axes: Axes,
    runs: Mapping[Any, pd.DataFrame],
    markers: Mapping[int, str],
    published: Mapping[Any, Sequence[PublishedLag]],
) -> None:
    """Lags of the runs of one panel, in groups.

    In each group: the lag from the steepest rise on the left, filled, with a bar at the mean;
    the published values hollow in the middle; the lag from the onset on the right, an arrow at
    the top for each run without onset.

    Parameters
    ----------
    runs
        Runs by their value on the horizontal axis.
    published
        Published lags by the same.
    """
    shown = pd.concat(runs.values())
    # What decides the scale: every lag that is known. Runs without onset stand at its top.
    known_lags = [0.0, *(lag.steps for value in runs for lag in published.get(value, ()))]
    for column in ("lag", "onset_lag"):
        known_lags += shown[column].dropna().astype(float).tolist()
    low, high = min(known_lags), max(known_lags)
    room = max(high - low, 10.0)
    censored = (shown["onset_lag"].isna() & shown["test_onset_step"].isna()).any()
    axes.set_ylim(low - 0.08 * room, high + (0.32 if censored else 0.08) * room)
    axes.axhline(0, color="#555555", linewidth=0.8)
    for place, (value, group) in enumerate(runs.items()):
        if place % 2:
            axes.axvspan(place - 0.5, place + 0.5, color="#F5F5F5", zorder=0, linewidth=0)
        lag_group(axes, group, place, markers)
        lags_ = published.get(value, ())
        for slot, lag in zip(slots(len(lags_)), lags_, strict=True):
            axes.plot(
                place + slot,
                lag.steps,
                # A published seed has its own marker; of the others the seed is not published.
                marker=markers.get(lag.seed, "h") if lag.seed is not None else "h",
                markerfacecolor="none",
                markeredgecolor=colour("lag", "published"),
                markersize=6.5,
                linestyle="none",
            )
    axes.set_xlim(-0.5, len(runs) - 0.5)
    axes.tick_params(axis="x", length=0)
    style.number_axis(axes.yaxis)
    axes.grid(axis="y")


def slots(number: int) -> np.ndarray:
    """Places of markers side by side, around 0."""
    return np.linspace(-0.09, 0.09, number) if number > 1 else np.zeros(number)


def lag_group(axes: Axes, group: pd.DataFrame, place: float, markers: Mapping[int, str]) -> None:
    """Lags of the runs of one group, centred on `place`."""
    look: dict[str, Any] = {
        "markersize": 6,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "linestyle": "none",
    }
    lags_ = group["lag"].dropna().astype(float)
    if len(lags_):
        axes.plot(
            [place - 0.42, place - 0.16],
            [lags_.mean()] * 2,
            color=colour("lag", "slope"),
            linewidth=2,
            alpha=0.5,
        )
    else:
        axes.text(place + LEFT, 0, "no lag", rotation=90, ha="center", va="bottom", fontsize=8)
    missing = 0
    for slot, (_, row) in zip(slots(len(group)), group.iterrows(), strict=True):
        marker = markers[int(row["seed"])]
        for column, name, side in (("lag", "slope", LEFT), ("onset_lag", "onset", RIGHT)):
            lag = known(row, column)
            if lag is not None:
                paint = colour("lag", name)
                axes.plot(place + side + slot, lag, marker=marker, color=paint, **look)
        if known(row, "test_onset_step") is None:
            missing += 1
            axes.annotate(
                "",
                (place + RIGHT + slot, 1),
                xytext=(0, -15),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": colour("lag", "onset"),
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "mutation_scale": 8,
                },
            )
    if missing:
        axes.annotate(
            f"{missing}/{len(group)}",
            (place + RIGHT, 1),
            xytext=(0, -17),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color=colour("lag", "onset"),
        )


def lag_handles(seeds: Sequence[int], with_published: bool) -> list[Artist]:
    """Legend entries of the lag figure."""
    onset = colour("lag", "onset")
    handles: list[Artist] = [
        style.mark_entry(
            "lag of the steepest rise (bar: mean)", colour("lag", "slope"), "o", markersize=6
        ),
        style.mark_entry("lag of the onset", onset, "o", markersize=6),
        style.mark_entry("onset not reached (runs/all)", onset, "$\\uparrow$", markersize=8),
    ]
    if with_published:
        grey = colour("lag", "published")
        handles.append(
            style.mark_entry("published (hollow)", grey, "h", hollow=True, markersize=7)
        )
    if 1 < len(seeds) <= len(SEED_MARKERS):
        handles += [
            style.mark_entry(f"seed {seed}", "#777777", marker, markersize=6)
            for seed, marker in seed_style(seeds).items()
        ]
    return handles


@style.styled
def lags(transitions: pd.DataFrame, published: Published, lacking: str | None = None) -> Figure:
    """Lag of every run over the first parameter that varies, beside the published values.

    Parameters
    ----------
    transitions
        Rows of one study, ordered by the run key. A panel has one task and one value of each
        further parameter that varies.
    published
        Published values by claim; those by train fraction are drawn where that is the axis.
    lacking
        Why there is nothing to draw, of logs that lack what it needs.
    """
    title = "Lag from gradient peak to metric transition"
    if lacking is not None:
        return style.empty_figure(title, lacking)
    if transitions.empty:
        return style.empty_figure(title, "no run in this study")
    axis = layout.map_axes(transitions).x
    names = ["task", *layout.needed(transitions, ["task", axis])]
    panels = layout.groups(transitions, names)
    shown = spread(list(panels), MAX_PANELS)
    seeds = sorted(int(seed) for seed in transitions["seed"].unique())
    markers = seed_style(seeds)
    columns = min(2, len(shown))
    n_rows = -(-len(shown) // columns)
    figure = style.new_figure(3.9 * columns + 0.4, 1.4 + 3.3 * n_rows, title)
    grid = figure.subplots(n_rows, columns, squeeze=False)
    notes = [left_out((shown, list(panels), "panels"))]
    with_published = False
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for axes, place in zip(grid.flat, shown, strict=False):
        runs = {value[0]: rows for value, rows in layout.groups(panels[place], [axis]).items()}
        values = spread(list(runs), MAX_VALUES)
        notes.append(left_out((values, list(runs), f"values of {layout.parameter_words(axis)}")))
        lags_ = published_lags(published, str(place[0])) if axis == "train_fraction" else {}
        with_published |= any(value in lags_ for value in values)
        lag_panel(axes, {value: runs[value] for value in values}, markers, lags_)
        axes.set_xticks(range(len(values)), [layout.value_words(axis, v) for v in values])
        axes.set_xlabel(layout.axis_words(axis))
        axes.set_title(style.wrapped(layout.title(names, place), 3.2, style.TITLE_SIZE))
    for axes in grid[:, 0]:
        axes.set_ylabel("lag (optimiser updates)")
    if len(seeds) > len(SEED_MARKERS):
        notes.append(f"The {len(seeds)} seeds look alike.")
    note = " ".join(dict.fromkeys(note for note in notes if note))
    style.legend_below(figure, lag_handles(seeds, with_published), note)
    return figure
