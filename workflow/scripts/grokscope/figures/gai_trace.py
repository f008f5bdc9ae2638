"""GAI trace: gradient norm, Gradient Acceleration Index with its alarms, and metric of one run.

Inputs: a trace with its score, and rows of the transitions and alarms tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from grokscope.core.formatting import count, lower_first, tick
from grokscope.data.trace import Trace
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.alarms import gai_alarms
from grokscope.figures.parts.curves import ending, gradient_panel, last_step, metric_panel
from grokscope.figures.parts.events import mark_onset
from grokscope.figures.selection import decimate, in_order, known, of_run, row_of
from grokscope.measure.detectors.registry import GAI
from grokscope.measure.lacking import lacking
from grokscope.measure.onsets import is_event

SCORE_COLOUR = "#555555"


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
    ordered = in_order(transitions)
    ordered = ordered.iloc[(ordered["depth"] != 3).argsort(kind="stable")]
    for mask, rule in (
        (is_event(ordered, min_delay), "the first with a delayed onset, depth 3 before others"),
        (ordered["test_onset_step"].notna(), "the first with an onset, as none is delayed"),
    ):
        if mask.any():
            return Choice(ordered[np.asarray(mask, dtype=bool)].iloc[0], rule)
    return Choice(ordered.iloc[0], "the first, as none has an onset")


def score_panel(
    axes: Axes,
    steps: np.ndarray,
    score: np.ndarray,
    threshold: float,
    alarms: pd.DataFrame,
    nothing: str | None = None,
) -> None:
    """Score over steps, its alarm level, and the alarms."""
    axes.set_ylabel("GAI score (SD)")
    x, y = decimate(steps, score)
    if not len(x):
        why = nothing or "the run is shorter than the warm-up"
        style.say(axes, f"no score: {why}")
        return
    axes.plot(x, y, color=SCORE_COLOUR, linewidth=0.8, **style.points(x))
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
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
    transitions: pd.DataFrame,
    alarms: pd.DataFrame,
    score: np.ndarray,
    threshold: float,
    rule: str = "",
) -> Figure:
    """Gradient norm, GAI score with alarms, and metric of one run.

    Parameters
    ----------
    trace
        The run; None if the study has none.
    transitions, alarms
        Rows of its study; the alarms of the run's combined norm are drawn.
    score : (n_rows,)
        Score of the combined norm at every row of the trace, NaN in the warm-up.
    threshold
        Alarm level (standard deviations).
    rule
        How the run was chosen, in words.
    """
    if trace is None:
        return style.empty_figure("Gradient Acceleration Index of one run", "no run in this study")
    names = ["task", *layout.with_depth(transitions, ["task"]), "seed"]
    name = layout.run_title(trace.key, names)
    title = "Gradient Acceleration Index of one run" + (f" ({rule})" if rule else "")
    figure = style.new_figure(7.0, 6.2, f"{title}: {lower_first(name)}")
    norm, index, metric = figure.subplots(3, 1, sharex=True)
    own = of_run(gai_alarms(alarms), trace.key)
    untestable = lacking(trace, GAI)
    gradient_panel(norm, trace, {"combined": 0.9})
    score_panel(index, trace.frame["step"].to_numpy(), score, threshold, own, untestable)
    handles = metric_panel(metric, trace)
    for step in own["step"].astype(float):
        norm.axvline(step, color=colour("event", "alarm"), linewidth=0.8, alpha=0.5, zorder=1)
    onset = known(row_of(transitions, trace.key), "test_onset_step")
    for axes in (norm, index, metric):
        if onset is not None:
            mark_onset(axes, onset)
        axes.tick_params(labelbottom=axes is metric)
    style.step_axis(metric, last_step(trace))
    level = colour("event", "threshold")
    entries = [
        style.line_entry("gradient norm, all layers", colour("layer", "combined"), linewidth=0.9),
        style.line_entry("GAI score", SCORE_COLOUR, linewidth=0.8),
        style.line_entry(f"alarm level {threshold:g} SD", level, linestyle=":"),
    ]
    if untestable is None:
        red = colour("event", "alarm")
        entries.append(style.mark_entry(count(len(own), "alarm"), red, "v", markersize=5))
    if onset is not None:
        label = f"onset, step {onset:,.0f}"
        entries.append(style.line_entry(label, colour("event", "onset"), linestyle="--"))
    notes = [ending(trace), "" if onset is not None else "Onset of generalisation: not reached."]
    style.legend_below(figure, [*entries, *handles], " ".join(note for note in notes if note))
    return figure
