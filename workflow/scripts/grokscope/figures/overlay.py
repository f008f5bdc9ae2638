"""Overlay: gradient norms of one run above its metric, with its events.

Inputs: a trace and the transitions table of its study.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.layout import run_title, varying
from grokscope.figures.parts.curves import ending, gradient_panel, last_step, metric_panel
from grokscope.figures.parts.events import event_strip, mark_events, run_events
from grokscope.figures.selection import known, row_of


@style.styled
def overlay(trace: Trace, transitions: pd.DataFrame) -> Figure:
    """Gradient norms over the metric of one run, with both transitions and the onset.

    Parameters
    ----------
    trace
        The run.
    transitions
        Rows of its study: its own, and those that it is told apart from in the title.

    Raises
    ------
    LookupError
        If the run has no row, or several.
    """
    row = row_of(transitions, trace.key)
    names = ["task", "depth", "train_fraction"]
    names += [name for name in varying(transitions) if name not in names]
    names.append("seed")
    figure = style.new_figure(7.0, 5.6, run_title(trace.key, names))
    last = last_step(trace)
    events = run_events(row)
    strip, gradients, metrics = figure.subplots(
        3, 1, sharex=True, height_ratios=[0.2 * (len(events) + 1), 2, 2]
    )
    event_strip(strip, events, last, known(row, "lag"), "no lag: a transition is missing")
    lines = {"combined": 1.9} | dict.fromkeys(trace.layers, 1.2)
    handles = gradient_panel(gradients, trace, lines) + metric_panel(metrics, trace)
    for axes in (gradients, metrics):
        mark_events(axes, events)
        axes.tick_params(labelbottom=axes is metrics)
    style.step_axis(metrics, last)
    notes = [ending(trace)]
    if known(row, "test_onset_step") is None:
        notes.append("Onset of generalisation: not reached.")
    if known(row, "grad_peak_at_boundary"):
        notes.append("The gradient peak is the first step searched, not an interior peak.")
    style.legend_below(figure, handles, " ".join(note for note in notes if note))
    return figure
