"""Study summaries: one JSON file per study, with its grid, counts, lags, verdicts and metadata.

Input: the result tables of a study and how its traces were made. Output: mappings of plain values.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

import pandas as pd

import grokscope
from grokscope.report.tables.parts import of_study
from grokscope.runs.spec import KEY_COLUMNS, cell_columns, key_columns

LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "snakemake")
# The tables that a summary is made of; a study without claims has no rows of the last.
TABLES = ("runs", "transitions", "phases", "claims")


def study_facts(study: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """All of a study's summary that follows from the tables.

    Parameters
    ----------
    study
        Name of the study.
    tables
        Those of :data:`TABLES`, of this study or of several; ``claims`` may be missing.

    Returns
    -------
    dict
        ``grid`` (values that occur), ``runs``, ``seeds``, ``steps`` and ``seconds`` (totals),
        ``stopped`` and ``phases`` (counts), ``lags`` (one mapping per cell: number, mean, standard
        deviation and extremes over seeds; steps) and ``claims``.
    """
    mine = {name: of_study(table, study) for name, table in tables.items()}
    runs = mine["runs"]
    # Named like the keys of the config: lists of what every study has, settings as they are.
    grid = {
        f"{name}s" if name in KEY_COLUMNS else name: sorted(runs[name].dropna().unique().tolist())
        for name in key_columns(runs.columns)[1:]
    }
    cell_names = cell_columns(mine["transitions"].columns)[1:]
    lags = []
    for cell, group in mine["transitions"].groupby(cell_names, dropna=False):
        of: dict[str, Any] = {
            name: _plain(value) for name, value in zip(cell_names, cell, strict=True)
        }
        for name in ("lag", "replication_lag", "onset_lag"):
            of[name] = _spread(group[name])
        lags.append(of)
    columns = ["claim", "verdict", "measured", "low", "high", "n", "seeds"]
    claims = mine["claims"][columns].to_dict("records") if "claims" in mine else []
    return {
        "study": study,
        "grid": grid,
        "runs": len(runs),
        "seeds": grid["seeds"],
        "steps": int(runs["steps"].sum()),
        # Null where no log tells; a sum would be 0.
        "seconds": None
        if runs["seconds"].isna().all()
        else round(float(runs["seconds"].sum()), 3),
        "stopped": _counts(runs["stopped"]),
        "phases": _counts(mine["phases"]["phase"]),
        "lags": lags,
        "claims": [{name: _plain(value) for name, value in row.items()} for row in claims],
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
        "sd": float(known.std(ddof=1)) if len(known) > 1 else None,
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
