"""The phases table to the map of delays."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.phase_diagram import delay_map
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    phases = read_table(snakemake.input.phases, "phases")
    figure = delay_map(of_study(phases, "phase_diagram"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
