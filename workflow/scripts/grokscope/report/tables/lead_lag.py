"""Report tables of a lead_lag study: transitions of each run, lags over seeds.

Input: the result tables of one study. Output: tables, published numbers beside the measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.claims.rows import groups
from grokscope.core.formatting import ABSENT, number, plain, steps
from grokscope.report.tables.parts import (
    NOTHING,
    Cell,
    RowCells,
    Table,
    also_varying,
    computed,
    parameter,
    parameter_words,
    sorted_rows,
)
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import cell_columns, key_columns


def tables(
    results: Mapping[str, pd.DataFrame], analysis: Analysis, claims: ClaimSet | None
) -> list[Table]:
    """Both tables.

    Parameters
    ----------
    results
        ``runs`` and ``transitions`` of the study.
    claims
        The claim set that the study is judged by; its published lags stand beside the measured.
    """
    keys = key_columns(results["runs"].columns)
    runs = results["runs"][[*keys, "final_test_metric", "max_steps"]]
    frame = results["transitions"].merge(runs, on=keys)
    values = {} if claims is None else {claim.id: claim.values for claim in claims.claims}
    replication_steps = analysis.transitions.replication_steps
    found = [transition_table(frame, values, replication_steps)]
    over_seeds = seed_table(frame, values, replication_steps)
    return [*found, over_seeds] if over_seeds.rows else found


def published_lags(values: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Published lags of primary runs (steps), by task and train fraction."""
    return {each["task"]: each["lag"] for each in values.values() if "lag" in each}


def transition_table(
    frame: pd.DataFrame, values: Mapping[str, Any], replication_steps: int
) -> Table:
    """One row per run.

    Parameters
    ----------
    frame
        ``transitions`` with ``max_steps`` and ``final_test_metric`` of the runs.
    values
        Published numbers by claim.
    replication_steps
        Steps that the lag of LL2 is measured on.
    """
    published = published_lags(values)
    # The runs that the published lags are of: as in the claims, those with the most steps.
    longest = frame.groupby("task")["max_steps"].max()
    shown = ["task", "train_fraction"]
    shown += [*also_varying(frame, shown), "seed"]
    rows, boundary = [], False
    for row in sorted_rows(frame, key_columns(frame.columns)):
        cell, end = RowCells(row, "transitions"), RowCells(row, "runs")
        edge = pd.notna(row["grad_peak_at_boundary"]) and bool(row["grad_peak_at_boundary"])
        boundary |= edge
        cells = [
            *cell.settings(shown),
            end("max_steps"),
            cell("grad_peak_step", mark=" †" if edge else ""),
            cell("metric_transition_step"),
            cell("metric_at_transition", number),
            cell("lag"),
        ]
        if published:
            primary = row["max_steps"] == longest[row["task"]]
            lags = published.get(row["task"], {}) if primary else {}
            known = lags.get(_fraction(row))
            cells.append(Cell(ABSENT if known is None else steps(known), numeric=True))
        cells += [
            cell("replication_lag"),
            cell("xcorr_lag"),
            cell("pearson_r", number),
            _onset(cell),
            cell("onset_lag"),
            end("final_test_metric", number),
        ]
        rows.append(cells)
    header = [parameter_words(name) for name in shown]
    header += ["steps", "gradient peak", "metric transition", "metric there", "lag"]
    header += ["published"] if published else []
    header += [f"lag, first {steps(replication_steps)}", "cross-corr. lag", "Pearson r"]
    header += ["onset", "onset lag", "final metric"]
    note = "Steps are optimiser updates; a lag is positive where the gradient comes first."
    note += " 'Metric there' is the smoothed test metric at its steepest rise."
    note += " '> n' is a censored onset: not reached in n steps."
    if boundary:
        note += " † The peak is the first step searched, so it is no interior peak."
    return Table("Transitions of each run", header, rows, note)


def _fraction(row: Mapping[str, Any]) -> str:
    """Train fraction as published lags are named by it; empty where no log tells it."""
    return "" if pd.isna(row["train_fraction"]) else plain(row["train_fraction"])


def _onset(cell: RowCells) -> Cell:
    """Step of the onset; if it is censored, the step that it lies beyond."""
    # Neither reached nor censored: the log does not tell.
    if pd.isna(cell.row.get("test_onset_censored", True)):
        return NOTHING
    if pd.notna(cell.row["test_onset_step"]):
        return cell("test_onset_step")
    return cell("last_step", lambda last: f"> {steps(last)}", absent="censored")


def seed_table(frame: pd.DataFrame, values: Mapping[str, Any], replication_steps: int) -> Table:
    """Lag of each cell with two seeds or more: mean, sample standard deviation, extremes."""
    published = values.get("LL2")
    names = cell_columns(frame.columns)[1:]
    rows = []
    for cell, group in groups(frame, names):
        lags = group["replication_lag"].dropna().astype(float)
        if len(lags) < 2:
            continue
        row = dict(zip(names, cell, strict=True))
        cells = [parameter(value) for value in cell]
        cells += [computed(len(lags)), computed(lags.mean()), computed(lags.std(ddof=1))]
        cells += [computed(lags.min()), computed(lags.max())]
        if published is not None:
            fraction = _fraction(row)
            known = row["task"] == published["task"] and fraction in published["mean"]
            text = (
                (
                    f"{published['mean'][fraction]} ± {published['sd'][fraction]} "
                    f"({published['min'][fraction]} to {published['max'][fraction]})"
                )
                if known
                else ABSENT
            )
            cells.append(Cell(text, numeric=True))
        rows.append(cells)
    header = [parameter_words(name) for name in names]
    header += ["seeds", "mean lag", "sd", "smallest", "largest"]
    header += ["published"] if published is not None else []
    note = f"Lag within the first {steps(replication_steps)} steps, so that all runs compare."
    return Table("Lag over seeds", header, rows, note)
