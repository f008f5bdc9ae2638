"""Published numbers that figures show, from the claim set that a study is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from grokscope.claims.published import read_published

Published = Mapping[str, Mapping[str, Any]]
"""Published values by claim; empty for a study without claims."""


def published_values(path: str | Path, claims: str) -> Published:
    """Values of the claims of a set; none where the study names no set.

    Parameters
    ----------
    path
        ``claims.yaml``.
    claims
        Name of the set, or "".
    """
    if not claims:
        return {}
    return {claim.id: claim.values for claim in read_published(path)[claims].claims}


def published_range(published: Published, claim: str) -> tuple[float, float] | None:
    """Ends of a claim's published range; None where there is none."""
    values = published.get(claim, {})
    return (values["low"], values["high"]) if {"low", "high"} <= values.keys() else None


class PublishedLag(NamedTuple):
    """A published lag (steps), and its seed where that is stated."""

    steps: float
    seed: int | None


PRIMARY_TASK, CONTROL_TASK = "modular_addition", "sine_regression"
PRIMARY_SEED = 42


def published_lags(published: Published, task: str) -> dict[float, list[PublishedLag]]:
    """Published lags of a task by train fraction, ascending.

    Of modular addition, the lag of seed 42 (LL1) and mean, minimum and maximum over three seeds
    (LL2) are published. The third value follows from the mean; which of the two that are not of
    seed 42 belongs to which of the other seeds does not. Of the control, one seed (LL3).
    """
    claim = {PRIMARY_TASK: "LL1", CONTROL_TASK: "LL3"}.get(task)
    primary = published.get(claim, {}).get("lag", {}) if claim else {}
    found = {float(f): [PublishedLag(lag, PRIMARY_SEED)] for f, lag in primary.items()}
    seeds = published.get("LL2", {}) if task == PRIMARY_TASK else {}
    for fraction, mean in seeds.get("mean", {}).items():
        low, high = seeds["min"][fraction], seeds["max"][fraction]
        values = [low, round(3 * mean - low - high), high]
        if primary.get(fraction) in values:
            values.remove(primary[fraction])
            found[float(fraction)] += [PublishedLag(lag, None) for lag in values]
    return {fraction: sorted(lags, key=lambda lag: lag.steps) for fraction, lags in found.items()}
