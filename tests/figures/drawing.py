"""Runs and tables with known content, and what a figure says of them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from grokscope.data.tables import conform, empty
from synthetic import make_spec, make_trace

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts"
CAPTIONS = ROOT / "workflow" / "report"
CLAIMS_FILE = CAPTIONS / "claims.yaml"


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
        "test_lost_step": None,
        "test_lost_censored": None if onset is None else True,
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


def alarm_row(trace, step, layer="combined", score=5.0, detector="gai"):
    alarm = {"detector": detector, "layer": layer, "step": step, "score": score}
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


def phases_like(traces, names):
    rows = [phase_row(phase) | trace.key.row() for trace, phase in zip(traces, names, strict=True)]
    return phases_of(rows)


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
