"""Synthetic runs: specifications and traces with planted signals, no training.

Everything not given has a dull default, so a test states only what it is about:

>>> trace = make_trace(make_spec(steps=3000), test_metric=np.arange(3001) >= 1200)

Arrays cover every step; what the cadences of the specification leave out is made null here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokscope.data.trace import Trace, TraceInfo, known_parts, trace_schema
from grokscope.data.trace_writer import write_trace
from grokscope.runs.config import default_analysis
from grokscope.runs.spec import EarlyStop, RunSpec, decimal_string

VERSIONS = {"grokscope": "0.1.0", "torch": "2.0", "numpy": "2.0", "python": "3.11"}
# Sections of `analysis` for runs of 1,000 to 3,000 steps: windows shorter than the default.
ANALYSIS = default_analysis(
    onset={"test_thresholds": [0.5, 0.95]},
    alarms={"sigma_window": 100},
    detectors={"window": 100},
)


def make_spec(**overrides: Any) -> RunSpec:
    """Specification of a small run; decimals may be given as numbers.

    The defaults are those of ``gai`` on modular addition: depth 2, train fraction 0.6, weight
    decay 1.0, width 128, seed 0, 1,000 steps, tests every 10 and ranks every 50 steps, no
    early stopping. Tasks named ``*_regression`` are scalar and have 1,000 samples.
    """
    task = overrides.get("task", "modular_addition")
    seed = overrides.get("seed", 0)
    scalar = task.endswith("_regression")
    encoding = overrides.get("encoding", "scalar" if scalar else "one_hot")
    values: dict[str, Any] = {
        "study": "gai",
        "task": task,
        "depth": 2,
        "train_fraction": "0.6",
        "weight_decay": "1.0",
        "width": 128,
        "seed": seed,
        "data_seed": seed,
        "init_seed": seed,
        "p": 97 if task.startswith("modular_") else None,
        "samples": 1000 if scalar else None,
        "encoding": encoding,
        "embedding_dim": 16 if encoding == "embedding" else None,
        "learning_rate": 1e-3,
        "betas": (0.9, 0.98),
        "steps": 1000,
        "test_every": 10,
        "rank_every": 50,
        "rank_tolerance": 1e-3,
        "early_stop": None,
    }
    values |= overrides
    for name in ("train_fraction", "weight_decay"):
        values[name] = decimal_string(values[name])
    if isinstance(values["early_stop"], dict):
        values["early_stop"] = EarlyStop.from_values(values["early_stop"])
    return RunSpec(**values)


def make_trace(
    spec: RunSpec | None = None,
    *,
    stopped: str | None = None,
    diverged_step: int | None = None,
    info: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Trace:
    """Trace of a run from arrays of shape ``(n_rows,)`` or scalars, one value a step.

    Parameters
    ----------
    spec
        Specification; by default that of :func:`make_spec` with as many steps as the arrays.
    stopped
        By default ``diverged`` if `diverged_step` is given, ``completed`` if the rows are
        those of all ``spec.steps`` updates, else ``early_stop``.
    diverged_step
        First step with a non-finite value; by default the one after the last row.
    info
        Further fields of :class:`TraceInfo`, such as ``seconds``.
    columns
        Any column of :func:`trace_schema` but ``step`` and ``seed``. Defaults: losses,
        ``grad_norm`` and weight norms 1, metrics 0, ranks 10; layers share the combined
        gradient norm equally. Test columns and ``softmax_collapse`` (default 0) are kept every
        ``test_every`` steps and at the last state (unless the run diverged), ranks every
        ``rank_every`` steps.
    """
    lengths = {len(values) for values in columns.values() if np.ndim(values)}
    if len(lengths) > 1:
        raise ValueError(f"arrays of different lengths: {sorted(lengths)}")
    if spec is None:
        spec = make_spec(steps=lengths.pop() - 1) if lengths else make_spec()
        n_rows = spec.steps + 1
    else:
        n_rows = lengths.pop() if lengths else spec.steps + 1
    if stopped is None:
        complete = "completed" if n_rows == spec.steps + 1 else "early_stop"
        stopped = complete if diverged_step is None else "diverged"
    if stopped == "diverged" and diverged_step is None:
        diverged_step = n_rows

    parts = known_parts(spec, None)
    layers = parts.layers
    values = dict.fromkeys(("train_loss", "test_loss", "grad_norm"), 1.0)
    values |= dict.fromkeys(("train_metric", "test_metric", "softmax_collapse"), 0.0)
    values |= {f"weight_norm_{layer}": 1.0 for layer in layers}
    share = np.asarray(columns.get("grad_norm", 1.0), float) / np.sqrt(len(layers))
    values |= {f"grad_norm_{layer}": share for layer in layers}
    names = [name for name in trace_schema(spec, parts).names if name not in ("step", "seed")]
    values = {name: values.get(name, 10.0) for name in names}
    unknown = set(columns) - set(names)
    if unknown:
        raise ValueError(f"not columns of this trace: {', '.join(sorted(unknown))}")
    values |= columns

    step = np.arange(n_rows, dtype=np.int32)
    tested = step % spec.test_every == 0
    if stopped != "diverged":
        tested |= step == n_rows - 1
    ranked = np.zeros(n_rows, bool) if spec.rank_every is None else step % spec.rank_every == 0
    frame = pd.DataFrame({"step": step, "seed": np.full(n_rows, spec.seed, np.int64)})
    for name, value in values.items():
        column = np.broadcast_to(np.asarray(value, np.float32), n_rows).copy()
        if name.startswith("test_") or name == "softmax_collapse":
            column[~tested] = np.nan
        elif "_rank_" in name:
            column[~ranked] = np.nan
        frame[name] = column
    facts: dict[str, Any] = {
        "stopped": stopped,
        "diverged_step": diverged_step,
        "n_train": 5645,
        "n_test": 3764,
        "n_parameters": 37_473,
        "device": "cpu",
        "processor": "x86_64 GenuineIntel avx2",
        "threads": 1,
        "seconds": 1.0,
        "versions": dict(VERSIONS),
    }
    return Trace(spec, TraceInfo(**(facts | dict(info or {}))), frame)


def learning_run(
    seed: int = 1,
    kinks: Sequence[int] = (),
    onset: int | None = 1200,
    n_steps: int = 2000,
    **spec: Any,
) -> Trace:
    """Memorises at 300, passes 0.5 at `onset` - 200 and 0.95 at `onset` (None: neither).

    The norm is noise around 1, too small for an alarm; at each kink it rises for 20 steps.
    """
    step = np.arange(n_steps + 1)
    noise = np.random.default_rng(seed).choice([-1e-3, 1e-3], n_steps + 1)
    norm = 1 + noise + sum(0.05 * np.clip(step - kink, 0, 20) for kink in kinks)
    test = np.zeros(n_steps + 1)
    if onset is not None:
        test[onset - 200 :], test[onset:] = 0.6, 1.0
    return make_trace(
        make_spec(seed=seed, steps=n_steps, **spec),
        grad_norm=norm,
        train_metric=(step >= 300) * 1.0,
        test_metric=test,
    )


def noisy_trace(n_rows: int = 1201, seed: int = 0, **overrides: Any) -> Trace:
    """A run of depth 3 with embeddings in which every column varies at every step."""
    rng = np.random.default_rng(seed)
    dull = {"depth": 3, "encoding": "embedding", "steps": n_rows - 1, "seed": seed}
    spec = make_spec(**(dull | overrides))
    columns = {
        name: np.exp(rng.normal(0, 0.05, n_rows).cumsum())
        for name in make_trace(spec).frame.columns.drop(["step", "seed"])
    }
    for name in ("train_metric", "test_metric", "softmax_collapse"):
        # Shares.
        columns[name] /= columns[name].max()
    return make_trace(spec, **columns)


def write(trace: Trace, root: Path) -> Path:
    """Write the trace where its run's key says, under `root`; the path."""
    path = root / trace.key.path
    columns = {str(name): values.to_numpy() for name, values in trace.frame.items()}
    write_trace(path, trace.spec, trace.info, columns)
    return path
