"""Report tables: the tables of each study as the report prints them.

Input: the result tables. Output: rows of cells. A cell that shows a number of a result table
names its source, so that validation can read it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokscope.claims.registry import GENERALISING, groups, records, select
from grokscope.data.tables import key_of
from grokscope.evaluate.matching import is_event
from grokscope.runs.spec import KEY_COLUMNS

ABSENT = "–"
_SCOPE = ["study", "task", "depth", "detector", "layer", "threshold_source", "rule"]
_SCOPE += ["lead_min", "lead_max"]
_CHOICES = ["smoothing", "sigma", "sign", "norm", "window", "beta2", "onset_threshold"]
# Identify a row of a table beside its key columns.
ROW_COLUMNS = {
    "evaluation": _SCOPE,
    "chance": [*_SCOPE, "score", "null_model"],
    "curves": ["study", "depth", "detector", "layer", "point"],
    "variants": _CHOICES,
    "multiverse": ["claim", *_CHOICES, "rank_measure"],
    "claims": ["claim"],
}


def steps(value: float) -> str:
    """Steps or counts: whole, or with a decimal where it is a mean; thousands separated."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def number(value: float) -> str:
    """Shares, correlations, metrics: three decimals."""
    return f"{value:.3f}"


def probability(value: float) -> str:
    """p-values: three decimals, below these "< 0.001"."""
    return number(value) if value >= 0.0005 else "< 0.001"


def plain(value: float) -> str:
    """Parameters as they stand in the config."""
    return f"{value:g}"


def task_words(task: str) -> str:
    """A task's name as words: "S5 composition"."""
    return task.replace("_", " ").replace("s5 ", "S5 ")


@dataclass(frozen=True)
class Cell:
    """One cell of a report table; `source` names the table, row and column it shows."""

    text: str
    numeric: bool = False
    source: tuple[str, str, str] | None = None
    value: str | None = None
    style: str | None = None


@dataclass(frozen=True)
class Table:
    """One table of the report."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    folded: bool = False


def row_id(row: Mapping[str, Any], table: str) -> str:
    """Text that identifies a row of a result table: its key columns, as printed."""
    names = [*key_of(table), *ROW_COLUMNS.get(table, [])]
    parts = []
    for name in names:
        value = row[name]
        if pd.isna(value):
            text = "null"
        else:
            text = f"{float(value):g}" if isinstance(value, float) else str(value)
        parts.append(f"{name}={text}")
    return ",".join(parts)


class RowCells:
    """Cells of one row of a result table, each with its source."""

    def __init__(self, row: Mapping[str, Any], table: str) -> None:
        self.row, self.table, self.id = row, table, row_id(row, table)

    def __call__(
        self,
        column: str,
        form: Callable[[float], str] = steps,
        absent: str = ABSENT,
        mark: str = "",
    ) -> Cell:
        value = self.row[column]
        if pd.isna(value):
            return Cell(absent, numeric=True)
        source = (self.table, self.id, column)
        return Cell(form(float(value)) + mark, True, source, repr(float(value)))

    def text(self, column: str, style: str | None = None) -> Cell:
        value = str(self.row[column])
        return Cell(value, source=(self.table, self.id, column), value=value, style=style)

    def key(self, column: str) -> Cell:
        """A key column; it identifies, so it has no source."""
        value = self.row[column]
        if isinstance(value, str):
            return Cell(task_words(value))
        return Cell(plain(float(value)), numeric=True)


def _records(frame: pd.DataFrame, by: Sequence[str]) -> list[dict[str, Any]]:
    return records(frame.sort_values(list(by), kind="stable"))


def _count(value: float) -> Cell:
    return Cell(steps(float(value)), numeric=True)


def _of(value: float, form: Callable[[float], str] = steps) -> Cell:
    return Cell(ABSENT if pd.isna(value) else form(float(value)), numeric=True)


# ------------------------------------------------------------------- lead_lag


def lead_lag_tables(
    tables: Mapping[str, pd.DataFrame], values: Mapping[str, Any], replication_steps: int
) -> list[Table]:
    """A row a run, then the lags over seeds; `values` are LL1's and LL2's published numbers."""
    runs = tables["runs"][[*KEY_COLUMNS, "final_test_metric", "max_steps"]]
    frame = tables["transitions"].merge(runs, on=list(KEY_COLUMNS))
    rows, boundary = [], False
    for row in _records(frame, KEY_COLUMNS):
        cell, end = RowCells(row, "transitions"), RowCells(row, "runs")
        fraction = plain(row["train_fraction"])
        primary = row["seed"] == 42 and row["task"] in values["lag"]
        published = values["lag"][row["task"]].get(fraction) if primary else None
        edge = (
            bool(row["grad_peak_at_boundary"]) if pd.notna(row["grad_peak_at_boundary"]) else False
        )
        boundary |= edge
        beyond = "censored" if pd.isna(row["last_step"]) else f"> {steps(row['last_step'])}"
        rows.append(
            [
                *(cell.key(name) for name in ("task", "train_fraction", "seed")),
                end("max_steps"),
                cell("grad_peak_step", mark=" †" if edge else ""),
                cell("metric_transition_step"),
                cell("metric_at_transition", number),
                cell("lag"),
                Cell(ABSENT if published is None else steps(published), numeric=True),
                cell("replication_lag"),
                cell("xcorr_lag"),
                cell("pearson_r", number),
                cell("test_onset_step", absent=beyond),
                cell("onset_lag"),
                end("final_test_metric", number),
            ]
        )
    note = "Steps are optimiser updates; a lag is positive where the gradient comes first."
    note += " 'Metric there' is the smoothed test metric at its steepest rise."
    note += " '> n' is a censored onset: not reached in n steps."
    if boundary:
        note += " † The peak is the first step searched, so it is no interior peak."
    header = ["task", "fraction", "seed", "steps", "gradient peak", "metric transition"]
    header += [
        "metric there",
        "lag",
        "published",
        f"lag, first {steps(replication_steps)}",
        "cross-corr. lag",
    ]
    header += ["Pearson r", "onset", "onset lag", "final metric"]
    over_seeds = []
    cells = ["task", "depth", "train_fraction", "weight_decay", "width"]
    for cell_key, group in groups(frame, cells):
        task, depth, fraction, decay, width = cell_key
        lags = group["replication_lag"].dropna().astype(float)
        if len(lags) < 2:
            continue
        name = plain(fraction)
        known = task == "modular_addition" and name in values["mean"]
        published = (
            f"{values['mean'][name]} ± {values['sd'][name]} "
            f"({values['min'][name]} to {values['max'][name]})"
            if known
            else ABSENT
        )
        over_seeds.append(
            [
                Cell(task_words(task)),
                *(Cell(plain(value), numeric=True) for value in (depth, fraction, decay, width)),
                _count(len(lags)),
                _of(lags.mean()),
                _of(lags.std()),
                _of(lags.min()),
                _of(lags.max()),
                Cell(published, numeric=True),
            ]
        )
    result = [Table("Transitions of each run", header, rows, note)]
    if over_seeds:
        header = ["task", "depth", "fraction", "weight decay", "width", "seeds"]
        header += ["mean lag", "sd", "smallest", "largest", "published"]
        note = f"Lag within the first {steps(replication_steps)} steps, so that all runs compare."
        result.append(Table("Lag over seeds", header, over_seeds, note))
    return result


# ------------------------------------------------------------------------ gai


def gai_tables(
    tables: Mapping[str, pd.DataFrame], gap: int, lead_window: Sequence[int]
) -> list[Table]:
    """Outcome of each panel, rank around onset, and the alarms of panels and layers."""
    transitions, runs = tables["transitions"], tables["runs"]
    panel_columns, medians = ["task", "depth"], ["median onset", "median final metric"]
    event = is_event(transitions, gap)
    outcomes = []
    for panel, group in groups(transitions.assign(event=event), ["task", "depth"]):
        mine = runs[(runs[["task", "depth"]] == list(panel)).all(axis=1)]
        onsets = group.loc[group["event"], "test_onset_step"].astype(float)
        final = mine["final_test_metric"].astype(float)
        outcomes.append(
            [
                Cell(task_words(panel[0])),
                Cell(plain(panel[1]), numeric=True),
                _count(len(group)),
                _count((~group["train_onset_censored"]).sum()),
                _count((~group["test_onset_censored"]).sum()),
                _count(group["event"].sum()),
                _of(onsets.median()),
                _of(final.median(), number),
                _count((mine["stopped"] == "diverged").sum()),
            ]
        )
    low, high = lead_window
    every = select(
        tables["evaluation"], detector="gai", threshold_source="published", rule="every"
    )
    every = select(every, lead_min=low, lead_max=high)
    layers = every[every["task"].notna()].sort_values(["task", "depth", "layer"])
    numbers = ["n_events", "n_alarms", "n_judged", "n_hits"]
    alarms = []
    for row in records(layers):
        cell = RowCells(row, "evaluation")
        alarms.append(
            [cell.key("task"), cell.key("depth"), Cell(row["layer"], numeric=True)]
            + [cell(name) for name in numbers]
            + [cell(name, number) for name in ("precision", "recall")]
            + [cell(name) for name in ("lead_q25", "lead_median", "lead_q75")]
        )
    alarm_header = ["task", "depth", "layer", "events", "alarms", "judged", "hits", "precision"]
    alarm_header += ["recall", "lead, lower quartile", "median", "upper"]
    rank = tables["rank"]
    last = rank[rank["is_last_layer"]]
    drops = []
    for names, group in groups(last, ["task", "depth", "measure"]):
        cells = [Cell(task_words(names[0])), Cell(plain(names[1]), numeric=True)]
        cells.append(Cell(str(names[2])))
        for reference in ("onset", "matched"):
            known = group.loc[group["reference"] == reference, "relative_drop"].dropna()
            cells += [_count(len(known)), _of(known.astype(float).median(), number)]
        drops.append(cells)
    return [
        Table(
            "Outcome of each panel",
            [*panel_columns, "runs", "memorised", "generalised", "events", *medians, "diverged"],
            outcomes,
            f"An event is an onset of generalisation more than {gap} steps after memorisation.",
        ),
        Table(
            "Fall of the last layer's rank",
            [*panel_columns, "measure", "runs", "median drop", "matched runs", "matched drop"],
            drops,
            "A relative drop: 0.3 is a fall by 30%, negative is a rise. Matched runs never "
            "generalise; their windows are centred on the median onset of those that do.",
            folded=True,
        ),
        Table(
            "Alarms in each panel and layer",
            alarm_header,
            alarms,
            f"Every alarm above the published threshold, one to one, {low:,}-{high:,} steps "
            "ahead, on held-out seeds. Leads (steps) are of the first alarm over all events, "
            "missed ones as 0.",
            folded=True,
        ),
    ]


# -------------------------------------------------------------- phase_diagram


def phase_tables(tables: Mapping[str, pd.DataFrame]) -> list[Table]:
    """The phase of each cell, what each parameter does, and a row a run."""
    phases, keys = tables["phases"], list(KEY_COLUMNS)
    fractions = sorted(phases["train_fraction"].unique())
    several = bool((phases["cell_seeds"] > 1).any())
    panel = ["task", "depth", "width", "weight_decay"]
    maps = []
    for names, group in groups(phases, panel):
        cells = [Cell(task_words(names[0]))]
        cells += [Cell(plain(value), numeric=True) for value in names[1:]]
        for fraction in fractions:
            here = group[group["train_fraction"] == fraction]
            if here.empty:
                cells.append(Cell(ABSENT))
                continue
            row = _records(here, keys)[0]
            cell = RowCells(row, "phases").text("vote", style=str(row["vote"]))
            if several:
                agree = f" {round(row['agreement'] * row['cell_seeds'])}/{row['cell_seeds']}"
                cell = Cell(cell.text + agree, False, cell.source, cell.value, cell.style)
            cells.append(cell)
        maps.append(cells)
    effects = []
    for name in ("weight_decay", "train_fraction", "width"):
        for (value,), group in groups(phases, [name]):
            general = int(group["phase"].isin(GENERALISING).sum())
            grok = int((group["phase"] == "grokking").sum())
            cells = [Cell(name.replace("_", " ")), Cell(plain(value), numeric=True)]
            share = _of(general / len(group), number)
            effects.append([*cells, _count(len(group)), _count(general), share, _count(grok)])
    runs = tables["runs"][
        [*keys, "final_train_metric", "final_test_metric", "steps", "seconds", "stopped"]
    ]
    every = []
    parameters, metrics = ["weight decay", "fraction", "width"], ["train metric", "test metric"]
    for row in _records(phases.merge(runs, on=keys), keys):
        label, end = RowCells(row, "phases"), RowCells(row, "runs")
        every.append(
            [label.key(name) for name in ("weight_decay", "train_fraction", "width", "seed")]
            + [label.text("phase", style=str(row["phase"])), label("gap")]
            + [end("final_train_metric", number), end("final_test_metric", number)]
            + [end("steps"), end("seconds", lambda value: f"{value:.1f}")]
        )
    header = ["task", "depth", "width", "weight decay"]
    header += [f"fraction {plain(fraction)}" for fraction in fractions]
    note = "The vote of the seeds, with how many agree." if several else "One seed a cell."
    return [
        Table("Phase of each cell", header, maps, note),
        Table(
            "Runs that generalise, by parameter",
            ["parameter", "value", "runs", "generalise", "share", "grok"],
            effects,
        ),
        Table(
            "Every run",
            [*parameters, "seed", "phase", "gap", *metrics, "steps", "seconds"],
            every,
            "The gap is the step at which the test metric is first reached minus that of the "
            "train metric.",
            folded=True,
        ),
    ]


def study_tables(
    study: str,
    tables: Mapping[str, pd.DataFrame],
    published: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> list[Table]:
    """Report tables of one study, from the result tables alone."""
    mine = {
        name: table[table["study"] == study] for name, table in tables.items() if "study" in table
    }
    if study == "lead_lag":
        values = {entry["id"]: entry["values"] for entry in published}
        lags = {
            "modular_addition": values["LL1"]["lag"],
            "sine_regression": values["LL3"]["lag"],
        }
        published_lags = values["LL2"] | {"lag": lags}
        return lead_lag_tables(mine, published_lags, settings["transitions"]["replication_steps"])
    if study == "gai":
        return gai_tables(mine, settings["phases"]["gap"], settings["evaluation"]["lead_window"])
    if study == "phase_diagram":
        return phase_tables(mine)
    raise ValueError(f"no report tables for the study {study!r}; add them here")
