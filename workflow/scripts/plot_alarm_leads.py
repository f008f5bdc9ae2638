"""The alarms and transitions tables to the leads of the GAI's alarms."""

from typing import Any

from grokscope.figures import style
from grokscope.figures.alarm_leads import alarm_leads
from grokscope.figures.published import published_values
from grokscope.figures.selection import read_runs
from grokscope.measure.detectors.registry import GAI
from grokscope.measure.lacking import study_lacks, testable
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables and the published values, draw."""
    alarms = read_runs(snakemake.input.alarms, "alarms")
    transitions = read_runs(snakemake.input.transitions, "transitions")
    published = published_values(snakemake.input.published, snakemake.params.claims)
    runs = read_runs(snakemake.input.runs, "runs")
    transitions = testable(transitions, runs, GAI)
    figure = alarm_leads(alarms, transitions, published, study_lacks(runs, GAI))
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
