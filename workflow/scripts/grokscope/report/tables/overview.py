"""Report tables over all studies: what was measured in each, and which processors trained it.

Input: the result tables of all studies. Output: tables with one column per study, as there are
more things to count than studies, and one row per processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from grokscope.claims.rows import groups
from grokscope.measure.onsets import is_event
from grokscope.measure.phases import PHASES
from grokscope.report.tables.parts import Cell, Table, computed, of_study


def overview_table(results: Mapping[str, pd.DataFrame], studies: Sequence[str], gap: int) -> Table:
    """Runs, onsets, events and phases.

    Parameters
    ----------
    results
        ``runs``, ``transitions`` and ``phases`` of all studies.
    studies
        Names in the order of the columns; more than names would not fit a phone.
    gap
        Largest number of steps from memorisation to a generalisation that is no event.
    """
    counts = [
        _counts({name: of_study(table, study) for name, table in results.items()}, gap)
        for study in studies
    ]
    rows = [
        [Cell(name), *(computed(count) for count in of)]
        for name, *of in zip(counts[0], *(each.values() for each in counts), strict=True)
    ]
    note = (
        "Memorised, generalised: runs whose train and test metric stay above their thresholds; "
        f"an event is a generalisation more than {gap:,} steps after memorisation. Confusion to "
        "diverged are the phases; they look at the end of a run and have a threshold of their own "
        "(see Methods)."
    )
    return Table("What was measured", ["number of", *studies], rows, note)


def _counts(results: Mapping[str, pd.DataFrame], gap: int) -> dict[str, int]:
    runs, transitions = results["runs"], results["transitions"]
    counts = {
        "runs": len(runs),
        "seeds": runs["seed"].nunique(),
        "memorised": (~transitions["train_onset_censored"]).sum(),
        "generalised": (~transitions["test_onset_censored"]).sum(),
        "events": is_event(transitions, gap).sum(),
    }
    return counts | {name: (results["phases"]["phase"] == name).sum() for name in PHASES}


def processor_table(runs: pd.DataFrame, titles: Mapping[str, str]) -> Table:
    """How many runs of each study each kind of processor trained."""
    rows = [
        [Cell(title), Cell(processor), computed(len(group))]
        for study, title in titles.items()
        for (processor,), group in groups(
            runs[(runs["study"] == study) & runs["processor"].notna()], ["processor"]
        )
    ]
    note = (
        "The same run can differ between kinds of processors: rounding grows with the steps, and "
        "onsets move by up to some hundred of them."
    )
    return Table("Processors", ["study", "trained on", "runs"], rows, note)
