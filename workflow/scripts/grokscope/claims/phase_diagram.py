"""PD1-PD7: four phases over weight decay, data and width.

Input: :class:`grokscope.claims.evidence.Evidence`. Output: one finding per claim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.evidence import Evidence
from grokscope.claims.registry import Finding, NotTestable, Scale, Values, claim
from grokscope.core.formatting import number, steps
from grokscope.evaluate.statistics import NO_INTERVAL, Interval, Rows
from grokscope.measure.phases import GENERALISING, PHASES

# The published ones; a run that diverged has none of them.
FOUR = tuple(phase for phase in PHASES if phase != "diverged")

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


def _per_seed(evidence: Evidence, rows: pd.DataFrame, flags: pd.Series) -> Interval:
    """Interval of the mean number of flagged runs per seed."""
    flag, seed = flags.to_numpy(bool), rows["seed"].to_numpy()
    counts = pd.DataFrame({"seed": np.unique(seed)})
    number = np.array([flag[seed == value].sum() for value in counts["seed"]], float)
    return evidence.interval(counts, lambda index: float(number[index].mean()))


def _equals(measured: float, interval: Interval, published: float) -> bool:
    """Whether a count is the published one, or the interval of its mean contains it."""
    if interval.low is None or interval.high is None:
        return measured == published
    return interval.low <= published <= interval.high


def _counts(rows: pd.DataFrame) -> str:
    found = rows["phase"].value_counts()
    return ", ".join(f"{name} {found[name]}" for name in PHASES if name in found)


def _generalises(rows: pd.DataFrame) -> pd.Series:
    return rows["phase"].isin(GENERALISING)


@claim("PD1", quantity="generalising runs at fraction 0.5 or less", unit="runs", scale=PHASE_GRID)
def little_data(evidence: Evidence, values: Values) -> Finding:
    """PD1: no run with fraction <= 0.5 generalises."""
    rows = _phases(evidence)
    rows = rows[rows["train_fraction"] <= 0.5].reset_index(drop=True)
    if rows.empty:
        raise NotTestable("No run has a train fraction of 0.5 or less.")
    general = _generalises(rows)
    seeds = rows["seed"].nunique()
    best = rows["final_test_metric"].astype(float).max()
    return Finding(
        measured=float(general.sum()) / seeds,
        interval=_per_seed(evidence, rows, general),
        n=len(rows),
        seeds=seeds,
        holds=not general.any(),
        reason=f"{int(general.sum())} of {len(rows)} runs at train fraction 0.5 or less "
        f"generalise ({_counts(rows)}); the best ends at a test accuracy of {number(best)}.",
    )


@claim("PD2", quantity="share generalising at fraction 0.9", unit="share", scale=PHASE_GRID)
def much_data(evidence: Evidence, values: Values) -> Finding:
    """PD2: more than half of the runs at fraction 0.9 generalise."""
    rows = _phases(evidence, train_fraction=[0.9])
    general = _generalises(rows).to_numpy()
    return Finding(
        measured=float(general.mean()),
        interval=evidence.interval(rows, lambda index: float(general[index].mean())),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=bool(general.mean() > 0.5),
        reason=f"{int(general.sum())} of {len(rows)} runs at train fraction 0.9 generalise "
        f"({_counts(rows)}).",
    )


@claim("PD3", quantity="grokking runs", unit="runs", scale=PHASE_GRID)
def grokking_runs(evidence: Evidence, values: Values) -> Finding:
    """PD3: 9 runs of the grid grok, 7 of them at moderate weight decay."""
    rows = _phases(evidence)
    grok = rows["phase"] == "grokking"
    moderate = grok & rows["weight_decay"].between(0.001, 0.1)
    seeds = rows["seed"].nunique()
    measured, inside = float(grok.sum()) / seeds, float(moderate.sum()) / seeds
    interval = _per_seed(evidence, rows, grok)
    of_them = _per_seed(evidence, rows, moderate)
    each = "" if seeds == 1 else f" per seed ({seeds} seeds)"
    return Finding(
        measured=measured,
        interval=interval,
        n=len(rows),
        seeds=seeds,
        holds=_equals(measured, interval, values["grokking"])
        and _equals(inside, of_them, values["moderate"]),
        reason=f"{steps(measured)} of {len(rows) // seeds} runs{each} grok "
        f"(published {values['grokking']}), {steps(inside)} of them at weight decay "
        f"0.001-0.1 (published {values['moderate']}). All runs: {_counts(rows)}.",
    )


@claim("PD4", quantity="generalising runs at weight decay 0", unit="runs", scale=PHASE_GRID)
def no_decay(evidence: Evidence, values: Values) -> Finding:
    """PD4: at weight decay 0 two runs grok and one comprehends, all wide and with much data."""
    rows = _phases(evidence, weight_decay=[0.0])
    seeds = rows["seed"].nunique()
    general = _generalises(rows)
    number = {phase: rows["phase"] == phase for phase in GENERALISING}
    as_published = [
        _equals(float(flags.sum()) / seeds, _per_seed(evidence, rows, flags), values[phase])
        for phase, flags in number.items()
    ]
    outside = general & ~((rows["width"] >= 32) & (rows["train_fraction"] >= 0.7))
    return Finding(
        measured=float(general.sum()) / seeds,
        interval=_per_seed(evidence, rows, general),
        n=len(rows),
        seeds=seeds,
        holds=all(as_published) and not outside.any(),
        reason=f"Of {len(rows)} runs at weight decay 0 ({seeds} seed(s)) grok: "
        f"{int(number['grokking'].sum())} (published {values['grokking']}), comprehend: "
        f"{int(number['comprehension'].sum())} (published {values['comprehension']}); with h < 32 "
        f"or a train fraction below 0.7 among these: {int(outside.sum())}.",
    )


@claim("PD5", quantity="grokking runs at weight decay 1.0", unit="runs", scale=PHASE_GRID)
def strong_decay(evidence: Evidence, values: Values) -> Finding:
    """PD5: at weight decay 1.0 no run groks, and comprehension is at high fraction and width."""
    rows = _phases(evidence, weight_decay=[1.0])
    seeds = rows["seed"].nunique()
    grok, comprehend = (rows["phase"] == phase for phase in GENERALISING)
    high = (rows["width"] >= 32) & (rows["train_fraction"] >= 0.7)
    return Finding(
        measured=float(grok.sum()) / seeds,
        interval=_per_seed(evidence, rows, grok),
        n=len(rows),
        seeds=seeds,
        holds=not grok.any() and bool(comprehend.any()) and not (comprehend & ~high).any(),
        reason=f"Of {len(rows)} runs at weight decay 1.0 grok: {int(grok.sum())}, comprehend: "
        f"{int(comprehend.sum())}; with h ≥ 32 and a train fraction of at least 0.7 among the "
        f"latter: {int((comprehend & high).sum())}. All: {_counts(rows)}.",
    )


@claim(
    "PD6",
    quantity="share generalising at h = 32 and 64 minus that at h = 16",
    unit="share",
    scale=PHASE_GRID,
)
def wide_networks(evidence: Evidence, values: Values) -> Finding:
    """PD6: both wider networks generalise in a larger share of runs than h = 16."""
    rows = _phases(evidence, width=[16, 32, 64])
    general, width = _generalises(rows).to_numpy(float), rows["width"].to_numpy(int)
    shares = {h: float(general[width == h].mean()) for h in (16, 32, 64) if (width == h).any()}
    if 16 not in shares or len(shares) < 2:
        raise NotTestable(f"The widths there are cannot be compared: {sorted(shares)}.")

    def difference(index: Rows) -> float:
        flags, h = general[index], width[index]
        return float(flags[h >= 32].mean() - flags[h == 16].mean())

    text = ", ".join(
        f"{int(general[width == h].sum())} of {int((width == h).sum())} at h = {h}" for h in shares
    )
    return Finding(
        measured=difference(np.arange(len(rows))),
        interval=evidence.interval(rows, difference),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=all(share > shares[16] for h, share in shares.items() if h != 16),
        reason=f"Runs that generalise: {text}.",
    )


@claim("PD7", quantity="phases that occur", unit="phases", scale=PHASE_GRID)
def all_phases(evidence: Evidence, values: Values) -> Finding:
    """PD7: all four phases occur."""
    rows = _phases(evidence)
    measured = float(len(set(rows["phase"]) & set(FOUR)))
    return Finding(
        measured=measured,
        interval=NO_INTERVAL,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=measured == len(FOUR),
        reason=f"Of the four phases {measured:.0f} occur: {_counts(rows)}. There is no interval: "
        "resampled runs can only have fewer kinds.",
    )
