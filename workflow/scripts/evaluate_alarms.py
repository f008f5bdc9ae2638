"""Scores and onsets of a study to its tables of evaluations, chance and curves."""

import json
from functools import partial
from typing import Any

from grokscope.data.tables import read_table, write_table
from grokscope.evaluate.study import evaluation_tables
from grokscope.measure.detectors import read_scores
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read scores and onsets, write how the detectors did."""
    tables = evaluation_tables(
        partial(read_scores, snakemake.input.scores),
        read_table(snakemake.input.transitions, "transitions"),
        json.loads(snakemake.params.settings),
    )
    for name, table in tables.items():
        write_table(table, snakemake.output[name], name)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
