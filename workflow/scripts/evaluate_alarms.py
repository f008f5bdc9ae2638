"""Alarms and onsets of a study to its table of evaluations."""

import json
from typing import Any

from grokscope.evaluation import evaluation_table
from grokscope.tables import read_table, write_table


def main(snakemake: Any) -> None:
    """Read the two tables, write how the alarms did."""
    settings = json.loads(snakemake.params.settings)
    table = evaluation_table(
        read_table(snakemake.input.alarms, "alarms"),
        read_table(snakemake.input.transitions, "transitions"),
        lead_window=settings["evaluation"]["lead_window"],
        gap=settings["phases"]["gap"],
    )
    write_table(table, snakemake.output.table, "evaluation")


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
