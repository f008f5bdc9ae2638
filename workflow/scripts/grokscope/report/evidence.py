"""Report tables of the evidence: detectors against onsets and against chance.

Input: the result tables of the study gai and the config section ``analysis``. Output: the
tables of the report's chapter ``Evidence`` and its answer in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.registry import alpha, records, select
from grokscope.claims.wording import NULLS, beaten, knowledge, null_rows, p_values
from grokscope.core.formatting import detector_words
from grokscope.evaluate.matching import floats, is_event
from grokscope.evaluate.statistics import adjust
from grokscope.measure.causes import CAUSES
from grokscope.measure.detectors import COMBINED, DETECTORS
from grokscope.report.tables import (
    ABSENT,
    Cell,
    RowCells,
    Table,
    number,
    plain,
    probability,
    steps,
)
from grokscope.runs.spec import KEY_COLUMNS

STUDY, GAI, AT_ONCE = "gai", "gai", "at_once"
KEY = list(KEY_COLUMNS)
POOLED: dict[str, Any] = {"study": STUDY, "task": None, "depth": None}
WARNINGS = ("false_alarms_per_10000", "time_in_warning")
RULES = {"run": "any alarm", "first": "first alarm", "every": "every alarm"}


@dataclass(frozen=True)
class Rank:
    """A detector and how well its scores order time: area under sensitivity against warning.

    Attributes
    ----------
    nulls
        Rows of the table ``chance`` by null model.
    uses_test_data
        Whether its signal needs held-out data: then it is not ranked.
    is_reference
        Whether it stands there for comparison only, such as the constant-time predictor.
    """

    detector: str
    area: float
    nulls: Mapping[str, Mapping[str, Any]]
    uses_test_data: bool
    is_reference: bool

    @property
    def p(self) -> dict[str, float]:
        """p-value by null model."""
        return p_values(self.nulls)

    @property
    def ranked(self) -> bool:
        """Whether it stands in the ranking."""
        return not (self.uses_test_data or self.is_reference)


def rank_detectors(chance: pd.DataFrame) -> list[Rank]:
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
        found.append(Rank(name, area, nulls, test_data, known is None))
    return sorted(found, key=lambda rank: (-rank.area, rank.detector))


def answer(ranks: Sequence[Rank], level: float) -> str:
    """Whether any detector without test data knows when a run generalises.

    A detector does that beats every null model; its p-value is the largest of theirs, adjusted
    by Holm over the detectors.
    """
    ranked = [rank for rank in ranks if rank.ranked]
    if not ranked:
        return "No held-out run has an event that scores could be compared with."
    holm, _ = adjust([max(rank.p.values()) for rank in ranked])
    complete = [set(rank.p) == set(NULLS) for rank in ranked]
    knowing = [
        detector_words(rank.detector)
        for rank, p, whole in zip(ranked, holm, complete, strict=True)
        if whole and p is not None and p < level
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
    words = f"unadjusted, it {beaten(rank.p, level)}; {knowledge(rank.p, level)}"
    return f"{start} {name} ({number(rank.area)}): {words}."


def ranking_tables(
    ranks: Sequence[Rank], evaluation: pd.DataFrame, settings: Mapping[str, Any]
) -> list[Table]:
    """Detectors by area, those that see test data apart."""
    options = settings["evaluation"]
    level = alpha(settings)
    low, high = options["minimum_lead"], options["primary_horizon"]
    header = ["#", "detector", "area", *(f"p, {model}" for model in NULLS), "what it knows"]
    header += ["precision", "recall", "false per 10,000"]

    def alarms(detector: str, source: str) -> list[Cell]:
        """Scores of the first alarm in the primary window."""
        where = {"lead_min": low, "lead_max": high, "rule": "first", "layer": COMBINED}
        where |= {"detector": detector, "threshold_source": source}
        found = records(select(evaluation, **POOLED, **where))
        columns = ("precision", "recall", "false_alarms_per_10000")
        if not found:
            return [Cell(ABSENT, numeric=True) for _ in columns]
        cell = RowCells(found[0], "evaluation")
        return [cell(name, number) for name in columns]

    def row(rank: Rank, place: str) -> list[Cell]:
        nulls = {name: RowCells(of, "chance") for name, of in rank.nulls.items()}
        return [
            Cell(place, numeric=True),
            Cell(detector_words(rank.detector)),
            next(iter(nulls.values()))("observed", number),
            *(
                nulls[name]("p", probability) if name in nulls else Cell(ABSENT, numeric=True)
                for name in NULLS
            ),
            _knows(rank.p, level),
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
    # Alarm at once has no score, and so no area.
    nothing = [Cell(ABSENT, numeric=True)] * (1 + len(NULLS))
    start = [Cell(ABSENT, numeric=True), Cell(detector_words(AT_ONCE)), *nothing, Cell("nothing")]
    ranking.append(start + alarms(AT_ONCE, "none"))
    models = ", ".join(f"{model} {words}" for model, words in NULLS.items())
    note = (
        "Area under sensitivity against time in warning: the chance that a score is higher before "
        f"an event than at a random time at risk; 0.5 knows nothing. p-values against {models}. "
        f"Precision, recall and false alarms are those of the first alarm, {low:,}-{high:,} steps "
        "ahead, at the level that was best on the development seeds; everything is measured on "
        "the others. A constant time and an alarm at once are no detectors: what ranks below the "
        "former knows less than a clock. Areas pool tasks and depths, nulls keep to the panel, so "
        "an area below 0.5 can still beat A and B. C needs several held-out seeds a cell, D "
        "several development seeds: with one, its surrogates are all the same number."
    )
    tables = [Table("Detectors by what they know", header, ranking, note)]
    if apart:
        seen = "These read the test metric's own signal, which the others are to foretell."
        tables.append(
            Table("Detectors that see test data, not ranked", header, apart, seen, folded=True)
        )
    return tables


def _window(row: Mapping[str, Any], published: Sequence[int]) -> Cell:
    if pd.isna(row["lead_max"]):
        return Cell("before onset")
    low, high = int(row["lead_min"]), int(row["lead_max"])
    mark = " (published)" if [low, high] == list(published) else ""
    return Cell(f"{low:,}-{high:,}{mark}")


def _by_rule(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by rule, then by window."""
    order = frame["rule"].map({name: place for place, name in enumerate(RULES)})
    ordered = frame.assign(_order=order).sort_values(["_order", "lead_max", "lead_min"])
    return records(ordered.drop(columns="_order"))


def _ranged(
    cell: RowCells, name: str, ends: tuple[str, str], form: Callable[[float], str]
) -> Cell:
    """A number with the ends of its interval, or its quartiles: "0.750 (0.700-0.800)".

    For numbers that are never negative; with "to", the tables of GAI would not fit a screen.
    """
    shown = cell(name, form)
    low, high = (cell.row[end] for end in ends)
    if pd.isna(low) or pd.isna(high):
        return shown
    span = f" ({form(float(low))}-{form(float(high))})"
    return replace(shown, text=shown.text + span)


def _scored(cell: RowCells, name: str) -> Cell:
    return _ranged(cell, name, (f"{name}_low", f"{name}_high"), number)


def _knows(p: Mapping[str, float], level: float) -> Cell:
    """What an alarm knows, under a header that begins the clause."""
    return Cell(knowledge(p, level).removeprefix("it knows "))


def rule_table(evaluation: pd.DataFrame, published: Sequence[int], source: str) -> Table:
    """GAI's alarms of the combined norm under every rule and window."""
    where = {**POOLED, "detector": GAI, "layer": COMBINED, "threshold_source": source}
    rows = []
    for row in _by_rule(select(evaluation, **where)):
        cell = RowCells(row, "evaluation")
        rows.append(
            [
                Cell(RULES[row["rule"]]),
                _window(row, published),
                *(cell(name) for name in ("n_alarms", "n_judged", "n_hits")),
                _scored(cell, "precision"),
                _scored(cell, "recall"),
                *(cell(name, number) for name in ("f1", *WARNINGS)),
                _ranged(cell, "lead_median", ("lead_q25", "lead_q75"), steps),
            ]
        )
    header = ["counted", "steps ahead", "alarms", "judged", "hits", "precision", "recall", "F1"]
    header += ["false per 10,000", "time in warning", "median lead"]
    if source == "published":
        title = "GAI above its published threshold, by rule and window"
        note = (
            "Combined norm, all tasks and depths, held-out seeds. Any alarm: a run counts once. "
            "Brackets hold intervals over seeds; those of leads, of the first alarm over all "
            "events with missed ones as 0, the quartiles (steps). False alarms are per 10,000 "
            "steps at risk."
        )
        return Table(title, header, rows, note)
    title = "GAI above the threshold that was best on development seeds"
    return Table(title, header, rows, folded=True)


def depth_table(evaluation: pd.DataFrame, chance: pd.DataFrame, settings: Any) -> Table:
    """GAI's alarms in the published window at each depth, with the p-values of precision."""
    low, high = settings["evaluation"]["lead_window"]
    level = alpha(settings)
    where = {"study": STUDY, "task": None, "detector": GAI, "layer": COMBINED}
    where |= {"threshold_source": "published", "rule": "every", "lead_min": low, "lead_max": high}
    rows = []
    for row in records(select(evaluation, **where).sort_values("depth", na_position="last")):
        depth = None if pd.isna(row["depth"]) else int(row["depth"])
        cell = RowCells(row, "evaluation")
        nulls = null_rows(chance, **where, depth=depth, score="precision")
        of_null = {name: RowCells(of, "chance") for name, of in nulls.items()}
        rows.append(
            [
                Cell("all" if depth is None else plain(depth), numeric=True),
                *(cell(name) for name in ("n_runs", "n_events", "n_judged", "n_hits")),
                _scored(cell, "precision"),
                *(
                    of_null[model]("p", probability)
                    if model in of_null
                    else Cell(ABSENT, numeric=True)
                    for model in NULLS
                ),
                _knows(p_values(nulls), level),
                _scored(cell, "recall"),
            ]
        )
    header = ["depth", "runs", "events", "judged", "hits", "precision"]
    header += [*(f"p, {model}" for model in NULLS), "what it knows", "recall"]
    note = (
        f"Every alarm whose outcome is known, one to one, {low:,}-{high:,} steps ahead (the "
        "published window)."
    )
    return Table("GAI at each depth", header, rows, note)


def null_table(chance: pd.DataFrame, published: Sequence[int]) -> Table:
    """GAI's scores beside what each null model reaches."""
    where = {**POOLED, "detector": GAI, "layer": COMBINED, "threshold_source": "published"}
    mine = select(chance, **where)
    rows = []
    for row in _by_rule(mine[mine["null_model"] == "A"].query("rule != 'curve'")):
        names = {name: row[name] for name in ("rule", "score")}
        names |= {
            name: None if pd.isna(row[name]) else row[name] for name in ("lead_min", "lead_max")
        }
        cells = [
            Cell(RULES[row["rule"]]),
            _window(row, published),
            Cell("F1" if row["score"] == "f1" else row["score"]),
        ]
        cells.append(RowCells(row, "chance")("observed", number))
        models = {of["null_model"]: of for of in records(select(mine, **names))}
        for model in NULLS:
            if model not in models:
                cells += [Cell(ABSENT, numeric=True)] * 2
                continue
            cell = RowCells(models[model], "chance")
            cells += [cell("null_mean", number), cell("p", probability)]
        rows.append(cells)
    header = ["counted", "steps ahead", "score", "GAI"]
    header += [text for model in NULLS for text in (f"{model}: mean", "p")]
    return Table("GAI against each null model", header, rows, folded=True)


def cause_table(alarms: pd.DataFrame, transitions: pd.DataFrame, settings: Any) -> Table:
    """Visible causes of GAI's alarms while at risk, by what came of them."""
    low, high = settings["evaluation"]["lead_window"]
    runs = transitions[KEY].assign(
        event=is_event(transitions, settings["phases"]["gap"]),
        onset=floats(transitions["test_onset_step"]),
        last=floats(transitions["last_step"]),
    )
    frame = alarms[(alarms["detector"] == GAI) & (alarms["layer"] == COMBINED)]
    frame = frame.merge(runs, on=KEY).sort_values([*KEY, "step"], kind="stable")
    lead = frame["onset"] - frame["step"].astype(float)
    frame = frame[~(frame["event"] & (lead <= 0))]
    lead = lead[frame.index]
    ahead = frame["event"] & lead.between(low, high)
    hit = ahead & ~frame[ahead].duplicated(KEY).reindex(frame.index, fill_value=False)
    unknown = frame["onset"].isna() & (frame["step"].astype(float) + high > frame["last"])
    false = ~hit & ~unknown
    rows = []
    for cause in CAUSES:
        of = (frame["cause"] == cause).to_numpy(bool)
        share = (of & false).sum() / false.sum() if false.any() else float("nan")
        counts = [int((of & kind).sum()) for kind in (false, hit, unknown)]
        cells = [Cell(f"{count:,}", numeric=True) for count in counts]
        cells.insert(1, Cell(ABSENT if np.isnan(share) else f"{share:.0%}", numeric=True))
        words = "nothing visible" if cause == "none" else cause.replace("_", " ")
        rows.append([Cell(words), *cells])
    causes = settings["causes"]
    note = (
        f"Alarms of the combined norm while at risk, all seeds; the first that applies within "
        f"{causes['window']:,} steps, seen with hindsight. Memorisation: the train onset. Loss "
        f"spike: the train loss above {causes['spike_factor']:g} times its smallest value before. "
        f"Softmax collapse: at least {causes['collapse_share']:.0%} of the training samples "
        f"without gradient on their class. Hits are {low:,}-{high:,} steps ahead; unknown are "
        "alarms whose window ends after the run."
    )
    header = ["visible cause", "false alarms", "share", "hits", "unknown"]
    return Table("What else happened at GAI's alarms", header, rows, note)


def detector_table(settings: Mapping[str, Any]) -> Table:
    """What each detector is."""
    rows = []
    for name, known in DETECTORS.items():
        level = ABSENT if known.threshold is None else plain(known.threshold(settings))
        sees = "test data" if known.uses_test_data else "training only"
        rows.append(
            [Cell(detector_words(name)), Cell(sees), Cell(level, True), Cell(known.description)]
        )
    header = ["detector", "sees", "stated threshold", "score"]
    note = "Where no threshold is stated, it is chosen on the development seeds."
    return Table("What each detector is", header, rows, note, folded=True)


def evidence_tables(
    tables: Mapping[str, pd.DataFrame], settings: Mapping[str, Any]
) -> tuple[str, list[Table]]:
    """The chapter's answer and its tables.

    Parameters
    ----------
    tables
        ``transitions``, ``alarms``, ``evaluation`` and ``chance``.
    settings
        Config section ``analysis``.
    """
    mine = {
        name: tables[name][tables[name]["study"] == STUDY]
        for name in ("transitions", "alarms", "evaluation", "chance")
    }
    window = settings["evaluation"]["lead_window"]
    ranks = rank_detectors(mine["chance"])
    found = [
        *ranking_tables(ranks, mine["evaluation"], settings),
        rule_table(mine["evaluation"], window, "published"),
        depth_table(mine["evaluation"], mine["chance"], settings),
        cause_table(mine["alarms"], mine["transitions"], settings),
        rule_table(mine["evaluation"], window, "development"),
        null_table(mine["chance"], window),
        detector_table(settings),
    ]
    return answer(ranks, alpha(settings)), found
