"""Report tables of a phase_diagram study: the map, what each parameter does, every run.

Input: the result tables of one study. Output: tables over whatever the grid varies; rows of the
map are the values of all parameters but the first varying one, whose values are its columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grokscope.claims.rows import groups, select
from grokscope.core.formatting import ABSENT, number
from grokscope.data.layout import varying
from grokscope.measure.phases import GENERALISING, UNKNOWN
from grokscope.report.tables.parts import (
    Cell,
    RowCells,
    Table,
    also_varying,
    computed,
    parameter,
    parameter_words,
    sorted_rows,
)
from grokscope.runs.spec import key_columns

# Shown whether a grid varies them or not; those of the published grid.
PUBLISHED = ["weight_decay", "train_fraction", "width"]


def tables(results: Mapping[str, pd.DataFrame]) -> list[Table]:
    """The three tables, from ``phases`` and ``runs`` of the study."""
    phases = results["phases"]
    return [map_table(phases), effect_table(phases), run_table(phases, results["runs"])]


def _settings(phases: pd.DataFrame) -> list[str]:
    """Parameters that the tables show: the published ones and all that vary."""
    fixed = ["task", "depth", "width", "weight_decay", "train_fraction"]
    return [*fixed[:2], *also_varying(phases, fixed), *fixed[2:]]


def map_table(phases: pd.DataFrame) -> Table:
    """The phase of each cell: the vote of its seeds."""
    across = next(iter(varying(phases)), "train_fraction")
    down = [name for name in _settings(phases) if name != across]
    columns = [value for (value,), _ in groups(phases, [across])]
    several = bool((phases["cell_seeds"] > 1).any())
    rows = []
    for values, group in groups(phases, down):
        cells = [parameter(value) for value in values]
        for column in columns:
            here = select(group, **{across: None if pd.isna(column) else column})
            if here.empty:
                cells.append(Cell(ABSENT))
                continue
            row = sorted_rows(here, ["seed"])[0]
            agree = f" {round(row['agreement'] * row['cell_seeds'])}/{row['cell_seeds']}"
            cell = RowCells(row, "phases")
            cells.append(cell.text("vote", str(row["vote"]), agree if several else ""))
        rows.append(cells)
    header = [parameter_words(name) for name in down]
    header += [f"{parameter_words(across)} {parameter(value).text}" for value in columns]
    note = "The vote of the seeds, with how many agree." if several else "One seed per cell."
    return Table("Phase of each cell", header, rows, note)


def effect_table(phases: pd.DataFrame) -> Table:
    """Runs that generalise at each value of a parameter, over all values of the others."""
    # Of an imported run without train or test metric nobody knows whether it generalises.
    phases = phases[phases["phase"] != UNKNOWN]
    rows = []
    for name in [*PUBLISHED, *also_varying(phases, PUBLISHED)]:
        for (value,), group in groups(phases, [name]):
            general = int(group["phase"].isin(GENERALISING).sum())
            cells = [Cell(name.replace("_", " ")), parameter(value)]
            cells += [computed(len(group)), computed(general)]
            cells += [computed(general / len(group), number)]
            rows.append([*cells, computed((group["phase"] == "grokking").sum())])
    header = ["parameter", "value", "runs", "generalise", "share", "grok"]
    return Table("Runs that generalise, by parameter", header, rows)


def run_table(phases: pd.DataFrame, runs: pd.DataFrame) -> Table:
    """One row per run."""
    keys = key_columns(phases.columns)
    facts = ["final_train_metric", "final_test_metric", "steps", "seconds"]
    shown = [*PUBLISHED, "seed"]
    shown = [*also_varying(phases, shown), *shown]
    rows = []
    for row in sorted_rows(phases.merge(runs[[*keys, *facts]], on=keys), keys):
        label, end = RowCells(row, "phases"), RowCells(row, "runs")
        rows.append(
            [
                *label.settings(shown),
                label.text("phase", str(row["phase"])),
                label("gap"),
                end("final_train_metric", number),
                end("final_test_metric", number),
                end("steps"),
                end("seconds", lambda value: f"{value:.1f}"),
            ]
        )
    header = [parameter_words(name) for name in shown]
    header += ["phase", "gap", "train metric", "test metric", "steps", "seconds"]
    note = (
        "The gap is the step at which the test metric is first reached minus that of the train "
        "metric."
    )
    return Table("Every run", header, rows, note, folded=True)
