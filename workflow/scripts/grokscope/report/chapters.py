"""Chapters: what the report says of one study, by the study's kind.

Input: the result tables, figures and claims of one study. Output: its chapter. A new kind of study
registers one function here:

>>> @chapter("my_kind")
... def my_kind(material):
...     return Body(parts=[...])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.core.formatting import count, words
from grokscope.report.figures import Figure, run_figures, study_figures
from grokscope.report.studies import Study
from grokscope.report.tables import early_warning, lead_lag, logs, phase_diagram
from grokscope.report.tables.evidence import evidence
from grokscope.report.tables.parts import Table, of_study
from grokscope.runs.kinds import KINDS
from grokscope.runs.settings import Analysis


@dataclass(frozen=True)
class Material:
    """What a chapter is made of.

    Attributes
    ----------
    results
        Result tables by name, with the rows of this study alone.
    figures
        By name, in the order of the kind.
    claims
        The claim set that the study is judged by, if any.
    """

    results: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    analysis: Analysis
    claims: ClaimSet | None

    def pictures(self, *names: str) -> list[Figure]:
        """The figures of these names that there are."""
        return [self.figures[name] for name in names if name in self.figures]


@dataclass(frozen=True)
class Body:
    """What stands below a chapter's question.

    Attributes
    ----------
    opening
        Figures above all else.
    answer
        The answer to the question in words; the verdicts on claims follow it. Empty: none.
    parts
        Figures and tables in order.
    """

    opening: Sequence[Figure] = ()
    answer: str = ""
    parts: Sequence[Figure | Table] = field(default_factory=list)


@dataclass(frozen=True)
class Chapter:
    """What the report says of one study."""

    study: Study
    question: str
    facts: str
    processors: str
    body: Body
    run_figures: Sequence[Figure]


CHAPTERS: dict[str, Callable[[Material], Body]] = {}
_Maker = Callable[[Material], Body]


def chapter(kind: str) -> Callable[[_Maker], _Maker]:
    """Register the function that makes the chapter of studies of a kind."""

    def register(make: _Maker) -> _Maker:
        if kind in CHAPTERS:
            raise ValueError(f"kind {kind!r} has a chapter already")
        CHAPTERS[kind] = make
        return make

    return register


@chapter("lead_lag")
def _lead_lag(material: Material) -> Body:
    found = lead_lag.tables(material.results, material.analysis, material.claims)
    return Body(parts=[*material.figures.values(), *found])


@chapter("early_warning")
def _early_warning(material: Material) -> Body:
    """Opens with the curves, the answer and what is behind it; then what else was measured."""
    first, second = "detection_curves", "specification_curves"
    answer, found = evidence(material.results, material.analysis)
    others = [name for name in material.figures if name not in (first, second)]
    return Body(
        opening=material.pictures(first),
        answer=answer,
        parts=[
            *(table for table in found if not table.folded),
            *material.pictures(second),
            *(table for table in found if table.folded),
            *material.pictures(*others),
            *early_warning.tables(material.results, material.analysis),
        ],
    )


@chapter("phase_diagram")
def _phase_diagram(material: Material) -> Body:
    found = phase_diagram.tables(material.results)
    return Body(parts=[*material.figures.values(), *found])


def make_chapter(
    study: Study,
    *,
    results: Mapping[str, pd.DataFrame],
    claims: ClaimSet | None,
    summary: Mapping[str, Any],
    figures: Iterable[Path],
    captions: Mapping[str, str],
    analysis: Analysis,
) -> Chapter:
    """The chapter of one study.

    Parameters
    ----------
    results
        Result tables of all studies, by name.
    claims
        The claim set that judges the study, if any.
    summary
        Contents of ``results/summaries/{study}.json``.
    figures
        PNG files of all studies.
    captions
        Text of a caption by the figure's name.
    """
    kind, paths = KINDS[study.kind], list(figures)
    material = Material(
        {name: of_study(table, study.name) for name, table in results.items()},
        study_figures(study.name, kind, paths, captions),
        analysis,
        claims,
    )
    return Chapter(
        study,
        kind.question,
        facts(summary),
        processors(material.results["runs"]),
        _with_logs(CHAPTERS[study.kind](material), material.results["runs"]),
        run_figures(study.name, kind, paths, captions),
    )


def _with_logs(body: Body, runs: pd.DataFrame) -> Body:
    """A chapter with what the logs of imported runs say, and without what they do not."""
    of_logs = logs.tables(runs)
    if not of_logs:
        return body
    parts = [part for part in body.parts if not isinstance(part, Table) or part.rows]
    return replace(body, parts=[*of_logs, *parts])


def facts(summary: Mapping[str, Any]) -> str:
    """A sentence on how many runs, seeds and seconds a study took."""
    ends = ", ".join(f"{number} {words(name)}" for name, number in summary["stopped"].items())
    time = summary["seconds"]
    how = "of imported logs" if time is None else f"in {time:,.0f} seconds of training"
    return (
        f"{count(summary['runs'], 'run')} ({ends}) of {count(len(summary['seeds']), 'seed')}, "
        f"{summary['steps']:,} steps {how}."
    )


def processors(runs: pd.DataFrame) -> str:
    """A warning if several kinds of processors trained the runs of a study; else empty."""
    kinds = runs["processor"].nunique()
    if kinds < 2:
        return ""
    return (
        f"{kinds} kinds of processors trained these runs (see Methods). Rounding moves the same "
        "run apart on them, so what differs between runs may be the processor."
    )
