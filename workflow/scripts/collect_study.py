"""Panel tables of a study to the study's tables."""

from typing import Any

from grokscope.data.tables import read_tables, write_table
from grokscope.runs.paths import PANEL_TABLES
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Concatenate the panel tables."""
    for name in PANEL_TABLES:
        table = read_tables(snakemake.input.get(name, []), name)
        write_table(table, snakemake.output[name], name)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
