"""Curves and chance to the figure of sensitivity against time in warning."""

from typing import Any

from grokscope.plotting import style
from grokscope.plotting.evidence import detection_curves
from grokscope.script import run
from grokscope.tables import read_table


def main(snakemake: Any) -> None:
    """Read the two tables, draw the rows of the study gai."""
    curves = read_table(snakemake.input.curves, "curves")
    chance = read_table(snakemake.input.chance, "chance")
    figure = detection_curves(curves[curves["study"] == "gai"], chance[chance["study"] == "gai"])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
