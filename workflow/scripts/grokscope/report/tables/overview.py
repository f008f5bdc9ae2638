"""Report table of what was measured: runs, onsets, events and phases of every study.

Input: the result tables of all studies. Output: one table with one row per study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from grokscope.measure.onsets import is_event
from grokscope.measure.phases import PHASES
from grokscope.report.tables.parts import Cell, Table, computed, of_study


def overview_table(
    results: Mapping[str, pd.DataFrame], titles: Mapping[str, str], gap: int
) -> Table:
    """One row per study.

    Parameters
    ----------
    results
        ``runs``, ``transitions`` and ``phases`` of all studies.
    titles
        What is printed for each study, by name, in the order of the rows.
    gap
        Largest number of steps from memorisation to a generalisation that is no event.
    """
    rows = [
        [
            Cell(title),
            *_counts({name: of_study(table, study) for name, table in results.items()}, gap),
        ]
        for study, title in titles.items()
    ]
    header = ["study", "runs", "seeds", "memorised", "generalised", "events", *PHASES]
    note = (
        "Memorised, generalised: runs whose train and test metric stay above their thresholds; "
        f"an event is a generalisation more than {gap:,} steps after memorisation. The phases "
        "look at the end of a run and have a threshold of their own (see Methods)."
    )
    return Table("What was measured", header, rows, note)


def _counts(results: Mapping[str, pd.DataFrame], gap: int) -> Iterable[Cell]:
    runs, transitions = results["runs"], results["transitions"]
    yield computed(len(runs))
    yield computed(runs["seed"].nunique())
    yield computed((~transitions["train_onset_censored"]).sum())
    yield computed((~transitions["test_onset_censored"]).sum())
    yield computed(is_event(transitions, gap).sum())
    for phase in PHASES:
        yield computed((results["phases"]["phase"] == phase).sum())
