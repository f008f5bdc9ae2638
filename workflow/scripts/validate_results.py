"""Results to a list of checks; the job succeeds even if checks fail."""

import json
from pathlib import Path
from typing import Any

from grokscope.claims.published import read_published
from grokscope.core.files import replacing
from grokscope.data.tables import read_table, read_tables, table_names
from grokscope.report.checks.check import outcome
from grokscope.report.checks.validate import validate
from grokscope.report.studies import read_studies
from grokscope.runs.imported import read_any_specs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Check all results, write one JSON file."""
    files = snakemake.input
    specs = read_any_specs(snakemake.params.specs)
    results = [name for name in table_names() if name != "variants"]
    tables = {name: read_table(files[name], name) for name in results}
    # Variants are not a result table, and only some kinds of study have them.
    if variants := files.get("variants"):
        tables["variants"] = read_tables(variants, "variants")
    checks = validate(
        tables=tables,
        csv={name: Path(files[f"{name}_csv"]) for name in results},
        traces={spec.key: Path(path) for spec, path in zip(specs, files.traces, strict=True)},
        specs={spec.key: spec for spec in specs},
        analysis=Analysis.from_json(snakemake.params.settings),
        studies=read_studies(snakemake.params.studies),
        published=read_published(files.published),
        summaries={
            Path(path).stem: json.loads(Path(path).read_text(encoding="utf-8"))
            for path in files.summaries
        },
        verdicts=json.loads(Path(files.verdicts).read_text(encoding="utf-8")),
        html=Path(files.html).read_text(encoding="utf-8"),
        markdown=Path(files.md).read_text(encoding="utf-8"),
        workers=snakemake.threads,
    )
    text = json.dumps(outcome(checks), indent=2, allow_nan=False)
    with replacing(snakemake.output.validation) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
