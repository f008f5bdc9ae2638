"""Tables and traces of a study to its summary."""

import json
from typing import Any

from grokscope.core.files import replacing
from grokscope.data.tables import read_table
from grokscope.data.trace import read_trace
from grokscope.report.summary import analysis_environment, study_facts, training_environment
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables and the traces' metadata, write one JSON file."""
    tables = {
        name: read_table(snakemake.input[name], name)
        for name in ("runs", "transitions", "phases", "claims")
    }
    infos = (read_trace(path, columns=["step"]).info for path in snakemake.input.traces)
    summary = study_facts(snakemake.wildcards.study, tables) | {
        "training": training_environment(infos),
        "analysis": analysis_environment(),
    }
    text = json.dumps(summary, indent=2, allow_nan=False)
    with replacing(snakemake.output.summary) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
