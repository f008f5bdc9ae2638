"""The phases table to the share of runs that generalise."""

from __future__ import annotations

import json

from snakemake.script import snakemake

from grokscope.plotting import style
from grokscope.plotting.phase_diagram import effects
from grokscope.plotting.selection import of_study
from grokscope.tables import read_table


def main() -> None:
    """Read the table, draw the rows of the study."""
    phases = read_table(snakemake.input.phases, "phases")
    settings = json.loads(snakemake.params.settings)
    figure = effects(of_study(phases, "phase_diagram"), settings["evaluation"]["confidence"])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()
