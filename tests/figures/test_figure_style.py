"""Style and palette: colours that exist, bytes that repeat, settings that do not leak."""

from __future__ import annotations

import os
import subprocess
import sys

import matplotlib
import pytest
from drawing import (
    SCRIPTS,
    learning_run,
    phase_grid,
    phase_row,
    phases_of,
    transition_row,
    transitions_of,
)

from grokscope.figures import style
from grokscope.figures.effects import effects
from grokscope.figures.overlay import overlay
from grokscope.figures.palette import PALETTE, RESERVE, PaletteError, colour
from grokscope.figures.phase_diagram import phase_diagram
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.runs.tasks import TASKS


def test_missing_colour_names_what_is_missing():
    with pytest.raises(PaletteError, match="no colour for phase 'slingshot'"):
        colour("phase", "slingshot")
    with pytest.raises(PaletteError, match="no palette 'mood'"):
        colour("mood", "grokking")


def test_missing_colour_stops_a_figure():
    phases = phases_of([phase_row(vote="slingshot")])
    with pytest.raises(PaletteError, match="slingshot"):
        phase_diagram(phases)


@pytest.mark.parametrize(("group", "entries"), PALETTE.items())
def test_no_two_things_of_a_palette_look_alike(group, entries):
    assert len(set(entries.values())) == len(entries)


def test_palette_covers_layers_depths_and_tasks():
    assert all(colour("layer", layer) for layer in [*range(9), "combined"])
    assert all(colour("depth", depth) for depth in range(2, 9))
    assert all(colour("task", task) for task in TASKS)


def test_save_writes_the_same_bytes_and_closes(tmp_path):
    for turn in "ab":
        figure = phase_diagram(phase_grid())
        style.save(figure, tmp_path / f"{turn}.png", tmp_path / f"{turn}.svg")
        assert not figure.axes
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        content = (tmp_path / f"a.{kind}").read_bytes()
        assert content.startswith(start)
        assert content == (tmp_path / f"b.{kind}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_layout_is_the_same_to_the_last_bit(tmp_path):
    """As stored by SVG, in the names of clip paths; unrounded every second figure differed."""
    trace = learning_run()
    table = transitions_of([transition_row(trace)])
    contents = set()
    for _ in range(6):
        style.save(overlay(trace, table), tmp_path / "a.png", tmp_path / "a.svg")
        contents.add((tmp_path / "a.svg").read_bytes())
    assert len(contents) == 1


def test_too_wide_a_figure_is_refused():
    with pytest.raises(ValueError, match="10 in"):
        style.new_figure(11, 3)


def test_user_settings_do_not_reach_figures(tmp_path):
    phases = phase_grid()
    style.save(effects(phases, 0.95), tmp_path / "a.png", tmp_path / "a.svg")
    # One setting that the style file has and one that it leaves at matplotlib's default.
    with matplotlib.rc_context({"font.size": 20, "xtick.direction": "inout"}):
        style.save(effects(phases, 0.95), tmp_path / "b.png", tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_text_is_readable_on_its_cell():
    assert style.text_colour("#FFFFFF") == "black"
    assert style.text_colour("#440154") == "white"


# --- the palette of what users register -----------------------------------------------------


@pytest.fixture
def newcomers(monkeypatch):
    """Registers tasks and detectors for one test."""

    def register(registry, like, names):
        for name in names:
            monkeypatch.setitem(registry, name, registry[like])

    return register


@pytest.mark.parametrize(
    ("group", "registry", "like"),
    [("task", TASKS, "modular_addition"), ("detector", DETECTORS, "cusum")],
)
def test_what_is_registered_has_a_colour_of_its_own_until_the_reserve_is_empty(
    group, registry, like, newcomers
):
    reserve = [shade for shade in RESERVE if shade not in PALETTE[group].values()]
    assert len(reserve) == len(set(reserve)) >= 6
    names = [f"new_{number}" for number in range(len(reserve) + 1)]
    newcomers(registry, like, names)
    # Whichever is asked for first: the order is that of registration.
    assert [colour(group, name) for name in reversed(names[:-1])] == reserve[::-1]
    with pytest.raises(PaletteError, match=f"reserve colours are taken.*PALETTE.'{group}'"):
        colour(group, names[-1])
    with pytest.raises(PaletteError, match="no colour for"):
        colour(group, "not_registered")


def test_inherited_backend_of_a_notebook_does_not_matter(tmp_path):
    """Jupyter hands MPLBACKEND down to Snakemake's jobs; theirs has no such module."""
    code = (
        "from grokscope.figures import style\n"
        f"style.save(style.empty_figure('a', 'b'), {str(tmp_path / 'a.png')!r}, "
        f"{str(tmp_path / 'a.svg')!r})"
    )
    environment = dict(os.environ, PYTHONPATH=str(SCRIPTS))
    environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    call = [sys.executable, "-c", code]
    result = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.png").exists()
