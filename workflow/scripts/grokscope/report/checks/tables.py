"""Checks of the result tables: complete, and what the traces say.

Input: the tables as they were written and as they were recomputed. Output: one check per table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from grokscope.claims.rows import records
from grokscope.measure.phases import PHASES, UNKNOWN
from grokscope.report.checks.check import Check, equal, text_of
from grokscope.report.checks.recompute import Recomputed
from grokscope.report.tables.parts import OF_RUNS, OF_STUDIES, row_columns, row_id, row_ids
from grokscope.runs.spec import RunKey, key_columns

# Tables with one row per run.
PER_RUN = ("runs", "transitions", "phases")
# Tables of the results that have runs' keys; variants are looked at where a study has them.
WITH_RUNS = (*PER_RUN, "alarms", "rank")


def check_completeness(tables: Mapping[str, pd.DataFrame], keys: Iterable[RunKey]) -> Check:
    """Every run of the grid once in each table with one row per run, and no other run anywhere."""
    check = Check("every run of the grid is present once")
    wanted = {row_id(key.row(), "runs") for key in keys}
    for name in WITH_RUNS:
        counts = Counter(run_ids(tables[name]))
        for run in sorted(set(counts) - wanted):
            check.problems.append(f"{name}: run not in the grid: {run}")
        if name in PER_RUN:
            for run in sorted(wanted):
                number = counts.get(run, 0)
                check.expect(number == 1, f"{name}: {number} rows of run {run}")
    return check


def run_ids(table: pd.DataFrame) -> list[str]:
    """Which run each row of a table is of."""
    return row_ids(table[key_columns(table.columns)], "runs")


def check_labels(phases: pd.DataFrame) -> Check:
    """Every run has one of the phases, and so has every vote."""
    check = Check("phase labels are total")
    for row in records(phases):
        for name in ("phase", "vote"):
            check.expect(
                row[name] in (*PHASES, UNKNOWN),
                f"{name} {row[name]!r} of {row_id(row, 'phases')}; allowed: {', '.join(PHASES)}",
            )
    return check


def check_tables(
    tables: Mapping[str, pd.DataFrame], recomputed: Recomputed, keys: Iterable[RunKey]
) -> list[Check]:
    """One check per table: is it what the traces say?

    Runs whose trace cannot be read are a problem of the trace, not of the tables: their rows
    are left out, and so are their studies in tables that need all runs of a study.
    """
    wanted = list(keys)
    known = set(run_ids(recomputed.tables["runs"]))
    lost = {row_id(key.row(), "runs") for key in wanted} - known
    incomplete = {key.study for key in wanted} - recomputed.complete
    checks = []
    for name in (*OF_RUNS, *OF_STUDIES):
        if name not in tables:
            continue
        written, expected = tables[name], recomputed.tables[name]
        if name in WITH_RUNS:
            present = [run not in lost for run in run_ids(written)]
            written = written[np.array(present, bool)]
        else:
            written = written[~written["study"].isin(incomplete)]
            expected = expected[~expected["study"].isin(incomplete)]
        checks.append(Check(f"{name} recomputed from the traces"))
        compare(checks[-1], name, written, expected)
    return checks


def compare(check: Check, table: str, written: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare a table with a recomputed one, row by row and column by column.

    Numbers agree within a relative tolerance; all else must be equal.
    """
    index = row_columns(table, expected.columns)
    lacking = [name for name in index if name not in written]
    if lacking:
        check.expect(False, f"{table}: no column {', '.join(lacking)}")
        return
    for row in records(written.loc[written.duplicated(index), index]):
        check.expect(False, f"{table}: row {_named(row, index)} is in the table twice")
    merged = expected.merge(
        written, on=index, how="outer", suffixes=("", " (table)"), indicator=True
    )
    merged = merged.sort_values(index, kind="stable").reset_index(drop=True)
    names = [_named(row, index) for row in records(merged[index])]
    sides = {"left_only": "is missing", "right_only": "is in the table, not in the traces"}
    for name, side in zip(names, merged["_merge"], strict=True):
        check.expect(side == "both", f"{table}: row {name} {sides.get(side, '')}")
    both = (merged["_merge"] == "both").to_numpy()
    for column in expected.columns:
        if column in index:
            continue
        if f"{column} (table)" not in merged:
            check.problems.append(f"{table}: no column {column}")
            continue
        ours, theirs = merged[column], merged[f"{column} (table)"]
        for i in np.flatnonzero(both & ~equal(ours, theirs)):
            check.problems.append(
                f"{table}: {column} of {names[i]} is {text_of(theirs[i])}, "
                f"recomputed {text_of(ours[i])}"
            )
    for column in set(written.columns) - set(expected.columns):
        check.problems.append(f"{table}: column {column} is in the table, not in the traces")


def _named(row: Mapping[str, object], index: Sequence[str]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in index)
