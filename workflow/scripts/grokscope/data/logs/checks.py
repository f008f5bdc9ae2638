"""Checks: what cannot be a log of one whole training, each refusal with its reason."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from grokscope.data.logs.rows import Floats, LogError, Rows

Steps = NDArray[np.int64]
# Rows that W&B's run.history() draws unless it is told otherwise.
_WANDB_SAMPLE = 500
# Fewer distances between steps tell nothing about how they were chosen.
_FEWEST = 20


def check_values(
    where: str, steps: Steps, values: Mapping[str, Floats], names: Mapping[str, str]
) -> None:
    """Refuse values that cannot be what their column is.

    Raises
    ------
    LogError
        Naming column, value, step and, for percentages, how to say so.
    """
    for name, of in values.items():
        known = of[~np.isnan(of)]
        at = steps[~np.isnan(of)]
        if name.endswith("_metric") and known.max() > 1:
            place = int(known.argmax())
            percent = f"percent? Then: columns: {{{name}: {{column: {names[name]}, scale: 0.01}}}}"
            hint = (
                percent if known.max() <= 100 else "no share; name another column, or none: null"
            )
            raise LogError(
                f"{where}: column {names[name]!r}, taken as {name}, has {known[place]:g} at step "
                f"{at[place]:,}; allowed: at most 1 ({hint})"
            )
        if "_norm" in name and known.min() < 0:
            place = int(known.argmin())
            raise LogError(
                f"{where}: column {names[name]!r}, taken as {name}, has {known[place]:g} at step "
                f"{at[place]:,}; allowed: from 0 on (a logarithm is no norm)"
            )


def not_sampled(
    where: str, rows: Rows, step: str, steps: Steps, values: Mapping[str, Floats]
) -> None:
    """Refuse W&B's history where it is a random sample of what was logged.

    ``run.history()`` draws at most 500 rows, others at each call. Logged steps have one distance,
    or a few, or grow; drawn ones have many.

    Raises
    ------
    LogError
        Saying what to export instead.
    """
    is_wandb = step == "_step" or {"_runtime", "_timestamp"} & set(rows.columns)
    if not is_wandb or rows.complete or not values:
        return
    # The column with the most values: others may be logged more rarely.
    fullest = max(values.values(), key=lambda of: int((~np.isnan(of)).sum()))
    gaps = np.diff(steps[~np.isnan(fullest)])
    # Growing ones may shrink by one, for whole steps.
    if len(gaps) < _FEWEST or (np.diff(gaps) >= -1).all():
        return
    _, counts = np.unique(gaps, return_counts=True)
    irregular = counts.max() < 0.5 * len(gaps) and len(counts) > 5
    whole = len(rows) == _WANDB_SAMPLE and gaps.sum() >= _WANDB_SAMPLE and len(counts) > 2
    if irregular or whole:
        raise LogError(
            f"{where}: {len(rows)} rows at steps of {len(counts)} different distances: a random "
            "sample, as W&B's run.history() draws one, others at each call. Allowed: all rows, "
            "from run.scan_history() or the history artifact (parquet)"
        )
