"""The phases table to the share of runs that generalise."""

import json
from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.phase_diagram import effects
from grokscope.figures.selection import of_study
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    phases = read_table(snakemake.input.phases, "phases")
    settings = json.loads(snakemake.params.settings)
    figure = effects(of_study(phases, "phase_diagram"), settings["evaluation"]["confidence"])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
