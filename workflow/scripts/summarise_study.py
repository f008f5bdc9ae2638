"""Tables of a study to its summary."""

import json
from pathlib import Path
from typing import Any

from grokscope.core.files import replacing
from grokscope.data.tables import read_table
from grokscope.measure.summary import merge_environments
from grokscope.report.summary import analysis_environment, study_facts
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables and what trained the panels, write one JSON file."""
    tables = {
        name: read_table(snakemake.input[name], name)
        for name in ("runs", "transitions", "phases", "claims")
    }
    environments = [
        json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.environments
    ]
    summary = study_facts(snakemake.wildcards.study, tables) | {
        "training": merge_environments(environments),
        "analysis": analysis_environment(),
    }
    text = json.dumps(summary, indent=2, allow_nan=False)
    with replacing(snakemake.output.summary) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
