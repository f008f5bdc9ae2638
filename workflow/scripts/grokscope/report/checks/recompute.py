"""Recomputation: all result tables once more, from the traces.

Input: traces, their specifications, the analysis settings and the studies. Output: tables, and
what trained each study. Panels are measured, and studies evaluated and judged, in as many
processes as are allowed, with one trace in memory in each; the result does not depend on their
number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from grokscope.claims.judge import judge_study
from grokscope.claims.published import ClaimSet
from grokscope.data.tables import concatenate
from grokscope.data.trace import Trace
from grokscope.data.trace_reader import TraceError, read_trace
from grokscope.evaluate.tables import evaluation_tables
from grokscope.measure.detectors.scores import read_scores, write_scores
from grokscope.measure.panel import PANEL_TABLES, measure_panel
from grokscope.measure.summary import merge_environments
from grokscope.measure.variants import variants_table
from grokscope.report.checks.check import Check
from grokscope.report.studies import Study
from grokscope.runs.imported import AnySpec
from grokscope.runs.kinds import KINDS
from grokscope.runs.paths import EVALUATION_TABLES
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunKey, panels

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Recomputed:
    """What the traces say.

    Attributes
    ----------
    tables
        Result tables of all studies, and ``variants``, by name. Those that need all runs of a
        study hold the studies in `complete` alone.
    environments
        What trained the runs of each study whose traces can be read.
    reading
        Whether each trace is what it should be.
    complete
        Studies of which every trace can be read.
    """

    tables: Tables
    environments: Mapping[str, Mapping[str, Any]]
    reading: Check
    complete: frozenset[str]


@dataclass(frozen=True)
class _Panel:
    """What a process is told of one panel."""

    paths: tuple[Path | None, ...]
    specs: tuple[AnySpec, ...]
    analysis: Analysis
    has_variants: bool
    scores: Path


@dataclass(frozen=True)
class _Measured:
    """What it returns."""

    tables: Tables
    environment: Mapping[str, Any]
    reading: Check


def recompute(
    paths: Mapping[RunKey, Path],
    specs: Mapping[RunKey, AnySpec],
    analysis: Analysis,
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    workers: int = 1,
) -> Recomputed:
    """Read every trace, and make all result tables from them.

    Parameters
    ----------
    paths, specs
        Trace file and specification of each run.
    published
        Claim sets by name.
    workers
        Processes that work at a time.
    """
    reading = Check("each trace matches its schema and its specification")
    parts: dict[str, list[pd.DataFrame]] = {}
    environments, complete = {}, []
    with tempfile.TemporaryDirectory() as folder, _executor(workers) as pool:
        measuring = _submit_panels(pool, paths, specs, analysis, studies, Path(folder))
        judging: dict[str, list[Future[Tables]]] = {}
        # The study with the most work first: what follows its panels is long as well.
        for study in sorted(studies, key=lambda study: -_work(specs, study.name)):
            measured = [future.result() for future, _ in measuring[study.name]]
            if not any(panel.reading.problems for panel in measured):
                scores = [file for _, file in measuring[study.name]]
                claims = None if study.claims is None else published[study.claims]
                tables = _concatenated([panel.tables for panel in measured])
                judging[study.name] = [
                    pool.submit(_evaluate, scores, tables, analysis),
                    pool.submit(_judge, study, tables, claims, analysis),
                ]
        for study in studies:
            found = [future.result() for future, _ in measuring[study.name]]
            for panel in found:
                reading.add(panel.reading)
            environments[study.name] = merge_environments(panel.environment for panel in found)
            made = [panel.tables for panel in found]
            if study.name in judging:
                complete.append(study.name)
                made += [future.result() for future in judging[study.name]]
            for tables in made:
                for name, table in tables.items():
                    parts.setdefault(name, []).append(table)
    names = (*PANEL_TABLES, *EVALUATION_TABLES, "variants", "multiverse", "claims")
    combined = {name: concatenate(parts.get(name, []), name) for name in names}
    return Recomputed(combined, environments, reading, frozenset(complete))


def _submit_panels(
    pool: Executor,
    paths: Mapping[RunKey, Path],
    specs: Mapping[RunKey, AnySpec],
    analysis: Analysis,
    studies: Sequence[Study],
    folder: Path,
) -> dict[str, list[tuple[Future[_Measured], Path]]]:
    """Start measuring all panels, those with the most steps first; the jobs of each study."""
    kinds = {study.name: KINDS[study.kind] for study in studies}
    grouped = panels(specs)
    jobs = {}
    for number, (panel, keys) in enumerate(grouped.items()):
        jobs[panel] = _Panel(
            tuple(paths.get(key) for key in keys),
            tuple(specs[key] for key in keys),
            analysis,
            kinds[panel.study].has_variants,
            folder / f"{number}.parquet",
        )
    order = sorted(jobs, key=lambda panel: -sum(spec.steps for spec in jobs[panel].specs))
    started = {panel: pool.submit(_measure, jobs[panel]) for panel in order}
    found: dict[str, list[tuple[Future[_Measured], Path]]] = {study.name: [] for study in studies}
    for panel in grouped:
        found[panel.study].append((started[panel], jobs[panel].scores))
    return found


def _work(specs: Mapping[RunKey, AnySpec], study: str) -> int:
    return sum(spec.steps for key, spec in specs.items() if key.study == study)


def _concatenated(parts: Sequence[Tables]) -> Tables:
    return {name: concatenate([part[name] for part in parts], name) for name in parts[0]}


def _measure(panel: _Panel) -> _Measured:
    """Tables and scores of one panel, one trace in memory at a time."""
    reading = Check("")
    variants: list[pd.DataFrame] = []
    traces = _read(panel, reading)
    if panel.has_variants:
        traces = _varying(traces, variants, panel.analysis)
    measured = measure_panel(traces, panel.analysis)
    write_scores(measured.scores, panel.scores)
    tables = dict(measured.tables)
    if panel.has_variants:
        tables["variants"] = concatenate(variants, "variants")
    return _Measured(tables, measured.environment, reading)


def _read(panel: _Panel, reading: Check) -> Iterator[Trace]:
    """Traces that are what they should be; the others become problems of `reading`."""
    for path, spec in zip(panel.paths, panel.specs, strict=True):
        if path is None:
            reading.expect(False, f"no trace of run {spec.key}")
            continue
        try:
            trace = read_trace(path, expected=spec)
        except TraceError as error:
            reading.expect(False, str(error))
            continue
        reading.expect(True, "")
        yield trace


def _varying(
    traces: Iterable[Trace], variants: list[pd.DataFrame], analysis: Analysis
) -> Iterator[Trace]:
    """The same traces; their variants are added to the list as they pass."""
    for trace in traces:
        variants.append(variants_table([trace], analysis))
        yield trace


def _evaluate(scores: Sequence[Path], tables: Tables, analysis: Analysis) -> Tables:
    """Tables of alarms against onsets of one study."""
    read = partial(read_scores, scores)
    return dict(evaluation_tables(read, tables["alarms"], tables["transitions"], analysis))


def _judge(study: Study, tables: Tables, claims: ClaimSet | None, analysis: Analysis) -> Tables:
    """Claims of one study, and its headline numbers under every analysis choice."""
    judged = judge_study(study.name, tables, claims, study.kind, analysis)
    return {"claims": judged.claims, "multiverse": judged.multiverse}


def _executor(workers: int) -> Executor:
    """Processes that share nothing with this one, or this process itself.

    They are started afresh: a fork would copy the locks of libraries' threads as they are.
    """
    if workers <= 1:
        return _InProcess()
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


class _InProcess(Executor):
    """Does at once, and here, what it is given."""

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **named))
        return future
