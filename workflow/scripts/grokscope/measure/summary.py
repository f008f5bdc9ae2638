"""Summary: how each run ended, and what trained the runs.

Input: traces. Output: columns of the table ``runs``, and the training environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grokscope.data.trace import Trace, TraceInfo
from grokscope.measure.onsets import evaluated
from grokscope.runs.imported import ImportedSpec


def summary(trace: Trace) -> dict[str, Any]:
    """Columns of the table ``runs`` of one run, without its key."""
    if isinstance(trace.spec, ImportedSpec):
        return _imported(trace, trace.spec)
    last = len(trace.frame) - 1
    tested, _ = evaluated(trace, "test")

    def final(column: str, row: int) -> float | None:
        value = float(trace.frame[column].to_numpy()[row]) if row >= 0 else np.nan
        return None if np.isnan(value) else value

    # Steps are 0, 1, 2, ..., so a step is its row.
    last_test = int(tested[-1]) if len(tested) else -1
    return {
        "steps": max(last, 0),
        "max_steps": trace.spec.steps,
        "stopped": trace.info.stopped,
        "diverged_step": trace.info.diverged_step,
        "final_train_loss": final("train_loss", last),
        "final_test_loss": final("test_loss", last_test),
        "final_train_metric": final("train_metric", last),
        "final_test_metric": final("test_metric", last_test),
        "n_train": trace.info.n_train,
        "n_test": trace.info.n_test,
        "n_parameters": trace.info.n_parameters,
        "device": trace.info.device,
        "processor": trace.info.processor,
        "seconds": trace.info.seconds,
    }


def _imported(trace: Trace, spec: ImportedSpec) -> dict[str, Any]:
    """The same of an imported run: last logged values, and what else its log tells of it."""

    def final(column: str) -> float | None:
        # Lower bounds are no values.
        if column not in trace.frame or spec.reached is not None:
            return None
        values = trace.frame[column].dropna()
        return float(values.iloc[-1]) if len(values) else None

    every = {
        column.name: "irregular" if column.every is None else str(column.every)
        for column in spec.columns
    }
    unknown = ("n_train", "n_test", "n_parameters", "device", "processor", "seconds")
    metrics = [f"{split}_{what}" for what in ("loss", "metric") for split in ("train", "test")]
    return {
        "steps": spec.last_step,
        "max_steps": spec.steps,
        "stopped": trace.info.stopped,
        "diverged_step": spec.diverged_step,
        **{f"final_{column}": final(column) for column in metrics},
        **dict.fromkeys(unknown),
        "log": spec.log,
        "log_part": spec.part,
        "log_format": spec.format,
        "log_row": spec.row,
        "log_start": spec.first_step,
        "log_every": "; ".join(f"{name} {steps}" for name, steps in every.items()),
        "log_means": _means(spec),
    }


def _means(spec: ImportedSpec) -> str | None:
    """Columns whose values are means over steps, and over how many; None without any."""
    means = [f"{of.name} {of.mean_over}" for of in spec.columns if of.mean_over != "row"]
    return "; ".join(means) or None


def training_environment(infos: Iterable[TraceInfo]) -> dict[str, Any]:
    """Library versions and devices that trained some runs.

    Returns
    -------
    dict
        Plain values: ``versions`` (a sorted list by library, several where traces differ),
        ``devices`` and ``threads`` (sorted lists).
    """
    return merge_environments(
        {
            "versions": {name: [version] for name, version in info.versions.items()},
            "devices": [] if info.device is None else [info.device],
            "threads": [] if info.threads is None else [info.threads],
        }
        for info in infos
    )


def merge_environments(environments: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The environment of all runs from those of some: of a study from those of its panels."""
    versions: dict[str, set[str]] = {}
    devices: set[str] = set()
    threads: set[int] = set()
    for environment in environments:
        for name, found in environment["versions"].items():
            versions.setdefault(name, set()).update(found)
        devices.update(environment["devices"])
        threads.update(environment["threads"])
    return {
        "versions": {name: sorted(versions[name]) for name in sorted(versions)},
        "devices": sorted(devices),
        "threads": sorted(threads),
    }
