"""Control worlds: studies whose truth is known, from synthetic traces to verdicts.

A *world* is the tables of one study and what it is judged by. :func:`world` makes it from traces,
by the library's own path; :meth:`World.of` leaves seeds out, :meth:`World.but` breaks a premise
in the tables. In the *true* worlds each published claim of the study is true: that is what the
functions ``*_trace`` and :data:`PHASES` draw.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from grokscope.claims.judge import judge_study
from grokscope.claims.published import ClaimSet, read_published
from grokscope.data.tables import concatenate
from grokscope.data.trace import Trace
from grokscope.measure.panel import measure_panel
from grokscope.measure.variants import variants_table
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.kinds import KINDS
from grokscope.runs.settings import Analysis, Configuration
from grokscope.runs.spec import RunSpec, panels
from synthetic import make_trace

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = read_published(ROOT / "workflow" / "report" / "claims.yaml")
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
NOT_TESTABLE = "not testable at this scale"
SIZES = {"modular_addition": 97**2, "s5_composition": 120**2, "sine_regression": 2000}

Tables = dict[str, pd.DataFrame]
Array = NDArray[np.float64]


def read_config(name: str) -> dict[str, Any]:
    """Values of a configuration of the project, as its file has them."""
    path = ROOT / "config" / f"{name}.yaml"
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def configuration(
    name: str, studies: Mapping[str, Any] | None = None, surrogates: int = 199
) -> Configuration:
    """A configuration of the project, of one analysis choice and few surrogates.

    Parameters
    ----------
    studies
        Instead of those of the file.
    """
    values = read_config(name)
    analysis = values["analysis"]
    analysis["multiverse"] = {
        "smoothing": ["causal"],
        "sigma": ["running"],
        "sign": ["signed"],
        "norm": ["raw"],
        "windows": [20],
    }
    analysis["evaluation"] |= {"surrogates": surrogates}
    return check_config(values | ({} if studies is None else {"studies": dict(studies)}))


def seeds_of(name: str, study: str) -> set[int]:
    """Seeds of a study in a configuration of the project."""
    grids = read_config(name)["studies"][study]["grids"]
    return {seed for grid in grids for seed in grid["seeds"]}


@dataclass(frozen=True)
class World:
    """Tables of one study, by name, and what it is judged by."""

    study: str
    claims: ClaimSet
    tables: Tables
    analysis: Analysis

    def judged(self) -> pd.DataFrame:
        """Table ``claims`` by claim."""
        judged = judge_study(self.study, self.tables, self.claims, self.claims.kind, self.analysis)
        return judged.claims.set_index("claim")

    def verdicts(self) -> dict[str, str]:
        """Verdict on each claim."""
        return dict(self.judged()["verdict"])

    def of(self, keep: Callable[[pd.DataFrame], Any]) -> World:
        """The same with some runs only, by their key."""
        return replace(self, tables={name: of[keep(of)] for name, of in self.tables.items()})

    def seeds(self, seeds: Collection[int]) -> World:
        """The same with some seeds only."""
        return self.of(lambda table: table["seed"].isin(seeds))

    def but(self, table: str, **columns: Any) -> World:
        """The same with other columns of a table."""
        changed = self.tables[table].assign(**columns)
        kept = changed.astype(self.tables[table].dtypes)
        return replace(self, tables=self.tables | {table: kept})


def world(config: Configuration, study: str, trace_of: Callable[[RunSpec], Trace]) -> World:
    """A study of a configuration, measured on synthetic traces."""
    settings = config.studies[study]
    specs = {key: spec for key, spec in expand_runs(config).items() if key.study == study}
    parts: list[Tables] = []
    for keys in panels(specs).values():
        traces = [trace_of(specs[key]) for key in keys]
        parts.append(dict(measure_panel(traces, config.analysis).tables))
        if KINDS[settings.kind].has_variants:
            parts[-1]["variants"] = variants_table(traces, config.analysis)
    tables = {name: concatenate([part[name] for part in parts], name) for name in parts[0]}
    return World(study, PUBLISHED[str(settings.claims)], tables, config.analysis)


def random(spec: RunSpec, draw: int = 0) -> np.random.Generator:
    """Of a run: runs of other cells and seeds, and of other draws, are independent."""
    fraction, decay = (int(1000 * float(x)) for x in (spec.train_fraction, spec.weight_decay))
    task = sorted([*SIZES, "cubic_regression"]).index(spec.task)
    return np.random.default_rng([draw, spec.seed, task, spec.depth, fraction, decay, spec.width])


def sizes(spec: RunSpec) -> dict[str, int]:
    """Samples of a run."""
    size = SIZES.get(spec.task, 1000)
    n_train = round(size * float(spec.train_fraction))
    return {"n_train": n_train, "n_test": size - n_train}


def sigmoid(t: Array, centre: float, width: float) -> Array:
    return 1 / (1 + np.exp(-np.clip((t - centre) / width, -50, 50)))


def even_noise(rng: np.random.Generator, n: int, size: float = 0.005) -> Array:
    """Factors around 1 that never alarm: second differences stay within 2 standard deviations."""
    return 1 + size * rng.choice([-1.0, 1.0], n)


# ------------------------------------------------------------------- lead_lag

PEAKS = {"0.5": 500, "0.7": 450, "0.9": 350}
LAGS = {"0.5": 640, "0.7": 200, "0.9": 60}


def lead_lag_trace(spec: RunSpec) -> Trace:
    """LL1-LL5: the norm peaks before the metric turns, sooner with more data, but for controls."""
    rng, t = random(spec), np.arange(spec.steps + 1.0)
    if spec.task == "sine_regression":
        test, norm = 1 - np.exp(-t / 30), 0.1 + np.exp(-t / 200)
    else:
        peak = PEAKS[spec.train_fraction] + rng.integers(-20, 21)
        turn = peak + LAGS[spec.train_fraction] * rng.uniform(0.8, 1.2)
        test = 0.01 + 0.9 * sigmoid(t, turn, 40)
        norm = 1.2 - sigmoid(t, turn, 150) + 0.8 * np.exp(-(((t - peak) / 120) ** 2))
    noise = rng.normal(0, 0.002, len(t))
    return make_trace(
        spec,
        train_metric=sigmoid(t, 100, 10),
        test_metric=test,
        grad_norm=norm + noise,
        info=sizes(spec),
    )


# ------------------------------------------------------------------------ gai

DEPTHS = (2, 3, 4, 6, 8)


def gai_study(own_seeds: int) -> dict[str, Any]:
    """Every published depth with seeds of its own, and seed 0 of each; a regression arm."""
    base = {"weight_decays": [1.0], "widths": [64], "steps": 4000, "train_fractions": [0.7]}
    grids = [
        base
        | {"tasks": ["s5_composition" if depth == 3 else "modular_addition"], "depths": [depth]}
        | {"seeds": [0, *range(100 * depth, 100 * depth + own_seeds)]}
        for depth in DEPTHS
    ]
    grids.append(base | {"tasks": ["cubic_regression"], "depths": [2], "seeds": [0, 1, 2]})
    return read_config("config")["studies"]["gai"] | {"grids": grids}


def gai_trace(spec: RunSpec, draw: int = 0, warns: bool = True, deep: bool = True) -> Trace:
    """GAI1-GAI8: a spike about 300 steps before onset, from the last layer to the first, the
    larger the better the run ends; a rank that falls by 40% at onset.

    Seed 0 of each cell never generalises, and does not spike; nor do depths 6 and 8 if not `deep`.
    If not `warns`, spikes have nothing to do with onsets, accuracies, layers and ranks.
    """
    rng = random(spec, draw)
    if spec.task == "cubic_regression":
        return _regression(spec, rng)
    general = spec.seed != 0 and (deep or spec.depth < 6)
    onset = 10 * int(rng.integers(120, 200))
    # As early stopping would: a test accuracy of 0.99 has been held for so long.
    t = np.arange((onset + 1020 if general else spec.steps) + 1.0)
    good = rng.uniform(0.05, 1)
    test = np.full(len(t), 0.1)
    if general:
        # At 0.95 at the onset, at its last value 20 steps later.
        test = np.interp(t, [onset - 100, onset, onset + 20], [0.1, 0.95, 0.99 + 0.01 * good])
    spike, size = onset - 300 + rng.integers(-60, 61), good
    order = np.arange(spec.depth)[::-1]  # steps behind the last layer, in tens
    if not warns:
        spike, size = rng.integers(600, len(t)), rng.uniform(0.05, 1)
        order = rng.permutation(spec.depth)
    jumps = np.full(spec.depth, 0.08)
    # The layer that comes first lifts the combined norm by 10 to 30%.
    lift = (1.1 + 0.2 * size) ** 2
    jumps[order == 0] = np.sqrt(1 + spec.depth * (lift - 1)) - 1
    if not general and warns:
        jumps[:] = 0
    starts = spike + 10 * order
    layers = 1 + jumps[:, None] * (t >= starts[:, None])
    layers *= even_noise(rng, len(t))
    fall = 0.4 * rng.uniform(0.85, 1.15) if general and warns else 0.0
    rank = 40 * (1 - fall * (t >= onset)) * (1 + rng.normal(0, 0.005, len(t)))
    of_layers = {f"grad_norm_{k}": values for k, values in enumerate(layers, start=1)}
    of_layers |= {f"effective_rank_{k}": rank for k in range(1, spec.depth + 1)}
    return make_trace(
        spec,
        train_metric=sigmoid(t, 150, 10),
        test_metric=test,
        grad_norm=np.sqrt((layers**2).sum(axis=0)),
        info=sizes(spec),
        **of_layers,
    )


def _regression(spec: RunSpec, rng: np.random.Generator) -> Trace:
    """A run that learns and generalises at once."""
    t = np.arange(1201.0)
    metric = sigmoid(t, 150, 10)
    noise = even_noise(rng, len(t))
    return make_trace(
        spec, train_metric=metric, test_metric=metric, grad_norm=noise, info=sizes(spec)
    )


# --------------------------------------------------------------- phase_diagram

GROKKING = {
    ("0.0", "0.9", 32),
    ("0.0", "0.7", 64),
    ("0.001", "0.9", 32),
    ("0.01", "0.9", 16),
    ("0.01", "0.9", 32),
    ("0.1", "0.9", 16),
    ("0.1", "0.9", 32),
    ("0.1", "0.7", 32),
    ("0.1", "0.7", 64),
}
"""Nine runs of each seed, by weight decay, train fraction and width."""
COMPREHENSION = {
    ("0.0", "0.9", 64),
    ("0.001", "0.9", 64),
    ("0.01", "0.9", 64),
    ("0.1", "0.9", 64),
    ("1.0", "0.9", 32),
    ("1.0", "0.9", 64),
    ("1.0", "0.7", 32),
    ("1.0", "0.7", 64),
}


def published_phase(spec: RunSpec) -> str:
    """Phase of a run in which PD1-PD7 are true."""
    cell = (spec.weight_decay, spec.train_fraction, spec.width)
    if cell in GROKKING:
        return "grokking"
    if cell in COMPREHENSION:
        return "comprehension"
    return "confusion" if spec.weight_decay == "1.0" else "memorisation"


def phase_trace(spec: RunSpec) -> Trace:
    """PD1-PD7: a run of its phase."""
    phase, rng = published_phase(spec), random(spec)
    train = 100 * int(rng.integers(2, 5))
    gap = 100 * int(rng.integers(4, 9)) if phase == "grokking" else 100
    end = train + gap + 100 if phase in ("grokking", "comprehension") else spec.steps
    t = np.arange(end + 1)
    return make_trace(
        spec,
        train_metric=np.where(t >= train, 1.0, 0.3) if phase != "confusion" else 0.5 + 0 * t,
        test_metric=np.where(t >= train + gap, 1.0, 0.1) if end < spec.steps else 0.1 + 0 * t,
        grad_norm=even_noise(rng, len(t)),
        info=sizes(spec),
    )


def only(changed: Mapping[str, str], now: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Assert that the verdicts of `changed` are so, and that no other changed."""
    assert dict(now) == dict(before) | dict(changed)


def none_holds(verdicts: Mapping[str, str], but: Iterable[str] = ()) -> None:
    """Assert that no claim holds, except for some."""
    assert {claim for claim, verdict in verdicts.items() if verdict == HOLDS} == set(but)
