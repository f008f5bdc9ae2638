"""Calibration: what an alarm of each detector was worth, for those who get such alarms elsewhere.

Input: the tables ``evaluation`` and ``chance`` of a study. Output: its table ``calibration``, one
row per detector, layer and source of the level: how often an alarm was right on the held-out runs
of the whole study, and how often one would have been by chance. The live monitor
(:mod:`grokscope.monitor`) gives each alarm its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokscope.data.tables import from_rows
from grokscope.measure.detectors.registry import ALARM_SECTIONS
from grokscope.runs.settings import Analysis

_PLACE = ["detector", "layer", "threshold_source"]
_COPIED = [
    *("study", *_PLACE, "threshold", "uses_test_data", "lead_min", "lead_max"),
    *("n_runs", "seeds", "n_events", "n_judged", "n_hits"),
    *("precision", "precision_low", "precision_high", "false_alarms_per_10000"),
]


def calibration_table(
    evaluation: pd.DataFrame, chance: pd.DataFrame, analysis: Analysis
) -> pd.DataFrame:
    """Table ``calibration`` of a study.

    Every alarm counts, one to one, in the primary window. Of the null models the one with the
    highest mean precision is chance: an alarm that is right as often as that tells nothing.

    Parameters
    ----------
    analysis
        Used are ``evaluation`` and the sections that alarms depend on.
    """
    lo, hi = analysis.evaluation.primary_window
    settings = analysis.to_json(ALARM_SECTIONS)

    def pooled(table: pd.DataFrame) -> pd.DataFrame:
        whole = table["task"].isna() & table["depth"].isna() & (table["rule"] == "every")
        return table[whole & (table["lead_min"] == lo) & (table["lead_max"] == hi)]

    nulls = pooled(chance)
    nulls = nulls[(nulls["score"] == "precision") & nulls["null_mean"].notna()]
    # Of several rows of a place the last one stays: the best null model.
    best = {_place(row): row for row in nulls.sort_values("null_mean").to_dict("records")}
    worst = nulls.groupby(_PLACE)["p"].max().to_dict()
    rows = []
    alarming = pooled(evaluation)
    for row in alarming[alarming["threshold"].notna()].to_dict("records"):
        null = best.get(_place(row), {})
        rows.append(
            {name: row[name] for name in _COPIED}
            | {"chance_precision": null.get("null_mean"), "null_model": null.get("null_model")}
            | {"p": worst.get(_place(row)), "settings": settings}
        )
    return from_rows(rows, "calibration")


def _place(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _PLACE)
