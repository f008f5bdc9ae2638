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
from grokscope.report.checks.files import check_csv, check_summaries
from grokscope.report.checks.page import check_html, check_markdown
from grokscope.report.checks.recompute import Recomputed, recompute
from grokscope.report.checks.tables import check_completeness, check_labels, check_tables
from grokscope.report.studies import Study
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunKey, RunSpec


def validate(
    *,
    tables: Mapping[str, pd.DataFrame],
    csv: Mapping[str, Path],
    traces: Mapping[RunKey, Path],
    specs: Mapping[RunKey, RunSpec],
    analysis: Analysis,
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    summaries: Mapping[str, Mapping[str, Any]],
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
    html, markdown
        The report.
    workers
        Processes that recompute at a time.
    """
    recomputed = recompute(traces, specs, analysis, studies, published, workers)
    return [
        recomputed.reading,
        *check_results(tables, recomputed, specs, summaries),
        *check_files(tables, csv, html, markdown),
    ]


def check_results(
    tables: Mapping[str, pd.DataFrame],
    recomputed: Recomputed,
    specs: Mapping[RunKey, RunSpec],
    summaries: Mapping[str, Mapping[str, Any]],
) -> list[Check]:
    """The checks of tables and summaries against what was recomputed."""
    return [
        check_completeness(tables, specs),
        *check_tables(tables, recomputed, specs),
        check_labels(tables["phases"]),
        check_summaries(tables, summaries, recomputed.environments, recomputed.complete),
    ]


def check_files(
    tables: Mapping[str, pd.DataFrame], csv: Mapping[str, Path], html: str, markdown: str
) -> list[Check]:
    """The checks that need no trace: CSV files and report."""
    return [
        check_csv(tables, csv),
        check_html(html, tables),
        check_markdown(markdown, tables["claims"]),
    ]
