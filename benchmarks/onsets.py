"""Onsets of many seeds by one trainer and by another, compared as distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.common import Table, Wanted
from benchmarks.step_time import GAI, Case
from grokscope.runs.spec import RunSpec
from grokscope.train.loop import train
from synthetic import make_spec

SEEDS = 30
METHOD = (
    "The same seeds everywhere; two-sample Kolmogorov-Smirnov test against the first. With "
    f"{SEEDS} seeds each it rejects at the level 0.05 from D = 0.37."
)


def onset_specs(quick: bool) -> list[RunSpec]:
    """Runs that generalise within some 700 steps; they end where 95% of the test set is right."""
    rule = {"metrics": ["test"], "threshold": 0.95, "hold_steps": 0}
    spec = make_spec(
        **GAI,
        p=59,
        width=128,
        train_fraction=0.8,
        learning_rate=3e-3,
        early_stop=rule,
        steps=900 if quick else 3000,
    )
    return Case("onsets", spec).specs(4 if quick else SEEDS)


def onset_steps(specs: Sequence[RunSpec]) -> list[int]:
    """Step at which each run ends."""
    return [len(result.columns["step"]) - 1 for result in train(specs)]


def compared_onsets(found: Mapping[str, Sequence[int]], steps: int) -> tuple[Table, list[Wanted]]:
    """A row per trainer, and whether each agrees with the first.

    Parameters
    ----------
    found
        Step at which each run ended, by trainer.
    steps
        At which a run ends that has not generalised.
    """
    first = next(iter(found))
    rows, wanted = [], []
    for name, values in found.items():
        test = ks_2samp(found[first], values)
        quartiles = np.percentile(values, [25, 50, 75])
        ended = sum(value < steps for value in values)
        rows.append(
            [name, f"{ended} of {len(values)}", *[f"{q:,.0f}" for q in quartiles]]
            + (["", ""] if name == first else [f"{test.statistic:.2f}", f"{test.pvalue:.2f}"])
        )
        if name != first:
            wanted.append(
                Wanted(
                    f"onsets of {len(values)} seeds, {name} against {first} (Kolmogorov-Smirnov)",
                    "p > 0.05",
                    f"p = {test.pvalue:.2f}",
                    bool(test.pvalue > 0.05),
                )
            )
    columns = ["where", "generalised", "first quartile", "median", "third quartile", "D", "p"]
    caption = (
        "Step at which 95% of the test set is right, p = 59, width 128, depth 2, fraction 0.8, "
        "learning rate 0.003; runs that do not get there count as their last step:"
    )
    return Table(columns, rows, dict(found), caption), wanted
