"""Tables of studies made by hand, as claims are judged by, and their verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from grokscope.claims.judge import judge_study
from grokscope.claims.published import read_published
from grokscope.claims.registry import CLAIMS
from grokscope.data.tables import conform, empty
from grokscope.measure.variants import configured
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import KEY_COLUMNS

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = read_published(ROOT / "workflow" / "report" / "claims.yaml")
SET_OF = {claim.id: name for name, claims in PUBLISHED.items() for claim in claims.claims}


def settings(**evaluation: Any) -> Analysis:
    given = {"lead_window": [200, 400], "surrogates": 199}
    return default_analysis(
        evaluation=given | {"development_seeds": []} | evaluation,
        phases={"threshold": 0.95, "gap": 200},
    )


SETTINGS = settings()
SIZES = {"modular_addition": 9409, "s5_composition": 14400, "sine_regression": 2000}

RUN: dict[str, Any] = {
    "steps": 3000,
    "max_steps": 3000,
    "stopped": "completed",
    "diverged_step": None,
    "final_train_loss": 0.1,
    "final_test_loss": 0.1,
    "final_train_metric": 1.0,
    "final_test_metric": 1.0,
    "n_parameters": 1000,
    "device": "cpu",
    "processor": "x86_64 GenuineIntel avx2",
    "seconds": 2.0,
}
TRANSITION: dict[str, Any] = {
    "grad_peak_step": 500,
    "grad_peak_at_boundary": False,
    "grad_steepest_decrease_step": 600,
    "metric_transition_step": 700,
    "metric_at_transition": 0.5,
    "lag": 200,
    "replication_lag": 200,
    "xcorr_lag": 10,
    "xcorr": 0.5,
    "pearson_r": -0.8,
    "train_onset_step": 100,
    "train_onset_censored": False,
    "test_onset_step": 1000,
    "test_onset_censored": False,
    "test_lost_step": None,
    "test_lost_censored": True,
    "onset_lag": 500,
    "last_step": 3000,
}


def key(study: str = "gai", seed: int = 0, **other: Any) -> dict[str, Any]:
    values = {"study": study, "task": "modular_addition", "depth": 2, "train_fraction": 0.6}
    return values | {"weight_decay": 1.0, "width": 128, "seed": seed} | other


Tables = dict[str, pd.DataFrame]


def named(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in KEY_COLUMNS}


def build(rows: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Tables:
    """Tables of a study's runs: each row has key columns and whatever columns of any table."""
    runs, transitions, phases, variants = [], [], [], []
    for row in rows:
        size = SIZES.get(row["task"], 1000)
        given = {"n_train": size - 10, "n_test": 10} | RUN | row
        runs.append(named(row) | {name: given[name] for name in [*RUN, "n_train", "n_test"]})
        made = TRANSITION | row
        made["train_onset_censored"] = made["train_onset_step"] is None
        made["test_onset_censored"] = made["test_onset_step"] is None
        if made["test_onset_censored"]:
            made |= {"onset_lag": None, "test_lost_censored": None}
        transitions.append(named(row) | {name: made[name] for name in TRANSITION})
        variants.append(variant(made, **tables))
        if "phase" in row:
            extra = {"train_reached_step": 1, "test_reached_step": 2, "gap": 1, "agreement": 1.0}
            extra |= {"gap_censored": False, "vote": row["phase"], "cell_seeds": 1}
            phases.append(named(row) | {"phase": row["phase"]} | extra)

    def frame(table: str, of: list[dict[str, Any]]) -> pd.DataFrame:
        return conform(pd.DataFrame(of), table) if of else empty(table)

    return {
        "runs": frame("runs", runs),
        "transitions": frame("transitions", transitions),
        "alarms": frame("alarms", tables.get("alarms", [])),
        "rank": frame("rank", tables.get("rank", [])),
        "phases": frame("phases", phases),
        "variants": frame("variants", variants),
    }


def variant(run: dict[str, Any], **tables: list[dict[str, Any]]) -> dict[str, Any]:
    """The configured variant of a run, from its alarms and ranks."""
    train, onset = run["train_onset_step"], run["test_onset_step"]
    event = None not in (train, onset) and onset - train > 200
    fired: dict[str, list[tuple[int, float]]] = {}
    for of in tables.get("alarms", []):
        if named(of) == named(run):
            fired.setdefault(of["layer"], []).append((of["step"], of["peak"]))

    def lead(layer: int) -> int | None:
        steps = [step for step, _ in fired.get(str(layer), []) if event and step < onset]
        return onset - min(steps) if steps else None

    combined = sorted(fired.get("combined", []))
    peaks = [peak for step, peak in combined if onset is None or step < onset]
    drops = {
        f"{of['measure']}_drop": of["relative_drop"]
        for of in tables.get("rank", [])
        if named(of) == named(run) and of["reference"] == "onset"
    }
    return (
        named(run)
        | configured(SETTINGS.alarms)._asdict()
        | {"beta2": 0.98, "onset_threshold": 0.95, "onset": onset, "event": event}
        | {"warm_up": run.get("warm_up", 121)}
        | {"alarms": " ".join(str(step) for step, _ in combined) or None}
        | {"spike": max(peaks, default=None), "tau": None}
        | {"last_first_lead": lead(run["depth"]), "first_first_lead": lead(1)}
        | dict.fromkeys(("effective_drop", "stable_drop", "numerical_drop"))
        | drops
    )


def judged(name: str, tables: Tables, *only: str, analysis: Analysis = SETTINGS) -> pd.DataFrame:
    """Table ``claims`` of a study by a claim set, or by some of its claims; by claim."""
    claims, studies = PUBLISHED[name], tables["runs"]["study"].unique()
    if only:
        claims = replace(claims, claims=tuple(map(claims.claim, only)))
    study = studies[0] if len(studies) else "none"
    return judge_study(study, tables, claims, claims.kind, analysis).claims.set_index("claim")


def verdict(claim: str, tables: Tables, analysis: Analysis = SETTINGS) -> dict[str, Any]:
    """Its row; with a claim about the others, two of these are judged before it."""
    family = ("GAI2", "GAI3") if CLAIMS[claim].of_family else ()
    row = judged(SET_OF[claim], tables, *family, claim, analysis=analysis).loc[claim]
    return row.astype(object).where(row.notna(), None).to_dict()


def alarm(of: dict[str, Any], step: int, layer: str = "combined", peak: float = 4.0) -> dict:
    raised = {"detector": "gai", "layer": layer, "step": step, "score": 4.0, "peak": peak}
    return named(of) | raised | {"cause": "none"}


REPLICATED = {
    0.5: {42: 699, 123: 804, 7: 422},
    0.7: {42: 192, 123: 226, 7: 179},
    0.9: {42: 12, 123: 82, 7: 69},
}
PEARSON = {0.5: -0.929, 0.7: -0.821, 0.9: -0.662}


def lead_lag_run(fraction: float, seed: int, lag: int, **other: Any) -> dict[str, Any]:
    setting = {"train_fraction": fraction, "weight_decay": 0.1, "width": 64}
    row = key("lead_lag", seed, **setting | other)
    row |= {"replication_lag": lag, "lag": lag, "pearson_r": PEARSON[fraction]}
    return row | (
        {"test_onset_step": None, "metric_at_transition": 0.03} if fraction == 0.5 else {}
    )


def published_lead_lag() -> list[dict[str, Any]]:
    """The published runs with the published values: three seeds, and a control of one."""
    rows = [
        lead_lag_run(fraction, seed, lag) | {"max_steps": 3000 if seed == 42 else 2000}
        for fraction, lags in REPLICATED.items()
        for seed, lag in lags.items()
    ]
    return rows + [control(fraction, 42) for fraction in REPLICATED]


def control(fraction: float, seed: int, lag: int = -60) -> dict[str, Any]:
    row = lead_lag_run(fraction, seed, lag, task="sine_regression")
    return row | {"grad_peak_step": 60, "grad_peak_at_boundary": True}


def lead_lag(seeds: int = 8, changed: int | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Runs and control of some seeds, around the published values.

    `changes` go to the runs of fraction 0.9 (`control_lag`: to their control) of so many seeds.
    """
    rows = []
    for fraction, (centre, step) in {0.5: (642, 60), 0.7: (199, 8), 0.9: (54, 5)}.items():
        for seed in range(seeds):
            place = 2 * (seed % 4) - 3
            row = lead_lag_run(fraction, seed, centre + step * place)
            row["pearson_r"] += 0.005 * place
            other = control(fraction, seed)
            if fraction == 0.9 and seed < (seeds if changed is None else changed):
                given = dict(changes)
                other["lag"] = given.pop("control_lag", other["lag"])
                row |= given
            rows += [row, other]
    return rows


def gai(seeds: int = 6, depths: tuple[int, ...] = (2, 3, 4, 6, 8), **changes: Any) -> list[dict]:
    """Runs of both classification tasks with onsets at 1000, and a regression arm."""
    rows = []
    for task in ("modular_addition", "s5_composition", "cubic_regression"):
        for depth in depths:
            for seed in range(seeds):
                row = key("gai", seed, task=task, depth=depth) | {"last_step": 3000}
                if task == "cubic_regression":
                    row |= {"train_onset_step": 10, "test_onset_step": 10}
                rows.append(row | changes)
    return rows


def events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["task"].endswith("_regression")]


def published_phases(seed: int = 42) -> list[dict[str, Any]]:
    """A grid of phases that fulfils all published claims."""
    rows = []
    for decay in (0.0, 0.001, 0.01, 0.1, 1.0):
        for fraction in (0.3, 0.5, 0.7, 0.9):
            for width in (16, 32, 64):
                phase = "memorisation"
                if fraction == 0.3 and width == 16:
                    phase = "confusion"
                if fraction == 0.9 and width >= 32:
                    phase = "comprehension"
                    if (decay == 0.0 and width == 32) or 0 < decay < 1:
                        phase = "grokking"
                if decay == 0.0 and fraction == 0.7 and width == 64:
                    phase = "grokking"
                if decay == 0.1 and fraction == 0.7 and width == 64:
                    phase = "grokking"
                setting = {"weight_decay": decay, "train_fraction": fraction, "width": width}
                row = key("phase_diagram", seed, **setting)
                rows.append(row | {"phase": phase, "max_steps": 2500})
    return rows


def with_phase(rows: list[dict[str, Any]], phase: str, **where: Any) -> list[dict[str, Any]]:
    """The rows with another phase in one cell; fails if the cell does not exist."""
    chosen = [all(row[name] == value for name, value in where.items()) for row in rows]
    assert sum(chosen) == 1
    return [row | {"phase": phase} if yes else row for row, yes in zip(rows, chosen, strict=True)]


def phases(
    seeds: int = 8, changed: int | None = None, phase: str = "", **where: Any
) -> list[dict]:
    """The published grid at some seeds, with another phase in one cell of so many of them."""
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        grid = published_phases(seed)
        if phase and seed < (seeds if changed is None else changed):
            grid = with_phase(grid, phase, **where)
        rows += grid
    return rows


def by_learning_rate(parts: dict[float, list[dict[str, Any]]]) -> Tables:
    """Tables of runs that a varied learning rate tells apart."""
    made = [(rate, build(rows)) for rate, rows in parts.items()]
    return {
        name: pd.concat(
            [tables[name].assign(learning_rate=rate) for rate, tables in made], ignore_index=True
        )
        for name in made[0][1]
    }


def few_choices(**sections: Any) -> Analysis:
    """Settings with fewer analysis choices than by default: 8."""
    given = {
        "onset": {"test_thresholds": [0.5, 0.95]},
        "alarms": {"sigma_window": 100},
        "rank": {"before": 500, "after": 500},
        "multiverse": {"sign": ["signed"], "norm": ["raw"], "windows": [10, 20]},
        "evaluation": {
            "horizons": [1000],
            "primary_horizon": 1000,
            "development_seeds": [0],
            "surrogates": 99,
        },
    }
    return default_analysis(**{name: of | sections.get(name, {}) for name, of in given.items()})
