"""Synthetic traces with the course of a run that generalises late, without training."""

from __future__ import annotations

from typing import Any

import numpy as np

from grokscope.data.trace import Trace, known_parts
from grokscope.runs.spec import RunSpec
from synthetic import make_trace


def late_run(spec: RunSpec, seed: int = 0) -> Trace:
    """A trace of ``spec.steps`` updates: norms fall over decades with noise and spikes.

    The training metric is 1 from a tenth of the run on, the test metric from a half.
    """
    rng = np.random.default_rng(seed)
    n_rows = spec.steps + 1
    step = np.arange(n_rows)
    progress = step / spec.steps

    def noisy(level: float, decades: float) -> np.ndarray:
        walk = np.cumsum(rng.normal(0, 0.005, n_rows))
        spikes = np.where(rng.random(n_rows) < 0.002, rng.exponential(1.0, n_rows), 0.0)
        return level * 10.0 ** (-decades * progress) * np.exp(walk + spikes)

    columns: dict[str, Any] = {
        "train_loss": noisy(4.0, 6),
        "test_loss": noisy(4.0, 2),
        "train_metric": np.clip(10 * progress + rng.normal(0, 0.001, n_rows), 0, 1),
        "test_metric": np.clip(2 * progress + rng.normal(0, 0.001, n_rows), 0, 1),
        "softmax_collapse": np.clip(progress - 0.9, 0, 1),
    }
    layers = known_parts(spec, None).layers
    for layer in layers:
        columns[f"grad_norm_{layer}"] = noisy(0.1, 4)
        columns[f"weight_norm_{layer}"] = 10 * np.exp(np.cumsum(rng.normal(0, 0.001, n_rows)))
    squares = [columns[f"grad_norm_{layer}"] ** 2 for layer in layers]
    columns["grad_norm"] = np.sqrt(np.sum(squares, axis=0))
    for layer in range(1, spec.depth + 1):
        for measure in ("effective", "stable", "numerical"):
            falls = 60 - 30 * progress + rng.normal(0, 1, n_rows)
            columns[f"{measure}_rank_{layer}"] = falls
    return make_trace(spec, **columns)
