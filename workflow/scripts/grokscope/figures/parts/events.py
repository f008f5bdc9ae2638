"""Events of a run: the vertical lines at its gradient peak, metric transition and onset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from grokscope.core.formatting import tick
from grokscope.figures import style
from grokscope.figures.palette import colour
from grokscope.figures.selection import known

# Name in the palette, words, and column of the transitions table.
KINDS = (
    ("gradient_peak", "gradient peak", "grad_peak_step"),
    ("metric_transition", "metric transition", "metric_transition_step"),
    ("onset", "onset of generalisation", "test_onset_step"),
    ("lost", "generalisation lost", "test_lost_step"),
)
# Text on a white ground: lines behind it do not cross it.
CLEAR: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


class Event(NamedTuple):
    """A step to mark, and what it is."""

    name: str
    label: str
    step: float


def run_events(row: Mapping[str, Any] | pd.Series | None) -> list[Event]:
    """Gradient peak, metric transition, onset and its loss, those that exist, by step."""
    found = [(name, label, known(row, column)) for name, label, column in KINDS]
    events = [Event(name, label, step) for name, label, step in found if step is not None]
    return sorted(events, key=lambda event: event.step)


def mark_events(axes: Axes, events: Sequence[Event], width: float = 1) -> None:
    """Vertical lines at the events, behind the data."""
    for event in events:
        axes.axvline(
            event.step,
            color=colour("event", event.name),
            linewidth=width,
            linestyle="--",
            zorder=1,
        )


def mark_onset(axes: Axes, step: float) -> None:
    """Vertical line at an onset."""
    axes.axvline(step, color=colour("event", "onset"), linestyle="--", linewidth=1.2, zorder=1)


def event_handles() -> list[Artist]:
    """Legend entries of the vertical lines."""
    return [
        style.line_entry(label, colour("event", name), linestyle="--", linewidth=1)
        for name, label, _ in KINDS
    ]


def event_strip(
    axes: Axes, events: Sequence[Event], last: float, lag: float | None, missing: str
) -> None:
    """Names of the vertical lines, a line of text each, and the lag as an arrow between two.

    One row per event: however close the events are, their names do not overlap.
    """
    rows = len(events) + 1
    axes.set_ylim(rows, 0)
    axes.axis("off")
    by_name = {event.name: event for event in events}
    for index, event in enumerate(events):
        right = event.step > 0.6 * last
        paint = colour("event", event.name)
        axes.plot([event.step] * 2, [index + 0.5, rows], color=paint, linewidth=1, linestyle="--")
        axes.annotate(
            f"{event.label}, step {event.step:,.0f}",
            (event.step, index + 0.5),
            xytext=(-4 if right else 4, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            color=paint,
            bbox=CLEAR,
        )
    if lag is None or not {"gradient_peak", "metric_transition"} <= by_name.keys():
        axes.annotate(
            missing,
            (0, rows - 0.5),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color="#555555",
            style="italic",
        )
        return
    start, end = by_name["gradient_peak"].step, by_name["metric_transition"].step
    axes.annotate(
        "",
        (end, rows - 0.5),
        xytext=(start, rows - 0.5),
        arrowprops={"arrowstyle": "-|>", "color": "#222222", "shrinkA": 0, "shrinkB": 0},
    )
    # On the right of the arrow, or where it ends far to the right on the side with more room.
    right = max(start, end) > max(0.6 * last, last - min(start, end))
    order = "gradient first" if lag > 0 else "metric first" if lag < 0 else "at the same step"
    axes.annotate(
        f"lag {tick(lag)} steps ({order})",
        (min(start, end) if right else max(start, end), rows - 0.5),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        weight="bold",
        bbox=CLEAR,
    )
