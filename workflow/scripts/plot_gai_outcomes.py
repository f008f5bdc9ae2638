"""The phases and transitions tables to the outcome of every gai run."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.gai import gai_outcomes
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables, draw the rows of the study."""
    phases = of_study(read_table(snakemake.input.phases, "phases"), "gai")
    transitions = of_study(read_table(snakemake.input.transitions, "transitions"), "gai")
    figure = gai_outcomes(phases, transitions)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
