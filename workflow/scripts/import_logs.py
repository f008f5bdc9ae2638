"""Logs to traces: the runs of a job."""

import json
from typing import Any

import numpy as np

from grokscope.data.logs.index import imported
from grokscope.data.trace_writer import write_trace
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.settings import Source
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read each log once, write a trace per run."""
    specs = [ImportedSpec.from_values(of) for of in json.loads(snakemake.params.specs)]
    paths = dict(zip([spec.key for spec in specs], snakemake.output, strict=True))
    with open(snakemake.log[0], "w", encoding="utf-8") as log:
        for spec, info, found in imported(specs, Source.from_json(snakemake.params.source)):
            columns: dict[str, np.ndarray] = {
                **found.columns,
                "step": found.steps.astype(np.int32),
            }
            write_trace(paths[spec.key], spec, info, columns)
            print(f"{spec.key}: {len(found.steps)} rows of {spec.log}", file=log)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
