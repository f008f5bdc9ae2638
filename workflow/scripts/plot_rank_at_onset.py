"""Traces and the rank table to the last layer's rank around onset."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.data.trace import read_trace
from grokscope.figures import style
from grokscope.figures.gai import rank_at_onset
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table and, one after the other, the traces; draw."""
    rank = of_study(read_table(snakemake.input.rank, "rank"), "gai")
    figure = rank_at_onset((read_trace(path) for path in snakemake.input.traces), rank)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
