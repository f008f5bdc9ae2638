"""Tables of all studies to one table of each name, as parquet and as CSV."""

from typing import Any

from grokscope.data.tables import read_tables, write_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Concatenate and write one table after the other."""
    for table, path in snakemake.output.items():
        if table.endswith("_csv"):
            continue
        # A table that no study of the configuration has is empty.
        frame = read_tables(snakemake.input.get(table) or [], table)
        write_table(frame, path, table)
        write_table(frame, snakemake.output[f"{table}_csv"], table)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
