"""Public names: what ``from grokscope import …`` gives.

Training needs torch and is imported when it is first asked for; all else works without.

========================  =========================================================
``train_run``             train one run
``read_runs``             read and verify the traces of all runs, as one table
``read_trace``            read and verify the trace of a run
``find_onset``            step from which a metric stays at or above a threshold
``score_detectors``       score every detector on a trace
``find_alarms``           steps at which scores alarm
``evaluate_alarms``       anyone's alarms against onsets, with nulls
``default_analysis``      all thresholds and windows of the analyses
``run_spec``              what specifies a run
========================  =========================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grokscope.data.trace import Trace, trace_schema
from grokscope.data.trace_reader import read_trace
from grokscope.data.trace_tree import read_runs
from grokscope.data.trace_writer import write_trace
from grokscope.evaluate.alarms import evaluate_alarms
from grokscope.measure.alarms import alarm_steps as find_alarms
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.onsets import sustained_onset as find_onset
from grokscope.runs.config import check_config, default_analysis
from grokscope.runs.grid import expand_study
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunSpec

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "Analysis",
    "RunSpec",
    "Trace",
    "default_analysis",
    "evaluate_alarms",
    "find_alarms",
    "find_onset",
    "read_runs",
    "read_trace",
    "run_spec",
    "score_detectors",
    "train_run",
]


def run_spec(
    task: str = "modular_addition",
    *,
    depth: int = 2,
    train_fraction: float = 0.5,
    weight_decay: float = 1.0,
    width: int = 64,
    seed: int = 0,
    steps: int = 2000,
    **settings: Any,
) -> RunSpec:
    """What specifies one run, checked as a configuration is.

    Parameters
    ----------
    task
        Name of a registered task, see :data:`grokscope.runs.tasks.TASKS`.
    depth
        Number of linear layers, the output's included.
    train_fraction
        Share of the data used for training, in (0, 1).
    steps
        Optimiser updates, full batch.
    settings
        Any key of a study in ``config.schema.yaml``, such as ``p``, ``learning_rate``,
        ``betas``, ``test_every`` or ``early_stop``.

    Raises
    ------
    ConfigError
        Naming each setting that is unknown or out of range.

    Examples
    --------
    >>> run_spec(p=97, seed=1).train_fraction
    '0.5'
    """
    grid = {
        "tasks": [task],
        "depths": [depth],
        "train_fractions": [train_fraction],
        "weight_decays": [weight_decay],
        "widths": [width],
        "seeds": [seed],
        "steps": steps,
    }
    study = {"kind": "phase_diagram", "grids": [grid], **settings}
    (spec,) = expand_study(check_config({"studies": {"single": study}}).studies["single"])
    return spec


def train_run(
    spec: RunSpec, path: str | PathLike[str] | None = None, device: str = "auto"
) -> Trace:
    """Train one run; needs torch and numba.

    Parameters
    ----------
    spec
        Of :func:`run_spec`.
    path
        File to write the trace to; None writes none.
    device
        ``cpu``, ``cuda``, or ``auto``: cuda where torch can use it.

    Returns
    -------
    Trace
        Its ``frame`` has one row per step, shape ``(steps + 1, n_columns)``: row t describes the
        state after t updates.

    Raises
    ------
    DeviceError
        If the device is not there.

    Examples
    --------
    >>> spec = run_spec(p=11, width=8, steps=20)
    >>> len(train_run(spec).frame)
    21

    Written and read again:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     trace = train_run(spec, f"{folder}/run.parquet")
    ...     read_trace(f"{folder}/run.parquet").frame.equals(trace.frame)
    True
    """
    from grokscope.train.devices import choose_device
    from grokscope.train.loop import train

    (result,) = train([spec], device=choose_device(device))
    if path is not None:
        write_trace(Path(path), spec, result.info, result.columns)
    columns = {**result.columns, "seed": np.full(len(result.columns["step"]), spec.seed)}
    frame = pd.DataFrame(
        {field.name: columns[field.name] for field in trace_schema(spec, result.info.parts)}
    )
    return Trace(spec, result.info, frame)


def score_detectors(trace: Trace, analysis: Analysis | None = None) -> pd.DataFrame:
    """Score of every registered detector at every step of a run.

    Parameters
    ----------
    analysis
        Windows and thresholds; None takes :func:`default_analysis`.

    Returns
    -------
    DataFrame
        One row per step, one column per (detector, layer), NaN where a score is unknown. The
        score at step t depends on the rows up to t alone.

    Examples
    --------
    >>> trace = train_run(run_spec(p=11, width=8, steps=20))
    >>> score_detectors(trace)["train_loss", "combined"].shape
    (21,)
    """
    analysis = analysis or default_analysis()
    columns = {
        (name, layer): scores
        for name, detector in DETECTORS.items()
        for layer, scores in detector.signal(trace, analysis).items()
    }
    frame = pd.DataFrame(columns, index=pd.Index(trace.frame["step"], name="step"))
    frame.columns = frame.columns.set_names(["detector", "layer"])
    return frame
