"""Ranking of detectors: how well their scores order time, and which null models they beat.

Input: the tables ``chance`` and ``evaluation`` of one study. Output: detectors by area, the
answer in words to the question whether any knows when a run generalises, and the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokscope.claims.rows import records, select
from grokscope.claims.wording import NULLS, beaten, knowledge, null_rows, p_values
from grokscope.core.formatting import ABSENT, detector_words, number, probability, words
from grokscope.evaluate.statistics import adjust
from grokscope.evaluate.thresholds import STEP_ZERO
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, GAI
from grokscope.report.tables.parts import NOTHING, Cell, RowCells, Table
from grokscope.runs.settings import EvaluationSettings

# Rows about all tasks and depths of a study.
POOLED: dict[str, Any] = {"task": None, "depth": None}


@dataclass(frozen=True)
class Rank:
    """A detector and how well its scores order time: area under sensitivity against warning.

    Attributes
    ----------
    nulls
        Rows of the table ``chance`` by null model.
    p
        p-values by null model, without those that even a perfect detector could not beat.
    uses_test_data
        Whether its signal needs held-out data: then it is not ranked.
    is_reference
        Whether it stands there for comparison only, such as the constant-time predictor.
    """

    detector: str
    area: float
    nulls: Mapping[str, Mapping[str, Any]]
    p: Mapping[str, float]
    uses_test_data: bool
    is_reference: bool

    @property
    def ranked(self) -> bool:
        """Whether it stands in the ranking."""
        return not (self.uses_test_data or self.is_reference)


def rank_detectors(chance: pd.DataFrame, level: float) -> list[Rank]:
    """Detectors by falling area, over all tasks and depths of the study."""
    rows = select(chance, **POOLED, layer=COMBINED, rule="curve", score="auc")
    found = []
    for name in dict.fromkeys(rows["detector"]):
        nulls = null_rows(rows, detector=name)
        if not nulls:
            continue
        known = DETECTORS.get(name)
        area = float(next(iter(nulls.values()))["observed"])
        test_data = known is not None and known.uses_test_data
        p = p_values(nulls, level)
        found.append(Rank(name, area, nulls, p, test_data, known is None))
    return sorted(found, key=lambda rank: (-rank.area, rank.detector))


def answer(ranks: Sequence[Rank], level: float) -> str:
    """Whether any detector without test data knows when a run generalises.

    A detector does that beats every null model; its p-value is the largest of theirs, adjusted
    by Holm over the detectors.
    """
    ranked = [rank for rank in ranks if rank.ranked]
    if not ranked:
        return "No held-out run has an event that scores could be compared with."
    whole = [set(rank.p) == set(NULLS) for rank in ranked]
    if not any(whole):
        return "Not testable: here even a perfect detector could not beat every null model."
    # Those that cannot be tested stay in the family: it is no smaller for them.
    holm, _ = adjust(
        [max(rank.p.values()) if of else 1.0 for rank, of in zip(ranked, whole, strict=True)]
    )
    knowing = [
        detector_words(rank.detector)
        for rank, p in zip(ranked, holm, strict=True)
        if p is not None and p < level
    ]
    if knowing:
        verb = "knows" if len(knowing) == 1 else "know"
        text = f"Yes: {', '.join(knowing)} {verb}, of {len(ranked)} that see no test data"
    else:
        text = f"No: of {len(ranked)} detectors that see no test data none knows"
    text += "; to know is to beat every null model, adjusted by Holm over the detectors."
    text += f" {_clause(ranked[0], level, 'The largest area has')}"
    names = [rank.detector for rank in ranked]
    if GAI in names[1:]:
        place = names.index(GAI)
        text += f" {_clause(ranked[place], level, f'Number {place + 1} is')}"
    return text


def _clause(rank: Rank, level: float, start: str) -> str:
    name = detector_words(rank.detector)
    clause = f"unadjusted, it {beaten(rank.p, level)}; {knowledge(rank.p, level)}"
    return f"{start} {name} ({number(rank.area)}): {clause}."


def ranking_tables(
    ranks: Sequence[Rank], evaluation: pd.DataFrame, settings: EvaluationSettings
) -> list[Table]:
    """Detectors by area, those that see test data apart."""
    low, high = settings.primary_window
    header = ["#", "detector", "area", *p_header(), "what it knows"]
    header += ["precision", "recall", "false per 10,000"]

    def alarms(detector: str, source: str) -> list[Cell]:
        """Scores of the first alarm in the primary window."""
        where = {"lead_min": low, "lead_max": high, "rule": "first", "layer": COMBINED}
        where |= {"detector": detector, "threshold_source": source}
        found = records(select(evaluation, **POOLED, **where))
        columns = ("precision", "recall", "false_alarms_per_10000")
        if not found:
            return [NOTHING] * len(columns)
        cell = RowCells(found[0], "evaluation")
        return [cell(name, number) for name in columns]

    def row(rank: Rank, place: str) -> list[Cell]:
        observed = RowCells(next(iter(rank.nulls.values())), "chance")
        return [
            Cell(place, numeric=True),
            Cell(detector_words(rank.detector)),
            observed("observed", number),
            *p_cells(rank.nulls),
            knows(rank.p, settings.alpha),
            *alarms(rank.detector, "none" if rank.is_reference else "development"),
        ]

    place = 0
    ranking, apart = [], []
    for rank in ranks:
        if rank.uses_test_data:
            apart.append(row(rank, ABSENT))
            continue
        place += not rank.is_reference
        ranking.append(row(rank, ABSENT if rank.is_reference else str(place)))
    # An alarm at step 0 has no score, and so no area.
    nothing = [NOTHING] * (1 + len(NULLS))
    start = [NOTHING, Cell(detector_words(STEP_ZERO)), *nothing, Cell("nothing")]
    ranking.append(start + alarms(STEP_ZERO, "none"))
    note = (
        "Area under sensitivity against time in warning: the chance that a score is higher before "
        "an event than at a random time at risk; 0.5 knows nothing. p-values are those against "
        "the four null models (see Methods). "
        f"Precision, recall and false alarms are those of the first alarm, {low:,}–{high:,} steps "
        "ahead, at the level that was best on the development seeds; everything is measured on "
        "the others. A constant time and an alarm at step 0 are no detectors: what ranks below "
        "the former knows less than a clock. Areas pool tasks and depths, null models keep to the "
        "panel, so an area below 0.5 can still beat random and shifted alarms. Swapped alarms "
        "need several held-out seeds per cell, a constant time several development seeds: with "
        "one, the surrogates are all the same number."
    )
    tables = [Table("Detectors by what they know", header, ranking, note)]
    if apart:
        seen = "These read the test metric's own signal, which the others are to foretell."
        tables.append(
            Table("Detectors that see test data, not ranked", header, apart, seen, folded=True)
        )
    return tables


def p_header() -> list[str]:
    """Heads of the columns of :func:`p_cells`."""
    return [f"p, {words(model)}" for model in NULLS]


def p_cells(rows: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
    """p-value against each null model, from rows of the table ``chance`` by null model."""
    return [
        RowCells(rows[model], "chance")("p", probability) if model in rows else NOTHING
        for model in NULLS
    ]


def knows(p: Mapping[str, float], level: float) -> Cell:
    """What an alarm knows, under a header that begins the clause."""
    return Cell(knowledge(p, level).removeprefix("it knows "))
