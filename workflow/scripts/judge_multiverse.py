"""Variants of a study to its headline numbers under every combination of analysis choices."""

import json
from typing import Any

from grokscope.claims import read_published
from grokscope.claims.multiverse import multiverse_table
from grokscope.data.tables import read_table, write_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the tables and the published values, write a row a claim and specification."""
    table = multiverse_table(
        read_table(snakemake.input.variants, "variants"),
        read_table(snakemake.input.runs, "runs"),
        read_published(snakemake.input.published),
        json.loads(snakemake.params.settings),
    )
    write_table(table, snakemake.output.table, "multiverse")


if __name__ == "__main__":
    # The preamble that Snakemake puts before a script defines the name.
    run(main, snakemake)  # type: ignore[name-defined]
