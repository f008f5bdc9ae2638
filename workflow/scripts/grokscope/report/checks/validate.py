"""Validation: all checks of the results.

Input: the traces, the tables (parquet and CSV), the summaries and the report. Output: a list of
checks, each with what it looked at and the problems it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from grokscope.claims.published import ClaimSet
from grokscope.report.checks.check import Check
from grokscope.report.checks.files import check_csv, check_summaries, check_verdicts
from grokscope.report.checks.page import check_counted, check_markdown, check_sources
from grokscope.report.checks.printed import read_html, read_markdown
from grokscope.report.checks.recompute import Recomputed, recompute
from grokscope.report.checks.recount import expected
from grokscope.report.checks.tables import check_completeness, check_labels, check_tables
from grokscope.report.studies import Study
from grokscope.runs.imported import AnySpec
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunKey


def validate(
    *,
    tables: Mapping[str, pd.DataFrame],
    csv: Mapping[str, Path],
    traces: Mapping[RunKey, Path],
    specs: Mapping[RunKey, AnySpec],
    analysis: Analysis,
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    summaries: Mapping[str, Mapping[str, Any]],
    verdicts: Mapping[str, Any],
    html: str,
    markdown: str,
    workers: int = 1,
) -> list[Check]:
    """All checks of the results.

    Parameters
    ----------
    tables
        Result tables of all studies, by name; ``variants`` may be missing.
    csv
        CSV files of the tables that have one, by name.
    traces, specs
        Trace file and specification of every run that the configuration asks for.
    studies
        The studies of the configuration.
    published
        Claim sets by name.
    summaries
        Contents of the study summaries, by study.
    verdicts
        Contents of ``verdicts.json``.
    html, markdown
        The report.
    workers
        Processes that recompute at a time.
    """
    recomputed = recompute(traces, specs, analysis, studies, published, workers)
    return [
        recomputed.reading,
        *check_results(tables, recomputed, specs, summaries),
        check_csv(tables, csv),
        check_verdicts(tables["claims"], verdicts),
        *check_report(html, markdown, tables, studies, published, analysis),
    ]


def check_results(
    tables: Mapping[str, pd.DataFrame],
    recomputed: Recomputed,
    specs: Mapping[RunKey, AnySpec],
    summaries: Mapping[str, Mapping[str, Any]],
) -> list[Check]:
    """The checks of tables and summaries against what was recomputed."""
    return [
        check_completeness(tables, specs),
        *check_tables(tables, recomputed, specs),
        check_labels(tables["phases"]),
        check_summaries(tables, summaries, recomputed.environments, recomputed.complete),
    ]


def check_report(
    html: str,
    markdown: str,
    tables: Mapping[str, pd.DataFrame],
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    analysis: Analysis,
) -> list[Check]:
    """The checks of the report against the tables."""
    page = read_html(html)
    wanted = expected(tables, studies, published, analysis)
    tally = wanted.numbers.get(("", "tally"), [])
    return [
        check_sources(page, tables),
        check_counted(page, wanted),
        check_markdown(read_markdown(markdown), page, tables["claims"], tally),
    ]
