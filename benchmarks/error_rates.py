"""Error rates of the claims' rules, by simulation: how often a verdict is right, wrong or open.

A world is a population of seeds in which a claim is true, false or on the border. Studies of few
and of many seeds are drawn from it and judged by the claim's own rule.
``tests/claims/test_error_rates.py`` asks that noise and few seeds make no verdict; this writes
the table of all into docs/statistics.md:

    python -m benchmarks.error_rates
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.common import write_section
from benchmarks.coverage import STATISTICS, lines
from grokscope.claims import judge  # noqa: F401 - registers the claims
from grokscope.claims.measures import Bounded, Headline
from grokscope.claims.phase_diagram import count_near, larger
from grokscope.claims.published import read_published
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rules import (
    POSITIVE,
    Condition,
    Outcome,
    Region,
    Ruling,
    majority,
    mean,
    rule,
)
from grokscope.evaluate.intervals import (
    NO_INTERVAL,
    correlation_interval,
    median_interval,
    share_interval,
)
from grokscope.evaluate.statistics import pearson
from grokscope.runs.config import default_analysis

Array = NDArray[np.float64]
Random = np.random.Generator
# Judges one study of so many seeds, at so much noise.
Study = Callable[[int, float, Random], Ruling]

ROOT = STATISTICS.parents[1]
VALUES = {
    claim.id: claim.values
    for claims in read_published(ROOT / "workflow/report/claims.yaml").values()
    for claim in claims.claims
}
SETTINGS = default_analysis().evaluation

SEEDS = (6, 12, 50)
STUDIES = 1000
# Of the rules about runs: of a seed, with an event each, and how alike these are.
RUNS, ALIKE = 4, 0.2
# Of a seed's runs, judged alarms in a depth.
ALARMS = 12
# How often a seed shows what was published, if it is so.
OFTEN = 0.95
# What shifted alarms reach.
CHANCE = 0.1


class World(NamedTuple):
    """A population of seeds.

    Attributes
    ----------
    claim, name
        The claim that is judged, and which of its worlds this is.
    right
        The verdict that is right; undecided on the border, where the claim is false, but true in
        any world beyond it.
    study
        Draws and judges a study.
    """

    claim: str
    name: str
    right: Outcome
    study: Study


class Rates(NamedTuple):
    """Shares of studies with either verdict; the others are undecided."""

    holds: float
    fails: float

    def right(self, world: World) -> float:
        """Share of studies with the right verdict."""
        return {Outcome.HOLDS: self.holds, Outcome.FAILS: self.fails}.get(world.right, 0.0)

    def wrong(self, world: World) -> float:
        """Share of studies with the wrong verdict; on the border, with the more frequent one."""
        verdicts = {Outcome.HOLDS: self.holds, Outcome.FAILS: self.fails}
        return max(share for outcome, share in verdicts.items() if outcome is not world.right)


def simulate(world: World, seeds: int, studies: int = STUDIES, noise: float = 1.0) -> Rates:
    """Judge studies from a world, the same at each call.

    Parameters
    ----------
    noise
        Factor of every scatter. Of what a seed shows or not, all but one of so many are coins; of
        runs of a seed, what is not alike falls by this.
    """
    rng = np.random.default_rng(list(f"{world.claim} {world.name} {seeds} {noise}".encode()))
    found = [world.study(seeds, noise, rng).outcome for _ in range(studies)]
    return Rates(*(found.count(outcome) / studies for outcome in (Outcome.HOLDS, Outcome.FAILS)))


def ruled(conditions: Sequence[Condition]) -> Ruling:
    return rule(conditions, SETTINGS.confidence)


def judged(claim: str, measured: float, interval: Bounded, seeds: int, **more: Any) -> Ruling:
    """The ruling of a claim on a headline number."""
    supports = CLAIMS[claim].supports
    assert supports is not None
    at = more.get("confidence", SETTINGS.confidence)
    found = Headline(measured, interval(confidence=at), seeds, seeds, interval_at=interval, **more)
    return supports(found, VALUES[claim], SETTINGS)


# ---------------------------------------------------------------------- what is drawn


def alike(noise: float) -> float:
    """Intraclass correlation of a seed's runs."""
    return 1 - (1 - ALIKE) / noise


def shown(shares: Sequence[float], seeds: int, noise: float, rng: Random) -> list[Condition]:
    """Whether most seeds show something, with these probabilities."""
    return [majority(int(rng.binomial(seeds, 0.5 + (p - 0.5) / noise)), seeds) for p in shares]


def hits(share: float, units: int, seeds: int, noise: float, rng: Random) -> Array:
    """Hits among the units of each seed, shape ``(seeds,)``."""
    strength = (1 - alike(noise)) / alike(noise)
    of_seed = rng.beta(share * strength, (1 - share) * strength, seeds)
    return rng.binomial(units, of_seed).astype(np.float64)


def normal(seeds: int, noise: float, rng: Random) -> tuple[NDArray[np.int64], Array]:
    """Seed and standard normal value of each run, runs of a seed being alike."""
    own, of_run = rng.normal(size=(seeds, 1)), rng.normal(size=(seeds, RUNS))
    values = math.sqrt(alike(noise)) * own + math.sqrt(1 - alike(noise)) * of_run
    return np.repeat(np.arange(seeds), RUNS), values.ravel()


def of_share(
    claim: str, share: float, units: int, seeds: int, noise: float, rng: Random
) -> Ruling:
    """A claim about hits per unit."""
    found, of = hits(share, units, seeds, noise, rng), np.full(seeds, float(units))
    interval = partial(share_interval, np.arange(seeds), found, of)
    return judged(claim, found.sum() / of.sum(), interval, seeds)


def of_median(
    claim: str, centre: float, scatter: float, missed: float, seeds: int, noise: float, rng: Random
) -> Ruling:
    """A claim about the median over runs; of those missed the number is 0."""
    labels, values = normal(seeds, noise, rng)
    values = np.where(rng.random(len(values)) < missed, 0.0, centre + noise * scatter * values)
    interval = partial(median_interval, labels, values)
    return judged(claim, float(np.median(values)), interval, seeds)


def of_correlation(claim: str, r: float, seeds: int, noise: float, rng: Random) -> Ruling:
    labels, x = normal(seeds, noise, rng)
    y = r * x + math.sqrt(1 - r * r) * normal(seeds, noise, rng)[1]
    return judged(claim, pearson(x, y), partial(correlation_interval, labels, x, y), seeds)


def of_depths(shares: Sequence[float], seeds: int, noise: float, rng: Random) -> Ruling:
    """GAI7: precision at each depth, and its p-value against shifted alarms."""
    parts = {}
    for depth, share in zip(VALUES["GAI7"]["depths"], shares, strict=True):
        found, of = hits(share, ALARMS, seeds, noise, rng), np.full(seeds, float(ALARMS))
        interval = partial(share_interval, np.arange(seeds), found, of)
        p = float(stats.binom.sf(found.sum() - 1, of.sum(), CHANCE))
        more = {"p_best": CHANCE**seeds, "event_seeds": seeds}
        # Its rule asks for intervals at its own confidence alone.
        parts[depth] = Headline(
            found.sum() / of.sum(), NO_INTERVAL, seeds, seeds, p, interval, **more
        )
    worst = min(parts.values(), key=lambda of: of.measured)
    supports = CLAIMS["GAI7"].supports
    assert supports is not None
    return supports(worst._replace(parts=parts), VALUES["GAI7"], SETTINGS)


def of_excess(share: float, seeds: int, noise: float, rng: Random) -> Ruling:
    """GAI8, all p-values of the other claims being small."""
    found, of = hits(share, ALARMS, seeds, noise, rng), np.full(seeds, float(ALARMS))

    def interval(*, confidence: float) -> Any:
        ends = share_interval(np.arange(seeds), found, of, confidence=confidence)
        return ends.minus(CHANCE)

    corrected = 1 - (1 - SETTINGS.confidence) / VALUES["GAI8"]["family"]
    excess = found.sum() / of.sum() - CHANCE
    more = {"confidence": corrected, "p_best": CHANCE**seeds}
    return judged("GAI8", excess, interval, seeds, **more)


def of_lags(means: Sequence[float], seeds: int, noise: float, rng: Random) -> Ruling:
    """LL2: mean lags and how many are positive, by fraction."""
    conditions = []
    for centre, sd in zip(means, VALUES["LL2"]["sd"].values(), strict=True):
        lags = centre + noise * sd * rng.normal(size=seeds)
        conditions.append(mean(np.arange(seeds), lags, POSITIVE))
        conditions.append(majority(int((lags > 0).sum()), seeds))
    return ruled(conditions)


def of_r(means: Sequence[float], scatter: float, seeds: int, noise: float, rng: Random) -> Ruling:
    """LL4: mean correlations, by fraction."""
    low, high, tolerance = (VALUES["LL4"][name] for name in ("low", "high", "tolerance"))
    region = Region(low - tolerance, high + tolerance)
    conditions = []
    for centre in means:
        r = np.clip(centre + noise * scatter * rng.normal(size=seeds), -1, 1)
        conditions.append(mean(np.arange(seeds), r, region))
    return ruled(conditions)


def counts(expected: float, of: int, seeds: int, noise: float, rng: Random) -> Array:
    """Runs of each seed's grid with a phase, which half of the cells never have."""
    # More scatter of seeds around the same mean: noise^2 times the variance, while that can be.
    half = of // 2
    share = expected / half
    together = min(half, round(noise**2))
    groups = rng.binomial(half // together, share, seeds) * together
    rest = rng.binomial(1, share, seeds) * (half % together)
    return (groups + rest).astype(np.float64)


def of_counts(moderate: float, other: float, seeds: int, noise: float, rng: Random) -> Ruling:
    """PD3: grokking runs of 36 cells at moderate weight decay, and of the other 24."""
    values = VALUES["PD3"]
    some, more = counts(moderate, 36, seeds, noise, rng), counts(other, 24, seeds, noise, rng)
    pairs = (some + more, values["grokking"]), (some, values["moderate"])
    return ruled(
        [count_near(pd.Series(of), 60, published, values["tolerance"]) for of, published in pairs]
    )


def of_no_decay(
    grok: float, comprehend: float, where: float, seeds: int, noise: float, rng: Random
) -> Ruling:
    """PD4: runs of 12 cells that grok, that comprehend, and how often all lie where published."""
    values = VALUES["PD4"]
    conditions = shown([where], seeds, noise, rng)
    for name, expected in (("grokking", grok), ("comprehension", comprehend)):
        found = pd.Series(counts(expected, 12, seeds, noise, rng))
        conditions.append(count_near(found, 12, values[name], values["tolerance"]))
    return ruled(conditions)


def of_widths(shares: Sequence[float], seeds: int, noise: float, rng: Random) -> Ruling:
    """PD6: of 20 runs each, the share that generalises at h = 16, 32 and 64."""
    narrow, *wide = (pd.Series(counts(20 * p, 20, seeds, noise, rng) / 20) for p in shares)
    return ruled([larger(of, narrow, 20) for of in wide])


def of_seeds(shares: Sequence[float], seeds: int, noise: float, rng: Random) -> Ruling:
    """A claim that most seeds show something, at one or at several fractions."""
    return ruled(shown(shares, seeds, noise, rng))


# ---------------------------------------------------------------------- the worlds

NAMES = ("published", "border", "noise", "refuted")


def worlds_of(claim: str, studies: Sequence[Study]) -> list[World]:
    """A claim's worlds: as published; just false; of noise, so false as well; clearly false."""
    # Between no excess and a useful one GAI8 is true and of no use: its border is a useful one.
    border = Outcome.HOLDS if claim == "GAI8" else Outcome.UNDECIDED
    right = (Outcome.HOLDS, border, Outcome.FAILS, Outcome.FAILS)
    return [World(claim, *of) for of in zip(NAMES, right, studies, strict=True)]


def seeds_studies(fractions: int) -> list[Study]:
    """Of a claim that most seeds show something, at each fraction."""
    others, coin = [OFTEN] * (fractions - 1), [0.5] * fractions
    shares = [*others, OFTEN], [*others, 0.5], coin, [*others, 1 - OFTEN]
    return [partial(of_seeds, of) for of in shares]


def worlds() -> list[World]:
    """Four worlds of each of the 20 claims."""
    lags, r = (list(VALUES[claim][of].values()) for claim, of in (("LL2", "mean"), ("LL4", "r")))
    depths = len(VALUES["GAI7"]["depths"])
    precision, recall = VALUES["GAI2"]["precision"], VALUES["GAI3"]["recall"]
    size, tolerance = VALUES["GAI4"]["r"], VALUES["GAI4"]["tolerance"]
    made: dict[str, list[Study]] = {
        "LL2": [
            partial(of_lags, means)
            for means in (lags, [*lags[:2], 0.0], [0.0] * 3, [*lags[:2], -lags[2]])
        ],
        "LL4": [
            partial(of_r, *of)
            for of in (
                (r, 0.03),
                ([*r[:2], VALUES["LL4"]["high"] + VALUES["LL4"]["tolerance"]], 0.03),
                ([0.0] * 3, 0.3),
                ([*r[:2], -0.5], 0.03),
            )
        ],
        "GAI1": [
            partial(of_median, "GAI1", *of)
            for of in ((300, 60, 0), (400, 60, 0), (500, 500, 0.6), (500, 60, 0))
        ],
        "GAI2": [
            partial(of_share, "GAI2", share, ALARMS)
            for share in (precision, precision - VALUES["GAI2"]["tolerance"], CHANCE, 0.5)
        ],
        "GAI3": [
            partial(of_share, "GAI3", share, RUNS)
            for share in (recall, recall - VALUES["GAI3"]["tolerance"], CHANCE, 0.4)
        ],
        "GAI4": [partial(of_correlation, "GAI4", of) for of in (size, size - tolerance, 0, -0.5)],
        "GAI5": [partial(of_share, "GAI5", share, RUNS) for share in (OFTEN, 0.5, 0.5, 1 - OFTEN)],
        "GAI6": [
            partial(of_median, "GAI6", *of)
            for of in ((0.4, 0.06, 0), (0.5, 0.06, 0), (0.0, 0.2, 0), (0.2, 0.06, 0))
        ],
        "GAI7": [
            partial(of_depths, shares)
            for shares in (
                [precision] * depths,
                [precision] * (depths - 1) + [0.5],
                [CHANCE] * depths,
                [precision] * (depths - 1) + [CHANCE],
            )
        ],
        "GAI8": [
            partial(of_excess, share)
            for share in (precision, CHANCE + VALUES["GAI8"]["useful"], CHANCE, CHANCE / 2)
        ],
        "PD3": [partial(of_counts, *of) for of in ((7, 2), (9, 5), (9, 6), (15, 7))],
        "PD4": [
            partial(of_no_decay, *of)
            for of in ((2, 1, OFTEN), (5, 1, OFTEN), (3, 3, 0.01), (0.5, 5.5, OFTEN))
        ],
        "PD6": [
            partial(of_widths, shares)
            for shares in ((0.1, 0.35, 0.4), (0.1, 0.1, 0.4), (0.25, 0.25, 0.25), (0.3, 0.1, 0.4))
        ],
    }
    fractions = dict.fromkeys(("LL1", "LL3"), 3)
    return [
        world
        for claim in VALUES
        for world in worlds_of(claim, made.get(claim) or seeds_studies(fractions.get(claim, 1)))
    ]


# ---------------------------------------------------------------------- the table of docs


def cell(world: World) -> str:
    """Per cent of studies that hold and that fail, by number of seeds."""
    found = [simulate(world, seeds) for seeds in SEEDS]
    return " · ".join(f"{100 * of.holds:.0f}/{100 * of.fails:.0f}" for of in found)


def table() -> str:
    """The cells of each claim in each world."""
    rows = {claim: [f"**{claim}**"] for claim in VALUES}
    for world in worlds():
        rows[world.claim].append(cell(world))
    return lines(["claim", *NAMES], list(rows.values()))


if __name__ == "__main__":
    write_section(STATISTICS, "errors", table())
