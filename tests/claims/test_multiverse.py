"""Multiverse: its table, and that claims have the same numbers."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from claim_tables import PUBLISHED, few_choices
from grokscope.claims.judge import judge_study
from grokscope.claims.measures import MEASURES
from grokscope.claims.rows import select
from grokscope.claims.rules import Outcome
from grokscope.claims.samples import CHOICES
from grokscope.data.tables import concatenate, empty
from grokscope.evaluate.tables import evaluation_tables
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.panel import PANEL_TABLES, measure_panel
from grokscope.measure.variants import variants_table
from synthetic import learning_run, make_spec, make_trace

CLAIM_SET = PUBLISHED["GAI"]
VALUES = {claim.id: claim.values for claim in CLAIM_SET.claims}


SETTINGS = few_choices()


def tables_of(traces, analysis=SETTINGS):
    """Tables of a study of these runs, made as the workflow does."""
    panels = {}
    for trace in traces:
        panels.setdefault(trace.key.panel, []).append(trace)
    made = [measure_panel(of, analysis) for of in panels.values()]
    tables = {
        name: concatenate([panel.tables[name] for panel in made], name) for name in PANEL_TABLES
    }
    signals = pd.DataFrame([row for panel in made for row in panel.scores])
    tables |= evaluation_tables(
        lambda name: signals[signals["detector"] == name],
        tables["alarms"],
        tables["transitions"],
        analysis,
        {"gai": DETECTORS["gai"]},
    )
    return tables | {"variants": variants_table(traces, analysis)}


def multiverse_of(tables, claims=CLAIM_SET, analysis=SETTINGS):
    return judge_study("gai", tables, claims, "early_warning", analysis).multiverse


@pytest.fixture(scope="module")
def study():
    """Six seeds: two silent, four with kinks; one never generalises."""
    plans = [(), (850,), (850, 1000), (300,), (900,), ()]
    return tables_of(
        [
            learning_run(seed=seed, kinks=kinks, onset=None if seed == 4 else 1200)
            for seed, kinks in enumerate(plans)
        ]
    )


def test_table_has_a_row_a_claim_and_choice(study):
    table = multiverse_of(study)
    counts = dict(table["claim"].value_counts())
    assert counts == {claim: 2 * 3 if claim == "GAI6" else 2 * 2**3 for claim in VALUES}
    assert table["quantity"].unique().tolist() == list(MEASURES)
    default = table[table["is_default"]].set_index("claim")
    assert default.index.tolist() == [f"GAI{number}" for number in range(1, 9)]
    # Seed 0 is for development. Of 5 runs, 4 with event: leads 350, 350, 900 and none.
    assert default.loc["GAI1", "n"] == 4
    assert default.loc["GAI1", "measured"] == pytest.approx(345, abs=15)
    assert default.loc["GAI1", "supports"] is not False
    # Alarms: 850 hits, 850 hits and 1000 not, 300 not, 900 in the run without event not.
    assert default.loc["GAI2", "measured"] == pytest.approx(2 / 5)
    assert default.loc["GAI3", "measured"] == pytest.approx(2 / 4)
    assert default.loc["GAI6", "rank_measure"] == "effective"
    assert pd.isna(default.loc["GAI6", "window"]) and pd.isna(default.loc["GAI1", "rank_measure"])


def test_table_is_invariant_to_the_order_of_runs(study):
    choice = [*CHOICES, "claim"]
    shuffled = {name: of.sample(frac=1, random_state=1) for name, of in study.items()}
    tables = [multiverse_of(part).sort_values(choice) for part in (study, shuffled)]
    one, other = (table.reset_index(drop=True) for table in tables)
    pd.testing.assert_frame_equal(one, other)


def test_table_of_no_runs_is_empty():
    assert multiverse_of({name: empty(name) for name in (*PANEL_TABLES, "variants")}).empty


def test_the_configured_choice_is_measured_where_the_grid_leaves_it_out(study):
    analysis = few_choices(multiverse={"windows": [10], "sign": ["signed"], "norm": ["raw"]})
    traces = [learning_run(seed=seed, kinks=(850,)) for seed in (1, 2)]
    table = multiverse_of(tables_of(traces, analysis), analysis=analysis)
    lead = table[table["quantity"] == "median_lead"]
    assert set(lead["window"]) == {10, 20}
    assert lead[lead["is_default"]]["window"].tolist() == [20]


def test_every_beta_is_a_choice_and_so_is_to_pool_them():
    """Runs of two beta2 as the grid varies them: claims pool both."""
    traces = [
        learning_run(seed=seed, kinks=(kink,), betas=(0.9, beta2), varied=("betas",))
        for beta2, kink in ((0.98, 850), (0.999, 950))
        for seed in (1, 2)
    ]
    tables = tables_of(traces)
    table = multiverse_of(tables)
    lead = table[(table["quantity"] == "median_lead") & (table["onset_threshold"] == 0.95)]
    lead = lead[(lead["smoothing"] == "causal") & (lead["sigma"] == "running")]
    lead = lead[lead["window"] == 20]
    assert lead["beta2"].fillna(0).tolist() == [0, 0.98, 0.999]
    assert lead["is_default"].tolist() == [True, False, False]
    assert lead["n"].tolist() == [4, 2, 2]
    assert lead["measured"].iloc[0] == lead["measured"].iloc[1:].mean()
    claims = judge_study("gai", tables, CLAIM_SET, "early_warning", SETTINGS).claims
    assert claims["measured"].iloc[0] == lead["measured"].iloc[0]


# --- the configured choice and the table claims ----------------------------------------------


def planted_study():
    """Runs of two depths and eight seeds that differ in all that a GAI claim measures.

    Kinks of random sizes in the norms of the layers: the first at a random time, a larger one 60
    steps later that is of the same spike, one at the end of the refractory period, and one in
    the window in most runs. Every fourth run never generalises, and two end before they have a
    score.
    """
    rng, step, traces = np.random.default_rng(5), np.arange(2001), []
    for depth, seed in product((2, 3), range(8)):
        norms = {}
        start, ahead = rng.integers(200, 700), rng.choice([150, 250, 350], p=[0.2, 0.4, 0.4])
        for layer in range(1, depth + 1):
            norm = 1 + rng.choice([-1e-3, 1e-3], 2001)
            for kink, scale in (
                (start, 0.2),
                (start + 60, 5),
                (start + 105, 1),
                (1200 - ahead, 1),
            ):
                late = kink + rng.integers(-3, 4)
                norm += scale * rng.uniform(0.01, 0.2) * np.clip(step - late, 0, 20)
            norms[layer] = norm
        onset = 3000 if seed % 4 == 3 else 1200 + 10 * rng.integers(-5, 5)
        test = np.where(step >= onset, rng.uniform(0.95, 1), rng.uniform(0, 0.9))
        fallen = np.where(step >= onset, rng.uniform(0.5, 0.9), 1.0) * rng.uniform(0.9, 1, 2001)
        traces.append(
            make_trace(
                make_spec(seed=seed, depth=depth, steps=2000),
                grad_norm=np.sqrt(sum(norm**2 for norm in norms.values())),
                **{f"grad_norm_{layer}": norm for layer, norm in norms.items()},
                **{f"effective_rank_{depth}": 10 * fallen},
                train_metric=(step >= 300) * 1.0,
                test_metric=test,
            )
        )
    return traces + [
        make_trace(
            make_spec(seed=8 + rows, steps=2000), diverged_step=rows, grad_norm=np.ones(rows)
        )
        for rows in (0, 50)
    ]


@pytest.fixture(scope="module")
def planted():
    return tables_of(planted_study())


@pytest.fixture(scope="module")
def judged(planted):
    """Tables ``multiverse`` and ``claims`` of the planted study."""
    made = judge_study("gai", planted, CLAIM_SET, "early_warning", SETTINGS)
    return made.multiverse, made.claims.set_index("claim")


@pytest.mark.parametrize("claim", [f"GAI{number}" for number in range(1, 9)])
def test_the_configured_choice_gives_the_number_of_the_claim(judged, claim):
    """To the last bit; and it is no number that any choice would give."""
    table, claims = judged
    mine, published = table[table["claim"] == claim], claims.loc[claim]
    default = mine[mine["is_default"]].squeeze()
    for name in ("measured", "low", "high", "n"):
        same = default[name] is published[name]  # null: too few seeds to bound a median
        assert same or default[name] == published[name]
    assert pd.isna(default["low"]) or default["low"] < default["high"]
    assert (mine["measured"].dropna() != default["measured"]).any()
    # GAI8's claim also asks the other p-values.
    if claim != "GAI8" and published["verdict"] != Outcome.NOT_TESTABLE:
        known = {Outcome.HOLDS: True, Outcome.FAILS: False}.get(published["verdict"])
        assert (None if pd.isna(default["supports"]) else default["supports"]) == known


def test_claims_have_the_numbers_of_the_evaluation(planted, judged):
    """Where they are about all runs: value, interval and chance are those of the tables."""
    _, claims = judged
    names = {"threshold_source": "published", "rule": "every", "layer": "combined"}
    names |= {"lead_min": 200, "lead_max": 400}
    row = select(planted["evaluation"], task=None, depth=None, **names).iloc[0]
    for claim, score in (("GAI2", "precision"), ("GAI3", "recall")):
        assert claims.loc[claim, "measured"] == row[score]
        assert claims.loc[claim, "low"] == row[f"{score}_low"]
        assert claims.loc[claim, "high"] == row[f"{score}_high"]
        chance = select(planted["chance"], depth=None, score=score, null_model="shifted", **names)
        assert claims.loc[claim, "p"] == chance["p"].item()
    assert claims.loc["GAI1", "measured"] == row["lead_median"]
    chance = select(
        planted["chance"], depth=None, score="precision", null_model="shifted", **names
    )
    excess = row["precision"] - chance["null_mean"].item()
    assert claims.loc["GAI8", "measured"] == excess
    assert f"{row['n_hits']} of {row['n_judged']} judged alarms" in claims.loc["GAI2", "reason"]


def test_regression_arms_are_no_accuracies():
    traces = [
        learning_run(seed=seed, kinks=(850,), onset=None, task=task)
        for seed, task in product((1, 2, 3, 4), ("modular_addition", "cubic_regression"))
    ]
    table = multiverse_of(tables_of(traces))
    # All accuracies are 0, so nothing correlates; and nothing generalises.
    assert table["measured"].isna().all() and table["supports"].isna().all()
