"""A trace and the transitions table to the overlay of one run."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.data.trace import read_trace
from grokscope.figures import style
from grokscope.figures.lead_lag import overlay
from grokscope.figures.selection import row_of
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the trace and its row, draw."""
    trace = read_trace(snakemake.input.trace)
    transitions = read_table(snakemake.input.transitions, "transitions")
    figure = overlay(trace, row_of(transitions, trace.key))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
