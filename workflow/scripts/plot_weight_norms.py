"""Traces to the weight norms of all runs."""

from typing import Any

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.weight_norms import weight_norms
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces, draw."""
    figure = weight_norms([read_trace(path) for path in snakemake.input.traces])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
