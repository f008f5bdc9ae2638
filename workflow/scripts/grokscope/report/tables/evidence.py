"""Report tables of the evidence: detectors against onsets and against chance.

Input: the result tables of one early_warning study. Output: the answer in words to the question
whether any detector knows when a run generalises, and the tables behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.rows import records, select
from grokscope.claims.wording import NULLS, null_rows, p_values
from grokscope.core.formatting import (
    ABSENT,
    detector_words,
    number,
    plain,
    probability,
    steps,
    words,
)
from grokscope.evaluate.matching import floats
from grokscope.measure.causes import CAUSES
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, GAI
from grokscope.measure.lacking import study_lacks
from grokscope.measure.onsets import is_event
from grokscope.report.tables.parts import NOTHING, Cell, RowCells, Table
from grokscope.report.tables.ranking import (
    POOLED,
    answer,
    knows,
    p_cells,
    p_header,
    rank_detectors,
    ranking_tables,
)
from grokscope.runs.settings import Analysis, EvaluationSettings
from grokscope.runs.spec import key_columns

WARNINGS = ("false_alarms_per_10000", "time_in_warning")
RULES = {"run": "any alarm", "first": "first alarm", "every": "every alarm"}


def _window(cell: RowCells, published: tuple[int, int]) -> Cell:
    if pd.isna(cell.row["lead_max"]):
        return Cell("before onset")
    window = cell.row["lead_min"], cell.row["lead_max"]
    return cell.between("lead_min", "lead_max", " (published)" if window == published else "")


def _by_rule(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by rule, then by window."""
    order = frame["rule"].map({name: place for place, name in enumerate(RULES)})
    ordered = frame.assign(_order=order).sort_values(["_order", "lead_max", "lead_min"])
    return records(ordered.drop(columns="_order"))


def _scored(cell: RowCells, name: str) -> Cell:
    return cell.ranged((name, f"{name}_low", f"{name}_high"), number)


def rule_table(evaluation: pd.DataFrame, published: tuple[int, int], source: str) -> Table:
    """GAI's alarms of the combined norm under every rule and window."""
    where = {**POOLED, "detector": GAI, "layer": COMBINED, "threshold_source": source}
    rows = []
    for row in _by_rule(select(evaluation, **where)):
        cell = RowCells(row, "evaluation")
        rows.append(
            [
                Cell(RULES[row["rule"]]),
                _window(cell, published),
                *(cell(name) for name in ("n_alarms", "n_judged", "n_hits")),
                _scored(cell, "precision"),
                _scored(cell, "recall"),
                *(cell(name, number) for name in ("f1", *WARNINGS)),
                cell.ranged(("lead_median", "lead_q25", "lead_q75"), steps),
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


def depth_table(
    evaluation: pd.DataFrame, chance: pd.DataFrame, settings: EvaluationSettings
) -> Table:
    """GAI's alarms in the published window at each depth, with the p-values of precision."""
    low, high = settings.lead_window
    where: dict[str, Any] = {"task": None, "detector": GAI, "layer": COMBINED}
    where |= {"threshold_source": "published", "rule": "every", "lead_min": low, "lead_max": high}
    rows = []
    for row in records(select(evaluation, **where).sort_values("depth", na_position="last")):
        depth = None if pd.isna(row["depth"]) else int(row["depth"])
        cell = RowCells(row, "evaluation")
        nulls = null_rows(chance, **where, depth=depth, score="precision")
        rows.append(
            [
                Cell("all", numeric=True) if depth is None else cell.setting("depth"),
                *(cell(name) for name in ("n_runs", "n_events", "n_judged", "n_hits")),
                _scored(cell, "precision"),
                *p_cells(nulls),
                knows(p_values(nulls, settings.alpha), settings.alpha),
                _scored(cell, "recall"),
            ]
        )
    header = ["depth", "runs", "events", "judged", "hits", "precision"]
    header += [*p_header(), "what it knows", "recall"]
    note = (
        f"Every alarm whose outcome is known, one to one, {low:,}–{high:,} steps ahead (the "
        "published window)."
    )
    return Table("GAI at each depth", header, rows, note)


def null_table(chance: pd.DataFrame, published: tuple[int, int]) -> Table:
    """GAI's scores beside what each null model reaches."""
    where = {**POOLED, "detector": GAI, "layer": COMBINED, "threshold_source": "published"}
    mine = select(chance, **where)
    rows = []
    for row in _by_rule(mine[mine["null_model"] == "random"].query("rule != 'curve'")):
        names = {name: row[name] for name in ("rule", "score")}
        names |= {
            name: None if pd.isna(row[name]) else row[name] for name in ("lead_min", "lead_max")
        }
        cell = RowCells(row, "chance")
        cells = [
            Cell(RULES[row["rule"]]),
            _window(cell, published),
            Cell("F1" if row["score"] == "f1" else row["score"]),
            cell("observed", number),
        ]
        models = {of["null_model"]: of for of in records(select(mine, **names))}
        for model in NULLS:
            if model not in models:
                cells += [NOTHING] * 2
                continue
            cell = RowCells(models[model], "chance")
            cells += [cell("null_mean", number), cell("p", probability)]
        rows.append(cells)
    header = ["counted", "steps ahead", "score", "GAI"]
    header += [text for model in NULLS for text in (f"{words(model)}: mean", "p")]
    return Table("GAI against each null model", header, rows, folded=True)


def cause_table(alarms: pd.DataFrame, transitions: pd.DataFrame, analysis: Analysis) -> Table:
    """Visible causes of GAI's alarms while at risk, by what came of them."""
    low, high = analysis.evaluation.lead_window
    keys = key_columns(transitions.columns)
    runs = transitions[keys].assign(
        event=is_event(transitions, analysis.phases.gap),
        onset=floats(transitions["test_onset_step"]),
        last=floats(transitions["last_step"]),
    )
    frame = alarms[(alarms["detector"] == GAI) & (alarms["layer"] == COMBINED)]
    frame = frame.merge(runs, on=keys).sort_values([*keys, "step"], kind="stable")
    lead = frame["onset"] - frame["step"].astype(float)
    frame = frame[~(frame["event"] & (lead <= 0))]
    lead = lead[frame.index]
    ahead = frame["event"] & lead.between(low, high)
    hit = ahead & ~frame[ahead].duplicated(keys).reindex(frame.index, fill_value=False)
    unknown = frame["onset"].isna() & (frame["step"].astype(float) + high > frame["last"])
    false = ~hit & ~unknown
    rows = []
    for cause in CAUSES:
        of = (frame["cause"] == cause).to_numpy(bool)
        share = (of & false).sum() / false.sum() if false.any() else float("nan")
        counts = [int((of & kind).sum()) for kind in (false, hit, unknown)]
        cells = [Cell(f"{count:,}", numeric=True) for count in counts]
        cells.insert(1, Cell(ABSENT if np.isnan(share) else f"{share:.0%}", numeric=True))
        name = "nothing visible" if cause == "none" else words(cause)
        rows.append([Cell(name), *cells])
    causes = analysis.causes
    note = (
        f"Alarms of the combined norm while at risk, all seeds; the first that applies within "
        f"{causes.window:,} steps, seen with hindsight. Memorisation: the train onset. Loss "
        f"spike: the train loss above {causes.spike_factor:g} times its smallest value before. "
        f"Softmax collapse: at least {causes.collapse_share:.0%} of the training samples "
        f"without gradient on their class. Hits are {low:,}–{high:,} steps ahead; unknown are "
        "alarms whose window ends after the run."
    )
    header = ["visible cause", "false alarms", "share", "hits", "unknown"]
    return Table("What else happened at GAI's alarms", header, rows, note)


def detector_table(analysis: Analysis) -> Table:
    """What each detector is."""
    rows = []
    for name, known in DETECTORS.items():
        level = ABSENT if known.threshold is None else plain(known.threshold(analysis))
        sees = "test data" if known.uses_test_data else "training only"
        rows.append(
            [Cell(detector_words(name)), Cell(sees), Cell(level, True), Cell(known.description)]
        )
    header = ["detector", "sees", "stated threshold", "score"]
    note = "Where no threshold is stated, it is chosen on the development seeds."
    return Table("What each detector is", header, rows, note, folded=True)


def evidence(results: Mapping[str, pd.DataFrame], analysis: Analysis) -> tuple[str, list[Table]]:
    """The answer and the tables.

    Parameters
    ----------
    results
        ``runs``, ``transitions``, ``alarms``, ``evaluation`` and ``chance`` of the study.
    """
    evaluation, chance = results["evaluation"], results["chance"]
    window = analysis.evaluation.lead_window
    ranks = rank_detectors(chance, analysis.evaluation.alpha)
    causes = cause_table(results["alarms"], results["transitions"], analysis)
    found = [
        *ranking_tables(ranks, evaluation, analysis.evaluation),
        rule_table(evaluation, window, "published"),
        depth_table(evaluation, chance, analysis.evaluation),
        *([causes] if study_lacks(results["runs"], GAI) is None else []),
        rule_table(evaluation, window, "development"),
        null_table(chance, window),
        detector_table(analysis),
    ]
    return answer(ranks, analysis.evaluation.alpha), found
