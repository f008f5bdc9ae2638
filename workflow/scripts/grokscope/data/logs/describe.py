"""Description: what logs hold, in words, and the configuration that imports them.

For the command ``grokscope import``. What names a run is proposed by the names that people use for
settings; it stands in the configuration then, where it can be read and changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from grokscope.core.formatting import count
from grokscope.data.logs.columns import plain
from grokscope.data.logs.formats import Log, find_logs, read_log
from grokscope.data.logs.identity import NUMBERED, placeholders
from grokscope.data.logs.index import distinct
from grokscope.data.logs.rows import LogError, Rows
from grokscope.data.logs.runs import ImportedRun, runs_of
from grokscope.runs.config import check_config
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.sources import Source

# Usual names of the settings that name a run, in the configuration of a log.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "task": ("task", "operation", "op", "dataset", "dataset_name"),
    "depth": ("depth", "n_layers", "num_layers", "num_hidden_layers", "layers"),
    "width": ("width", "d_model", "hidden_size", "hidden_dim", "dim"),
    "train_fraction": ("train_fraction", "train_frac", "frac_train", "training_fraction"),
    "weight_decay": ("weight_decay", "wd"),
    "learning_rate": ("learning_rate", "lr"),
    "optimizer": ("optimizer", "optim", "optimiser"),
    "init_scale": ("init_scale",),
    "seed": ("seed", "random_seed"),
}
# Named only where they tell runs apart: every name is part of every path.
_WHERE_VARIED = ("learning_rate", "optimizer", "init_scale")


@dataclass(frozen=True)
class Found:
    """What some files hold.

    Attributes
    ----------
    lines
        What was found, in words.
    refused
        Why logs cannot be imported, one reason each.
    config
        The configuration that imports them.
    """

    lines: list[str]
    refused: list[str]
    config: str


def describe(name: str, kind: str, source: Mapping[str, Any]) -> Found:
    """Read logs as a study would.

    Parameters
    ----------
    name, kind
        Of the study.
    source
        As in a configuration; with nothing in ``run`` one is proposed.

    Raises
    ------
    ConfigError
        If the source is not one that a configuration may have.
    LogError
        If no log is found, or two runs have one identity.
    """
    typed = _typed(name, kind, source)
    logs = find_logs("files", typed.files)
    everything: list[tuple[Log, Rows]] = []
    refused: list[str] = []
    for log in logs:
        try:
            everything += [(log, rows) for rows in read_log(log, typed.format)]
        except LogError as error:
            refused.append(str(error))
    if not typed.run and everything:
        source = {**source, "run": proposed([rows for _, rows in everything])}
        typed = _typed(name, kind, source)
    runs: list[ImportedRun] = []
    for log, rows in everything:
        try:
            runs += runs_of(name, log.path, log.digest(), rows, typed)
        except LogError as error:
            refused.append(str(error))
    specs = [run.spec for run in runs]
    if not source.get("run", {}).get("seed") and _same(specs, source):
        source = {**source, "run": {**source.get("run", {}), "seed": NUMBERED}}
        typed = _typed(name, kind, source)
    specs = distinct(name, specs, typed) if not refused else specs
    lines = [f"{count(len(logs), 'log')}, {count(len(specs), 'run')}"]
    lines += [line for spec_lines in map(_run_lines, _alike(specs)) for line in spec_lines]
    used = {column.logged for spec in specs for column in spec.columns}
    others = [name for _, rows in everything for name in rows.columns if name not in used]
    lines.append(f"not used: {', '.join(dict.fromkeys(others)) or 'no column'}")
    config = {"studies": {name: {"kind": kind, "source": dict(source)}}}
    text = yaml.safe_dump(config, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return Found(lines, refused, text)


def _typed(name: str, kind: str, source: Mapping[str, Any]) -> Source:
    study = check_config({"studies": {name: {"kind": kind, "source": dict(source)}}}).studies[name]
    assert study.source is not None
    return study.source


def _same(specs: Iterable[ImportedSpec], source: Mapping[str, Any]) -> bool:
    """Whether runs without a seed have one identity."""
    patterns = [source.get("run", {}).get(name, "") for name in ("path", "part")]
    if any("seed" in placeholders(pattern) for pattern in patterns):
        return False
    keys = [spec.key for spec in specs]
    return len(set(keys)) < len(keys)


def proposed(everything: Sequence[Rows]) -> dict[str, Any]:
    """What names runs, by the names of the settings that all logs tell."""
    run: dict[str, Any] = {}
    for name, usual in _SETTINGS.items():
        there = [key for key in everything[0].config if plain(key.split(".")[-1]) in usual]
        there = [key for key in there if all(key in rows.config for rows in everything)]
        if not there:
            continue
        values = {str(rows.config[there[0]]) for rows in everything}
        if name not in _WHERE_VARIED or len(values) > 1:
            run[name] = {"config": there[0]}
    return run


def _alike(specs: Sequence[ImportedSpec]) -> list[list[ImportedSpec]]:
    """Runs by format and columns: those of a group are described together."""
    groups: dict[object, list[ImportedSpec]] = {}
    for spec in specs:
        columns = tuple(replace(of, every=of.every) for of in spec.columns)
        groups.setdefault((spec.format, spec.row, columns), []).append(spec)
    return list(groups.values())


def _run_lines(specs: Sequence[ImportedSpec]) -> list[str]:
    first = specs[0]
    ends = [spec.last_step for spec in specs]
    last = f"{ends[0]:,}" if len(set(ends)) == 1 else f"{min(ends):,} to {max(ends):,}"
    lines = [
        f"{count(len(specs), 'run')} of format {first.format}, "
        f"steps {min(spec.first_step for spec in specs):,} to {last}; "
        f"such as {first.log} ({first.key})"
    ]
    for column in first.columns:
        every = "at irregular steps" if column.every is None else f"every {column.every:,} steps"
        every = "every step" if column.every == 1 else every
        scale = "" if column.scale == 1 else f", times {column.scale:g}"
        mean = {"row": "", "since_last": ", mean since the value before"}
        over = mean.get(str(column.mean_over), f", mean over {column.mean_over} steps")
        lines.append(f"  {column.name} <- {column.logged}: {every}{scale}{over}")
    diverged = sum(spec.diverged_step is not None for spec in specs)
    if diverged:
        lines.append(f"  {count(diverged, 'run')} diverged: rows from there on are left out")
    return lines
