"""Traces and the rank table to the last layer's rank around onset."""

from typing import Any

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.published import published_values
from grokscope.figures.rank_at_onset import rank_at_onset
from grokscope.figures.selection import read_runs
from grokscope.measure.lacking import study_lacks
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table and, one after the other, the traces; draw."""
    rank = read_runs(snakemake.input.rank, "rank")
    published = published_values(snakemake.input.published, snakemake.params.claims)
    traces = (read_trace(path) for path in snakemake.input.traces)
    runs = read_runs(snakemake.input.runs, "runs")
    figure = rank_at_onset(traces, rank, published, study_lacks(runs, "ranks"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
