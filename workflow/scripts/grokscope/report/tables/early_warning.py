"""Report tables of an early_warning study: outcomes, ranks around onset, alarms of each layer.

Input: the result tables of one study. Output: the tables that follow the evidence
(:mod:`grokscope.report.tables.evidence`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grokscope.claims.rows import groups, records, select
from grokscope.core.formatting import number
from grokscope.measure.detectors.registry import GAI
from grokscope.measure.onsets import is_event
from grokscope.report.tables.parts import Cell, RowCells, Table, computed, parameter
from grokscope.runs.settings import Analysis

PANEL = ["task", "depth"]


def tables(results: Mapping[str, pd.DataFrame], analysis: Analysis) -> list[Table]:
    """The three tables.

    Parameters
    ----------
    results
        ``runs``, ``transitions``, ``rank`` and ``evaluation`` of the study.
    """
    return [
        outcome_table(results["transitions"], results["runs"], analysis.phases.gap),
        rank_table(results["rank"]),
        layer_table(results["evaluation"], analysis.evaluation.lead_window),
    ]


def outcome_table(transitions: pd.DataFrame, runs: pd.DataFrame, gap: int) -> Table:
    """What became of the runs of each panel."""
    rows = []
    for panel, group in groups(transitions.assign(event=is_event(transitions, gap)), PANEL):
        mine = runs[(runs[PANEL] == list(panel)).all(axis=1)]
        rows.append(
            [
                *map(parameter, panel),
                computed(len(group)),
                computed((~group["train_onset_censored"]).sum()),
                computed((~group["test_onset_censored"]).sum()),
                computed(group["event"].sum()),
                computed(group.loc[group["event"], "test_onset_step"].astype(float).median()),
                computed(mine["final_test_metric"].astype(float).median(), number),
                computed((mine["stopped"] == "diverged").sum()),
            ]
        )
    header = [*PANEL, "runs", "memorised", "generalised", "events"]
    header += ["median onset", "median final metric", "diverged"]
    note = f"An event is an onset of generalisation more than {gap} steps after memorisation."
    return Table("Outcome of each panel", header, rows, note)


def rank_table(rank: pd.DataFrame) -> Table:
    """Median relative drop of the last layer's rank: around onset, and in matched runs."""
    rows = []
    for (*panel, measure), group in groups(rank[rank["is_last_layer"]], [*PANEL, "measure"]):
        cells = [*map(parameter, panel), Cell(str(measure))]
        for reference in ("onset", "matched"):
            known = group.loc[group["reference"] == reference, "relative_drop"].dropna()
            cells += [computed(len(known)), computed(known.astype(float).median(), number)]
        rows.append(cells)
    header = [*PANEL, "measure", "runs", "median drop", "matched runs", "matched drop"]
    note = (
        "A relative drop: 0.3 is a fall by 30%, negative is a rise. Matched runs never "
        "generalise; their windows are centred on the median onset of those that do."
    )
    return Table("Fall of the last layer's rank", header, rows, note, folded=True)


def layer_table(evaluation: pd.DataFrame, lead_window: tuple[int, int]) -> Table:
    """GAI's alarms above the published threshold, by panel and layer."""
    low, high = lead_window
    where = {"detector": GAI, "threshold_source": "published", "rule": "every"}
    every = select(evaluation, **where, lead_min=low, lead_max=high)
    layers = every[every["task"].notna()].sort_values(["task", "depth", "layer"])
    rows = []
    for row in records(layers):
        cell = RowCells(row, "evaluation")
        rows.append(
            [*cell.settings([*PANEL, "layer"])]
            + [cell(name) for name in ("n_events", "n_alarms", "n_judged", "n_hits")]
            + [cell(name, number) for name in ("precision", "recall")]
            + [cell(name) for name in ("lead_q25", "lead_median", "lead_q75")]
        )
    header = [*PANEL, "layer", "events", "alarms", "judged", "hits", "precision"]
    header += ["recall", "lead, lower quartile", "median", "upper"]
    note = (
        f"Every alarm above the published threshold, one to one, {low:,}–{high:,} steps ahead, "
        "on held-out seeds. Leads (steps) are of the first alarm over all events, missed ones "
        "as 0."
    )
    return Table("Alarms in each panel and layer", header, rows, note, folded=True)
