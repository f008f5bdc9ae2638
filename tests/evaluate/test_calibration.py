"""Calibration: the numbers of the evaluation, beside the chance that does best."""

import json

import pandas as pd

from grokscope.data.tables import conform
from grokscope.evaluate.calibration import calibration_table
from grokscope.runs.config import default_analysis

ANALYSIS = default_analysis(alarms={"threshold": 4.0})
LO, HI = ANALYSIS.evaluation.primary_window
PLACE = {
    "study": "gai",
    "task": None,
    "depth": None,
    "detector": "gai",
    "layer": "combined",
    "threshold_source": "published",
    "rule": "every",
    "lead_min": LO,
    "lead_max": HI,
}


def scored(**changes):
    row = PLACE | {"uses_test_data": False, "threshold": 4.0, "n_runs": 12, "seeds": 6}
    row |= {"n_events": 8, "n_alarms": 45, "n_judged": 40, "n_hits": 6}
    row |= {"precision": 0.15, "precision_low": 0.05, "precision_high": 0.3}
    row |= dict.fromkeys(["recall", "recall_low", "recall_high", "f1", "f1_low", "f1_high"], 0.5)
    row |= {"false_alarms_per_10000": 2.5, "time_in_warning": 0.1}
    row |= dict.fromkeys(["lead_q25", "lead_median", "lead_q75", "km_lead_median"])
    return row | changes


def null(model, mean, p, **changes):
    row = PLACE | {"score": "precision", "null_model": model, "observed": 0.15}
    row |= {"surrogates": 99, "null_mean": mean, "null_low": 0.0, "null_high": 0.2, "p": p}
    return row | {"p_best": 0.01, "events_needed": 5} | changes


def calibrate(rows, nulls):
    tables = [
        conform(pd.DataFrame(part).astype(object), name)
        for part, name in ((rows, "evaluation"), (nulls, "chance"))
    ]
    return calibration_table(*tables, ANALYSIS)


def test_one_row_per_detector_layer_and_source_with_the_best_chance():
    other = [
        scored(depth=2, precision=0.9),
        scored(rule="first", precision=0.9),
        scored(lead_max=HI + 1, precision=0.9),
        scored(detector="step_zero", threshold=None),
        scored(threshold_source="development", threshold=3.0, precision=None, n_judged=0),
    ]
    nulls = [
        null("random", 0.05, 0.01),
        null("swapped", 0.12, 0.20),
        null("shifted", 0.07, 0.30),
        null("constant_time", None, None),
        null("swapped", 0.99, 0.99, score="recall"),
        null("swapped", 0.99, 0.99, task="s5"),
    ]
    table = calibrate([scored(), *other], nulls)
    assert list(table["threshold_source"]) == ["published", "development"]
    row, chosen = table.to_dict("records")
    assert (row["precision"], row["n_hits"], row["n_judged"]) == (0.15, 6, 40)
    assert (row["chance_precision"], row["null_model"], row["p"]) == (0.12, "swapped", 0.30)
    assert (row["lead_min"], row["lead_max"], row["false_alarms_per_10000"]) == (LO, HI, 2.5)
    assert pd.isna(chosen["precision"]) and pd.isna(chosen["chance_precision"])
    settings = json.loads(row["settings"])
    assert settings["alarms"]["threshold"] == 4.0
    assert set(settings) == {"alarms", "detectors", "onset"}


def test_without_pooled_alarms_the_table_is_empty():
    table = calibrate([scored(task="s5", depth=2)], [null("random", 0.1, 0.5)])
    assert len(table) == 0 and "precision" in table
