"""Judge: the tables of one study to the verdicts on its claims and to its multiverse.

Input: the tables ``runs``, ``transitions``, ``alarms``, ``rank``, ``phases`` and (of a kind that
has them) ``variants`` of one study, the claims it is to be judged by, and the settings. Output:
its tables ``claims`` and ``multiverse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

# Imported for the claims that they register.
from grokscope.claims import gai, lead_lag, phase_diagram  # noqa: F401
from grokscope.claims.evidence import Evidence
from grokscope.claims.measures import MEASURES
from grokscope.claims.multiverse import multiverse_table
from grokscope.claims.published import ClaimSet, PublishedClaim
from grokscope.claims.registry import CLAIMS, NotTestable
from grokscope.claims.rules import Outcome, Ruling
from grokscope.claims.samples import Samples
from grokscope.data.tables import empty, from_rows
from grokscope.evaluate.statistics import adjust
from grokscope.measure.lacking import study_lacks, testable
from grokscope.runs.kinds import KINDS
from grokscope.runs.settings import Analysis

TABLES = ("runs", "transitions", "alarms", "rank", "phases")


@dataclass(frozen=True)
class JudgedStudy:
    """Tables ``claims`` and ``multiverse`` of a study; either may be empty."""

    claims: pd.DataFrame
    multiverse: pd.DataFrame


def judge_study(
    study: str,
    tables: Mapping[str, pd.DataFrame],
    claims: ClaimSet | None,
    kind: str,
    analysis: Analysis,
) -> JudgedStudy:
    """Judge a study by the claims of a publication.

    Parameters
    ----------
    tables
        Those of this study alone, by name; ``variants`` if the kind has them.
    claims
        None for a study that is judged by none: then its numbers are measured, and nothing is
        said about them.
    kind
        A name of :data:`grokscope.runs.kinds.KINDS`.
    analysis
        Used are ``evaluation``, ``phases``, ``alarms``, ``detectors`` and ``onset``.

    Raises
    ------
    ValueError
        If the claims are about another kind of study, if one has no function, or if a table is
        of another study.
    """
    if claims is not None:
        if claims.kind != kind:
            raise ValueError(
                f"study {study!r} is of kind {kind!r}, but the claims {claims.name} are about "
                f"studies of kind {claims.kind!r}"
            )
        unknown = [claim.id for claim in claims.claims if claim.id not in CLAIMS]
        if unknown:
            raise ValueError(f"no function judges claim {unknown[0]!r} of {claims.name}")
    names = [*TABLES, "variants"] if KINDS[kind].has_variants else list(TABLES)
    for name in names:
        others = set(tables[name]["study"]) - {study}
        if others:
            raise ValueError(f"table {name} of study {study!r} has rows of {sorted(others)}")
    needs = KINDS[kind].needs
    nothing = study_lacks(tables["runs"], *needs) or f"The study {study} has no runs."
    runs = tables["runs"]
    tables = {name: testable(tables[name], runs, *needs) for name in names}
    samples, multiverse = None, empty("multiverse")
    if KINDS[kind].has_variants and len(tables["variants"]):
        samples = Samples(
            tables["variants"],
            tables["transitions"],
            tables["runs"],
            analysis,
            _family(claims),
        )
        multiverse = multiverse_table(study, samples, claims)
    evidence = Evidence(
        runs=tables["runs"],
        transitions=tables["transitions"],
        alarms=tables["alarms"],
        rank=tables["rank"],
        phases=tables["phases"],
        samples=samples,
        analysis=analysis,
    )
    found = _claims_table(study, claims, evidence, multiverse, nothing)
    return JudgedStudy(found, multiverse)


def _family(claims: ClaimSet | None) -> int:
    """Number of claims that the corrected interval is corrected for: published, or all others."""
    for claim in claims.claims if claims else ():
        if CLAIMS[claim.id].measure == "corrected_excess":
            return int(claim.values["family"])
    return len(MEASURES) - 1


def judge(claim: PublishedClaim, evidence: Evidence, study: str, nothing: str) -> dict[str, Any]:
    """Row of the table ``claims`` for one published claim; its p-value is not adjusted yet.

    Parameters
    ----------
    nothing
        Why there is no run to judge it by, if there is none.
    """
    registered = CLAIMS[claim.id]
    row: dict[str, Any] = {
        "study": study,
        "claim": claim.id,
        "statement": claim.statement,
        "published": claim.published,
        "quantity": registered.quantity,
        "unit": registered.unit,
        "measured": None,
        "low": None,
        "high": None,
        "n": 0,
        "seeds": 0,
        "p": None,
        "p_holm": None,
        "p_bonferroni": None,
        "rule": claim.rule,
        "verdict": str(Outcome.NOT_TESTABLE),
        "seeds_needed": None,
    }
    if evidence.runs.empty:
        return row | {"reason": f"{nothing[:1].upper()}{nothing[1:].removesuffix('.')}."}
    missing = registered.scale.missing(evidence.of("transitions"))
    try:
        finding = registered.judge(evidence, claim.values)
    except NotTestable as nothing:
        return row | {"reason": " ".join(filter(None, [missing, str(nothing)]))}
    ruling = finding.ruling if missing is None else Ruling(Outcome.NOT_TESTABLE)
    return row | {
        "measured": finding.measured,
        "low": finding.interval.low,
        "high": finding.interval.high,
        "n": finding.n,
        "seeds": finding.seeds,
        "p": finding.p,
        "verdict": str(ruling.outcome),
        "seeds_needed": ruling.seeds_needed,
        "reason": f"{missing} On the runs at hand: {finding.reason}"
        if missing
        else finding.reason + _more_seeds(ruling, finding.seeds),
    }


def _more_seeds(ruling: Ruling, seeds: int) -> str:
    """Sentence on how many more seeds would decide; empty for a verdict that decides."""
    if ruling.outcome is not Outcome.UNDECIDED:
        return ""
    if ruling.lacks:
        return f" To decide it lacks {ruling.lacks}."
    if ruling.seeds_needed is None:
        return " As measured, no number of seeds would decide it by this rule alone."
    more = ruling.seeds_needed - seeds
    return f" About {more} more seed{'s' if more > 1 else ''} would decide, if this stays."


def _supported(multiverse: pd.DataFrame, claim: str) -> str:
    """Sentence on the analysis choices under which a claim would hold; empty without any."""
    mine = multiverse[(multiverse["claim"] == claim).fillna(False)]
    measured = int(mine["measured"].notna().sum())
    if not measured:
        return ""
    supports = mine["supports"].dropna().astype(bool)
    counts = f"{int(supports.sum())} support it, {int((~supports).sum())} speak against it"
    return f" Of the {measured} analysis choices {counts}."


def _claims_table(
    study: str,
    claims: ClaimSet | None,
    evidence: Evidence,
    multiverse: pd.DataFrame,
    nothing: str,
) -> pd.DataFrame:
    """Table ``claims``: one row per published claim.

    p-values are adjusted by Holm and by Bonferroni over the claims that have one. Claims about
    that family are judged after it.
    """
    entries = claims.claims if claims else ()
    rows = {
        claim.id: judge(claim, evidence, study, nothing)
        for claim in entries
        if not CLAIMS[claim.id].of_family
    }
    adjusted = adjust([row["p"] for row in rows.values()])
    for row, holm, bonferroni in zip(rows.values(), *adjusted, strict=True):
        row |= {"p_holm": holm, "p_bonferroni": bonferroni}
    p_holm = {name: row["p_holm"] for name, row in rows.items() if row["p"] is not None}
    for claim in entries:
        if CLAIMS[claim.id].of_family:
            rows[claim.id] = judge(claim, replace(evidence, p_holm=p_holm), study, nothing)
    for name, row in rows.items():
        if row["measured"] is not None:
            row["reason"] += _supported(multiverse, name)
    return from_rows([rows[claim.id] for claim in entries], "claims")
