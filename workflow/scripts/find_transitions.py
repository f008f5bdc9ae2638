"""Traces of a panel to its table of transitions and onsets."""

import json
from typing import Any

from grokscope.data.tables import write_table
from grokscope.data.trace import read_traces
from grokscope.measure.transitions import transitions_table
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the traces of the panel, write its table."""
    traces = read_traces(snakemake.input.traces, snakemake.params.specs)
    settings = json.loads(snakemake.params.settings)
    table = transitions_table(traces, settings["transitions"], settings["onset"])
    write_table(table, snakemake.output.table, "transitions")


if __name__ == "__main__":
    # The preamble that Snakemake puts before a script defines the name.
    run(main, snakemake)  # type: ignore[name-defined]
