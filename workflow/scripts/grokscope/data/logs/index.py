"""Index: the runs in the logs of a study, read once and again only where a log changed.

Snakemake must know the runs when it reads the workflow, and that may be for every command. So what
was found in a log stands in ``results/imports/{study}.json`` beside size and time of its files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import grokscope
from grokscope.core.files import replacing
from grokscope.core.provenance import code_hashes
from grokscope.data.logs.formats import Log, find_logs, read_log
from grokscope.data.logs.identity import NUMBERED
from grokscope.data.logs.rows import LogError
from grokscope.data.logs.runs import ImportedRun, runs_of
from grokscope.data.trace import Trace, TraceInfo
from grokscope.data.trace_reader import by_step
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.settings import StudySettings
from grokscope.runs.sources import Source
from grokscope.runs.spec import RunKey

INDEX = "results/imports/{study}.json"


def indexed(study: StudySettings, folder: str | os.PathLike[str] = ".") -> list[ImportedSpec]:
    """Specifications of the runs in the logs of a study, in the order of their keys.

    Parameters
    ----------
    folder
        Where Snakemake runs: paths of logs are relative to it, and it keeps the index.

    Raises
    ------
    LogError
        If a log cannot be imported, or two runs have one identity.
    """
    source = study.source
    assert source is not None
    path = Path(folder, INDEX.format(study=study.name))
    # Whatever reads logs, and how it is told to.
    stamp = [source.to_json(), code_hashes("grokscope/data/logs/index")]
    known = _known(path, stamp)
    entries = {}
    for log in find_logs(f"studies.{study.name}.source.files", source.files, folder):
        state = log.state()
        entry = known.get(log.path)
        if entry is None or entry["state"] != state:
            runs = read_runs(study.name, log, source)
            entry = {"state": state, "specs": [asdict(run.spec) for run in runs]}
        entries[log.path] = entry
    if entries != known:
        text = json.dumps({"stamp": stamp, "logs": entries}, indent=1) + "\n"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    # Read from the text that is kept, so that both ways give the same.
    plain = json.loads(json.dumps(entries))
    specs = [ImportedSpec.from_values(of) for entry in plain.values() for of in entry["specs"]]
    return distinct(study.name, specs, source)


def known_runs(study: StudySettings, folder: str | os.PathLike[str]) -> list[ImportedSpec]:
    """The runs that results in a folder are of, by their index; the logs need not be there.

    Raises
    ------
    LogError
        If there is no index of this source, and no log either.
    """
    source = study.source
    assert source is not None
    try:
        path = Path(folder, INDEX.format(study=study.name))
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["stamp"][0] == source.to_json():
            entries = content["logs"].values()
            specs = [ImportedSpec.from_values(of) for entry in entries for of in entry["specs"]]
            return distinct(study.name, specs, source)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return indexed(study, folder)


def imported(
    specs: Iterable[ImportedSpec], source: Source
) -> Iterator[tuple[ImportedSpec, TraceInfo, ImportedRun]]:
    """Runs read again from their logs, each log once.

    Raises
    ------
    LogError
        If a log is no longer what the specification says.
    """
    by_log: dict[str, list[ImportedSpec]] = {}
    for spec in specs:
        by_log.setdefault(spec.log, []).append(spec)
    found = {log.path: log for log in find_logs("source.files", source.files)}
    for name, wanted in by_log.items():
        log = found.get(name)
        if log is None:
            raise LogError(f"{name}: no such log any more")
        runs = {run.spec.part: run for run in read_runs(wanted[0].study, log, source)}
        for spec in wanted:
            run = runs.get(spec.part)
            # Seeds that are numbered depend on all logs.
            if run is None or replace(run.spec, seed=spec.seed) != spec:
                raise LogError(f"{name}: changed while it was imported; call snakemake again")
            yield spec, import_info(spec), run


def import_info(spec: ImportedSpec) -> TraceInfo:
    """How an imported trace was made: nothing is known of the training."""
    return TraceInfo(
        stopped="ended" if spec.diverged_step is None else "diverged",
        diverged_step=spec.diverged_step,
        n_train=None,
        n_test=None,
        n_parameters=None,
        device=None,
        processor=None,
        threads=None,
        seconds=None,
        versions={"grokscope": grokscope.__version__, "pyarrow": pa.__version__},
    )


def traces_of(study: StudySettings) -> list[Trace]:
    """The runs in the logs of a study as traces, all in memory and nothing written.

    Raises
    ------
    LogError
        As :func:`indexed`.
    """
    assert study.source is not None
    logs = find_logs(f"studies.{study.name}.source.files", study.source.files)
    found = [run for log in logs for run in read_runs(study.name, log, study.source)]
    runs = {(run.spec.log, run.spec.part): run for run in found}
    traces = []
    for spec in distinct(study.name, [run.spec for run in found], study.source):
        run = runs[spec.log, spec.part]
        columns = {name: of.astype(np.float32) for name, of in run.columns.items()}
        frame = pd.DataFrame({"step": run.steps, "seed": spec.seed, **columns})
        traces.append(Trace(spec, import_info(spec), by_step(frame)))
    return traces


def _known(path: Path, stamp: Sequence[Any]) -> dict[str, Any]:
    """What the index has, if it was made by the same code of the same source."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["logs"]) if content["stamp"] == list(stamp) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_runs(study: str, log: Log, source: Source) -> list[ImportedRun]:
    """The runs of a log, before seeds are numbered."""
    digest = log.digest()
    found = [
        run
        for rows in read_log(log, source.format)
        for run in runs_of(study, log.path, digest, rows, source)
    ]
    return found


def distinct(study: str, specs: Iterable[ImportedSpec], source: Source) -> list[ImportedSpec]:
    """The runs under different identities, seeds numbered where the source asks for it.

    Raises
    ------
    LogError
        Naming two logs of one identity.
    """
    numbered = source.run.get("seed") == NUMBERED
    found: dict[RunKey, ImportedSpec] = {}
    for spec in specs:
        if numbered:
            seed = 0
            while replace(spec, seed=seed).key in found:
                seed += 1
            spec = replace(spec, seed=seed)
        if spec.key in found:
            other = found[spec.key]
            raise LogError(
                f"studies.{study}.source: {_place(other)} and {_place(spec)} are the same run by "
                f"what run says ({spec.key}); say what tells them apart, such as "
                "run: {path: 'seed_{seed}/*.csv'} or run: {seed: {config: seed}}; seed: number "
                "numbers them"
            )
        found[spec.key] = spec
    return sorted(found.values(), key=_order)


def _order(spec: ImportedSpec) -> tuple[Any, ...]:
    """By panel, then by everything else as text, numbers by their size."""
    parts = [spec.task, spec.depth, *(_sortable(text) for text in spec.key.parameters.values())]
    return tuple(parts)


def _sortable(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), ""
    except ValueError:
        return 1, 0.0, text


def _place(spec: ImportedSpec) -> str:
    return spec.log if spec.part is None else f"{spec.log} ({spec.part})"
