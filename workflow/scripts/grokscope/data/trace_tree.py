"""The traces of a configuration as one table, and what else lies among its results.

``results/`` keeps what earlier configurations made, so a folder of traces may hold runs of grids
long gone; and the traces of one study differ in their columns, since each layer has its own. So a
tool that reads the folder itself mixes and drops runs and columns in silence. Here the
configuration says which runs there are.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from grokscope.core.errors import UserError
from grokscope.core.formatting import count
from grokscope.data.logs.index import known_runs
from grokscope.data.parts import RANK_MEASURES, layer_order, parts_of
from grokscope.data.tables import key_frame
from grokscope.data.trace import trace_schema
from grokscope.data.trace_reader import check_trace
from grokscope.runs.imported import AnySpec
from grokscope.runs.paths import CONFIGURATION, PANEL_FOLDER
from grokscope.runs.plan import Plan
from grokscope.runs.reading import read_config
from grokscope.runs.spec import TRACES, RunSpec

# Where studies have their files; the figure that people ask for by name lies beside the report.
_PLACES = (
    *(f"{name}/**/*" for name in ("traces", "panels", "studies", "summaries", "figures")),
    "*.png",
    "*.svg",
)


class ResultsError(UserError, ValueError):
    """Results that are not there, or not those that were asked for."""


def plan_of(
    folder: str | os.PathLike[str] = ".", config: str | os.PathLike[str] | None = None
) -> Plan:
    """The plan of a configuration, by default of the one whose results are in a folder.

    Raises
    ------
    ResultsError
        If the folder has no results.
    ConfigError
        If the configuration is wrong.
    """
    path = Path(folder, CONFIGURATION) if config is None else Path(config)
    if config is None and not path.is_file():
        raise ResultsError(
            f"{path}: no such file: snakemake writes it with the tables of all studies (snakemake "
            "all); or name the configuration's file (config=...)"
        )
    # Where runs are kept does not matter here, and may be on another machine.
    return Plan(
        {**read_config(path), "store": None, "runs_per_job": None},
        lambda study: known_runs(study, folder),
    )


def read_runs(
    folder: str | os.PathLike[str] = ".",
    *,
    config: str | os.PathLike[str] | None = None,
    study: str | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The traces of all runs of a configuration as one table, each file verified.

    Traces of other runs, as earlier configurations leave them, are not read, but told.

    Parameters
    ----------
    folder
        Where Snakemake ran; its results are in ``results``.
    config
        File of the configuration; None takes the one whose tables and report are in the results.
    study
        A study of it; None takes all.
    columns
        Columns of traces to read, ``step`` always among them; None reads all.

    Returns
    -------
    DataFrame
        One row per run and step. First the key columns with the types that they have in all
        tables (null where a study does not vary a setting), then ``step``, then the columns of
        the traces: all that some run has, null where a run has no such layer.

    Raises
    ------
    ResultsError
        If there are no results, no such study or column, or a run has no trace.
    TraceError
        Naming the file, if one is damaged or of another specification.

    Warns
    -----
    UserWarning
        Saying how many traces of other runs were left out.

    Examples
    --------
    >>> frame = read_runs(study="gai", columns=["grad_norm"])  # doctest: +SKIP
    >>> frame[frame["weight_decay"] == 1.0].groupby(["task", "seed"])["grad_norm"].max()
    ... # doctest: +SKIP
    """
    plan = plan_of(folder, config)
    if study is not None and study not in plan.studies:
        have = ", ".join(plan.studies)
        raise ResultsError(f"study {study!r}: the configuration has no such study; it has {have}")
    specs = [spec for key, spec in plan.specs.items() if study in (None, key.study)]
    missing = [spec.key.path for spec in specs if not Path(folder, spec.key.path).is_file()]
    if missing:
        raise ResultsError(
            f"{missing[0]}: no such trace, as for {len(missing)} of {len(specs)} runs; "
            "snakemake trains them"
        )
    has = [_columns_of(Path(folder, spec.key.path), spec) for spec in specs]
    wanted = _names(has, columns)
    tables = []
    for spec, names in zip(specs, has, strict=True):
        there = [name for name in wanted if name in names]
        tables.append(check_trace(Path(folder, spec.key.path), spec, there)[2])
    others = [path for path in left_over(plan, folder) if _is_trace(path, study)]
    if others:
        warnings.warn(
            f"{Path(folder, TRACES)}: {count(len(others), 'trace')} of no run of this "
            "configuration left out; the command grokscope tidy lists them and can move them away",
            stacklevel=2,
        )
    whole = pa.concat_tables(
        [table.replace_schema_metadata() for table in tables], promote_options="default"
    )
    keys = key_frame([spec.key.row() for spec in specs])
    rows = keys.index.repeat([len(table) for table in tables])
    frame: pd.DataFrame = keys.loc[rows].reset_index(drop=True)
    return frame.join(whole.select(wanted).to_pandas())


def _columns_of(path: Path, spec: AnySpec) -> list[str]:
    """Columns of a run's trace; of a user's network its file names the parts."""
    parts = None
    if isinstance(spec, RunSpec) and parts_of(spec) is None:
        parts = check_trace(path, spec, ["step"])[1].parts
    names: list[str] = trace_schema(spec, parts).names
    return names


def _place(column: str) -> tuple[int, Any, str]:
    """Key to sort columns by: kind, then layer."""
    for place, kind in enumerate(("grad_norm_", "weight_norm_", "update_norm_")):
        if column.startswith(kind):
            return place + 1, layer_order(column.removeprefix(kind)), ""
    measure, found, matrix = column.partition("_rank_")
    if found:
        return 4, layer_order(matrix), str(RANK_MEASURES.index(measure))
    entropy = column.startswith("attention_entropy_")
    return (5, column, "") if entropy else (0, 0, "")


def _names(has: Sequence[Sequence[str]], columns: Sequence[str] | None) -> list[str]:
    """Columns to read of those that runs have, layers from the input to the output.

    Raises
    ------
    ResultsError
        If no run has a column that was asked for.
    """
    there = dict.fromkeys(name for names in has for name in names if name != "seed")
    # Sorting is stable: what is of no layer stays where it is.
    names = sorted(there, key=_place)
    if columns is None:
        return names
    if unknown := [name for name in columns if name not in there]:
        raise ResultsError(f"columns: no trace has {unknown[0]!r}; allowed: {', '.join(names)}")
    return [name for name in names if name in {"step", *columns}]


def _is_trace(path: str, study: str | None) -> bool:
    return path.startswith(f"{TRACES}/" if study is None else f"{TRACES}/{study}/")


def left_over(plan: Plan, folder: str | os.PathLike[str] = ".") -> list[str]:
    """Results of other configurations: traces of runs in no grid, tables and figures of theirs.

    Returns
    -------
    list of str
        Paths relative to `folder`, sorted.
    """
    made = {path for study in plan.studies for path in plan.study_files(study)}
    made.update(f"{PANEL_FOLDER.format(**p._asdict())}/environment.json" for p in plan.panels)
    results = Path(folder, "results")
    found = {
        path.relative_to(folder).as_posix()
        for place in _PLACES
        for path in results.glob(place)
        if path.suffix in (".parquet", ".json", ".png", ".svg") and path.name[0] != "."
    }
    return sorted(found - made)


def move_away(
    paths: Sequence[str], target: str | os.PathLike[str], folder: str | os.PathLike[str] = "."
) -> None:
    """Move results to another folder, where they keep their paths, and drop emptied folders.

    Raises
    ------
    ResultsError
        If the other folder has a file of one of these paths; nothing is moved then.
    """
    for path in paths:
        if Path(target, path).exists():
            raise ResultsError(f"{Path(target, path)}: is there already; allowed: another folder")
    for path in paths:
        Path(target, path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder, path), Path(target, path))
        for above in Path(path).parents[:-2]:
            with suppress(OSError):  # Not empty.
                Path(folder, above).rmdir()
