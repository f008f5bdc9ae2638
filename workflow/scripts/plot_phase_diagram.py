"""The phases table to the phase diagram."""

from typing import Any

from grokscope.plotting import style
from grokscope.plotting.phase_diagram import phase_diagram
from grokscope.plotting.selection import of_study
from grokscope.script import run
from grokscope.tables import read_table


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    phases = read_table(snakemake.input.phases, "phases")
    figure = phase_diagram(of_study(phases, "phase_diagram"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
