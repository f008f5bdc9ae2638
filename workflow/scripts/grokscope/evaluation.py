"""Alarms against onsets: which alarms come at the right time, and how many would by chance.

Input: the tables ``alarms`` and ``transitions``. Output: the table ``evaluation``, and the
counts of each run that it and the claims are made of.

Words. An *event* is a delayed onset of generalisation: the test onset comes more than ``gap``
steps after the train onset. An alarm at step a is a *hit* if its run has an event and
``lo <= onset - a <= hi``. An alarm that is no hit is *censored* if its window reaches beyond
the run's last step (``a + hi > last_step``): what would have followed is unknown. All other
alarms are *judged*; those that are no hits are false, in runs without event as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokscope.runs import KEY_COLUMNS
from grokscope.tables import conform

KEY = list(KEY_COLUMNS)
PANEL = ["study", "task", "depth"]
COMBINED = "combined"
# The detector whose rows the table has even where it never fired.
GAI = "gai"


def is_event(transitions: pd.DataFrame, gap: int) -> npt.NDArray[np.bool_]:
    """Whether each run has a delayed onset: reached, and more than `gap` after train onset.

    Shape ``(n_runs,)``. A run that never memorised, or not yet, has no event.
    """
    delay = _float(transitions["test_onset_step"]) - _float(transitions["train_onset_step"])
    return delay > gap


def risk_steps(
    transitions: pd.DataFrame, lead_window: Sequence[int], gap: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Steps of each run at which an alarm would hit, and at which it would be judged.

    Returns
    -------
    hit_steps, judged_steps
        Counts of the steps ``0 .. last_step``, each of shape ``(n_runs,)``. Judged are the
        steps whose window ends within the run, and the hit steps.
    """
    lo, hi = lead_window
    onset, last = _float(transitions["test_onset_step"]), _float(transitions["last_step"])
    first_hit, last_hit = np.maximum(onset - hi, 0), onset - lo
    event = is_event(transitions, gap)
    hits = np.where(event, np.maximum(last_hit - first_hit + 1, 0), 0)
    judged = np.nan_to_num(np.maximum(last - hi + 1, 0))
    # Hit steps so late that their window ends after the run.
    late = np.maximum(last_hit - np.maximum(first_hit, last - hi + 1) + 1, 0)
    judged = judged + np.where(event, late, 0)
    return hits.astype(np.int64), judged.astype(np.int64)


def run_counts(
    alarms: pd.DataFrame,
    transitions: pd.DataFrame,
    *,
    lead_window: Sequence[int],
    gap: int,
) -> pd.DataFrame:
    """Count the alarms of each run, detector and layer by what came of them.

    Parameters
    ----------
    alarms, transitions
        The tables of these names, of any number of panels.
    lead_window
        ``(lo, hi)``: steps from an alarm to the onset that make it a hit, both included.
    gap
        Steps from train to test onset above which the onset is an event.

    Returns
    -------
    DataFrame
        A row a (run, detector, layer), runs without alarms included: key columns,
        ``detector``, ``layer``, ``event``, ``onset``, ``n_alarms``, ``n_judged``, ``n_hits``,
        ``detected`` (the event has an alarm in its window), ``first_lead``, ``last_lead``
        (steps from the first and last alarm before the event to its onset; NaN without one)
        and ``chance``: the share of the run's judged steps that are hit steps.

    Raises
    ------
    ValueError
        If the window is empty, or if an alarm belongs to no run of `transitions`.
    """
    lo, hi = lead_window
    if not 0 <= lo <= hi:
        raise ValueError(f"lead_window is {list(lead_window)}; it must be 0 <= first <= second")
    runs = transitions[KEY].copy()
    runs["event"] = is_event(transitions, gap)
    runs["onset"] = _float(transitions["test_onset_step"])
    runs["last"] = _float(transitions["last_step"])
    hits, judged = risk_steps(transitions, lead_window, gap)
    runs["chance"] = np.divide(hits, judged, out=np.full(len(runs), np.nan), where=judged > 0)

    fired = alarms[[*KEY, "detector", "layer", "step"]].merge(
        runs, on=KEY, how="left", validate="many_to_one", indicator=True
    )
    stray = fired.loc[fired["_merge"] != "both", KEY]
    if len(stray):
        raise ValueError(f"alarms of a run without transitions: {stray.iloc[0].to_dict()}")
    step = _float(fired["step"])
    event = fired["event"].to_numpy(bool)
    lead = np.where(event, fired["onset"].to_numpy(float) - step, np.nan)
    hit = (lead >= lo) & (lead <= hi)
    fired["n_alarms"] = 1
    fired["n_hits"] = hit.astype(int)
    fired["n_judged"] = (hit | (step + hi <= fired["last"].to_numpy(float))).astype(int)
    fired["first_lead"] = np.where(lead > 0, lead, np.nan)
    fired["last_lead"] = fired["first_lead"]
    sums = fired.groupby([*KEY, "detector", "layer"], sort=False).agg(
        {
            "n_alarms": "sum",
            "n_judged": "sum",
            "n_hits": "sum",
            "first_lead": "max",
            "last_lead": "min",
        }
    )
    cells = pd.DataFrame(_cells(alarms, transitions), columns=[*PANEL, "detector", "layer"])
    counts = (
        runs.drop(columns="last")
        .merge(cells, on=PANEL)
        .merge(sums.reset_index(), on=[*KEY, "detector", "layer"], how="left")
    )
    for name in ("n_alarms", "n_judged", "n_hits"):
        counts[name] = counts[name].fillna(0).astype(int)
    counts["detected"] = counts["n_hits"] > 0
    return counts


def chance_precision(chance: npt.NDArray[np.float64], n_judged: npt.NDArray[np.int64]) -> float:
    """Precision that the same number of alarms a run would have at random judged steps.

    Mean of the runs' shares of hit steps, weighted by their judged alarms; the expectation of
    the pooled precision if each judged alarm fell on a judged step of its own run with equal
    probability. NaN without judged alarms. Both arrays have shape ``(n_runs,)``.
    """
    at_risk = n_judged > 0
    if not at_risk.any():
        return float("nan")
    return float(np.average(chance[at_risk], weights=n_judged[at_risk]))


def precision(n_hits: npt.NDArray[np.int64], n_judged: npt.NDArray[np.int64]) -> float:
    """Hits over judged alarms, pooled over runs; NaN without judged alarms."""
    judged = n_judged.sum()
    return float(n_hits.sum() / judged) if judged else float("nan")


def recall(detected: npt.NDArray[np.bool_], event: npt.NDArray[np.bool_]) -> float:
    """Share of events with an alarm in their window; NaN without events."""
    events = event.sum()
    return float((detected & event).sum() / events) if events else float("nan")


def evaluation_table(
    alarms: pd.DataFrame,
    transitions: pd.DataFrame,
    *,
    lead_window: Sequence[int],
    gap: int,
) -> pd.DataFrame:
    """Table ``evaluation``: a row a (study, task, depth, detector, layer).

    Parameters and errors as in :func:`run_counts`. A panel has a row for the combined norm
    and each layer, also where no alarm fired.
    """
    counts = run_counts(alarms, transitions, lead_window=lead_window, gap=gap)
    rows = []
    for names, group in counts.groupby([*PANEL, "detector", "layer"], sort=False):
        event, detected = group["event"].to_numpy(bool), group["detected"].to_numpy(bool)
        hits, judged = group["n_hits"].to_numpy(), group["n_judged"].to_numpy()
        rows.append(
            dict(zip([*PANEL, "detector", "layer"], names, strict=True))
            | {
                "n_runs": len(group),
                "n_events": int(event.sum()),
                "n_alarms": int(group["n_alarms"].sum()),
                "n_judged": int(judged.sum()),
                "n_hits": int(hits.sum()),
                "n_detected": int((detected & event).sum()),
                "precision": precision(hits, judged),
                "chance_precision": chance_precision(group["chance"].to_numpy(float), judged),
                "recall": recall(detected, event),
                "median_first_lead": group["first_lead"].median(),
                "median_last_lead": group["last_lead"].median(),
            }
        )
    columns = [*PANEL, "detector", "layer", "n_runs", "n_events", "n_alarms", "n_judged"]
    columns += ["n_hits", "n_detected", "precision", "chance_precision", "recall"]
    columns += ["median_first_lead", "median_last_lead"]
    return conform(pd.DataFrame(rows, columns=columns), "evaluation")


def _cells(alarms: pd.DataFrame, transitions: pd.DataFrame) -> list[tuple[object, ...]]:
    """(panel, detector, layer) of the table: what fired, and the GAI of every layer."""
    cells: list[tuple[object, ...]] = []
    seen = alarms[[*PANEL, "detector", "layer"]].drop_duplicates()
    for panel, runs in transitions.groupby(PANEL, sort=False):
        here = seen[(seen[PANEL] == list(panel)).all(axis=1)]
        pairs = set(zip(here["detector"], here["layer"], strict=True))
        pairs |= {(GAI, COMBINED)}
        pairs |= {(GAI, str(layer)) for layer in range(1, int(runs["depth"].iloc[0]) + 1)}
        ordered = sorted(pairs, key=lambda pair: (pair[0], pair[1] != COMBINED, pair[1]))
        cells += [(*panel, *pair) for pair in ordered]
    return cells


def _float(column: pd.Series) -> npt.NDArray[np.float64]:
    """Floats, with NaN for null."""
    return column.to_numpy(dtype=float, na_value=np.nan)
