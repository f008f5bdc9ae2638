"""Detection curves: sensitivity of every detector against its time in warning.

Inputs: rows of the tables ``curves`` and ``chance`` of one study.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grokscope.core.formatting import detector_words
from grokscope.figures import style
from grokscope.figures.palette import colour
from grokscope.measure.detectors.registry import COMBINED, GAI

CLOCK = "constant_time"
BANDS = {"null": ("shifted", "shifted scores"), "swapped": ("swapped", "other seeds' scores")}
"""Bands of GAI under two null models: start of the columns, name in the palette, words."""
OPACITY = 0.5
TITLE = "Who knows when a run will generalise? Sensitivity against time in warning"


def areas(chance: pd.DataFrame) -> dict[str, float]:
    """Area under the pooled curve of each detector's combined signal."""
    rows = chance[
        (chance["rule"] == "curve")
        & (chance["score"] == "auc")
        & (chance["layer"] == COMBINED)
        & chance["depth"].isna()
        & chance["task"].isna()
        & chance["observed"].notna()
    ]
    found = rows.groupby("detector")["observed"].first()
    return {str(name): float(area) for name, area in found.items()}


def line_style(detector: str, uses_test_data: bool) -> dict[str, Any]:
    """How a detector's curve is drawn: GAI bold, the clock dashed, test data dotted."""
    look: dict[str, Any] = {"color": colour("detector", detector), "linewidth": 1.2, "zorder": 3}
    if detector == GAI:
        look |= {"linewidth": 2.4, "zorder": 5}
    elif detector == CLOCK:
        look |= {"linewidth": 1.8, "linestyle": "--", "zorder": 4}
    elif uses_test_data:
        look |= {"linestyle": ":", "linewidth": 1.6, "zorder": 2}
    return look


def curve_panel(axes: Axes, curves: pd.DataFrame, title: str, width: float = 1.0) -> None:
    """Curves of one scope, GAI's null bands and its published threshold.

    Parameters
    ----------
    curves
        Rows of the combined signals at one depth, or of all depths pooled.
    width
        Factor of the width of lines: thinner ones in a small panel.
    """
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8, zorder=1)
    for detector, group in curves.groupby("detector", sort=False):
        points = group.sort_values("point").astype({"time_in_warning": float})
        x, y = points["time_in_warning"], points["sensitivity"].astype(float)
        look = line_style(str(detector), bool(points["uses_test_data"].iloc[0]))
        axes.plot(x, y, **look | {"linewidth": width * look["linewidth"]})
        if detector != GAI:
            continue
        for band, (name, _) in BANDS.items():
            known = points[points[f"{band}_low"].notna() & points[f"{band}_high"].notna()]
            axes.fill_between(
                known["time_in_warning"],
                known[f"{band}_low"].astype(float),
                known[f"{band}_high"].astype(float),
                color=colour("band", name),
                alpha=OPACITY,
                linewidth=0,
                zorder=1.5,
            )
        point = points[points["is_operating_point"].astype(bool)]
        axes.plot(
            point["time_in_warning"],
            point["sensitivity"].astype(float),
            "o",
            color=colour("detector", GAI),
            markeredgecolor="white",
            markersize=8 * width,
            zorder=6,
            clip_on=False,
        )
    axes.set_title(title)
    axes.set_box_aspect(1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def legend_entries(curves: pd.DataFrame, chance: pd.DataFrame) -> list[Artist]:
    """A handle a detector, by falling area, then GAI's threshold and bands."""
    size = areas(chance)
    test_data = dict(zip(curves["detector"], curves["uses_test_data"].astype(bool), strict=True))
    ordered = sorted(test_data, key=lambda name: (-size.get(name, -1.0), name))
    handles: list[Artist] = []
    for name in ordered:
        area = f" {size[name]:.2f}" if name in size else ""
        sees = " (test data)" if test_data[name] else ""
        look = line_style(name, test_data[name])
        handles.append(Line2D([], [], label=f"{detector_words(name)}{sees}{area}", **look))
    gai = curves[(curves["detector"] == GAI) & curves["is_operating_point"].astype(bool)]
    if len(gai):
        red = colour("detector", GAI)
        label = f"GAI at {float(gai['threshold'].iloc[0]):g} SD"
        handles.append(style.mark_entry(label, red, "o", markeredgecolor="white", markersize=8))
    if GAI in test_data:
        handles += [
            Patch(color=colour("band", name), alpha=OPACITY, linewidth=0, label=f"GAI, {words}")
            for name, words in BANDS.values()
        ]
    return handles


@style.styled
def detection_curves(
    curves: pd.DataFrame, chance: pd.DataFrame, lacking: str | None = None
) -> Figure:
    """Sensitivity against time in warning: all depths pooled, and a panel a depth.

    Parameters
    ----------
    curves, chance
        Rows of one study; those of the combined signals are drawn.
    lacking
        Why there is nothing to draw, of logs that lack what it needs.
    """
    curves = curves[curves["layer"] == COMBINED]
    if lacking is not None:
        return style.empty_figure(TITLE, lacking)
    if curves.empty:
        text = "no event on a held-out seed, so there is nothing to be sensitive to"
        return style.empty_figure(TITLE, text)
    depths = sorted(int(depth) for depth in curves["depth"].dropna().unique())
    # Of one depth a panel would show the same again.
    panels = depths if len(depths) > 1 else []
    columns = 0 if not panels else 1 if len(panels) == 2 else 2
    rows = max(2, -(-len(panels) // max(columns, 1)))
    width = 7.6 if columns < 2 else 9.0
    figure = style.new_figure(width, width * rows / (rows + max(columns, 1)) + 2.0, TITLE)
    grid = figure.add_gridspec(rows, rows + columns)
    pooled = figure.add_subplot(grid[:, :rows])
    title = "All depths" if panels or not depths else f"Depth {depths[0]}"
    curve_panel(pooled, curves[curves["depth"].isna()], title)
    pooled.set_xlabel("time in warning (share of the steps at risk)")
    pooled.set_ylabel("sensitivity (share of events)")
    for place, depth in enumerate(panels):
        row, column = divmod(place, columns)
        axes = figure.add_subplot(grid[row, rows + column])
        curve_panel(axes, curves[curves["depth"] == depth], f"Depth {depth}", 0.7)
    lead = chance.loc[chance["rule"] == "curve", ["lead_min", "lead_max"]].dropna()
    note = (
        f"In warning: {lead['lead_min'].iloc[0]:,} to {lead['lead_max'].iloc[0]:,} steps after a "
        "score above the threshold. Numbers: area under the curve, all depths."
        if len(lead)
        else ""
    )
    style.legend_below(figure, legend_entries(curves, chance), note)
    return figure
