"""Tables of all studies to one table of each name, verdicts as JSON, and their configuration."""

import json
from typing import Any

import yaml

from grokscope.claims.export import verdicts_document
from grokscope.core.files import replacing
from grokscope.data.tables import read_tables, write_table
from grokscope.runs.paths import STUDY_TABLES
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Concatenate and write one table after the other."""
    # A table that no study of the configuration has is empty.
    frames = {
        table: read_tables(snakemake.input.get(table) or [], table) for table in STUDY_TABLES
    }
    for table, frame in frames.items():
        write_table(frame, snakemake.output[table], table)
        write_table(frame, snakemake.output[f"{table}_csv"], table)
    config = json.loads(snakemake.params.config)
    document = verdicts_document(frames["claims"], config["studies"])
    with replacing(snakemake.output.verdicts) as temporary:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with replacing(snakemake.output.configuration) as temporary:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
