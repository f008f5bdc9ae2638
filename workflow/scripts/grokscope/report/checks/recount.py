"""Recount: what the report counts and averages itself, once more and in other words.

Input: the result tables, the published claims and the settings. Output: what its tables and
sentences must show. Nothing here calls what makes the report: a mistake would have to be made
twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.report.checks.printed import Place
from grokscope.report.checks.recount_studies import (
    PHASES,
    Rows,
    Tables,
    answer,
    early_warning,
    events,
    floats,
    lead_lag,
    logs,
    phase_diagram,
)
from grokscope.report.studies import Study
from grokscope.runs.settings import Analysis


@dataclass(frozen=True)
class Expected:
    """What a report must show.

    Attributes
    ----------
    tables
        Rows by chapter and title, with the columns that are compared, in order; for a table that
        may be missing where it has no rows, none.
    numbers
        Numbers of counted sentences, in order.
    """

    tables: dict[Place, Rows]
    numbers: dict[Place, list[float]]


def expected(
    tables: Tables, studies: Sequence[Study], published: Mapping[str, ClaimSet], analysis: Analysis
) -> Expected:
    """All tables and sentences that the report computes.

    Parameters
    ----------
    tables
        Result tables of all studies, by name.
    published
        Claim sets by name.
    """
    found, numbers = dict(_of_all(tables, studies, analysis)), _sentences(tables, studies)
    for study in studies:
        mine = {name: table[table["study"] == study.name] for name, table in tables.items()}
        claims = None if study.claims is None else published[study.claims]
        parts: Iterator[tuple[str, Rows]] = iter(())
        if study.kind == "lead_lag":
            parts = lead_lag(mine, claims)
        elif study.kind == "early_warning":
            parts = early_warning(mine, analysis)
            numbers[study.title, "answer"] = answer(mine["chance"], analysis.evaluation.alpha)
        elif study.kind == "phase_diagram":
            parts = phase_diagram(mine["phases"])
        found |= {(study.title, title): rows for title, rows in parts}
        found |= {(study.title, title): rows for title, rows in logs(mine["runs"])}
    return Expected(found, numbers)


# ------------------------------------------------------------------ all studies


def _of_all(
    tables: Tables, studies: Sequence[Study], analysis: Analysis
) -> Iterator[tuple[Place, Rows]]:
    runs, transitions = tables["runs"], tables["transitions"]
    late = events(transitions, analysis.phases.gap)
    counts = {
        "runs": Counter(runs["study"]),
        "seeds": Counter(runs.drop_duplicates(["study", "seed"])["study"]),
        "memorised": Counter(transitions.dropna(subset="train_onset_step")["study"]),
        "generalised": Counter(transitions.dropna(subset="test_onset_step")["study"]),
        "events": Counter(transitions["study"][late]),
    }
    for phase in PHASES:
        labelled = tables["phases"].loc[tables["phases"]["phase"] == phase, "study"]
        counts[phase] = Counter(labelled)
    title = "What was measured"
    yield (
        (title, title),
        [
            {"number of": name} | {study.name: of[study.name] for study in studies}
            for name, of in counts.items()
        ],
    )
    known = runs[runs["processor"].notna()]
    trained = Counter(zip(known["study"], known["processor"], strict=True))
    titles = {study.name: study.title for study in studies}
    order = list(titles)
    yield (
        ("Methods", "Processors"),
        [
            {"study": titles[study], "trained on": processor, "runs": trained[study, processor]}
            for study, processor in sorted(trained, key=lambda of: (order.index(of[0]), of[1]))
        ],
    )
    yield from _supports(tables, studies)


def _choices(multiverse: pd.DataFrame, study: str, claim: str) -> tuple[int, int, int] | None:
    """Analysis choices that support a claim, that speak against it, that have its number."""
    mine = multiverse[(multiverse["study"] == study) & (multiverse["claim"] == claim)]
    mine = mine.dropna(subset="measured")
    answers = [None if pd.isna(answer) else bool(answer) for answer in mine["supports"]]
    return (answers.count(True), answers.count(False), len(answers)) if answers else None


def _supports(tables: Tables, studies: Sequence[Study]) -> Iterator[tuple[Place, Rows]]:
    claims = tables["claims"]
    for name in {study.claims for study in studies if study.claims is not None}:
        judged = [study.name for study in studies if study.claims == name]
        if len(judged) < 2:
            continue
        rows = []
        for claim in claims.loc[claims["study"] == judged[0], "claim"]:
            verdicts = claims.loc[
                claims["study"].isin(judged) & (claims["claim"] == claim), "verdict"
            ]
            choices = [_choices(tables["multiverse"], study, claim) for study in judged]
            known = [of for of in choices if of is not None]
            row: dict[str, Any] = {"claim": claim}
            row["studies where it holds"] = (int((verdicts == "holds").sum()), len(verdicts))
            row |= {f"choices in {study}": of for study, of in zip(judged, choices, strict=True)}
            total = tuple(np.sum(known, axis=0)) if known else None
            rows.append(row | {"choices together": total})
        yield ("Claims", f"Claims {name} over {len(judged)} studies"), rows


def _seconds(runs: pd.DataFrame) -> list[float]:
    """Total time of training; none where no run was trained here."""
    if len(runs) and runs["seconds"].isna().all():
        return []
    return [float(np.nansum(floats(runs["seconds"])))]


def _sentences(tables: Tables, studies: Sequence[Study]) -> dict[Place, list[float]]:
    runs, claims = tables["runs"], tables["claims"]
    numbers: dict[Place, list[float]] = {("", "lead"): [len(studies), len(runs)]}
    numbers["", "title"] = []
    if len(claims):
        sets = {study.name: study.claims for study in studies}
        distinct = {(sets[s], c) for s, c in zip(claims["study"], claims["claim"], strict=True)}
        numbers["", "title"] = [len(distinct)]
        verdicts = Counter(claims["verdict"])
        order = ("holds", "fails", "undecided", "not testable at this scale")
        numbers["", "tally"] = [verdicts[verdict] for verdict in order]
    numbers["Methods", "seconds"] = _seconds(runs)
    for study in studies:
        mine = runs[runs["study"] == study.name]
        ends = Counter(mine["stopped"])
        facts: list[float] = [len(mine), *(ends[name] for name in sorted(ends))]
        facts += [len(set(mine["seed"])), int(np.sum(floats(mine["steps"])))]
        numbers[study.title, "facts"] = [*facts, *_seconds(mine)]
        if (kinds := len(set(mine["processor"].dropna()))) > 1:
            numbers[study.title, "processors"] = [kinds]
        for claim in claims.loc[claims["study"] == study.name, "claim"]:
            choices = _choices(tables["multiverse"], study.name, claim)
            if choices is not None:
                numbers[study.title, f"choices of {claim}"] = list(choices)
    return numbers
