"""Runs of a study as the explorer lists them: every number that the tables have of each.

Input: the tables of runs of a study. Output: columns with their meaning, one value per run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from grokscope.core.formatting import detector_words, words
from grokscope.data.tables import columns_of, declared
from grokscope.evaluate.matching import AtRisk, alarms_of
from grokscope.evaluate.study import Study
from grokscope.measure.detectors.registry import COMBINED
from grokscope.report.explorer.packing import values_of
from grokscope.runs.spec import key_columns

# Tables with one row per run, in the order of their columns.
TABLES = ("runs", "phases", "transitions")
VERDICTS = ("not testable", "hit", "false alarm", "open", "no alarm", "missed")
"""What became of a run's first alarm: ``open`` says that the run ended before it was known."""


def run_columns(
    study: Study,
    tables: Mapping[str, pd.DataFrame],
    stated: Mapping[str, Mapping[int, Any]],
    scored: Mapping[str, Collection[int]],
) -> list[dict[str, Any]]:
    """What is known of each run, as columns.

    Parameters
    ----------
    study
        The runs, in the order of the result.
    tables
        Those of ``TABLES`` and ``rank``, of the study.
    stated
        Steps of the alarms of each detector with a stated threshold, by index of the run.
    scored
        Indices of the runs that each of these detectors can be had of.

    Returns
    -------
    list of dict
        ``name``, ``about`` and ``values``, one per run.
    """
    key = key_columns(study.runs.columns)
    place = study.runs[key]
    columns: dict[str, dict[str, Any]] = {}
    for name in TABLES:
        rows = place.merge(tables[name], on=key, how="left", validate="one_to_one")
        for column in rows.columns:
            if column != "study" and column not in columns:
                entry = declared(name, column) or {}
                about = entry.get("description", "")
                columns[column] = _column(column, about, rows[column])
    columns |= _rank_falls(place, tables["rank"])
    for detector, steps in stated.items():
        columns |= first_alarms(study, detector, steps, scored.get(detector, ()))
    return list(columns.values())


def _column(name: str, about: str, values: pd.Series) -> dict[str, Any]:
    return {"name": name, "about": about, "values": values_of(values)}


def _rank_falls(place: pd.DataFrame, rank: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Relative fall of the last layer's rank around onset, by each measure."""
    about = columns_of("rank")["relative_drop"]["description"]
    found = {}
    for measure, rows in rank[rank["is_last_layer"].fillna(False)].groupby("measure"):
        name = f"{measure}_rank_fall"
        merged = place.merge(rows, on=list(place.columns), how="left", validate="one_to_one")
        text = f"Relative fall of the last layer's {measure} rank around onset: {about}"
        found[name] = _column(name, text, merged["relative_drop"])
    return found


def first_alarms(
    study: Study, detector: str, steps: Mapping[int, Any], scored: Collection[int]
) -> dict[str, dict[str, Any]]:
    """First alarm of a detector while each run is at risk, and what became of it.

    Parameters
    ----------
    steps
        Its alarms at the stated threshold, by index of the run.
    scored
        Indices of the runs that it can be had of.
    """
    if not scored:
        return {}
    cohort, window = study.cohort, study.primary
    alarms = AtRisk(alarms_of([steps.get(run, []) for run in range(len(cohort))]), cohort)
    hits, judged = (of[0] for of in alarms.judge("first", window))
    first = alarms.first[0]
    fired = np.isfinite(first)
    untestable = ~np.isin(np.arange(len(cohort)), list(scored))
    verdict = np.select(
        [untestable, hits, fired & (judged > 0), fired, ~cohort.event], VERDICTS[:-1], VERDICTS[-1]
    )
    name, low, high = detector_words(detector), *window
    about = (
        f"First alarm of the detector {name} at its stated threshold, while the run is at risk "
        f"({COMBINED} signal, step)."
    )
    outcome = (
        f"What became of that alarm: a hit is {low} to {high} steps before the run's delayed "
        "generalisation; open: the run ended before it could be told; missed: the event had no "
        "alarm; not testable: the run's log lacks what the detector needs."
    )
    found = [
        _column(f"{detector}_first_alarm", about, pd.Series(first).where(fired).astype("Int64")),
        _column(f"{detector}_verdict", outcome, pd.Series(verdict)),
    ]
    return {column["name"]: column for column in found}


def run_labels(columns: list[dict[str, Any]], varied: list[str]) -> list[str]:
    """Words for each run by what distinguishes it in its study, in the order of the key."""
    by_name = {column["name"]: column["values"] for column in columns}
    shown = [*varied, "seed"]
    return [
        ", ".join(
            words(value) if name == "task" else f"{words(name)} {value}"
            for name, value in zip(shown, values, strict=True)
            if value is not None
        )
        for values in zip(*(by_name[name] for name in shown), strict=True)
    ]
