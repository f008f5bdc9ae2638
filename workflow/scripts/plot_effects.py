"""The phases table to the share of runs that generalise."""

import json
from typing import Any

from grokscope.plotting import style
from grokscope.plotting.phase_diagram import effects
from grokscope.plotting.selection import of_study
from grokscope.script import run
from grokscope.tables import read_table


def main(snakemake: Any) -> None:
    """Read the table, draw the rows of the study."""
    phases = read_table(snakemake.input.phases, "phases")
    settings = json.loads(snakemake.params.settings)
    figure = effects(of_study(phases, "phase_diagram"), settings["evaluation"]["confidence"])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
