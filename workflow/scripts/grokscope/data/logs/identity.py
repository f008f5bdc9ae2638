"""Identity: which run a log is of, by what the study says of its key columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from grokscope.data.logs.columns import nearest
from grokscope.data.logs.rows import LogError, Rows, number_of
from grokscope.runs.names import DECIMALS, SETTINGS, TRUTHS, WORDS
from grokscope.runs.sources import Source
from grokscope.runs.spec import KEY_COLUMNS, UNKNOWN, decimal_string

# Seeds of logs that tell none: the runs of a cell are numbered in the order of their logs.
NUMBERED = "number"
_DECIMALS = {"train_fraction", "weight_decay", *DECIMALS}
_WORD = re.compile(r"[A-Za-z0-9_.,+-]{1,60}")
_NAMES = (*KEY_COLUMNS[1:], *SETTINGS)
# Digits of a number in a path, as in configurations.
_MOST_DIGITS = 24


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of the end of a path: ``{name}`` for values, ``*`` for anything but a slash."""
    parts = re.split(r"(\{[a-z_0-9]+\}|\*)", text)
    made = ""
    for part in parts:
        if part == "*":
            made += "[^/]*"
        elif part.startswith("{"):
            made += f"(?P<{part[1:-1]}>[^/]+?)"
        else:
            made += re.escape(part)
    return re.compile(f"(?:.*/)?{made}")


def placeholders(text: str) -> list[str]:
    """Names of the values in a pattern of paths."""
    return re.findall(r"\{([a-z_0-9]+)\}", text)


def identity(study: str, log: str, rows: Rows, source: Source) -> tuple[dict[str, Any], bool]:
    """Fields of the specification that name the run, and whether its seed is to be numbered.

    Raises
    ------
    LogError
        If the log does not have what the study names, or it is no value of a key column.
    """
    where = log if rows.part is None else f"{log}, run {rows.part}"
    given: dict[str, Any] = dict(source.run)
    named: dict[str, str] = {}
    for of, text in (("path", log), ("part", rows.part)):
        pattern = given.pop(of, None)
        if pattern is None:
            continue
        unknown = [name for name in placeholders(pattern) if name not in _NAMES]
        if unknown:
            raise LogError(
                f"studies.{study}.source.run.{of}: {{{unknown[0]}}} is no key column; "
                f"allowed: {', '.join(_NAMES)}"
            )
        match = None if text is None else _pattern(pattern).fullmatch(text)
        if match is None:
            what = f"its {of} does not end" if text else "it has no name of a run to end"
            raise LogError(f"{where}: {what} as run.{of} says: {pattern}")
        named |= match.groupdict()
    given = named | given
    values = {name: _value(where, name, of, rows) for name, of in given.items()}
    key: dict[str, Any] = {"study": study, "task": values.get("task") or study}
    key["depth"] = values.get("depth") or 0
    for name in ("train_fraction", "weight_decay"):
        key[name] = values.get(name) or UNKNOWN
    key["width"] = values.get("width")
    seed = values.get("seed")
    key["seed"] = 0 if seed in (None, NUMBERED) else seed
    key["settings"] = tuple(
        (name, UNKNOWN if values[name] is None else str(values[name]))
        for name in SETTINGS
        if name in values
    )
    return key, seed == NUMBERED


def _value(where: str, name: str, given: Any, rows: Rows) -> Any:
    """Value of a key column; None if the log says that it has none."""
    if isinstance(given, Mapping):
        if "config" in given:
            wanted = given["config"]
            if wanted not in rows.config:
                raise LogError(
                    f"{where}: run.{name}: its configuration has no {wanted!r}; "
                    f"{nearest(wanted, rows.config)}"
                )
            given = rows.config[wanted]
        else:
            given = _constant(where, name, given["column"], rows)
    if given is None:
        return None
    try:
        return _typed(name, given)
    except ValueError as error:
        raise LogError(
            f"{where}: run.{name}: {given!r} is not allowed; allowed: {error}"
        ) from None


def _constant(where: str, name: str, column: str, rows: Rows) -> Any:
    """The one value of a column in all rows of the run that have one."""
    if column in rows.texts:
        found: list[Any] = list(dict.fromkeys(filter(None, rows.texts[column])))
    elif column in rows.numbers:
        values = rows.numbers[column]
        found = np.unique(values[~np.isnan(values)]).tolist()
    else:
        raise LogError(
            f"{where}: run.{name}: the log has no column {column!r}; "
            f"{nearest(column, rows.columns)}"
        )
    if len(found) > 1:
        raise LogError(
            f"{where}: run.{name}: column {column!r} has {found[0]!r} and {found[1]!r}; allowed: "
            f"one value a run (to tell the runs of a log apart: columns: {{run: {column}}})"
        )
    return found[0] if found else None


def _typed(name: str, given: Any) -> Any:
    """The value as the key has it; ValueError saying what is allowed."""
    if name == "task":
        task = re.sub(r"[^a-z0-9_]+", "_", str(given).lower()).strip("_")
        if not task or len(task) > 60:
            raise ValueError("a name of at most 60 letters and digits")
        return task
    if name == "seed" and given == NUMBERED:
        return NUMBERED
    if name in TRUTHS:
        text = str(given).lower()
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text
    if name in WORDS:
        text = ",".join(map(str, given)) if isinstance(given, list) else str(given)
        if not _WORD.fullmatch(text):
            raise ValueError("at most 60 letters, digits and any of _ . , + -")
        return text
    number = number_of(given)
    if number is None or not np.isfinite(number) or number < 0:
        raise ValueError("a number from 0 on")
    if name in _DECIMALS:
        if len(decimal_string(number)) > _MOST_DIGITS:
            raise ValueError(f"a number of at most {_MOST_DIGITS} digits")
        return decimal_string(number)
    if number != int(number) or number > 2**63 - 1:
        raise ValueError("a whole number from 0 on")
    return int(number)
