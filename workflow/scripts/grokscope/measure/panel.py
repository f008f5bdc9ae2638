"""Panel: all that is measured of the runs of a panel, in one pass over their traces.

Input: the traces of a panel and the analysis settings. Output: the tables ``runs``,
``transitions``, ``alarms``, ``rank`` and ``phases``, the scores of all detectors, and what trained
the runs. The workflow writes it, the validation makes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grokscope.data.tables import from_rows
from grokscope.data.trace import Trace, TraceInfo
from grokscope.measure.alarms import alarm_rows
from grokscope.measure.detectors.scores import run_signals, score_rows
from grokscope.measure.lacking import untestable
from grokscope.measure.onsets import onsets
from grokscope.measure.phases import phase, phase_rows
from grokscope.measure.rank import RankRun, rank_rows, rank_run
from grokscope.measure.summary import summary, training_environment
from grokscope.measure.transitions import transitions
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunKey

PANEL_TABLES = ("runs", "transitions", "alarms", "rank", "phases")


@dataclass(frozen=True)
class PanelMeasurements:
    """What the traces of a panel say.

    Attributes
    ----------
    tables
        The tables ``PANEL_TABLES`` by name, as their schemas have them.
    scores
        Rows of :func:`grokscope.measure.detectors.scores.score_rows`, for ``write_scores``.
    environment
        What trained the runs, see :func:`grokscope.measure.summary.training_environment`.
    """

    tables: dict[str, pd.DataFrame]
    scores: list[dict[str, Any]]
    environment: dict[str, Any]


def measure_panel(traces: Iterable[Trace], analysis: Analysis) -> PanelMeasurements:
    """Measure the runs of a panel; one trace is in memory at a time.

    Parameters
    ----------
    traces
        Runs of one panel (study, task, depth), in the order that the tables shall have. None at
        all give empty tables.
    analysis
        Sections ``onset``, ``transitions``, ``alarms``, ``detectors``, ``causes``, ``rank`` and
        ``phases``.

    Raises
    ------
    ValueError
        If the runs are not of one panel: their onsets would be matched across panels.
    """
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "transitions": [], "alarms": []}
    scores: list[dict[str, Any]] = []
    labelled: dict[RunKey, dict[str, Any]] = {}
    ranks: list[RankRun] = []
    infos: list[TraceInfo] = []
    for trace in traces:
        key = trace.key.row()
        found = onsets(trace, analysis.onset)
        signals = run_signals(trace, analysis)
        rows["runs"].append(key | summary(trace) | untestable(trace, found))
        rows["transitions"].append(key | transitions(trace, analysis.transitions, found))
        rows["alarms"] += alarm_rows(trace, signals, found["train_onset_step"], analysis)
        scores += score_rows(trace, signals, analysis.detectors)
        labelled[trace.key] = phase(
            trace, analysis.phases, lost=found["test_lost_step"] is not None
        )
        ranks.append(rank_run(trace, found["test_onset_step"]))
        infos.append(trace.info)
    panels = {run.key.panel for run in ranks}
    if len(panels) > 1:
        raise ValueError(f"runs of one panel are needed, not of {sorted(panels)}")
    rows["phases"] = phase_rows(labelled)
    rows["rank"] = list(rank_rows(ranks, analysis.rank))
    keys = list(rows["runs"][0]) if rows["runs"] else []
    return PanelMeasurements(
        tables={name: from_rows(rows[name], name, keys) for name in PANEL_TABLES},
        scores=scores,
        environment=training_environment(infos),
    )
