"""Traces of a panel to its table of rank falls around onset."""

import json
from typing import Any

from grokscope.data.tables import write_table
from grokscope.data.trace import read_traces
from grokscope.measure.rank import rank_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = rank_table(traces, settings["rank"], settings["onset"])
    write_table(table, snakemake.output.table, "rank")


if __name__ == "__main__":
    # The preamble that Snakemake puts before a script defines the name.
    run(main, snakemake)  # type: ignore[name-defined]
