"""Figures: what is drawn is what the tables say, in colours that exist, in bytes that repeat."""

from __future__ import annotations

import io
import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from grokscope.data.tables import conform, empty, write_table
from grokscope.figures import gai, lead_lag, phase_diagram, style
from grokscope.figures.selection import decimate, find_trace, key_of, of_study, row_of, spread
from grokscope.measure.alarms import scores
from synthetic import make_spec, make_trace, write

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
SETTINGS = {
    "transitions": {"savgol_window": 51, "savgol_order": 3},
    "alarms": {
        "smoothing_window": 20,
        "sigma_window": 50,
        "threshold": 3.5,
        "refractory": 100,
        "centred": False,
    },
    "phases": {"threshold": 0.95, "gap": 200},
    "evaluation": {"confidence": 0.95},
}
FIGURES = (
    "overlay",
    "summary_grid",
    "lags",
    "weight_norms",
    "phase_diagram",
    "delay_map",
    "example_curves",
    "effects",
    "gai_trace",
    "alarm_leads",
    "rank_at_onset",
    "gai_outcomes",
)


def drawn(figure):
    """The figure, after it was laid out once: most mistakes in artists show only then."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def words_of(figure):
    """All text of a figure, in one line."""
    texts = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return re.sub(r"\s+", " ", " ".join(texts))


def learning_run(onset=700, steps=1000, **spec):
    """A run that memorises at step 200 and generalises at `onset` (never if None)."""
    step = np.arange(steps + 1)
    spec = make_spec(steps=steps, **spec)
    columns = {
        "grad_norm": 0.01 + np.exp(-(((step - 150) / 60.0) ** 2)),
        "train_metric": (step >= 200) * 1.0,
        "test_metric": (step >= onset) * 1.0 if onset is not None else 0.0 * step,
    }
    last = spec.depth
    fallen = 1.0 if onset is None else np.where(step < onset, 1.0, 0.6)
    columns |= {f"{m}_rank_{last}": 10.0 * fallen for m in ("effective", "stable", "numerical")}
    return make_trace(spec, **columns)


def transition_row(trace, onset=700, peak=150, transition=690):
    """Row of the transitions table, as if detected."""
    return trace.key.row() | {
        "grad_peak_step": peak,
        "grad_peak_at_boundary": None if peak is None else False,
        "grad_steepest_decrease_step": None,
        "metric_transition_step": transition,
        "metric_at_transition": None,
        "lag": None if peak is None or transition is None else transition - peak,
        "replication_lag": None,
        "xcorr_lag": None,
        "xcorr": None,
        "pearson_r": None,
        "train_onset_step": 200,
        "train_onset_censored": False,
        "test_onset_step": onset,
        "test_onset_censored": onset is None,
        "onset_lag": None if onset is None or peak is None else onset - peak,
        "last_step": len(trace.frame) - 1 if len(trace.frame) else None,
    }


def transitions_of(rows):
    return conform(pd.DataFrame(rows), "transitions") if rows else empty("transitions")


def phase_row(phase="grokking", gap=None, vote=None, agreement=1.0, cell_seeds=1, **key):
    """Row of the phases table."""
    reached = phase in ("grokking", "comprehension")
    gap = (500 if phase == "grokking" else 100) if gap is None and reached else gap
    memorised = 300 if phase not in ("confusion", "diverged") else None
    return make_spec(study="phase_diagram", encoding="embedding", **key).key.row() | {
        "phase": phase,
        "train_reached_step": memorised,
        "test_reached_step": memorised + gap if reached else None,
        "gap": gap,
        "gap_censored": not reached,
        "vote": vote or phase,
        "agreement": agreement,
        "cell_seeds": cell_seeds,
    }


def phases_of(rows):
    return conform(pd.DataFrame(rows), "phases") if rows else empty("phases")


def phase_grid():
    """Every phase in known cells: 2 decays x 3 fractions x 2 widths, seed 0; one not run."""
    names = ["confusion", "memorisation", "grokking", "comprehension", "diverged", "grokking"]
    rows = []
    for shift, width in enumerate((16, 32)):
        places = [(decay, f) for decay in (0, 1.0) for f in (0.3, 0.5, 0.9)]
        for index, (decay, fraction) in enumerate(places):
            if (width, index) != (32, 5):
                rows.append(
                    phase_row(
                        names[(index + shift) % 6],
                        width=width,
                        weight_decay=decay,
                        train_fraction=fraction,
                    )
                )
    return phases_of(rows)


def cells_of(figure):
    """Colour and text of each drawn cell: {panel title: {(row, column): (colour, text)}}."""
    panels = {}
    for axes in figure.axes:
        cells = {
            tuple(int(part) for part in patch.get_gid().split("-")[1:]): to_hex(
                patch.get_facecolor()
            ).upper()
            for patch in axes.patches
            if isinstance(patch, Rectangle) and (patch.get_gid() or "").startswith("cell-")
        }
        texts = {
            (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
            for text in axes.texts
        }
        if cells:
            panels[axes.get_title(loc="left")] = {
                place: (colour, texts.get(place, "")) for place, colour in cells.items()
            }
    return panels


def alarm_row(trace, step, layer="combined", score=5.0):
    alarm = {"detector": "gai", "layer": layer, "step": step, "score": score}
    alarm |= {"peak": score, "cause": "none"}
    return trace.key.row() | alarm


def rank_rows(trace, reference="onset", step=700, before=10.0):
    return [
        trace.key.row()
        | {
            "layer": layer,
            "is_last_layer": layer == trace.spec.depth,
            "measure": measure,
            "reference": reference,
            "reference_step": step,
            "before": before,
            "after": None,
            "relative_drop": None,
            "steepest_fall_step": None,
            "steepest_fall_lead": None,
        }
        for layer in range(1, trace.spec.depth + 1)
        for measure in ("effective", "stable", "numerical")
    ]


def diverged_run(rows, **spec):
    """A run that diverged after some rows, possibly none."""
    spec = make_spec(steps=1000, **spec)
    columns = {"grad_norm": np.linspace(1, 50, rows)} if rows else {"grad_norm": np.empty(0)}
    return make_trace(spec, diverged_step=rows, **columns)


# --- style -----------------------------------------------------------------------------------


def test_missing_colour_names_what_is_missing():
    with pytest.raises(style.PaletteError, match="no colour for phase 'slingshot'"):
        style.colour("phase", "slingshot")
    with pytest.raises(style.PaletteError, match="no palette 'mood'"):
        style.colour("mood", "grokking")


def test_missing_colour_stops_a_figure():
    phases = phases_of([phase_row(vote="slingshot")])
    with pytest.raises(style.PaletteError, match="slingshot"):
        phase_diagram.phase_diagram(phases)


@pytest.mark.parametrize(("group", "entries"), style.PALETTE.items())
def test_no_two_things_of_a_palette_look_alike(group, entries):
    assert len(set(entries.values())) == len(entries)


def test_palette_covers_layers_depths_and_tasks():
    from grokscope.runs.tasks import TASKS

    assert all(style.colour("layer", layer) for layer in [*range(9), "combined"])
    assert all(style.colour("depth", depth) for depth in range(2, 9))
    assert all(style.colour("task", task) for task in TASKS)


def test_save_writes_the_same_bytes_and_closes(tmp_path):
    for turn in "ab":
        figure = phase_diagram.phase_diagram(phase_grid())
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
    row = transitions_of([transition_row(trace)]).iloc[0]
    contents = set()
    for _ in range(6):
        style.save(lead_lag.overlay(trace, row), tmp_path / "a.png", tmp_path / "a.svg")
        contents.add((tmp_path / "a.svg").read_bytes())
    assert len(contents) == 1


def test_too_wide_a_figure_is_refused():
    with pytest.raises(ValueError, match="10 in"):
        style.new_figure(11, 3)


def test_user_settings_do_not_reach_figures(tmp_path):
    phases = phase_grid()
    style.save(phase_diagram.effects(phases), tmp_path / "a.png", tmp_path / "a.svg")
    # One setting that the style file has and one that it leaves at matplotlib's default.
    with matplotlib.rc_context({"font.size": 20, "xtick.direction": "inout"}):
        style.save(phase_diagram.effects(phases), tmp_path / "b.png", tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_text_is_readable_on_its_cell():
    assert style.text_colour("#FFFFFF") == "black"
    assert style.text_colour("#440154") == "white"


# --- selection -------------------------------------------------------------------------------


def test_decimation_keeps_every_spike():
    x = np.arange(100_000)
    y = np.zeros(100_000)
    y[[31_415, 92_653]] = 7, -3
    thin_x, thin_y = decimate(x, y, 2000)
    assert len(thin_x) <= 2000
    assert thin_y[thin_x == 31_415] == [7]
    assert thin_y[thin_x == 92_653] == [-3]
    assert (thin_x[0], thin_x[-1]) == (0, 99_999)
    assert (np.diff(thin_x) > 0).all()


def test_decimation_drops_what_was_not_measured():
    x, y = decimate(np.arange(4), np.array([1, np.nan, np.inf, 4.0]))
    assert x.tolist() == [0, 3]
    assert y.tolist() == [1, 4]


def test_spread_keeps_the_ends():
    assert spread(range(101), 5) == [0, 25, 50, 75, 100]
    assert spread("ab", 5) == ["a", "b"]


def test_trace_of_a_table_row_is_found_by_its_key(tmp_path):
    trace = learning_run(train_fraction=0.7)
    other = learning_run(train_fraction=0.5)
    paths = [write(run, tmp_path) for run in (other, trace)]
    table = transitions_of([transition_row(other), transition_row(trace)])
    row = row_of(table, trace.key)
    assert key_of(row) == trace.key
    assert find_trace(paths, key_of(row)) == str(paths[1])
    with pytest.raises(LookupError, match="seed=9"):
        find_trace(paths, trace.key._replace(seed=9))
    with pytest.raises(LookupError, match=r"0 table rows .*seed=9"):
        row_of(table, trace.key._replace(seed=9))


# --- lead_lag --------------------------------------------------------------------------------


def lead_lag_runs():
    return [
        learning_run(
            study="lead_lag",
            task=task,
            train_fraction=fraction,
            seed=seed,
            onset=None if fraction == 0.5 else 700,
        )
        for task in ("modular_addition", "sine_regression")
        for fraction in (0.5, 0.9)
        for seed in (42, 7)
    ]


def lead_lag_table(traces):
    return transitions_of(
        [transition_row(t, onset=None if t.key.train_fraction == "0.5" else 700) for t in traces]
    )


def test_overlay_draws_the_events_at_their_steps():
    trace = learning_run()
    row = transitions_of([transition_row(trace)]).iloc[0]
    figure = drawn(lead_lag.overlay(trace, row))
    text = words_of(figure)
    for part in ("gradient peak, step 150", "metric transition, step 690", "step 700", "lag 540"):
        assert part in text
    for axes in figure.axes[1:]:
        upright = [
            line.get_xdata()[0]
            for line in axes.lines
            if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
        ]
        assert sorted(upright) == [150, 690, 700]
    assert figure.axes[1].get_yscale() == "log"


def test_overlay_says_what_is_missing():
    trace = learning_run(onset=None)
    row = transitions_of([transition_row(trace, onset=None, peak=None, transition=None)]).iloc[0]
    text = words_of(drawn(lead_lag.overlay(trace, row)))
    assert "not reached" in text
    assert "a transition is missing" in text


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_overlay_of_a_run_that_diverged_at_once(rows):
    trace = diverged_run(rows)
    row = transitions_of([transition_row(trace, onset=None, peak=None, transition=None)]).iloc[0]
    text = words_of(drawn(lead_lag.overlay(trace, row)))
    assert f"diverged at step {rows}" in text
    if rows == 0:
        assert "no positive gradient norm was recorded" in text


def test_summary_grid_has_a_panel_a_run():
    traces = lead_lag_runs()
    figure = lead_lag.summary_grid(traces, lead_lag_table(traces), SETTINGS["transitions"])
    assert len(drawn(figure).axes) == len(traces)
    assert words_of(figure).count("lag 540") == len(traces)


def test_summary_grid_caps_its_panels_in_words():
    traces = [learning_run(study="lead_lag", seed=seed, steps=100) for seed in range(30)]
    table = transitions_of([transition_row(t) for t in traces])
    figure = drawn(lead_lag.summary_grid(traces, table, SETTINGS["transitions"]))
    assert len(figure.axes) == lead_lag.MAX_GRID_ROWS
    assert f"{lead_lag.MAX_GRID_ROWS} of 30 rows" in words_of(figure)


def test_summary_grid_with_holes_and_diverged_runs():
    traces = [
        learning_run(study="lead_lag", train_fraction=0.5, seed=1),
        diverged_run(0, study="lead_lag", train_fraction=0.9, seed=2),
    ]
    table = transitions_of([transition_row(t, peak=None, transition=None) for t in traces])
    text = words_of(drawn(lead_lag.summary_grid(traces, table, SETTINGS["transitions"])))
    assert text.count("not in the grid") == 2
    assert "nothing recorded" in text


def test_lags_shows_every_run_the_published_values_and_the_censored():
    traces = lead_lag_runs()
    figure = drawn(lead_lag.lags(lead_lag_table(traces)))
    addition = figure.axes[0]
    assert addition.get_title(loc="left") == "Modular addition"
    by_colour = {}
    for line in addition.lines:
        if line.get_linestyle() == "None":
            name = line.get_markeredgecolor()
            name = line.get_color() if name == "white" else name
            by_colour.setdefault(name, []).append(float(line.get_ydata()[0]))
    # Known by hand: 690 - 150 four times; 700 - 150 in the two runs with an onset.
    assert by_colour[style.colour("lag", "slope")] == [540] * 4
    assert by_colour[style.colour("lag", "onset")] == [550] * 2
    published = by_colour[style.colour("lag", "published")]
    assert sorted(published) == [12, 69, 82, 422, 699, 804]
    assert "2/2" in [text.get_text() for text in addition.texts]


def test_published_lags_have_the_published_means():
    values = lead_lag.PUBLISHED_LAGS["modular_addition"]
    means = {fraction: round(np.mean(list(of.values())), 1) for fraction, of in values.items()}
    deviations = {f: round(float(np.std(list(v.values()), ddof=1)), 1) for f, v in values.items()}
    assert means == {0.5: 641.7, 0.7: 199.0, 0.9: 54.3}
    assert deviations == {0.5: 197.3, 0.7: 24.3, 0.9: 37.2}


def test_lags_without_any_lag():
    traces = [diverged_run(1, study="lead_lag")]
    table = transitions_of(
        [transition_row(t, onset=None, peak=None, transition=None) for t in traces]
    )
    assert "no lag" in words_of(drawn(lead_lag.lags(table)))


def test_weight_norms_draw_each_layer_in_its_colour():
    figure = drawn(lead_lag.weight_norms(lead_lag_runs()))
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == [style.colour("layer", 1), style.colour("layer", 2)] * 2
    assert "Stopped" not in words_of(figure)
    text = words_of(drawn(lead_lag.weight_norms([diverged_run(0), diverged_run(3)])))
    assert "2 diverged" in text


# --- phase_diagram ---------------------------------------------------------------------------


def test_phase_map_has_the_colours_of_the_table():
    phases = phase_grid()
    panels = cells_of(drawn(phase_diagram.phase_diagram(phases)))
    assert set(panels) == {"Width 16", "Width 32"}
    decays, fractions = [0, 1.0], [0.3, 0.5, 0.9]
    seen = 0
    for row in phases.itertuples():
        place = decays.index(row.weight_decay), fractions.index(row.train_fraction)
        colour, text = panels[f"Width {row.width}"][place]
        assert colour == style.colour("phase", row.phase)
        assert text == style.PHASE_SHORT[row.phase]
        seen += 1
    assert seen == sum(map(len, panels.values())) == 11


def test_phase_map_shows_votes_agreement_and_counts_of_runs():
    names = ["grokking", "grokking", "memorisation"]
    rows = [
        phase_row(phase, seed=seed, vote="grokking", agreement=2 / 3, cell_seeds=3)
        for seed, phase in enumerate(names)
    ]
    figure = drawn(phase_diagram.phase_diagram(phases_of(rows)))
    assert cells_of(figure) == {"Width 128": {(0, 0): ("#009E73", "grok\n2/3")}}
    text = words_of(figure)
    assert "grokking (grok): 2 runs" in text
    assert "memorisation (mem): 1 run" in text
    assert "diverged" not in text


def test_delay_map_shows_gaps_and_says_why_there_is_none():
    figure = drawn(phase_diagram.delay_map(phase_grid()))
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
    cells = cells_of(drawn(phase_diagram.delay_map(phases_of(rows))))
    assert cells["Width 128"][0, 0][1] == "500\n3/4"


def test_delay_map_without_any_gap():
    phases = phases_of([phase_row("memorisation"), phase_row("confusion", seed=1)])
    assert "never" in words_of(drawn(phase_diagram.delay_map(phases)))


def test_examples_are_the_largest_gap_and_the_middle_run():
    rows = [phase_row(gap=gap, seed=seed) for seed, gap in enumerate((300, 900, 900, 400))]
    rows += [phase_row("memorisation", seed=seed) for seed in (10, 11, 12)]
    chosen = phase_diagram.choose_examples(phases_of(rows[::-1]))
    assert {phase: row["seed"] for phase, row in chosen.items()} == {
        "grokking": 1,
        "memorisation": 11,
    }


def test_example_curves_name_absent_phases():
    phases = phases_of([phase_row(), phase_row("diverged", seed=1)])
    grok = learning_run(study="phase_diagram", encoding="embedding", onset=800)
    broken = diverged_run(0, study="phase_diagram", encoding="embedding", seed=1)
    figure = drawn(phase_diagram.example_curves({"grokking": grok, "diverged": broken}, phases))
    text = words_of(figure)
    for phase in ("confusion", "memorisation", "comprehension"):
        assert f"no run of this study shows {phase}" in text
    assert "Grokking, gap 500 steps" in text
    assert "nothing recorded" in text


def test_effects_show_shares_with_wilson_intervals():
    phases = ["grokking", "comprehension", "memorisation", "confusion"]
    rows = [phase_row(p, seed=i, weight_decay=0.1) for i, p in enumerate(phases)]
    rows += [phase_row("diverged", seed=9, weight_decay=1.0)]
    figure = drawn(phase_diagram.effects(phases_of(rows)))
    decay = figure.axes[0]
    assert [text.get_text() for text in decay.texts] == ["2/4", "0/1"]
    points = [line.get_ydata()[0] for line in decay.lines if line.get_marker() == "o"]
    assert points == [0.5, 0.0]
    # Wilson 95% for 2 of 4: centre 0.5, half-width z/(n+z²) sqrt(n/4 + z²/4) with z = 1.96.
    low, high = next(line.get_ydata() for line in decay.lines if line.get_marker() == "None")
    z = 1.959964
    half = z / (4 + z**2) * np.sqrt(4 / 4 + z**2 / 4)
    assert [low, high] == pytest.approx([0.5 - half, 0.5 + half], abs=1e-6)


# --- gai -------------------------------------------------------------------------------------


def test_run_shown_is_the_first_delayed_one_of_depth_three():
    runs = {
        name: learning_run(depth=depth, seed=seed)
        for name, depth, seed in (("a", 2, 0), ("b", 3, 0), ("c", 3, 1), ("d", 4, 0))
    }
    onsets = {"a": 950, "b": 300, "c": 900, "d": None}
    table = transitions_of([transition_row(t, onset=onsets[n]) for n, t in runs.items()])
    # b is of depth 3, but its onset comes only 100 steps after memorisation.
    assert key_of(gai.choose_run(table, 200).row) == runs["c"].key
    assert key_of(gai.choose_run(table, 700).row) == runs["a"].key
    undelayed = gai.choose_run(table, 750)
    assert key_of(undelayed.row) == runs["b"].key
    assert "as none is delayed" in undelayed.rule
    none = transitions_of([transition_row(t, onset=None) for t in runs.values()])
    assert "none has an onset" in gai.choose_run(none, 200).rule
    assert gai.choose_run(empty("transitions"), 200) is None


def test_gai_trace_draws_the_alarms_of_this_run_only():
    trace, other = learning_run(depth=3), learning_run(depth=3, seed=1)
    row = transitions_of([transition_row(trace)]).iloc[0]
    table = conform(
        pd.DataFrame(
            [
                alarm_row(trace, 120),
                alarm_row(trace, 480),
                alarm_row(other, 300),
                alarm_row(trace, 200, layer="1"),
            ]
        ),
        "alarms",
    )
    score = scores(trace, SETTINGS["alarms"])["combined"]
    figure = drawn(gai.gai_trace(trace, row, table, score, 3.5, "a rule"))
    marks = next(line for line in figure.axes[1].lines if line.get_marker() == "v")
    assert list(marks.get_xdata()) == [120, 480]
    text = words_of(figure)
    for part in ("2 alarms", "onset, step 700", "(a rule)", "alarm level 3.5 SD"):
        assert part in text


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_gai_trace_of_a_short_run(rows):
    trace = diverged_run(rows)
    row = transitions_of([transition_row(trace, onset=None)]).iloc[0]
    figure = drawn(gai.gai_trace(trace, row, empty("alarms"), np.full(rows, np.nan), 3.5))
    text = words_of(figure)
    assert "shorter than the warm-up" in text
    assert "not reached" in text


def test_leads_are_onset_minus_alarm():
    trace, silent = learning_run(), learning_run(seed=1, onset=None)
    transitions = transitions_of([transition_row(trace), transition_row(silent, onset=None)])
    alarms = conform(
        pd.DataFrame(
            [alarm_row(trace, step) for step in (450, 400, 750)] + [alarm_row(silent, 100)]
        ),
        "alarms",
    )
    leads = gai.lead_table(alarms, transitions)
    assert leads["lead"].tolist() == [300, 250, -50]
    assert leads["is_first"].tolist() == [True, False, False]
    figure = drawn(gai.alarm_leads(alarms, transitions))
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() == gai.LEAD_BIN]
    heights = {round(bar.get_x()): bar.get_height() for bar in bars}
    assert heights.keys() == {-100, 200, 300}
    assert len(set(heights.values())) == 1
    text = words_of(figure)
    assert "1 run of 2 without onset" in text
    assert "1/2 with onset" in text


def test_leads_without_onsets_or_alarms():
    trace = learning_run()
    none = transitions_of([transition_row(trace, onset=None)])
    alarms = conform(pd.DataFrame([alarm_row(trace, 5)]), "alarms")
    assert "no run with an onset" in words_of(drawn(gai.alarm_leads(alarms, none)))
    some = transitions_of([transition_row(trace)])
    assert "no alarm in a run" in words_of(drawn(gai.alarm_leads(empty("alarms"), some)))


def test_rank_curves_are_aligned_and_relative_to_the_rank_before():
    trace = learning_run(depth=3)
    rank = conform(pd.DataFrame(rank_rows(trace)), "rank")
    curves = gai.rank_curves(trace, rank)
    assert {curve.measure for curve in curves} == {"effective", "stable", "numerical"}
    for curve in curves:
        assert curve.arm == "generalising"
        assert curve.share[curve.offset < 0] == pytest.approx(1.0)
        assert curve.share[curve.offset >= 0] == pytest.approx(0.6)
        assert 0 in curve.offset


def test_median_curve_needs_half_of_the_runs():
    def curve(share, last):
        offset = np.arange(-500.0, last + 1, 50)
        return gai.RankCurve("t", 2, "stable", "matched", offset, np.full(len(offset), share))

    x, y = gai.median_curve([curve(1.0, 100), curve(0.8, 300), curve(0.6, 500)])
    assert (x[0], x[-1]) == (-500, 300)
    assert y[x <= 100] == pytest.approx(0.8)
    assert y[x > 100] == pytest.approx(0.7)


def test_rank_at_onset_has_both_arms_and_counts_them():
    grok, never, lost = (
        learning_run(seed=seed, onset=onset) for seed, onset in ((0, 700), (1, None), (2, None))
    )
    rank = conform(
        pd.DataFrame(
            rank_rows(grok) + rank_rows(never, "matched") + rank_rows(lost, "none", None, None)
        ),
        "rank",
    )
    figure = drawn(gai.rank_at_onset([grok, never, lost], rank))
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title(loc="right") == "n = 1 + 1"
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert {style.colour("arm", "generalising"), style.colour("arm", "matched")} <= colours
    assert "2 of 3 runs drawn" in words_of(figure)


def test_rank_at_onset_without_any_reference():
    trace = learning_run()
    rank = conform(pd.DataFrame(rank_rows(trace, "none", None, None)), "rank")
    assert "nothing to align" in words_of(drawn(gai.rank_at_onset([trace], rank)))


def gai_phases(traces, names):
    rows = [phase_row(phase) | trace.key.row() for trace, phase in zip(traces, names, strict=True)]
    return phases_of(rows)


def test_outcomes_have_the_colours_of_the_table_and_the_onsets():
    traces = [learning_run(depth=depth, seed=seed) for depth in (2, 8) for seed in (0, 1)]
    names = ["grokking", "memorisation", "diverged", "comprehension"]
    onsets = [1234, None, None, 90]
    table = transitions_of(
        [transition_row(t, onset=o) for t, o in zip(traces, onsets, strict=True)]
    )
    cells = cells_of(drawn(gai.gai_outcomes(gai_phases(traces, names), table)))
    expected = {
        (0, 0): ("grokking", "grok\n1,234"),
        (1, 0): ("memorisation", "mem"),
        (0, 1): ("diverged", "div"),
        (1, 1): ("comprehension", "comp\n90"),
    }
    assert cells["Modular addition"] == {
        place: (style.colour("phase", phase), text) for place, (phase, text) in expected.items()
    }


def test_outcomes_of_a_hundred_seeds():
    traces = [learning_run(seed=seed, steps=10) for seed in range(100)]
    table = transitions_of([transition_row(t) for t in traces])
    figure = drawn(gai.gai_outcomes(gai_phases(traces, ["grokking"] * 100), table))
    assert len(cells_of(figure)["Modular addition"]) == 100
    assert figure.get_figheight() < 10


# --- all -------------------------------------------------------------------------------------


def empty_figures():
    transitions, phases, alarms = empty("transitions"), empty("phases"), empty("alarms")
    return {
        "summary_grid": lead_lag.summary_grid([], transitions, SETTINGS["transitions"]),
        "lags": lead_lag.lags(transitions),
        "weight_norms": lead_lag.weight_norms([]),
        "phase_diagram": phase_diagram.phase_diagram(phases),
        "delay_map": phase_diagram.delay_map(phases),
        "example_curves": phase_diagram.example_curves({}, phases),
        "effects": phase_diagram.effects(phases),
        "gai_trace": gai.gai_trace(None, None, alarms, np.empty(0), 3.5),
        "alarm_leads": gai.alarm_leads(alarms, transitions),
        "gai_outcomes": gai.gai_outcomes(phases, transitions),
    }


def test_empty_studies_are_said_to_be_empty():
    for name, figure in empty_figures().items():
        assert isinstance(figure, Figure)
        assert "no run in this study" in words_of(drawn(figure)), name
    assert "nothing to align" in words_of(drawn(gai.rank_at_onset([], empty("rank"))))


@pytest.mark.parametrize("name", FIGURES)
def test_caption_is_two_to_four_plain_sentences(name):
    text = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    sentences = re.findall(r"[.](?:\s|$)", text)
    assert 2 <= len(sentences) <= 4
    # Valid as RST and as Markdown alike: no markup of either.
    assert not re.search(r"[`*_|#<>\\]", text)


@pytest.mark.parametrize("name", FIGURES)
def test_script_writes_both_files(name, tmp_path):
    study = {
        **dict.fromkeys(FIGURES[:4], "lead_lag"),
        **dict.fromkeys(FIGURES[4:8], "phase_diagram"),
        **dict.fromkeys(FIGURES[8:], "gai"),
    }[name]
    encoding = "embedding" if study == "phase_diagram" else "one_hot"
    traces = [
        learning_run(study=study, seed=seed, encoding=encoding, onset=onset)
        for seed, onset in ((0, 700), (1, None))
    ]
    tables = {
        "transitions": transitions_of(
            [transition_row(t, onset=o) for t, o in zip(traces, (700, None), strict=True)]
        ),
        "phases": gai_phases(traces, ["grokking", "memorisation"]),
        "alarms": conform(pd.DataFrame([alarm_row(traces[0], 400)]), "alarms"),
        "rank": conform(
            pd.DataFrame(rank_rows(traces[0]) + rank_rows(traces[1], "matched")), "rank"
        ),
    }
    inputs = {}
    for table, frame in tables.items():
        # Rows of other studies are in the final tables too.
        foreign = frame.assign(study="gai" if study != "gai" else "lead_lag")
        write_table(pd.concat([frame, foreign]), tmp_path / f"{table}.parquet", table)
        inputs[table] = str(tmp_path / f"{table}.parquet")
    paths = [str(write(trace, tmp_path)) for trace in traces]
    outputs = {kind: str(tmp_path / f"{name}.{kind}") for kind in ("png", "svg")}
    stub = SimpleNamespace(
        input=SimpleNamespace(trace=paths[0], traces=paths, **inputs),
        output=SimpleNamespace(**outputs),
        params=SimpleNamespace(settings=json.dumps(SETTINGS)),
    )
    script = SCRIPTS / f"plot_{name}.py"
    runpy.run_path(str(script))["main"](stub)
    assert all(Path(path).stat().st_size > 5000 for path in outputs.values())


def test_every_figure_script_is_tested():
    # Those of the evidence chapter stand in test_plotting_evidence and test_plotting_multiverse.
    tested = {*FIGURES, "detection_curves", "specification_curves"}
    assert {path.stem for path in SCRIPTS.glob("plot_*.py")} == {f"plot_{n}" for n in tested}


def test_study_rows_come_in_the_order_of_the_key():
    rows = [phase_row(seed=seed) for seed in (3, 1, 2)]
    ordered = of_study(phases_of(rows), "phase_diagram")
    assert ordered["seed"].tolist() == [1, 2, 3]
    assert of_study(phases_of(rows), "gai").empty


def test_numbers_stand_in_all_cells_or_in_none():
    rows = [
        phase_row(gap=5 if index else 1500, train_fraction=(index + 1) / 41, width=width)
        for index in range(40)
        for width in (8, 16)
    ]
    figure = drawn(phase_diagram.delay_map(phases_of(rows)))
    assert {text for cells in cells_of(figure).values() for _, text in cells.values()} == {""}
    assert "Too many cells for numbers" in words_of(figure)
