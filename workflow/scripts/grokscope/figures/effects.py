"""Effects: share of runs that generalise at each value of each parameter.

Input: rows of the phases table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokscope.evaluate.intervals import share_interval
from grokscope.figures import layout, style
from grokscope.figures.palette import colour
from grokscope.figures.parts.maps import over_all
from grokscope.figures.selection import left_out, spread
from grokscope.measure.phases import GENERALISING

MAX_VALUES = 12
PANELS_A_ROW = 3


def effect_panel(
    axes: Axes, groups: Mapping[Any, pd.DataFrame], labels: Sequence[str], confidence: float
) -> None:
    """Share of runs that generalise at each value of one parameter, with intervals over seeds."""
    for place, runs in enumerate(groups.values()):
        generalises = runs["phase"].isin(GENERALISING).to_numpy(float)
        seeds, every = runs["seed"].to_numpy(), np.ones(len(runs))
        low, high = share_interval(seeds, generalises, every, confidence=confidence)
        hits, share = int(generalises.sum()), float(generalises.mean())
        if low is not None and high is not None:
            axes.plot([place, place], [low, high], color="#777777", linewidth=1.6)
        axes.plot(place, share, "o", color=colour("phase", "grokking"), markersize=6)
        axes.annotate(
            f"{hits}/{len(runs)}",
            (place, share if high is None else high),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(range(len(labels)), labels)
    if upright(labels):
        axes.tick_params(axis="x", rotation=60)
    axes.set_ylim(-0.03, 1.12)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y")


def upright(labels: Sequence[str]) -> bool:
    """Whether labels are turned, since they would overlap side by side."""
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return len(labels) > 6 or (len(labels) > 2 and longest > 9)


def tick_labels(name: str, places: Iterable[layout.Place]) -> list[str]:
    """Values of a parameter at its ticks; names of several words in several lines."""
    labels = [layout.value_words(name, value) for (value,) in places]
    lines = [label.replace(" ", "\n") for label in labels]
    return labels if upright(lines) else lines


@style.styled
def effects(phases: pd.DataFrame, confidence: float) -> Figure:
    """Share of runs that generalise against each parameter that varies, a panel each.

    Parameters
    ----------
    phases
        Rows of one study.
    confidence
        That of the intervals.
    """
    title = "Share of runs that generalise"
    if phases.empty:
        return style.empty_figure(title, "no run in this study")
    names = over_all(phases) or ["train_fraction"]
    every = {name: layout.groups(phases, [name]) for name in names}
    shown = {
        name: {value: groups[value] for value in spread(list(groups), MAX_VALUES)}
        for name, groups in every.items()
    }
    labels = {name: tick_labels(name, groups) for name, groups in shown.items()}
    turned = [len(label) for texts in labels.values() if upright(texts) for label in texts]
    columns = min(PANELS_A_ROW, len(names))
    n_rows = -(-len(names) // columns)
    # Turned labels take of the height what short ones do not.
    tall = 2.6 + 0.06 * max([0, *(length - 9 for length in turned)])
    figure = style.new_figure(3.0 + 1.8 * columns, 0.7 + tall * n_rows, title)
    lengths = [len(groups) + 1.0 for groups in shown.values()]
    widths = [max(lengths[column::columns]) for column in range(columns)]
    grid = figure.subplots(n_rows, columns, sharey=True, squeeze=False, width_ratios=widths)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    notes = []
    for axes, (name, groups) in zip(grid.flat, shown.items(), strict=False):
        effect_panel(axes, groups, labels[name], confidence)
        axes.set_xlabel(layout.axis_words(name))
        notes.append(
            left_out(
                (list(groups), list(every[name]), f"values of {layout.parameter_words(name)}")
            )
        )
    for axes in grid[:, 0]:
        axes.set_ylabel("share of runs that generalise")
    note = (
        f"Numbers: runs that grok or comprehend / all runs. Lines: {confidence:.0%} intervals "
        "over seeds (none with one seed); runs at one value differ in all other parameters."
    )
    style.legend_below(figure, [], " ".join([note, *filter(None, notes)]))
    return figure
