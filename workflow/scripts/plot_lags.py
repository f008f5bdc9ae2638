"""The transitions table and the published values to the lags of all runs."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.lags import lags
from grokscope.figures.published import published_values
from grokscope.figures.selection import read_runs
from grokscope.measure.lacking import study_lacks, testable
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table and the published values, draw."""
    transitions = read_runs(snakemake.input.transitions, "transitions")
    published = published_values(snakemake.input.published, snakemake.params.claims)
    runs = read_runs(snakemake.input.runs, "runs")
    transitions = testable(transitions, runs, "gradient_peak")
    figure = lags(transitions, published, study_lacks(runs, "gradient_peak"))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
