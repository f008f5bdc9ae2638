"""Logs that are not of our trainer, written to be imported by tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokscope.data.logs.index import imported, indexed
from grokscope.data.trace import Trace
from grokscope.data.trace_reader import read_trace
from grokscope.data.trace_writer import write_trace
from grokscope.runs.config import check_config
from grokscope.runs.settings import StudySettings


def study_of(source: Mapping[str, Any], kind: str = "early_warning", **sections: Any):
    """The study ``mine`` whose runs come from a source, as a configuration has it."""
    config = {"studies": {"mine": {"kind": kind, "source": dict(source)}}, **sections}
    return check_config(config).studies["mine"]


def import_all(study: StudySettings, folder: Path) -> list[Trace]:
    """The runs of a study as the workflow imports and reads them, index and traces in a folder."""
    specs = indexed(study, folder)
    traces = []
    for spec, info, run in imported(specs, study.source):
        path = folder / spec.key.path
        write_trace(path, spec, info, {**run.columns, "step": run.steps.astype(np.int32)})
        traces.append(read_trace(path, spec))
    return traces


def one(path: Path, folder: Path, **source: Any) -> Trace:
    """The one run of a log."""
    (trace,) = import_all(study_of({"files": str(path), **source}), folder)
    return trace


def curves(steps: Sequence[int] = range(0, 1001, 50), memorised: int = 100, onset: int = 700):
    """Losses and accuracies of a run that groks, one row per step."""
    step = np.asarray(steps)
    return pd.DataFrame(
        {
            "step": step,
            "train_loss": 1 / (1 + step),
            "test_loss": 2 / (1 + step / 10),
            "train_acc": np.where(step >= memorised, 1.0, 0.3),
            "test_acc": np.where(step >= onset, 0.99, 0.1),
        }
    )
