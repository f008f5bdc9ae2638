"""Rank: how far the rank of each layer's weights falls around the onset of generalisation.

Input: the traces of a panel and the config sections ``analysis.rank`` and ``analysis.onset``.
Output: the table ``rank``. The ranks themselves are measured while training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.data.tables import from_rows
from grokscope.data.trace import RANK_MEASURES, Trace
from grokscope.measure.onsets import event_onset
from grokscope.runs.spec import RunKey


class RankSeries(NamedTuple):
    """A rank of a layer's weights at the steps at which it was measured."""

    steps: NDArray[np.int64]
    ranks: NDArray[np.float64]

    def median(self, start: int, stop: int) -> float | None:
        """Median over the measurements in [start, stop), None if there is none."""
        inside = self.ranks[(self.steps >= start) & (self.steps < stop)]
        return float(np.median(inside)) if len(inside) else None

    def steepest_fall(self) -> int | None:
        """Step that ends the largest fall from one measurement to the next, None if none falls."""
        changes = np.diff(self.ranks)
        if not (changes < 0).any():
            return None
        return int(self.steps[np.argmin(changes) + 1])


class RankRun(NamedTuple):
    """What the table needs of a run; a panel's traces need not be in memory together."""

    key: RunKey
    onset: int | None
    last_step: int
    depth: int
    series: Mapping[tuple[int, str], RankSeries]

    @property
    def cell(self) -> tuple[Any, ...]:
        """All key columns but the seed."""
        return self.key[:-1]


class Reference(NamedTuple):
    """Step on which a run's windows are centred, and what it is."""

    kind: str
    step: int | None


def rank_run(trace: Trace, onset_settings: Mapping[str, Any]) -> RankRun:
    """Ranks of every layer and measure of a run, without the unmeasured steps."""
    series = {}
    for layer in range(1, trace.spec.depth + 1):
        for measure in RANK_MEASURES:
            ranks = trace.frame[f"{measure}_rank_{layer}"].dropna()
            steps = trace.frame.loc[ranks.index, "step"]
            series[layer, measure] = RankSeries(
                steps.to_numpy(np.int64), ranks.to_numpy(np.float64)
            )
    last_step = len(trace.frame) - 1
    onset = event_onset(trace, onset_settings)
    return RankRun(trace.key, onset, last_step, trace.spec.depth, series)


def reference_of(run: RankRun, panel: Sequence[RankRun]) -> Reference:
    """Where a run's windows are centred.

    Its own onset; for a run that never generalises the median onset of the generalising runs of
    its cell, or else of its panel, if the run is that long; else nothing.
    """
    if run.onset is not None:
        return Reference("onset", run.onset)
    cell = [other.onset for other in panel if other.cell == run.cell and other.onset is not None]
    onsets = cell or [other.onset for other in panel if other.onset is not None]
    if onsets:
        matched = round(float(np.median(onsets)))
        if matched <= run.last_step:
            return Reference("matched", matched)
    return Reference("none", None)


def relative_drop(before: float | None, after: float | None) -> float | None:
    """``(before - after) / before``; positive if it fell, None if unknown or `before` is 0."""
    if before is None or after is None or before == 0:
        return None
    return (before - after) / before


def rank_rows(
    run: RankRun, reference: Reference, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of a run: one a layer and measure.

    Medians are over the measurements in ``[reference - before, reference)`` and
    ``[reference, reference + after]``, as far as the run goes.
    """
    rows = []
    step = reference.step
    for (layer, measure), series in run.series.items():
        before = after = lead = None
        fall = series.steepest_fall()
        if step is not None:
            before = series.median(step - settings["before"], step)
            after = series.median(step, step + settings["after"] + 1)
            lead = None if fall is None else step - fall
        rows.append(
            run.key.row()
            | {
                "layer": layer,
                "is_last_layer": layer == run.depth,
                "measure": measure,
                "reference": reference.kind,
                "reference_step": step,
                "before": before,
                "after": after,
                "relative_drop": relative_drop(before, after),
                "steepest_fall_step": fall,
                "steepest_fall_lead": lead,
            }
        )
    return rows


def rank_table(
    traces: Iterable[Trace], settings: Mapping[str, Any], onset_settings: Mapping[str, Any]
) -> pd.DataFrame:
    """The table ``rank`` of one panel, a row a run, layer and measure.

    Parameters
    ----------
    settings
        ``before`` and ``after`` (steps).
    onset_settings
        See :func:`grokscope.measure.onsets.event_onset`.

    Raises
    ------
    ValueError
        If the runs are not of one panel: their onsets would be matched across panels.
    """
    runs = [rank_run(trace, onset_settings) for trace in traces]
    panels = {run.key.panel for run in runs}
    if len(panels) > 1:
        raise ValueError(f"runs of one panel are needed, not of {sorted(panels)}")
    rows = [row for run in runs for row in rank_rows(run, reference_of(run, runs), settings)]
    return from_rows(rows, "rank")
