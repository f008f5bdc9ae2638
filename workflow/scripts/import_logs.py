"""Logs to traces: the runs of a job."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from grokscope.core.files import replacing
from grokscope.data.logs.index import imported
from grokscope.data.trace_reader import TraceError, check_trace
from grokscope.data.trace_writer import write_trace
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.sources import Source
from grokscope.workflow.script import run

KEPT = Path("results/imports/traces")


def kept_at(spec: ImportedSpec, code: str) -> Path:
    """Where the trace of a run is kept: a job is for many logs, of which few change at a time."""
    name = hashlib.sha256(f"{spec.to_json()}\n{code}".encode()).hexdigest()
    folder = Path(spec.key.path).relative_to("results/traces").with_suffix("")
    return KEPT / folder / f"{name}.parquet"


def is_good(path: Path, spec: ImportedSpec) -> bool:
    """Whether it is the trace of the run."""
    try:
        check_trace(path, spec)
    except TraceError:
        return False
    return True


def main(snakemake: Any) -> None:
    """Read each log that is new or changed once, write a trace per run."""
    specs = [ImportedSpec.from_values(of) for of in json.loads(snakemake.params.specs)]
    code = Path(snakemake.input.code).read_text(encoding="utf-8")
    kept = {spec.key: kept_at(spec, code) for spec in specs}
    missing = [spec for spec in specs if not is_good(kept[spec.key], spec)]
    with open(snakemake.log[0], "w", encoding="utf-8") as log:
        for spec, info, found in imported(missing, Source.from_json(snakemake.params.source)):
            steps = found.steps.astype(np.int32)
            write_trace(kept[spec.key], spec, info, {**found.columns, "step": steps})
            print(f"{spec.key}: imported, {len(steps)} rows of {spec.log}", file=log)
        print(f"{len(specs) - len(missing)} unchanged", file=log)
    for spec, path in zip(specs, snakemake.output, strict=True):
        # A copy: the output must be newer than its inputs.
        with replacing(path) as temporary:
            shutil.copyfile(kept[spec.key], temporary)
        for other in kept[spec.key].parent.glob("*.parquet"):
            if other != kept[spec.key]:
                other.unlink()


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
