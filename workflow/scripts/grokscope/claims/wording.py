"""Chance in words: which null models an alarm beats, and what it then knows.

Input: p-values, as the table ``chance`` has them. Output: p-values by null model, and sentences.

Four null models, from the least to the most that they know: ``random`` has as many alarms at
random steps; ``shifted`` has the run's own alarms, shifted; ``swapped`` has the alarms of another
seed of the cell; ``constant_time`` has one alarm at a typical time. Who beats the first two but
not the others knows when such runs grok, not when this one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grokscope.claims.rows import records, select
from grokscope.core.formatting import listed

NULLS = {
    "random": "chance",
    "shifted": "shifted alarms",
    "swapped": "other seeds' alarms",
    "constant_time": "a constant time",
}
NOTHING = "nothing to compare with chance"


def null_rows(chance: pd.DataFrame, **where: Any) -> dict[str, dict[str, Any]]:
    """Rows of one score by null model; those without p-value are left out."""
    rows = select(chance, **where)
    return {row["null_model"]: row for row in records(rows[rows["p"].notna()])}


def p_values(rows: Mapping[str, Mapping[str, Any]], alpha: float) -> dict[str, float]:
    """p-value by null model, of :func:`null_rows`.

    Without null models that even a perfect detector could not beat: nothing follows from their p.
    """
    return {name: float(row["p"]) for name, row in rows.items() if can_beat(row["p_best"], alpha)}


def can_beat(p_best: float | None, alpha: float) -> bool:
    """Whether a perfect detector could be told from chance; null or NaN: it is not known to."""
    return p_best is not None and p_best < alpha


def beaten(p: Mapping[str, float], alpha: float) -> str:
    """Which null models are beaten: "beats chance and shifted alarms but not a constant time"."""
    yes = [name for model, name in NULLS.items() if p.get(model, 1.0) < alpha]
    no = [name for model, name in NULLS.items() if p.get(model, 0.0) >= alpha]
    if not yes:
        return f"does not beat {listed(no, 'or')}" if no else f"has {NOTHING}"
    return f"beats {listed(yes, 'and')}" + (f" but not {listed(no, 'or')}" if no else "")


def knowledge(p: Mapping[str, float], alpha: float) -> str:
    """What an alarm with these p-values knows, as a clause."""
    wins = {model for model in NULLS if p.get(model, 1.0) < alpha}
    losses = {model for model in NULLS if p.get(model, 0.0) >= alpha}
    if not wins | losses:
        return NOTHING
    if "random" not in wins:
        return "not shown to be better than chance"
    if "shifted" not in wins:
        return "it may know which runs grok, not when"
    if {"swapped", "constant_time"} <= wins:
        return "it knows when this run groks"
    if {"swapped", "constant_time"} & losses:
        return "it knows when such runs grok, not when this one does"
    return "it knows when such runs grok; there is nothing to tell whether it knows more"


def sentence(p: Mapping[str, float], alpha: float) -> str:
    """Both: "beats chance but not ...: it knows ..."."""
    if not p:
        return f"has {NOTHING}"
    return f"{beaten(p, alpha)}: {knowledge(p, alpha)}"
