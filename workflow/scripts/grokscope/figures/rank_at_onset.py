"""Rank at onset: rank of the last layer around the onset, against runs that never generalise.

Inputs: traces, rows of the rank table, and the published drop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from grokscope.core.formatting import count, words
from grokscope.data.parts import RANK_MEASURES
from grokscope.data.trace import Trace
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.events import mark_onset
from grokscope.figures.published import Published, published_range
from grokscope.figures.selection import known, left_out, spread
from grokscope.runs.spec import key_columns

HALF_WIDTH = 1500
"""Steps shown before and after the reference."""
MAX_THIN_LINES = 12
MAX_COLUMNS = 6
# Solid, long dashes, dots, dash-dot: (offset, on and off lengths in line widths).
TASK_LINES = ((0, ()), (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))


class RankCurve(NamedTuple):
    """Rank of one run's last layer around its reference, as a share of the rank before."""

    measure: str
    arm: str
    offset: np.ndarray
    share: np.ndarray
    column: layout.Place = ()
    series: layout.Place = ()


def rank_curves(trace: Trace, rank: pd.DataFrame) -> list[RankCurve]:
    """Curves of a run's last layer, one a measure, as far as they can be drawn.

    ``share(s) = rank(reference + s) / before``, with ``before`` the median rank in the window
    before the reference, as in the rank table: a share of 0.6 after the reference is a relative
    drop of 40%. A run whose table row has no reference or no rank before it has no curve.

    Parameters
    ----------
    trace
        The run.
    rank
        Its rows of the rank table.
    """
    curves = []
    for _, row in rank[rank["is_last_layer"]].iterrows():
        reference, before = known(row, "reference_step"), known(row, "before")
        column = f"{row['measure']}_rank_{row['layer']}"
        if reference is None or not before or column not in trace.frame:
            continue
        offset = trace.frame["step"].to_numpy(dtype=float) - reference
        share = trace.frame[column].to_numpy(dtype=float) / before
        near = np.isfinite(share) & (np.abs(offset) <= HALF_WIDTH)
        if near.any():
            arm = "generalising" if row["reference"] == "onset" else "matched"
            curves.append(RankCurve(str(row["measure"]), arm, offset[near], share[near]))
    return curves


def median_curve(curves: Sequence[RankCurve], step: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Median of curves on common offsets, where at least half of them are known."""
    offsets = np.arange(-HALF_WIDTH, HALF_WIDTH + 1, step, dtype=float)
    stack = np.array(
        [np.interp(offsets, c.offset, c.share, left=np.nan, right=np.nan) for c in curves]
    )
    enough = np.isfinite(stack).mean(axis=0) >= 0.5
    return offsets[enough], np.nanmedian(stack[:, enough], axis=0) if enough.any() else offsets[:0]


def rank_panel(
    axes: Axes,
    curves: Sequence[RankCurve],
    series: Sequence[layout.Place],
    drop: tuple[float, float] | None,
) -> None:
    """Single runs thin, medians by series and arm thick, the published drop shaded."""
    if drop is not None:
        axes.fill_between(
            [0, HALF_WIDTH],
            1 - drop[1],
            1 - drop[0],
            color=colour("event", "window"),
            alpha=0.6,
            linewidth=0,
            zorder=0,
        )
    mark_onset(axes, 0)
    axes.axhline(1, color="#AAAAAA", linewidth=0.8, zorder=1)
    for arm in ("matched", "generalising"):
        paint = colour("arm", arm)
        for name, dashes in zip(series, TASK_LINES, strict=False):
            own = [curve for curve in curves if (curve.arm, curve.series) == (arm, name)]
            if 1 < len(own) <= MAX_THIN_LINES:
                for curve in own:
                    axes.plot(curve.offset, curve.share, color=paint, linewidth=0.6, alpha=0.45)
            if own:
                axes.plot(*median_curve(own), color=paint, linewidth=1.8, linestyle=dashes)
    axes.set_xlim(-HALF_WIDTH, HALF_WIDTH)
    axes.set_xticks([-1000, 0, 1000], ["−1,000", "0", "1,000"])
    counts = [sum(curve.arm == arm for curve in curves) for arm in ("generalising", "matched")]
    axes.set_title(
        f"n = {counts[0]} + {counts[1]}", loc="right", fontsize=8, color="#555555", pad=3
    )


@style.styled
def rank_at_onset(
    traces: Iterable[Trace], rank: pd.DataFrame, published: Published, lacking: str | None = None
) -> Figure:
    """Rank of the last layer around onset: a column a depth and what else varies, a line a task.

    Parameters
    ----------
    traces
        Runs of the study, read once, in any order.
    rank
        Rows of the study in the rank table.
    published
        Published values by claim: the range of GAI6 is drawn.
    lacking
        Why there is nothing to draw, of logs that lack what it needs.
    """
    title = "Rank of the last layer around the onset of generalisation"
    if lacking is not None:
        return style.empty_figure(title, lacking)
    keys = key_columns(rank.columns)
    # More tasks than line styles: each has columns of its own.
    by_line = rank["task"].nunique() <= len(TASK_LINES)
    series = ["task"] if by_line else []
    column = layout.with_depth(rank, ["task"])
    column = column if by_line else ["task", *column]
    by_run = layout.groups(rank, keys)
    curves: list[RankCurve] = []
    drawn = 0
    for trace in traces:
        row = trace.key.row()
        own = by_run.get(layout.place_of(row, keys))
        found = [] if own is None else rank_curves(trace, own)
        drawn += bool(found)
        column_of, series_of = (layout.place_of(row, names) for names in (column, series))
        curves += [curve._replace(column=column_of, series=series_of) for curve in found]
    if not curves:
        return style.empty_figure(
            title, "no run with an onset and a rank measured before it, so nothing to align"
        )
    with_curve = {curve.column for curve in curves}
    places = [place for place in layout.groups(rank, column) if place in with_curve]
    shown = spread(places, MAX_COLUMNS)
    lines = [p for p in layout.groups(rank, series) if any(c.series == p for c in curves)]
    measures = [name for name in RANK_MEASURES if any(c.measure == name for c in curves)]
    figure = style.new_figure(
        min(style.MAX_WIDTH, 2.2 + 1.75 * len(shown)), 1.9 + 1.5 * len(measures), title
    )
    grid = figure.subplots(len(measures), len(shown), squeeze=False, sharex=True, sharey="row")
    drop = published_range(published, "GAI6")
    for i, measure in enumerate(measures):
        shares = np.concatenate([c.share for c in curves if c.measure == measure])
        # A run with a rank near zero before would squeeze all others flat.
        grid[i, 0].set_ylim(0, min(max(1.25, float(shares.max()) * 1.05), 2.5))
        grid[i, 0].yaxis.set_major_locator(MaxNLocator(4, steps=[2.5, 5, 10]))
        grid[i, 0].set_ylabel(f"{measure} rank\n/ rank before")
        for axes, place in zip(grid[i], shown, strict=True):
            own_curves = [c for c in curves if (c.measure, c.column) == (measure, place)]
            rank_panel(axes, own_curves, lines, drop)
            if i == 0:
                text = layout.title(column, place, short=True).replace(", ", ",\n")
                # Long names in smaller letters: bold, they would run into the next column.
                style.column_title(axes, text, size=7.5 if "\n" in text else 9)
    grid[-1, len(shown) // 2].set_xlabel("steps from the reference (optimiser updates)")
    arms = {
        "generalising": "generalising run, at its own onset",
        "matched": "never generalising run, at a matched step",
    }
    handles: list[Artist] = [
        style.line_entry(label, colour("arm", arm), linewidth=1.8) for arm, label in arms.items()
    ]
    if drop is not None:
        label = f"published drop, {100 * drop[0]:.0f}–{drop[1]:.0%}"
        handles.append(Patch(facecolor=colour("event", "window"), alpha=0.6, label=label))
    handles += [
        style.line_entry(words(str(line[0])), "#555555", linestyle=dashes, linewidth=1.8)
        for line, dashes in zip(lines, TASK_LINES, strict=False)
        if line
    ]
    note = (
        f"Thick: medians; thin: single runs; n: generalising + matched runs. {drawn:,} of "
        f"{count(len(by_run), 'run')} drawn; the others have no reference, or no rank was "
        f"measured before it. {left_out((shown, places, 'columns'))}"
    )
    style.legend_below(figure, handles, note.strip())
    return figure
