"""The alarms and transitions tables to the leads of the gai alarms."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.gai import alarm_leads
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables, draw the rows of the study."""
    alarms = of_study(read_table(snakemake.input.alarms, "alarms"), "gai")
    transitions = of_study(read_table(snakemake.input.transitions, "transitions"), "gai")
    figure = alarm_leads(alarms, transitions)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
