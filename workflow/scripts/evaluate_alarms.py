"""Scores, alarms and transitions of a study to its tables of the evaluation."""

from functools import partial
from typing import Any

from grokscope.data.tables import read_table, write_table
from grokscope.evaluate.tables import evaluation_tables
from grokscope.measure.detectors.scores import read_scores
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Evaluate every detector, write its tables."""
    tables = evaluation_tables(
        partial(read_scores, snakemake.input.scores),
        read_table(snakemake.input.alarms, "alarms"),
        read_table(snakemake.input.transitions, "transitions"),
        Analysis.from_json(snakemake.params.settings),
    )
    for name, table in tables.items():
        write_table(table, snakemake.output[name], name)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
