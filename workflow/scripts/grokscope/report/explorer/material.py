"""Material of the explorer: all studies as one header and packed arrays.

Input: traces, the result tables and the settings. Output: the packed text that the page holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

# Judge is imported for the claims that it registers.
from grokscope.claims import judge  # noqa: F401
from grokscope.claims.evidence import Evidence
from grokscope.claims.measures import MEASURES
from grokscope.claims.published import ClaimSet
from grokscope.claims.registry import CLAIMS
from grokscope.claims.rows import records
from grokscope.core.formatting import detector_words
from grokscope.data.layout import axis_words, varying
from grokscope.data.tables import run_keys
from grokscope.data.trace import Trace
from grokscope.evaluate import study as evaluated
from grokscope.evaluate.matching import floats
from grokscope.measure.detectors.registry import COMBINED, DETECTORS
from grokscope.measure.detectors.scores import block_maxima, first_score, run_signals
from grokscope.measure.phases import PHASES
from grokscope.report.explorer.alarms import (
    evaluation_header,
    needed_thresholds,
    pack_cohort,
    pack_settings,
    stated_alarms,
)
from grokscope.report.explorer.curves import RunCurves, pack_curves, run_curves
from grokscope.report.explorer.levels import pack_blocks, pack_steps
from grokscope.report.explorer.packing import Packer, values_of
from grokscope.report.explorer.runs import run_columns, run_labels
from grokscope.report.studies import Study
from grokscope.report.tables.parts import of_study, row_ids
from grokscope.report.verdicts import BADGES
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import key_columns

TABLES = ("runs", "transitions", "alarms", "rank", "phases", "evaluation", "chance", "claims")
"""The result tables that the explorer is made of."""

# Around an alarm and around an onset each step counts, so many steps to both sides.
NEAR_ALARM, NEAR_ONSET = 5, 12
# The steps of a run that are marked: columns of ``transitions``.
MARKS = {
    "train_onset_step": "memorised (train onset)",
    "test_onset_step": "generalised (test onset)",
    "test_lost_step": "generalisation lost",
    "grad_peak_step": "gradient-norm peak",
    "metric_transition_step": "steepest rise of the test metric",
}

ONSETS = ("train_onset_step", "test_onset_step")

Signals = dict[tuple[str, str], dict[int, Any]]


def pack_explorer(
    traces: Iterable[Trace],
    tables: Mapping[str, pd.DataFrame],
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    analysis: Analysis,
) -> str:
    """Everything that the page shows, packed.

    Parameters
    ----------
    traces
        All runs, in any order but with those of a study together; one is in memory at a time.
    tables
        Those of :data:`TABLES`, each of all studies.
    studies
        In the order of the page.
    published
        Claim sets by name.
    """
    packer = Packer()
    made: dict[str, dict[str, Any]] = {}
    for name, runs in _by_study(traces):
        mine = {table: of_study(frame, name) for table, frame in tables.items()}
        made[name] = _pack_study(packer, f"study{len(made)}", runs, mine, analysis)
    header = []
    for study in studies:
        if study.name not in made:
            continue
        mine = {table: of_study(frame, study.name) for table, frame in tables.items()}
        claims = None if study.claims is None else published[study.claims]
        header.append(
            {"name": study.name, "title": study.title, "kind": study.kind}
            | made[study.name]
            | {"claims": claim_entries(mine, claims, analysis)}
        )
    return packer.text(
        {
            "studies": header,
            "phases": list(PHASES),
            "marks": MARKS,
            "badges": {str(name): list(badge) for name, badge in BADGES.items()},
        }
    )


def _by_study(traces: Iterable[Trace]) -> Iterable[tuple[str, Iterable[Trace]]]:
    """Runs of each study; each must be used up before the next."""
    return groupby(traces, key=lambda trace: trace.key.study)


def _pack_study(
    packer: Packer,
    place: str,
    traces: Iterable[Trace],
    tables: Mapping[str, pd.DataFrame],
    analysis: Analysis,
) -> dict[str, Any]:
    study = evaluated.Study.from_transitions(tables["transitions"], analysis)
    rows = {key: row for row, key in enumerate(run_keys(study.runs))}
    key = key_columns(study.runs.columns)
    alarms = study.alarms(tables["alarms"])
    stated = stated_alarms(alarms)
    onset_steps = np.stack([floats(study.runs[name]) for name in ONSETS], axis=1)
    curves: dict[int, RunCurves] = {}
    blocks: Signals = {}
    steps: Signals = {}
    warm_up: Signals = {}
    left_out = 0
    for trace in traces:
        of = trace.key.row()
        # Tables of several studies have the settings that any of them varies.
        row = rows.get(tuple(of.get(name) for name in key))
        if row is None:
            # Of a log that begins too late to tell its onsets, see evaluate.study.
            left_out += 1
            continue
        near = [at for detector in stated.values() for at in detector.get(row, ())]
        onsets = [int(at) for at in onset_steps[row] if np.isfinite(at)]
        curves[row] = run_curves(trace.frame, {NEAR_ALARM: near, NEAR_ONSET: onsets})
        for detector, layers in run_signals(trace, analysis).items():
            for layer, values in layers.items():
                signal = (detector, layer)
                maxima = block_maxima(values, analysis.detectors.resolution)
                blocks.setdefault(signal, {})[row] = maxima.astype(np.float64)
                warm_up.setdefault(signal, {})[row] = first_score(values)
                if DETECTORS[detector].threshold is not None:
                    steps.setdefault(signal, {})[row] = values
    scored = {detector: blocks.get((detector, COMBINED), {}).keys() for detector in stated}
    columns = run_columns(study, tables, stated, scored)
    varied = varying(study.runs)
    return {
        "left_out": left_out,
        "runs": [name.partition(",")[2] for name in row_ids(study.runs, "transitions")],
        "labels": run_labels(columns, [name for name in key if name in varied]),
        "columns": columns,
        "varied": varied,
        "words": {name: axis_words(name) for name in key},
        "curves": pack_curves(packer, f"{place}/curves", [curves[row] for row in sorted(curves)]),
        "signals": _pack_signals(packer, place, tables["evaluation"], blocks, steps, warm_up),
        "cohort": pack_cohort(packer, f"{place}/cohort", study),
        "evaluation": evaluation_header(study),
        "settings": pack_settings(
            packer, f"{place}/settings", tables["evaluation"], tables["chance"]
        ),
        "alarms": _alarms(study, tables["alarms"]),
    }


def _pack_signals(
    packer: Packer,
    place: str,
    evaluation: pd.DataFrame,
    blocks: Signals,
    steps: Signals,
    warm_up: Signals,
) -> list[dict[str, Any]]:
    """The scores of all detectors and layers."""
    found = []
    for number, (signal, scores) in enumerate(blocks.items()):
        detector, layer = signal
        entry = DETECTORS[detector]
        name = f"{place}/signal{number}"
        stated = needed_thresholds(evaluation, *signal, "published")
        chosen = needed_thresholds(evaluation, *signal, "development")
        scored = dict(sorted(scores.items()))
        made = {
            "detector": detector,
            "title": detector_words(detector),
            "layer": layer,
            "about": entry.description,
            "uses_test_data": entry.uses_test_data,
            "latched": entry.latched,
            "stated": stated[0] if stated else None,
            "warm_up": [warm_up[signal][row] for row in scored],
            "blocks": pack_blocks(packer, f"{name}/blocks", scored, chosen),
        }
        if signal in steps:
            by_step = dict(sorted(steps[signal].items()))
            made["steps"] = pack_steps(packer, f"{name}/steps", by_step, stated, entry.latched)
        found.append(made)
    return found


def _alarms(study: evaluated.Study, alarms: pd.DataFrame) -> dict[str, list[Any]]:
    """The table ``alarms`` as columns, its runs by index."""
    rows = {key: row for row, key in enumerate(run_keys(study.runs))}
    names = ["detector", "layer", "step", "score", "peak", "cause"]
    columns = {name: values_of(alarms[name]) for name in names}
    # Seven digits, as traces have.
    for name in ("score", "peak"):
        columns[name] = [float(f"{value:.7g}") for value in columns[name]]
    return {"run": [rows[key] for key in run_keys(alarms)]} | columns


def claim_entries(
    tables: Mapping[str, pd.DataFrame], claims: ClaimSet | None, analysis: Analysis
) -> list[dict[str, Any]]:
    """The claims that judge a study, each with the runs that it rests on.

    Parameters
    ----------
    tables
        Of the study.
    claims
        The claim set that judges it, if any.
    """
    if claims is None:
        return []
    evidence = Evidence(
        runs=tables["runs"],
        transitions=tables["transitions"],
        alarms=tables["alarms"],
        rank=tables["rank"],
        phases=tables["phases"],
        samples=None,
        analysis=analysis,
    )
    rows = evidence.of("transitions").sort_values(
        key_columns(tables["transitions"].columns), ignore_index=True
    )
    found = []
    for row in records(tables["claims"]):
        registered = CLAIMS[str(row["claim"])]
        measure = MEASURES.get(registered.measure or "")
        found.append(
            {name: row[name] for name in ("claim", "statement", "published", "quantity")}
            | {name: row[name] for name in ("verdict", "reason")}
            | {
                "runs": np.flatnonzero(registered.scale.chosen(rows)).tolist(),
                # Its number is made of alarms on the seeds that nothing is chosen on.
                "of_alarms": bool(measure is not None and measure.held_out),
            }
        )
    return found
