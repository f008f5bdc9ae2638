"""LL1-LL5: gradient-norm peaks precede generalisation (Du & Ji 2026).

Input: :class:`grokscope.claims.evidence.Evidence`. Output: one finding per claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.evidence import Evidence
from grokscope.claims.registry import Finding, NotTestable, Scale, Values, claim
from grokscope.claims.rows import groups
from grokscope.core.formatting import number, span, steps
from grokscope.evaluate.statistics import Interval, Rows, spearman
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
    return float(cell[KEY_COLUMNS.index("train_fraction")])


def _mean_interval(evidence: Evidence, rows: pd.DataFrame, quantity: str) -> Interval:
    values = rows[quantity].to_numpy(float)
    return evidence.interval(rows, lambda index: float(values[index].mean()))


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
        mean, interval = float(group[quantity].mean()), _mean_interval(evidence, group, quantity)
        if interval.low is not None:
            parts.append(
                f"{show(mean)} ({span(interval.low, interval.high, show)}) at {_fraction(cell):g}"
            )
    seeds = rows["seed"].nunique()
    text = f" Over {seeds} seeds, those of fewer steps included, the means are "
    return f"{text}{', '.join(parts)}." if parts else ""


def _turns(rows: pd.DataFrame) -> str:
    """How good the runs are at their 'transition', and what the onset says instead."""
    levels = rows.sort_values("train_fraction")
    levels = levels[levels["metric_at_transition"].notna()]
    pairs = zip(levels["metric_at_transition"], levels["train_fraction"], strict=True)
    at = ", ".join(f"{level:.2f} at {fraction:g}" for level, fraction in pairs)
    onset = rows["onset_lag"].dropna()
    censored = int(rows["test_onset_censored"].sum())
    text = f" The test metric at the steepest slope is {at}." if at else ""
    if onset.empty:
        return f"{text} No run reaches an onset: all {censored} onset-based lags are censored."
    text += f" Onset-based lags: {', '.join(steps(lag) for lag in sorted(onset))} steps"
    return f"{text}; {censored} of {len(rows)} runs are censored (no onset in their steps)."


def _boundary(rows: pd.DataFrame) -> str:
    at = int(rows["grad_peak_at_boundary"].fillna(False).sum())
    if not at:
        return ""
    return f" The peak sits on the skip boundary, and so is none, in {at} of {len(rows)} runs."


@claim("LL1", quantity="smallest lag over the fractions", unit="steps", scale=PRIMARY)
def primary_lag(evidence: Evidence, values: Values) -> Finding:
    """LL1: lag > 0 in every primary run."""
    rows = _primary(evidence, "lag")
    cells = _cells(rows)
    means = _means(cells, "lag")
    smallest = cells[min(means, key=means.__getitem__)]
    positive = int((rows["lag"] > 0).sum())
    return Finding(
        measured=float(min(means.values())),
        interval=_mean_interval(evidence, smallest, "lag"),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=positive == len(rows),
        reason=f"The lag is positive in {positive} of {len(rows)} primary runs: "
        f"{_each(means, steps, values['lag'])}."
        + _over_seeds(evidence, PRIMARY, "lag", steps)
        + _undefined(evidence, PRIMARY, "lag")
        + _boundary(rows)
        + _turns(rows),
    )


@claim("LL2", quantity="smallest mean lag over the fractions", unit="steps", scale=REPLICATION)
def replicated_lag(evidence: Evidence, values: Values) -> Finding:
    """LL2: mean lag > 0 at every fraction, and every seed's."""
    rows = _lead_lag(evidence, REPLICATION, "replication_lag")
    cells = _cells(rows)
    means = _means(cells, "replication_lag")
    smallest = cells[min(means, key=means.__getitem__)]
    parts = []
    for cell, mean in means.items():
        lags = cells[cell]["replication_lag"]
        spread = f" ± {lags.std():.1f}" if len(lags) > 1 else ""
        name = f"{_fraction(cell):g}"
        text = f"{mean:.1f}{spread} ({lags.min():.0f} to {lags.max():.0f}) at {name}"
        if name in values["mean"]:
            text += (
                f" [published {values['mean'][name]:.1f} ± {values['sd'][name]:.1f} "
                f"({values['min'][name]} to {values['max'][name]})]"
            )
        parts.append(text)
    positive = int((rows["replication_lag"] > 0).sum())
    fewest = min(group["seed"].nunique() for group in cells.values())
    return Finding(
        measured=float(min(means.values())),
        interval=_mean_interval(evidence, smallest, "replication_lag"),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=all(mean > 0 for mean in means.values()) and positive == len(rows),
        testable=fewest >= REPLICATION.seeds,
        reason=f"The lag is positive in {positive} of {len(rows)} runs; mean ± standard "
        f"deviation (smallest to largest) over seeds: {', '.join(parts)}."
        + (
            f" A fraction has {fewest} seed(s) with a lag; {REPLICATION.seeds} are needed."
            if fewest < REPLICATION.seeds
            else ""
        )
        + _undefined(evidence, REPLICATION, "replication_lag"),
    )


@claim("LL3", quantity="largest lag in the control", unit="steps", scale=CONTROL)
def control_lag(evidence: Evidence, values: Values) -> Finding:
    """LL3: lag <= 0 in the regression control."""
    rows = _primary(evidence, "lag", CONTROL)
    cells = _cells(rows)
    means = _means(cells, "lag")
    largest = cells[max(means, key=means.__getitem__)]
    negative = int((rows["lag"] <= 0).sum())
    boundary = _boundary(rows)
    if boundary:
        boundary += " There the sign of the lag follows from the rule that skips the start."
    return Finding(
        measured=float(max(means.values())),
        interval=_mean_interval(evidence, largest, "lag"),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=negative == len(rows),
        reason=f"The lag is zero or negative in {negative} of {len(rows)} control runs: "
        f"{_each(means, steps, values['lag'])}."
        + _over_seeds(evidence, CONTROL, "lag", steps)
        + _undefined(evidence, CONTROL, "lag")
        + boundary,
    )


@claim("LL4", quantity="weakest Pearson r over the fractions", unit="r", scale=PRIMARY)
def anticorrelation(evidence: Evidence, values: Values) -> Finding:
    """LL4: r in the published range, which is rounded to two decimals."""
    rows = _primary(evidence, "pearson_r")
    cells = _cells(rows)
    means = _means(cells, "pearson_r")
    weakest = cells[max(means, key=means.__getitem__)]
    rounded = rows["pearson_r"].round(2)
    inside = int(rounded.between(values["low"], values["high"]).sum())
    return Finding(
        measured=float(max(means.values())),
        interval=_mean_interval(evidence, weakest, "pearson_r"),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=inside == len(rows),
        reason=f"r, rounded to two decimals, lies in [{values['low']}, {values['high']}] in "
        f"{inside} of {len(rows)} primary runs: {_each(means, number, values['r'])}."
        + _over_seeds(evidence, PRIMARY, "pearson_r", number)
        + _undefined(evidence, PRIMARY, "pearson_r"),
    )


@claim("LL5", quantity="Spearman correlation of fraction and mean lag", unit="r", scale=PRIMARY)
def lag_falls(evidence: Evidence, values: Values) -> Finding:
    """LL5: the lag falls strictly with the fraction, in the primary runs and in the means."""
    primary = _means(_cells(_primary(evidence, "lag")), "lag")
    rows = _lead_lag(evidence, ANY_SEEDS, "replication_lag")
    means = _means(_cells(rows), "replication_lag")
    if len(means) < 2:
        raise NotTestable("A fall needs at least two train fractions.")
    fraction = rows["train_fraction"].to_numpy(float)
    lag = rows["replication_lag"].to_numpy(float)
    levels = np.unique(fraction)

    def rank_correlation(index: Rows) -> float:
        at, lags = fraction[index], lag[index]
        present = [level for level in levels if (at == level).any()]
        mean = np.array([lags[at == level].mean() for level in present])
        return spearman(np.array(present), mean)

    everything = np.arange(len(rows))
    measured = rank_correlation(everything)
    if math.isnan(measured):
        raise NotTestable(
            f"A rank correlation needs three fractions and lags that differ; there are "
            f"{len(levels)} fractions."
        )
    falls = [bool((np.diff(list(found.values())) < 0).all()) for found in (primary, means)]
    verbs = ["falls" if fall else "does not fall" for fall in falls]
    seeds = rows["seed"].nunique()
    return Finding(
        measured=measured,
        interval=evidence.interval(rows, rank_correlation),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=all(falls),
        reason=f"The mean lag over {seeds} seed(s) {verbs[1]} from each fraction to the next: "
        f"{_each(means, steps, values['mean'])}. That of the primary runs {verbs[0]}: "
        f"{_each(primary, steps)}.",
    )
