"""Layout of figures over what a grid varies; the rule itself is that of report tables too.

A parameter of which the runs have several values is an axis, a row, a column, a panel or a part
of a label of every figure, so that no two different runs are drawn alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from grokscope.core.formatting import listed, words
from grokscope.data.layout import axis_words, varying
from grokscope.runs.spec import RunKey

__all__ = ["axis_words", "varying"]

Place = tuple[Any, ...]
"""A combination of values of some parameters; None where a run does not use one."""

# Where there is no room for the whole name.
_SHORT = {"train_fraction": "fraction", "weight_decay": "decay", "betas": "betas"}


def value_words(name: str, value: Any) -> str:
    """Value of a parameter at a tick or in a label: "0.5", "modular addition", "none"."""
    if value is None or pd.isna(value):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return words(value) if name in ("task", "encoding") else str(value)


def parameter_words(name: str) -> str:
    """A parameter inside a sentence, without its unit."""
    return axis_words(name).split(" (")[0]


def described(names: Sequence[str], place: Place, short: bool = False) -> str:
    """A combination in words: "train fraction 0.5, width 16"; of a task only its name."""
    parts = []
    for name, value in zip(names, place, strict=True):
        label = _SHORT.get(name, parameter_words(name)) if short else parameter_words(name)
        text = value_words(name, value)
        if name != "task":
            text = f"no {label}" if value is None else f"{label} {text}"
        parts.append(text)
    return ", ".join(parts)


def title(names: Sequence[str], place: Place, short: bool = False) -> str:
    """The same with a capital."""
    text = described(names, place, short)
    return text[:1].upper() + text[1:]


def over(names: Sequence[str]) -> str:
    """The end of a title: " over weight decay, train fraction and width"; empty without names."""
    return f" over {listed([parameter_words(name) for name in names])}" if names else ""


def runs_of(keys: Iterable[RunKey]) -> pd.DataFrame:
    """Table of the keys of some runs, a row each, values as in tables."""
    # As objects: whole numbers beside nulls would become floats.
    return pd.DataFrame([key.row() for key in keys], dtype=object)


def place_of(row: Mapping[str, Any] | pd.Series, names: Sequence[str]) -> Place:
    """Values of some parameters of one run, from a row of a table."""
    return tuple(None if pd.isna(row[name]) else row[name] for name in names)


def run_title(key: RunKey, names: Sequence[str], short: bool = False) -> str:
    """A run in words, by some of its parameters."""
    return title(names, place_of(key.row(), names), short)


def groups(table: pd.DataFrame, names: Sequence[str]) -> dict[Place, pd.DataFrame]:
    """Rows by their combination of values, sorted by value with nulls last.

    The rows of a group keep their order. Without names there is one group.
    """
    found: dict[Place, list[int]] = {}
    columns = [[None if pd.isna(value) else value for value in table[name]] for name in names]
    for index in range(len(table)):
        found.setdefault(tuple(column[index] for column in columns), []).append(index)
    ordered = sorted(
        found,
        key=lambda place: [(value is None, 0 if value is None else value) for value in place],
    )
    return {place: table.iloc[found[place]] for place in ordered}


def values_of(table: pd.DataFrame, name: str) -> list[Any]:
    """Different values of a parameter, sorted, None last."""
    return [place[0] for place in groups(table, [name])]


def needed(table: pd.DataFrame, given: Sequence[str]) -> list[str]:
    """Varying parameters that tell runs apart which the given ones do not."""
    kept = list(given)
    for name in varying(table):
        if name not in kept and len(groups(table, [*kept, name])) > len(groups(table, kept)):
            kept.append(name)
    return kept[len(given) :]


def with_depth(table: pd.DataFrame, given: Sequence[str] = ()) -> list[str]:
    """The depth and what else tells runs apart; without the depth where only others vary."""
    others = needed(table, [*given, "depth"])
    return others if others and "depth" not in varying(table) else ["depth", *others]


class MapAxes(NamedTuple):
    """Parameters of a map: its axes, and those whose combinations are panels."""

    x: str
    y: str
    panels: list[str]


def map_axes(table: pd.DataFrame) -> MapAxes:
    """Axes of a map: the first two parameters that vary; all others make panels, and so do tasks.

    Where fewer vary, train fraction and weight decay fill up: the map then says their value.
    """
    varied = varying(table)
    x, y = [
        *(name for name in varied if name != "task"),
        *(name for name in ("train_fraction", "weight_decay") if name not in varied),
    ][:2]
    return MapAxes(x, y, [name for name in varied if name not in (x, y)])
