"""Phases: the four labels of the kind ``phase_diagram``, ``collapsed`` and ``diverged``.

Input: traces and the settings ``analysis.phases``. Output: columns of the table ``phases``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from grokscope.data.trace import Trace
from grokscope.measure.onsets import evaluated, is_unknown, reached
from grokscope.runs.settings import PhaseSettings
from grokscope.runs.spec import RunKey

# In this order a tied vote is decided.
PHASES = ("confusion", "memorisation", "grokking", "comprehension", "collapsed", "diverged")
# Of an imported run without train or test metric; no phase, and none of the order above.
UNKNOWN = "unknown"
# Those of runs that end with both metrics at or above the threshold.
GENERALISING = ("grokking", "comprehension")


def label(
    diverged: bool,
    train_holds: bool,
    test_holds: bool,
    gap: int | None,
    largest_gap: int,
    lost: bool,
) -> str:
    """Phase of a run; every run has one.

    Parameters
    ----------
    diverged
        Whether the run met a non-finite value.
    train_holds, test_holds
        Whether the metric is at or above the threshold at the last evaluation.
    gap
        First evaluation with the test metric at or above the threshold minus that of the train
        metric (steps); None if one was never reached.
    largest_gap
        Largest gap of comprehension (steps).
    lost
        Whether the run generalised and lost it (:func:`grokscope.measure.onsets.lost_onset`); if
        its test metric is back at the end, it has the label of a run that never lost it.

    Raises
    ------
    ValueError
        If both metrics end above the threshold and the gap is None: no label fits that.
    """
    if diverged:
        return "diverged"
    if lost and not test_holds:
        return "collapsed"
    if not train_holds:
        return "confusion"
    if not test_holds:
        return "memorisation"
    if gap is None:
        raise ValueError("both metrics end at or above the threshold, but the gap is None")
    return "grokking" if gap > largest_gap else "comprehension"


def phase(trace: Trace, settings: PhaseSettings, lost: bool) -> dict[str, Any]:
    """Phase and gap of one run.

    As published, the initial state is no evaluation: only rows with step > 0 count.

    Parameters
    ----------
    lost
        Whether the run lost its onset of generalisation.

    Returns
    -------
    dict
        ``phase``, ``train_reached_step``, ``test_reached_step``, ``gap``, ``gap_censored``.
    """
    if any(is_unknown(trace, metric, None) for metric in ("train", "test")):
        nothing = dict.fromkeys(("train_reached_step", "test_reached_step", "gap"))
        return {"phase": UNKNOWN, **nothing, "gap_censored": None}
    first: dict[str, int | None] = {}
    holds: dict[str, bool] = {}
    for metric in ("train", "test"):
        steps, values = evaluated(trace, metric)
        above = reached(values, settings.threshold) & (steps > 0)
        first[metric] = int(steps[above.argmax()]) if above.any() else None
        holds[metric] = bool(len(above) and above[-1])
    train, test = first["train"], first["test"]
    gap = None if train is None or test is None else test - train
    diverged = trace.info.stopped == "diverged"
    return {
        "phase": label(diverged, holds["train"], holds["test"], gap, settings.gap, lost),
        "train_reached_step": train,
        "test_reached_step": test,
        "gap": gap,
        "gap_censored": test is None,
    }


def votes(labels: Mapping[RunKey, str]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Most frequent phase of each cell (the runs that differ in the seed alone).

    Returns
    -------
    dict
        For each cell ``vote``, ``agreement`` (share of the seeds with that phase) and
        ``cell_seeds``.
    """
    cells: dict[tuple[str, ...], Counter[str]] = {}
    for key, name in labels.items():
        cells.setdefault(key.cell, Counter())[name] += 1
    result = {}
    for cell, counts in cells.items():
        vote = max((*PHASES, UNKNOWN), key=counts.__getitem__)  # max takes the first of a tie
        seeds = counts.total()
        result[cell] = {"vote": vote, "agreement": counts[vote] / seeds, "cell_seeds": seeds}
    return result


def phase_rows(labelled: Mapping[RunKey, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table ``phases``: one per run.

    Parameters
    ----------
    labelled
        Columns of :func:`phase` by run.
    """
    cells = votes({key: columns["phase"] for key, columns in labelled.items()})
    return [key.row() | columns | cells[key.cell] for key, columns in labelled.items()]
