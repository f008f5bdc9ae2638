"""The phases table and traces to one run of each phase."""

from typing import Any

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.example_curves import choose_examples, example_curves
from grokscope.figures.selection import find_trace, key_of, read_runs
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Choose the runs, read their traces only, draw."""
    phases = read_runs(snakemake.input.phases, "phases")
    traces = {
        phase: read_trace(find_trace(snakemake.input.traces, key_of(row)))
        for phase, row in choose_examples(phases).items()
    }
    figure = example_curves(traces, phases)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
