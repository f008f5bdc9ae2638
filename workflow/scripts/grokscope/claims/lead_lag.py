"""LL1-LL5: gradient-norm peaks precede generalisation (Du & Ji 2026).

Input: :class:`grokscope.claims.evidence.Evidence`. Output: one finding per claim. What was
published of one seed, or of three, is asked of all seeds: whether most of them show it, at every
train fraction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.evidence import Evidence
from grokscope.claims.registry import Finding, NotTestable, Scale, Values, claim
from grokscope.claims.rows import groups
from grokscope.claims.rules import POSITIVE, Condition, Region, majority, mean, rule
from grokscope.core.formatting import number, span, steps
from grokscope.runs.spec import KEY_COLUMNS, cell_columns

Cell = tuple[Any, ...]

PRIMARY = Scale(
    sizes={"modular_addition": 97**2},
    steps=3000,
    depths=(2,),
    train_fractions=(0.5, 0.7, 0.9),
    weight_decays=(0.1,),
    widths=(64,),
)
REPLICATION = replace(PRIMARY, steps=2000, seeds=3)
# The replication's cells with any number of seeds.
ANY_SEEDS = replace(REPLICATION, seeds=1)
CONTROL = replace(PRIMARY, sizes={"sine_regression": 2000})


def _lead_lag(evidence: Evidence, scale: Scale, quantity: str) -> pd.DataFrame:
    """Runs of the study at a scale in which a quantity is defined, as floats."""
    rows = scale.select(evidence.of("transitions"))
    rows = pd.DataFrame(rows[rows[quantity].notna()]).reset_index(drop=True)
    if rows.empty:
        raise NotTestable(f"No run has a {quantity.replace('_', ' ')}.")
    rows[quantity] = rows[quantity].astype(float)
    return rows


def _primary(evidence: Evidence, quantity: str, scale: Scale = PRIMARY) -> pd.DataFrame:
    """The runs of the most steps: in the published grid those of seed 42."""
    rows = _lead_lag(evidence, scale, quantity)
    longest = rows["max_steps"] == rows["max_steps"].max()
    return pd.DataFrame(rows[longest]).reset_index(drop=True)


def _undefined(evidence: Evidence, scale: Scale, quantity: str) -> str:
    """Sentence on the runs that lack the quantity; empty if none does."""
    rows = scale.select(evidence.of("transitions"))
    lacking = int(rows[quantity].isna().sum())
    if not lacking:
        return ""
    return f" In {lacking} of {len(rows)} runs it is undefined (a signal that never changes)."


def _cells(rows: pd.DataFrame) -> dict[Cell, pd.DataFrame]:
    """Runs of each cell, by ascending train fraction."""
    cells = dict(groups(rows, cell_columns(rows.columns)))
    return dict(sorted(cells.items(), key=lambda item: _fraction(item[0])))


def _means(cells: Mapping[Cell, pd.DataFrame], quantity: str) -> dict[Cell, float]:
    """Mean of the quantity in each cell."""
    return {cell: float(group[quantity].mean()) for cell, group in cells.items()}


def _fraction(cell: Cell) -> float:
    fraction = cell[KEY_COLUMNS.index("train_fraction")]
    return float("nan") if pd.isna(fraction) else float(fraction)


def _mean(rows: pd.DataFrame, quantity: str, region: Region) -> Condition:
    """That the mean over the seeds of a cell lies in a region."""
    return mean(rows["seed"], rows[quantity], region)


def _most(rows: pd.DataFrame, shown: pd.Series) -> Condition:
    """That most seeds of a cell show what was published, each in all of its runs."""
    by_seed = shown.groupby(rows["seed"]).all()
    return majority(int(by_seed.sum()), len(by_seed))


def _each(
    means: Mapping[Cell, float],
    show: Callable[[float], str],
    published: Mapping[str, float] | None = None,
) -> str:
    """Values by fraction: "699 at 0.5 (published 699), ..."."""
    parts = []
    for cell, value in means.items():
        fraction = _fraction(cell)
        text = f"{show(value)} at {fraction:g}"
        if published and f"{fraction:g}" in published:
            text += f" (published {published[f'{fraction:g}']:g})"
        parts.append(text)
    return ", ".join(parts)


def _over_seeds(
    evidence: Evidence, scale: Scale, quantity: str, show: Callable[[float], str]
) -> str:
    """Means and intervals over seeds, where runs of fewer steps add some; empty without them."""
    rows = _lead_lag(evidence, replace(scale, steps=0), quantity)
    if rows["max_steps"].nunique() < 2:
        return ""
    parts = []
    for cell, group in _cells(rows).items():
        found = _mean(group, quantity, Region())
        interval = found.interval(evidence.confidence)
        if interval.low is not None:
            value = show(found.estimate)
            parts.append(
                f"{value} ({span(interval.low, interval.high, show)}) at {_fraction(cell):g}"
            )
    seeds = rows["seed"].nunique()
    text = f" Over {seeds} seeds, those of fewer steps included, the means are "
    return f"{text}{', '.join(parts)}." if parts else ""


def _turns(rows: pd.DataFrame) -> str:
    """How good the runs are at their 'transition', and what the onset says instead."""
    levels = rows[rows["metric_at_transition"].notna()].groupby("train_fraction")
    means = levels["metric_at_transition"].mean()
    at = ", ".join(f"{level:.2f} at {fraction:g}" for fraction, level in means.items())
    onset = rows["onset_lag"].dropna()
    censored = int(rows["test_onset_censored"].sum())
    text = f" The mean test metric at the steepest slope is {at}." if at else ""
    if onset.empty:
        return f"{text} No run reaches an onset: all {censored} onset-based lags are censored."
    low, high = steps(onset.min()), steps(onset.max())
    text += f" Onset-based lags: {low} to {high} steps in {len(onset)} runs"
    return f"{text}; {censored} of {len(rows)} runs are censored (no onset in their steps)."


def _boundary(rows: pd.DataFrame) -> str:
    at = int(rows["grad_peak_at_boundary"].fillna(False).sum())
    if not at:
        return ""
    return f" The peak sits on the skip boundary, and so is none, in {at} of {len(rows)} runs."


@claim(
    "LL1",
    quantity="smallest share of seeds with a positive lag over the fractions",
    unit="share",
    scale=PRIMARY,
)
def primary_lag(evidence: Evidence, values: Values) -> Finding:
    """LL1: lag > 0 in the primary runs of most seeds, at every fraction."""
    rows = _primary(evidence, "lag")
    cells = _cells(rows)
    positive = int((rows["lag"] > 0).sum())
    return Finding.of(
        [_most(group, group["lag"] > 0) for group in cells.values()],
        evidence.confidence,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        reason=f"The lag is positive in {positive} of {len(rows)} primary runs, in the mean "
        f"{_each(_means(cells, 'lag'), steps, values['lag'])}."
        + _over_seeds(evidence, PRIMARY, "lag", steps)
        + _undefined(evidence, PRIMARY, "lag")
        + _boundary(rows)
        + _turns(rows),
    )


@claim("LL2", quantity="smallest mean lag over the fractions", unit="steps", scale=REPLICATION)
def replicated_lag(evidence: Evidence, values: Values) -> Finding:
    """LL2: at every fraction the mean lag is positive, and so is that of most seeds."""
    rows = _lead_lag(evidence, REPLICATION, "replication_lag")
    cells = _cells(rows)
    parts = []
    for cell, group in cells.items():
        lags = group["replication_lag"]
        spread = f" ± {lags.std():.1f}" if len(lags) > 1 else ""
        name = f"{_fraction(cell):g}"
        text = f"{lags.mean():.1f}{spread} ({lags.min():.0f} to {lags.max():.0f}) at {name}"
        if name in values["mean"]:
            text += (
                f" [published {values['mean'][name]:.1f} ± {values['sd'][name]:.1f} "
                f"({values['min'][name]} to {values['max'][name]})]"
            )
        parts.append(text)
    means = [_mean(group, "replication_lag", POSITIVE) for group in cells.values()]
    shares = [_most(group, group["replication_lag"] > 0) for group in cells.values()]
    positive = int((rows["replication_lag"] > 0).sum())
    smallest = min(means, key=Condition.room)
    return Finding(
        measured=smallest.estimate,
        interval=smallest.interval(evidence.confidence),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        ruling=rule([*means, *shares], evidence.confidence),
        reason=f"The lag is positive in {positive} of {len(rows)} runs; mean ± standard "
        f"deviation (smallest to largest) over seeds: {', '.join(parts)}."
        + _undefined(evidence, REPLICATION, "replication_lag"),
    )


@claim(
    "LL3",
    quantity="smallest share of seeds without a lead over the fractions",
    unit="share",
    scale=CONTROL,
)
def control_lag(evidence: Evidence, values: Values) -> Finding:
    """LL3: lag <= 0 in the regression control of most seeds, at every fraction."""
    rows = _primary(evidence, "lag", CONTROL)
    cells = _cells(rows)
    negative = int((rows["lag"] <= 0).sum())
    boundary = _boundary(rows)
    if boundary:
        boundary += " There the sign of the lag follows from the rule that skips the start."
    return Finding.of(
        [_most(group, group["lag"] <= 0) for group in cells.values()],
        evidence.confidence,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        reason=f"The lag is zero or negative in {negative} of {len(rows)} control runs, in the "
        f"mean {_each(_means(cells, 'lag'), steps, values['lag'])}."
        + _over_seeds(evidence, CONTROL, "lag", steps)
        + _undefined(evidence, CONTROL, "lag")
        + boundary,
    )


@claim("LL4", quantity="mean Pearson r farthest out over the fractions", unit="r", scale=PRIMARY)
def anticorrelation(evidence: Evidence, values: Values) -> Finding:
    """LL4: the mean r of every fraction in the published range, with a tolerance."""
    rows = _primary(evidence, "pearson_r")
    cells = _cells(rows)
    low, high = values["low"], values["high"]
    region = Region(low - values["tolerance"], high + values["tolerance"])
    inside = int(rows["pearson_r"].round(2).between(low, high).sum())
    return Finding.of(
        [_mean(group, "pearson_r", region) for group in cells.values()],
        evidence.confidence,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        reason=f"The mean r is {_each(_means(cells, 'pearson_r'), number, values['r'])}; rounded "
        f"to two decimals, r lies in [{low}, {high}] in {inside} of {len(rows)} primary runs."
        + _over_seeds(evidence, PRIMARY, "pearson_r", number)
        + _undefined(evidence, PRIMARY, "pearson_r"),
    )


@claim("LL5", quantity="share of seeds whose lag falls", unit="share", scale=ANY_SEEDS)
def lag_falls(evidence: Evidence, values: Values) -> Finding:
    """LL5: the lag falls from each fraction to the next in most seeds."""
    rows = _lead_lag(evidence, ANY_SEEDS, "replication_lag")
    # Other settings than the fraction, where they vary, are seeds' own.
    others = [name for name in cell_columns(rows.columns) if name != "train_fraction"]
    table = rows.pivot_table(
        "replication_lag", ["seed", *others], "train_fraction", dropna=False, aggfunc="mean"
    ).dropna()
    if table.shape[1] < 2 or table.empty:
        raise NotTestable("A fall needs a seed with at least two train fractions.")
    falls = pd.Series((np.diff(table.to_numpy(float), axis=1) < 0).all(axis=1), table.index)
    by_seed = falls.groupby("seed").all()
    means = _means(_cells(rows), "replication_lag")
    return Finding.of(
        [majority(int(by_seed.sum()), len(by_seed))],
        evidence.confidence,
        n=len(rows),
        seeds=len(by_seed),
        reason=f"The lag falls from each fraction to the next in {int(by_seed.sum())} of "
        f"{len(by_seed)} seeds; the means are {_each(means, steps, values['mean'])}.",
    )
