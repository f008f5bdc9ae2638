"""Traces and the transitions table to an overlay of each run."""

from typing import Any

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.overlay import overlay
from grokscope.figures.selection import read_runs
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read one trace after the other, draw each to the output of its place."""
    transitions = read_runs(snakemake.input.transitions, "transitions")
    output = snakemake.output
    for path, png, svg in zip(snakemake.input.traces, output.png, output.svg, strict=True):
        style.save(overlay(read_trace(path), transitions), png, svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
