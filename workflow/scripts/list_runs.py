"""Traces of a panel to its table of runs."""

from snakemake.script import snakemake

from grokscope.summary import read_traces, runs_table
from grokscope.tables import write_table


def main() -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    table = runs_table(traces)
    write_table(table, snakemake.output.table, "runs")


if __name__ == "__main__":
    main()
