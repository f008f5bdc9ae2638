"""The phases table to the phase diagram."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.phase_diagram import phase_diagram
from grokscope.figures.selection import read_runs
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw."""
    figure = phase_diagram(read_runs(snakemake.input.phases, "phases"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
