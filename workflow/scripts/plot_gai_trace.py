"""Traces, transitions and alarms to the GAI and its alarms of one run."""

from typing import Any

import numpy as np

from grokscope.data.trace_reader import read_trace
from grokscope.figures import style
from grokscope.figures.gai_trace import choose_run, gai_trace
from grokscope.figures.parts.alarms import gai_score
from grokscope.figures.selection import find_trace, key_of, read_runs
from grokscope.runs.settings import Analysis
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Choose the run, read its trace only, score it, draw."""
    analysis = Analysis.from_json(snakemake.params.settings)
    transitions = read_runs(snakemake.input.transitions, "transitions")
    alarms = read_runs(snakemake.input.alarms, "alarms")
    threshold = analysis.alarms.threshold
    choice = choose_run(transitions, analysis.phases.gap)
    if choice is None:
        figure = gai_trace(None, transitions, alarms, np.empty(0), threshold)
    else:
        trace = read_trace(find_trace(snakemake.input.traces, key_of(choice.row)))
        score = gai_score(trace, analysis)
        figure = gai_trace(trace, transitions, alarms, score, threshold, choice.rule)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
