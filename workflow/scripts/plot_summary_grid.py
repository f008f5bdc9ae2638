"""Traces and the transitions table to the grid of all lead_lag runs."""

import json
from typing import Any

from grokscope.data.tables import read_table
from grokscope.data.trace import read_trace
from grokscope.figures import style
from grokscope.figures.lead_lag import summary_grid
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces and their rows, draw."""
    traces = [read_trace(path) for path in snakemake.input.traces]
    transitions = read_table(snakemake.input.transitions, "transitions")
    settings = json.loads(snakemake.params.settings)
    figure = summary_grid(traces, transitions, settings["transitions"])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
