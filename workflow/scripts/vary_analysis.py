"""Traces of a panel to their alarms under every combination of analysis choices."""

import json
from typing import Any

from grokscope.data.tables import write_table
from grokscope.data.trace import read_traces
from grokscope.measure.variants import variants_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    table = variants_table(traces, json.loads(snakemake.params.settings))
    write_table(table, snakemake.output.table, "variants")


if __name__ == "__main__":
    # The preamble that Snakemake puts before a script defines the name.
    run(main, snakemake)  # type: ignore[name-defined]
