"""The phases and transitions tables to the outcome of every run."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.outcomes import outcomes
from grokscope.figures.selection import read_runs
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables, draw."""
    phases = read_runs(snakemake.input.phases, "phases")
    transitions = read_runs(snakemake.input.transitions, "transitions")
    figure = outcomes(phases, transitions)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
