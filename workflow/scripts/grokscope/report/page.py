"""Report: what the results say, as one HTML page and as Markdown, from one context.

Input: the result tables, the published claims, study summaries, figures with captions and the
completed configuration. Output: two strings. Every number of the page that stands in a table
carries its source as ``data-`` attributes, so that validation can read it back. No dates, no
paths of this machine: the same results give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup, escape

from grokscope.claims.published import ClaimSet
from grokscope.claims.rules import Outcome
from grokscope.core.formatting import ABSENT, count, listed
from grokscope.measure.summary import merge_environments
from grokscope.report.chapters import make_chapter
from grokscope.report.definitions import definitions
from grokscope.report.studies import Study
from grokscope.report.tables.overview import overview_table, processor_table
from grokscope.report.tables.parts import Cell, Table
from grokscope.report.verdicts import citation, judged_studies, support_tables, tally
from grokscope.runs.settings import Analysis

# The result tables that the report is made of.
TABLES = (
    "runs",
    "transitions",
    "alarms",
    "rank",
    "phases",
    "evaluation",
    "chance",
    "multiverse",
    "claims",
)


def report_context(
    *,
    tables: Mapping[str, pd.DataFrame],
    studies: Sequence[Study],
    published: Mapping[str, ClaimSet],
    summaries: Mapping[str, Mapping[str, Any]],
    figures: Iterable[Path],
    captions: Mapping[str, str],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the templates print.

    Parameters
    ----------
    tables
        Those of :data:`TABLES`, each of all studies.
    studies
        The studies in the order of the report.
    published
        Claim sets by name.
    summaries
        Contents of ``results/summaries/{study}.json`` by study.
    figures
        PNG files.
    captions
        Text of a caption by its stem.
    config
        The completed configuration as plain values.
    """
    analysis = Analysis.from_mapping(config["analysis"])
    paths = list(figures)
    judged = judged_studies(studies, tables["claims"], tables["multiverse"], published)
    rows = [row for one in judged for row in one.rows]
    own = [summaries[study.name] for study in studies]
    titles = {study.name: study.title for study in studies}
    measured = {name: tables[name] for name in ("runs", "transitions", "phases")}
    return {
        "title": _title(
            len({(one.claims.name, row["claim"]) for one in judged for row in one.rows})
        ),
        "lead": _lead(len(studies), len(tables["runs"]), bool(rows)),
        "judged": judged,
        "tally": tally([row["verdict"] for row in rows]) if rows else [],
        # Where no claim can be tested, the page opens with what was measured.
        "decided": any(row["verdict"] != Outcome.NOT_TESTABLE for row in rows),
        "supports": support_tables(judged, tables["multiverse"]),
        "overview": overview_table(measured, list(titles), analysis.phases.gap),
        "chapters": [
            make_chapter(
                study,
                results=tables,
                claims=None if study.claims is None else published[study.claims],
                summary=summaries[study.name],
                figures=paths,
                captions=captions,
                analysis=analysis,
            )
            for study in studies
        ],
        "definitions": definitions(analysis, {study.kind for study in studies}, bool(rows)),
        "versions": _versions(own),
        "processors": processor_table(tables["runs"], titles),
        "machines": _machines(own),
        "config": yaml.safe_dump(
            dict(config), sort_keys=False, default_flow_style=None, allow_unicode=True, width=90
        ),
        "seconds": _seconds(tables["runs"]),
    }


def _seconds(runs: pd.DataFrame) -> str:
    if len(runs) and runs["seconds"].isna().all():
        return "no run was trained here"
    return f"{runs['seconds'].sum():,.0f} seconds of training in all"


def _title(claims: int) -> str:
    if not claims:
        return "Grokscope: what was measured"
    return f"Grokscope: what holds of {count(claims, 'claim')} on grokking"


def _lead(studies: int, runs: int, judged: bool) -> str:
    """The sentence below the title."""
    what = "1 study" if studies == 1 else f"{studies} studies"
    text = (
        f"{what} of when small networks memorise and when they generalise, from one "
        f"configuration: {count(runs, 'run')}."
    )
    if judged:
        text += " Every verdict is computed from the result tables; none is written by hand."
    return text


def _versions(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """Versions of each library that trained, and that analysed."""
    training = merge_environments([summary["training"] for summary in summaries])["versions"]
    analysis: dict[str, set[str]] = {}
    for summary in summaries:
        for name, version in summary["analysis"]["versions"].items():
            analysis.setdefault(name, set()).add(version)
    rows = [
        [
            Cell(name),
            Cell(", ".join(training.get(name, [])) or ABSENT),
            Cell(", ".join(sorted(analysis.get(name, []))) or ABSENT),
        ]
        for name in sorted(training | analysis)
    ]
    return Table("Versions", ["library", "trained with", "analysed with"], rows)


def _machines(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Machines of analysis and devices of training, in words."""
    found = set()
    for summary in summaries:
        machine, training = summary["analysis"]["machine"], summary["training"]
        trained = "imported from logs"
        if training["devices"] or not training["versions"]:
            devices = listed(training["devices"]) if training["devices"] else "nothing"
            threads = ", ".join(map(str, training["threads"])) or "0"
            trained = f"trained on {devices} with {threads} thread(s) per run"
        found.add(
            f"{trained}; analysed on "
            f"{machine['system']} {machine['architecture']} with {machine['cpus']} CPUs"
        )
    return sorted(found)


# ------------------------------------------------------------------ rendering

_INLINE = re.compile(r"``(.+?)``|\*\*(.+?)\*\*|\*(.+?)\*")


def rst_html(text: str) -> Markup:
    """Inline reStructuredText (literals, emphasis) as HTML; all else is escaped."""

    def tag(match: re.Match[str]) -> str:
        for content, name in zip(match.groups(), ("code", "strong", "em"), strict=True):
            if content is not None:
                return f"<{name}>{content}</{name}>"
        return match[0]

    # The text is escaped before any tag is put into it.
    return Markup(_INLINE.sub(tag, str(escape(text))))  # noqa: S704


def markdown_text(text: Any) -> str:
    """A text that stands in a Markdown table or paragraph as it is."""
    flat = " ".join(str(text).split())
    return re.sub(r"([\\|*_<>\[\]`#])", r"\\\1", flat)


def _is_table(part: object) -> bool:
    return isinstance(part, Table)


def _render(template: Path, context: Mapping[str, Any], autoescape: bool) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=autoescape,  # noqa: S701  # Off for Markdown, which has a filter of its own.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"rst": rst_html, "md": markdown_text, "citation": citation}
    environment.tests["a_table"] = _is_table
    return environment.get_template(template.name).render(context)


def render_html(template: Path, context: Mapping[str, Any]) -> str:
    """The page; autoescaped."""
    return _render(template, context, autoescape=True)


def render_markdown(template: Path, context: Mapping[str, Any], root: Path) -> str:
    """The Markdown file; figures by their paths relative to `root`, the folder it lies in."""

    def relative(path: Path) -> str:
        relative_path = path.relative_to(root).as_posix()
        # Overlays have "=" and "," in their names, which Markdown leaves alone.
        return relative_path.replace(" ", "%20")

    return _render(template, {**context, "relative": relative}, autoescape=False)
