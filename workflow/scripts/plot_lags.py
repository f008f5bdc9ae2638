"""The transitions table to the lags of the lead_lag runs."""

from typing import Any

from grokscope.plotting import style
from grokscope.plotting.lead_lag import lags
from grokscope.plotting.selection import of_study
from grokscope.script import run
from grokscope.tables import read_table


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    transitions = read_table(snakemake.input.transitions, "transitions")
    figure = lags(of_study(transitions, "lead_lag"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
