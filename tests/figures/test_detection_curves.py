"""The figure of the evidence: what is drawn is what the tables say."""

from __future__ import annotations

import io
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from grokscope.data.tables import conform, empty, write_table
from grokscope.figures import style
from grokscope.figures.detection_curves import areas, detection_curves, line_style
from grokscope.figures.palette import colour
from grokscope.measure.detectors.registry import DETECTORS

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "plot_detection_curves.py"
POINTS = [(0.0, 0.0), (0.25, 0.5), (0.5, 0.75), (1.0, 1.0)]


def curve_rows(detector: str, depth: int | None, **others: Any) -> list[dict[str, Any]]:
    """A curve of four points; the second is GAI's published threshold."""
    known = DETECTORS.get(detector)
    row = {"study": "gai", "depth": depth, "detector": detector, "layer": "combined"}
    row |= {"uses_test_data": known is not None and known.uses_test_data}
    band = {"null_low": 0.1, "null_high": 0.2, "swapped_low": 0.3, "swapped_high": 0.4}
    return [
        row
        | {"point": point, "threshold": 3.5 if 0 < point < 3 else None, **band}
        | {"is_operating_point": detector == "gai" and point == 1}
        | {"time_in_warning": x, "sensitivity": y}
        | others
        for point, (x, y) in enumerate(POINTS)
    ]


def chance_row(
    detector: str, area: float, depth: int | None = None, **others: Any
) -> dict[str, Any]:
    row = {"study": "gai", "task": None, "depth": depth, "detector": detector}
    row |= {"layer": "combined", "threshold_source": "none", "rule": "curve", "lead_min": 10}
    row |= {"lead_max": 1000, "score": "auc", "null_model": "random", "observed": area, "p": 0.5}
    row |= {"surrogates": 19, "null_mean": 0.5, "null_low": 0.4, "null_high": 0.6}
    return row | {"p_best": 0.05, "events_needed": None} | others


NAMES = ("gai", "constant_time", "train_loss", "test_accuracy")


def tables(depths: tuple[int, ...] = (2, 3, 4)) -> tuple[pd.DataFrame, pd.DataFrame]:
    curves = [
        row for name in NAMES for depth in (None, *depths) for row in curve_rows(name, depth)
    ]
    chance = [chance_row(name, 0.4 + 0.1 * place) for place, name in enumerate(NAMES)]
    return conform(pd.DataFrame(curves), "curves"), conform(pd.DataFrame(chance), "chance")


def drawn(figure: Figure) -> Figure:
    """The figure, after it was laid out once: most mistakes in artists show only then."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_panel_a_depth_and_one_for_all() -> None:
    figure = drawn(detection_curves(*tables()))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["All depths", "Depth 2", "Depth 3", "Depth 4"]
    for axes in figure.axes:
        # The diagonal, the four detectors, and GAI's threshold.
        assert len(axes.lines) == 6
        assert len(axes.collections) == 2, "the two bands of GAI"


def test_lines_hold_the_points_of_the_table_in_order() -> None:
    curves, chance = tables(())
    figure = drawn(detection_curves(curves.sample(frac=1, random_state=0), chance))
    red = [
        line
        for line in figure.axes[0].lines
        if to_hex(line.get_color()) == colour("detector", "gai").lower()
    ]
    curve, point = red
    assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == POINTS
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([0.25], [0.5])


def test_bands_hold_the_null_ranges() -> None:
    figure = drawn(detection_curves(*tables(())))
    ranges = [
        (path.vertices[:, 1].min(), path.vertices[:, 1].max())
        for band in figure.axes[0].collections
        for path in band.get_paths()
    ]
    assert ranges == [(0.1, 0.2), (0.3, 0.4)]


def test_the_legend_is_ordered_by_area_and_marks_test_data() -> None:
    words = labels(drawn(detection_curves(*tables())))
    assert words[:4] == [
        "test accuracy (test data) 0.70",
        "train loss 0.60",
        "constant time 0.50",
        "GAI 0.40",
    ]
    assert words[4] == "GAI at 3.5 SD"
    assert line_style("test_accuracy", True)["linestyle"] == ":"


def test_layers_and_areas_of_depths_are_left_out() -> None:
    curves, chance = tables(())
    layer = conform(pd.DataFrame(curve_rows("gai", None, layer="1", sensitivity=0.9)), "curves")
    of_depth = conform(pd.DataFrame([chance_row("gai", 0.99, depth=2)]), "chance")
    others = [chance_row("gai", 0.98, layer="1"), chance_row("gai", 0.97, score="f1")]
    chance = pd.concat([of_depth, conform(pd.DataFrame(others), "chance"), chance])
    assert areas(chance)["gai"] == pytest.approx(0.4)
    figure = drawn(detection_curves(pd.concat([curves, layer]), chance))
    assert len(figure.axes[0].lines) == 6


def test_every_detector_has_a_colour() -> None:
    for name in (*DETECTORS, "constant_time"):
        assert colour("detector", name)


@pytest.mark.parametrize("depths", [(), (2,), (2, 3), (2, 3, 4, 6, 8)])
def test_any_number_of_depths_fits(depths: tuple[int, ...]) -> None:
    figure = drawn(detection_curves(*tables(depths)))
    # The panel of the only depth would be the pooled one again.
    assert len(figure.axes) == (1 + len(depths) if len(depths) > 1 else 1)
    assert figure.axes[0].get_title(loc="left") == ("Depth 2" if depths == (2,) else "All depths")
    assert figure.get_figwidth() <= style.MAX_WIDTH


def test_no_event_is_said_in_words() -> None:
    figure = drawn(detection_curves(empty("curves"), empty("chance")))
    text = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "no event on a held-out seed" in " ".join(text.split())


def test_the_script_writes_the_same_bytes_again(tmp_path: Path) -> None:
    curves, chance = tables((2,))
    write_table(curves, tmp_path / "curves.parquet", "curves")
    write_table(chance, tmp_path / "chance.parquet", "chance")
    write_table(empty("runs"), tmp_path / "runs.parquet", "runs")
    files = {name: tmp_path / f"{name}.parquet" for name in ("curves", "chance", "runs")}
    written = []
    for _ in range(2):
        output = SimpleNamespace(png=tmp_path / "f.png", svg=tmp_path / "f.svg")
        snakemake = SimpleNamespace(input=SimpleNamespace(**files), output=output)
        runpy.run_path(str(SCRIPT))["main"](snakemake)
        written.append((output.png.read_bytes(), output.svg.read_bytes()))
    assert written[0] == written[1]


def test_the_caption_explains_bands_and_dot() -> None:
    caption = (SCRIPT.parents[1] / "report" / "detection_curves.rst").read_text()
    for word in ("random times", "another seed", "diagonal", "published threshold", "test data"):
        assert word in caption
