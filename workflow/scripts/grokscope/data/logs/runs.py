"""Runs: the rows of one log as imported runs, or the reason why not.

Input: rows, and the source of the study. Output: for each run its specification and the columns of
its trace. Nothing is guessed that would change a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokscope.data.logs.checks import check_values, not_sampled
from grokscope.data.logs.columns import find_columns, in_order, nearest
from grokscope.data.logs.identity import identity
from grokscope.data.logs.rows import Floats, LogError, Rows, selected
from grokscope.runs.imported import MOST_STEPS, ImportedSpec, LoggedColumn
from grokscope.runs.sources import ColumnSource, Source

Steps = NDArray[np.int64]
_LOSSES = ("train_loss", "test_loss")
# Share of the distances that must be the usual one.
_REGULAR = 0.9


@dataclass(frozen=True)
class ImportedRun:
    """A run of a log.

    Attributes
    ----------
    steps
        Steps with a row, ascending, shape ``(n_rows,)``.
    columns
        Columns of its trace by name, shape ``(n_rows,)``, NaN where nothing was logged.
    """

    spec: ImportedSpec
    steps: Steps
    columns: Mapping[str, Floats]


def cadence(steps: Steps) -> int | None:
    """Steps from one value to the next: the usual distance, None if there is none.

    >>> cadence(np.array([0, 50, 100, 150]))
    50
    >>> cadence(np.array([1, 2, 4, 8, 16])) is None
    True
    """
    distances, counts = np.unique(np.diff(steps), return_counts=True)
    if not len(distances) or counts.max() < _REGULAR * counts.sum():
        return None
    return int(distances[counts.argmax()])


def runs_of(
    study: str, log: str, digest: str, rows: Rows, source: Source
) -> Iterator[ImportedRun]:
    """The runs in the rows of a log.

    Parameters
    ----------
    study
        Name of the study.
    log, digest
        Path of the log and the hash of its bytes.

    Raises
    ------
    LogError
        Saying what is wrong with the log, and what would be right.
    """
    if not len(rows):
        raise LogError(f"{log}: has no row")
    rows = _where(log, rows, source)
    if source.format == "crossings":
        yield from _crossings(study, log, digest, rows, source)
        return
    names = find_columns(log, rows, source.columns)
    reached = [name for name in names if name.endswith("_reached")]
    if reached:
        raise LogError(f"{log}: columns.{reached[0]} is for format crossings alone")
    for part in _parts(log, rows, names.pop("run", None)):
        yield _one(study, log, digest, part, names, source)


def _where(log: str, rows: Rows, source: Source) -> Rows:
    """The rows that the source asks for."""
    wanted = np.ones(len(rows), bool)
    for name, value in source.where.items():
        if name in rows.texts:
            wanted &= np.array([text == str(value) for text in rows.texts[name]])
        elif name in rows.numbers:
            if isinstance(value, str):
                raise LogError(f"{log}: where.{name}: {value!r} is no number, as the column has")
            wanted &= rows.numbers[name] == float(value)
        else:
            raise LogError(f"{log}: where.{name}: no such column; {nearest(name, rows.columns)}")
        if not wanted.any():
            raise LogError(f"{log}: where.{name}: no row has {value!r}")
    return rows if wanted.all() else selected(rows, wanted)


def _parts(log: str, rows: Rows, column: str | None) -> Iterator[Rows]:
    """The rows of each run, told apart by a column."""
    if column is None:
        yield rows
        return
    values = rows.texts.get(column) or [
        None if np.isnan(value) else f"{value:g}" for value in rows.numbers[column]
    ]
    if None in values:
        raise LogError(f"{log}: column {column!r} tells runs apart, but is empty in some rows")
    for name in dict.fromkeys(values):
        yield selected(rows, np.array([value == name for value in values]), part=name)


def _one(
    study: str, log: str, digest: str, rows: Rows, names: Mapping[str, str], source: Source
) -> ImportedRun:
    """One run."""
    where = log if rows.part is None else f"{log}, run {rows.part}"
    traced = [name for name in names if name != "step"]
    if not traced:
        raise LogError(
            f"{where}: no column that a trace has; allowed: columns: {{test_metric: NAME}} and "
            f"others. {nearest('test_metric', rows.columns)}"
        )
    steps = _steps(where, rows.numbers[names["step"]], names["step"])
    values = {}
    for name in traced:
        given = source.columns.get(name)
        values[name] = rows.numbers[names[name]] * (1.0 if given is None else given.scale)
    kept = ~np.isnan(steps)
    for name, of in values.items():
        values[name] = of[kept]
    later = rows.later_wins or source.overlap == "later_wins"
    merged, values = _merged(where, steps[kept].astype(np.int64), values, names, later)
    diverged = _first_not_finite(merged, values)
    if diverged is not None:
        ahead = merged < diverged
        merged, values = merged[ahead], {name: of[ahead] for name, of in values.items()}
    # A norm that overflowed is not known, and says nothing about the loss.
    values = {name: np.where(np.isinf(of), np.nan, of) for name, of in values.items()}
    values = {name: of for name, of in values.items() if not np.isnan(of).all()}
    if not values:
        raise LogError(f"{where}: no finite value in {', '.join(names[name] for name in traced)}")
    known = ~np.all([np.isnan(of) for of in values.values()], axis=0)
    merged, values = merged[known], {name: of[known] for name, of in values.items()}
    check_values(where, merged, values, names)
    columns = []
    for name in in_order(values):
        at = merged[~np.isnan(values[name])]
        columns.append(_logged(name, names[name], cadence(at), source.columns, rows))
    not_sampled(where, rows, names["step"], merged, values)
    key, _ = identity(study, log, rows, source)
    spec = ImportedSpec(
        **key,
        log=log,
        part=rows.part,
        digest=digest,
        format=rows.format,
        row=rows.row if source.row == "unknown" else source.row,
        columns=tuple(columns),
        first_step=int(merged[0]),
        last_step=int(merged[-1]),
        diverged_step=diverged,
    )
    return ImportedRun(spec, merged, {name: values[name] for name in in_order(values)})


def _logged(
    name: str, logged: str, every: int | None, given: Mapping[str, ColumnSource], rows: Rows
) -> LoggedColumn:
    entry = given.get(name, ColumnSource(logged, 1.0, "row"))
    mean = rows.means.get(logged, "row") if entry.mean_over == "row" else entry.mean_over
    return LoggedColumn(name, logged, every, entry.scale, mean)


def _steps(where: str, steps: Floats, column: str) -> Floats:
    """Steps as whole numbers; NaN in rows that have none."""
    known = steps[~np.isnan(steps)]
    if not len(known):
        raise LogError(f"{where}: column {column!r} has no step; allowed: one that counts updates")
    wrong = known[~np.isfinite(known) | (known < 0) | (known != np.round(known))]
    if len(wrong):
        raise LogError(
            f"{where}: column {column!r}, taken as step, has {wrong[0]:g}; allowed: whole numbers "
            "from 0 on (an epoch is no step)"
        )
    if known.max() > MOST_STEPS:
        raise LogError(
            f"{where}: step {known.max():,.0f} of column {column!r} is not allowed; allowed: at "
            f"most {MOST_STEPS:,} (steps are optimiser updates, not samples or tokens)"
        )
    return steps


def _merged(
    where: str, steps: Steps, values: dict[str, Floats], names: Mapping[str, str], later: bool
) -> tuple[Steps, dict[str, Floats]]:
    """One row per step: what was logged on several rows of a step put together, never added."""
    back = np.flatnonzero(np.diff(steps) < 0)
    if len(back) and not later:
        place = back[0]
        raise LogError(
            f"{where}: steps go backwards, from {steps[place]:,} to {steps[place + 1]:,} in row "
            f"{place + 2:,}. Two runs in one log? Then name the column that tells them apart: "
            "columns: {run: NAME}. A resumed run? Then: overlap: later_wins"
        )
    if len(back):
        # What was written before a step was made again does not belong to the run that went on.
        kept = np.minimum.accumulate(np.append(steps[1:], np.iinfo(np.int64).max)[::-1])[::-1]
        ahead = steps < kept
        same = steps == kept
        chosen = ahead | same
        steps, values = steps[chosen], {name: of[chosen] for name, of in values.items()}
    found = np.unique(steps)
    if len(found) == len(steps):
        return steps, values
    place = np.searchsorted(found, steps)
    merged = {}
    for name, of in values.items():
        there = ~np.isnan(of)
        rows, at = np.flatnonzero(there), place[there]
        if later:
            rows, at = rows[::-1], at[::-1]
        _, first = np.unique(at, return_index=True)
        new = np.full(len(found), np.nan)
        new[at[first]] = of[rows[first]]
        again = of[rows] != new[at]
        if again.any() and not later:
            row = int(rows[again][0])
            raise LogError(
                f"{where}: column {names[name]!r} has two values at step {steps[row]:,}: "
                f"{new[place[row]]:g} and {of[row]:g}. Two runs in one log? Then name the column "
                "that tells them apart: columns: {run: NAME}"
            )
        merged[name] = new
    return found, merged


def _first_not_finite(steps: Steps, values: Mapping[str, Floats]) -> int | None:
    """First step with a loss that is not finite; None without one."""
    bad = [steps[np.isinf(values[name])] for name in _LOSSES if name in values]
    found = [int(of[0]) for of in bad if len(of)]
    return min(found) if found else None


def _crossings(
    study: str, log: str, digest: str, rows: Rows, source: Source
) -> Iterator[ImportedRun]:
    """A run per row: its metrics as lower bounds, from the first steps at a level."""
    assert source.reached is not None and source.last_step is not None
    names: dict[str, str] = {}
    for name in ("train_reached", "test_reached"):
        entry = source.columns.get(name)
        if entry is None or entry.column is None or entry.column not in rows.numbers:
            what = "is missing" if entry is None else f"names {entry.column!r}"
            raise LogError(
                f"{log}: columns.{name} {what}; allowed: the column of first steps. "
                f"{nearest(name, rows.columns)}"
            )
        names[name] = entry.column
    for row in range(len(rows)):
        chosen = np.arange(len(rows)) == row
        one = selected(rows, chosen, part=f"row {row + 1}")
        where = f"{log}, {one.part}"
        at: dict[str, int | None] = {}
        for name, column in names.items():
            value = one.numbers[column][0]
            if np.isnan(value) or value == source.not_reached:
                at[name] = None
            elif value != round(value) or not 0 <= value <= source.last_step:
                raise LogError(
                    f"{where}: column {column!r} has {value:g}; allowed: a step from 0 to "
                    f"last_step {source.last_step:,}, or not_reached {source.not_reached}"
                )
            else:
                at[name] = int(value)
        steps = sorted({0, source.last_step, *(step for step in at.values() if step is not None)})
        columns: dict[str, Floats] = {}
        for name, step in at.items():
            bounds = np.zeros(len(steps))
            if step is not None:
                bounds[np.array(steps) >= step] = source.reached
            columns[name.replace("_reached", "_metric")] = bounds
        key, _ = identity(study, log, one, source)
        logged = tuple(
            LoggedColumn(name, names[name.replace("_metric", "_reached")], None)
            for name in in_order(columns)
        )
        spec = ImportedSpec(
            **key,
            log=log,
            part=one.part,
            digest=digest,
            format="crossings",
            row="unknown" if source.row == "unknown" else source.row,
            columns=logged,
            first_step=0,
            last_step=source.last_step,
            reached=source.reached,
        )
        yield ImportedRun(spec, np.array(steps, np.int64), columns)
