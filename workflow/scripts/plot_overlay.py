"""A trace and the transitions table to the overlay of one run."""

from typing import Any

from grokscope.plotting import style
from grokscope.plotting.lead_lag import overlay
from grokscope.plotting.selection import row_of
from grokscope.script import run
from grokscope.tables import read_table
from grokscope.trace import read_trace


def main(snakemake: Any) -> None:
    """Read the trace and its row, draw."""
    trace = read_trace(snakemake.input.trace)
    transitions = read_table(snakemake.input.transitions, "transitions")
    figure = overlay(trace, row_of(transitions, trace.key))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
