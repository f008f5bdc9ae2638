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


def published_lags(published: Published, task: str) -> dict[float, list[PublishedLag]]:
    """Published lags of a task by train fraction, ascending.

    Of the primary task, the lag of one seed (LL1) and mean, minimum and maximum over three seeds
    (LL2) are published. The third value follows from the mean; which of the other two belongs to
    which of the other seeds does not. Of the control, one seed (LL3).
    """
    found: dict[float, list[PublishedLag]] = {}
    primary = [values for values in published.values() if values.get("task") == task]
    for values in primary:
        for fraction, lag in values.get("lag", {}).items():
            found[float(fraction)] = [PublishedLag(lag, values["seed"])]
    for values in primary:
        for fraction, mean in values.get("mean", {}).items():
            low, high = values["min"][fraction], values["max"][fraction]
            lags = [low, round(3 * mean - low - high), high]
            stated = found.get(float(fraction), [])
            if stated and stated[0].steps in lags:
                lags.remove(stated[0].steps)
                stated += [PublishedLag(lag, None) for lag in lags]
    return {fraction: sorted(lags, key=lambda lag: lag.steps) for fraction, lags in found.items()}
