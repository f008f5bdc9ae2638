"""Report tables of early warnings from hand-made result tables: every computed cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from handmade import cells, column, frame, key, onsets, texts

from grokscope.claims.wording import NULLS
from grokscope.core.formatting import ABSENT
from grokscope.report.tables.early_warning import layer_table, outcome_table, rank_table
from grokscope.report.tables.evidence import cause_table, depth_table, null_table, rule_table
from grokscope.report.tables.ranking import answer, rank_detectors, ranking_tables
from grokscope.runs.config import default_analysis

ANALYSIS = default_analysis(phases={"gap": 200}, evaluation={"lead_window": [200, 400]})

# --------------------------------------------------------------- early_warning


def test_outcomes_are_counted_by_hand() -> None:
    """Two events, a run that generalises fast, one that memorises, one that does neither."""
    given = [(100, 1000), (100, 2000), (100, 250), (100, None), (None, None)]
    rows = [onsets(*steps_, seed=seed) for seed, steps_ in enumerate(given)]
    runs = [
        key(seed=seed, final_test_metric=metric, stopped="completed")
        for seed, metric in enumerate((1.0, 0.9, 0.8, 0.2, 0.1))
    ]
    runs[-1]["stopped"] = "diverged"
    runs += [key(depth=3, final_test_metric=0.0, stopped="diverged")]
    table = outcome_table(frame([*rows, onsets(None, None, depth=3)]), frame(runs), 200)
    assert texts(table) == [
        ["modular addition", "2", "5", "4", "3", "2", "1,500", "0.800", "1"],
        ["modular addition", "3", "1", "0", "0", "0", ABSENT, "0.000", "1"],
    ]


def test_rank_drops_at_onset_and_of_matched_runs_are_apart() -> None:
    def drop(reference: str, value: float | None, last: bool = True, layer: int = 2) -> dict:
        row = key(layer=layer, measure="effective", is_last_layer=last)
        return row | {"reference": reference, "relative_drop": value}

    rows = [drop("onset", 0.2), drop("onset", 0.4), drop("onset", 0.9), drop("matched", 0.1)]
    rows += [drop("onset", None), drop("none", 0.7), drop("onset", -5.0, last=False, layer=1)]
    assert texts(rank_table(frame(rows))) == [
        ["modular addition", "2", "effective", "3", "0.400", "1", "0.100"]
    ]


def evaluation(**of: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"study": "gai", "task": None, "depth": None, "detector": "gai"}
    values |= {"layer": "combined", "threshold_source": "published", "rule": "every"}
    values |= {"lead_min": 200, "lead_max": 400, "n_runs": 9, "n_events": 5, "n_alarms": 7}
    values |= {"n_judged": 6, "n_hits": 3, "precision": 0.5, "recall": 0.6, "f1": 0.545}
    values |= {
        f"{name}_{end}": None for name in ("precision", "recall") for end in ("low", "high")
    }
    values |= {"false_alarms_per_10000": 1.5, "time_in_warning": 0.25}
    return values | {"lead_q25": 10, "lead_median": 20, "lead_q75": 30} | of


def test_alarms_of_layers_are_those_of_the_published_window_one_to_one() -> None:
    panel = {"task": "modular_addition", "depth": 2}
    rows = [evaluation(**panel, layer="2", n_hits=4), evaluation(**panel, layer="1")]
    rows += [
        evaluation(**panel, rule="first"),
        evaluation(**panel, threshold_source="development"),
    ]
    rows += [evaluation(**panel, lead_max=1000), evaluation(**panel, detector="cusum")]
    table = layer_table(frame([*rows, evaluation()]), (200, 400))
    assert column(table, "layer") == ["1", "2"]
    assert texts(table)[1] == cells(
        "modular addition | 2 | 2 | 5 | 7 | 6 | 4 | 0.500 | 0.600 | 10 | 20 | 30"
    )


# -------------------------------------------------------------------- evidence


def chance(**of: Any) -> dict[str, Any]:
    values = {name: evaluation()[name] for name in list(evaluation())[:9]}
    values |= {"score": "precision", "null_model": "random", "observed": 0.5}
    return values | {"null_mean": 0.1, "p": 0.01, "p_best": 0.001} | of


def test_rules_come_in_their_order_and_windows_by_length() -> None:
    whole = {"lead_min": None, "lead_max": None}
    rows = [evaluation(lead_min=10, lead_max=1000), evaluation(), evaluation(rule="first")]
    rows += [evaluation(rule="run", **whole), evaluation(depth=2), evaluation(layer="1")]
    rows += [evaluation(threshold_source="development", precision=0.75, precision_low=0.7)]
    rows[-1]["precision_high"] = 0.8
    table = rule_table(frame(rows), (200, 400), "published")
    assert [row[:2] for row in texts(table)] == [
        ["any alarm", "before onset"],
        ["first alarm", "200–400 (published)"],
        ["every alarm", "200–400 (published)"],
        ["every alarm", "10–1,000"],
    ]
    assert texts(table)[1][2:] == cells(
        "7 | 6 | 3 | 0.500 | 0.600 | 0.545 | 1.500 | 0.250 | 20 (10–30)"
    )
    table = rule_table(frame(rows), (200, 400), "development")
    assert column(table, "precision") == ["0.750 (0.700–0.800)"]


def test_depths_are_judged_by_the_precision_of_every_alarm() -> None:
    rows = [evaluation(depth=3, n_hits=1), evaluation(depth=2), evaluation()]
    nulls = [chance(depth=depth) for depth in (2, 3, None)]
    nulls += [chance(depth=2, null_model="shifted", p=0.5), chance(depth=2, score="recall", p=0.9)]
    table = depth_table(frame(rows), frame(nulls), ANALYSIS.evaluation)
    assert column(table, "depth") == ["2", "3", "all"]
    assert column(table, "hits") == ["3", "1", "3"]
    assert column(table, "p, random") == ["0.010"] * 3
    assert column(table, "p, shifted") == ["0.500", ABSENT, ABSENT]
    assert column(table, "what it knows")[0] == "it may know which runs grok, not when"


def test_null_models_stand_side_by_side() -> None:
    rows = [chance(), chance(null_model="swapped", null_mean=0.4, p=0.2), chance(rule="curve")]
    table = null_table(frame([*rows, chance(score="f1")]), (200, 400))
    assert texts(table)[0][:8] == cells(
        "every alarm | 200–400 (published) | precision | 0.500 | 0.100 | 0.010 | - | -"
    )
    assert column(table, "swapped: mean") == ["0.400", ABSENT]
    assert column(table, "score") == ["precision", "F1"]


def test_detectors_are_ranked_by_their_areas_with_the_first_alarm_beside() -> None:
    low, high = ANALYSIS.evaluation.primary_window
    curve = {"rule": "curve", "score": "auc", "lead_min": low, "lead_max": high}
    areas = {"gai": 0.6, "cusum": 0.7, "test_accuracy": 0.9, "constant_time": 0.8}
    nulls = [chance(**curve, detector=name, observed=area) for name, area in areas.items()]
    nulls += [chance(**curve, detector="cusum", observed=0.99, depth=2)]
    window = {"lead_min": low, "lead_max": high, "rule": "first"}
    rows = [
        evaluation(**window, detector="gai", threshold_source="development", precision=0.3),
        evaluation(**window, detector="gai", precision=0.9),
        evaluation(**window | {"rule": "every"}, threshold_source="development", precision=0.8),
        evaluation(**window, detector="constant_time", threshold_source="none", precision=0.2),
        evaluation(**window, detector="step_zero", threshold_source="none", precision=0.1),
    ]
    ranks = rank_detectors(frame(nulls), ANALYSIS.evaluation.alpha)
    ranking, apart = ranking_tables(ranks, frame(rows), ANALYSIS.evaluation)
    assert column(ranking, "detector") == ["constant time", "CUSUM", "GAI", "alarm at step 0"]
    assert column(ranking, "#") == [ABSENT, "1", "2", ABSENT]
    assert column(ranking, "area") == ["0.800", "0.700", "0.600", ABSENT]
    assert column(ranking, "precision") == ["0.200", ABSENT, "0.300", "0.100"]
    assert column(apart, "detector") == ["test accuracy"]
    assert column(apart, "#") == [ABSENT]


def test_a_null_model_that_nobody_could_beat_says_nothing_of_a_detector() -> None:
    curve = {"rule": "curve", "score": "auc", "detector": "gai"}
    nulls = [chance(**curve, null_model=model) for model in NULLS]
    nulls[-1] |= {"p": 0.5, "p_best": 0.4}
    ranks = rank_detectors(frame(nulls), 0.05)
    assert answer(ranks, 0.05).startswith("Not testable: here even a perfect detector")
    nulls[-1] |= {"p_best": 0.01}
    assert answer(rank_detectors(frame(nulls), 0.05), 0.05).startswith("No: of 1 detectors")
    nulls[-1] |= {"p": 0.01}
    assert answer(rank_detectors(frame(nulls), 0.05), 0.05).startswith("Yes: GAI knows")


def test_causes_are_counted_by_what_came_of_the_alarms() -> None:
    """By hand: run 0 has an event at 1000, run 1 none and ends at 3000, run 2 generalised fast."""
    keys = [key(seed=seed) for seed in range(3)]
    onsets = [(100, 1000), (100, None), (10, 20)]
    runs = pd.DataFrame(
        [
            of | {"train_onset_step": train, "test_onset_step": test, "last_step": 3000}
            for of, (train, test) in zip(keys, onsets, strict=True)
        ]
    ).convert_dtypes()
    fired = [(0, 100, "memorisation"), (0, 650, "none"), (0, 700, "none"), (0, 1000, "none")]
    fired += [(1, 50, "memorisation"), (1, 2700, "loss_spike"), (2, 2900, "loss_spike")]
    alarms = pd.DataFrame(
        [
            keys[run] | {"detector": "gai", "layer": "combined", "step": step, "cause": cause}
            for run, step, cause in fired
        ]
    ).convert_dtypes()
    rows = cause_table(alarms, runs, ANALYSIS).rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["memorisation", "2", "50%", "0", "0"],
        ["loss spike", "1", "25%", "0", "1"],
        ["softmax collapse", "0", "0%", "0", "0"],
        ["nothing visible", "1", "25%", "1", "0"],
    ]
