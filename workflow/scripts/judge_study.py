"""Tables of a study to verdicts on claims, and to its headline numbers under every choice."""

import json
from typing import Any

from grokscope.claims.judge import judge_study
from grokscope.claims.published import read_published
from grokscope.data.tables import read_table, read_tables, write_table
from grokscope.runs.paths import PANEL_TABLES
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Judge the study by its claim set, write two tables."""
    study = json.loads(snakemake.params.study)
    tables = {name: read_table(snakemake.input[name], name) for name in PANEL_TABLES}
    tables["variants"] = read_tables(snakemake.input.get("variants", []), "variants")
    published = read_published(snakemake.input.published)
    judged = judge_study(
        study["name"],
        tables,
        published[study["claims"]] if study["claims"] else None,
        study["kind"],
        Analysis.from_json(snakemake.params.settings),
    )
    write_table(judged.claims, snakemake.output.claims, "claims")
    write_table(judged.multiverse, snakemake.output.multiverse, "multiverse")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
