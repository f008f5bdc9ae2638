"""Figures of phases: what is drawn is what the phases table says."""

from __future__ import annotations

import pytest
from drawing import (
    cells_of,
    diverged_run,
    drawn,
    learning_run,
    phase_grid,
    phase_row,
    phases_of,
    words_of,
)

from grokscope.figures.delay_map import delay_map
from grokscope.figures.effects import effects
from grokscope.figures.example_curves import choose_examples, example_curves
from grokscope.figures.palette import colour
from grokscope.figures.parts.cells import PHASE_SHORT
from grokscope.figures.phase_diagram import phase_diagram


def test_phase_map_has_the_colours_of_the_table():
    phases = phase_grid()
    panels = cells_of(drawn(phase_diagram(phases)))
    assert set(panels) == {"Width 16", "Width 32"}
    decays, fractions = [0, 1.0], [0.3, 0.5, 0.9]
    seen = 0
    for row in phases.itertuples():
        place = decays.index(row.weight_decay), fractions.index(row.train_fraction)
        paint, text = panels[f"Width {row.width}"][place]
        assert paint == colour("phase", row.phase)
        assert text == PHASE_SHORT[row.phase]
        seen += 1
    assert seen == sum(map(len, panels.values())) == 11


def test_phase_map_shows_votes_agreement_and_counts_of_runs():
    names = ["grokking", "grokking", "memorisation"]
    rows = [
        phase_row(phase, seed=seed, vote="grokking", agreement=2 / 3, cell_seeds=3)
        for seed, phase in enumerate(names)
    ]
    figure = drawn(phase_diagram(phases_of(rows)))
    assert cells_of(figure) == {"Modular addition": {(0, 0): ("#009E73", "grok\n2/3")}}
    text = words_of(figure)
    assert "grokking (grok): 2 runs" in text
    assert "memorisation (mem): 1 run" in text
    assert "diverged" not in text
    assert "collapsed" not in text


def test_runs_that_collapsed_have_a_colour_a_name_and_an_example():
    phases = phases_of([phase_row(), phase_row("collapsed", seed=1)])
    assert "collapsed (coll): 1 run" in words_of(drawn(phase_diagram(phases)))
    alone = phases_of([phase_row("collapsed")])
    found = cells_of(drawn(phase_diagram(alone)))
    assert found == {"Modular addition": {(0, 0): ("#882255", "coll")}}
    run = learning_run(study="phase_diagram", encoding="embedding")
    assert "Collapsed" in words_of(drawn(example_curves({"collapsed": run}, alone)))


def test_delay_map_shows_gaps_and_says_why_there_is_none():
    figure = drawn(delay_map(phase_grid()))
    texts = [text for cells in cells_of(figure).values() for _, text in cells.values()]
    # Width 16 has every phase once, grokking twice; width 32 lacks its last cell, confusion.
    assert sorted(texts) == sorted(
        ["500"] * 4 + ["100"] * 2 + ["never"] * 2 + ["not\nmemorised"] + ["diverged"] * 2
    )
    assert "No gap in 5 cells" in words_of(figure)
    assert "1 cell not in the grid" in words_of(figure)


def test_delay_map_of_several_seeds_is_their_median():
    rows = [phase_row(gap=gap, seed=i, cell_seeds=4) for i, gap in enumerate((300, 500, 1000))]
    rows.append(phase_row("memorisation", seed=3, cell_seeds=4))
    cells = cells_of(drawn(delay_map(phases_of(rows))))
    assert cells["Modular addition"][0, 0][1] == "500\n3/4"


def test_delay_map_without_any_gap():
    phases = phases_of([phase_row("memorisation"), phase_row("confusion", seed=1)])
    assert "never" in words_of(drawn(delay_map(phases)))


def test_examples_are_the_largest_gap_and_the_middle_run():
    rows = [phase_row(gap=gap, seed=seed) for seed, gap in enumerate((300, 900, 900, 400))]
    rows += [phase_row("memorisation", seed=seed) for seed in (10, 11, 12)]
    chosen = choose_examples(phases_of(rows[::-1]))
    assert {phase: row["seed"] for phase, row in chosen.items()} == {
        "grokking": 1,
        "memorisation": 11,
    }


def test_example_curves_name_absent_phases():
    phases = phases_of([phase_row(), phase_row("diverged", seed=1)])
    grok = learning_run(study="phase_diagram", encoding="embedding", onset=800)
    broken = diverged_run(0, study="phase_diagram", encoding="embedding", seed=1)
    figure = drawn(example_curves({"grokking": grok, "diverged": broken}, phases))
    text = words_of(figure)
    for phase in ("confusion", "memorisation", "comprehension"):
        assert f"no run of this study shows {phase}" in text
    assert "Grokking, gap 500 steps" in text
    assert "nothing recorded" in text


def test_effects_show_shares_with_intervals_over_seeds():
    """Runs of two widths, in which each seed does the same: four draws, not eight."""
    phases = ["grokking", "comprehension", "memorisation", "confusion"]
    rows = [
        phase_row(p, seed=i, weight_decay=0.1, width=width)
        for i, p in enumerate(phases)
        for width in (16, 32)
    ]
    rows += [phase_row("diverged", seed=9, weight_decay=1.0, width=16)]
    figure = drawn(effects(phases_of(rows), 0.95))
    decay = next(axes for axes in figure.axes if "decay" in axes.get_xlabel())
    assert [text.get_text() for text in decay.texts] == ["4/8", "0/1"]
    lines = [line.get_ydata() for line in decay.lines if line.get_marker() == "None"]
    points = [line.get_ydata()[0] for line in decay.lines if line.get_marker() == "o"]
    assert points == [0.5, 0.0]
    # Known: 2 of 4 has 0.068 to 0.932 (Clopper-Pearson); one seed has no line.
    assert lines == [pytest.approx([0.0676, 0.9324], abs=1e-4)]


def test_numbers_stand_in_all_cells_or_in_none():
    rows = [
        phase_row(gap=5 if index else 1500, train_fraction=(index + 1) / 41, width=width)
        for index in range(40)
        for width in (8, 16)
    ]
    figure = drawn(delay_map(phases_of(rows)))
    assert {text for cells in cells_of(figure).values() for _, text in cells.values()} == {""}
    assert "Too many cells for numbers" in words_of(figure)
