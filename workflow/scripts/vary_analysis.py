"""Traces of a panel to its alarms under every analysis choice."""

from typing import Any

from grokscope.data.tables import write_table
from grokscope.data.trace_reader import read_traces
from grokscope.measure.variants import variants_table
from grokscope.runs.imported import read_any_specs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, read_any_specs(snakemake.params.specs))
    table = variants_table(traces, Analysis.from_json(snakemake.params.settings))
    write_table(table, snakemake.output.table, "variants")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
