"""Tables, summaries and figures to the report, as one HTML page and as Markdown."""

import json
from pathlib import Path
from typing import Any

from grokscope.claims.published import read_published
from grokscope.core.files import replacing
from grokscope.data.tables import read_table
from grokscope.report.page import TABLES, render_html, render_markdown, report_context
from grokscope.report.studies import read_studies
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read everything, render the two templates."""
    files = snakemake.input
    context = report_context(
        tables={name: read_table(files[name], name) for name in TABLES},
        studies=read_studies(snakemake.params.studies),
        published=read_published(files.published),
        summaries={
            Path(path).stem: json.loads(Path(path).read_text(encoding="utf-8"))
            for path in files.summaries
        },
        figures=[Path(path) for path in files.figures],
        captions={
            Path(path).stem: Path(path).read_text(encoding="utf-8").strip()
            for path in files.captions
        },
        config=json.loads(snakemake.params.config),
    )
    html, markdown = Path(snakemake.output.html), Path(snakemake.output.md)
    with replacing(html) as temporary:
        temporary.write_text(render_html(Path(files.html_template), context), encoding="utf-8")
    text = render_markdown(Path(files.md_template), context, markdown.parent)
    with replacing(markdown) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
