"""Concatenate the parts of a table; write it as parquet and, where asked for, as CSV."""

from typing import Any

from grokscope.data.tables import concatenate, read_table, write_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    table = snakemake.wildcards.table
    frame = concatenate([read_table(path, table) for path in snakemake.input.parts], table)
    for path in snakemake.output:
        write_table(frame, path, table)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
