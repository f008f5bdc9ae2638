"""Multiverse: headline numbers by hand, their table, and that claims have the same numbers."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grokscope.claims import measures
from grokscope.claims.judge import judge_study
from grokscope.claims.measures import MEASURES, Chance, Sample
from grokscope.claims.published import read_published
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rows import select
from grokscope.claims.rules import Outcome
from grokscope.claims.samples import CHOICES, outcomes
from grokscope.data.tables import concatenate, empty
from grokscope.evaluate.intervals import share_interval
from grokscope.evaluate.tables import evaluation_tables
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.panel import PANEL_TABLES, measure_panel
from grokscope.measure.variants import steps_text, variants_table
from grokscope.runs.config import default_analysis
from synthetic import learning_run, make_spec, make_trace

ROOT = Path(__file__).parents[2]
CLAIM_SET = read_published(ROOT / "workflow/report/claims.yaml")["GAI"]
VALUES = {claim.id: claim.values for claim in CLAIM_SET.claims}


def settings(**sections):
    """Fewer choices than by default: 8."""
    given = {
        "onset": {"test_thresholds": [0.5, 0.95]},
        "alarms": {"sigma_window": 100},
        "rank": {"before": 500, "after": 500},
        "multiverse": {"sign": ["signed"], "norm": ["raw"], "windows": [10, 20]},
        "evaluation": {
            "horizons": [1000],
            "primary_horizon": 1000,
            "development_seeds": [0],
            "surrogates": 99,
        },
    }
    return default_analysis(**{name: of | sections.get(name, {}) for name, of in given.items()})


SETTINGS = settings()


# --- headline numbers ------------------------------------------------------------------------


def sample(seeds=None, chance=None, **columns):
    """A sample of runs with these columns, of seeds 1, 2, ..., two depths in turn."""
    n = len(next(iter(columns.values())))
    rows = pd.DataFrame(
        {
            "seed": range(1, n + 1) if seeds is None else seeds,
            "depth": [2 + i % 2 for i in range(n)],
            "study": "gai",
            "task": "modular_addition",
            "event": True,
        }
        | columns
    )
    found = {("shifted", depth, "precision"): of for depth, of in (chance or {}).items()}
    return Sample(rows, SETTINGS.evaluation, VALUES["GAI8"]["family"], found)


def outcome(claim, headline):
    """What a number says of a claim by the claim's own rule."""
    return CLAIMS[claim].supports(headline, VALUES[claim], SETTINGS.evaluation).outcome


def test_median_lead_counts_misses_as_zero():
    found = measures.median_lead(
        sample(
            event=[True, True, True, False],
            first_lead=[300.0, 350.0, np.nan, np.nan],
        )
    )
    # Three seeds bound no median.
    assert (found.measured, found.n, outcome("GAI1", found)) == (300, 3, Outcome.UNDECIDED)
    found = measures.median_lead(sample(first_lead=[250.0, 300.0, 350.0] * 3))
    assert (found.measured, outcome("GAI1", found)) == (300, Outcome.HOLDS)
    missed = measures.median_lead(sample(first_lead=[300] + [np.nan] * 8))
    assert (missed.measured, outcome("GAI1", missed)) == (0, Outcome.FAILS)


def test_precision_pools_alarms_and_recall_events():
    runs = sample(event=[True, True, False], n_hits=[1, 0, 0], n_judged=[3, 0, 1])
    found = measures.precision(runs)
    assert (found.measured, found.n, outcome("GAI2", found)) == (0.25, 3, Outcome.UNDECIDED)
    # A seed without a judged alarm says nothing of it.
    assert found.interval == share_interval([1, 3], [1, 0], [3, 1], confidence=0.95)
    found = measures.recall(runs)
    assert (found.measured, found.n, outcome("GAI3", found)) == (0.5, 2, Outcome.UNDECIDED)


def test_spike_correlation_is_of_classification_runs_with_an_alarm():
    found = measures.spike_correlation(
        sample(
            spike=[4.0, 5.0, 6.0, np.nan, 400.0],
            final_test_metric=[0.1, 0.2, 0.3, 1.0, -5.0],
            task=["modular_addition"] * 4 + ["cubic_regression"],
        )
    )
    assert found.measured == pytest.approx(1) and found.n == 3
    assert outcome("GAI4", found) is Outcome.UNDECIDED


def test_order_of_layers_by_hand():
    """Last first, first first, tie, only the last, only the first, neither."""
    runs = sample(
        last_first_lead=[300, 100, 200, 50, np.nan, np.nan],
        first_first_lead=[100, 300, 200, np.nan, 50, np.nan],
    )
    found = measures.last_layer_first(runs)
    assert (found.measured, found.n, outcome("GAI5", found)) == (0.4, 5, Outcome.UNDECIDED)
    always = sample(last_first_lead=[300, 200] * 3, first_first_lead=[100, np.nan] * 3)
    assert outcome("GAI5", measures.last_layer_first(always)) is Outcome.HOLDS
    never = sample(last_first_lead=[100, np.nan] * 3, first_first_lead=[300, 200] * 3)
    assert outcome("GAI5", measures.last_layer_first(never)) is Outcome.FAILS


def test_rank_drop_is_the_median_over_events():
    runs = sample(stable_drop=[0.2, 0.4, np.nan, 0.9], event=[True, True, True, False])
    found = measures.rank_drop(runs, "stable")
    assert found.measured == pytest.approx(0.3) and found.n == 2
    assert outcome("GAI6", found) is Outcome.UNDECIDED


def runs_of(alarms, onsets, event=True, last=2000, warm_up=0):
    """Runs that memorise at 0, all with delayed onsets where there are any."""
    n = len(onsets)
    return pd.DataFrame(
        {
            "study": "gai",
            "task": "modular_addition",
            "depth": [2 + i % 2 for i in range(n)],
            "train_fraction": 0.6,
            "weight_decay": 1.0,
            "width": 128,
            "seed": range(1, n + 1),
            "train_onset_step": 0 if event else 400,
            "test_onset_step": pd.array(onsets, "Int64"),
            "event": [event and onset is not None for onset in onsets],
            "last_step": last,
            "warm_up": float(warm_up),
            "alarms": [steps_text(np.array(of, np.int64)) for of in alarms],
        }
    ).sample(frac=1, random_state=0)


def outcomes_of(*args, analysis=SETTINGS, **options):
    """What comes of the alarms of some runs; rows by seed."""
    found = outcomes(runs_of(*args, **options), analysis, VALUES["GAI8"]["family"])
    return replace(found, rows=found.rows.sort_values("seed"))


def test_outcomes_by_hand():
    """The window is 600 to 800 before the onset at 1000; the run ends at 2000."""
    found = outcomes_of(
        [[600], [800], [590, 810], [650, 750], [700, 1000, 1500], [100, 1600, 1610], []],
        [1000, 1000, 1000, 1000, 1000, None, 1000],
    ).rows
    assert found["n_hits"].tolist() == [1, 1, 0, 1, 1, 0, 0]
    # At the onset and after it the run is not at risk; 1610 + 400 is after the end.
    assert found["n_judged"].tolist() == [1, 1, 2, 2, 1, 2, 0]
    expected = [400, 200, 410, 350, 300, np.nan, np.nan]
    np.testing.assert_array_equal(found["first_lead"], expected)


def test_a_fast_run_has_false_alarms_to_its_end():
    found = outcomes_of([[100, 1600, 1610]], [500], event=False).rows
    assert (found["n_judged"].item(), found["n_hits"].item()) == (3, 0)


def test_chance_is_the_share_of_shifts_that_hit():
    """One alarm per run, shifted over the 1000 - 300 steps at risk, of which 201 hit."""
    found = outcomes_of(
        [[700]] * 40,
        [1000] * 40,
        last=2000,
        warm_up=300,
        analysis=settings(evaluation={"development_seeds": [0], "surrogates": 999}),
    )
    # Shifted over the 700 steps at risk, of which 201 hit: one alarm an event, so both are this.
    for depth in (None, 2, 3):
        chance = {
            score: found.chance["shifted", depth, score] for score in ("precision", "recall")
        }
        assert chance["precision"].mean == pytest.approx(201 / 700, abs=0.02)
        assert chance["recall"].mean == pytest.approx(201 / 700, abs=0.02)
        assert chance["precision"].p < 0.01


def test_runs_without_score_or_alarm_have_no_chance():
    found = outcomes_of([[], []], [1000, None], warm_up=np.nan)
    assert not [place for place in found.chance if place[2] == "precision"]
    assert found.rows["n_judged"].tolist() == [0, 0]
    assert measures.every_depth(found) == measures.NOTHING
    assert measures.corrected_excess(found) == measures.NOTHING


CLEAR = {depth: Chance(0.25, 0.01, p_best=0.01) for depth in (None, 2, 3, 4, 6, 8)}
EVERY = [2, 3, 4, 6, 8] * 6


def at_depths(hits, **columns):
    """Thirty runs with an event each, six at every published depth, and one judged alarm each."""
    return sample(depth=EVERY, n_hits=hits, n_judged=[1] * 30, **columns)


def test_precision_and_excess_over_chance_by_hand():
    runs = sample(n_hits=[1, 0], n_judged=[2, 1], chance=CLEAR)
    worst = measures.every_depth(runs)
    assert (worst.measured, worst.n) == (0, 2)
    assert {depth: of.measured for depth, of in worst.parts.items()} == {2: 0.5, 3: 0}
    pooled = measures.corrected_excess(runs)
    assert pooled.measured == pytest.approx(1 / 3 - 0.25)
    assert outcome("GAI8", pooled) is Outcome.UNDECIDED
    good = at_depths([1] * 30, chance=CLEAR)
    assert outcome("GAI7", measures.every_depth(good)) is Outcome.HOLDS
    assert outcome("GAI8", measures.corrected_excess(good)) is Outcome.HOLDS
    bad = at_depths([0] * 30, chance=CLEAR)
    assert outcome("GAI8", measures.corrected_excess(bad)) is Outcome.FAILS


def test_every_depth_must_be_significant():
    chance = CLEAR | {3: Chance(0.25, 0.05, p_best=0.01)}
    found = measures.every_depth(at_depths([1] * 30, chance=chance))
    assert found.measured == 1 and outcome("GAI7", found) is Outcome.UNDECIDED


def test_a_depth_that_no_detector_could_pass_leaves_every_depth_untestable():
    chance = CLEAR | {3: Chance(0.25, 0.5, p_best=0.2)}
    found = measures.every_depth(at_depths([1] * 30, chance=chance))
    assert outcome("GAI7", found) is Outcome.NOT_TESTABLE


def test_interval_of_the_family_is_wider():
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, 20)
    runs = sample(n_hits=hits, n_judged=np.ones(20), chance={None: Chance(0.1, 0.5)})
    found = measures.corrected_excess(runs)
    plain = runs.share(hits, np.ones(20))(confidence=0.95).minus(0.1)
    assert found.interval.low < plain.low < found.measured < plain.high < found.interval.high


def test_a_silent_depth_leaves_every_depth_untestable():
    chance = {depth: of for depth, of in CLEAR.items() if depth != 3}
    hits = [int(depth != 3) for depth in EVERY]
    runs = sample(depth=EVERY, n_hits=hits, n_judged=hits, chance=chance)
    found = measures.every_depth(runs)
    assert found.measured == 1 and outcome("GAI7", found) is Outcome.NOT_TESTABLE


def test_nothing_to_measure_is_null():
    nothing = sample(
        event=[False],
        n_hits=[0],
        n_judged=[0],
        first_lead=[np.nan],
        spike=[np.nan],
        final_test_metric=[0.5],
        last_first_lead=[np.nan],
        first_first_lead=[np.nan],
        effective_drop=[np.nan],
    )
    for name, measure in MEASURES.items():
        assert measure.of(nothing) == measures.NOTHING, name


# --- table multiverse ------------------------------------------------------------------------


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
    analysis = settings(multiverse={"windows": [10], "sign": ["signed"], "norm": ["raw"]})
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
