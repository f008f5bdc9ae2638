"""Recount of one study: what its chapter counts and averages, once more and in other words.

Input: the result tables of one study, its claim set and the settings. Output: rows as printed, by
title of the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.core.formatting import detector_words, words
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.runs.names import NETWORK
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import KEY_COLUMNS, key_columns

Tables = Mapping[str, pd.DataFrame]
# Rows as printed: by head of the column, a text, a number, several numbers, or None for a dash.
Rows = list[dict[str, Any]]
# In this order a tied vote is decided.
PHASES = ("confusion", "memorisation", "grokking", "comprehension", "collapsed", "diverged")
VOTES = (*PHASES, "unknown")


def floats(column: pd.Series) -> np.ndarray:
    """A column as floats, NaN for null."""
    return column.to_numpy(float, na_value=np.nan)


def events(transitions: pd.DataFrame, gap: int) -> np.ndarray:
    """Which runs generalised more than `gap` steps after they memorised."""
    lag = floats(transitions["test_onset_step"]) - floats(transitions["train_onset_step"])
    return np.asarray(lag > gap)


def _median(values: Any) -> float | None:
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(np.median(known)) if len(known) else None


def _settings(frame: pd.DataFrame) -> list[str]:
    """Key columns of a study's runs, without study and seed."""
    return [
        name
        for name in key_columns(frame.columns)
        if name not in ("study", "seed") and (name in KEY_COLUMNS or frame[name].notna().any())
    ]


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """The values of a column in order, null last."""
    known = sorted(frame[name].dropna().unique().tolist())
    return known + [None] * bool(frame[name].isna().any())


def _where(frame: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    return frame[frame[name].isna() if value is None else (frame[name] == value).fillna(False)]


def _cells(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[list[Any], pd.DataFrame]]:
    """All groups by some columns, one column after the other."""
    if not names:
        yield [], frame
        return
    for value in _values(frame, names[0]):
        for rest, group in _cells(_where(frame, names[0], value), names[1:]):
            yield [value, *rest], group


def _head(name: str) -> str:
    return "fraction" if name == "train_fraction" else name.replace("_", " ")


def _text(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:g}"


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {
        _head(name): words(value) if isinstance(value, str) else value
        for name, value in zip(names, values, strict=True)
    }


# --------------------------------------------------------------------- lead_lag


def lead_lag(tables: Tables, claims: ClaimSet | None) -> Iterator[tuple[str, Rows]]:
    """Published lags beside the runs, and lags over seeds."""
    transitions = tables["transitions"]
    values = {} if claims is None else {claim.id: claim.values for claim in claims.claims}
    names = _settings(transitions)
    lags = {of["task"]: of["lag"] for of in values.values() if "lag" in of}
    if lags:
        keys = key_columns(transitions.columns)
        runs = transitions[keys].merge(tables["runs"][[*keys, "max_steps"]], on=keys)
        rows = []
        for _, of in runs.sort_values(keys, kind="stable").iterrows():
            same = runs.loc[runs["task"] == of["task"], "max_steps"]
            known = lags.get(of["task"], {}).get(_text(of["train_fraction"]))
            rows.append({"published": known if of["max_steps"] == same.max() else None})
        yield "Transitions of each run", rows
    rows = []
    of_seeds = values.get("LL2")
    for cell, group in _cells(transitions, names):
        lag = floats(group["replication_lag"])
        lag = lag[~np.isnan(lag)]
        if len(lag) < 2:
            continue
        mean = sum(lag) / len(lag)
        variance = sum((lag - mean) ** 2) / (len(lag) - 1)
        row = _named(names, cell) | {"seeds": len(lag), "mean lag": mean, "sd": variance**0.5}
        row |= {"smallest": min(lag), "largest": max(lag)}
        if of_seeds is not None:
            at, task = _text(row["fraction"]), cell[names.index("task")]
            here = task == of_seeds["task"] and at in of_seeds["mean"]
            parts = ("mean", "sd", "min", "max")
            row["published"] = tuple(of_seeds[part][at] for part in parts) if here else None
        rows.append(row)
    yield "Lag over seeds", rows


# ---------------------------------------------------------------- early_warning


def early_warning(tables: Tables, analysis: Analysis) -> Iterator[tuple[str, Rows]]:
    """Outcomes, rank drops, causes of alarms, places of detectors, stated thresholds."""
    yield "Outcome of each panel", list(_outcomes(tables, analysis.phases.gap))
    yield "Fall of the last layer's rank", list(_rank_drops(tables["rank"]))
    if not _lacks_gai(tables["runs"]):
        yield "What else happened at GAI's alarms", list(_causes(tables, analysis))
    ranking = _ranking(tables["chance"])
    places = {name: n for n, name in enumerate([of for of, _ in ranking if of in DETECTORS], 1)}
    yield (
        "Detectors by what they know",
        [
            {"#": places.get(name), "detector": detector_words(name), "area": area}
            for name, area in [*ranking, ("step_zero", None)]
        ],
    )
    yield (
        "What each detector is",
        [
            {
                "detector": detector_words(name),
                "stated threshold": of.threshold(analysis) if of.threshold else None,
            }
            for name, of in DETECTORS.items()
        ],
    )


def _lacks_gai(runs: pd.DataFrame) -> bool:
    """Whether no run has the gradient norm that GAI needs; of trained runs all have."""
    texts = runs["not_testable"] if "not_testable" in runs else runs["study"]
    marks = [isinstance(text, str) and text.startswith("gai: ") for text in texts]
    marks = [mark or "; gai: " in str(text) for mark, text in zip(marks, texts, strict=True)]
    return bool(marks) and all(marks)


def _outcomes(tables: Tables, gap: int) -> Iterator[dict[str, Any]]:
    runs = tables["runs"]
    for (task, depth), group in _cells(tables["transitions"], ["task", "depth"]):
        event = events(group, gap)
        of = runs[(runs["task"] == task) & (runs["depth"] == depth)]
        yield {
            "task": words(task),
            "depth": depth,
            "runs": len(group),
            "memorised": group["train_onset_step"].notna().sum(),
            "generalised": group["test_onset_step"].notna().sum(),
            "events": event.sum(),
            "median onset": _median(floats(group["test_onset_step"])[event]),
            "median final metric": _median(floats(of["final_test_metric"])),
            "diverged": list(of["stopped"]).count("diverged"),
        }


def _rank_drops(rank: pd.DataFrame) -> Iterator[dict[str, Any]]:
    last = rank[rank["is_last_layer"]]
    for (task, depth, measure), group in _cells(last, ["task", "depth", "measure"]):
        drops = {}
        for reference in ("onset", "matched"):
            drop = floats(group["relative_drop"][group["reference"] == reference])
            drops[reference] = drop[~np.isnan(drop)]
        yield {
            "task": words(task),
            "depth": depth,
            "measure": measure,
            "runs": len(drops["onset"]),
            "median drop": _median(drops["onset"]),
            "matched runs": len(drops["matched"]),
            "matched drop": _median(drops["matched"]),
        }


def _causes(tables: Tables, analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Alarm by alarm, run by run."""
    low, high = analysis.evaluation.lead_window
    transitions, alarms = tables["transitions"], tables["alarms"]
    keys = key_columns(transitions.columns)
    mine = alarms[(alarms["detector"] == "gai") & (alarms["layer"] == "combined")]
    fired: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for row in mine.to_dict("records"):
        fired.setdefault(tuple(str(row[key]) for key in keys), []).append(
            (int(row["step"]), row["cause"])
        )
    found: dict[str, Counter[str]] = {"false": Counter(), "hit": Counter(), "unknown": Counter()}
    event = events(transitions, analysis.phases.gap)
    for run, is_event in zip(transitions.to_dict("records"), event, strict=True):
        missed = True
        for step, cause in sorted(fired.get(tuple(str(run[key]) for key in keys), [])):
            outcome = "false"
            if is_event:
                lead = run["test_onset_step"] - step
                if lead <= 0:
                    continue
                if missed and low <= lead <= high:
                    outcome, missed = "hit", False
            elif pd.isna(run["test_onset_step"]) and step + high > run["last_step"]:
                outcome = "unknown"
            found[outcome][cause] += 1
    total = found["false"].total()
    for cause in ("memorisation", "loss_spike", "softmax_collapse", "none"):
        yield {
            "visible cause": "nothing visible" if cause == "none" else words(cause),
            "false alarms": found["false"][cause],
            "share": 100 * found["false"][cause] / total if total else None,
            "hits": found["hit"][cause],
            "unknown": found["unknown"][cause],
        }


def _areas(chance: pd.DataFrame) -> pd.DataFrame:
    """Areas of combined signals, all tasks and depths pooled, one row per null model."""
    pooled = chance["task"].isna() & chance["depth"].isna() & (chance["layer"] == "combined")
    return chance[pooled & (chance["score"] == "auc") & chance["p"].notna()]


def _ranking(chance: pd.DataFrame) -> list[tuple[str, float]]:
    """Detectors that see no test data, and references, by falling area under the curve."""
    rows = _areas(chance)
    areas = dict(zip(rows["detector"], rows["observed"], strict=True))
    seen = {name for name, of in DETECTORS.items() if of.uses_test_data}
    ranked = [(name, float(area)) for name, area in areas.items() if name not in seen]
    return sorted(ranked, key=lambda of: (-of[1], of[0]))


def answer(chance: pd.DataFrame, alpha: float) -> list[float]:
    """How many detectors are ranked; the area of the first; place and area of GAI, if another.

    None where, of no ranked detector, a perfect one could beat all four null models.
    """
    ranked = [of for of in _ranking(chance) if of[0] in DETECTORS]
    beatable = _areas(chance)
    beatable = beatable[(beatable["p_best"] < alpha).fillna(False)]
    models = Counter(beatable["detector"])
    if not any(models[name] == 4 for name, _ in ranked):
        return []
    numbers: list[float] = [len(ranked), ranked[0][1]]
    for place, (name, area) in enumerate(ranked, 1):
        if name == "gai" and place > 1:
            numbers += [place, area]
    return numbers


# ---------------------------------------------------------------- imported logs


def logs(runs: pd.DataFrame) -> Iterator[tuple[str, Rows]]:
    """Imported runs by what their logs say, and by what they cannot tell."""
    known = runs[runs["log"].notna()] if "log" in runs else runs[:0]
    if known.empty:
        return
    names = ["log_format", "log_row", "log_every", "log_means"]
    yield (
        "Imported logs",
        [{"runs": len(group)} for _, group in _cells(known, names) if len(group)],
    )
    lacking: Counter[tuple[str, ...]] = Counter()
    for text in known["not_testable"].dropna():
        lacking.update(tuple(part.split(": ", 1)) for part in text.split("; "))
    yield (
        "Not testable on these logs",
        [{"why": why, "runs": lacking[name, why]} for name, why in sorted(lacking)],
    )


# ---------------------------------------------------------------- phase_diagram


def phase_diagram(phases: pd.DataFrame) -> Iterator[tuple[str, Rows]]:
    """Effects of parameters, and the vote of each cell."""
    yield "Runs that generalise, by parameter", list(_effects(phases))
    yield "Phase of each cell", list(_map(phases))


def _effects(phases: pd.DataFrame) -> Iterator[dict[str, Any]]:
    phases = phases[phases["phase"] != "unknown"]
    names = ["weight_decay", "train_fraction", "width"]
    names += [name for name in _by_axis(phases) if name not in names]
    for name in names:
        for value in _values(phases, name):
            labels = Counter(_where(phases, name, value)["phase"])
            general = labels["grokking"] + labels["comprehension"]
            yield {
                "parameter": name.replace("_", " "),
                "value": words(value) if isinstance(value, str) else value,
                "runs": labels.total(),
                "generalise": general,
                "share": general / labels.total(),
                "grok": labels["grokking"],
            }


# The order in which parameters become axes of a map.
AXES: tuple[str, ...] = (
    "train_fraction",
    "weight_decay",
    "learning_rate",
    "width",
    "depth",
    "p",
    "betas",
)
AXES += (*NETWORK, "second_learning_rate", "condition", "samples", "encoding", "embedding_dim")
AXES += ("data_seed", "init_seed", "task")


def _by_axis(phases: pd.DataFrame) -> list[str]:
    """Parameters with more than one value."""
    return [name for name in AXES if name in phases and len(_values(phases, name)) > 1]


def _map(phases: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The vote of the seeds of each cell, with how many agree where there are several."""
    varying = _by_axis(phases)
    across = varying[0] if varying else "train_fraction"
    shown = ("task", "depth", "width", "weight_decay", "train_fraction")
    names = ["task", "depth", *(name for name in varying if name not in shown), *shown[2:]]
    names.remove(across)
    one_each = not phases.duplicated(_settings(phases)).any()
    for cell, group in _cells(phases, names):
        row = _named(names, cell)
        for value in _values(phases, across):
            labels = Counter(_where(group, across, value)["phase"])
            text = f"{value:g}" if isinstance(value, (int, float)) else str(value or "–")
            vote = max(VOTES, key=lambda phase: (labels[phase], -VOTES.index(phase)))
            agree = "" if one_each else f" {labels[vote]}/{labels.total()}"
            row[f"{_head(across)} {words(text)}"] = f"{vote}{agree}" if labels else None
        yield row
