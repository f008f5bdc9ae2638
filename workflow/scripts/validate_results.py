"""Results to a list of checks; the job succeeds whatever they find."""

import json
from pathlib import Path
from typing import Any

from grokscope.claims import read_published
from grokscope.core.files import replacing
from grokscope.data.tables import read_table, table_names
from grokscope.report.checks import outcome, validate
from grokscope.runs.spec import RunSpec
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Check all results, write one JSON file."""
    files = snakemake.input
    specs = [RunSpec.from_json(json.dumps(spec)) for spec in json.loads(snakemake.params.specs)]
    # The variants of runs are no result table, and only one study has them.
    given = [name for name in table_names() if files.get(name)]
    checks = validate(
        tables={name: read_table(files[name], name) for name in given},
        csv={name: Path(files[f"{name}_csv"]) for name in given if name != "variants"},
        traces={spec.key: Path(path) for spec, path in zip(specs, files.traces, strict=True)},
        specs={spec.key: spec for spec in specs},
        settings=json.loads(snakemake.params.settings),
        published=read_published(files.published),
        summaries={
            Path(path).stem: json.loads(Path(path).read_text(encoding="utf-8"))
            for path in files.summaries
        },
        html=Path(files.html).read_text(encoding="utf-8"),
        markdown=Path(files.md).read_text(encoding="utf-8"),
    )
    text = json.dumps(outcome(checks), indent=2, allow_nan=False)
    with replacing(snakemake.output.validation) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
