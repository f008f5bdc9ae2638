"""Tables of a study to the verdicts on its claims."""

import json
from typing import Any

from grokscope.claims import claims_table, read_published
from grokscope.claims.evidence import Evidence
from grokscope.tables import read_table, write_table

TABLES = ("runs", "transitions", "alarms", "rank", "phases")


def main(snakemake: Any) -> None:
    """Read the tables and the published claims, write a verdict each."""
    tables = {name: read_table(snakemake.input[name], name) for name in TABLES}
    evidence = Evidence(**tables, settings=json.loads(snakemake.params.settings))
    published = read_published(snakemake.input.published)
    study = snakemake.wildcards.get("study")
    mine = [entry for entry in published if study in (None, entry["study"])]
    write_table(claims_table(mine, evidence), snakemake.output.table, "claims")


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
