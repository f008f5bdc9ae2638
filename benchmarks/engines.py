"""Engines: does automatic differentiation generalise when the hand-derived engine does?

The perceptrons of one cell by both: their updates differ in the last bits alone, but trajectories
part, so onsets are compared in distribution.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from benchmarks.common import Options, Report, main
from benchmarks.onsets import METHOD, compared_onsets, onset_specs, onset_steps
from grokscope.train.engines.base import Engine
from grokscope.train.engines.generic import GenericEngine

REPEATS = 1


def generic(_: str, specs: Any, datasets: Any) -> Engine:
    """The generic engine, whatever the run."""
    return GenericEngine(specs, datasets)


def benchmark(options: Options) -> Report:
    """Train the seeds by both engines."""
    specs = onset_specs(options.quick)
    found = {"hand-derived engine": onset_steps(specs)}
    with mock.patch("grokscope.train.loop.make_engine", generic):
        found["generic engine"] = onset_steps(specs)
    table, wanted = compared_onsets(found, specs[0].steps)
    return Report("engines", "Engines: onsets", [METHOD], [table], wanted)


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
