"""Claims about a headline number: the number, the rule it is judged by, and a sentence on it.

The number is a measure (:mod:`grokscope.claims.measures`) of the runs that the claim is about, at
the configured choice. The multiverse measures and judges it under every other choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from grokscope.claims.evidence import Evidence
from grokscope.claims.measures import MEASURES, Headline, Measure, Sample
from grokscope.claims.registry import Finding, NotTestable, Rule, Scale, Values, claim
from grokscope.claims.rules import Outcome, Ruling

# A sentence on a claim's number, and its p-value.
Explanation = tuple[str, float | None]
Explain = Callable[[Evidence, Values, Sample, Headline], Explanation]


def about(
    name: str, measure: str, supports: Rule, scale: Scale, *, of_family: bool = False
) -> Callable[[Explain], Explain]:
    """Register a claim about a headline number: the rule it is judged by, and its explanation.

    A claim `of_family` holds only if every adjusted p-value of the study's other claims counts.
    """
    made = MEASURES[measure]

    def register(explain: Explain) -> Explain:
        def judge(evidence: Evidence, values: Values) -> Finding:
            if evidence.samples is None:
                raise NotTestable("No alarms were measured.")
            rows = evidence.samples.rows
            sample = evidence.samples.configured(made, rows[scale.chosen(rows)])
            _check_events(evidence, made, sample)
            found = made.of(sample)
            reason, p = explain(evidence, values, sample, found)
            ruling = supports(found, values, evidence.analysis.evaluation)
            if of_family and ruling.outcome is Outcome.HOLDS and not_significant(evidence):
                ruling = Ruling(Outcome.UNDECIDED, lacks=_family_lacks(evidence))
            return Finding(
                measured=found.measured,
                interval=found.interval,
                n=found.n,
                seeds=found.seeds,
                ruling=ruling,
                reason=reason,
                p=p,
            )

        claim(
            name,
            quantity=made.quantity,
            unit=made.unit,
            scale=scale,
            of_family=of_family,
            measure=measure,
            supports=supports,
        )(judge)
        return explain

    return register


def _check_events(evidence: Evidence, measure: Measure, sample: Sample) -> None:
    """NotTestable if the sample of a number about events has none."""
    noun = "held-out runs" if measure.held_out else "runs"
    if sample.rows.empty:
        raise NotTestable(f"There are no {noun} of the tasks.")
    if measure.of_events and not sample.rows["event"].any():
        raise NotTestable(
            f"None of the {len(sample.rows)} {noun} has an event (an onset of generalisation more "
            f"than {evidence.analysis.phases.gap} steps after memorisation)."
        )


def _family_lacks(evidence: Evidence) -> str:
    """What keeps adjusted p-values from counting: too few surrogates, or the data."""
    family, surrogates = len(evidence.p_holm), evidence.analysis.evaluation.surrogates
    if family / (1 + surrogates) < evidence.alpha:
        return "the significance of every other claim, whatever the number of seeds of this one"
    needed = math.floor(family / evidence.alpha)
    return (
        f"surrogates: of {surrogates} none of {family} adjusted p-values can be below "
        f"{evidence.alpha:g} (at least {needed} are needed)"
    )


def not_significant(evidence: Evidence) -> list[str]:
    """The other claims whose adjusted p-value does not count."""
    return sorted(name for name, p in evidence.p_holm.items() if p >= evidence.alpha)
