"""Alarms of a watched run, each with what such alarms were worth where they could be checked.

Input: alarms, and the table ``calibration`` of a study. Output: alarms with the row of the table
for their detector and level, or without: *uncalibrated*.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from grokscope.core.errors import UserError
from grokscope.data.tables import read_table
from grokscope.measure.detectors.live import LiveAlarm
from grokscope.measure.detectors.registry import ALARM_SECTIONS, DETECTORS
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import Analysis


@dataclass(frozen=True)
class ChanceLevel:
    """What alarms of a detector at a level were worth in a study.

    Attributes
    ----------
    study : str
    lead : tuple of int
        Fewest and most steps from an alarm to the onset that made it right.
    n_runs, n_events, n_judged, n_hits : int
        Held-out runs; of these, runs with delayed generalisation; alarms that could be judged;
        and those that were right.
    precision : float or None
        ``n_hits / n_judged``; None without a judged alarm.
    chance_precision : float or None
        That of the null model that does best, ``null_model``.
    p : float or None
        Largest p of the precision over the null models: small, if such alarms beat chance.
    false_alarms_per_10000 : float or None
        Steps at risk.
    """

    study: str
    lead: tuple[int, int]
    n_runs: int
    n_events: int
    n_judged: int
    n_hits: int
    precision: float | None
    chance_precision: float | None
    null_model: str | None
    p: float | None
    false_alarms_per_10000: float | None

    def __str__(self) -> str:
        lo, hi = self.lead
        if self.precision is None:
            right = f"no such alarm could be judged in {self.n_runs} runs of {self.study}"
        else:
            right = (
                f"right {self.n_hits} of {self.n_judged} times ({self.precision:.1%}) in "
                f"{self.n_runs} runs of {self.study}, {lo} to {hi} steps ahead"
            )
        if self.chance_precision is not None:
            right += f"; by chance {self.chance_precision:.1%} ({self.null_model})"
        if self.p is not None:
            right += f", p = {self.p:.2g}"
        if self.false_alarms_per_10000 is not None:
            right += f"; {self.false_alarms_per_10000:.2g} false alarms per 10,000 steps"
        return right


@dataclass(frozen=True)
class Alarm:
    """An alarm of a training that is running.

    Attributes
    ----------
    step : int
        At which it was known.
    detector, layer : str
    score, threshold : float
        In the detector's units.
    chance : ChanceLevel or None
        None: uncalibrated.
    """

    step: int
    detector: str
    layer: str
    score: float
    threshold: float
    chance: ChanceLevel | None

    def __str__(self) -> str:
        worth = "uncalibrated" if self.chance is None else str(self.chance)
        return (
            f"step {self.step}: {self.detector} ({self.layer}) {self.score:.3g}, above "
            f"{self.threshold:.3g}; {worth}"
        )

    def row(self) -> dict[str, Any]:
        """The alarm in a file's metadata and in a checkpoint: plain numbers and words."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Alarm:
        """Inverse of :meth:`row`."""
        chance = row["chance"]
        if chance is not None:
            chance = ChanceLevel(**{**chance, "lead": tuple(chance["lead"])})
        return cls(**{**row, "chance": chance})


class Calibration:
    """The table ``calibration`` of one study.

    Attributes
    ----------
    analysis : Analysis
        The settings that its alarms were raised with; a monitor must use the same.
    """

    def __init__(self, table: pd.DataFrame, name: str) -> None:
        settings = sorted(set(table["settings"]))
        if len(settings) != 1:
            raise UserError(f"{name}: calibrations of {len(settings)} settings, not of one")
        self.analysis = default_analysis(**json.loads(settings[0]))
        self._rows: list[dict[str, Any]] = [
            {str(key): None if pd.isna(value) else value for key, value in row.items()}
            for row in table.to_dict("records")
        ]

    @classmethod
    def read(cls, path: str | os.PathLike[str], study: str | None = None) -> Calibration:
        """Read the table of one or several studies.

        Parameters
        ----------
        study
            Its name; None if the table has one only.

        Raises
        ------
        UserError
            If the file cannot be read, has no such study, or has several and none was named.
        """
        table = read_table(path, "calibration")
        names = sorted(set(table["study"]))
        if study is None and len(names) != 1:
            raise UserError(f"{path}: calibrations of the studies {names}; name one (study=…)")
        chosen = names[0] if study is None else study
        if chosen not in names:
            raise UserError(f"{path}: no calibration of {chosen!r}; there are {names}")
        return cls(table[table["study"] == chosen], str(path))

    def is_of(self, analysis: Analysis) -> bool:
        """Whether its alarms were raised with these settings."""
        return analysis.to_json(ALARM_SECTIONS) == self.analysis.to_json(ALARM_SECTIONS)

    def levels(self) -> dict[str, float | None]:
        """Level of each detector without test data: the stated one, else the chosen one."""
        found: dict[str, float | None] = {}
        for row in self._rows:
            name, level = row["detector"], row["threshold"]
            entry = DETECTORS.get(name)
            if row["layer"] != "combined" or entry is None or entry.uses_test_data:
                continue
            if entry.threshold is not None:
                found[name] = None
            elif level is not None:
                found[name] = float(level)
        return found

    def chance_of(self, alarm: LiveAlarm, by_step: bool) -> ChanceLevel | None:
        """What is known of alarms like this; None if nothing is."""
        source = "published" if by_step else "development"
        for row in self._rows:
            place = row["detector"], row["layer"], row["threshold_source"]
            if place != (alarm.detector, alarm.layer, source) or row["threshold"] is None:
                continue
            if not math.isclose(row["threshold"], alarm.threshold, rel_tol=1e-6):
                continue
            names = [name for name in ChanceLevel.__dataclass_fields__ if name != "lead"]
            return ChanceLevel(
                lead=(row["lead_min"], row["lead_max"]), **{name: row[name] for name in names}
            )
        return None


def chosen_levels(
    detectors: Sequence[str] | Mapping[str, float | None] | None,
    calibration: Calibration | None,
    analysis: Analysis,
) -> dict[str, float | None]:
    """Level of each detector that is to alarm; None: the stated one.

    Parameters
    ----------
    detectors
        Names, or levels by name. None: those of the calibration; without one, those whose level
        is stated and that need no test data.

    Raises
    ------
    UserError
        If a detector needs test data.
    """
    known = {} if calibration is None else calibration.levels()
    stated = {
        name: None
        for name, entry in DETECTORS.items()
        if entry.threshold is not None and not entry.uses_test_data
    }
    if detectors is None:
        return known if calibration is not None else dict(stated)
    if isinstance(detectors, str):
        raise UserError(f"detectors: {detectors!r} is one name; give a list of names")
    levels: dict[str, float | None] = (
        dict(detectors)
        if isinstance(detectors, Mapping)
        else {name: known.get(name) for name in detectors}
    )
    for name in levels:
        if name in DETECTORS and DETECTORS[name].uses_test_data:
            raise UserError(f"detectors: {name} needs test data, so it warns of nothing")
    return levels
