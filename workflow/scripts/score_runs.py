"""Traces of a panel to the scores of all detectors."""

import json
from typing import Any

from grokscope.data.trace import read_traces
from grokscope.measure.detectors import score_run, write_scores
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces of the panel, write its scores."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    rows = [row for trace in traces for row in score_run(trace, settings)]
    write_scores(rows, snakemake.output.scores)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
