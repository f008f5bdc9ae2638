"""Alarm leads: when the alarms of the GAI come, seen from the onset of generalisation.

Inputs: rows of the alarms and transitions tables, and the published lead.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grokscope.core.formatting import count, title_words
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.alarms import gai_alarms
from grokscope.figures.parts.events import mark_onset
from grokscope.figures.published import Published, published_range
from grokscope.figures.selection import left_out, spread
from grokscope.runs.spec import key_columns
from grokscope.runs.tasks import TASKS

LEAD_BIN = 100
MAX_TASKS = 6
MAX_ROWS = 40


def lead_table(alarms: pd.DataFrame, transitions: pd.DataFrame) -> pd.DataFrame:
    """Alarms of the GAI of the combined norm in runs with an onset, with their lead.

    ``lead = test_onset_step - step``: positive before the onset. ``is_first`` marks the first
    alarm of each run.
    """
    keys = key_columns(transitions.columns)
    onsets = transitions.loc[transitions["test_onset_step"].notna(), [*keys, "test_onset_step"]]
    table = gai_alarms(alarms).merge(onsets, on=keys, how="inner")
    table = table.sort_values([*keys, "step"], kind="stable")
    table["lead"] = (table["test_onset_step"] - table["step"]).astype(float)
    table["is_first"] = ~table.duplicated(keys)
    return table.reset_index(drop=True)


def _paint(task: str) -> str:
    """Colour of a task; one that only logs name has its panel to be told by."""
    return colour("task", task) if task in TASKS else "#888888"


def lead_panel(
    axes: Axes,
    leads: Mapping[layout.Place, pd.DataFrame],
    runs: Mapping[layout.Place, pd.DataFrame],
    top: float,
) -> None:
    """Leads of one task's alarms in rows: a histogram, and the first alarm of each run.

    Parameters
    ----------
    leads, runs
        Alarms with a lead, and runs, by row; the first row is drawn on top.
    top
        Number of alarms in a bin that fills the height of a row.
    """
    mark_onset(axes, 0)
    for place, name in enumerate(reversed(list(runs))):
        own = leads.get(name)
        axes.axhline(place, color="#CCCCCC", linewidth=0.6, zorder=1)
        if own is not None:
            values = own["lead"].to_numpy()
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
                color=_paint(str(own["task"].iloc[0])),
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
        onsets = int(runs[name]["test_onset_step"].notna().sum())
        text = f"{onsets}/{len(runs[name])} with onset"
        text += f"\n{count(0 if own is None else len(own), 'alarm')}" if onsets else ""
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
    axes.set_ylim(-0.4, len(runs) - 0.05)
    axes.tick_params(axis="y", length=0)


@style.styled
def alarm_leads(
    alarms: pd.DataFrame,
    transitions: pd.DataFrame,
    published: Published,
    lacking: str | None = None,
) -> Figure:
    """Lead of every GAI alarm over the onset: a panel a task, a row a depth and what else varies.

    Parameters
    ----------
    alarms, transitions
        Rows of one study.
    published
        Published values by claim: the range of GAI1 is drawn.
    lacking
        Why there is nothing to draw, of logs that lack what it needs.
    """
    title = "When alarms come, seen from the onset of generalisation"
    if lacking is not None:
        return style.empty_figure(title, lacking)
    if transitions.empty:
        return style.empty_figure(title, "no run in this study")
    without = int(transitions["test_onset_step"].isna().sum())
    leads = lead_table(alarms, transitions)
    silent = f"{count(without, 'run')} of {len(transitions):,} without onset"
    if leads.empty:
        reason = "no run" if without == len(transitions) else "no alarm in a run"
        return style.empty_figure(title, f"{reason} with an onset of generalisation; {silent}")
    names = layout.with_depth(transitions, ["task"])
    all_runs = layout.groups(transitions, ["task"])
    rows = {task: layout.groups(runs, names) for task, runs in all_runs.items()}
    shown = spread(list(rows), MAX_TASKS)
    drawn = {
        task: {name: rows[task][name] for name in spread(list(rows[task]), MAX_ROWS // len(shown))}
        for task in shown
    }
    heights = [len(runs) for runs in drawn.values()]
    figure = style.new_figure(7.6, 1.7 + 0.38 * sum(heights) + 0.35 * len(shown), title)
    grid = figure.subplots(
        len(shown), 1, sharex=True, squeeze=False, height_ratios=[h + 0.4 for h in heights]
    )[:, 0]
    by_task = layout.groups(leads, ["task"])
    lead_groups = {task: layout.groups(table, names) for task, table in by_task.items()}
    bins = np.floor(leads["lead"] / LEAD_BIN)
    top = float(
        leads.groupby([*(leads[n] for n in ["task", *names]), bins], dropna=False).size().max()
    )
    lead = published_range(published, "GAI1")
    for axes, (task, runs) in zip(grid, drawn.items(), strict=True):
        if lead is not None:
            axes.axvspan(*lead, color=colour("event", "window"), alpha=0.6, zorder=0, linewidth=0)
        lead_panel(axes, lead_groups.get(task, {}), runs, top)
        labels = [layout.described(names, name, short=True) for name in reversed(runs)]
        axes.set_yticks(range(len(runs)), labels)
        axes.set_title(title_words(str(task[0])))
        axes.tick_params(labelbottom=axes is grid[-1])
    low, high = float(leads["lead"].min()), float(leads["lead"].max())
    low, high = min(low, -LEAD_BIN), max(high, (lead[1] if lead else 0) + LEAD_BIN)
    # Time runs to the right: what comes long before the onset stands on the left.
    grid[-1].set_xlim(high + 0.03 * (high - low), low - 0.03 * (high - low))
    style.number_axis(grid[-1].xaxis, 7)
    grid[-1].set_xlabel("lead: onset − alarm (optimiser updates; negative: after the onset)")
    per_bin = f"alarms in {LEAD_BIN} steps (full height: {count(int(top), 'alarm')})"
    red = colour("event", "alarm")
    handles: list[Artist] = [
        Patch(facecolor="#888888", label=per_bin),
        style.mark_entry(
            "first alarm of a run", red, "^", hollow=True, face="white", markersize=5
        ),
        style.line_entry("onset", colour("event", "onset"), linestyle="--"),
    ]
    if lead is not None:
        label = f"published lead, {lead[0]:g}–{lead[1]:g} steps"
        handles.append(Patch(facecolor=colour("event", "window"), alpha=0.6, label=label))
    n_rows = sum(map(len, rows.values()))
    thinned = left_out((shown, list(rows), "tasks"), (range(sum(heights)), range(n_rows), "rows"))
    note = f"{silent}: their alarms have no lead and are not drawn. {thinned}".strip()
    style.legend_below(figure, handles, note)
    return figure
