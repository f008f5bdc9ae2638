"""Traces of a panel to its table of alarms."""

import json

from snakemake.script import snakemake

from grokscope.alarms import alarms_table
from grokscope.summary import read_traces
from grokscope.tables import write_table


def main() -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = alarms_table(traces, settings["alarms"])
    write_table(table, snakemake.output.table, "alarms")


if __name__ == "__main__":
    main()
