"""Logs of experiment trackers: TensorBoard's event files, MLflow's folders, SQLite of both kinds.

Their own packages read them where there is one; it is imported when such a log is met.
"""

from __future__ import annotations

import importlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from grokscope.data.logs.rows import LogError, Rows, flat, from_records, number_of

# Scalars in the order written, those of a step that was logged again after a resumption included.
_ALL = 0


def _need(package: str, extra: str, path: Path) -> Any:
    """A package that reads this kind of log."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise LogError(
            f"{path}: reading it needs {package.partition('.')[0]}; to have it: "
            f"pip install 'grokscope[{extra}]'"
        ) from None


def read_tensorboard(path: Path) -> Iterator[Rows]:
    """All scalars of a folder of event files; of a step that was logged again the later counts."""
    module = _need("tensorboard.backend.event_processing.event_accumulator", "tensorboard", path)
    folder = path if path.is_dir() else path.parent
    sizes = {"scalars": _ALL, "tensors": _ALL, "images": 1, "histograms": 1, "audio": 1}
    # Not purging: what is to be done about steps that were made again is decided in one place.
    events = module.EventAccumulator(str(folder), sizes, purge_orphaned_data=False)
    events.Reload()
    tags = events.Tags()
    points: list[tuple[float, int, str, float]] = []
    for tag in tags["scalars"]:
        points += [(of.wall_time, of.step, tag, of.value) for of in events.Scalars(tag)]
    for tag in tags["tensors"]:
        util = importlib.import_module("tensorboard.util.tensor_util")
        for of in events.Tensors(tag):
            value = util.make_ndarray(of.tensor_proto)
            if value.size == 1 and value.dtype.kind in "fiu":
                points.append((of.wall_time, of.step, tag, float(value.reshape(()))))
    if not points:
        raise LogError(f"{path}: the event files have no scalar")
    points.sort(key=lambda point: point[0])
    records: list[dict[str, Any]] = []
    for _, step, tag, value in points:
        # What was logged at one step in a row is one row.
        if not records or records[-1]["step"] != step or tag in records[-1]:
            records.append({"step": step})
        records[-1][tag] = math.inf if not math.isfinite(value) else value
    found = from_records(records, format="tensorboard")
    yield Rows(
        "tensorboard", found.numbers, names={"step": "step"}, later_wins=True, complete=True
    )


def is_mlflow_run(path: Path) -> bool:
    """Whether a folder is a run of MLflow's file store."""
    return (path / "meta.yaml").is_file() and (path / "metrics").is_dir()


def read_mlflow(path: Path) -> Iterator[Rows]:
    """A run of MLflow's file store: a file per metric, lines of time, value and step."""
    records = []
    for file in sorted((path / "metrics").rglob("*")):
        if not file.is_file():
            continue
        # A name with a slash is a folder.
        name = file.relative_to(path / "metrics").as_posix()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            parts = line.split()
            if len(parts) not in (2, 3, 5):
                raise LogError(f"{file}: line {number} is not: time value step")
            step = parts[2] if len(parts) > 2 else "0"
            records.append((int(parts[0]), {"step": int(step), name: number_of(parts[1])}))
    records.sort(key=lambda record: record[0])
    config: dict[str, Any] = {}
    for file in sorted((path / "params").rglob("*")):
        if file.is_file():
            config[file.relative_to(path / "params").as_posix()] = _plain(file.read_text("utf-8"))
    yield _logged([record for _, record in records], "mlflow", config)


def _plain(text: str) -> Any:
    """A parameter that was kept as text."""
    number = number_of(text)
    return text if number is None or text == "" else number


def _logged(records: list[dict[str, Any]], name: str, config: Mapping[str, Any]) -> Rows:
    found = from_records(_nan_kept(records), format=name, config=config)
    return Rows(name, found.numbers, found.texts, config, names={"step": "step"}, complete=True)


def _nan_kept(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Records in which a value that is not finite stays one."""
    for record in records:
        yield {k: v for k, v in record.items() if not (isinstance(v, float) and math.isnan(v))}


def read_sqlite(path: Path) -> Iterator[Rows]:
    """trackio's database, or MLflow's tracking store: each run a part."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            tables = {row[0] for row in base.execute("select name from sqlite_master")}
            columns = _columns(base, "metrics") if "metrics" in tables else set()
            if {"run_name", "step", "metrics"} <= columns:
                yield from _trackio(base, tables)
            elif {"run_uuid", "key", "value", "step"} <= columns:
                yield from _mlflow_tables(base)
            else:
                raise LogError(
                    f"{path}: is neither trackio's nor MLflow's database; it has the tables "
                    f"{', '.join(sorted(tables)) or 'none'}"
                )
    except sqlite3.Error as error:
        raise LogError(f"{path}: not a readable SQLite database ({error})") from None


def _columns(base: sqlite3.Connection, table: str) -> set[str]:
    """Columns of a table: older files have others."""
    return {row[1] for row in base.execute(f"pragma table_info({table})")}


def _trackio(base: sqlite3.Connection, tables: set[str]) -> Iterator[Rows]:
    order = "id" if "id" in _columns(base, "metrics") else "rowid"
    configs: dict[str, dict[str, Any]] = {}
    if "configs" in tables and {"run_name", "config"} <= _columns(base, "configs"):
        for name, text in base.execute("select run_name, config from configs"):
            configs[name] = flat(json.loads(text))
    query = f"select run_name, step, metrics from metrics order by {order}"  # noqa: S608  # Fixed words.
    runs: dict[str, list[dict[str, Any]]] = {}
    for name, step, text in base.execute(query):
        runs.setdefault(name, []).append(json.loads(text) | {"step": step})
    for name, records in runs.items():
        found = from_records(records, format="trackio")
        yield Rows(
            "trackio",
            found.numbers,
            found.texts,
            configs.get(name, {}),
            part=name,
            names={"step": "step"},
            complete=True,
        )


def _mlflow_tables(base: sqlite3.Connection) -> Iterator[Rows]:
    nan = "is_nan" if "is_nan" in _columns(base, "metrics") else "0"
    names = dict(base.execute("select run_uuid, name from runs"))
    params: dict[str, dict[str, Any]] = {}
    for run, key, value in base.execute("select run_uuid, key, value from params"):
        params.setdefault(run, {})[key] = _plain(value)
    runs: dict[str, list[dict[str, Any]]] = {}
    query = f"select run_uuid, key, value, step, {nan} from metrics order by timestamp, step"  # noqa: S608  # Fixed words.
    for run, key, value, step, is_nan in base.execute(query):
        runs.setdefault(run, []).append({"step": step, key: math.inf if is_nan else value})
    twice = len(set(names.values())) < len(names)
    for run, records in runs.items():
        rows = _logged(records, "mlflow", params.get(run, {}))
        part = run if twice or not names.get(run) else names[run]
        yield Rows(
            "mlflow", rows.numbers, rows.texts, rows.config, part, rows.names, complete=True
        )
