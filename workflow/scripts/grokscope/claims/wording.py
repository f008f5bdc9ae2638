"""Chance in words: which null models an alarm beats, and what it then knows.

Input: the table ``chance``. Output: p-values by null model, and sentences.

Four null models, from the least to the most that they know: A has as many alarms at random
steps; B has the run's own alarms, shifted; C has the alarms of another seed of the cell; D has
one alarm at a typical time. Who beats A and B but not C and D knows when such runs grok, not
when this one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from grokscope.claims.registry import records, select

NULLS = {
    "A": "chance",
    "B": "shifted alarms",
    "C": "other seeds' alarms",
    "D": "a constant time",
}
NOTHING = "nothing to compare with chance"


def null_rows(chance: pd.DataFrame, **where: Any) -> dict[str, dict[str, Any]]:
    """Rows of one score by null model, ``A`` to ``D``; those without p-value are left out."""
    rows = select(chance, **where)
    return {row["null_model"]: row for row in records(rows[rows["p"].notna()])}


def p_values(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """p-value by null model, of :func:`null_rows`."""
    return {name: float(row["p"]) for name, row in rows.items()}


def _listed(names: Sequence[str], last: str) -> str:
    """ "a, b and c"."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def beaten(p: Mapping[str, float], alpha: float) -> str:
    """Which null models are beaten: "beats chance and shifted alarms but not a constant time"."""
    yes = [name for model, name in NULLS.items() if p.get(model, 1.0) < alpha]
    no = [name for model, name in NULLS.items() if p.get(model, 0.0) >= alpha]
    if not yes:
        return f"does not beat {_listed(no, 'or')}" if no else f"has {NOTHING}"
    return f"beats {_listed(yes, 'and')}" + (f" but not {_listed(no, 'or')}" if no else "")


def knowledge(p: Mapping[str, float], alpha: float) -> str:
    """What an alarm with these p-values knows, as a clause."""
    wins = {model for model in NULLS if p.get(model, 1.0) < alpha}
    losses = {model for model in NULLS if p.get(model, 0.0) >= alpha}
    if not wins | losses:
        return NOTHING
    if "A" not in wins:
        return "not shown to be better than chance"
    if "B" not in wins:
        return "it may know which runs grok, not when"
    if {"C", "D"} <= wins:
        return "it knows when this run groks"
    if {"C", "D"} & losses:
        return "it knows when such runs grok, not when this one does"
    return "it knows when such runs grok; there is nothing to tell whether it knows more"


def sentence(p: Mapping[str, float], alpha: float) -> str:
    """Both: "beats chance but not ...: it knows ..."."""
    if not p:
        return f"has {NOTHING}"
    return f"{beaten(p, alpha)}: {knowledge(p, alpha)}"
