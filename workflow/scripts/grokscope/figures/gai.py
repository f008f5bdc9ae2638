"""Figures of the gai study: does the Gradient Acceleration Index warn of generalisation?

Inputs: traces, rows of the transitions, alarms, rank and phases tables, and the score of one
run. One function a figure (:func:`gai_trace`, :func:`alarm_leads`, :func:`rank_at_onset`,
:func:`gai_outcomes`), one a panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grokscope.data.trace import RANK_MEASURES, Trace
from grokscope.evaluate.matching import is_event
from grokscope.figures import style
from grokscope.figures.lead_lag import dots, ending, last_step, metric_panel, run_title
from grokscope.figures.phase_diagram import LINE_HEIGHT, Cell, cell_axes, draw_cell
from grokscope.figures.selection import decimate, key_of, known, spread
from grokscope.figures.style import colour
from grokscope.runs.spec import KEY_COLUMNS, RunKey

PUBLISHED_LEADS = (200, 400)
"""Steps before onset at which alarms are said to come (claim GAI1)."""
PUBLISHED_DROP = (0.30, 0.50)
"""Fall of the last layer's rank at onset (claim GAI6), as a share."""

LEAD_BIN = 100
MAX_PANELS = 12
HALF_WIDTH = 1500
"""Steps shown before and after the reference in :func:`rank_at_onset`."""
MAX_THIN_LINES = 12


class Choice(NamedTuple):
    """A run, and the rule that chose it, in words."""

    row: pd.Series
    rule: str


def choose_run(transitions: pd.DataFrame, min_delay: int) -> Choice | None:
    """Run for the trace figure: the first that shows what the study is about.

    In the order depth 3, then the other depths, then the key: the first run with an event (an
    onset of generalisation more than `min_delay` steps after memorisation), else the first with
    any onset, else the first. None if there is no run.
    """
    if transitions.empty:
        return None
    ordered = transitions.assign(_other=transitions["depth"] != 3)
    ordered = ordered.sort_values(["_other", *KEY_COLUMNS], kind="stable").drop(columns="_other")
    for mask, rule in (
        (is_event(ordered, min_delay), "the first with a delayed onset, depth 3 before others"),
        (ordered["test_onset_step"].notna(), "the first with an onset, as none is delayed"),
    ):
        if mask.any():
            return Choice(ordered[np.asarray(mask, dtype=bool)].iloc[0], rule)
    return Choice(ordered.iloc[0], "the first, as none has an onset")


def score_panel(
    axes: Axes, steps: np.ndarray, score: np.ndarray, threshold: float, alarms: pd.DataFrame
) -> None:
    """Score over steps, its alarm level, and the alarms."""
    axes.set_ylabel("GAI score (SD)")
    x, y = decimate(steps, score)
    if not len(x):
        style.say(axes, "no score: the run is shorter than the warm-up")
        return
    axes.plot(x, y, color="#555555", linewidth=0.8, **dots(x))
    axes.axhline(threshold, color=colour("event", "threshold"), linewidth=1.2, linestyle=":")
    axes.plot(
        alarms["step"].astype(float),
        alarms["score"].astype(float),
        "v",
        markersize=5,
        color=colour("event", "alarm"),
        linestyle="none",
    )
    # Linear around the alarm level, logarithmic for spikes of hundreds of deviations.
    axes.set_yscale("symlog", linthresh=10, linscale=1.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.number(value)))
    axes.margins(y=0.1)
    # At least the linear part of the axis, so that its round ticks are there.
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -12), max(high, 12))
    axes.axvspan(0, float(x[0]), color="#EEEEEE", zorder=0, linewidth=0)
    if x[0] > 0.12 * float(steps[-1]):
        axes.text(
            float(x[0]) / 2,
            0.95,
            "warm-up",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=8,
            color="#666666",
        )


@style.styled
def gai_trace(
    trace: Trace | None,
    row: pd.Series | None,
    alarms: pd.DataFrame,
    score: np.ndarray,
    threshold: float,
    rule: str = "",
) -> Figure:
    """Gradient norm, GAI score with alarms, and metric of one run.

    Parameters
    ----------
    trace, row
        The run and its row of the transitions table; None if the study has no run.
    alarms
        Alarms table; those of the run's combined norm are drawn.
    score : (n_rows,)
        Score of the combined norm at every row of the trace, NaN in the warm-up.
    threshold
        Alarm level (standard deviations).
    rule
        How the run was chosen, in words.
    """
    if trace is None or row is None:
        return style.empty_figure("Gradient Acceleration Index of one run", "no run in this study")
    name = run_title(trace.key, ("depth", "seed"))
    title = "Gradient Acceleration Index of one run" + (f" ({rule})" if rule else "")
    figure = style.new_figure(7.0, 6.2, f"{title}: {style.lower_first(name)}")
    norm, index, metric = figure.subplots(3, 1, sharex=True)
    steps = trace.frame["step"].to_numpy()
    values = trace.frame["grad_norm"].to_numpy(dtype=float)
    x, y = decimate(steps, np.where(values > 0, values, np.nan))
    norm.set_ylabel(style.GRADIENT_LABEL)
    if len(x):
        norm.plot(x, y, color=colour("layer", "combined"), linewidth=0.9, **dots(x))
        norm.set_yscale("log")
    else:
        style.say(norm, "no positive gradient norm was recorded")
    own = runs_alarms(alarms, trace.key)
    score_panel(index, steps, score, threshold, own)
    handles = metric_panel(metric, trace)
    for step in own["step"].astype(float):
        norm.axvline(step, color=colour("event", "alarm"), linewidth=0.8, alpha=0.5, zorder=1)
    onset = known(row, "test_onset_step")
    for axes in (norm, index, metric):
        if onset is not None:
            axes.axvline(
                onset, color=colour("event", "onset"), linestyle="--", linewidth=1.2, zorder=1
            )
        axes.tick_params(labelbottom=axes is metric)
    style.step_axis(metric, last_step(trace))
    entries: list[Artist] = [
        Line2D(
            [],
            [],
            color=colour("layer", "combined"),
            linewidth=0.9,
            label="gradient norm, all layers",
        ),
        Line2D([], [], color="#555555", linewidth=0.8, label="GAI score"),
        Line2D(
            [],
            [],
            color=colour("event", "threshold"),
            linestyle=":",
            label=f"alarm level {threshold:g} SD",
        ),
        Line2D(
            [],
            [],
            color=colour("event", "alarm"),
            marker="v",
            linestyle="none",
            markersize=5,
            label=style.count(len(own), "alarm"),
        ),
    ]
    if onset is not None:
        entries.append(
            Line2D(
                [],
                [],
                color=colour("event", "onset"),
                linestyle="--",
                label=f"onset, step {onset:,.0f}",
            )
        )
    notes = [ending(trace), "" if onset is not None else "Onset of generalisation: not reached."]
    style.legend_below(figure, [*entries, *handles], " ".join(note for note in notes if note))
    return figure


def runs_alarms(alarms: pd.DataFrame, key: RunKey) -> pd.DataFrame:
    """Alarms of the combined norm of one run."""
    match = alarms["layer"] == "combined"
    for name, value in key.row().items():
        match &= alarms[name] == value
    return alarms[match]


def lead_table(alarms: pd.DataFrame, transitions: pd.DataFrame) -> pd.DataFrame:
    """Alarms of the combined norm in runs with an onset, with their lead.

    ``lead = test_onset_step - step``: positive before the onset. ``is_first`` marks the first
    alarm of each run.
    """
    keys = list(KEY_COLUMNS)
    combined = alarms[alarms["layer"] == "combined"]
    onsets = transitions.loc[transitions["test_onset_step"].notna(), [*keys, "test_onset_step"]]
    table = combined.merge(onsets, on=keys, how="inner")
    table = table.sort_values([*keys, "step"], kind="stable")
    table["lead"] = (table["test_onset_step"] - table["step"]).astype(float)
    table["is_first"] = ~table.duplicated(keys)
    return table.reset_index(drop=True)


def lead_panel(
    axes: Axes, leads: pd.DataFrame, transitions: pd.DataFrame, depths: Sequence[int], top: float
) -> None:
    """Leads of one task's alarms, a row a depth: histogram, and the first alarm of each run.

    Parameters
    ----------
    top
        Number of alarms in a bin that fills the height of a row.
    """
    task = str(transitions["task"].iloc[0])
    axes.axvspan(
        *PUBLISHED_LEADS, color=colour("event", "window"), alpha=0.6, zorder=0, linewidth=0
    )
    axes.axvline(0, color=colour("event", "onset"), linestyle="--", linewidth=1.2, zorder=1)
    # The shallowest network on top.
    for place, depth in enumerate(depths[::-1]):
        runs = transitions[transitions["depth"] == depth]
        own = leads[leads["depth"] == depth]
        axes.axhline(place, color="#CCCCCC", linewidth=0.6, zorder=1)
        values = own["lead"].to_numpy()
        if len(values):
            low = np.floor(values.min() / LEAD_BIN) * LEAD_BIN
            edges = np.arange(low, values.max() + 2 * LEAD_BIN, LEAD_BIN)
            heights, _ = np.histogram(values, edges)
            full = heights > 0
            axes.bar(
                edges[:-1][full],
                heights[full] / top * 0.8,
                LEAD_BIN,
                bottom=place,
                align="edge",
                color=colour("task", task),
                linewidth=0,
            )
        first = own.loc[own["is_first"], "lead"]
        axes.plot(
            first,
            np.full(len(first), place - 0.14),
            "^",
            markersize=5,
            markerfacecolor="white",
            markeredgecolor=colour("event", "alarm"),
            linestyle="none",
            zorder=3,
        )
        onsets = int(runs["test_onset_step"].notna().sum())
        text = f"{onsets}/{len(runs)} with onset"
        text += f"\n{style.count(len(own), 'alarm')}" if onsets else ""
        axes.annotate(
            text,
            (1, place + 0.3),
            xytext=(6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#555555",
        )
    axes.set_ylim(-0.4, len(depths) - 0.05)
    axes.set_yticks(range(len(depths)), [f"depth {depth}" for depth in depths[::-1]])
    axes.tick_params(axis="y", length=0)
    axes.set_title(style.title_words(task))


@style.styled
def alarm_leads(alarms: pd.DataFrame, transitions: pd.DataFrame) -> Figure:
    """Lead of every alarm of the combined norm over the onset, by task and depth.

    Parameters
    ----------
    alarms, transitions
        Rows of one study.
    """
    title = "When alarms come, seen from the onset of generalisation"
    if transitions.empty:
        return style.empty_figure(title, "no run in this study")
    without = int(transitions["test_onset_step"].isna().sum())
    leads = lead_table(alarms, transitions)
    silent = f"{style.count(without, 'run')} of {len(transitions):,} without onset"
    if leads.empty:
        reason = "no run" if without == len(transitions) else "no alarm in a run"
        return style.empty_figure(title, f"{reason} with an onset of generalisation; {silent}")
    tasks = spread(sorted(transitions["task"].unique()), 6)
    depths = {
        task: sorted(
            int(d) for d in transitions.loc[transitions["task"] == task, "depth"].unique()
        )
        for task in tasks
    }
    heights = [len(depths[task]) for task in tasks]
    figure = style.new_figure(7.6, 1.7 + 0.38 * sum(heights) + 0.35 * len(tasks), title)
    grid = figure.subplots(
        len(tasks), 1, sharex=True, squeeze=False, height_ratios=[h + 0.4 for h in heights]
    )[:, 0]
    bins = leads.assign(bin=np.floor(leads["lead"] / LEAD_BIN))
    top = float(bins.groupby(["task", "depth", "bin"]).size().max())
    for axes, task in zip(grid, tasks, strict=True):
        lead_panel(
            axes,
            leads[leads["task"] == task],
            transitions[transitions["task"] == task],
            depths[task],
            top,
        )
        axes.tick_params(labelbottom=axes is grid[-1])
    low, high = float(leads["lead"].min()), float(leads["lead"].max())
    low, high = min(low, -LEAD_BIN), max(high, PUBLISHED_LEADS[1] + LEAD_BIN)
    # Time runs to the right: what comes long before the onset stands on the left.
    grid[-1].set_xlim(high + 0.03 * (high - low), low - 0.03 * (high - low))
    style.number_axis(grid[-1].xaxis, 7)
    grid[-1].set_xlabel("lead: onset − alarm (optimiser updates; negative: after the onset)")
    handles: list[Artist] = [
        Patch(
            facecolor="#888888",
            label=f"alarms in {LEAD_BIN} steps (full height: {style.count(int(top), 'alarm')})",
        ),
        Line2D(
            [],
            [],
            marker="^",
            markerfacecolor="white",
            linestyle="none",
            markersize=5,
            markeredgecolor=colour("event", "alarm"),
            label="first alarm of a run",
        ),
        Line2D([], [], color=colour("event", "onset"), linestyle="--", label="onset"),
        Patch(
            facecolor=colour("event", "window"),
            alpha=0.6,
            label=f"published lead, {PUBLISHED_LEADS[0]}–{PUBLISHED_LEADS[1]} steps",
        ),
    ]
    style.legend_below(figure, handles, f"{silent}: their alarms have no lead and are not drawn.")
    return figure


class RankCurve(NamedTuple):
    """Rank of one run's last layer around its reference, as a share of the rank before."""

    task: str
    depth: int
    measure: str
    arm: str
    offset: np.ndarray
    share: np.ndarray


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
        column = f"{row['measure']}_rank_{int(row['layer'])}"
        if reference is None or not before or column not in trace.frame:
            continue
        offset = trace.frame["step"].to_numpy(dtype=float) - reference
        share = trace.frame[column].to_numpy(dtype=float) / before
        near = np.isfinite(share) & (np.abs(offset) <= HALF_WIDTH)
        if near.any():
            arm = "generalising" if row["reference"] == "onset" else "matched"
            curves.append(
                RankCurve(
                    trace.key.task,
                    trace.key.depth,
                    str(row["measure"]),
                    arm,
                    offset[near],
                    share[near],
                )
            )
    return curves


def median_curve(curves: Sequence[RankCurve], step: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Median of curves on common offsets, where at least half of them are known."""
    offsets = np.arange(-HALF_WIDTH, HALF_WIDTH + 1, step, dtype=float)
    stack = np.array(
        [np.interp(offsets, c.offset, c.share, left=np.nan, right=np.nan) for c in curves]
    )
    enough = np.isfinite(stack).mean(axis=0) >= 0.5
    return offsets[enough], np.nanmedian(stack[:, enough], axis=0) if enough.any() else offsets[:0]


# Solid, long dashes, dots, dash-dot: (offset, on and off lengths in line widths).
TASK_LINES = ((0, ()), (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))


def rank_panel(axes: Axes, curves: Sequence[RankCurve], tasks: Sequence[str]) -> None:
    """Single runs thin, medians by task and arm thick, the published drop shaded."""
    axes.fill_between(
        [0, HALF_WIDTH],
        1 - PUBLISHED_DROP[1],
        1 - PUBLISHED_DROP[0],
        color=colour("event", "window"),
        alpha=0.6,
        linewidth=0,
        zorder=0,
    )
    axes.axvline(0, color=colour("event", "onset"), linestyle="--", linewidth=1.2, zorder=1)
    axes.axhline(1, color="#AAAAAA", linewidth=0.8, zorder=1)
    for arm in ("matched", "generalising"):
        for index, task in enumerate(tasks):
            own = [curve for curve in curves if (curve.arm, curve.task) == (arm, task)]
            if not own:
                continue
            if 1 < len(own) <= MAX_THIN_LINES:
                for curve in own:
                    axes.plot(
                        curve.offset,
                        curve.share,
                        color=colour("arm", arm),
                        linewidth=0.6,
                        alpha=0.45,
                    )
            x, y = median_curve(own)
            axes.plot(
                x,
                y,
                color=colour("arm", arm),
                linewidth=1.8,
                linestyle=TASK_LINES[index % len(TASK_LINES)],
            )
    axes.set_xlim(-HALF_WIDTH, HALF_WIDTH)
    axes.set_xticks([-1000, 0, 1000], ["−1,000", "0", "1,000"])
    counts = [sum(curve.arm == arm for curve in curves) for arm in ("generalising", "matched")]
    axes.set_title(
        f"n = {counts[0]} + {counts[1]}", loc="right", fontsize=8, color="#555555", pad=3
    )


@style.styled
def rank_at_onset(traces: Iterable[Trace], rank: pd.DataFrame) -> Figure:
    """Rank of the last layer around onset, against runs that never generalise.

    Parameters
    ----------
    traces
        Runs of the study, read once, in any order.
    rank
        Rows of the study in the rank table.
    """
    title = "Rank of the last layer around the onset of generalisation"
    found: list[tuple[RunKey, RankCurve]] = []
    groups = {
        key_of(dict(zip(KEY_COLUMNS, values, strict=True))): rows
        for values, rows in rank.groupby(list(KEY_COLUMNS))
    }
    for trace in traces:
        if trace.key in groups:
            found += [(trace.key, curve) for curve in rank_curves(trace, groups[trace.key])]
    curves = [curve for _, curve in found]
    if not curves:
        return style.empty_figure(
            title, "no run with an onset and a rank measured before it, so nothing to align"
        )
    depths = spread(sorted({curve.depth for curve in curves}), 6)
    measures = [name for name in RANK_MEASURES if any(c.measure == name for c in curves)]
    tasks = sorted({curve.task for curve in curves})
    figure = style.new_figure(
        min(style.MAX_WIDTH, 2.2 + 1.75 * len(depths)), 1.9 + 1.5 * len(measures), title
    )
    grid = figure.subplots(len(measures), len(depths), squeeze=False, sharex=True, sharey="row")
    for i, measure in enumerate(measures):
        shares = np.concatenate([c.share for c in curves if c.measure == measure])
        # A run with a rank near zero before would squeeze all others flat.
        grid[i, 0].set_ylim(0, min(max(1.25, float(shares.max()) * 1.05), 2.5))
        grid[i, 0].yaxis.set_major_locator(MaxNLocator(4, steps=[2.5, 5, 10]))
        grid[i, 0].set_ylabel(f"{measure} rank\n/ rank before")
        for j, depth in enumerate(depths):
            own = [c for c in curves if (c.measure, c.depth) == (measure, depth)]
            rank_panel(grid[i, j], own, tasks)
            if i == 0:
                grid[i, j].annotate(
                    f"Depth {depth}",
                    (0, 1),
                    xytext=(0, 16),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    weight="bold",
                )
    middle = len(depths) // 2
    grid[-1, middle].set_xlabel("steps from the reference (optimiser updates)")
    arms = {
        "generalising": "generalising run, at its own onset",
        "matched": "never generalising run, at a matched step",
    }
    handles: list[Artist] = [
        Line2D([], [], color=colour("arm", arm), linewidth=1.8, label=label)
        for arm, label in arms.items()
    ]
    handles.append(
        Patch(
            facecolor=colour("event", "window"),
            alpha=0.6,
            label=f"published drop, {100 * PUBLISHED_DROP[0]:.0f}–{PUBLISHED_DROP[1]:.0%}",
        )
    )
    handles += [
        Line2D(
            [],
            [],
            color="#555555",
            linestyle=TASK_LINES[index % len(TASK_LINES)],
            linewidth=1.8,
            label=style.words(task),
        )
        for index, task in enumerate(tasks)
    ]
    drawn = len({run for run, _ in found})
    style.legend_below(
        figure,
        handles,
        f"Thick: medians; thin: single runs; n: generalising + matched runs. {drawn:,} of "
        f"{style.count(len(groups), 'run')} drawn; the others have no reference, or no rank was "
        "measured before it.",
    )
    return figure


def outcome_panel(
    axes: Axes, runs: pd.DataFrame, size: tuple[float, float], seeds: Sequence[int]
) -> None:
    """Phase of every run of one task: a column a depth, a row a seed, with the onset step."""
    depths = sorted(int(depth) for depth in runs["depth"].unique())
    cell_axes(axes, [str(depth) for depth in depths], [str(seed) for seed in seeds], size)
    for _, row in runs.iterrows():
        if int(row["seed"]) not in seeds:
            continue
        phase = str(row["phase"])
        onset = known(row, "test_onset_step")
        text = style.PHASE_SHORT.get(phase, phase)
        text += f"\n{onset:,.0f}" if onset is not None else ""
        draw_cell(
            axes,
            depths.index(int(row["depth"])),
            seeds.index(int(row["seed"])),
            Cell(colour("phase", phase), text),
            size,
        )
    axes.set_ylim(len(seeds) - 0.5, -0.5)
    axes.set_xlabel("depth (linear layers)")


@style.styled
def gai_outcomes(phases: pd.DataFrame, transitions: pd.DataFrame) -> Figure:
    """Which runs of the grid memorise, grok and comprehend, and when they generalise.

    Parameters
    ----------
    phases, transitions
        Rows of one study. Runs that differ in more than task, depth and seed get a panel of
        their own.
    """
    title = "Outcome of every run, with the step of its onset"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    keys = list(KEY_COLUMNS)
    runs = phases.merge(transitions[[*keys, "test_onset_step"]], on=keys, how="left")
    names = ["task", "train_fraction", "weight_decay", "width"]
    cells = list(runs.groupby(names, sort=True))
    shown = spread(cells, MAX_PANELS)
    all_seeds = sorted(int(seed) for seed in runs["seed"].unique())
    seeds = spread(all_seeds, 100)
    n_depths = int(runs["depth"].nunique())
    columns = min(3, len(shown))
    n_rows = -(-len(shown) // columns)
    wide = min(style.MAX_WIDTH, max(5.0, 0.9 + columns * (n_depths * 0.56 + 0.15)))
    row_height = 0.36 if len(seeds) <= 12 else max(0.06, 4.0 / len(seeds))
    figure = style.new_figure(wide, 1.6 + n_rows * (len(seeds) * row_height + 0.7), title)
    grid = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
    size = ((wide - 0.8) / columns / n_depths * 0.95, row_height * 0.97)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    repeated = len({values[0] for values, _ in cells}) < len(cells)
    for index, (axes, (values, group)) in enumerate(zip(grid.flat, shown, strict=False)):
        outcome_panel(axes, group, size, seeds)
        text = style.title_words(str(values[0]))
        if repeated:
            text += "\n" + cell_words(values)
        axes.set_title(text)
        axes.set_ylabel("seed" if index % columns == 0 else "")
    counts = runs["phase"].value_counts()
    handles: list[Artist] = [
        Patch(
            facecolor=colour("phase", phase),
            label=f"{phase} ({style.PHASE_SHORT[phase]}): "
            f"{style.count(int(counts.get(phase, 0)), 'run')}",
        )
        for phase in style.PHASES
        if phase != "diverged" or counts.get(phase, 0)
    ]
    notes = []
    # Where the rows are too low for a second line, no onset is written.
    if size[1] >= 2 * LINE_HEIGHT:
        notes.append("Number: onset step of the test metric; none where it was not reached.")
    if len(shown) < len(cells) or len(seeds) < len(all_seeds):
        notes.append(
            f"Shown: {len(shown)} of {len(cells)} panels, {len(seeds)} of {len(all_seeds)} seeds."
        )
    style.legend_below(figure, handles, " ".join(notes))
    return figure


def cell_words(values: Sequence[Any] | Mapping[str, Any]) -> str:
    """Train fraction, weight decay and width of a panel."""
    _, fraction, decay, width = tuple(values)
    return f"fraction {fraction:g}, decay {decay:g}, width {width}"
