"""Traces of a panel to its table of phases."""

import json

from snakemake.script import snakemake

from grokscope.phases import phases_table
from grokscope.summary import read_traces
from grokscope.tables import write_table


def main() -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = phases_table(traces, settings["phases"])
    write_table(table, snakemake.output.table, "phases")


if __name__ == "__main__":
    main()
