"""The phases table to the share of runs that generalise."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.effects import effects
from grokscope.figures.selection import read_runs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table, draw."""
    analysis = Analysis.from_json(snakemake.params.settings)
    phases = read_runs(snakemake.input.phases, "phases")
    figure = effects(phases, analysis.evaluation.confidence)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
