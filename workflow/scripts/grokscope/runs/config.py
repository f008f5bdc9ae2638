"""Configuration: checked against its closed schema, completed with defaults, then typed.

Input: the mapping that YAML gives. Output: :class:`grokscope.runs.settings.Configuration`. All
problems are reported at once, each with the key, the value and what is allowed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from grokscope.core.schemas import read_schema
from grokscope.runs.decoding import decode
from grokscope.runs.names import VARIABLE
from grokscope.runs.problems import (
    config_error,
    explain,
    non_finite,
    problems_of_analysis,
    problems_of_names,
    problems_of_sources,
    problems_of_store,
    problems_of_study,
    shown,
)
from grokscope.runs.settings import Analysis, Configuration, Grid, StudySettings
from grokscope.runs.sources import ColumnSource, Source
from grokscope.runs.spec import EarlyStop


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
    for grid in values.get("grids", ()):
        settings = {key: _tuples(grid[key]) for key in VARIABLE if key in grid}
        fixed = {key: value for key, value in grid.items() if key not in settings}
        grids.append(decode(Grid, fixed | {"settings": settings}))
    stop = values["early_stop"]
    source = values.get("source")
    return decode(
        StudySettings,
        {**values, "name": name, "grids": grids}
        | {"source": None if source is None else _source(source)}
        | {"early_stop": None if stop is None else EarlyStop.from_values(stop)},
    )


def _source(values: Mapping[str, Any]) -> Source:
    """Typed source of a study's runs, from its completed values."""
    files = values["files"]
    columns = {}
    for name, given in values["columns"].items():
        entry = given if isinstance(given, Mapping) else {"column": given}
        columns[name] = decode(ColumnSource, {"scale": 1.0, "mean_over": "row"} | dict(entry))
    return decode(
        Source,
        {**values, "columns": columns}
        | {"files": tuple([files] if isinstance(files, str) else files)},
    )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def default_of(key: str) -> Any:
    """Default of a top-level key of the configuration."""
    return read_schema("config.schema.yaml")["properties"][key]["default"]


def check_config(config: Mapping[str, Any]) -> Configuration:
    """The configuration, checked, with every default filled in, as typed values.

    Raises
    ------
    ConfigError
        Listing every key that is unknown, missing, of a wrong type or out of range, every
        grid that is empty or asks for a run twice, and every fraction that leaves no sample.
    """
    if not isinstance(config, Mapping):
        raise config_error([f"the configuration: {shown(config)} is not allowed; allowed: object"])
    schema = read_schema("config.schema.yaml")
    found = sorted(
        Draft202012Validator(schema).iter_errors(dict(config)),
        key=lambda e: list(map(str, e.path)),
    )
    problems = [line for error in found for line in explain(error)]
    problems += non_finite(config)
    if problems:
        raise config_error(problems)
    values = _complete(config, schema, schema)
    studies = {name: _study(name, settings) for name, settings in values["studies"].items()}
    problems += problems_of_names(values["studies"])
    problems += problems_of_sources(studies, values["analysis"])
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
        raise config_error(problems)
    return Configuration(
        **{key: values[key] for key in ("device", "tf32", "runs_per_job")},
        store=None if values["store"] is None else os.path.expandvars(values["store"]),
        checkpoint_seconds=values["checkpoint_seconds"],
        studies=studies,
        analysis=Analysis.from_mapping(values["analysis"]),
        values=values,
    )


def default_analysis(**sections: Mapping[str, Any]) -> Analysis:
    """The analysis settings by default, some fields of some sections replaced.

    Parameters
    ----------
    **sections
        For each section to change, a mapping from its fields to their values, as under
        ``analysis`` in a configuration.

    Returns
    -------
    Analysis
        All sections.

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
        raise config_error(problems)
    values = _complete(sections, part, schema)
    problems += problems_of_analysis(values)
    if problems:
        raise config_error(problems)
    return Analysis.from_mapping(values)
