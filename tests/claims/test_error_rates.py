"""Error rates of the rules, by simulation: noise and few seeds make no verdict."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from benchmarks import error_rates
from benchmarks.coverage import STATISTICS
from benchmarks.error_rates import SETTINGS, VALUES, simulate
from scipy import stats

from grokscope.claims.rules import Outcome, majority, rule

WORLDS = {(world.claim, world.name): world for world in error_rates.worlds()}
# With these an exact test of a share comes nearest to its level (docs/statistics.md).
SEEDS = (3, 6, 12)
NOISE = 2.0
STUDIES = 60
# Of a wrong verdict: one tail of an interval of 95%.
NOMINAL = 0.025


def chance(share: float) -> float:
    """How far from its value a simulated share may lie: 4 standard errors."""
    return 4 * math.sqrt(max(share * (1 - share), NOMINAL) / STUDIES)


CASES = [*product(VALUES, ("published", "border", "refuted")), ("GAI8", "noise")]


@pytest.mark.parametrize(("claim", "name"), CASES)
def test_noise_and_few_seeds_never_decide(claim: str, name: str) -> None:
    """Right verdicts become no more, and wrong ones stay as rare as they may be."""
    world = WORLDS[claim, name]
    found = [simulate(world, seeds, STUDIES) for seeds in SEEDS]
    noisy = simulate(world, SEEDS[-1], STUDIES, NOISE)
    for of in (*found, noisy):
        assert of.wrong(world) <= NOMINAL + chance(NOMINAL)
    rates = [of.right(world) for of in found]
    for fewer, more in (*pairwise(rates), (noisy.right(world), rates[-1])):
        assert fewer <= more + chance(more)


@pytest.mark.parametrize("claim", ["LL5", "PD1"])
def test_the_table_of_docs_is_what_the_simulation_gives(claim: str) -> None:
    rows = [line.strip("|").split(" | ") for line in STATISTICS.read_text().splitlines()]
    (documented,) = [row[1:] for row in rows if row[0].strip() == f"**{claim}**"]
    for name, cell in zip(error_rates.NAMES, documented, strict=True):
        assert error_rates.cell(WORLDS[claim, name]) == cell.strip()


@pytest.mark.parametrize("conditions", [1, 3])
def test_majorities_have_exact_rates(conditions: int) -> None:
    """Of all outcomes of n seeds: more seeds or more agreement decide more, at these numbers."""
    rows = []
    for seeds in (3, 6, 12, 25, 50):
        outcomes = [
            rule([majority(shown, seeds)] * conditions, SETTINGS.confidence).outcome
            for shown in range(seeds + 1)
        ]
        holds = np.array([outcome is Outcome.HOLDS for outcome in outcomes])
        fails = np.array([outcome is Outcome.FAILS for outcome in outcomes])
        of = stats.binom.pmf(np.arange(seeds + 1)[:, None], seeds, [[0.5, 0.7, 0.9, 0.99]])
        assert holds @ of[:, 0] <= NOMINAL and fails @ of[:, 0] <= NOMINAL / conditions
        rows.append(holds @ of)
        assert (np.diff(rows[-1]) >= 0).all()
    assert (np.diff(rows, axis=0)[:, 1:] >= 0).all()
