"""Tables of a study to the verdicts on its claims."""

import json
from typing import Any

from grokscope.claims import claims_table, read_published
from grokscope.claims.registry import Evidence
from grokscope.data.tables import empty, read_table, write_table
from grokscope.workflow.script import run

TABLES = ("runs", "transitions", "alarms", "rank", "phases", "evaluation", "chance")


def main(snakemake: Any) -> None:
    """Read the tables and the published claims, write a verdict each."""
    tables = {name: read_table(snakemake.input[name], name) for name in TABLES}
    # Only one study is judged under other analysis choices.
    varied = snakemake.input.get("multiverse")
    multiverse = read_table(varied, "multiverse") if varied else empty("multiverse")
    settings = json.loads(snakemake.params.settings)
    evidence = Evidence(**tables, multiverse=multiverse, settings=settings, p_holm={})
    published = read_published(snakemake.input.published)
    study = snakemake.wildcards.get("study")
    mine = [entry for entry in published if study in (None, entry["study"])]
    write_table(claims_table(mine, evidence), snakemake.output.table, "claims")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
