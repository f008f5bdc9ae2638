"""Claims: what was published, judged by the tables of this run and by nothing else.

Input: the tables ``runs``, ``transitions``, ``alarms``, ``rank``, ``phases``, ``evaluation``,
``chance`` and ``multiverse``, the published claims (``workflow/report/claims.yaml``) and the
config section ``analysis``. Output: the table ``claims``. To add a claim, describe it in the
YAML file and register one function here:

>>> @claim("LL9", quantity="longest lag", unit="steps", scale=PRIMARY)
... def longest_lag(evidence, values):
...     return Finding(...)

A function judges whatever runs there are. If they are not those the claim is about (a cell
missing, another modulus, fewer steps), the verdict becomes ``not testable at this scale``, the
reason says what is missing, and the measured value stays for the reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

# Imported for the claims that they register.
from grokscope.claims import gai, lead_lag, phase_diagram  # noqa: F401
from grokscope.claims.registry import CLAIMS, FAILS, HOLDS, NOT_TESTABLE, Evidence, NotTestable
from grokscope.data.tables import from_rows
from grokscope.evaluate.statistics import adjust

PUBLISHED_FIELDS = {"id", "study", "statement", "published", "values", "weakness"}


def read_published(path: str | Path) -> list[dict[str, Any]]:
    """Published claims of a YAML file, in its order.

    Raises
    ------
    ValueError
        If an entry has other fields than :data:`PUBLISHED_FIELDS`, or an id no function.
    """
    entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    for entry in entries:
        if set(entry) != PUBLISHED_FIELDS:
            raise ValueError(
                f"{path}: claim {entry.get('id')!r} has the fields {sorted(entry)}; "
                f"it must have {sorted(PUBLISHED_FIELDS)}"
            )
    names = [entry["id"] for entry in entries]
    if sorted(names) != sorted(CLAIMS):
        raise ValueError(f"{path}: ids {sorted(names)} are not those judged: {sorted(CLAIMS)}")
    return list(entries)


def judge(entry: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Row of the table ``claims`` for one published claim; its p-value is not adjusted yet."""
    registered = CLAIMS[entry["id"]]
    row: dict[str, Any] = {
        "claim": entry["id"],
        "study": entry["study"],
        "statement": entry["statement"],
        "published": entry["published"],
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
        "verdict": NOT_TESTABLE,
    }
    if not (evidence.runs["study"] == entry["study"]).any():
        return row | {"reason": f"The study {entry['study']} is not in this configuration."}
    missing = registered.scale.missing(evidence.of("transitions", entry["study"]))
    try:
        finding = registered.judge(evidence, entry["values"])
    except NotTestable as nothing:
        return row | {"reason": " ".join(filter(None, [missing, str(nothing)]))}
    verdict = HOLDS if finding.holds else FAILS
    reason = finding.reason + _choices(evidence, entry["id"])
    return row | {
        "measured": finding.measured,
        "low": finding.interval.low,
        "high": finding.interval.high,
        "n": finding.n,
        "seeds": finding.seeds,
        "p": finding.p,
        "verdict": verdict if missing is None and finding.testable else NOT_TESTABLE,
        "reason": f"{missing} On the runs at hand: {reason}" if missing else reason,
    }


def _choices(evidence: Evidence, name: str) -> str:
    """Sentence on the analysis choices under which the claim would hold; empty without any."""
    supports = evidence.multiverse.loc[evidence.multiverse["claim"] == name, "supports"].dropna()
    if supports.empty:
        return ""
    return f" {int(supports.sum())} of {len(supports)} analysis choices support it."


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Adjust the p-values of rows over the claims of each study that have one."""
    for study in {row["study"] for row in rows}:
        family = [row for row in rows if row["study"] == study]
        adjusted = adjust([row["p"] for row in family])
        for row, holm, bonferroni in zip(family, *adjusted, strict=True):
            row |= {"p_holm": holm, "p_bonferroni": bonferroni}


def claims_table(published: Iterable[Mapping[str, Any]], evidence: Evidence) -> pd.DataFrame:
    """Table ``claims``: a row a published claim.

    p-values are adjusted by Holm and by Bonferroni over the claims of a study that have one.
    Claims about that family are judged after it.
    """
    entries = list(published)
    alone = [entry for entry in entries if not CLAIMS[entry["id"]].of_family]
    rows = [judge(entry, evidence) for entry in alone]
    _adjust(rows)
    for entry in entries:
        if CLAIMS[entry["id"]].of_family:
            family = [row for row in rows if row["study"] == entry["study"]]
            p_holm = {row["claim"]: row["p_holm"] for row in family if row["p"] is not None}
            rows.append(judge(entry, replace(evidence, p_holm=p_holm)))
    made = {row["claim"]: row for row in rows}
    return from_rows([made[entry["id"]] for entry in entries], "claims")
