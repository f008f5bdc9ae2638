"""The multiverse table to each headline number under every analysis choice."""

from typing import Any

from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.published import published_values
from grokscope.figures.selection import read_runs
from grokscope.figures.specification_curves import specification_curves
from grokscope.measure.detectors.registry import GAI
from grokscope.measure.lacking import study_lacks
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table and the published values, draw."""
    multiverse = read_table(snakemake.input.multiverse, "multiverse")
    published = published_values(snakemake.input.published, snakemake.params.claims)
    runs = read_runs(snakemake.input.runs, "runs")
    figure = specification_curves(multiverse, published, study_lacks(runs, GAI, "events"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
