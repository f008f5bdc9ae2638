"""Verdicts: published claims as the report prints them, study by study.

Input: the tables ``claims`` and ``multiverse`` and the published claim sets. Output: rows and
counts for the templates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.claims.rows import records
from grokscope.claims.rules import Outcome
from grokscope.core.formatting import ABSENT, count, number, probability, steps
from grokscope.report.studies import Study
from grokscope.report.tables.parts import Cell, Table, row_id

# Class of the style sheet and symbol; no verdict is told by its colour alone.
BADGES = {
    Outcome.HOLDS: ("holds", "✓"),
    Outcome.FAILS: ("fails", "✗"),
    Outcome.UNDECIDED: ("undecided", "?"),
    Outcome.NOT_TESTABLE: ("untestable", "○"),
}
# Ends that the data do not bound.
UNBOUNDED = {"low": "−∞", "high": "∞"}
FORMATS: dict[str, Callable[[float], str]] = {
    "steps": steps,
    "runs": steps,
    "phases": steps,
    "share": number,
    "r": number,
}
# Units that are printed behind a number; the others are numbers without dimension.
PRINTED_UNITS = ("steps", "runs", "phases")


@dataclass(frozen=True)
class Judged:
    """A study with its claim set and the rows of its claims."""

    study: Study
    claims: ClaimSet
    rows: Sequence[Mapping[str, Any]]


class Support(NamedTuple):
    """Analysis choices that support a claim, that speak against it, and that can be measured."""

    yes: int
    no: int
    measured: int


def shown(value: Any, unit: str) -> str:
    """A claim's number as the report prints it; a dash for null."""
    return ABSENT if pd.isna(value) else FORMATS[unit](float(value))


def citation(claims: ClaimSet) -> str:
    """Where the claims were published: title, authors, identifier, code."""
    parts = [
        claims.title,
        claims.authors or "authors not stated",
        claims.identifier or "no identifier",
        f"code: {claims.code}" if claims.code else "no public code",
    ]
    return "; ".join(parts) + "."


def judged_studies(
    studies: Sequence[Study],
    claims: pd.DataFrame,
    multiverse: pd.DataFrame,
    published: Mapping[str, ClaimSet],
) -> list[Judged]:
    """The studies that claims are judged by, in their order."""
    support = supports(multiverse)
    found = []
    for study in studies:
        if study.claims is None:
            continue
        claim_set = published[study.claims]
        mine = records(claims[claims["study"] == study.name])
        rows = [_row(row, claim_set, support) for row in mine]
        for row in rows:
            row["explored"] = f"{study.explored}&claim={row['claim']}"
        found.append(Judged(study, claim_set, rows))
    return found


def _row(
    row: Mapping[str, Any], claims: ClaimSet, support: Mapping[tuple[str, str], Support]
) -> dict[str, Any]:
    """A row of the table ``claims`` as the templates print it."""
    text = {name: shown(row[name], row["unit"]) for name in ("measured", "low", "high")}
    text |= {
        name: ABSENT if pd.isna(row[name]) else probability(float(row[name]))
        for name in ("p", "p_holm", "p_bonferroni")
    }
    has_interval = pd.notna(row["low"]) or pd.notna(row["high"])
    if has_interval:
        text |= {name: end for name, end in UNBOUNDED.items() if pd.isna(row[name])}
    needed = row["seeds_needed"]
    weakness = {claim.id: claim.weakness for claim in claims.claims}
    choices = support.get((row["study"], row["claim"]))
    return dict(row) | {
        "text": text,
        "value": {name: "" if pd.isna(row[name]) else repr(float(row[name])) for name in text},
        "row_id": row_id(row, "claims"),
        "anchor": f"claim-{row['study']}-{row['claim']}",
        "badge": BADGES[row["verdict"]],
        "has_interval": has_interval,
        "has_p": bool(pd.notna(row["p"])),
        "decides": ""
        if pd.isna(needed)
        else f"about {count(int(needed), 'seed')} in all would decide",
        "weakness": weakness[row["claim"]],
        "unit_text": row["unit"] if row["unit"] in PRINTED_UNITS else "",
        "choices": "" if choices is None else f"{_of(choices)} analysis choices",
    }


def supports(multiverse: pd.DataFrame) -> dict[tuple[str, str], Support]:
    """What the analysis choices say of the claims, by study and claim."""
    measured = multiverse[multiverse["claim"].notna() & multiverse["measured"].notna()]
    found = {}
    for (study, claim), group in measured.groupby(["study", "claim"]):
        says = group["supports"].dropna().astype(bool)
        found[str(study), str(claim)] = Support(int(says.sum()), int((~says).sum()), len(group))
    return found


def support_tables(judged: Sequence[Judged], multiverse: pd.DataFrame) -> list[Table]:
    """For each claim set that judges several studies: verdicts and support in all of them."""
    support = supports(multiverse)
    tables = []
    for name in dict.fromkeys(one.claims.name for one in judged):
        group = [one for one in judged if one.claims.name == name]
        if len(group) < 2:
            continue
        names = [row["claim"] for row in group[0].rows]
        rows = []
        for claim in names:
            known = [support.get((one.study.name, claim)) for one in group]
            given = [counts for counts in known if counts is not None]
            total = Support(*map(sum, zip(*given, strict=True))) if given else None
            verdicts = [
                row["verdict"] for one in group for row in one.rows if row["claim"] == claim
            ]
            rows.append(
                [
                    Cell(claim),
                    Cell(f"{verdicts.count(Outcome.HOLDS)} of {len(verdicts)}", numeric=True),
                    *(Cell(_of(counts), numeric=True) for counts in [*known, total]),
                ]
            )
        header = ["claim", "studies where it holds"]
        header += [f"choices in {one.study.name}" for one in group] + ["choices together"]
        note = (
            "Analysis choices that support the claim and that speak against it, of those under "
            "which its number can be measured; under the others it is undecided."
        )
        title = f"Claims {name} over {len(group)} studies"
        tables.append(Table(title, header, rows, note))
    return tables


def _of(counts: Support | None) -> str:
    if counts is None:
        return ABSENT
    return f"{counts.yes:,} for, {counts.no:,} against, of {counts.measured:,}"


def tally(verdicts: Sequence[str]) -> list[tuple[str, tuple[str, str], int]]:
    """Verdicts in words that follow a number, their badges, and how many there are."""
    found = []
    for name, badge in BADGES.items():
        number_of = verdicts.count(name)
        # "6 hold", "1 holds"; the others have no plural.
        inflected = name in (Outcome.HOLDS, Outcome.FAILS) and number_of != 1
        found.append((name.removesuffix("s") if inflected else str(name), badge, number_of))
    return found
