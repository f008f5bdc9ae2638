"""The transitions table to the lags of the lead_lag runs."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.lead_lag import lags
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    transitions = read_table(snakemake.input.transitions, "transitions")
    figure = lags(of_study(transitions, "lead_lag"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
