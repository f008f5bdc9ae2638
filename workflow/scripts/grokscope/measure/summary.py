"""Summary: a row a run of how each ended.

Input: traces. Output: the table ``runs``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from grokscope.data.tables import from_rows
from grokscope.data.trace import Trace


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
    return from_rows(rows, "runs")
