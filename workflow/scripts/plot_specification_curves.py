"""The multiverse table to the numbers of each claim under every analysis choice."""

from typing import Any

from grokscope.claims import read_published
from grokscope.data.tables import read_table
from grokscope.figures import style
from grokscope.figures.multiverse import specification_curves
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the table and the published values, draw all claims."""
    published = {
        entry["id"]: entry["values"] for entry in read_published(snakemake.input.published)
    }
    multiverse = read_table(snakemake.input.multiverse, "multiverse")
    style.save(
        specification_curves(multiverse, published), snakemake.output.png, snakemake.output.svg
    )


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
