"""Engines: what makes the updates, on CPU or on an accelerator."""

from __future__ import annotations

from collections.abc import Sequence

from grokscope.engines.base import Engine
from grokscope.runs import RunSpec
from grokscope.tasks import Dataset


def make_engine(device: str, specs: Sequence[RunSpec], datasets: Sequence[Dataset]) -> Engine:
    """An engine at the initial state of some runs that share their shape.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.
    """
    if device == "cpu":
        from grokscope.engines.cpu import CpuEngine

        return CpuEngine(specs, datasets)
    from grokscope.engines.cuda import CudaEngine

    return CudaEngine(specs, datasets)
