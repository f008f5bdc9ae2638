"""The rules of GAI1-GAI8: what a headline number says of a claim, at any analysis choice.

Input: a headline (:mod:`grokscope.claims.measures`) and the published values. Output: a ruling
(:mod:`grokscope.claims.rules`). ``claims.yaml`` says the same in words.
"""

from __future__ import annotations

from collections.abc import Callable

from grokscope.claims.measures import Chance, Headline
from grokscope.claims.registry import Rule, Values
from grokscope.claims.rules import (
    MAJORITY,
    POSITIVE,
    Condition,
    Outcome,
    Region,
    Ruling,
    fewest,
    rule,
    seeds_needed,
)
from grokscope.claims.wording import can_beat
from grokscope.runs.settings import EvaluationSettings


def condition(found: Headline, region: Region) -> Condition:
    """That a headline number lies in a region."""
    return Condition(
        estimate=found.measured,
        interval=lambda confidence: found.interval_at(confidence=confidence),
        seeds=found.seeds,
        region=region,
    )


def in_region(region: Callable[[Values], Region]) -> Rule:
    """The rule that a number lies in a region made of the published values."""

    def judge(found: Headline, values: Values, settings: EvaluationSettings) -> Ruling:
        return rule([condition(found, region(values))], settings.confidence)

    return judge


def testable(found: Headline | Chance, settings: EvaluationSettings) -> bool:
    """Whether a perfect detector could be told from chance on these events."""
    return can_beat(found.p_best, settings.alpha)


def depth_testable(found: Headline, settings: EvaluationSettings) -> bool:
    """Whether a perfect detector could be told from chance, and be shown to be right mostly."""
    return testable(found, settings) and found.event_seeds >= fewest(settings.confidence)


def at_every_depth(found: Headline, values: Values, settings: EvaluationSettings) -> Ruling:
    """GAI7: at every depth alarms are right more often than not, and better than chance.

    One depth at which they are not is enough against it. Depths without events, or with so few
    that even a perfect detector could not be told from chance, or not be shown to be right more
    often than not, leave it open.
    """
    tested = {depth: of for depth, of in found.parts.items() if depth_testable(of, settings)}
    if not tested:
        return Ruling(Outcome.NOT_TESTABLE)
    ruling = rule([condition(of, MAJORITY) for of in tested.values()], settings.confidence)
    if ruling.outcome is Outcome.FAILS:
        return ruling
    if not set(values["depths"]) <= set(tested):
        return Ruling(Outcome.NOT_TESTABLE)
    significant = all(of.p is not None and of.p < settings.alpha for of in tested.values())
    if ruling.outcome is Outcome.HOLDS and not significant:
        return Ruling(
            Outcome.UNDECIDED, lacks=f"a p-value below {settings.alpha:g} at every depth"
        )
    return ruling


def beyond_chance(found: Headline, values: Values, settings: EvaluationSettings) -> Ruling:
    """GAI8: above chance at the corrected confidence; against it, less than a useful excess."""
    if not testable(found, settings):
        return Ruling(Outcome.NOT_TESTABLE)
    if POSITIVE.inside(found.interval):
        return Ruling(Outcome.HOLDS)
    useful = Region(low=values["useful"])
    if useful.outside(found.interval):
        return Ruling(Outcome.FAILS)
    nearest = condition(found, POSITIVE if found.measured > 0 else useful)
    return Ruling(
        Outcome.UNDECIDED, seeds_needed(nearest, found.confidence or settings.confidence)
    )
