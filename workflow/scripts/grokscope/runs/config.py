"""Configuration: checked against its closed schema, completed with defaults.

Input: the mapping that YAML gives. Output: a mapping with every key present. All that is
wrong is said at once, each with the key, the value and what is allowed.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from grokscope.core.schemas import read_schema
from grokscope.runs.spec import decimal_string, expand_study
from grokscope.runs.tasks import TASKS, n_train, task_parameters

# Digits that a number in a path may have; file names end at 255 characters.
MAX_DIGITS = 24


class ConfigError(ValueError):
    """A configuration that is wrong; the message lists every problem."""


def _name(path: tuple[str | int, ...]) -> str:
    """Path of a key as people write it: studies.gai.grids[0].seeds."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the configuration"


def _shown(value: Any) -> str:
    """A value in a message."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _allowed(schema: Mapping[str, Any]) -> str:
    """Allowed values of a key, from its schema."""
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    kinds = schema.get("type", "value")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[word]}" for word, sign in signs.items() if word in schema]
    if "minItems" in schema:
        bounds.append(f"at least {schema['minItems']} item(s)")
    if "maxItems" in schema:
        bounds.append(f"at most {schema['maxItems']}")
    return text + (" " + " and ".join(bounds) if bounds else "")


def _explain(error: ValidationError) -> Iterator[str]:
    """One line a problem: key, value, what is allowed."""
    key = _name(tuple(error.absolute_path))
    value: Any = error.instance
    shown = _shown(value)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        for extra in [name for name in value if name not in known]:
            near = difflib.get_close_matches(str(extra), known, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"{key}: unknown key {extra!r}{hint}; allowed: {', '.join(known)}"
    elif error.validator == "required":
        missing = [name for name in schema.get("required", []) if name not in value]
        yield f"{key}: missing {', '.join(missing)}"
    elif error.validator == "uniqueItems":
        repeated = [item for place, item in enumerate(value) if item in value[:place]]
        yield f"{key}: {shown} has {repeated[0]} more than once; values must differ"
    elif error.validator in ("minItems", "minProperties") and not value:
        yield f"{key}: is empty; give at least one"
    elif error.validator == "oneOf" and error.context and isinstance(value, Mapping):
        for inner in error.context:
            if inner.validator != "type":
                yield from _explain(inner)
    else:
        if error.validator == "oneOf":
            schema = {"type": ["null", "object"]}
        hint = ""
        if isinstance(value, str) and error.validator == "type":
            try:
                float(value)
                hint = " (YAML reads 1e-3 as text; write 1.0e-3)"
            except ValueError:
                pass
        yield f"{key}: {shown} is not allowed; allowed: {_allowed(schema)}{hint}"


def _non_finite(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Numbers that compare with nothing and so pass any range."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{_name(path)}: {value} is not allowed; allowed: a finite number"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _non_finite(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _non_finite(item, (*path, place))


def _complete(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """A copy with defaults filled in, and whole numbers of integer keys as int."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        if properties is None:
            branches = [s for s in schema.get("oneOf", []) if s.get("type") == "object"]
            properties = branches[0]["properties"] if branches else {}
        result = {}
        for name, inner in properties.items():
            if name in value or "default" in inner:
                item = value[name] if name in value else copy.deepcopy(inner["default"])
                result[name] = _complete(item, inner, definitions)
        return result
    if isinstance(value, list):
        return [_complete(item, schema.get("items", {}), definitions) for item in value]
    kinds = schema.get("type", ())
    if "integer" in ([kinds] if isinstance(kinds, str) else kinds) and isinstance(value, float):
        return int(value)
    # Not -0.0, which would have another path.
    return 0.0 if isinstance(value, float) and value == 0 else value


def _problems_of_study(study: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What no schema can say of a study's grids."""
    for place, grid in enumerate(settings["grids"]):
        key = f"studies.{study}.grids[{place}]"
        for name in ("train_fractions", "weight_decays"):
            for value in grid[name]:
                if len(decimal_string(value)) > MAX_DIGITS:
                    yield (
                        f"{key}.{name}: {value} is not allowed; "
                        f"allowed: numbers of at most {MAX_DIGITS} digits"
                    )
        for name in grid["tasks"]:
            task = TASKS[name]
            parameters = task_parameters(settings, task)
            wrong = task.check(**parameters)
            if wrong is not None:
                yield f"studies.{study}.p: {settings['p']} is not allowed for {name}: {wrong}"
                continue
            size = task.size(**parameters)
            for fraction in grid["train_fractions"]:
                train = n_train(size, fraction)
                if 0 < train < size:
                    continue
                part = "training" if train == 0 else "test"
                yield (
                    f"{key}.train_fractions: {fraction} leaves no {part} sample of the {size} of "
                    f"{name}; allowed: fractions with 1 <= int({size} * fraction) <= {size - 1}"
                )
    seen: set[Any] = set()
    for spec in expand_study(study, settings):
        if spec.key in seen:
            yield f"studies.{study}.grids: the run {spec.key} is in two grids; list it once"
            return
        seen.add(spec.key)


def _problems_of_analysis(analysis: Mapping[str, Any]) -> Iterator[str]:
    """What no schema can say of the analyses."""
    onset, transitions = analysis["onset"], analysis["transitions"]
    if onset["event_threshold"] not in onset["test_thresholds"]:
        yield (
            f"analysis.onset.event_threshold: {onset['event_threshold']} is not allowed; "
            f"allowed: one of test_thresholds {onset['test_thresholds']}"
        )
    window, order = transitions["savgol_window"], transitions["savgol_order"]
    if window % 2 == 0:
        yield f"analysis.transitions.savgol_window: {window} is not allowed; allowed: odd"
    if order >= window:
        yield (
            f"analysis.transitions.savgol_order: {order} is not allowed; "
            f"allowed: below savgol_window {window}"
        )
    evaluation = analysis["evaluation"]
    first, last = evaluation["lead_window"]
    if first >= last:
        yield (
            f"analysis.evaluation.lead_window: [{first}, {last}] is not allowed; "
            "allowed: the first below the second"
        )
    horizons, shortest = evaluation["horizons"], evaluation["minimum_lead"]
    if min(horizons) <= shortest:
        yield (
            f"analysis.evaluation.horizons: {min(horizons)} is not allowed; "
            f"allowed: above minimum_lead {shortest}"
        )
    if evaluation["primary_horizon"] not in horizons:
        yield (
            f"analysis.evaluation.primary_horizon: {evaluation['primary_horizon']} is not "
            f"allowed; allowed: one of horizons {horizons}"
        )


def _problems_of_store(store: str | None) -> Iterator[str]:
    """What no schema can say of the store's folder."""
    if store is None:
        return
    # The report shows it in a block of Markdown.
    plain = store.isprintable() and "`" not in store
    reason = None if plain else "printable characters other than `"
    try:
        Path(store).expanduser()
    except RuntimeError:
        reason = "a folder of a user of this machine"
    if reason is not None:
        yield f"store: {json.dumps(store)} is not allowed; allowed: {reason}"


def default_of(key: str) -> Any:
    """Default of a top-level key of the configuration."""
    return read_schema("config.schema.yaml")["properties"][key]["default"]


def _one_problem(text: str) -> ConfigError:
    return ConfigError(f"1 problem in the configuration:\n  {text}")


def _read_yaml(text: str, name: str) -> Any:
    """The value of a text in YAML; ConfigError says what is wrong and where."""
    try:
        value = yaml.safe_load(text)
        # Through aliases a value may hold itself.
        json.dumps(value, default=str, skipkeys=True)
        return value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        reason = f"{error.problem}{place}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Characters that are none, dates that no calendar has, brackets without end.
        reason = " ".join(str(error).split())
    raise _one_problem(f"{name} cannot be read as YAML: {reason}")


def read_argument(argument: str) -> dict[str, Any]:
    """What a ``--config`` argument, ``key=value``, sets; Snakemake leaves nested values as text.

    Raises
    ------
    ConfigError
        If the value is not YAML.
    """
    key, value = argument.split("=", 1)
    return {key: _read_yaml(value, f"{key}: {_shown(value)}")}


def check_file(path: str | Path) -> None:
    """Refuse a file that is no configuration, which Snakemake would not name.

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
        raise _one_problem(f"{path}: is no text in UTF-8: {error.reason}") from None
    if not isinstance(_read_yaml(text, f"{path}:"), Mapping):
        raise _one_problem(f"{path}: holds no keys; allowed: object")


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every default filled in.

    Raises
    ------
    ConfigError
        Listing every key that is unknown, missing, of a wrong type or out of range, every
        grid that is empty or asks for a run twice, and every fraction that leaves no sample.
    """
    if not isinstance(config, Mapping):
        raise _one_problem(f"the configuration: {_shown(config)} is not allowed; allowed: object")
    schema = read_schema("config.schema.yaml")
    found = sorted(Draft202012Validator(schema).iter_errors(dict(config)), key=lambda e: e.path)
    problems = [line for error in found for line in _explain(error)]
    problems += _non_finite(config)
    completed: dict[str, Any] = {}
    if not problems:
        completed = _complete(config, schema, schema["$defs"])
        for study, settings in completed["studies"].items():
            problems += _problems_of_study(study, settings)
        problems += _problems_of_analysis(completed["analysis"])
        problems += _problems_of_store(completed["store"])
        if completed["store"] is None and (completed["runs_per_job"] or 1) > 1:
            problems.append(
                f"runs_per_job: {completed['runs_per_job']} is not allowed without a store; "
                "allowed: 1, or a folder as store"
            )
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConfigError(f"{count} in the configuration:\n  " + "\n  ".join(problems))
    return completed
