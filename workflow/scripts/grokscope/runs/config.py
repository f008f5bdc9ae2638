"""Configuration: checked against its closed schema, completed with defaults, then typed.

Input: the mapping that YAML gives. Output: :class:`grokscope.runs.settings.Configuration`. All
problems are reported at once, each with the key, the value and what is allowed.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from grokscope.core.errors import UserError
from grokscope.core.schemas import read_schema
from grokscope.runs.problems import (
    explain,
    non_finite,
    problems_of_analysis,
    problems_of_names,
    problems_of_store,
    problems_of_study,
    shown,
)
from grokscope.runs.settings import (
    Analysis,
    Configuration,
    Grid,
    StudySettings,
    decode,
)
from grokscope.runs.spec import VARIABLE, EarlyStop


class ConfigError(UserError, ValueError):
    """An invalid configuration; the message lists every problem."""


def _complete(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A copy with defaults filled in, and whole numbers of integer keys as int."""
    while "$ref" in schema:
        place: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        schema = place
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        if properties is None:
            branches = [s for s in schema.get("oneOf", []) if s.get("type") == "object"]
            properties = branches[0]["properties"] if branches else {}
        result = {}
        for name, inner in properties.items():
            if name in value or "default" in inner:
                item = value[name] if name in value else copy.deepcopy(inner["default"])
                result[name] = _complete(item, inner, root)
        if isinstance(schema.get("additionalProperties"), Mapping):
            for name in value:
                result[name] = _complete(value[name], schema["additionalProperties"], root)
        return result
    if isinstance(value, list):
        return [_complete(item, schema.get("items", {}), root) for item in value]
    kinds = schema.get("type", ())
    if "integer" in ([kinds] if isinstance(kinds, str) else kinds) and isinstance(value, float):
        return int(value)
    # -0.0 would have another path than 0.0.
    return 0.0 if isinstance(value, float) and value == 0 else value


def _study(name: str, values: Mapping[str, Any]) -> StudySettings:
    """Typed settings of a study, from its completed values."""
    grids = []
    for grid in values["grids"]:
        settings = {key: _tuples(grid[key]) for key in VARIABLE if key in grid}
        fixed = {key: value for key, value in grid.items() if key not in settings}
        grids.append(decode(Grid, fixed | {"settings": settings}))
    stop = values["early_stop"]
    return decode(
        StudySettings,
        {**values, "name": name, "grids": grids}
        | {"early_stop": None if stop is None else EarlyStop.from_values(stop)},
    )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def default_of(key: str) -> Any:
    """Default of a top-level key of the configuration."""
    return read_schema("config.schema.yaml")["properties"][key]["default"]


def _one_problem(text: str) -> ConfigError:
    return _problems([text])


def _read_yaml(text: str, name: str) -> Any:
    """The value of YAML text; the ConfigError says what is wrong and where."""
    try:
        value = yaml.safe_load(text)
        # With aliases a value may contain itself.
        json.dumps(value, default=str, skipkeys=True)
        return value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        reason = f"{error.problem}{place}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Invalid characters, impossible dates, too deeply nested brackets.
        reason = " ".join(str(error).split())
    raise _one_problem(f"{name} cannot be read as YAML: {reason}")


def read_argument(argument: str) -> dict[str, Any]:
    """The setting in a ``--config`` argument ``key=value``; Snakemake keeps nested values as text.

    Raises
    ------
    ConfigError
        If the value is not YAML.
    """
    key, value = argument.split("=", 1)
    return {key: _read_yaml(value, f"{key}: {shown(value)}")}


def check_file(path: str | Path) -> None:
    """Refuse a file that is not a configuration, which Snakemake would do without its name.

    Raises
    ------
    ConfigError
        Naming the file, what is wrong and where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise _one_problem(f"{path}: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError as error:
        raise _one_problem(f"{path}: not UTF-8 text: {error.reason}") from None
    if not isinstance(_read_yaml(text, f"{path}:"), Mapping):
        raise _one_problem(f"{path}: contains no keys; allowed: object")


def check_config(config: Mapping[str, Any]) -> Configuration:
    """The configuration, checked, with every default filled in, as typed values.

    Raises
    ------
    ConfigError
        Listing every key that is unknown, missing, of a wrong type or out of range, every
        grid that is empty or asks for a run twice, and every fraction that leaves no sample.
    """
    if not isinstance(config, Mapping):
        raise _one_problem(f"the configuration: {shown(config)} is not allowed; allowed: object")
    schema = read_schema("config.schema.yaml")
    found = sorted(
        Draft202012Validator(schema).iter_errors(dict(config)),
        key=lambda e: list(map(str, e.path)),
    )
    problems = [line for error in found for line in explain(error)]
    problems += non_finite(config)
    if problems:
        raise _problems(problems)
    values = _complete(config, schema, schema)
    studies = {name: _study(name, settings) for name, settings in values["studies"].items()}
    problems += problems_of_names(values["studies"])
    for study in studies.values():
        problems += problems_of_study(study)
    problems += problems_of_analysis(values["analysis"])
    problems += problems_of_store(values["store"])
    if values["store"] is None and (values["runs_per_job"] or 1) > 1:
        problems.append(
            f"runs_per_job: {values['runs_per_job']} is not allowed without a store; "
            "allowed: 1, or a folder as store"
        )
    if problems:
        raise _problems(problems)
    return Configuration(
        **{key: values[key] for key in ("store", "device", "tf32", "runs_per_job")},
        checkpoint_seconds=values["checkpoint_seconds"],
        studies=studies,
        analysis=Analysis.from_mapping(values["analysis"]),
        values=values,
    )


def _problems(lines: list[str]) -> ConfigError:
    count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
    return ConfigError(f"{count} in the configuration:\n  " + "\n  ".join(lines))


def default_analysis(**sections: Mapping[str, Any]) -> Analysis:
    """The analysis settings by default, some fields of some sections replaced.

    Raises
    ------
    ConfigError
        If a field is unknown or out of range.

    Examples
    --------
    >>> default_analysis(alarms={"threshold": 4.0}).alarms.threshold
    4.0
    """
    schema = read_schema("config.schema.yaml")
    part = {**schema["properties"]["analysis"], "$defs": schema["$defs"]}
    found = Draft202012Validator(part).iter_errors(dict(sections))
    problems = [line for error in found for line in explain(error)]
    if problems:
        raise _problems(problems)
    values = _complete(sections, part, schema)
    problems += problems_of_analysis(values)
    if problems:
        raise _problems(problems)
    return Analysis.from_mapping(values)
