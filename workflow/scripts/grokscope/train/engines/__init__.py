"""Engines: they make the updates, on a CPU or on an accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset

if TYPE_CHECKING:
    from grokscope.train.engines.base import Engine


def make_engine(device: str, specs: Sequence[RunSpec], datasets: Sequence[Dataset]) -> Engine:
    """An engine with runs that share their shape, in their initial state.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, or ``cuda-tf32``: matrix products with 10 bits of mantissa.
    """
    if device == "cpu":
        from grokscope.train.engines.cpu import CpuEngine

        return CpuEngine(specs, datasets)
    import torch

    from grokscope.train.engines.cuda import CudaEngine

    with torch.inference_mode():
        return CudaEngine(specs, datasets, tf32=device == "cuda-tf32")
