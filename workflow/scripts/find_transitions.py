"""Traces of a panel to its table of transitions and onsets."""

import json

from snakemake.script import snakemake

from grokscope.summary import read_traces
from grokscope.tables import write_table
from grokscope.transitions import transitions_table


def main() -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = transitions_table(traces, settings["transitions"], settings["onset"])
    write_table(table, snakemake.output.table, "transitions")


if __name__ == "__main__":
    main()
