"""Traces and the transitions table to the grid of all runs."""

from typing import Any

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.selection import read_runs
from grokscope.figures.summary_grid import summary_grid
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces and their rows, draw."""
    analysis = Analysis.from_json(snakemake.params.settings)
    traces = [read_trace(path) for path in snakemake.input.traces]
    transitions = read_runs(snakemake.input.transitions, "transitions")
    figure = summary_grid(traces, transitions, analysis.transitions)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
