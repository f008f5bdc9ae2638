"""Headline numbers by hand, and what the claims' own rules say of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from claim_tables import PUBLISHED, few_choices
from grokscope.claims import judge, measures  # noqa: F401 - registers the claims
from grokscope.claims.measures import MEASURES, Chance, Sample
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rules import Outcome
from grokscope.claims.samples import outcomes
from grokscope.evaluate.intervals import share_interval
from grokscope.measure.variants import steps_text

VALUES = {claim.id: claim.values for claim in PUBLISHED["GAI"].claims}
SETTINGS = few_choices()


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
        analysis=few_choices(evaluation={"development_seeds": [0], "surrogates": 999}),
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
