"""Traces, transitions and alarms to the index and alarms of one gai run."""

import json
from typing import Any

import numpy as np

from grokscope.data.tables import read_table
from grokscope.data.trace import read_trace
from grokscope.figures import style
from grokscope.figures.gai import choose_run, gai_trace
from grokscope.figures.selection import find_trace, key_of, of_study
from grokscope.measure.alarms import scores
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Choose the run, read its trace only, score it, draw."""
    settings = json.loads(snakemake.params.settings)
    transitions = of_study(read_table(snakemake.input.transitions, "transitions"), "gai")
    alarms = read_table(snakemake.input.alarms, "alarms")
    threshold = settings["alarms"]["threshold"]
    choice = choose_run(transitions, settings["phases"]["gap"])
    if choice is None:
        figure = gai_trace(None, None, alarms, np.empty(0), threshold)
    else:
        trace = read_trace(find_trace(snakemake.input.traces, key_of(choice.row)))
        score = scores(trace, settings["alarms"])["combined"]
        figure = gai_trace(trace, choice.row, alarms, score, threshold, choice.rule)
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
