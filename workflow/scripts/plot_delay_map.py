"""The phases table to the map of delays."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.delay_map import delay_map
from grokscope.figures.selection import read_runs
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw."""
    figure = delay_map(read_runs(snakemake.input.phases, "phases"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
