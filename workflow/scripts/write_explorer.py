"""Traces and tables to the explorer, one page that holds them all."""

from pathlib import Path
from typing import Any

from grokscope.claims.published import read_published
from grokscope.core.files import replacing
from grokscope.data.tables import read_table
from grokscope.data.trace_reader import read_traces
from grokscope.report.explorer.material import TABLES, pack_explorer
from grokscope.report.explorer.page import render_explorer
from grokscope.report.studies import read_studies
from grokscope.runs.imported import read_any_specs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read each trace once, write one HTML file."""
    files = snakemake.input
    packed = pack_explorer(
        read_traces(files.traces, read_any_specs(snakemake.params.specs)),
        tables={name: read_table(files[name], name) for name in TABLES},
        studies=read_studies(snakemake.params.studies),
        published=read_published(files.published),
        analysis=Analysis.from_json(snakemake.params.settings),
    )
    page = render_explorer(
        Path(files.template), Path(files.style), [Path(path) for path in files.modules], packed
    )
    with replacing(snakemake.output.html) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
