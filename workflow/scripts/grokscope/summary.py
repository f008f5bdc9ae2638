"""Summary: the traces of a panel, and a row a run of how each ended.

Input: trace files with the specifications they must have. Output: the table ``runs``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from grokscope.runs import RunSpec
from grokscope.tables import conform, empty
from grokscope.trace import Trace, read_trace


def read_traces(paths: Sequence[str | os.PathLike[str]], specs: str) -> Iterator[Trace]:
    """Traces one after the other, so that a panel need not fit in memory.

    Parameters
    ----------
    paths
        Trace files.
    specs
        A JSON list of the specifications that they must have, in the same order.

    Raises
    ------
    ValueError
        If there are not as many specifications as files.
    TraceError
        If a file is not a trace of its specification.
    """
    expected = [RunSpec.from_json(json.dumps(spec)) for spec in json.loads(specs)]
    if len(paths) != len(expected):
        raise ValueError(f"{len(paths)} traces for {len(expected)} specifications")
    for path, spec in zip(paths, expected, strict=True):
        yield read_trace(path, spec)


def summary(trace: Trace) -> dict[str, Any]:
    """Columns of the table ``runs`` of one run, without its key."""
    last, tested = trace.frame.tail(1), trace.evaluated().tail(1)

    def final(rows: pd.DataFrame, column: str) -> float | None:
        values = rows[column].dropna()
        return float(values.iloc[0]) if len(values) else None

    return {
        "steps": max(len(trace.frame) - 1, 0),
        "max_steps": trace.spec.steps,
        "stopped": trace.info.stopped,
        "diverged_step": trace.info.diverged_step,
        "final_train_loss": final(last, "train_loss"),
        "final_test_loss": final(tested, "test_loss"),
        "final_train_metric": final(last, "train_metric"),
        "final_test_metric": final(tested, "test_metric"),
        "n_train": trace.info.n_train,
        "n_test": trace.info.n_test,
        "n_parameters": trace.info.n_parameters,
        "device": trace.info.device,
        "seconds": trace.info.seconds,
    }


def runs_table(traces: Iterable[Trace]) -> pd.DataFrame:
    """The table ``runs`` of some runs, a row a run."""
    rows = [trace.key.row() | summary(trace) for trace in traces]
    return conform(pd.DataFrame(rows), "runs") if rows else empty("runs")
