"""Claims: verdicts on tables made by hand, and the intervals they are judged with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grokscope.claims import claims_table, judge, read_published
from grokscope.claims.evidence import CLAIMS, VERDICTS, Evidence
from grokscope.runs import KEY_COLUMNS
from grokscope.statistics import cluster_bootstrap, expanded_tail, pearson, resolves, spearman
from grokscope.tables import conform, empty

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = read_published(ROOT / "workflow" / "report" / "claims.yaml")
SETTINGS = {
    "evaluation": {"lead_window": [200, 400], "confidence": 0.95, "resamples": 500, "seed": 0},
    "phases": {"threshold": 0.95, "gap": 200},
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
        settings=SETTINGS,
    )


def verdict(claim: str, evidence: Evidence) -> dict[str, Any]:
    entry = next(entry for entry in PUBLISHED if entry["id"] == claim)
    return judge(entry, evidence)


def alarm(of: dict[str, Any], step: int, layer: str = "combined", score: float = 4.0) -> dict:
    named = {name: of[name] for name in KEY_COLUMNS}
    return named | {"detector": "gai", "layer": layer, "step": step, "score": score}


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


def test_perfect_alarms_hold_and_their_numbers_are_known() -> None:
    rows = gai()
    evidence = build(rows, alarms=[alarm(row, 700) for row in events(rows)])
    lead, precision, recall = (verdict(name, evidence) for name in ("GAI1", "GAI2", "GAI3"))
    assert (lead["measured"], lead["verdict"], lead["n"]) == (300, "holds", 30)
    assert (precision["measured"], precision["verdict"]) == (1, "holds")
    assert (recall["measured"], recall["verdict"], recall["n"]) == (1, "holds", 30)
    # Hit steps 600-800 of the judged 0-2600.
    assert f"{201 / 2601:.3f} by chance" in precision["reason"]
    depth = verdict("GAI7", evidence)
    assert depth["verdict"] == "holds"
    assert depth["measured"] == pytest.approx(1 - 201 / 2601)


def test_a_lead_outside_the_window_fails() -> None:
    rows = gai()
    evidence = build(rows, alarms=[alarm(row, 100) for row in events(rows)])
    assert verdict("GAI1", evidence)["verdict"] == "fails"
    assert verdict("GAI1", evidence)["measured"] == 900


def test_false_alarms_count_in_runs_without_event() -> None:
    rows = gai(seeds=1)
    evidence = build(rows, alarms=[alarm(row, 700) for row in rows])
    row = verdict("GAI2", evidence)
    assert row["measured"] == pytest.approx(2 / 3)
    assert row["verdict"] == "fails"
    assert (row["low"], row["high"]) == (None, None)


def test_missed_events_lower_the_recall() -> None:
    rows = gai()
    alarms = [alarm(row, 700) for row in events(rows) if row["seed"] > 0]
    row = verdict("GAI3", build(rows, alarms=alarms))
    assert row["measured"] == pytest.approx(2 / 3)
    assert (row["low"], row["high"]) == (0, 1)
    assert row["verdict"] == "holds", "the interval over three seeds reaches 0.887"


def test_without_alarms_precision_is_not_testable_but_recall_is_zero() -> None:
    evidence = build(gai())
    assert verdict("GAI2", evidence)["verdict"] == "not testable at this scale"
    assert verdict("GAI2", evidence)["measured"] is None
    assert verdict("GAI3", evidence)["verdict"] == "fails"
    assert verdict("GAI3", evidence)["measured"] == 0


def test_without_events_nothing_is_testable() -> None:
    rows = gai(test_onset_step=None)
    evidence = build(rows, alarms=[alarm(row, 700) for row in rows])
    for claim in ("GAI1", "GAI2", "GAI3", "GAI5", "GAI6", "GAI7", "GAI8"):
        row = verdict(claim, evidence)
        assert row["verdict"] == "not testable at this scale"
        assert "None of the 45 runs has an event" in row["reason"]


def test_spike_size_takes_the_largest_score_before_onset() -> None:
    """A planted linear relation; a huge score after the onset must not enter."""
    rows, alarms = gai(depths=(2, 3, 4, 6, 8)), []
    for number, row in enumerate(events(rows)):
        row["final_test_metric"] = number / 30
        alarms += [alarm(row, 700, score=5 + number), alarm(row, 500, score=4)]
        alarms += [alarm(row, 1500, score=1000 - 30 * number)]
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["measured"] == pytest.approx(1)
    assert (row["verdict"], row["n"]) == ("holds", 30)


def test_spike_size_without_relation_fails() -> None:
    rng, rows = np.random.default_rng(1), gai(seeds=5)
    alarms = []
    for row in events(rows):
        row["final_test_metric"] = float(rng.uniform())
        alarms.append(alarm(row, 700, score=float(rng.uniform(4, 9))))
    row = verdict("GAI4", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert abs(row["measured"]) < 0.5


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
    assert "(matched: 0.250 in 30)" in row["reason"]


def test_one_depth_at_chance_makes_every_depth_fail() -> None:
    """At depth 8 the alarms come in the wrong place; a depth without event is silent."""
    rows = gai()
    for row in rows:
        if row["depth"] == 6:
            row["test_onset_step"] = None
    alarms = [alarm(row, 100 if row["depth"] == 8 else 700) for row in events(rows)]
    row = verdict("GAI7", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert row["measured"] == pytest.approx(-201 / 2601)
    assert "No event at depth 6" in row["reason"]


def test_significance_needs_enough_seeds() -> None:
    """Three seeds cannot resolve a Bonferroni-corrected tail; six can; chance fails in both."""
    for seeds, expected in ((1, "not testable at this scale"), (6, "holds")):
        rows = gai(seeds)
        alarms = [alarm(row, 700) for row in events(rows)]
        assert verdict("GAI8", build(rows, alarms=alarms))["verdict"] == expected
    for seeds in (3, 6):
        rows = gai(seeds)
        alarms = [alarm(row, 100) for row in events(rows)]
        assert verdict("GAI8", build(rows, alarms=alarms))["verdict"] == "fails"
    rows = gai(3)
    row = verdict("GAI8", build(rows, alarms=[alarm(row, 700) for row in events(rows)]))
    assert row["verdict"] == "not testable at this scale"
    assert "too few" in row["reason"]


def test_a_tiny_modulus_is_not_the_gai_study() -> None:
    rows = gai(n_train=200, n_test=100)
    row = verdict("GAI2", build(rows, alarms=[alarm(row, 700) for row in events(rows)]))
    assert row["verdict"] == "not testable at this scale"
    assert row["measured"] == 1


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
    evidence = build(rows, alarms=[alarm(row, 700) for row in events(gai())])
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
