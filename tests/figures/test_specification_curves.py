"""Specification curves: what is drawn is what the multiverse table says."""

import io
import runpy
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from grokscope.claims.measures import MEASURES
from grokscope.claims.samples import CHOICES
from grokscope.data.tables import conform, empty, write_table
from grokscope.figures.palette import colour
from grokscope.figures.published import published_values
from grokscope.figures.specification_curves import (
    COLUMNS,
    QUANTITIES,
    specification_curves,
    support_text,
)

ROOT = Path(__file__).parents[2]
CLAIMS_FILE = ROOT / "workflow/report/claims.yaml"
PUBLISHED = published_values(CLAIMS_FILE, "GAI")
CLAIMS = {f"GAI{number}": name for number, name in enumerate(QUANTITIES, 1)}
GRID = {
    "smoothing": ["causal", "centred"],
    "sigma": ["running", "expanding"],
    "sign": ["signed", "absolute"],
    "norm": ["raw", "log"],
    "window": [10, 20, 50],
    "beta2": [0.98],
    "onset_threshold": [0.5, 0.95, 0.99],
}
RANK_GRID = {
    "beta2": [0.98],
    "onset_threshold": [0.5, 0.95, 0.99],
    "rank_measure": ["effective", "stable", "numerical"],
}
SCALES = {"GAI1": 900.0, "GAI4": 0.6, "GAI7": 0.1, "GAI8": 0.2}


def row(claim, choice, measured, supports, is_default=False, spread=0.2):
    known = measured is not None
    return dict.fromkeys(CHOICES) | {
        "study": "gai",
        "quantity": CLAIMS[claim],
        "claim": claim,
        "measured": measured,
        "low": measured - spread * abs(measured) if known else None,
        "high": measured + spread * abs(measured) if known else None,
        "n": 12,
        "supports": supports,
        "is_default": is_default,
        **choice,
    }


def combinations(grid):
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def table_of(rows):
    return conform(pd.DataFrame(rows), "multiverse")


def every_claim(seed=0):
    """All claims under the default grid, with numbers that look like measured ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for claim in (f"GAI{number}" for number in range(1, 9)):
        grid = combinations(RANK_GRID if claim == "GAI6" else GRID)
        default = {"smoothing": "causal", "sigma": "running", "sign": "signed", "norm": "raw"}
        default |= {"window": 20, "onset_threshold": 0.95, "rank_measure": "effective"}
        for choice in grid:
            value = SCALES.get(claim, 0.4) * float(rng.uniform(0.1, 1.4))
            value -= 0.1 * (claim in ("GAI7", "GAI8"))
            value += 0.2 * (choice.get("smoothing") == "centred") * value
            supports = None if claim == "GAI8" and value > 0 else value > 0.3
            is_default = all(default.get(k, v) == v for k, v in choice.items())
            rows.append(row(claim, choice, value, supports, is_default))
    return table_of(rows)


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def panel(figure, start):
    """The panel of numbers whose title starts so, and the panel of choices below it."""
    places = [i for i, axes in enumerate(figure.axes) if axes.get_title("left").startswith(start)]
    (place,) = places
    return figure.axes[place], figure.axes[place + COLUMNS]


def marks(axes):
    """Colour of each mark of a panel of choices: {(option, column): colour}."""
    labels = [text.get_text() for text in axes.get_yticklabels()]
    return {
        (labels[round((low + high) / 2)], round(x)): to_hex(line.get_color()).upper()
        for line in axes.lines
        for x, (low, high, _) in zip(
            line.get_xdata()[::3], line.get_ydata().reshape(-1, 3), strict=True
        )
    }


def test_columns_are_sorted_and_say_their_choices():
    choices = combinations({"smoothing": ["causal", "centred"], "window": [10, 20]})
    # In the order causal 10, causal 20, centred 10, centred 20.
    measured, supports = [0.4, 0.1, 0.95, 0.2], [False, False, True, False]
    rows = [
        row("GAI2", choice, value, verdict, choice == {"smoothing": "causal", "window": 10})
        for choice, value, verdict in zip(choices, measured, supports, strict=True)
    ]
    figure = drawn(specification_curves(table_of(rows), PUBLISHED))
    curve, choice = panel(figure, "GAI2: precision\n1 of 4 choices support it (25%)")
    points = sorted(
        (float(x), float(y))
        for line in curve.lines
        if line.get_marker() == "o"
        for x, y in zip(*line.get_data(), strict=True)
    )
    assert points == list(enumerate([0.1, 0.2, 0.4, 0.95]))
    (default,) = (line for line in curve.lines if line.get_marker() == "D")
    assert [list(values) for values in default.get_data()] == [[2], [0.4]]
    blue, grey = (colour("support", name) for name in ("supports", "speaks against"))
    assert marks(choice) == {
        ("causal", 0): grey,
        ("window 20", 0): grey,
        ("centred", 1): grey,
        ("window 20", 1): grey,
        ("causal", 2): grey,
        ("window 10", 2): grey,
        ("centred", 3): blue,
        ("window 10", 3): blue,
    }
    assert any(np.allclose(line.get_ydata(), 0.942) for line in curve.lines)


def test_published_range_is_a_band_and_a_level_is_dotted():
    rows = [row("GAI1", {}, 300.0, True), row("GAI7", {}, -0.1, False)]
    figure = drawn(specification_curves(table_of(rows), PUBLISHED))
    curve, choice = panel(figure, "GAI1")
    # Nothing was varied.
    assert not choice.get_visible()
    (band,) = curve.patches
    assert (band.get_bbox().y0, band.get_bbox().y1) == (200, 400)
    curve, _ = panel(figure, "GAI7")
    assert any(line.get_linestyle() == ":" and line.get_ydata()[0] == 0 for line in curve.lines)


def test_share_is_of_the_choices_that_decide():
    rows = [
        row("GAI8", {"window": 10}, 0.1, None),
        row("GAI8", {"window": 20}, -0.1, False),
        row("GAI8", {"window": 50}, None, None),
    ]
    text = support_text(table_of(rows))
    assert text == "0 of 1 choices support it (0%), 1 undecided, 1 without a number"


def test_a_claim_without_numbers_says_so():
    rows = [row("GAI4", {"window": w}, None, None) for w in (10, 20)]
    rows += [row("GAI5", {"window": w}, 0.7, True) for w in (10, 20)]
    figure = drawn(specification_curves(table_of(rows), PUBLISHED))
    curve, choice = panel(figure, "GAI4")
    assert "nothing to measure" in curve.texts[0].get_text() and not choice.get_visible()
    curve, choice = panel(figure, "GAI5")
    assert choice.get_visible() and "100%" in curve.get_title("left")


@pytest.mark.parametrize("table", [empty("multiverse"), table_of([row("GAI1", {}, None, None)])])
def test_nothing_measured_is_said(table):
    figure = drawn(specification_curves(table, PUBLISHED))
    assert "nothing can be measured" in figure.axes[0].texts[0].get_text().replace("\n", " ")


def test_texts_of_the_full_figure_do_not_overlap():
    """Every title, tick and axis label has its own place."""
    figure = specification_curves(every_claim(), PUBLISHED)
    figure.savefig(io.BytesIO(), format="png", dpi=60)
    renderer = figure.canvas.get_renderer()
    boxes = []
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        texts = [axes.title, axes._left_title, axes.yaxis.label, *axes.get_yticklabels()]
        low, high = sorted(axes.get_ylim())
        for text in texts:
            tick = text in axes.get_yticklabels()
            if text.get_text() and (not tick or low <= text.get_position()[1] <= high):
                boxes.append((text.get_text(), text.get_window_extent(renderer)))
    assert len(boxes) > 100
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for _, box in boxes)
    for index, (text, box) in enumerate(boxes):
        for other, place in boxes[index + 1 :]:
            # A line of text is higher than its letters: labels may touch.
            overlap = min(box.y1, place.y1) - max(box.y0, place.y0)
            if min(box.x1, place.x1) > max(box.x0, place.x0):
                assert overlap < 0.25 * min(box.height, place.height), (text, other)


@pytest.mark.parametrize("claims", ["GAI", ""])
def test_script_writes_both_files(claims, tmp_path):
    rows = [row("GAI3", {"window": w}, w / 100, False, w == 20) for w in (10, 20)]
    write_table(table_of(rows), tmp_path / "multiverse.parquet", "multiverse")
    write_table(empty("runs"), tmp_path / "runs.parquet", "runs")
    outputs = {kind: str(tmp_path / f"curves.{kind}") for kind in ("png", "svg")}
    stub = SimpleNamespace(
        input=SimpleNamespace(
            multiverse=str(tmp_path / "multiverse.parquet"),
            runs=str(tmp_path / "runs.parquet"),
            published=str(CLAIMS_FILE),
        ),
        output=SimpleNamespace(**outputs),
        params=SimpleNamespace(claims=claims),
    )
    script = ROOT / "workflow" / "scripts" / "plot_specification_curves.py"
    runpy.run_path(str(script))["main"](stub)
    assert all(Path(path).stat().st_size > 5000 for path in outputs.values())


def test_without_claims_numbers_stand_by_their_names():
    rows = [row("GAI1", {"window": w}, float(w), None, w == 10) for w in (10, 20)]
    table = table_of([entry | {"claim": None} for entry in rows])
    assert support_text(table) == "2 of 2 choices have a number"
    figure = drawn(specification_curves(table, {}))
    curve, _ = panel(figure, "Median lead of the first alarm\n2 of 2 choices have a number")
    assert not curve.patches
    shown = {to_hex(line.get_color()).upper() for line in curve.lines if line.get_marker() == "o"}
    assert colour("support", "not judged") in shown
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["number under one combination", "configured choice", "level of chance"]
    assert "claim" not in figure.get_suptitle()


def test_every_measure_can_be_drawn():
    assert set(QUANTITIES) == set(MEASURES)
