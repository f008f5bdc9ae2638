"""Tables of the panels of a study to its tables."""

from typing import Any

from grokscope.data.tables import read_tables, write_table
from grokscope.runs.paths import PANEL_TABLES
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Put the panels' tables one below the other."""
    for name in PANEL_TABLES:
        table = read_tables(snakemake.input.get(name, []), name)
        write_table(table, snakemake.output[name], name)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
