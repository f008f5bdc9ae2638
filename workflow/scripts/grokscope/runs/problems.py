"""Problems of a configuration: what is wrong, with key, value and what is allowed."""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema.exceptions import ValidationError

from grokscope.core.errors import UserError
from grokscope.core.provenance import SCRIPTS
from grokscope.runs.grid import expand_grid, expand_study
from grokscope.runs.kinds import KINDS
from grokscope.runs.modules import ModuleError
from grokscope.runs.names import DECIMALS
from grokscope.runs.settings import Grid, StudySettings
from grokscope.runs.spec import RunSpec, decimal_string
from grokscope.runs.tasks import TASKS, n_train, parameters_of

# Digits that a number in a path may have; file names end at 255 characters.
MAX_DIGITS = 24
# Names that a study cannot have, since other targets or folders of results have them.
_RESERVED = {"all", "traces", "train_run", "report", "validation", "validated"}
# What people write for "no store", and what no one calls a folder.
_NOTHING = {"", "~", "none", "null", "nil", "no", "off", "false"}
# Keys of earlier versions, and what replaces them.
_REMOVED = {
    "centred": "was removed: analysis.multiverse.smoothing measures causal and centred alike",
    "resamples": "was removed: intervals are no longer bootstrapped",
}


_KIND_HINT = (
    " (every study has a name of your choosing and a kind, "
    + " or ".join(f"kind: {name}" for name in KINDS)
    + "; to have it judged by published claims, add "
    + " or ".join(f"claims: {name}" for kind in KINDS.values() for name in kind.claim_sets)
    + ")"
)


class ConfigError(UserError, ValueError):
    """An invalid configuration; the message lists every problem."""


def config_error(problems: Sequence[str]) -> ConfigError:
    """The error that lists problems, one a line."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return ConfigError(f"{count} in the configuration:\n  " + "\n  ".join(problems))


def name_of(path: tuple[str | int, ...]) -> str:
    """Path of a key as users write it: studies.gai.grids[0].seeds."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the configuration"


def shown(value: Any) -> str:
    """A value in a message."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _allowed(schema: Mapping[str, Any]) -> str:
    """Allowed values of a key, from its schema."""
    if "enum" in schema:
        return "one of " + ", ".join("null" if v is None else str(v) for v in schema["enum"])
    kinds = schema.get("type", "value")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[word]}" for word, sign in signs.items() if word in schema]
    if "minItems" in schema:
        bounds.append(f"at least {schema['minItems']} item(s)")
    if "maxItems" in schema:
        bounds.append(f"at most {schema['maxItems']}")
    return text + (" " + " and ".join(bounds) if bounds else "")


def explain(error: ValidationError) -> Iterator[str]:
    """One line per problem: key, value, what is allowed."""
    key = name_of(tuple(error.absolute_path))
    value: Any = error.instance
    text = shown(value)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        for extra in [name for name in value if name not in known]:
            if extra in _REMOVED:
                yield f"{key}: {extra} {_REMOVED[extra]}"
                continue
            near = difflib.get_close_matches(str(extra), known, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"{key}: unknown key {extra!r}{hint}; allowed: {', '.join(known)}"
    elif error.validator == "required":
        missing = [name for name in schema.get("required", []) if name not in value]
        hint = _KIND_HINT if "kind" in missing else ""
        yield f"{key}: missing {', '.join(missing)}{hint}"
    elif error.validator == "pattern":
        yield (
            f"{key}: {text} is not a valid study name; allowed: at most 40 lower-case letters, "
            "digits and _, beginning with a letter"
        )
    elif error.validator == "uniqueItems":
        repeated = [item for place, item in enumerate(value) if item in value[:place]]
        yield f"{key}: {text} has {repeated[0]} more than once; values must differ"
    elif error.validator in ("minItems", "minProperties") and not value:
        yield f"{key}: is empty; give at least one"
    elif error.validator == "oneOf" and error.context and isinstance(value, Mapping):
        for inner in error.context:
            if inner.validator != "type":
                yield from explain(inner)
    else:
        if error.validator == "oneOf":
            schema = {"type": ["null", "object"]}
        hint = _type_hint(value) if error.validator == "type" else ""
        yield f"{key}: {text} is not allowed; allowed: {_allowed(schema)}{hint}"


def _type_hint(value: Any) -> str:
    """Why a value may be of another type than it seems to the one who wrote it."""
    if value is None:
        return " (nothing follows the key)"
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    plain = int(number) if number.is_integer() else number
    return f" (YAML reads {value} as text; write {plain})"


def non_finite(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Infinite numbers and NaN: comparisons with NaN are false, so it passes any range."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{name_of(path)}: {value} is not allowed; allowed: a finite number"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from non_finite(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from non_finite(item, (*path, place))


def problems_of_names(studies: Mapping[str, Any]) -> Iterator[str]:
    """Studies with the name of another target, and claim sets of another kind of study."""
    reserved = _RESERVED | {path.stem for path in SCRIPTS.glob("*.py")}
    for name, values in studies.items():
        if not isinstance(name, str):
            # The schema's pattern is for texts; YAML reads 0, 1.5, yes and dates as others.
            yield f"studies.{name}: is not a text to YAML; allowed: a study name in quotes"
        if name in reserved:
            yield f"studies.{name}: is the name of a rule or file; allowed: any other name"
        kind, claims = values["kind"], values["claims"]
        if claims is not None and claims not in KINDS[kind].claim_sets:
            fitting = ", ".join(KINDS[kind].claim_sets)
            yield (
                f"studies.{name}.claims: {claims} is not allowed for kind {kind}; "
                f"allowed: {fitting} or null"
            )


def problems_of_sources(
    studies: Mapping[str, StudySettings], analysis: Mapping[str, Any]
) -> Iterator[str]:
    """Studies with two kinds of runs or none, and logs without curves judged as if they had."""
    for name, study in studies.items():
        source = study.source
        if (source is None) == (not study.grids):
            have = "neither" if source is None else "both"
            yield (
                f"studies.{name}: has {have} grids (runs to train) and source (logs to import); "
                "allowed: one of them"
            )
        if source is None:
            continue
        key = f"studies.{name}.source"
        if source.format != "crossings":
            for field in ("reached", "not_reached", "last_step"):
                if getattr(source, field) is not None:
                    yield (
                        f"{key}.{field}: is not allowed for format {source.format}; "
                        "allowed: for crossings"
                    )
            continue
        for field in ("reached", "last_step"):
            if getattr(source, field) is None:
                yield f"{key}: missing {field}, which format crossings needs"
        onset = analysis["onset"]
        # Nothing is known of any other level, nor of how long a metric stayed.
        wanted = {
            "onset.evaluations": (onset["evaluations"], 1),
            "onset.train_threshold": (onset["train_threshold"], source.reached),
            "onset.event_threshold": (onset["event_threshold"], source.reached),
            "onset.test_thresholds": (onset["test_thresholds"], [source.reached]),
            "phases.threshold": (analysis["phases"]["threshold"], source.reached),
        }
        for field, (value, needed) in wanted.items():
            if value != needed:
                yield (
                    f"analysis.{field}: {shown(value)} is not allowed with {key}.format "
                    f"crossings, which knows first steps alone; allowed: {shown(needed)}"
                )


def problems_of_study(study: StudySettings) -> Iterator[str]:
    """Problems of a study's grids that the schema cannot express."""
    unknown = False
    for place, grid in enumerate(study.grids):
        key = f"studies.{study.name}.grids[{place}]"
        numbers = {
            "train_fractions": grid.train_fractions,
            "weight_decays": grid.weight_decays,
            "betas": [beta for pair in grid.settings.get("betas", ()) for beta in pair],
        }
        numbers |= {name: grid.settings.get(name, ()) for name in DECIMALS}
        for name, values in numbers.items():
            for value in values:
                if len(decimal_string(value)) > MAX_DIGITS:
                    yield (
                        f"{key}.{name}: {value} is not allowed; "
                        f"allowed: numbers of at most {MAX_DIGITS} digits"
                    )
        try:
            problems = list(_problems_of_network(study, grid, key))
        except ModuleError as error:
            yield f"studies.{study.name}.{error}"
            unknown = True
            continue
        yield from problems
        for number, name in enumerate(grid.tasks):
            if name in TASKS:
                yield from _problems_of_task(study, grid, name, key)
                continue
            unknown = True
            near = difflib.get_close_matches(name, TASKS, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield (
                f"{key}.tasks[{number}]: {shown(name)} is not allowed{hint}; "
                f"allowed: one of {', '.join(TASKS)}"
            )
    if unknown:
        return
    seen: set[Any] = set()
    for spec in expand_study(study):
        if spec.key in seen:
            yield f"studies.{study.name}.grids: the run {spec.key} is in two grids; list it once"
            return
        seen.add(spec.key)


def _problems_of_network(study: StudySettings, grid: Grid, key: str) -> Iterator[str]:
    """Settings that no network or optimiser can have together; each said once."""
    known = replace(grid, tasks=tuple(t for t in grid.tasks if t in TASKS), seeds=grid.seeds[:1])
    if study.module is not None and "module" not in grid.settings.get("model", (study.model,)):
        yield f"studies.{study.name}.module: is used by model: module alone"
    found = [line for spec in expand_grid(study, known) for line in _problems_of_spec(spec, key)]
    yield from dict.fromkeys(found)


def _problems_of_spec(spec: RunSpec, key: str) -> Iterator[str]:
    if spec.model == "mlp" and spec.depth < 2:
        yield f"{key}.depths: {spec.depth} is not allowed for model mlp; allowed: >= 2"
    if spec.model == "transformer":
        if not TASKS[spec.task].symbolic:
            yield (
                f"{key}.tasks: {spec.task} is not allowed for model transformer; allowed: tasks "
                "of symbols"
            )
        assert spec.heads is not None
        if spec.width % spec.heads:
            yield (
                f"{key}.widths: {spec.width} is not allowed for model transformer; "
                f"allowed: multiples of its {spec.heads} heads"
            )
    if spec.optimizer == "muon" and spec.model == "mlp" and spec.depth < 3:
        yield (
            f"{key}.depths: {spec.depth} is not allowed for optimizer muon and model mlp, which "
            "has then no hidden matrix; allowed: >= 3"
        )
    if spec.optimizer == "sgd" and spec.nesterov and not spec.momentum:
        yield f"{key}: nesterov is not allowed without momentum; allowed: momentum > 0"


def _problems_of_task(study: StudySettings, grid: Grid, name: str, key: str) -> Iterator[str]:
    """Parameters that are invalid for a task, and fractions that leave no sample."""
    task = TASKS[name]
    settled: set[tuple[Any, ...]] = set()
    for spec in expand_grid(study, replace(grid, tasks=(name,), seeds=grid.seeds[:1])):
        parameters = parameters_of(spec, task)
        done = (*parameters.values(), spec.train_fraction)
        if done in settled:
            continue
        settled.add(done)
        wrong = task.check(**parameters)
        if wrong is not None:
            if ("p", spec.p) not in settled:
                place = f"{key}.p" if "p" in grid.settings else f"studies.{study.name}.p"
                yield f"{place}: {spec.p} is not allowed for {name}: {wrong}"
            settled.add(("p", spec.p))
            continue
        size = task.size(**parameters)
        train = n_train(size, spec.train_fraction)
        if not 0 < train < size:
            part = "training" if train == 0 else "test"
            yield (
                f"{key}.train_fractions: {float(spec.train_fraction):g} leaves no {part} sample "
                f"of the {size} of {name}; "
                f"allowed: fractions with 1 <= int({size} * fraction) <= {size - 1}"
            )


def problems_of_analysis(analysis: Mapping[str, Any]) -> Iterator[str]:
    """Problems of the analysis settings that the schema cannot express."""
    onset, transitions = analysis["onset"], analysis["transitions"]
    if onset["event_threshold"] not in onset["test_thresholds"]:
        yield (
            f"analysis.onset.event_threshold: {onset['event_threshold']} is not allowed; "
            f"allowed: one of test_thresholds {onset['test_thresholds']}"
        )
    if onset["lost_below"] > onset["event_threshold"]:
        yield (
            f"analysis.onset.lost_below: {onset['lost_below']} is not allowed; allowed: at most "
            f"event_threshold {onset['event_threshold']}"
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


def problems_of_store(store: str | None) -> Iterator[str]:
    """Problems of the store's folder that the schema cannot express."""
    if store is None:
        return
    folder = os.path.expandvars(store)
    reason = None
    if store.strip().casefold() in _NOTHING:
        reason = "a folder, or null (a word of YAML, without quotes) for none"
    elif "$" in folder:
        reason = "environment variables that are set"
    # The report shows the folder in a Markdown code block.
    elif not folder.isprintable() or "`" in folder:
        reason = "printable characters other than `"
    else:
        try:
            Path(folder).expanduser()
        except RuntimeError:
            reason = "a home folder that there is (or null: no store)"
    if reason is not None:
        yield f"store: {json.dumps(store)} is not allowed; allowed: {reason}"
