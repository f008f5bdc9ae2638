"""Tables of a study: planted detectors with known answers, scopes, splits, and invariances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grokscope.data.tables import empty
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.matching import PANEL, Cohort
from grokscope.evaluate.tables import evaluation_tables
from grokscope.evaluate.thresholds import choose_threshold
from grokscope.measure.alarms import alarm_steps
from grokscope.measure.detectors.registry import Detector
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import key_columns

STEP, LAST = 10, 4000
EVALUATION: dict[str, Any] = {
    "lead_window": [200, 400],
    "horizons": [400, 1000],
    "minimum_lead": 10,
    "primary_horizon": 400,
    "development_seeds": [0, 1, 2, 3],
    "surrogates": 199,
    "confidence": 0.95,
    "seed": 0,
}
Score = Callable[[Mapping[str, Any], np.ndarray], np.ndarray]
Table = pd.DataFrame


def changed(**evaluation: Any) -> Analysis:
    return default_analysis(
        evaluation=EVALUATION | evaluation,
        phases={"gap": 200},
        alarms={"refractory": 100, "threshold": 3.5},
        detectors={"resolution": STEP},
    )


SETTINGS = changed()


def run(seed: int, test: int | None, last: int | None = LAST, **more: Any) -> dict[str, Any]:
    """Row of a transitions table; memorised at step 100 unless `more` says otherwise."""
    key = {"study": "gai", "task": "modular_addition", "depth": 2, "train_fraction": 0.6}
    key |= {"weight_decay": 1.0, "width": 64, "seed": seed}
    return key | {"train_onset_step": 100, "test_onset_step": test, "last_step": last} | more


def transitions(rows: list[dict[str, Any]]) -> Table:
    return pd.DataFrame(rows).astype(
        dict.fromkeys(["train_onset_step", "test_onset_step", "last_step"], "Int64")
    )


def detector(name: str, level: float | None = None, **more: Any) -> Detector:
    return Detector(
        name=name,
        signal=lambda trace, settings: {},
        uses_test_data=more.get("uses_test_data", False),
        threshold=None if level is None else lambda settings: level,
        latched=False,
        description="planted",
    )


def scores(runs: Table, layers: Mapping[str, Score]) -> Table:
    """Scores of every run: a function of its row and of its blocks' steps."""
    rows = []
    for row in runs.to_dict("records"):
        last = -1 if pd.isna(row["last_step"]) else row["last_step"]
        steps = np.arange(last // STEP + 1) * STEP
        for layer, score in layers.items():
            if layer == "combined" or int(layer) <= row["depth"]:
                values = np.asarray(score(row, steps), np.float32) * np.ones(len(steps))
                key = {name: row[name] for name in key_columns(runs.columns)}
                first = 0 if len(steps) else None
                rows.append(key | {"layer": layer, "warm_up": first, "scores": values})
    return pd.DataFrame(rows)


def stated(scored: Table, name: str, level: float) -> Table:
    """Alarms of a detector at a level, known to the step: here the scores are of single steps."""
    rows = []
    for row in scored.to_dict("records"):
        named = {column: row[column] for column in key_columns(scored.columns)}
        named |= {"detector": name, "layer": row["layer"]}
        rows += [named | {"step": STEP * at} for at in alarm_steps(row["scores"], level, 10)]
    columns = [*key_columns(scored.columns), "detector", "layer", "step"]
    return pd.DataFrame(rows, columns=columns)


def tables(
    runs: Table,
    planted: Mapping[str, Score | Mapping[str, Score]],
    settings: Analysis = SETTINGS,
    levels: Mapping[str, float] | None = None,
) -> dict[str, Table]:
    """Tables of planted detectors: a score, or one per layer; some with a stated threshold."""

    def of(name: str) -> Table:
        layers = planted[name]
        return scores(runs, layers if isinstance(layers, Mapping) else {"combined": layers})

    levels = levels or {}
    alarms = pd.concat(
        [empty("alarms"), *(stated(of(name), name, level) for name, level in levels.items())]
    )
    detectors = {name: detector(name, levels.get(name)) for name in planted}
    return evaluation_tables(of, alarms, runs, settings, detectors)


def select(table: Table, **values: Any) -> Table:
    """Rows with these values, of the whole study unless `values` say otherwise."""
    for name, value in ({"task": None, "depth": None} | values).items():
        if name in table:
            column = table[name]
            table = table[column.isna() if value is None else (column == value).fillna(False)]
    return table


def only(table: Table, **values: Any) -> dict[str, Any]:
    found = select(table, **values)
    assert len(found) == 1, f"{len(found)} rows of {values}"
    return found.iloc[0].to_dict()


# ------------------------------------------------------------------ planted detectors


def typical_runs() -> Table:
    """16 seeds of two cells; onsets around 2000, a few never; two seeds in ten without event."""
    rng = np.random.default_rng(0)
    return transitions(
        [
            run(
                seed,
                None if seed % 8 == 7 else 2000 + int(rng.integers(-25, 26)) * 10,
                depth=depth,
            )
            for depth in (2, 3)
            for seed in range(16)
        ]
    )


def oracle(row: Mapping[str, Any], steps: np.ndarray) -> np.ndarray:
    """1 at 300 steps before the event."""
    onset = row["test_onset_step"]
    return np.zeros(len(steps)) if pd.isna(onset) else 1.0 * (steps == onset - 300)


def typical(row: Mapping[str, Any], steps: np.ndarray) -> np.ndarray:
    """1 where the middle of the primary window is before the typical onset."""
    return 1.0 * (steps == 1800)


def noise(row: Mapping[str, Any], steps: np.ndarray) -> np.ndarray:
    return np.random.default_rng([row["seed"], row["depth"]]).normal(size=len(steps))


@pytest.fixture(scope="module")
def found() -> dict[str, Table]:
    planted = {"oracle": oracle, "typical": typical, "noise": noise}
    return tables(typical_runs(), planted, levels={"noise": 3.0})


def test_a_perfect_oracle_scores_one_and_beats_all(found: dict[str, Table]) -> None:
    rows = select(found["evaluation"], detector="oracle")
    assert len(rows) == 1 + 2 * 3
    # All alarms of the ten seeds with events hit: no certainty, but as much as of ten draws.
    least = 0.025 ** (1 / 10)
    for name in ("precision", "recall", "f1"):
        assert (rows[name] == 1).all() and (rows[f"{name}_high"] == 1).all(), name
        assert rows[f"{name}_low"].to_numpy(float) == pytest.approx(least), name
    assert (rows["false_alarms_per_10000"] == 0).all()
    assert (rows["lead_q25"] == 300).all() and (rows["lead_q75"] == 300).all()
    assert (rows["threshold"] == 0).all()  # above it is the alarm
    chance = select(found["chance"], detector="oracle", score="auc")
    assert chance["null_model"].tolist() == ["random", "shifted", "swapped", "constant_time"]
    assert (chance["observed"] > 0.9).all()
    assert (chance["p"] == 1 / 200).all()
    narrow = select(
        found["chance"],
        detector="oracle",
        rule="every",
        lead_min=200,
        lead_max=400,
        score="recall",
    )
    assert (narrow["p"] < 0.05).all()


def test_who_knows_only_the_typical_onset_beats_random_and_shifted_alarms_alone(
    found: dict[str, Table],
) -> None:
    evaluation = only(
        found["evaluation"], detector="typical", rule="first", lead_min=10, lead_max=400
    )
    assert 0.5 < evaluation["recall"] < 1
    for score in ("precision", "recall", "f1"):
        p = select(
            found["chance"],
            detector="typical",
            rule="first",
            lead_min=10,
            lead_max=400,
            score=score,
        ).set_index("null_model")["p"]
        assert p["random"] < 0.02 and p["shifted"] < 0.02, score
        assert p["swapped"] > 0.1 and p["constant_time"] > 0.1, score
    p = select(found["chance"], detector="typical", score="auc").set_index("null_model")["p"]
    assert p["random"] < 0.02 and p["shifted"] < 0.02
    assert p["swapped"] > 0.1


def test_the_bands_of_curves_are_of_the_null_models_they_name(found: dict[str, Table]) -> None:
    """Who knows only the typical onset scores the same when swapped, and less when shifted."""
    points = select(found["curves"], detector="typical")
    for name in ("swapped_low", "swapped_high"):
        assert (points[name] == points["sensitivity"]).all()
    assert (points["null_high"] < points["sensitivity"]).any()


def test_noise_beats_nothing(found: dict[str, Table]) -> None:
    p = select(found["chance"], detector="noise", score="auc")["p"]
    assert (p > 0.05).all()


def test_the_constant_time_itself_beats_random_and_shifted_alarms_alone(
    found: dict[str, Table],
) -> None:
    """Its score rises with time, so it is highest at the event; in every run of the cell."""
    areas = select(found["chance"], detector="constant_time", score="auc")
    assert (areas["observed"] > 0.7).all()
    p = areas.set_index("null_model")["p"]
    assert p["random"] < 0.02 and p["shifted"] < 0.02
    assert p["swapped"] == 1 and p["constant_time"] > 0.1


# ------------------------------------------------------------------ rows


def test_rows_of_each_rule_window_and_scope(found: dict[str, Table]) -> None:
    rows = found["evaluation"]
    mine = select(rows, detector="noise", threshold_source="published")
    assert (mine["threshold"] == 3).all()
    windows = [tuple(pair) for pair in mine[["lead_min", "lead_max"]].fillna(-1).to_numpy()]
    assert windows == [(-1, -1), *[(10, 400), (10, 1000), (200, 400)] * 2]
    assert mine["rule"].tolist() == ["run", *["first"] * 3, *["every"] * 3]
    scopes = rows[["task", "depth"]].drop_duplicates().astype(object)
    scopes = scopes.where(scopes.notna(), None).to_numpy().tolist()
    panels = [["modular_addition", depth] for depth in (2, 3)]
    assert scopes == [[None, None], [None, 2], [None, 3], *panels]
    assert not rows.duplicated(
        [*PANEL, "detector", "layer", "threshold_source", "rule", "lead_min", "lead_max"]
    ).any()
    assert set(rows["detector"]) == {"oracle", "typical", "noise", "constant_time", "step_zero"}


def test_development_seeds_are_not_scored(found: dict[str, Table]) -> None:
    rows = select(found["evaluation"])
    assert set(rows["n_runs"]) == {24}
    assert set(rows["seeds"]) == {12}
    assert set(rows["n_events"]) == {20}


def test_counts_of_the_study_are_those_of_its_panels(found: dict[str, Table]) -> None:
    names = ["n_runs", "n_events", "n_alarms", "n_judged", "n_hits"]
    by = ["detector", "threshold_source", "rule", "lead_min", "lead_max"]
    table = found["evaluation"]
    pooled = select(table).groupby(by, dropna=False)[names].sum()
    panels = table[table["task"].notna()].groupby(by, dropna=False)[names].sum()
    pd.testing.assert_frame_equal(pooled, panels)
    ratio = table["n_hits"] / table["n_judged"]
    known = table["precision"].notna()
    assert np.allclose(ratio[known].astype(float), table["precision"][known].astype(float))
    for name in ("precision", "recall", "f1"):
        inside = table[table[f"{name}_low"].notna()]
        assert (inside[f"{name}_low"] <= inside[name] + 1e-12).all()
        assert (inside[name] <= inside[f"{name}_high"] + 1e-12).all()
        assert (inside[f"{name}_low"] < inside[f"{name}_high"]).all()  # no point


def test_leads_of_all_events_and_censored_ones() -> None:
    """Leads 300 and 100, a miss, and a run that waited 3900 steps in vain.

    Kaplan-Meier: a quarter each at 0, 100 and 300: survival is 1/4 from 300 on.
    """
    runs = transitions([run(0, 1000), run(1, 1000), run(2, 1000), run(3, None), run(4, None)])
    at = {0: 700, 1: 900, 2: 1000, 3: 100, 4: 9999}
    made = tables(
        runs,
        {"planted": lambda row, steps: steps == at[row["seed"]]},
        changed(development_seeds=[]),
        {"planted": 0.5},
    )
    row = only(made["evaluation"], detector="planted", rule="run", threshold_source="published")
    assert (row["lead_q25"], row["lead_median"], row["lead_q75"]) == (50, 100, 200)
    assert row["km_lead_median"] == 300
    assert (row["n_alarms"], row["n_judged"], row["n_hits"]) == (3, 3, 2)
    # 3 * 1000 steps before events and 2 * 4001 in vain; one false run.
    assert row["false_alarms_per_10000"] == pytest.approx(1e4 / 11002)
    assert row["time_in_warning"] == pytest.approx((300 + 100 + 3901) / 11002)


def test_a_run_that_never_memorised_does_not_wait_for_an_onset() -> None:
    """Leads 300 and 100 and a miss: the run that alarms and never memorises changes nothing."""
    runs = transitions([run(0, 1000), run(1, 1000), run(2, 1000), run(3, None)])
    at = {0: 700, 1: 900, 2: 1000, 3: 100}
    medians = []
    for memorised in (100, None):
        runs.loc[3, "train_onset_step"] = memorised
        made = tables(
            runs,
            {"planted": lambda row, steps: steps == at[row["seed"]]},
            changed(development_seeds=[]),
            {"planted": 0.5},
        )
        row = only(
            made["evaluation"], detector="planted", rule="run", threshold_source="published"
        )
        medians.append(row["km_lead_median"])
    assert medians == [300, 100]


def test_a_censored_alarm_is_no_false_alarm() -> None:
    """Of alarms at 500 and 3,900 in a run to 4,000 without onset only the first is known false."""
    made = tables(
        transitions([run(0, 1000), run(1, None)]),
        {"planted": lambda row, steps: np.isin(steps, [] if row["seed"] == 0 else [500, 3900])},
        changed(development_seeds=[]),
        {"planted": 0.5},
    )
    row = only(
        made["evaluation"],
        detector="planted",
        rule="every",
        lead_min=200,
        lead_max=400,
        threshold_source="published",
    )
    assert (row["n_alarms"], row["n_judged"], row["n_hits"]) == (2, 1, 0)
    assert row["false_alarms_per_10000"] == pytest.approx(1e4 / (1000 + 4001))


def test_references_by_hand() -> None:
    """Development onsets 900, 1000, 1400: alarms at 1000 - 205 and, for 200-400, at 700."""
    onsets = {0: 900, 1: 1000, 2: 1400, 4: 1000, 5: 1300}
    runs = transitions([run(seed, onset) for seed, onset in onsets.items()] + [run(6, None)])
    rows = tables(runs, {})["evaluation"]
    wide = only(rows, detector="constant_time", rule="first", lead_min=10, lead_max=400)
    # Leads 205 and 505, and a false alarm.
    assert (wide["n_hits"], wide["n_judged"], wide["n_events"]) == (1, 3, 2)
    assert (wide["lead_q25"], wide["lead_q75"]) == (280, 430)
    narrow = only(rows, detector="constant_time", rule="every", lead_min=200, lead_max=400)
    assert (narrow["n_hits"], narrow["lead_median"]) == (1, 450)
    every = only(rows, detector="step_zero", rule="run")
    assert (every["recall"], every["precision"]) == (1, pytest.approx(2 / 3))
    first = only(rows, detector="step_zero", rule="first", lead_min=10, lead_max=1000)
    assert (first["n_hits"], first["n_judged"]) == (1, 3)


def test_a_cell_without_development_events_has_no_constant_time() -> None:
    runs = transitions([run(0, 1000), run(4, 1000), run(0, None, width=8), run(4, 1000, width=8)])
    row = only(
        tables(runs, {})["evaluation"],
        detector="constant_time",
        rule="run",
        threshold_source="none",
    )
    assert (row["n_alarms"], row["n_hits"], row["n_events"]) == (1, 1, 2)


def test_thresholds_by_hand() -> None:
    """Records 1, 3, 5 (at 300, 500, 900) and 2, 4 (at 200, 700); onsets 1000.

    Leads 100-500: above 1 one hits (3 at 500), above 2 both (3 at 500, 4 at 700), above 3 both
    too (5 at 900, 4 at 700), above 4 one again.
    """
    one, other = np.zeros(101), np.zeros(101)
    one[[30, 50, 90, 95]] = [1, 3, 5, 9]
    other[[20, 70, 99]] = [2, 4, np.nan]
    cohort = Cohort.from_onsets([1000, 1000], [1000, 1000])
    signal = Signal(cohort, [one, other], STEP)
    assert choose_threshold(signal, (100, 500)) == 3
    # Only 2 at 200 hits: the first alarm above 0 or above 1.
    assert choose_threshold(signal, (800, 800)) == 1
    assert choose_threshold(signal, (1001, 1002)) is None
    assert choose_threshold(signal.take(np.array([], int)), (100, 500)) is None
    silent = Signal(cohort, [np.full(101, np.nan)] * 2, STEP)
    assert choose_threshold(silent, (100, 500)) is None


def test_each_window_has_its_own_threshold() -> None:
    """1 at 300 and 2 at 50 steps before the event: above 1 for 10-400, above 0 for 200-400."""

    def rising(row: Mapping[str, Any], steps: np.ndarray) -> np.ndarray:
        lead = row["test_onset_step"] - steps
        return 1.0 * (lead == 300) + 2 * (lead == 50)

    runs = transitions([run(seed, 1000 + 100 * seed) for seed in range(8)])
    rows = select(tables(runs, {"planted": rising})["evaluation"], detector="planted")
    levels = {
        (row["rule"], row["lead_min"], row["lead_max"]): row["threshold"]
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
    }
    for rule in ("first", "every"):
        assert levels[rule, 10, 400] == levels[rule, 10, 1000] == 1
        assert levels[rule, 200, 400] == 0
    assert levels["run", None, None] == 1


# ------------------------------------------------------------------ splits and layers


@pytest.mark.parametrize("seeds", [[], [99], list(range(16))])
def test_without_a_split_nothing_is_chosen_and_all_is_scored(seeds: list[int]) -> None:
    made = tables(
        typical_runs(),
        {"oracle": oracle},
        changed(development_seeds=seeds, surrogates=19),
        {"oracle": 0.5},
    )
    rows = select(made["evaluation"], detector="oracle")
    assert set(rows["n_runs"]) == {32}
    chosen = rows[rows["threshold_source"] == "development"]
    assert len(chosen) == 7
    assert chosen["threshold"].isna().all() and chosen["precision"].isna().all()
    assert (chosen["n_alarms"] == 0).all()
    assert (rows[rows["threshold_source"] == "published"]["precision"] == 1).all()
    chance = made["chance"]
    assert chance.loc[chance["null_model"] == "constant_time", "p"].isna().all()
    assert set(made["curves"]["detector"]) == {"oracle"}
    assert (select(made["evaluation"], detector="constant_time")["n_alarms"] == 0).all()


def test_layers_are_set_against_chance_in_the_whole_study_alone() -> None:
    layers = dict.fromkeys(["combined", "1", "2", "3"], oracle)
    made = tables(
        typical_runs(), {"gai": layers, "other": layers}, changed(surrogates=19), {"gai": 0.5}
    )
    for name in ("chance", "curves"):
        of = made[name][made[name]["detector"] == "gai"]
        assert list(select(of)["layer"].unique()) == ["combined", "1", "2", "3"]
        assert list(of.loc[of["depth"].notna(), "layer"].unique()) == ["combined"]
        other = made[name][made[name]["detector"] == "other"]
        assert list(other["layer"].unique()) == ["combined"]
    rows = made["evaluation"]
    third = rows[(rows["layer"] == "3") & (rows["detector"] == "gai")]
    assert set(third["depth"].dropna()) == {3}
    assert set(select(third)["n_runs"]) == {12}


def test_test_data_is_marked() -> None:
    runs = typical_runs()
    made = evaluation_tables(
        lambda name: scores(runs, {"combined": oracle}),
        empty("alarms"),
        runs,
        changed(surrogates=19),
        {"loss": detector("loss", uses_test_data=True)},
    )
    for name in ("evaluation", "curves"):
        marked = made[name].groupby("detector")["uses_test_data"].all()
        assert marked["loss"] and not marked["constant_time"]


# ------------------------------------------------------------------ invariances and errors


def test_order_does_not_matter(found: dict[str, Table]) -> None:
    """Of runs, of scores, and of detectors: not even for the surrogates."""
    rng = np.random.default_rng(5)
    runs = typical_runs()
    shuffled = runs.iloc[rng.permutation(len(runs))]
    planted = {"noise": noise, "typical": typical, "oracle": oracle}

    def of(name: str) -> Table:
        table = scores(runs, {"combined": planted[name]})
        return table.iloc[rng.permutation(len(table))]

    levels = {"noise": 3.0}
    detectors = {name: detector(name, levels.get(name)) for name in planted}
    alarms = stated(scores(runs, {"combined": noise}), "noise", 3.0)
    alarms = alarms.iloc[rng.permutation(len(alarms))]
    again = evaluation_tables(of, alarms, shuffled, SETTINGS, detectors)
    for name, table in found.items():
        by = [column for column in table if table[column].dtype.name in ("string", "Int64")]
        by = [column for column in by if not column.startswith("n_")]
        pd.testing.assert_frame_equal(
            table.sort_values(by, ignore_index=True, kind="stable"),
            again[name].sort_values(by, ignore_index=True, kind="stable"),
        )


def test_the_seed_moves_the_surrogates() -> None:
    runs, planted = typical_runs(), {"noise": noise}
    one = tables(runs, planted, changed(surrogates=19))["chance"]
    other = tables(runs, planted, changed(surrogates=19, seed=1))["chance"]
    assert (one["observed"] == other["observed"]).sum() == one["observed"].notna().sum()
    assert not one["null_mean"].equals(other["null_mean"])


def test_runs_without_rows_or_shorter_than_everything() -> None:
    """A run that diverged at once, one of a few steps, one that generalised fast."""
    runs = transitions(
        [
            *(run(seed, 1000) for seed in (0, 1, 6)),
            run(4, None, None),
            run(5, None, 7),
            run(7, 250),
            run(8, None, 300, train_onset_step=None),
        ]
    )
    made = tables(runs, {"gai": noise}, changed(surrogates=19), {"gai": 1.0})
    row = only(made["evaluation"], detector="gai", rule="run", threshold_source="published")
    assert (row["n_runs"], row["n_events"]) == (5, 1)


def test_a_study_without_events_has_no_curves() -> None:
    made = tables(
        transitions([run(seed, None) for seed in range(6)]),
        {"gai": noise},
        changed(surrogates=19),
        {"gai": 1.0},
    )
    assert len(made["curves"]) == 0
    row = only(made["evaluation"], detector="gai", rule="run", threshold_source="published")
    assert row["precision"] == 0 and pd.isna(row["recall"]) and pd.isna(row["lead_median"])
    assert pd.isna(row["f1"]) and pd.isna(row["f1_low"])


def test_scores_and_runs_that_do_not_fit_are_errors() -> None:
    runs = typical_runs()
    one = {"gai": detector("gai")}
    table = scores(runs, {"combined": noise})

    def evaluate(changed_scores: Table, of: Table = runs) -> None:
        evaluation_tables(lambda name: changed_scores, empty("alarms"), of, SETTINGS, one)

    with pytest.raises(ValueError, match=r"no scores of the combined signal.*seed=0"):
        evaluate(table.iloc[1:])
    with pytest.raises(ValueError, match=r"scores of a run without transitions.*99"):
        evaluate(table.assign(seed=99))
    coarse = table.assign(scores=[values[::2] for values in table["scores"]])
    with pytest.raises(ValueError, match="201 blocks.*resolution of 10 make 401"):
        evaluate(coarse)
    with pytest.raises(ValueError, match=r"of one study.*'gai', 'lead_lag'"):
        evaluate(table, pd.concat([runs, runs.assign(study="lead_lag")]))
    with pytest.raises(ValueError, match="list a run twice"):
        evaluate(table, pd.concat([runs, runs]))
    short = replace(SETTINGS, evaluation=replace(SETTINGS.evaluation, horizons=(5,)))
    with pytest.raises(ValueError, match="0 <= lo <= hi"):
        tables(runs, {"gai": noise}, short)


def test_a_study_without_runs_has_empty_tables():
    tables = evaluation_tables(
        lambda name: pytest.fail(name), empty("alarms"), empty("transitions"), SETTINGS
    )
    assert {name: len(table) for name, table in tables.items()} == {
        "evaluation": 0,
        "chance": 0,
        "curves": 0,
        "calibration": 0,
    }


# ------------------------------------------------------------------ alarms known to the step


def planted(
    runs: Table, steps: Mapping[int, list[int]], warm_up: int = 120, surrogates: int = 19
) -> dict[str, Table]:
    """Tables of a detector whose alarms are those of some seeds, and whose scores are 0."""
    named = key_columns(runs.columns)
    alarms = [
        {name: row[name] for name in named}
        | {"detector": "gai", "layer": "combined", "step": step}
        for row in runs.to_dict("records")
        for step in steps.get(row["seed"], [])
    ]
    scored = scores(runs, {"combined": lambda row, at: np.where(at < warm_up, np.nan, 0.0)})
    return evaluation_tables(
        lambda name: scored.assign(warm_up=warm_up - 7),
        pd.DataFrame(alarms),
        runs,
        changed(development_seeds=[], surrogates=surrogates),
        {"gai": detector("gai", 0.5)},
    )


def test_published_alarms_are_those_of_the_table_to_the_step() -> None:
    """Leads of 400, 401 and 199 steps: one hit of the window 200-400, as no block rounds them."""
    runs = transitions([run(seed, 1005) for seed in range(3)])
    made = planted(runs, {0: [605], 1: [604], 2: [806]})["evaluation"]
    row = only(
        made,
        detector="gai",
        threshold_source="published",
        rule="every",
        lead_min=200,
        lead_max=400,
    )
    assert (row["n_hits"], row["n_judged"], row["n_alarms"]) == (1, 3, 3)
    assert (row["lead_q25"], row["lead_median"], row["lead_q75"]) == (299.5, 400, 400.5)


def test_published_alarms_shift_by_steps_from_their_exact_warm_up() -> None:
    """From step 113 to the onset at 1,000 there are 887 places, of which 201 hit."""
    made = planted(transitions([run(0, 1000, 1112)]), {0: [700]}, surrogates=2000)["chance"]
    row = only(
        made,
        threshold_source="published",
        rule="every",
        lead_min=200,
        lead_max=400,
        score="recall",
        null_model="shifted",
    )
    assert row["observed"] == 1
    assert row["null_mean"] == pytest.approx(201 / 887, abs=0.03)


def test_alarms_of_an_unknown_run_are_an_error() -> None:
    runs = transitions([run(0, 1000)])
    other = runs.assign(detector="gai", layer="combined", step=700, seed=5)
    with pytest.raises(ValueError, match="alarms of a run without transitions.*5"):
        evaluation_tables(
            lambda name: scores(runs, {"combined": noise}),
            other[[*key_columns(runs.columns), "detector", "layer", "step"]],
            runs,
            SETTINGS,
            {"gai": detector("gai", 0.5)},
        )


def test_runs_that_differ_in_a_varied_setting_are_different_runs_and_cells() -> None:
    """Same seed, two learning rates, one task that does not use p (null)."""
    rows = [
        run(seed, 1000, task=task, learning_rate=rate, p=p)
        for seed in range(6)
        for rate in (1e-3, 1e-2)
        for task, p in (("modular_addition", 97), ("s5_composition", None))
    ]
    runs = transitions(rows).astype({"p": "Int64"})
    made = tables(runs, {"gai": oracle}, changed(surrogates=19), {"gai": 0.5})
    row = only(made["evaluation"], detector="gai", rule="run", threshold_source="published")
    assert (row["n_runs"], row["n_events"], row["seeds"]) == (2 * 2 * 2, 8, 2)
    assert row["precision"] == 1
    assert set(Cohort.from_transitions(runs, 200).cell) == {0, 1, 2, 3}
