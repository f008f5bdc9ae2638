"""Traces of a panel to its tables, scores and training environment."""

import json
from typing import Any

from grokscope.core.files import replacing
from grokscope.data.tables import write_table
from grokscope.data.trace_reader import read_traces
from grokscope.measure.detectors.scores import write_scores
from grokscope.measure.panel import measure_panel
from grokscope.runs.imported import read_any_specs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read each trace once, write everything measured on it."""
    traces = read_traces(snakemake.input.traces, read_any_specs(snakemake.params.specs))
    measured = measure_panel(traces, Analysis.from_json(snakemake.params.settings))
    for name, table in measured.tables.items():
        write_table(table, snakemake.output[name], name)
    write_scores(measured.scores, snakemake.output.scores)
    with replacing(snakemake.output.environment) as temporary:
        temporary.write_text(json.dumps(measured.environment, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
