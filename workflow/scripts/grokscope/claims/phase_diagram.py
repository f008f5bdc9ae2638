"""PD1-PD7: four phases over weight decay, data and width.

Input: :class:`grokscope.claims.evidence.Evidence`. Output: one finding per claim. What was
published of the runs of one seed is asked of every seed: whether most seeds show it, or whether
their mean is near the published number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.evidence import Evidence
from grokscope.claims.registry import Finding, NotTestable, Scale, Values, claim
from grokscope.claims.rules import POSITIVE, Condition, majority, mean, near, rule
from grokscope.core.formatting import number
from grokscope.evaluate.intervals import share_scatter
from grokscope.measure.phases import GENERALISING, PHASES

# The published ones.
FOUR = tuple(phase for phase in PHASES if phase not in ("collapsed", "diverged"))

PHASE_GRID = Scale(
    sizes={"modular_addition": 97**2},
    steps=2500,
    depths=(2,),
    train_fractions=(0.3, 0.5, 0.7, 0.9),
    weight_decays=(0.0, 0.001, 0.01, 0.1, 1.0),
    widths=(16, 32, 64),
)


def _phases(evidence: Evidence, **where: Any) -> pd.DataFrame:
    """Phases of the published grid (or of what there is), of some cells only."""
    rows = PHASE_GRID.select(evidence.of("phases"))
    for name, allowed in where.items():
        rows = rows[np.isclose(rows[name].to_numpy(float)[:, None], allowed).any(axis=1)]
    if rows.empty:
        cells = " and ".join(f"{name} {allowed}" for name, allowed in where.items())
        raise NotTestable(f"No run of modular addition has {cells or 'a phase'}.")
    return rows.reset_index(drop=True)


def _by_seed(rows: pd.DataFrame, flags: pd.Series) -> pd.Series:
    """Flagged runs of each seed, shape ``(n_seeds,)``, indexed by seed."""
    return flags.groupby(rows["seed"]).sum().astype(float)


def _most(shown: pd.Series) -> Condition:
    """That most seeds show what was published; one flag per seed."""
    return majority(int(shown.sum()), len(shown))


def count_near(counts: pd.Series, of: int, published: float, tolerance: float) -> Condition:
    """That the mean of counts among `of` runs, one a seed, is near the published one.

    Seeds scatter at least as counts of independent runs would.
    """
    scatter = of * share_scatter(counts / of, of)
    return mean(counts.index, counts, near(published, tolerance), scatter=scatter)


def larger(one: pd.Series, other: pd.Series, of: int) -> Condition:
    """That the mean of one share of `of` runs, one a seed, is larger than that of another."""
    scatter = math.hypot(share_scatter(one, of), share_scatter(other, of))
    return mean(one.index, one - other, POSITIVE, scatter=scatter)


def _count(rows: pd.DataFrame, flags: pd.Series, published: float, tolerance: float) -> Condition:
    """That the mean number of flagged runs per seed is near the published one."""
    of = int(rows.groupby("seed").size().max())
    return count_near(_by_seed(rows, flags), of, published, tolerance)


def _counts(rows: pd.DataFrame) -> str:
    found = rows["phase"].value_counts()
    return ", ".join(f"{name} {found[name]}" for name in PHASES if name in found)


def _generalises(rows: pd.DataFrame) -> pd.Series:
    return rows["phase"].isin(GENERALISING)


def _means(rows: pd.DataFrame, flags: pd.Series) -> str:
    """Mean number of flagged runs per seed, in words."""
    counts = _by_seed(rows, flags)
    if len(counts) == 1:
        return f"{counts.iloc[0]:.0f}"
    return f"{counts.mean():.1f} per seed ({counts.min():.0f} to {counts.max():.0f})"


@claim(
    "PD1",
    quantity="share of seeds of which no run at fraction 0.5 or less generalises",
    unit="share",
    scale=PHASE_GRID,
)
def little_data(evidence: Evidence, values: Values) -> Finding:
    """PD1: in most seeds no run with fraction <= 0.5 generalises."""
    rows = _phases(evidence)
    rows = rows[rows["train_fraction"] <= 0.5].reset_index(drop=True)
    if rows.empty:
        raise NotTestable("No run has a train fraction of 0.5 or less.")
    general = _generalises(rows)
    best = rows["final_test_metric"].astype(float).max()
    none = _by_seed(rows, general) == 0
    return Finding.of(
        [_most(none)],
        evidence.confidence,
        n=len(rows),
        seeds=len(none),
        reason=f"In {int(none.sum())} of {len(none)} seeds no run at train fraction 0.5 or less "
        f"generalises; {int(general.sum())} of all {len(rows)} do ({_counts(rows)}). The best "
        f"ends at a test accuracy of {number(best)}.",
    )


@claim(
    "PD2",
    quantity="share of seeds of which most runs at fraction 0.9 generalise",
    unit="share",
    scale=PHASE_GRID,
)
def much_data(evidence: Evidence, values: Values) -> Finding:
    """PD2: in most seeds more than half of the runs at fraction 0.9 generalise."""
    rows = _phases(evidence, train_fraction=[0.9])
    general = _generalises(rows)
    most = general.groupby(rows["seed"]).mean() > 0.5
    return Finding.of(
        [_most(most)],
        evidence.confidence,
        n=len(rows),
        seeds=len(most),
        reason=f"In {int(most.sum())} of {len(most)} seeds more than half of the runs at train "
        f"fraction 0.9 generalise; {int(general.sum())} of all {len(rows)} do ({_counts(rows)}).",
    )


@claim("PD3", quantity="mean number of grokking runs per seed", unit="runs", scale=PHASE_GRID)
def grokking_runs(evidence: Evidence, values: Values) -> Finding:
    """PD3: about 9 runs of a seed's grid grok, about 7 of them at moderate weight decay."""
    rows = _phases(evidence)
    grok = rows["phase"] == "grokking"
    moderate = grok & rows["weight_decay"].between(0.001, 0.1)
    tolerance = values["tolerance"]
    every = _count(rows, grok, values["grokking"], tolerance)
    conditions = [every, _count(rows, moderate, values["moderate"], tolerance)]
    return Finding(
        measured=every.estimate,
        interval=every.interval(evidence.confidence),
        n=len(rows),
        seeds=every.seeds,
        ruling=rule(conditions, evidence.confidence),
        reason=f"Of {len(rows) // every.seeds} runs of a seed grok {_means(rows, grok)} "
        f"(published {values['grokking']}), at weight decay 0.001-0.1 {_means(rows, moderate)} "
        f"(published {values['moderate']}). All runs: {_counts(rows)}.",
    )


@claim(
    "PD4",
    quantity="mean number of generalising runs per seed at weight decay 0",
    unit="runs",
    scale=PHASE_GRID,
)
def no_decay(evidence: Evidence, values: Values) -> Finding:
    """PD4: at weight decay 0 about two runs of a seed grok and one comprehends, all wide and with
    much data.
    """
    rows = _phases(evidence, weight_decay=[0.0])
    general = _generalises(rows)
    of_phase = {phase: rows["phase"] == phase for phase in GENERALISING}
    tolerance = values["tolerance"]
    counts = [_count(rows, flags, values[phase], tolerance) for phase, flags in of_phase.items()]
    outside = general & ~((rows["width"] >= 32) & (rows["train_fraction"] >= 0.7))
    every = _count(rows, general, values["grokking"] + values["comprehension"], 2 * tolerance)
    # Without the second part, no run at all would do: none is within the tolerance of few.
    as_published = (_by_seed(rows, outside) == 0) & (_by_seed(rows, general) > 0)
    return Finding(
        measured=every.estimate,
        interval=every.interval(evidence.confidence),
        n=len(rows),
        seeds=every.seeds,
        ruling=rule([*counts, _most(as_published)], evidence.confidence),
        reason=f"Of {len(rows) // every.seeds} runs of a seed at weight decay 0 grok: "
        f"{_means(rows, of_phase['grokking'])} (published {values['grokking']}), comprehend: "
        f"{_means(rows, of_phase['comprehension'])} (published {values['comprehension']}); "
        f"with h < 32 or a train fraction below 0.7 among these: {int(outside.sum())}. In "
        f"{int(as_published.sum())} of {len(as_published)} seeds there are some, and all as "
        "published.",
    )


@claim(
    "PD5",
    quantity="share of seeds without grokking and with comprehension at weight decay 1.0",
    unit="share",
    scale=PHASE_GRID,
)
def strong_decay(evidence: Evidence, values: Values) -> Finding:
    """PD5: at weight decay 1.0, in most seeds, no run groks, and comprehension occurs, at high
    fraction and width only.
    """
    rows = _phases(evidence, weight_decay=[1.0])
    grok, comprehend = (rows["phase"] == phase for phase in GENERALISING)
    high = (rows["width"] >= 32) & (rows["train_fraction"] >= 0.7)
    without = _by_seed(rows, grok | (comprehend & ~high)) == 0
    shown = without & (_by_seed(rows, comprehend) > 0)
    return Finding.of(
        [_most(shown)],
        evidence.confidence,
        n=len(rows),
        seeds=len(shown),
        reason=f"{int(shown.sum())} of {len(shown)} seeds show it. Of {len(rows)} runs at weight "
        f"decay 1.0 grok: {int(grok.sum())}, comprehend: {int(comprehend.sum())}; with h ≥ 32 and "
        f"a train fraction of at least 0.7 among the latter: {int((comprehend & high).sum())}. "
        f"All: {_counts(rows)}.",
    )


@claim(
    "PD6",
    quantity="smaller share generalising at h = 32 or 64, minus that at h = 16",
    unit="share",
    scale=PHASE_GRID,
)
def wide_networks(evidence: Evidence, values: Values) -> Finding:
    """PD6: of both wider networks a larger share of runs generalises than of h = 16."""
    rows = _phases(evidence, width=[16, 32, 64])
    general = _generalises(rows)
    shares = (
        rows.assign(general=general.astype(float))
        .pivot_table("general", "seed", "width", aggfunc="mean")
        .dropna()
    )
    if 16 not in shares or shares.shape[1] < 2 or shares.empty:
        found = sorted(rows["width"].unique())
        raise NotTestable(f"The widths there are cannot be compared: {found}.")
    of = int(rows.groupby(["seed", "width"]).size().max())
    total = rows.assign(general=general).groupby("width")["general"].agg(["sum", "size"])
    text = ", ".join(f"{n} of {size} at h = {h}" for h, n, size in total.itertuples())
    return Finding.of(
        [larger(of_width, shares[16], of) for _, of_width in shares.drop(columns=16).items()],
        evidence.confidence,
        n=len(rows),
        seeds=len(shares),
        reason=f"Runs that generalise: {text}.",
    )


@claim("PD7", quantity="share of seeds with all four phases", unit="share", scale=PHASE_GRID)
def all_phases(evidence: Evidence, values: Values) -> Finding:
    """PD7: all four phases occur among the runs of most seeds."""
    rows = _phases(evidence)
    phases = rows[rows["phase"].isin(FOUR)].groupby("seed")["phase"].nunique()
    shown = phases.reindex(rows["seed"].unique(), fill_value=0) == len(FOUR)
    return Finding.of(
        [_most(shown)],
        evidence.confidence,
        n=len(rows),
        seeds=len(shown),
        reason=f"All four phases occur in {int(shown.sum())} of {len(shown)} seeds; of all runs: "
        f"{_counts(rows)}.",
    )
