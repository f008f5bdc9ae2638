"""Claims: verdicts on tables made by hand, and the intervals they are judged with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grokscope.claims import claims_table, judge, read_published
from grokscope.claims.gai import order_score, permuted_correlation, permuted_order
from grokscope.claims.registry import CLAIMS, VERDICTS, Evidence, select
from grokscope.claims.wording import NULLS, beaten, knowledge, sentence
from grokscope.data.tables import conform, empty
from grokscope.evaluate.statistics import (
    cluster_bootstrap,
    expanded_tail,
    pearson,
    resolves,
    spearman,
)
from grokscope.runs.spec import KEY_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = read_published(ROOT / "workflow" / "report" / "claims.yaml")
SETTINGS = {
    "evaluation": {
        "lead_window": [200, 400],
        "confidence": 0.95,
        "resamples": 500,
        "seed": 0,
        "surrogates": 199,
        "development_seeds": [],
    },
    "phases": {"threshold": 0.95, "gap": 200},
    "detectors": {"resolution": 10},
}
SIZES = {"modular_addition": 9409, "s5_composition": 14400, "sine_regression": 2000}

RUN: dict[str, Any] = {
    "steps": 3000,
    "max_steps": 3000,
    "stopped": "completed",
    "diverged_step": None,
    "final_train_loss": 0.1,
    "final_test_loss": 0.1,
    "final_train_metric": 1.0,
    "final_test_metric": 1.0,
    "n_parameters": 1000,
    "device": "cpu",
    "seconds": 2.0,
}
TRANSITION: dict[str, Any] = {
    "grad_peak_step": 500,
    "grad_peak_at_boundary": False,
    "grad_steepest_decrease_step": 600,
    "metric_transition_step": 700,
    "metric_at_transition": 0.5,
    "lag": 200,
    "replication_lag": 200,
    "xcorr_lag": 10,
    "xcorr": 0.5,
    "pearson_r": -0.8,
    "train_onset_step": 100,
    "train_onset_censored": False,
    "test_onset_step": 1000,
    "test_onset_censored": False,
    "onset_lag": 500,
    "last_step": 3000,
}


def key(study: str = "gai", seed: int = 0, **other: Any) -> dict[str, Any]:
    values = {"study": study, "task": "modular_addition", "depth": 2, "train_fraction": 0.6}
    return values | {"weight_decay": 1.0, "width": 128, "seed": seed} | other


def build(rows: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Evidence:
    """Evidence from runs: each row has key columns and whatever columns of any table."""
    runs, transitions, phases = [], [], []
    for row in rows:
        of = {name: row[name] for name in KEY_COLUMNS}
        size = SIZES.get(row["task"], 1000)
        given = {"n_train": size - 10, "n_test": 10} | RUN | row
        runs.append(of | {name: given[name] for name in [*RUN, "n_train", "n_test"]})
        made = TRANSITION | row
        made["train_onset_censored"] = made["train_onset_step"] is None
        made["test_onset_censored"] = made["test_onset_step"] is None
        if made["test_onset_censored"]:
            made["onset_lag"] = None
        transitions.append(of | {name: made[name] for name in TRANSITION})
        if "phase" in row:
            extra = {"train_reached_step": 1, "test_reached_step": 2, "gap": 1, "agreement": 1.0}
            extra |= {"gap_censored": False, "vote": row["phase"], "cell_seeds": 1}
            phases.append(of | {"phase": row["phase"]} | extra)

    def frame(table: str, of: list[dict[str, Any]]) -> pd.DataFrame:
        return conform(pd.DataFrame(of), table) if of else empty(table)

    return Evidence(
        runs=frame("runs", runs),
        transitions=frame("transitions", transitions),
        alarms=frame("alarms", tables.get("alarms", [])),
        rank=frame("rank", tables.get("rank", [])),
        phases=frame("phases", phases),
        evaluation=frame("evaluation", tables.get("evaluation", [])),
        chance=frame("chance", tables.get("chance", [])),
        multiverse=frame("multiverse", tables.get("multiverse", [])),
        settings=SETTINGS,
    )


def verdict(claim: str, evidence: Evidence) -> dict[str, Any]:
    entry = next(entry for entry in PUBLISHED if entry["id"] == claim)
    return judge(entry, evidence)


def alarm(of: dict[str, Any], step: int, layer: str = "combined", peak: float = 4.0) -> dict:
    named = {name: of[name] for name in KEY_COLUMNS}
    named |= {"detector": "gai", "layer": layer, "step": step, "score": 4.0, "peak": peak}
    return named | {"cause": "none"}


# The published alarms, as the tables `evaluation` and `chance` name them.
PUBLISHED_ALARMS: dict[str, Any] = {
    "study": "gai",
    "task": None,
    "detector": "gai",
    "layer": "combined",
    "threshold_source": "published",
    "rule": "every",
    "lead_min": 200,
    "lead_max": 400,
}


def scored(depth: int | None = None, **of: Any) -> dict[str, Any]:
    """A row of the table `evaluation`: 30 events in 45 runs, 40 alarms, 30 of them hits."""
    row = PUBLISHED_ALARMS | {"depth": depth, "uses_test_data": False, "threshold": 3.5}
    row |= {"n_runs": 45, "seeds": 3, "n_events": 30, "n_alarms": 44, "n_judged": 40}
    row |= {"n_hits": 30, "precision": 0.75, "recall": 1.0, "f1": 6 / 7}
    for name in ("precision", "recall", "f1"):
        row |= {f"{name}_low": row[name] - 0.05, f"{name}_high": row[name] + 0.05}
    row |= {"false_alarms_per_10000": 1.0, "time_in_warning": 0.1, "km_lead_median": 310.0}
    return row | {"lead_q25": 250.0, "lead_median": 300.0, "lead_q75": 350.0} | of


def against(
    p: dict[str, float], score: str = "precision", depth: int | None = None, **of: Any
) -> list[dict[str, Any]]:
    """Rows of the table `chance`: a p-value a null model, whose mean is 0.1."""
    row = PUBLISHED_ALARMS | {"depth": depth, "score": score, "observed": 0.75}
    row |= {"surrogates": 999, "null_mean": 0.1, "null_low": 0.05, "null_high": 0.15} | of
    return [row | {"null_model": model, "p": value} for model, value in p.items()]


BEATS_ALL = dict.fromkeys("ABCD", 0.001)
BEATS_A_AND_B = {"A": 0.001, "B": 0.002, "C": 0.4, "D": 0.7}


# ------------------------------------------------------------------- lead_lag

PRIMARY_LAGS = {0.5: 699, 0.7: 192, 0.9: 12}
REPLICATED = {
    0.5: {42: 699, 123: 804, 7: 422},
    0.7: {42: 192, 123: 226, 7: 179},
    0.9: {42: 12, 123: 82, 7: 69},
}
PEARSON = {0.5: -0.929, 0.7: -0.821, 0.9: -0.662}


def lead_lag(**changes: Any) -> list[dict[str, Any]]:
    """The published runs with the published values; `changes` go to the seed 42, 0.5 run."""
    rows = []
    for fraction, lags in REPLICATED.items():
        for seed, lag in lags.items():
            setting = {"train_fraction": fraction, "weight_decay": 0.1, "width": 64}
            row = key("lead_lag", seed, **setting) | {"replication_lag": lag, "lag": lag}
            row |= {"max_steps": 3000 if seed == 42 else 2000, "pearson_r": PEARSON[fraction]}
            if fraction == 0.5:
                row |= {"test_onset_step": None, "metric_at_transition": 0.03}
            rows.append(row)
    rows[0] |= changes
    for fraction in PRIMARY_LAGS:
        setting = {"train_fraction": fraction, "weight_decay": 0.1, "width": 64}
        row = key("lead_lag", 42, task="sine_regression", **setting)
        rows.append(row | {"lag": -60, "grad_peak_step": 60, "grad_peak_at_boundary": True})
    return rows


def test_the_published_lead_lag_numbers_hold() -> None:
    """Fed with what was published, the published claims hold, to the published digits."""
    evidence = build(lead_lag())
    rows = {claim: verdict(claim, evidence) for claim in ("LL1", "LL2", "LL3", "LL4", "LL5")}
    assert {row["verdict"] for row in rows.values()} == {"holds"}
    assert (rows["LL1"]["measured"], rows["LL1"]["n"], rows["LL1"]["seeds"]) == (12, 3, 1)
    assert (rows["LL1"]["low"], rows["LL1"]["high"]) == (None, None)
    assert rows["LL2"]["measured"] == pytest.approx(54.33, abs=0.01)
    assert (rows["LL2"]["low"], rows["LL2"]["high"]) == (12, 82)
    assert rows["LL3"]["measured"] == -60
    assert rows["LL4"]["measured"] == pytest.approx(-0.662)
    assert rows["LL5"]["measured"] == pytest.approx(-1)
    assert "641.7 ± 197.3 (422 to 804) at 0.5" in rows["LL2"]["reason"]


def test_known_weaknesses_stand_in_the_reasons() -> None:
    evidence = build(lead_lag())
    assert "0.03 at 0.5" in verdict("LL1", evidence)["reason"]
    assert "1 of 3 runs are censored" in verdict("LL1", evidence)["reason"]
    assert "skip boundary, and so is none, in 3 of 3" in verdict("LL3", evidence)["reason"]


@pytest.mark.parametrize(
    ("claim", "changes", "measured"),
    [
        ("LL1", {"lag": 0}, 0),
        ("LL2", {"replication_lag": -5}, None),
        ("LL4", {"pearson_r": -0.94}, -0.662),
        ("LL5", {"lag": 100}, None),
    ],
)
def test_one_run_that_disagrees_makes_a_claim_fail(
    claim: str, changes: dict[str, Any], measured: float | None
) -> None:
    row = verdict(claim, build(lead_lag(**changes)))
    assert row["verdict"] == "fails"
    if measured is not None:
        assert row["measured"] == pytest.approx(measured)


def test_r_is_judged_as_rounded_as_it_was_published() -> None:
    assert verdict("LL4", build(lead_lag(pearson_r=-0.9349)))["verdict"] == "holds"
    assert verdict("LL4", build(lead_lag(pearson_r=-0.9351)))["verdict"] == "fails"


def test_one_seeded_claims_say_what_the_other_seeds_say() -> None:
    """The primary runs have one seed; LL1's lags over all three are those of LL2."""
    evidence = build(lead_lag())
    reason = verdict("LL1", evidence)["reason"]
    assert (
        "Over 3 seeds, those of fewer steps included, the means are 641.7 (422 to 804)" in reason
    )
    assert "Over 3 seeds" in verdict("LL4", evidence)["reason"]
    assert "Over" not in verdict("LL3", evidence)["reason"], "the control has one seed"


def test_a_missing_cell_is_not_testable_and_named_but_measured() -> None:
    rows = [row for row in lead_lag() if row["train_fraction"] != 0.7]
    row = verdict("LL1", build(rows))
    assert row["verdict"] == "not testable at this scale"
    assert "train_fraction 0.7" in row["reason"]
    assert row["measured"] == 12


def test_two_seeds_cannot_replicate() -> None:
    rows = [row for row in lead_lag() if row["seed"] != 7]
    row = verdict("LL2", build(rows))
    assert row["verdict"] == "not testable at this scale"
    assert "3 seeds" in row["reason"]


def test_a_seed_without_lag_does_not_count() -> None:
    row = verdict("LL2", build(lead_lag(replication_lag=None)))
    assert row["verdict"] == "not testable at this scale"
    assert "2 seed(s) with a lag" in row["reason"]


def test_another_modulus_is_not_the_published_scale() -> None:
    rows = [row | {"n_train": 300, "n_test": 229} for row in lead_lag()]
    row = verdict("LL1", build(rows))
    assert row["verdict"] == "not testable at this scale"
    assert "9,409 samples" in row["reason"]
    assert row["measured"] == 12


def test_further_cells_do_not_count_where_the_published_ones_are_there() -> None:
    extra = lead_lag()[0] | {"width": 16, "lag": -999, "replication_lag": -999}
    rows = [*lead_lag(), extra]
    for claim in ("LL1", "LL2", "LL5"):
        assert verdict(claim, build(rows))["verdict"] == "holds"


# ------------------------------------------------------------------------ gai


def gai(seeds: int = 3, depths: tuple[int, ...] = (2, 3, 4, 6, 8), **changes: Any) -> list[dict]:
    """Runs of both classification tasks with onsets at 1000, and a regression arm."""
    rows = []
    for task in ("modular_addition", "s5_composition", "cubic_regression"):
        for depth in depths:
            for seed in range(seeds):
                row = key("gai", seed, task=task, depth=depth) | {"last_step": 3000}
                if task == "cubic_regression":
                    row |= {"train_onset_step": 10, "test_onset_step": 10}
                rows.append(row | changes)
    return rows


def events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["task"].endswith("_regression")]


def test_the_published_alarms_are_judged_by_their_rows() -> None:
    rows = gai()
    tables = {"evaluation": [scored(n_hits=38, precision=0.95, precision_high=0.99)]}
    tables["chance"] = against(BEATS_ALL) + against({"B": 0.02}, "recall")
    evidence = build(rows, alarms=[alarm(row, 700) for row in events(rows)], **tables)
    lead, precision, recall = (verdict(name, evidence) for name in ("GAI1", "GAI2", "GAI3"))
    assert (lead["measured"], lead["verdict"], lead["n"]) == (300, "holds", 30)
    # All alarms are 300 steps ahead, in every seed.
    assert (lead["low"], lead["high"], lead["p"]) == (300, 300, None)
    assert "30 of 30 events have an alarm before them; 30 of these come 200-400" in lead["reason"]
    assert (precision["measured"], precision["verdict"]) == (0.95, "holds")
    assert (precision["p"], precision["low"]) == (0.001, pytest.approx(0.7))
    assert "38 of 40 judged alarms" in precision["reason"]
    assert "4 of 44 alarms are censored" in precision["reason"]
    assert "it knows when this run groks" in precision["reason"]
    assert (recall["measured"], recall["verdict"], recall["p"]) == (1, "holds", 0.02)


def test_only_the_headline_row_counts() -> None:
    """Rows of other rules, windows, thresholds, layers, detectors and scopes stand beside it."""
    others = [
        scored(rule="first", precision=0.1),
        scored(lead_min=10, precision=0.2),
        scored(threshold_source="development", precision=0.3),
        scored(layer="1", precision=0.4),
        scored(detector="cusum", precision=0.5),
        scored(task="modular_addition", depth=2, precision=0.6),
        scored(depth=2, precision=0.65),
        scored(study="lead_lag", precision=0.7),
    ]
    evidence = build(gai(), evaluation=[*others, scored(precision=0.8)])
    assert verdict("GAI2", evidence)["measured"] == 0.8


def test_a_lead_outside_the_window_fails() -> None:
    rows = gai()
    leads = {"lead_q25": 0.0, "lead_median": 900.0, "lead_q75": 900.0, "km_lead_median": None}
    alarms = [alarm(row, 100) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms, evaluation=[scored(**leads)]))
    assert (row["verdict"], row["measured"]) == ("fails", 900)
    assert "not reached" in row["reason"]


def test_leads_count_misses_and_the_end_of_their_block() -> None:
    """Steps 691-700 are known at 700; an alarm at the onset, or after it, is a miss."""
    rows = gai()
    steps = {0: 691, 1: 700, 2: 995}
    alarms = [alarm(row, steps[row["seed"]]) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms, evaluation=[scored()]))
    assert "20 of 30 events have an alarm before them" in row["reason"]
    assert (row["low"], row["high"]) == (0, 300)


def test_development_seeds_have_no_part_in_the_lead() -> None:
    rows = gai()
    alarms = [alarm(row, 100 if row["seed"] == 0 else 700) for row in events(rows)]
    evidence = build(rows, alarms=alarms, evaluation=[scored()])
    evaluation = SETTINGS["evaluation"] | {"development_seeds": [0]}
    evidence = replace(evidence, settings=SETTINGS | {"evaluation": evaluation})
    row = verdict("GAI1", evidence)
    assert (row["low"], row["high"]) == (300, 300)
    assert "20 of 20 events" in row["reason"]


def test_the_reason_says_what_the_alarms_know() -> None:
    tables = {"evaluation": [scored()], "chance": against(BEATS_A_AND_B)}
    row = verdict("GAI2", build(gai(), **tables))
    assert row["verdict"] == "fails"
    assert row["p"] == 0.002
    assert (
        "beats chance and shifted alarms but not other seeds' alarms or a constant time: it knows "
        "when such runs grok, not when this one does"
    ) in row["reason"]
    assert "Shifted alarms reach 0.100 (p = 0.002)." in row["reason"]


def test_without_alarms_precision_is_not_testable_but_recall_is_zero() -> None:
    nothing = dict.fromkeys(("precision", "precision_low", "precision_high"))
    nothing |= {"n_alarms": 0, "n_judged": 0, "n_hits": 0, "recall": 0.0, "recall_high": 0.0}
    evidence = build(gai(), evaluation=[scored(**nothing)])
    for name in ("GAI2", "GAI7", "GAI8"):
        assert verdict(name, evidence)["verdict"] == "not testable at this scale"
        assert verdict(name, evidence)["measured"] is None
    assert verdict("GAI3", evidence)["verdict"] == "fails"
    assert verdict("GAI3", evidence)["measured"] == 0


def test_without_events_nothing_is_testable() -> None:
    rows = gai(test_onset_step=None)
    tables = {"evaluation": [scored(n_events=0)], "chance": against(BEATS_ALL)}
    evidence = build(rows, alarms=[alarm(row, 700) for row in rows], **tables)
    for claim in ("GAI1", "GAI2", "GAI3", "GAI5", "GAI6", "GAI7", "GAI8"):
        row = verdict(claim, evidence)
        assert row["verdict"] == "not testable at this scale"
        assert "None of the 45 " in row["reason"]
        assert "runs has an event" in row["reason"]


def test_spike_size_takes_the_largest_spike_before_onset() -> None:
    """A planted linear relation; a huge spike after the onset must not enter."""
    rows, alarms = gai(depths=(2, 3, 4, 6, 8)), []
    for number, row in enumerate(events(rows)):
        row["final_test_metric"] = number / 30
        alarms += [alarm(row, 700, peak=5 + number), alarm(row, 500, peak=4)]
        alarms += [alarm(row, 1500, peak=1000 - 30 * number)]
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["measured"] == pytest.approx(1)
    assert (row["verdict"], row["n"]) == ("holds", 30)
    assert row["p"] == 1 / 200, "no permutation of 199 is as good"


def test_spike_size_without_relation_fails() -> None:
    rng, rows = np.random.default_rng(1), gai(seeds=5)
    alarms = []
    for row in events(rows):
        row["final_test_metric"] = float(rng.uniform())
        alarms.append(alarm(row, 700, peak=float(rng.uniform(4, 9))))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert abs(row["measured"]) < 0.5
    assert row["p"] > 0.05


def test_a_correlation_of_cells_is_none_of_runs() -> None:
    """Spike and accuracy rise with the depth, and within a depth one falls with the other."""
    rows, alarms = gai(seeds=5), []
    for row in events(rows):
        row["final_test_metric"] = row["depth"] / 10 - 0.01 * row["seed"]
        alarms.append(alarm(row, 700, peak=5 + 10 * row["depth"] + row["seed"]))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["measured"] > 0.9
    assert "Across 10 cells r = 1.000, within cells -1.000 (-1.000 to -1.000)" in row["reason"]


def test_permuted_correlation_agrees_with_the_exact_test() -> None:
    """Four runs: of 24 orders only the one at hand has the largest r."""
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 5.0])
    assert permuted_correlation(x, y, 999, 0) == pytest.approx(1 / 24)
    assert permuted_correlation(x, -y, 999, 0) == pytest.approx(1)


def test_order_score_is_kendalls_tau() -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 4, size=(50, 5)).astype(float)
    steps = steps[[len(set(row)) > 1 for row in steps]]
    expected = [stats.kendalltau(np.arange(5), row).statistic for row in steps]
    assert order_score(steps) == pytest.approx(expected)


def test_permuted_order_of_two_layers_is_a_coin() -> None:
    """20 events, last layer first in all: p of a coin is 2^-20; in half of them, about 0.6."""
    first = np.tile([20.0, 10.0], (20, 1))
    taus, p = permuted_order(first, 999, 0)
    assert taus.tolist() == [-1] * 20
    assert p == 1 / 1000
    first[:10] = [10.0, 20.0]
    _, p = permuted_order(first, 999, 0)
    assert p == pytest.approx(stats.binom.cdf(10, 20, 0.5), abs=0.06)
    taus, p = permuted_order(np.array([[5.0, 5.0], [np.nan, 3.0]]), 999, 0)
    assert (len(taus), p) == (0, None)


def test_layer_order() -> None:
    """Layers that alarm from last to first hold; from first to last fail."""
    rows = gai()
    for sign, expected in ((-1, "holds"), (1, "fails")):
        alarms = [
            alarm(row, 500 + sign * 10 * layer, layer=str(layer))
            for row in events(rows)
            for layer in range(1, row["depth"] + 1)
        ]
        row = verdict("GAI5", build(rows, alarms=alarms))
        assert row["verdict"] == expected
        assert row["measured"] == (1 if sign < 0 else 0)
        assert f"median {sign:.2f} over 30 events" in row["reason"]
        assert row["p"] == (1 / 200 if sign < 0 else 1)


def test_a_first_layer_that_never_alarms_comes_after_the_last() -> None:
    rows = gai()
    alarms = [alarm(row, 500, layer=str(row["depth"])) for row in events(rows)]
    assert verdict("GAI5", build(rows, alarms=alarms))["measured"] == 1


def rank_rows(rows: list[dict[str, Any]], drop: float, reference: str = "onset") -> list[dict]:
    return [
        {name: row[name] for name in KEY_COLUMNS}
        | {"layer": row["depth"], "is_last_layer": True, "measure": measure, "before": 10.0}
        | {"after": 10 * (1 - drop), "relative_drop": drop, "reference": reference}
        | {"reference_step": 1000, "steepest_fall_step": 900, "steepest_fall_lead": 100}
        for row in rows
        for measure in ("effective", "stable", "numerical")
    ]


@pytest.mark.parametrize(("drop", "expected"), [(0.4, "holds"), (0.2, "fails"), (0.6, "fails")])
def test_rank_drop(drop: float, expected: str) -> None:
    rows = gai()
    never = [row | {"test_onset_step": None, "width": 64} for row in events(rows)]
    rank = rank_rows(events(rows), drop) + rank_rows(never, 0.25, "matched")
    row = verdict("GAI6", build(rows + never, rank=rank))
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(drop)
    assert "(matched: 0.250 in 30; p " in row["reason"]
    # All drops of one kind are above all of the other, or below.
    assert (row["p"] < 0.001) == (drop > 0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "of the same cells"),
        ({"width": 64}, "of the same tasks and depths"),
        ({"depth": 5}, "other depths included"),
        ({"task": "cubic_regression"}, "there are none"),
    ],
)
def test_rank_controls_are_the_nearest_there_are(change: dict[str, Any], words: str) -> None:
    rows = events(gai(depths=(2,)))
    never = [row | {"test_onset_step": None, "seed": row["seed"] + 10} | change for row in rows]
    never = list({str(key(**{n: row[n] for n in KEY_COLUMNS})): row for row in never}.values())
    rank = rank_rows(rows, 0.4) + rank_rows(never, 0.1, "matched")
    row = verdict("GAI6", build(rows + never, rank=rank))
    assert words in row["reason"]
    assert (row["p"] is None) == ("none" in words)


@pytest.mark.parametrize(
    ("p", "observed", "expected"),
    [(0.01, 0.05, "holds"), (0.06, 0.05, "fails"), (0.01, -0.05, "fails")],
)
def test_one_depth_at_chance_makes_every_depth_fail(
    p: float, observed: float, expected: str
) -> None:
    """Depth 8 decides; depth 6 has no event and is named; the null's mean is 0.1."""
    evaluation = [scored()]
    chance = []
    for depth in (2, 3, 4, 6, 8):
        value = 0.1 + observed if depth == 8 else 0.75
        evaluation.append(scored(depth, n_events=0 if depth == 6 else 6, precision=value))
        if depth != 6:
            chance += against({"B": p if depth == 8 else 0.001}, depth=depth)
    row = verdict("GAI7", build(gai(), evaluation=evaluation, chance=chance))
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(observed)
    assert row["p"] == p
    assert "No event at depth 6" in row["reason"]


def test_a_silent_depth_speaks_against_every_depth() -> None:
    evaluation = [scored(), scored(2), scored(3, precision=None)]
    chance = against({"B": 0.001}, depth=2)
    row = verdict("GAI7", build(gai(), evaluation=evaluation, chance=chance))
    assert row["verdict"] == "fails"
    assert "depth 3 (30 of 45 runs with event): no judged alarm" in row["reason"]


def significance(seeds: int, step: int, precision: float, p_holm: float = 0.01) -> dict[str, Any]:
    rows = gai(seeds)
    evaluation = [scored(seeds=seeds, precision=precision)]
    alarms = [alarm(row, step) for row in events(rows)]
    evidence = build(rows, alarms=alarms, evaluation=evaluation, chance=against(BEATS_ALL))
    return verdict("GAI8", replace(evidence, p_holm={"GAI2": 0.001, "GAI3": p_holm}))


def test_significance_needs_enough_seeds() -> None:
    """Three seeds cannot resolve a Bonferroni-corrected tail; six can; chance fails in both."""
    for seeds, expected in ((1, "not testable at this scale"), (6, "holds")):
        assert significance(seeds, 700, 1.0)["verdict"] == expected
    for seeds in (3, 6):
        assert significance(seeds, 100, 0.0)["verdict"] == "fails"
    row = significance(3, 700, 1.0)
    assert row["verdict"] == "not testable at this scale"
    assert "too few" in row["reason"]


def test_significance_needs_every_adjusted_p() -> None:
    row = significance(6, 700, 1.0, p_holm=0.2)
    assert row["verdict"] == "fails"
    assert "those of GAI3 are not below 0.05" in row["reason"]
    assert row["measured"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == (pytest.approx(0.9), pytest.approx(0.9))


def test_a_tiny_modulus_is_not_the_gai_study() -> None:
    rows = gai(n_train=200, n_test=100)
    row = verdict("GAI2", build(rows, evaluation=[scored()]))
    assert row["verdict"] == "not testable at this scale"
    assert row["measured"] == 0.75


def test_p_values_are_adjusted_over_the_claims_that_have_one() -> None:
    """By hand: Holm takes the smallest of two twice, and the other once."""
    chance = against({"B": 0.01}) + against({"B": 0.04}, "recall")
    rows = gai(6)
    alarms = [alarm(row, 700) for row in events(rows)]
    evidence = build(rows, alarms=alarms, evaluation=[scored(seeds=6)], chance=chance)
    table = claims_table(PUBLISHED, evidence).set_index("claim")
    assert table["p"].notna().sum() == 2
    columns = ["p", "p_holm", "p_bonferroni"]
    assert table.loc["GAI2", columns].tolist() == pytest.approx([0.01, 0.02, 0.02])
    assert table.loc["GAI3", columns].tolist() == pytest.approx([0.04, 0.04, 0.08])
    assert "Of 2 p-values, adjusted by Holm, all are below 0.05" in table.loc["GAI8", "reason"]


def test_the_reason_counts_the_choices_that_support_a_claim() -> None:
    choice = dict.fromkeys(("smoothing", "sigma", "sign", "norm", "rank_measure"))
    choice |= dict.fromkeys(("window", "beta2", "onset_threshold", "measured", "low", "high"))
    choice |= {"claim": "GAI2", "n": 1, "is_default": False}
    multiverse = [choice | {"supports": supports} for supports in (True, False, False, None)]
    evidence = build(gai(), evaluation=[scored()], multiverse=multiverse)
    assert verdict("GAI2", evidence)["reason"].endswith("1 of 3 analysis choices support it.")
    assert "analysis choices" not in verdict("GAI3", evidence)["reason"]


@pytest.mark.parametrize(
    ("wins", "words"),
    [
        ("ABCD", "this run"),
        ("AB", "such runs grok, not when this one"),
        ("ABC", "such runs grok, not when this one"),
        ("A", "which runs grok, not when"),
        ("", "not shown to be better than chance"),
        ("CD", "not shown to be better than chance"),
    ],
)
def test_what_beating_null_models_means(wins: str, words: str) -> None:
    p = {model: 0.01 if model in wins else 0.5 for model in NULLS}
    assert words in knowledge(p, 0.05)


def test_null_models_in_words() -> None:
    assert beaten({"A": 0.01, "D": 0.05}, 0.05) == "beats chance but not a constant time"
    assert beaten({"A": 0.2}, 0.05) == "does not beat chance"
    assert beaten(dict.fromkeys("ABC", 0.01), 0.05) == (
        "beats chance, shifted alarms and other seeds' alarms"
    )
    assert sentence({}, 0.05) == "has nothing to compare with chance"
    assert "nothing to tell" in knowledge({"A": 0.01, "B": 0.01}, 0.05)


def test_select_finds_nulls_and_values() -> None:
    frame = pd.DataFrame({"depth": pd.array([2, None, 3], "Int64"), "rule": ["a", "a", "b"]})
    assert select(frame, depth=None)["rule"].tolist() == ["a"]
    assert select(frame, depth=3, rule="a").empty
    assert len(select(frame, rule="a")) == 2


# -------------------------------------------------------------- phase_diagram


def published_phases(seed: int = 42) -> list[dict[str, Any]]:
    """A grid of phases that fulfils all published claims."""
    rows = []
    for decay in (0.0, 0.001, 0.01, 0.1, 1.0):
        for fraction in (0.3, 0.5, 0.7, 0.9):
            for width in (16, 32, 64):
                phase = "memorisation"
                if fraction == 0.3 and width == 16:
                    phase = "confusion"
                if fraction == 0.9 and width >= 32:
                    phase = "comprehension"
                    if (decay == 0.0 and width == 32) or 0 < decay < 1:
                        phase = "grokking"
                if decay == 0.0 and fraction == 0.7 and width == 64:
                    phase = "grokking"
                if decay == 0.1 and fraction == 0.7 and width == 64:
                    phase = "grokking"
                setting = {"weight_decay": decay, "train_fraction": fraction, "width": width}
                row = key("phase_diagram", seed, **setting)
                rows.append(row | {"phase": phase, "max_steps": 2500})
    return rows


def with_phase(rows: list[dict[str, Any]], phase: str, **where: Any) -> list[dict[str, Any]]:
    """The rows with another phase in one cell; fails if the cell does not exist."""
    chosen = [all(row[name] == value for name, value in where.items()) for row in rows]
    assert sum(chosen) == 1
    return [row | {"phase": phase} if yes else row for row, yes in zip(rows, chosen, strict=True)]


def test_the_published_phases_hold() -> None:
    evidence = build(published_phases())
    rows = {name: verdict(name, evidence) for name in CLAIMS if name.startswith("PD")}
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(rows, "holds")
    assert rows["PD3"]["measured"] == 9
    assert rows["PD4"]["measured"] == 3
    assert rows["PD6"]["measured"] == pytest.approx(12 / 40)
    assert rows["PD7"]["measured"] == 4
    assert all(row["low"] is None for row in rows.values())


@pytest.mark.parametrize(
    ("claim", "phase", "cell"),
    [
        ("PD1", "grokking", (0.01, 0.5, 64)),
        ("PD3", "memorisation", (0.01, 0.9, 64)),
        ("PD4", "grokking", (0.0, 0.9, 16)),
        ("PD5", "grokking", (1.0, 0.9, 64)),
        ("PD5", "comprehension", (1.0, 0.5, 64)),
    ],
)
def test_one_cell_changes_a_verdict(
    claim: str, phase: str, cell: tuple[float, float, int]
) -> None:
    where = dict(zip(("weight_decay", "train_fraction", "width"), cell, strict=True))
    rows = with_phase(published_phases(), phase, **where)
    assert verdict(claim, build(rows))["verdict"] == "fails"


def test_a_missing_phase_and_a_minority() -> None:
    rows = [
        row | {"phase": "memorisation"} if row["phase"] == "comprehension" else row
        for row in published_phases()
    ]
    assert verdict("PD7", build(rows))["verdict"] == "fails"
    rows = [row | {"phase": "memorisation"} for row in published_phases()]
    assert verdict("PD2", build(rows))["verdict"] == "fails"
    assert verdict("PD6", build(rows))["verdict"] == "fails"


def test_a_grid_with_a_cell_missing_is_not_testable() -> None:
    rows = published_phases()[1:]
    for claim in (name for name in CLAIMS if name.startswith("PD")):
        row = verdict(claim, build(rows))
        assert row["verdict"] == "not testable at this scale"
        assert "1 of the 60 published cells lack a run" in row["reason"]


def test_a_diverged_run_is_counted_and_no_phase() -> None:
    rows = with_phase(
        published_phases(), "diverged", weight_decay=1.0, train_fraction=0.3, width=16
    )
    row = verdict("PD7", build(rows))
    assert row["measured"] == 4
    assert "diverged 1" in row["reason"]


def test_several_seeds_have_an_interval_of_counts() -> None:
    rows = [row for seed in (1, 2, 3) for row in published_phases(seed)]
    rows[0:60] = with_phase(
        rows[0:60], "memorisation", weight_decay=0.01, train_fraction=0.9, width=64
    )
    row = verdict("PD3", build(rows))
    assert (row["low"], row["high"], row["seeds"]) == (8, 9, 3)
    assert row["measured"] == pytest.approx(26 / 3)


# ------------------------------------------------------------------ all claims


def test_every_claim_is_there_for_any_evidence() -> None:
    """Empty tables: every claim stands, not testable, with a reason."""
    table = claims_table(PUBLISHED, build([]))
    assert len(table) == 20
    assert table["claim"].is_unique
    assert set(table["verdict"]) == {"not testable at this scale"}
    assert table["reason"].str.contains("not in this configuration").all()


@pytest.mark.parametrize("study", ["lead_lag", "gai", "phase_diagram"])
def test_runs_of_no_rows_are_no_error(study: str) -> None:
    """A run that diverged at once has nulls everywhere."""
    nothing = dict.fromkeys(TRANSITION) | {"train_onset_censored": True}
    rows = [key(study) | nothing | {"phase": "diverged", "final_test_metric": None}]
    table = claims_table(PUBLISHED, build(rows))
    assert set(table["verdict"]) == {"not testable at this scale"}


def test_the_table_is_complete_and_total() -> None:
    rows = [*lead_lag(), *gai(), *published_phases()]
    alarms = [alarm(row, 700) for row in events(gai())]
    perfect = dict.fromkeys(("precision", "precision_high", "recall_high"), 1.0)
    evaluation = [scored(**perfect)]
    evidence = build(rows, alarms=alarms, evaluation=evaluation, chance=against(BEATS_ALL))
    table = claims_table(PUBLISHED, evidence)
    assert set(table["verdict"]) <= set(VERDICTS)
    assert table["reason"].str.endswith((".", "%")).all()
    inside = table[table["low"].notna()]
    assert (inside["low"] <= inside["measured"]).all()
    assert (inside["measured"] <= inside["high"]).all()
    assert table.equals(claims_table(PUBLISHED, evidence)), "the same evidence, other numbers"


def test_an_unknown_or_misspelt_claim_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: LL9, study: lead_lag, statement: a, published: b, values: {}}")
    with pytest.raises(ValueError, match="'LL9' has the fields"):
        read_published(path)
    path.write_text(
        "- {id: LL9, study: lead_lag, statement: a, published: b, values: {}, weakness: c}"
    )
    with pytest.raises(ValueError, match="not those judged"):
        read_published(path)


# ------------------------------------------------------------------ statistics


def test_bootstrap_agrees_with_scipy_for_one_row_a_cluster() -> None:
    """Percentile interval of a mean, read at the same tail."""
    values = np.random.default_rng(3).normal(size=12)
    ours = cluster_bootstrap(
        np.arange(12),
        lambda rows: float(values[rows].mean()),
        confidence=0.9,
        resamples=4000,
        seed=0,
    )
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - 2 * expanded_tail(0.9, 12),
        method="percentile",
        n_resamples=4000,
        rng=1,
    ).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.05)


def test_runs_of_a_seed_stay_together() -> None:
    """Two clusters without spread inside: the interval is their range, whatever the rows."""
    clusters = np.repeat([1, 2], 50)
    values = clusters.astype(float)
    interval = cluster_bootstrap(
        clusters, lambda rows: float(values[rows].mean()), confidence=0.9, resamples=100, seed=0
    )
    assert interval == (1, 2)


def test_one_cluster_has_no_interval_and_undefined_resamples_are_left_out() -> None:
    def first(rows: np.ndarray) -> float:
        return float("nan") if (rows == 0).all() else float(rows.mean())

    assert cluster_bootstrap([5, 5], first, confidence=0.9, resamples=100, seed=0).low is None
    interval = cluster_bootstrap([5, 6], first, confidence=0.9, resamples=100, seed=0)
    assert interval.low is not None
    assert interval.high == 1

    def never(rows: np.ndarray) -> float:
        return float("nan")

    assert cluster_bootstrap([5, 6], never, confidence=0.9, resamples=100, seed=0).low is None


def coverage(clusters: int, data_sets: int = 300) -> float:
    """Share of intervals of a mean that contain it; clusters of 3 correlated rows each."""
    rng = np.random.default_rng(clusters)
    labels = np.repeat(np.arange(clusters), 3)
    hit = 0
    for _ in range(data_sets):
        values = rng.normal(size=clusters)[labels] + 0.5 * rng.normal(size=len(labels))
        low, high = cluster_bootstrap(
            labels,
            lambda rows, values=values: float(values[rows].mean()),
            confidence=0.95,
            resamples=300,
            seed=0,
        )
        hit += low <= 0 <= high
    return hit / data_sets


def test_coverage_by_simulation() -> None:
    """95% intervals cover about 95% with many seeds, and three seeds the 75% that they can.

    Binomial standard errors with 300 data sets: 1.3 and 2.5 points.
    """
    assert 0.91 <= coverage(10) <= 0.985
    assert 0.67 <= coverage(3) <= 0.83


def test_the_tail_of_few_clusters() -> None:
    """Known: t(4) at 0.025 is -2.776, times sqrt(5/4) is -3.104, of which Phi is 0.00095."""
    assert expanded_tail(0.95, 5) == pytest.approx(0.00095, abs=1e-5)
    assert expanded_tail(0.95, 10_000) == pytest.approx(0.025, abs=1e-4)
    assert [resolves(0.95, k) for k in (1, 2, 3, 4)] == [False, False, False, True]


def test_correlations_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(x, 2 * x + 1) == pytest.approx(1)
    assert pearson(x, np.array([1.0, 0.0, 0.0, 1.0])) == pytest.approx(0)
    assert spearman(x, np.exp(-x)) == pytest.approx(-1)
    assert np.isnan(pearson(x, np.ones(4)))
    assert np.isnan(pearson(x[:2], x[:2]))
