"""Rank: how far the rank of each layer's weights falls around the onset of generalisation.

Input: the ranks in the traces of a panel, the runs' onsets and the settings ``analysis.rank``.
Output: rows of the table ``rank``. The ranks themselves are measured while training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokscope.data.parts import RANK_MEASURES
from grokscope.data.trace import Trace
from grokscope.runs.settings import RankSettings
from grokscope.runs.spec import RunKey


class RankSeries(NamedTuple):
    """A rank of a layer's weights at the steps at which it was measured."""

    steps: NDArray[np.int64]
    ranks: NDArray[np.float64]

    @classmethod
    def of_layer(cls, trace: Trace, layer: str, measure: str) -> RankSeries:
        """The measured ranks of a matrix of a run; of a perceptron each layer has one."""
        ranks = trace.frame[f"{measure}_rank_{layer}"].to_numpy()
        known = ~np.isnan(ranks)
        steps = trace.frame["step"].to_numpy()[known]
        return cls(steps.astype(np.int64), ranks[known].astype(np.float64))

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

    def around(self, step: int, settings: RankSettings) -> tuple[float | None, float | None]:
        """Medians over ``[step - before, step)`` and ``[step, step + after]``."""
        before = self.median(step - settings.before, step)
        return before, self.median(step, step + settings.after + 1)


class RankRun(NamedTuple):
    """What the table needs of a run; a panel's traces need not be in memory together."""

    key: RunKey
    onset: int | None
    last_step: int
    last_layer: str | None
    series: Mapping[tuple[str, str], RankSeries]


class Reference(NamedTuple):
    """Step on which a run's windows are centred, and what it is."""

    kind: str
    step: int | None


def rank_run(trace: Trace, onset: int | None) -> RankRun:
    """Ranks of every layer and measure of a run, without the unmeasured steps.

    Parameters
    ----------
    onset
        Onset of generalisation (step), None if it was not reached.
    """
    matrices = trace.parts.matrices
    series = {
        (layer, measure): RankSeries.of_layer(trace, layer, measure)
        for layer in matrices
        for measure in RANK_MEASURES
    }
    return RankRun(
        trace.key, onset, len(trace.frame) - 1, matrices[-1] if matrices else None, series
    )


def references(panel: Sequence[RankRun]) -> list[Reference]:
    """Where the windows of each run of a panel are centred.

    On its own onset; for a run that never generalises on the median onset of the generalising
    runs of its cell, or else of its panel, if the run is that long; else nowhere.
    """
    in_cell: dict[tuple[str, ...], list[int]] = {}
    for run in panel:
        if run.onset is not None:
            in_cell.setdefault(run.key.cell, []).append(run.onset)
    in_panel = [onset for onsets in in_cell.values() for onset in onsets]

    def reference(run: RankRun) -> Reference:
        if run.onset is not None:
            return Reference("onset", run.onset)
        onsets = in_cell.get(run.key.cell, in_panel)
        if onsets:
            matched = round(float(np.median(onsets)))
            if matched <= run.last_step:
                return Reference("matched", matched)
        return Reference("none", None)

    return [reference(run) for run in panel]


def relative_drop(before: float | None, after: float | None) -> float | None:
    """``(before - after) / before``; positive if it fell, None if unknown or `before` is 0."""
    if before is None or after is None or before == 0:
        return None
    return (before - after) / before


def rank_rows(panel: Sequence[RankRun], settings: RankSettings) -> Iterator[dict[str, Any]]:
    """Rows of the table ``rank`` of a panel: one per run, layer and measure.

    Medians are those of :meth:`RankSeries.around` the reference.
    """
    for run, (kind, step) in zip(panel, references(panel), strict=True):
        key = run.key.row()
        for (layer, measure), series in run.series.items():
            fall = series.steepest_fall()
            before, after = (None, None) if step is None else series.around(step, settings)
            yield key | {
                "layer": layer,
                "is_last_layer": layer == run.last_layer,
                "measure": measure,
                "reference": kind,
                "reference_step": step,
                "before": before,
                "after": after,
                "relative_drop": relative_drop(before, after),
                "steepest_fall_step": fall,
                "steepest_fall_lead": None if step is None or fall is None else step - fall,
            }
