"""Curves of one run over its steps: gradient norms, metrics, and how the run ended."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from grokscope.data.trace import Trace
from grokscope.figures import style
from grokscope.figures.palette import colour, layer_colours, layer_words
from grokscope.figures.selection import decimate
from grokscope.measure.lacking import lacking


def last_step(trace: Trace) -> int:
    """Last step of a trace; 0 if it has no row."""
    return int(trace.frame["step"].iloc[-1]) if len(trace.frame) else 0


def ending(trace: Trace) -> str:
    """How a run ended, where that is not the plain end."""
    if trace.info.stopped == "diverged":
        return f"The run diverged at step {trace.info.diverged_step:,}."
    if trace.info.stopped == "early_stop":
        return f"Stopped early, after step {last_step(trace):,}."
    return ""


def gradient_panel(axes: Axes, trace: Trace, lines: dict[str, float]) -> list[Artist]:
    """Gradient norms on a log scale; returns legend entries.

    Parameters
    ----------
    lines
        Width of the line of each layer, or of ``combined``: all layers together.
    """
    axes.set_ylabel(style.GRADIENT_LABEL)
    steps = trace.frame["step"].to_numpy()
    handles: list[Artist] = []
    colours = layer_colours(lines)
    for name, width in lines.items():
        column = "grad_norm" if name == "combined" else f"grad_norm_{name}"
        if column not in trace.frame or name not in colours:
            continue
        values = trace.frame[column].to_numpy(float)
        # A log axis has no place for an exact zero.
        x, y = decimate(steps, np.where(values > 0, values, np.nan))
        if len(x):
            handles += axes.plot(
                x,
                y,
                color=colours[name],
                linewidth=width,
                label=layer_words(name),
                **style.points(x),
            )
    if not handles:
        style.say(
            axes, lacking(trace, "gradient_peak") or "no positive gradient norm was recorded"
        )
        return handles
    axes.set_yscale("log")
    return handles


def metric_panel(axes: Axes, trace: Trace) -> list[Artist]:
    """Train and test metric; returns legend entries."""
    metric = style.metric_words(trace.spec.task)
    axes.set_ylabel(metric)
    handles: list[Artist] = []
    # Where both are equal, the wider line behind shows on both sides of the other.
    for split, width in (("train", 2.4), ("test", 1.2)):
        if f"{split}_metric" not in trace.frame:
            continue
        x, y = decimate(trace.frame["step"].to_numpy(), trace.frame[f"{split}_metric"].to_numpy())
        if len(x):
            handles += axes.plot(
                x,
                y,
                color=colour("split", split),
                label=f"{split} {metric}",
                linewidth=width,
                **style.points(x),
            )
    if not handles:
        style.say(axes, f"no {metric} was recorded")
        return handles
    style.unit_axis(axes)
    return handles
