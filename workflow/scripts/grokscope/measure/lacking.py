"""Lacking: what cannot be measured of an imported run, and why.

Input: what is logged of a run, and how often. Output: reasons in words. Of our own trainings
everything is there; of anyone's log a detector gets what it needs or is not testable. It never
gets what stands for something else: a norm of every 50th step has no second difference of 20
steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from grokscope.data.tables import run_keys
from grokscope.data.trace import Trace
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.runs.imported import ImportedSpec

WORDS = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_metric": "training metric",
    "test_metric": "test metric",
    "grad_norm": "gradient norm",
    "weight_norm": "norm of all weights",
    "rank": "rank of the weights",
}
# What is measured besides detectors: the columns, and whether at every step.
MEASURES: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "events": (("train_metric", "test_metric"), False),
    "phases": (("train_metric", "test_metric"), False),
    "gradient_peak": (("grad_norm",), True),
    "ranks": (("rank",), False),
}


def lacks(spec: ImportedSpec, needs: Iterable[str], every_step: bool) -> str | None:
    """Why something that needs these columns cannot be had of a run; None if it can."""
    for name in needs:
        column = spec.column(name)
        words = WORDS.get(name, name)
        if column is None:
            return f"no {words} in these logs"
        if every_step and column.every is None:
            return f"{words} at steps of different distances in these logs, not at every step"
        if every_step and column.every != 1:
            return f"{words} at every {column.every:,}th step in these logs, not at every one"
        if every_step and column.mean_over not in ("row", 1):
            return f"{words} as a mean over steps in these logs, not of every step"
    return None


def lacking(trace: Trace, name: str) -> str | None:
    """Why a detector, or one of ``MEASURES``, cannot be had of a run; None if it can."""
    if not isinstance(trace.spec, ImportedSpec):
        return None
    if name in MEASURES:
        return lacks(trace.spec, *MEASURES[name])
    detector = DETECTORS[name]
    if detector.needs is None:
        return "it is not registered with the columns that it needs (needs=...)"
    return lacks(trace.spec, detector.needs, detector.every_step)


def all_lacking(trace: Trace) -> dict[str, str]:
    """Reasons of all detectors and measures that cannot be had of a run, by their names."""
    found = {name: lacking(trace, name) for name in (*MEASURES, *DETECTORS)}
    return {name: reason for name, reason in found.items() if reason is not None}


def untestable(trace: Trace, onsets: Mapping[str, object]) -> dict[str, str | None]:
    """Column ``not_testable`` of the table ``runs``; nothing of our own trainings.

    Parameters
    ----------
    onsets
        Of :func:`grokscope.measure.onsets.onsets`.
    """
    if not trace.imported:
        return {}
    reasons = all_lacking(trace)
    missed = [n for n in ("train", "test") if onsets[f"{n}_onset_censored"] is None]
    if missed and "events" not in reasons:
        words = WORDS[f"{missed[0]}_metric"]
        reasons["events"] = f"the {words} is at its threshold already where these logs begin"
    return {"not_testable": reasons_text(reasons)}


def reasons_text(reasons: Mapping[str, str]) -> str | None:
    """Reasons as the column ``not_testable`` has them; None without any."""
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or None


def parse_reasons(text: object) -> dict[str, str]:
    """The reasons of :func:`reasons_text`; none of anything but a text."""
    if not isinstance(text, str) or not text:
        return {}
    return dict(part.split(": ", 1) for part in text.split("; "))


def lacking_in(runs: pd.DataFrame, *names: str) -> list[str | None]:
    """For each row of the table ``runs``, why one of some measures cannot be had; None if all can.

    Parameters
    ----------
    names
        Of detectors and ``MEASURES``; the first one's reason counts.
    """
    if "not_testable" not in runs:
        return [None] * len(runs)
    found = []
    for text in runs["not_testable"]:
        reasons = parse_reasons(text)
        found.append(next((reasons[name] for name in names if name in reasons), None))
    return found


def study_lacks(runs: pd.DataFrame, *names: str) -> str | None:
    """Why some measures cannot be had of any run of a study; None if they can be of one."""
    reasons = lacking_in(runs, *names)
    if not reasons or None in reasons:
        return None
    return "not testable: " + "; ".join(dict.fromkeys(filter(None, reasons)))


def testable(table: pd.DataFrame, runs: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of a table of runs, without the runs that some measures cannot be had of."""
    reasons = lacking_in(runs, *names)
    out = {key for key, why in zip(run_keys(runs), reasons, strict=True) if why is not None}
    if not out:
        return table
    return table[[key not in out for key in run_keys(table)]].reset_index(drop=True)
