"""Claims: verdicts on tables made by hand, and the intervals they are judged with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grokscope.claims import samples
from grokscope.claims.controls import order_score, permuted_correlation, permuted_order
from grokscope.claims.judge import judge_study
from grokscope.claims.published import read_published
from grokscope.claims.registry import CLAIMS, VERDICTS
from grokscope.claims.rows import select
from grokscope.claims.wording import NULLS, beaten, knowledge, sentence
from grokscope.data.tables import conform, empty
from grokscope.measure.variants import configured
from grokscope.runs.config import default_analysis
from grokscope.runs.kinds import KINDS
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import KEY_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = read_published(ROOT / "workflow" / "report" / "claims.yaml")
SET_OF = {claim.id: name for name, claims in PUBLISHED.items() for claim in claims.claims}


def settings(**evaluation: Any) -> Analysis:
    given = {"lead_window": [200, 400], "surrogates": 199}
    return default_analysis(
        evaluation=given | {"development_seeds": []} | evaluation,
        phases={"threshold": 0.95, "gap": 200},
    )


SETTINGS = settings()
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
    "processor": "x86_64 GenuineIntel avx2",
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


Tables = dict[str, pd.DataFrame]


def named(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in KEY_COLUMNS}


def build(rows: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Tables:
    """Tables of a study's runs: each row has key columns and whatever columns of any table."""
    runs, transitions, phases, variants = [], [], [], []
    for row in rows:
        size = SIZES.get(row["task"], 1000)
        given = {"n_train": size - 10, "n_test": 10} | RUN | row
        runs.append(named(row) | {name: given[name] for name in [*RUN, "n_train", "n_test"]})
        made = TRANSITION | row
        made["train_onset_censored"] = made["train_onset_step"] is None
        made["test_onset_censored"] = made["test_onset_step"] is None
        if made["test_onset_censored"]:
            made["onset_lag"] = None
        transitions.append(named(row) | {name: made[name] for name in TRANSITION})
        variants.append(variant(made, **tables))
        if "phase" in row:
            extra = {"train_reached_step": 1, "test_reached_step": 2, "gap": 1, "agreement": 1.0}
            extra |= {"gap_censored": False, "vote": row["phase"], "cell_seeds": 1}
            phases.append(named(row) | {"phase": row["phase"]} | extra)

    def frame(table: str, of: list[dict[str, Any]]) -> pd.DataFrame:
        return conform(pd.DataFrame(of), table) if of else empty(table)

    return {
        "runs": frame("runs", runs),
        "transitions": frame("transitions", transitions),
        "alarms": frame("alarms", tables.get("alarms", [])),
        "rank": frame("rank", tables.get("rank", [])),
        "phases": frame("phases", phases),
        "variants": frame("variants", variants),
    }


def variant(run: dict[str, Any], **tables: list[dict[str, Any]]) -> dict[str, Any]:
    """The configured variant of a run, from its alarms and ranks."""
    train, onset = run["train_onset_step"], run["test_onset_step"]
    event = None not in (train, onset) and onset - train > 200
    fired: dict[str, list[tuple[int, float]]] = {}
    for of in tables.get("alarms", []):
        if named(of) == named(run):
            fired.setdefault(of["layer"], []).append((of["step"], of["peak"]))

    def lead(layer: int) -> int | None:
        steps = [step for step, _ in fired.get(str(layer), []) if event and step < onset]
        return onset - min(steps) if steps else None

    combined = sorted(fired.get("combined", []))
    peaks = [peak for step, peak in combined if onset is None or step < onset]
    drops = {
        f"{of['measure']}_drop": of["relative_drop"]
        for of in tables.get("rank", [])
        if named(of) == named(run) and of["reference"] == "onset"
    }
    return (
        named(run)
        | configured(SETTINGS.alarms)._asdict()
        | {"beta2": 0.98, "onset_threshold": 0.95, "onset": onset, "event": event}
        | {"warm_up": run.get("warm_up", 121)}
        | {"alarms": " ".join(str(step) for step, _ in combined) or None}
        | {"spike": max(peaks, default=None), "tau": None}
        | {"last_first_lead": lead(run["depth"]), "first_first_lead": lead(1)}
        | dict.fromkeys(("effective_drop", "stable_drop", "numerical_drop"))
        | drops
    )


def judged(name: str, tables: Tables, *only: str, analysis: Analysis = SETTINGS) -> pd.DataFrame:
    """Table ``claims`` of a study by a claim set, or by some of its claims; by claim."""
    claims, studies = PUBLISHED[name], tables["runs"]["study"].unique()
    if only:
        claims = replace(claims, claims=tuple(map(claims.claim, only)))
    study = studies[0] if len(studies) else "none"
    return judge_study(study, tables, claims, claims.kind, analysis).claims.set_index("claim")


def verdict(claim: str, tables: Tables, analysis: Analysis = SETTINGS) -> dict[str, Any]:
    """Its row; with a claim about the others, two of these are judged before it."""
    family = ("GAI2", "GAI3") if CLAIMS[claim].of_family else ()
    row = judged(SET_OF[claim], tables, *family, claim, analysis=analysis).loc[claim]
    return row.astype(object).where(row.notna(), None).to_dict()


def alarm(of: dict[str, Any], step: int, layer: str = "combined", peak: float = 4.0) -> dict:
    raised = {"detector": "gai", "layer": layer, "step": step, "score": 4.0, "peak": peak}
    return named(of) | raised | {"cause": "none"}


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


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the alarms are compared with: a p-value per null model, whose mean is 0.1."""
    rows: list[dict[str, Any]] = []
    monkeypatch.setattr(samples, "chance_rows", lambda *_: rows)

    def add(p: dict[str, float], score: str = "precision", depth: int | None = None) -> None:
        row = {"depth": depth, "score": score, "null_mean": 0.1}
        rows.extend(row | {"null_model": model, "p": value} for model, value in p.items())

    return add


BEATS_ALL = dict.fromkeys(NULLS, 0.001)
BEATS_TWO = {"random": 0.001, "shifted": 0.002, "swapped": 0.4, "constant_time": 0.7}


def test_the_published_alarms_are_judged(against: Callable[..., None]) -> None:
    """30 events with an alarm each, 300 steps ahead, in two a false one before and a late one."""
    rows = gai()
    alarms = [alarm(row, 700) for row in events(rows)]
    alarms += [alarm(row, step) for row in events(rows)[:2] for step in (100, 2900)]
    # The regression arm has no event; of its alarms one ends too near the end to be judged.
    regression = next(row for row in rows if row["task"] == "cubic_regression")
    alarms.append(alarm(regression, 500))
    against(BEATS_ALL)
    against({"shifted": 0.02}, "recall")
    table = judged("GAI", build(rows, alarms=alarms), "GAI1", "GAI2", "GAI3")
    lead, precision, recall = (table.loc[name] for name in ("GAI1", "GAI2", "GAI3"))
    assert (lead["measured"], lead["verdict"], lead["n"]) == (300, "holds", 30)
    assert (lead["low"], lead["high"]) == (300, 300) and pd.isna(lead["p"])
    assert "30 of 30 events have an alarm before them; 28 of these come 200-400" in lead["reason"]
    assert precision["measured"] == pytest.approx(30 / 33)
    assert (precision["p"], precision["n"], precision["seeds"]) == (0.001, 45, 3)
    assert precision["low"] < precision["measured"] < precision["high"]
    assert "30 of 33 judged alarms" in precision["reason"]
    assert "0 of 33 alarms are censored" in precision["reason"]
    assert "it knows when this run groks" in precision["reason"]
    assert (recall["measured"], recall["verdict"], recall["p"]) == (1, "holds", 0.02)


def test_alarms_of_layers_and_other_detectors_have_no_part() -> None:
    rows = gai()
    alarms = [alarm(row, 700) for row in events(rows)]
    others = [alarm(row, 100, layer="1") for row in rows]
    others += [alarm(row, 100) | {"detector": "cusum"} for row in rows]
    tables = build(rows, alarms=alarms)
    more = tables | {"alarms": build(rows, alarms=alarms + others)["alarms"]}
    for name in ("GAI1", "GAI2", "GAI3"):
        assert verdict(name, tables) == verdict(name, more)


def test_a_lead_outside_the_window_fails() -> None:
    rows = gai()
    alarms = [alarm(row, 100) for row in events(rows)]
    # Most runs alarm and end without an onset.
    never = [row | {"test_onset_step": None, "width": 64} for row in rows]
    alarms += [alarm(row, 100) for row in never]
    row = verdict("GAI1", build(rows + never, alarms=alarms))
    assert (row["verdict"], row["measured"]) == ("fails", 900)
    assert "not reached" in row["reason"]


def test_leads_count_misses_and_are_known_to_the_step() -> None:
    """An alarm at the onset, or after it, is a miss."""
    rows = gai()
    steps = {0: 691, 1: 700, 2: 1000}
    alarms = [alarm(row, steps[row["seed"]]) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms))
    assert "20 of 30 events have an alarm before them" in row["reason"]
    assert (row["low"], row["measured"], row["high"]) == (0, 300, 309)


def test_development_seeds_have_no_part_in_the_lead() -> None:
    rows = gai()
    alarms = [alarm(row, 100 if row["seed"] == 0 else 700) for row in events(rows)]
    row = verdict("GAI1", build(rows, alarms=alarms), settings(development_seeds=[0]))
    assert (row["low"], row["high"]) == (300, 300)
    assert "20 of 20 events" in row["reason"]


def test_one_relabelled_cell_enters_nothing() -> None:
    """Runs of another modulus or of an unpublished task: no value, interval, chance or reason."""
    rows = gai(seeds=4)
    alarms = [alarm(row, 700 - 10 * row["seed"]) for row in events(rows)]
    expected = judged("GAI", build(rows, alarms=alarms))
    for change in (
        {"n_train": 300, "n_test": 229, "width": 64},
        {"task": "modular_cubic"},
        {"task": "modular_addition", "n_train": 300, "n_test": 229, "width": 32},
    ):
        others = [row | change for row in events(rows) if row["task"] == "s5_composition"]
        more = alarms + [alarm(row, 100) for row in others]
        found = judged("GAI", build(rows + others, alarms=more))
        pd.testing.assert_frame_equal(found, expected)


def test_the_reason_says_what_the_alarms_know(against: Callable[..., None]) -> None:
    rows = gai()
    alarms = [alarm(row, step) for row in events(rows) for step in (100, 700)]
    against(BEATS_TWO)
    row = verdict("GAI2", build(rows, alarms=alarms))
    assert row["verdict"] == "fails"
    assert row["p"] == 0.002
    assert (
        "beats chance and shifted alarms but not other seeds' alarms or a constant time: it knows "
        "when such runs grok, not when this one does"
    ) in row["reason"]
    assert "Shifted alarms reach 0.100 (p = 0.002)." in row["reason"]


def test_without_alarms_precision_is_not_testable_but_recall_is_zero() -> None:
    table = judged("GAI", build(gai()))
    for name in ("GAI2", "GAI7", "GAI8"):
        assert table.loc[name, "verdict"] == "not testable at this scale"
        assert pd.isna(table.loc[name, "measured"])
    assert table.loc["GAI3", "verdict"] == "fails"
    assert table.loc["GAI3", "measured"] == 0


def test_without_events_nothing_is_testable() -> None:
    rows = gai(test_onset_step=None)
    table = judged("GAI", build(rows, alarms=[alarm(row, 700) for row in rows]))
    for claim in ("GAI1", "GAI2", "GAI3", "GAI5", "GAI6", "GAI7", "GAI8"):
        row = table.loc[claim]
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


def alarms_by_depth(rows: list[dict], right: dict[int, int]) -> list[dict]:
    """One alarm per run with event: right in that many runs of a depth, wrong in the others."""
    alarms: list[dict] = []
    for depth, number in right.items():
        runs = [row for row in events(rows) if row["depth"] == depth]
        alarms += [alarm(row, 700 if i < number else 100) for i, row in enumerate(runs)]
    return alarms


@pytest.mark.parametrize(
    ("p", "right", "expected"), [(0.01, 1, "holds"), (0.06, 1, "fails"), (0.01, 0, "fails")]
)
def test_one_depth_at_chance_makes_every_depth_fail(
    p: float, right: int, expected: str, against: Callable[..., None]
) -> None:
    """Depth 8 decides; depth 6 has no event and is named; the null's mean is 0.1."""
    rows = gai()
    for row in rows:
        if row["depth"] == 6:
            row["test_onset_step"] = None
    for depth in (2, 3, 4, 8):
        against({"shifted": p if depth == 8 else 0.001}, depth=depth)
    alarms = alarms_by_depth(rows, {2: 6, 3: 6, 4: 6, 8: right})
    row = verdict("GAI7", build(rows, alarms=alarms))
    assert row["verdict"] == expected
    assert row["measured"] == pytest.approx(right / 6 - 0.1)
    assert row["p"] == p
    assert "No event at depth 6" in row["reason"]
    assert "depth 8 (6 of 9 runs with event)" in row["reason"]
    assert row["n"] == 4 * 9


def test_a_silent_depth_speaks_against_every_depth(against: Callable[..., None]) -> None:
    rows = gai(depths=(2, 3, 4, 6, 8))
    for row in rows:
        if row["depth"] > 3:
            row["test_onset_step"] = None
    against({"shifted": 0.001}, depth=2)
    row = verdict("GAI7", build(rows, alarms=alarms_by_depth(rows, {2: 6})))
    assert row["verdict"] == "fails"
    assert row["p"] is None
    assert "depth 3 (6 of 9 runs with event): no judged alarm" in row["reason"]


def significance(
    seeds: int, step: int, against: Callable[..., None], p_recall: float = 0.001
) -> dict[str, Any]:
    rows = gai(seeds)
    against({"shifted": 0.001})
    against({"shifted": p_recall}, "recall")
    return verdict("GAI8", build(rows, alarms=[alarm(row, step) for row in events(rows)]))


def test_significance_needs_enough_seeds(against: Callable[..., None]) -> None:
    """Three seeds cannot resolve a Bonferroni-corrected tail; six can; chance fails in both."""
    for seeds, expected in ((1, "not testable at this scale"), (6, "holds")):
        assert significance(seeds, 700, against)["verdict"] == expected
    for seeds in (3, 6):
        assert significance(seeds, 100, against)["verdict"] == "fails"
    row = significance(3, 700, against)
    assert row["verdict"] == "not testable at this scale"
    assert "too few" in row["reason"]


def test_significance_needs_every_adjusted_p(against: Callable[..., None]) -> None:
    row = significance(6, 700, against, p_recall=0.2)
    assert row["verdict"] == "fails"
    assert "those of GAI3 are not below 0.05" in row["reason"]
    assert row["measured"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == (pytest.approx(0.9), pytest.approx(0.9))


def test_a_tiny_modulus_is_not_the_gai_study() -> None:
    rows = gai(n_train=200, n_test=100)
    alarms = [alarm(row, 700 if row["seed"] else 100) for row in events(rows)]
    row = verdict("GAI2", build(rows, alarms=alarms))
    assert row["verdict"] == "not testable at this scale"
    assert row["measured"] == pytest.approx(2 / 3)


def test_p_values_are_adjusted_over_the_claims_that_have_one(
    against: Callable[..., None],
) -> None:
    """By hand: Holm takes the smallest of two twice, and the other once."""
    against({"shifted": 0.01})
    against({"shifted": 0.04}, "recall")
    rows = gai(6)
    table = judged("GAI", build(rows, alarms=[alarm(row, 700) for row in events(rows)]))
    assert table["p"].notna().sum() == 2
    columns = ["p", "p_holm", "p_bonferroni"]
    assert table.loc["GAI2", columns].tolist() == pytest.approx([0.01, 0.02, 0.02])
    assert table.loc["GAI3", columns].tolist() == pytest.approx([0.04, 0.04, 0.08])
    assert "Of 2 p-values, adjusted by Holm, all are below 0.05" in table.loc["GAI8", "reason"]


def test_the_reason_counts_the_choices_that_support_a_claim() -> None:
    """The configured choice, and two others without an alarm."""
    rows = gai()
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])
    others = [
        tables["variants"].assign(window=window, alarms=None, spike=None) for window in (10, 30)
    ]
    variants = conform(pd.concat([tables["variants"], *others]), "variants")
    table = judged("GAI", tables | {"variants": variants})
    assert table.loc["GAI1", "reason"].endswith("1 of 3 analysis choices support it.")
    # Without a judged alarm there is no precision.
    assert table.loc["GAI2", "reason"].endswith("1 of 1 analysis choices support it.")
    assert "analysis choices" not in table.loc["GAI5", "reason"]


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
    letters = dict(zip("ABCD", NULLS, strict=True))
    p = dict.fromkeys(NULLS, 0.5) | {letters[letter]: 0.01 for letter in wins}
    assert words in knowledge(p, 0.05)


def test_null_models_in_words() -> None:
    assert (
        beaten({"random": 0.01, "constant_time": 0.05}, 0.05)
        == "beats chance but not a constant time"
    )
    assert beaten({"random": 0.2}, 0.05) == "does not beat chance"
    assert beaten(dict.fromkeys(("random", "shifted", "swapped"), 0.01), 0.05) == (
        "beats chance, shifted alarms and other seeds' alarms"
    )
    assert sentence({}, 0.05) == "has nothing to compare with chance"
    assert "nothing to tell" in knowledge({"random": 0.01, "shifted": 0.01}, 0.05)


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
    table = pd.concat(judged(name, build([])) for name in PUBLISHED)
    assert len(table) == 20
    assert table.index.is_unique
    assert set(table["verdict"]) == {"not testable at this scale"}
    assert table["reason"].str.contains("has no runs").all()


def test_every_published_claim_has_a_function_and_none_is_left_over() -> None:
    assert set(SET_OF) == set(CLAIMS)
    for name, claims in PUBLISHED.items():
        assert name in KINDS[claims.kind].claim_sets


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_runs_of_no_rows_are_no_error(name: str) -> None:
    """A run that diverged at once has nulls everywhere."""
    nothing = dict.fromkeys(TRANSITION) | {"train_onset_censored": True, "warm_up": None}
    rows = [key("mine") | nothing | {"phase": "diverged", "final_test_metric": None}]
    table = judged(name, build(rows))
    assert set(table["verdict"]) == {"not testable at this scale"}


def test_the_table_is_complete_and_total() -> None:
    alarms = [alarm(row, 700) for row in events(gai())]
    studies = {
        "LL": build(lead_lag()),
        "GAI": build(gai(), alarms=alarms),
        "PD": build(published_phases()),
    }
    for name, tables in studies.items():
        table = judged(name, tables)
        assert table.index.tolist() == [claim.id for claim in PUBLISHED[name].claims]
        assert set(table["verdict"]) <= set(VERDICTS)
        assert table["reason"].str.endswith((".", "%")).all()
        inside = table[table["low"].notna()]
        assert (inside["low"] <= inside["measured"]).all()
        assert (inside["measured"] <= inside["high"]).all()
        assert table.equals(judged(name, tables)), "the same evidence, other numbers"


def test_a_study_has_any_name() -> None:
    """The name moves nothing but the surrogates, which are drawn by it."""
    rows = gai()
    alarms = [alarm(row, 700 - 30 * row["seed"]) for row in events(rows)]
    other = {"study": "my_study"}
    renamed = [row | other for row in rows], [of | other for of in alarms]
    one, two = build(rows, alarms=alarms), build(renamed[0], alarms=renamed[1])
    columns = ["measured", "low", "high", "n", "seeds", "verdict"]
    one_table, two_table = judged("GAI", one), judged("GAI", two)
    assert set(two_table["study"]) == {"my_study"}
    pd.testing.assert_frame_equal(
        one_table.loc["GAI1":"GAI6", columns], two_table.loc["GAI1":"GAI6", columns]
    )
    for made, name in ((lead_lag(), "LL"), (published_phases(), "PD")):
        found = judged(name, build([row | other for row in made]))
        assert set(found["verdict"]) == {"holds"}


def test_runs_that_differ_in_a_varied_setting_are_different_runs() -> None:
    """The same seeds at two learning rates, and a setting that a task does not use (null)."""
    rows = gai()
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])

    def varied(frame: pd.DataFrame) -> pd.DataFrame:
        modular = frame["task"] == "modular_addition"
        p = pd.array([97 if yes else None for yes in modular], "Int64")
        parts = [frame.assign(p=p, learning_rate=rate) for rate in (1e-3, 1e-2)]
        return pd.concat(parts, ignore_index=True)

    made = judged("GAI", {name: varied(table) for name, table in tables.items()})
    once = judged("GAI", tables)
    assert (made["n"] == 2 * once["n"]).all()
    assert made.loc[["GAI1", "GAI3"], "measured"].tolist() == [300, 1]


def test_claims_of_another_kind_or_table_of_another_study_are_errors() -> None:
    tables = build(gai())
    claims = PUBLISHED["LL"]
    with pytest.raises(ValueError, match="of kind 'early_warning', but the claims LL are about"):
        judge_study("gai", tables, claims, "early_warning", SETTINGS)
    with pytest.raises(ValueError, match=r"table runs of study 'mine' has rows of \['gai'\]"):
        judge_study("mine", tables, None, "early_warning", SETTINGS)


def test_a_study_without_claims_is_measured_and_not_judged() -> None:
    rows = gai()
    tables = build(rows, alarms=[alarm(row, 700) for row in events(rows)])
    made = judge_study("gai", tables, None, "early_warning", SETTINGS)
    assert made.claims.empty
    assert made.multiverse["claim"].isna().all() and made.multiverse["supports"].isna().all()
    lead = made.multiverse.set_index("quantity").loc["median_lead"]
    assert (lead["measured"], lead["study"], lead["is_default"]) == (300, "gai", True)
    nothing = judge_study("gai", tables, None, "lead_lag", SETTINGS)
    assert nothing.claims.empty and nothing.multiverse.empty


ENTRY = "{id: X1, statement: a, published: b, values: {}, weakness: c}"
SET = "X: {kind: lead_lag, title: a, authors: null, identifier: null, code: null, claims: [%s]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SET % "{id: X1, statement: a, published: b, values: {}}", "claim 'X1' has the fields"),
        (SET % f"{ENTRY}, {ENTRY}", "'X1' stands twice"),
        ("X: {kind: lead_lag, title: a, claims: []}", "claim set 'X' has the fields"),
        (SET.replace("lead_lag", "gai") % ENTRY, "of kind 'gai'; one of lead_lag"),
    ],
)
def test_a_file_of_claims_that_is_wrong_is_an_error(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published(path)


def test_a_published_claim_without_function_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(SET % ENTRY)
    claims = read_published(path)["X"]
    with pytest.raises(ValueError, match="no function judges claim 'X1' of X"):
        judge_study("lead_lag", build(lead_lag()), claims, "lead_lag", SETTINGS)
