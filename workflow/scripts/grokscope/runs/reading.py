"""Text of a configuration: YAML or JSON, without what either would swallow in silence.

YAML keeps the last of two equal keys, so half a configuration may vanish, and reads ``010`` as 8,
``1:30`` as 90 and the key ``no`` as false. Snakemake reads configurations so; here the text is
read a second time, and each of these is a problem with its key, line and what to write instead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from grokscope.runs.problems import ConfigError, config_error, name_of, shown

# Whole numbers that YAML 1.1 reads in another base than it seems: 010 is 8, 1:30 is 90.
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_text(text: str, name: str, path: tuple[str, ...] = ()) -> Any:
    """The value of YAML or JSON text.

    Parameters
    ----------
    name
        What the text is, for messages: ``config/config.yaml:``.
    path
        Key of the configuration whose value the text is; none if it is the whole.

    Raises
    ------
    ConfigError
        Saying what is wrong and where.
    """
    try:
        # As Snakemake does: YAML allows no tabs.
        return json.loads(text, object_pairs_hook=partial(_once, name))
    except (ConfigError, json.JSONDecodeError) as error:
        if isinstance(error, ConfigError):
            raise
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, " ".join(str(error).split())) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        problems = [] if node is None else list(_traps(node, path, set()))
        value = yaml.safe_load(text)
        # With aliases a value may contain itself.
        json.dumps(value, default=str, skipkeys=True)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise _unreadable(name, f"{error.problem}{place}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Invalid characters, impossible dates, too deeply nested brackets.
        raise _unreadable(name, " ".join(str(error).split())) from None
    if problems:
        raise config_error([problem if path else f"{name} {problem}" for problem in problems])
    return value


def _unreadable(name: str, reason: str) -> ConfigError:
    return config_error([f"{name} cannot be read as YAML: {reason}"])


def _once(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, none of whose keys is given twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise config_error([f"{name} {twice}: is given twice; keep one"])
    return values


def _traps(node: yaml.Node, path: tuple[str | int, ...], seen: set[int]) -> Iterator[str]:
    """What in a YAML document reads as something else than it seems, each node once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and node.style is None:
        text, line = node.value, node.start_mark.line + 1
        digits = text.replace("_", "")
        if _OCTAL.fullmatch(text) and int(digits, 8) != int(digits):
            yield (
                f"{name_of(path)}: {text} (line {line}) is {int(digits, 8)} in YAML, which reads "
                f"it to base 8; write {int(digits)} or {int(digits, 8)}"
            )
        elif _SEXAGESIMAL.fullmatch(text):
            yield (
                f"{name_of(path)}: {text} (line {line}) is a number to base 60 in YAML; "
                "write it without colons, or in quotes"
            )
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _traps(item, (*path, place), seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            # A key that is a list is refused when it is loaded; of merge keys nothing is lost.
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            inner, line = (*path, key.value), key.start_mark.line + 1
            if key.tag != _TEXT:
                yield (
                    f"{name_of(inner)}: {key.value} (line {line}) is not text "
                    "in YAML; put the key in quotes"
                )
            elif key.value in lines:
                yield (
                    f"{name_of(inner)}: is given twice (lines {lines[key.value]} and {line}), "
                    "and YAML would keep the last; keep one"
                )
            lines[key.value] = line
            yield from _traps(value, inner, seen)


def read_config(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The keys and values of a configuration's file, not yet checked against the schema.

    Raises
    ------
    ConfigError
        Naming the file, what is wrong and where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise config_error([f"{path}: {os.strerror(error.errno or 0)}"]) from None
    except UnicodeDecodeError as error:
        raise config_error([f"{path}: not UTF-8 text: {error.reason}"]) from None
    values = read_text(text, f"{path}:")
    if not isinstance(values, Mapping):
        raise config_error([f"{path}: contains no keys; allowed: object"])
    return values


def read_argument(argument: str) -> dict[str, Any]:
    """Key and value of a ``--config key=value``; Snakemake keeps nested values as text.

    Raises
    ------
    ConfigError
        If the value is not YAML.
    """
    key, value = argument.split("=", 1)
    return {key: read_text(value, f"{key}: {shown(value)}", (key,))}
