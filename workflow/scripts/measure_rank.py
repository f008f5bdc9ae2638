"""Traces of a panel to its table of rank falls around onset."""

import json

from snakemake.script import snakemake

from grokscope.rank import rank_table
from grokscope.summary import read_traces
from grokscope.tables import write_table


def main() -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = rank_table(traces, settings["rank"], settings["onset"])
    write_table(table, snakemake.output.table, "rank")


if __name__ == "__main__":
    main()
