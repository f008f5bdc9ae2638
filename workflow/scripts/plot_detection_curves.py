"""Curves and chance to the figure of sensitivity against time in warning."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.detection_curves import detection_curves
from grokscope.figures.selection import read_runs
from grokscope.measure.lacking import study_lacks
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the two tables, draw."""
    curves = read_table(snakemake.input.curves, "curves")
    chance = read_table(snakemake.input.chance, "chance")
    runs = read_runs(snakemake.input.runs, "runs")
    figure = detection_curves(curves, chance, study_lacks(runs, "events"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
