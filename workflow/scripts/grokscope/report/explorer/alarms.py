"""What the explorer needs to judge alarms at any threshold and window, and chance beside it.

Input: a study and its tables ``evaluation`` and ``chance``. Output: parts of the page's header and
packed arrays, read by ``js/judge.js`` and ``js/chance.js``.

The page counts hits and false alarms itself, by the rules of :mod:`grokscope.evaluate.matching`.
What null models would reach it counts from surrogates whose randomness is drawn here, by
:mod:`grokscope.evaluate.nulls`: whose record each run is given, and constant times; offsets and
random steps come from uniform numbers. At the settings that the tables have it shows the tables'
own chance levels, of many more surrogates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokscope.data.layout import axis_words
from grokscope.evaluate import nulls
from grokscope.evaluate.matching import RULES, floats
from grokscope.evaluate.study import Study
from grokscope.measure.detectors.registry import COMBINED, DETECTORS
from grokscope.report.explorer.packing import Packer, values_of
from grokscope.runs.spec import cell_columns

# Surrogates that the page draws at settings that the tables do not have.
DRAWS = 99
SCORES = ("precision", "recall")
INTERVALS = tuple(f"{score}_{end}" for score in SCORES for end in ("low", "high"))
CHANCE = ("null_mean", "null_low", "null_high", "p")
_SETTING = ["task", "depth", "detector", "layer", "threshold_source", "rule"]
_SETTING += ["lead_min", "lead_max"]


def pack_cohort(packer: Packer, name: str, study: Study) -> dict[str, Any]:
    """Pack what of the runs alarms are judged by, and the randomness of the null models.

    Returns
    -------
    dict
        ``held_out``: indices of the runs that are scored; their arrays, in that order.
    """
    held_out = study.held_out
    cohort, settings = study.cohort.take(held_out), study.analysis.evaluation
    draws = min(DRAWS, settings.surrogates)
    rng = nulls.model_stream(settings.seed, study.name, "explorer", model="swapped")
    packer.put(f"{name}/givers", nulls.swaps(cohort, draws, rng).ravel(), "u2")
    times = study.resampled_times[:draws, held_out]
    packer.put(f"{name}/times", times.ravel(), "f4")
    rng = nulls.stream(settings.seed, study.name, "explorer")
    packer.put(f"{name}/uniform", rng.integers(0, 2**32, 4096), "u4")
    onsets: list[int | None] = [None if np.isnan(of) else int(of) for of in cohort.onset]
    return {
        "place": name,
        "runs": held_out.tolist(),
        "onset": onsets,
        "event": cohort.event.astype(int).tolist(),
        "last": cohort.last.tolist(),
        "panel": cohort.panel.tolist(),
        "draws": draws,
        "surrogates": settings.surrogates,
    }


def pack_settings(
    packer: Packer, name: str, evaluation: pd.DataFrame, chance: pd.DataFrame
) -> dict[str, Any]:
    """Pack the settings that the table ``evaluation`` has, and the tables' intervals and chance.

    Parameters
    ----------
    evaluation, chance
        Tables of these names, of one study.

    Returns
    -------
    dict
        The settings as columns; ``chance``: which of them are set against null models.
    """
    rows = evaluation[evaluation["detector"].isin(list(DETECTORS))].reset_index(drop=True)
    for column in ("threshold", *INTERVALS):
        packer.put(f"{name}/{column}", floats(rows[column]), "f8")
    columns = {column: values_of(rows[column]) for column in _SETTING}
    tested, values = _beside_chance(rows, chance)
    packer.put(f"{name}/chance", values.ravel(), "f8")
    return {
        "place": name,
        "columns": columns,
        "chance": tested,
        "models": list(nulls.MODELS),
        "scores": list(SCORES),
    }


def _beside_chance(rows: pd.DataFrame, chance: pd.DataFrame) -> tuple[list[int], Any]:
    """Rows of settings that have chance levels, and these.

    Returns
    -------
    tested
        Index of the rows.
    values
        Shape ``(n_tested, scores, models, of CHANCE)``, NaN for null.
    """
    place = rows[_SETTING].assign(place=rows.index)
    # Null equals null in a merge of pandas.
    merged = chance[chance["score"].isin(SCORES)].merge(place, on=_SETTING, validate="many_to_one")
    tested = sorted(set(merged["place"]))
    values = np.full((len(tested), len(SCORES), len(nulls.MODELS), len(CHANCE)), np.nan)
    at = (
        np.searchsorted(tested, merged["place"].to_numpy()),
        merged["score"].map(SCORES.index).to_numpy(int),
        merged["null_model"].map(nulls.MODELS.index).to_numpy(int),
    )
    for i, column in enumerate(CHANCE):
        values[(*at, i)] = floats(merged[column])
    return tested, values


def evaluation_header(study: Study) -> dict[str, Any]:
    """Windows, rules and scopes of a study."""
    return {
        "rules": list(RULES),
        "windows": [list(window) for window in study.windows],
        "primary": list(study.primary),
        "published": list(study.analysis.evaluation.lead_window),
        "scopes": [{"task": scope.task, "depth": scope.depth} for scope in study.scopes],
        "resolution": study.resolution,
        "refractory": study.analysis.alarms.refractory,
        "confidence": study.analysis.evaluation.confidence,
        "cell": [axis_words(column) for column in cell_columns(study.runs.columns)],
    }


def needed_thresholds(
    evaluation: pd.DataFrame, detector: str, layer: str, source: str
) -> Sequence[float]:
    """Thresholds of a signal that the table ``evaluation`` has from a source."""
    mine = (
        (evaluation["detector"] == detector)
        & (evaluation["layer"] == layer)
        & (evaluation["threshold_source"] == source)
    )
    return sorted(evaluation.loc[mine, "threshold"].dropna().astype(float).unique())


def stated_alarms(
    found: Mapping[tuple[str, str], Mapping[int, Any]],
) -> dict[str, Mapping[int, Any]]:
    """Alarms of the combined signal of each detector with a stated threshold, by run."""
    return {
        name: found.get((name, COMBINED), {})
        for name, detector in DETECTORS.items()
        if detector.threshold is not None
    }
