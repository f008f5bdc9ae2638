"""Study summaries: one JSON a study, with its grid, counts, lags, verdicts and metadata.

Input: the result tables and how the traces were made. Output: mappings of plain values.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

import grokscope
from grokscope.data.trace import TraceInfo

GRID_COLUMNS = ("task", "depth", "train_fraction", "weight_decay", "width", "seed")
CELL = ["task", "depth", "train_fraction", "weight_decay", "width"]
LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "snakemake")


def study_facts(study: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """All of a study's summary that follows from the tables.

    Parameters
    ----------
    study
        Name of the study.
    tables
        ``runs``, ``transitions``, ``phases`` and ``claims``.

    Returns
    -------
    dict
        ``grid`` (values that occur), ``runs``, ``seeds``, ``steps`` and ``seconds`` (totals),
        ``stopped`` and ``phases`` (counts), ``lags`` (a mapping a cell: number, mean, standard
        deviation and extremes over seeds; steps) and ``claims``.
    """
    mine = {name: table[table["study"] == study] for name, table in tables.items()}
    runs = mine["runs"]
    grid = {f"{name}s": sorted(runs[name].unique().tolist()) for name in GRID_COLUMNS}
    lags = []
    for cell, group in mine["transitions"].groupby(CELL):
        of: dict[str, Any] = dict(zip(CELL, cell, strict=True))
        for name in ("lag", "replication_lag", "onset_lag"):
            of[name] = _spread(group[name])
        lags.append(of)
    columns = ["claim", "verdict", "measured", "low", "high", "n", "seeds"]
    return {
        "study": study,
        "grid": grid,
        "runs": len(runs),
        "seeds": grid["seeds"],
        "steps": int(runs["steps"].sum()),
        "seconds": round(float(runs["seconds"].sum()), 3),
        "stopped": _counts(runs["stopped"]),
        "phases": _counts(mine["phases"]["phase"]),
        "lags": lags,
        "claims": [
            {name: _plain(value) for name, value in row.items()}
            for row in mine["claims"][columns].to_dict("records")
        ],
    }


def training_environment(infos: Iterable[TraceInfo]) -> dict[str, Any]:
    """Library versions and devices that trained the runs; several where traces differ."""
    versions: dict[str, set[str]] = {}
    devices, threads = set(), set()
    for info in infos:
        for name, version in info.versions.items():
            versions.setdefault(name, set()).add(version)
        devices.add(info.device)
        threads.add(info.threads)
    return {
        "versions": {name: sorted(versions[name]) for name in sorted(versions)},
        "devices": sorted(devices),
        "threads": sorted(threads),
    }


def analysis_environment() -> dict[str, Any]:
    """Library versions and the machine of this analysis, without names or paths."""
    versions = {"grokscope": grokscope.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "machine": {
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "architecture": platform.machine(),
        },
    }


def _spread(values: pd.Series) -> dict[str, Any]:
    """Number, mean, sample standard deviation and extremes of the known values."""
    known = values.dropna().astype(float)
    if known.empty:
        return {"n": 0, "mean": None, "sd": None, "min": None, "max": None}
    return {
        "n": len(known),
        "mean": float(known.mean()),
        "sd": float(known.std()) if len(known) > 1 else None,
        "min": float(known.min()),
        "max": float(known.max()),
    }


def _counts(values: pd.Series) -> dict[str, int]:
    counts = values.value_counts()
    return {str(name): int(counts[name]) for name in sorted(counts.index)}


def _plain(value: Any) -> Any:
    """A value that JSON knows; null for NA."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
