"""Public names: what ``from grokscope import …`` gives.

Training needs numba, the monitor torch; both are imported when they are first asked for. All else
works without.

========================  =========================================================
``GradientMonitor``       norms, logs and alarms of any training loop
``train_run``             train one run
``read_runs``             read and verify the traces of all runs, as one table
``read_trace``            read and verify the trace of a run
``import_logs``           anyone's training logs as traces
``find_onset``            step from which a metric stays at or above a threshold
``score_detectors``       score every detector on a trace
``find_alarms``           steps at which scores alarm
``evaluate_alarms``       anyone's alarms against onsets, with nulls
``default_analysis``      all thresholds and windows of the analyses
``run_spec``              what specifies a run
========================  =========================================================
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grokscope.data.logs.index import traces_of
from grokscope.data.trace import Trace, trace_schema
from grokscope.data.trace_reader import read_trace
from grokscope.data.trace_tree import read_runs
from grokscope.data.trace_writer import write_trace
from grokscope.evaluate.alarms import evaluate_alarms
from grokscope.measure.alarms import alarm_steps as find_alarms
from grokscope.measure.detectors.scores import run_signals
from grokscope.measure.onsets import sustained_onset as find_onset
from grokscope.runs.config import check_config, default_analysis
from grokscope.runs.grid import expand_study
from grokscope.runs.settings import Analysis
from grokscope.runs.spec import RunSpec

if TYPE_CHECKING:
    from os import PathLike

    from grokscope.monitor.gradient import GradientMonitor

__all__ = [
    "Analysis",
    "GradientMonitor",
    "RunSpec",
    "Trace",
    "default_analysis",
    "evaluate_alarms",
    "find_alarms",
    "find_onset",
    "import_logs",
    "read_runs",
    "read_trace",
    "run_spec",
    "score_detectors",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name == "GradientMonitor":
        return import_module("grokscope.monitor.gradient").GradientMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    """Specify one run, checked as a configuration is.

    Parameters
    ----------
    task
        Name of a registered task, see :data:`grokscope.runs.tasks.TASKS`.
    depth
        Number of linear layers, the output's included.
    train_fraction
        Share of the data used for training, in (0, 1).
    weight_decay
        Of AdamW.
    width
        Units of each hidden layer.
    seed
        Of data, split and initial weights.
    steps
        Optimiser updates, full batch.
    **settings
        Any key of a study in ``config.schema.yaml``, such as ``p``, ``learning_rate``,
        ``betas``, ``test_every`` or ``early_stop``.

    Returns
    -------
    RunSpec
        For :func:`train_run`.

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
    """Train one run; needs numba, and torch on an accelerator.

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


def import_logs(*files: str, **source: Any) -> list[Trace]:
    """Read anyone's training logs as traces; needs neither torch nor Snakemake.

    Parameters
    ----------
    *files
        Patterns of paths, such as ``logs/**/metrics.csv``.
    **source
        Any other key of a study's ``source`` in ``config.schema.yaml``: ``format``, ``columns``,
        ``run``, ``where``, ``row``, ``overlap``.

    Returns
    -------
    list of Trace
        One per run. The ``frame`` of each has a row per step from 0 to the log's last, shape
        ``(last_step + 1, n_columns)``, null where nothing was logged.

    Raises
    ------
    UserError
        Saying what is wrong with a log, and what would be right.

    Examples
    --------
    >>> (trace,) = import_logs("run.csv", columns={"test_metric": "acc"})  # doctest: +SKIP
    """
    study = {"kind": "phase_diagram", "source": {"files": list(files), **source}}
    return traces_of(check_config({"studies": {"own_logs": study}}).studies["own_logs"])


def score_detectors(trace: Trace, analysis: Analysis | None = None) -> pd.DataFrame:
    """Score of every registered detector at every step of a run that it can be had of.

    Parameters
    ----------
    trace
        Of :func:`train_run` or :func:`read_trace`.
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
        for name, signals in run_signals(trace, analysis).items()
        for layer, scores in signals.items()
    }
    frame = pd.DataFrame(columns, index=pd.Index(trace.frame["step"], name="step"))
    frame.columns = frame.columns.set_names(["detector", "layer"])
    return frame
