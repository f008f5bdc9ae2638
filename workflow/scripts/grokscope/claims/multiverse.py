"""Multiverse: every headline number under every combination of analysis choices.

Input: the samples of a study and its published claims, if it has any. Output: the table
``multiverse``, one row per number and specification: the number, its interval over seeds, and
whether the claim that it belongs to would hold by the claim's own rule. A claim's runs are its
:class:`grokscope.claims.registry.Scale`'s; without claims all runs count. The configured choice
has the number of the table ``claims``, exactly.

Only ``corrected_excess`` asks less than its claim: the corrected interval, not also the adjusted
p-values of the other claims.

Reference: Simonsohn, Simmons & Nelson 2020, "Specification curve analysis", Nature Human
Behaviour 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.measures import MEASURES, Headline, Measure
from grokscope.claims.published import ClaimSet, PublishedClaim
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rules import Outcome
from grokscope.claims.samples import CHOICES, Choice, Samples
from grokscope.data.parts import RANK_MEASURES
from grokscope.data.tables import from_rows


def claims_of(measure: Measure, claims: ClaimSet | None) -> list[PublishedClaim | None]:
    """The claims about a number; None alone for a study without claims."""
    if claims is None:
        return [None]
    return [claim for claim in claims.claims if CLAIMS[claim.id].measure == measure.name]


def multiverse_table(study: str, samples: Samples, claims: ClaimSet | None) -> pd.DataFrame:
    """The table ``multiverse`` of a study.

    Parameters
    ----------
    claims
        Those that the study is judged by; numbers that none of them is about are left out.
        None measures every number.
    """
    rows = []
    for measure in MEASURES.values():
        for claim in claims_of(measure, claims):
            frame = samples.rows
            if claim is not None:
                frame = frame[CLAIMS[claim.id].scale.chosen(frame)]
            for choice, sample, default in samples.each(measure, frame):
                for ranks in RANK_MEASURES if measure.ranks else (None,):
                    headline = measure.of(sample, ranks) if ranks else measure.of(sample)
                    of_ranks = {"rank_measure": ranks} if ranks else {}
                    mine = default and ranks in (None, samples.default["rank_measure"])
                    row = {"study": study, "quantity": measure.name}
                    row |= _row(choice | of_ranks, headline, claim, samples) | {"is_default": mine}
                    rows.append(row)
    return from_rows(rows, "multiverse")


def _row(
    choice: Choice, headline: Headline, claim: PublishedClaim | None, samples: Samples
) -> dict[str, Any]:
    """Columns of a row of the table but its place."""
    nothing, supports = bool(np.isnan(headline.measured)), None
    if claim is not None and not nothing:
        rule = CLAIMS[claim.id].supports
        assert rule is not None  # a claim about a measure has one
        outcome = rule(headline, claim.values, samples.analysis.evaluation).outcome
        supports = {Outcome.HOLDS: True, Outcome.FAILS: False}.get(outcome)
    return {
        "claim": claim and claim.id,
        **dict.fromkeys(CHOICES),
        **choice,
        "measured": None if nothing else headline.measured,
        "low": headline.interval.low,
        "high": headline.interval.high,
        "n": headline.n,
        "supports": supports,
    }
