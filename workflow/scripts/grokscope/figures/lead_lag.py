"""Figures of the lead_lag study (Du & Ji 2026): gradient norms against the test metric.

Inputs: traces and rows of the transitions table. One function a figure
(:func:`overlay`, :func:`summary_grid`, :func:`lags`, :func:`weight_norms`), one a panel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.selection import decimate, known, row_of, spread
from grokscope.figures.style import colour
from grokscope.measure.transitions import curve, smooth
from grokscope.runs.spec import RunKey

# Source: Du & Ji 2026 (paperId 2603.00392), lag table (seed 42), and mean, minimum and maximum
# over three seeds, from which the third value follows; which of the other two values belongs
# to seed 123 and which to seed 7 is not published.
PUBLISHED_LAGS: dict[str, dict[float, dict[str, int]]] = {
    "modular_addition": {
        0.5: {"42": 699, "other a": 422, "other b": 804},
        0.7: {"42": 192, "other a": 179, "other b": 226},
        0.9: {"42": 12, "other a": 69, "other b": 82},
    },
    "sine_regression": {0.5: {"42": -60}, 0.7: {"42": -60}, 0.9: {"42": -60}},
}

MAX_GRID_ROWS = 12
MAX_GRID_COLUMNS = 5
MAX_LAG_FRACTIONS = 8
GRID_POINTS = 400
"""Points a line in small panels: an SVG of a whole grid stays below a megabyte or two."""

# Text on a white ground: lines behind it do not cross it.
CLEAR: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}

SEED_MARKERS = ("o", "s", "^", "D", "v", "P")


class Event(NamedTuple):
    """A step to mark, and what it is."""

    name: str
    label: str
    step: float


def run_title(key: RunKey, parts: Sequence[str] = ("depth", "train_fraction", "seed")) -> str:
    """What distinguishes a run, in words."""
    text = {
        "depth": f"depth {key.depth}",
        "train_fraction": f"train fraction {key.train_fraction}",
        "weight_decay": f"weight decay {key.weight_decay}",
        "width": f"width {key.width}",
        "seed": f"seed {key.seed}",
    }
    return ", ".join([style.title_words(key.task), *(text[part] for part in parts)])


def last_step(trace: Trace) -> int:
    """Last step of a trace; 0 if it has no row."""
    return int(trace.frame["step"].iloc[-1]) if len(trace.frame) else 0


def run_events(row: Mapping[str, Any] | pd.Series | None) -> list[Event]:
    """Gradient peak, metric transition and onset, those that exist, by step."""
    columns = (
        ("gradient_peak", "gradient peak", "grad_peak_step"),
        ("metric_transition", "metric transition", "metric_transition_step"),
        ("onset", "onset of generalisation", "test_onset_step"),
    )
    found = [(name, label, known(row, column)) for name, label, column in columns]
    events = [Event(name, label, step) for name, label, step in found if step is not None]
    return sorted(events, key=lambda event: event.step)


def mark_events(axes: Axes, events: Sequence[Event]) -> None:
    """Vertical lines at the events, behind the data."""
    for event in events:
        axes.axvline(
            event.step, color=colour("event", event.name), linewidth=1, linestyle="--", zorder=1
        )


def event_strip(
    axes: Axes, events: Sequence[Event], last: float, lag: float | None, missing: str
) -> None:
    """Names of the vertical lines, a line of text each, and the lag as an arrow between two.

    A row an event: however close the events are, their names do not overlap.
    """
    rows = len(events) + 1
    axes.set_ylim(rows, 0)
    axes.axis("off")
    by_name = {event.name: event for event in events}
    for index, event in enumerate(events):
        right = event.step > 0.6 * last
        axes.plot(
            [event.step, event.step],
            [index + 0.5, rows],
            color=colour("event", event.name),
            linewidth=1,
            linestyle="--",
        )
        axes.annotate(
            f"{event.label}, step {event.step:,.0f}",
            (event.step, index + 0.5),
            xytext=(-4 if right else 4, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            color=colour("event", event.name),
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
    right = max(start, end) > 0.6 * last
    words = "gradient first" if lag > 0 else "metric first" if lag < 0 else "at once"
    axes.annotate(
        style.number(lag).join(["lag ", f" steps ({words})"]),
        (min(start, end) if right else max(start, end), rows - 0.5),
        xytext=(-6 if right else 6, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        weight="bold",
        bbox=CLEAR,
    )


def gradient_panel(axes: Axes, trace: Trace) -> list[Artist]:
    """Gradient norms of the layers and of all together, log scale; returns legend entries."""
    axes.set_ylabel(style.GRADIENT_LABEL)
    steps = trace.frame["step"].to_numpy()
    lines = [("combined", "grad_norm", 1.9)]
    lines += [(str(layer), f"grad_norm_{layer}", 1.2) for layer in trace.layers]
    handles: list[Artist] = []
    for name, column, width in lines:
        values = trace.frame[column].to_numpy(dtype=float)
        # A log axis has no place for an exact zero.
        x, y = decimate(steps, np.where(values > 0, values, np.nan))
        label = "all layers combined" if name == "combined" else layer_words(name)
        if len(x):
            handles += axes.plot(
                x, y, color=colour("layer", name), linewidth=width, label=label, **dots(x)
            )
    if not handles:
        style.say(axes, "no positive gradient norm was recorded")
        return handles
    axes.set_yscale("log")
    return handles


def dots(x: np.ndarray) -> dict[str, Any]:
    """A line of one point is invisible; draw the point."""
    return {"marker": "o", "markersize": 3} if len(x) == 1 else {}


def layer_words(layer: object) -> str:
    """Name of a layer in a legend."""
    return "embeddings" if str(layer) == "0" else f"layer {layer}"


def metric_panel(axes: Axes, trace: Trace) -> list[Artist]:
    """Train and test metric; returns legend entries."""
    metric = style.metric_words(trace.spec.task)
    axes.set_ylabel(metric)
    handles: list[Artist] = []
    # Where both are equal, the wider line behind shows on both sides of the other.
    for split, width in (("train", 2.4), ("test", 1.2)):
        x, y = decimate(trace.frame["step"].to_numpy(), trace.frame[f"{split}_metric"].to_numpy())
        if len(x):
            handles += axes.plot(
                x,
                y,
                color=colour("split", split),
                label=f"{split} {metric}",
                linewidth=width,
                **dots(x),
            )
    if not handles:
        style.say(axes, f"no {metric} was recorded")
        return handles
    style.unit_axis(axes)
    return handles


def ending(trace: Trace) -> str:
    """How a run ended, where that is not the plain end."""
    if trace.info.stopped == "diverged":
        return f"The run diverged at step {trace.info.diverged_step:,}."
    if trace.info.stopped == "early_stop":
        return f"Stopped early, after step {last_step(trace):,}."
    return ""


@style.styled
def overlay(trace: Trace, row: Mapping[str, Any] | pd.Series | None) -> Figure:
    """Gradient norms over the metric of one run, with both transitions and the onset.

    Parameters
    ----------
    trace
        The run.
    row
        Its row of the transitions table; None draws no events.
    """
    figure = style.new_figure(7.0, 5.6, run_title(trace.key))
    last = last_step(trace)
    events = run_events(row)
    strip, gradients, metrics = figure.subplots(
        3, 1, sharex=True, height_ratios=[0.2 * (len(events) + 1), 2, 2]
    )
    event_strip(strip, events, last, known(row, "lag"), "no lag: a transition is missing")
    handles = gradient_panel(gradients, trace) + metric_panel(metrics, trace)
    for axes in (gradients, metrics):
        mark_events(axes, events)
        axes.tick_params(labelbottom=axes is metrics)
    style.step_axis(metrics, last)
    notes = [ending(trace)]
    if row is not None and known(row, "test_onset_step") is None:
        notes.append("Onset of generalisation: not reached.")
    if row is not None and known(row, "grad_peak_at_boundary"):
        notes.append("The gradient peak is the first step searched, not an interior peak.")
    style.legend_below(figure, handles, " ".join(note for note in notes if note))
    return figure


def summary_panel(
    axes: Axes,
    trace: Trace,
    row: Mapping[str, Any] | pd.Series | None,
    settings: Mapping[str, Any],
) -> None:
    """Smoothed gradient norm as a share of its maximum, and test metric, of one run."""
    norm = curve(trace, "grad_norm")
    metric = curve(trace, "test_metric")
    axes.set_ylim(-0.05, 1.05)
    finite = np.isfinite(norm.values).all() and len(norm.values) > 0
    if not finite and not len(metric.steps):
        style.say(axes, "nothing recorded")
        return
    if finite:
        smoothed = smooth(norm.values, settings["savgol_window"], settings["savgol_order"])
        if smoothed.max() > 0:
            x, y = decimate(norm.steps, smoothed / smoothed.max(), GRID_POINTS)
            axes.plot(x, y, color=colour("layer", "combined"), **dots(x))
    x, y = decimate(metric.steps, metric.values, GRID_POINTS)
    axes.plot(x, y, color=colour("split", "test"), **dots(x))
    for event in run_events(row)[:3]:
        axes.axvline(
            event.step, color=colour("event", event.name), linewidth=0.9, linestyle="--", zorder=1
        )
    lag = known(row, "lag")
    text = "no lag" if lag is None else f"lag {style.number(lag)}"
    if trace.info.stopped == "diverged":
        text += ", diverged"
    axes.set_title(text, loc="right", fontsize=8.5, color="#444444", pad=3)


def event_handles() -> list[Artist]:
    """Legend entries of the vertical lines."""
    labels = {
        "gradient_peak": "gradient peak",
        "metric_transition": "metric transition",
        "onset": "onset of generalisation",
    }
    return [
        Line2D([], [], color=colour("event", name), linestyle="--", linewidth=1, label=label)
        for name, label in labels.items()
    ]


def grid_row(key: RunKey) -> tuple[str, int, str, int, int]:
    """Row of the summary grid in which a run stands."""
    return key.task, key.depth, key.weight_decay, key.width, key.seed


def grid_of(traces: Sequence[Trace]) -> tuple[list[tuple[Any, ...]], list[str], str]:
    """Rows (task, depth, weight decay, width, seed) and columns (fraction) of a grid of runs.

    Large grids are thinned evenly; the text says so, else it is empty.
    """
    rows = sorted(
        {grid_row(trace.key) for trace in traces},
        key=lambda row: (row[0], row[1], float(row[2]), row[3], row[4]),
    )
    columns = sorted({trace.key.train_fraction for trace in traces}, key=float)
    shown = spread(rows, MAX_GRID_ROWS), spread(columns, MAX_GRID_COLUMNS)
    note = ""
    if (len(shown[0]), len(shown[1])) != (len(rows), len(columns)):
        note = (
            f"Shown: {len(shown[0])} of {len(rows)} rows and {len(shown[1])} of {len(columns)} "
            "train fractions, evenly spread."
        )
    return *shown, note


def row_words(row: tuple[Any, ...], rows: Sequence[tuple[Any, ...]]) -> str:
    """Name of a grid row: the task, the seed, and what else varies between rows."""
    task, depth, decay, width, seed = row
    parts = [style.title_words(task)]
    for index, text in ((1, f"depth {depth}"), (2, f"decay {decay}"), (3, f"width {width}")):
        if len({other[index] for other in rows}) > 1:
            parts.append(text)
    return "\n".join([*parts, f"seed {seed}"])


@style.styled
def summary_grid(
    traces: Sequence[Trace], transitions: pd.DataFrame, settings: Mapping[str, Any]
) -> Figure:
    """All runs of the study: rows are tasks and seeds, columns train fractions.

    Parameters
    ----------
    traces
        The runs.
    transitions
        Their rows of the transitions table.
    settings
        ``savgol_window`` and ``savgol_order``, as in the analysis.
    """
    title = "Gradient norm and test metric of every run"
    if not traces:
        return style.empty_figure(title, "no run in this study")
    rows, columns, note = grid_of(traces)
    by_place = {(*grid_row(trace.key), trace.key.train_fraction): trace for trace in traces}
    figure = style.new_figure(
        min(style.MAX_WIDTH, 1.4 + 2.2 * len(columns)), 1.5 + 1.35 * len(rows), title
    )
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharey=True)
    for i, row in enumerate(rows):
        longest = max(
            (last_step(by_place[(*row, c)]) for c in columns if (*row, c) in by_place), default=0
        )
        for j, column in enumerate(columns):
            axes = grid[i, j]
            if (*row, column) in by_place:
                trace = by_place[(*row, column)]
                summary_panel(axes, trace, row_of(transitions, trace.key), settings)
            else:
                axes.text(
                    0.5,
                    0.5,
                    "not in the grid",
                    ha="center",
                    va="center",
                    color="#777777",
                    transform=axes.transAxes,
                    style="italic",
                )
            style.step_axis(axes, longest, label=i == len(rows) - 1, ticks=3)
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            if i == 0:
                axes.annotate(
                    f"Train fraction {column}",
                    (0, 1),
                    xytext=(0, 16),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    weight="bold",
                )
        grid[i, 0].set_ylabel(row_words(row, rows), fontsize=8.5)
    metric = style.metric_words([row[0] for row in rows])
    handles: list[Artist] = [
        Line2D(
            [], [], color=colour("layer", "combined"), label="smoothed gradient norm / its maximum"
        ),
        Line2D([], [], color=colour("split", "test"), label=f"test {metric}"),
    ]
    style.legend_below(figure, handles + event_handles(), note)
    return figure


def seed_style(seeds: Sequence[int]) -> dict[int, str]:
    """Marker of each seed; with more seeds than markers, all look alike."""
    if len(seeds) > len(SEED_MARKERS):
        return dict.fromkeys(seeds, "o")
    return dict(zip(seeds, SEED_MARKERS, strict=False))


def lag_panel(axes: Axes, runs: pd.DataFrame, task: str, seeds: Sequence[int]) -> None:
    """Lags of one task's runs, grouped by train fraction.

    In each group: the lag from the steepest rise on the left, filled, with a bar at the mean;
    the published values hollow in the middle; the lag from the onset on the right, an arrow at
    the top for each run without onset.
    """
    markers = seed_style(seeds)
    fractions = spread(
        sorted(float(f) for f in runs["train_fraction"].unique()), MAX_LAG_FRACTIONS
    )
    shown = runs[runs["train_fraction"].isin(fractions)]
    published = {f: PUBLISHED_LAGS.get(task, {}).get(f, {}) for f in fractions}
    # What decides the scale: every lag that is known. Runs without onset stand at its top.
    known_lags = [0.0, *(float(v) for lags_ in published.values() for v in lags_.values())]
    for column in ("lag", "onset_lag"):
        known_lags += shown[column].dropna().astype(float).tolist()
    low, high = min(known_lags), max(known_lags)
    room = max(high - low, 10.0)
    censored = (shown["onset_lag"].isna() & shown["test_onset_step"].isna()).any()
    axes.set_ylim(low - 0.08 * room, high + (0.32 if censored else 0.08) * room)
    axes.axhline(0, color="#555555", linewidth=0.8)
    for place, fraction in enumerate(fractions):
        if place % 2:
            axes.axvspan(place - 0.5, place + 0.5, color="#F5F5F5", zorder=0, linewidth=0)
        group = runs[runs["train_fraction"] == fraction]
        lag_group(axes, group, place, markers)
        slots = np.linspace(-0.09, 0.09, 3)
        names = sorted(published[fraction], key=lambda name: published[fraction][name])
        for slot, name in zip(slots if len(names) == 3 else [0.0], names, strict=False):
            # A published seed has its own marker; for the others the seed is not published.
            marker = markers.get(int(name), "h") if name.isdigit() else "h"
            axes.plot(
                place + slot,
                published[fraction][name],
                marker=marker,
                markerfacecolor="none",
                markeredgecolor=colour("lag", "published"),
                markersize=6.5,
                linestyle="none",
            )
    axes.set_xlim(-0.5, len(fractions) - 0.5)
    axes.set_xticks(range(len(fractions)), [f"{fraction:g}" for fraction in fractions])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("train fraction")
    style.number_axis(axes.yaxis)
    axes.grid(axis="y")
    axes.set_title(style.title_words(task))


def lag_group(axes: Axes, group: pd.DataFrame, place: float, markers: Mapping[int, str]) -> None:
    """Lags of the runs of one train fraction, centred on `place`."""
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
        axes.text(place - 0.29, 0, "no lag", rotation=90, ha="center", va="bottom", fontsize=8)
    slots = np.linspace(-0.09, 0.09, len(group)) if len(group) > 1 else np.zeros(1)
    missing = 0
    for slot, (_, row) in zip(slots, group.iterrows(), strict=True):
        marker = markers[int(row["seed"])]
        lag, onset_lag = known(row, "lag"), known(row, "onset_lag")
        if lag is not None:
            axes.plot(
                place - 0.29 + slot, lag, marker=marker, color=colour("lag", "slope"), **look
            )
        if onset_lag is not None:
            axes.plot(
                place + 0.29 + slot, onset_lag, marker=marker, color=colour("lag", "onset"), **look
            )
        elif known(row, "test_onset_step") is None:
            missing += 1
            axes.annotate(
                "",
                (place + 0.29 + slot, 1),
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
            (place + 0.29, 1),
            xytext=(0, -17),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color=colour("lag", "onset"),
        )


def lag_handles(seeds: Sequence[int]) -> list[Artist]:
    """Legend entries of the lag figure."""
    filled: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6}
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=colour("lag", "slope"),
            **filled,
            label="lag of the steepest rise (bar: mean)",
        ),
        Line2D([], [], color=colour("lag", "onset"), **filled, label="lag of the onset"),
        Line2D(
            [],
            [],
            color=colour("lag", "onset"),
            linestyle="none",
            marker="$\\uparrow$",
            markersize=8,
            label="onset not reached (runs/all)",
        ),
        Line2D(
            [],
            [],
            markerfacecolor="none",
            markeredgecolor=colour("lag", "published"),
            linestyle="none",
            marker="h",
            markersize=7,
            label="published (hollow)",
        ),
    ]
    if 1 < len(seeds) <= len(SEED_MARKERS):
        handles += [
            Line2D(
                [],
                [],
                color="#777777",
                marker=marker,
                linestyle="none",
                markersize=6,
                label=f"seed {seed}",
            )
            for seed, marker in seed_style(seeds).items()
        ]
    return handles


@style.styled
def lags(transitions: pd.DataFrame) -> Figure:
    """Lag of every run by train fraction, a panel a task, beside the published values."""
    title = "Lag from gradient peak to metric transition"
    if transitions.empty:
        return style.empty_figure(title, "no run in this study")
    tasks = sorted(transitions["task"].unique())
    seeds = sorted(int(seed) for seed in transitions["seed"].unique())
    columns = min(2, len(tasks))
    n_rows = -(-len(tasks) // columns)
    figure = style.new_figure(3.9 * columns + 0.4, 1.4 + 3.3 * n_rows, title)
    grid = figure.subplots(n_rows, columns, squeeze=False)
    for axes in grid.flat[len(tasks) :]:
        axes.axis("off")
    for axes, task in zip(grid.flat, tasks, strict=False):
        lag_panel(axes, transitions[transitions["task"] == task], task, seeds)
    for axes in grid[:, 0]:
        axes.set_ylabel("lag (optimiser updates)")
    most = max(transitions.groupby("task")["train_fraction"].nunique())
    note = f"Shown: {MAX_LAG_FRACTIONS} of {most} train fractions."
    style.legend_below(figure, lag_handles(seeds), note if most > MAX_LAG_FRACTIONS else "")
    return figure


def weight_panel(axes: Axes, traces: Sequence[Trace]) -> list[int]:
    """Weight norms of some runs, colour by layer; returns the layers drawn."""
    layers: set[int] = set()
    for trace in traces:
        for layer in trace.layers:
            x, y = decimate(
                trace.frame["step"].to_numpy(),
                trace.frame[f"weight_norm_{layer}"].to_numpy(),
                GRID_POINTS,
            )
            if len(x):
                axes.plot(x, y, color=colour("layer", layer), linewidth=1.1, **dots(x))
                layers.add(layer)
    if not layers:
        style.say(axes, "no weight norm was recorded")
        return []
    style.number_axis(axes.yaxis, 4)
    diverged = sum(trace.info.stopped == "diverged" for trace in traces)
    text = style.count(len(traces), "run") + (f", {diverged} diverged" if diverged else "")
    axes.set_title(text, loc="right", fontsize=8.5, color="#444444", pad=3)
    return sorted(layers)


@style.styled
def weight_norms(traces: Sequence[Trace]) -> Figure:
    """Weight norm of every layer over the steps: rows are tasks, columns train fractions.

    The runs of a panel differ in the seed (and what else the grid varies); one line a run and
    layer.
    """
    title = "Weight norm of each layer"
    if not traces:
        return style.empty_figure(title, "no run in this study")
    tasks = spread(sorted({trace.key.task for trace in traces}), MAX_GRID_ROWS)
    fractions = sorted({trace.key.train_fraction for trace in traces}, key=float)
    columns = spread(fractions, MAX_GRID_COLUMNS)
    figure = style.new_figure(
        min(style.MAX_WIDTH, 1.2 + 2.3 * len(columns)), 1.3 + 1.9 * len(tasks), title
    )
    grid = figure.subplots(len(tasks), len(columns), squeeze=False, sharey="row")
    layers: set[int] = set()
    for i, task in enumerate(tasks):
        longest = max(last_step(trace) for trace in traces if trace.key.task == task)
        for j, fraction in enumerate(columns):
            axes = grid[i, j]
            runs = [t for t in traces if (t.key.task, t.key.train_fraction) == (task, fraction)]
            if runs:
                drawn = weight_panel(axes, runs)
                layers |= set(drawn)
                if drawn:
                    style.step_axis(axes, longest, label=i == len(tasks) - 1, ticks=3)
            else:
                style.say(axes, "not in the grid")
            if i == 0:
                axes.annotate(
                    f"Train fraction {fraction}",
                    (0, 1),
                    xytext=(0, 16),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    weight="bold",
                )
        grid[i, 0].set_ylabel(f"{style.title_words(task)}\n{style.WEIGHT_LABEL}")
    handles: list[Artist] = [
        Line2D([], [], color=colour("layer", layer), label=layer_words(layer))
        for layer in sorted(layers)
    ]
    note = f"Shown: {len(columns)} of {len(fractions)} train fractions."
    style.legend_below(figure, handles, note if len(columns) < len(fractions) else "")
    return figure
