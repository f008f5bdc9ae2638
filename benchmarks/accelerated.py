"""Training with the batched program on a chosen device, and how long a step of it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset, make_dataset
from grokscope.train.engines.base import MAX_ROWS, Engine
from grokscope.train.engines.cuda import CudaEngine
from grokscope.train.loop import train

# Of a run of the published gai study.
PUBLISHED_STEPS = 50_000


def rounded_to_tf32(x: torch.Tensor) -> torch.Tensor:
    """Float32 numbers rounded to the nearest with 10 bits of mantissa, as TF32 has."""
    return (x.view(torch.int32) + 0x1000 & -0x2000).view(torch.float32)


class EmulatedTf32(TorchFunctionMode):
    """Rounds what goes into matrix products to TF32, where the device cannot."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.bmm:
            args = tuple(map(rounded_to_tf32, args))
        elif function is torch.Tensor.baddbmm_:
            args = (args[0], *map(rounded_to_tf32, args[1:]))
        return function(*args, **(kwargs or {}))


def tf32_on(device: str) -> AbstractContextManager[object]:
    """Where products round to TF32 when the engine asks for it; CUDA does by itself."""
    return EmulatedTf32() if device == "cpu" else nullcontext()


@contextmanager
def accelerated(device: str, *, tf32: bool = False, **options: Any) -> Iterator[None]:
    """Train with the batched program on a device, whichever device ``train`` is given."""

    def make(_: str, specs: Sequence[RunSpec], datasets: Sequence[Any]) -> Engine:
        return CudaEngine(specs, datasets, device=device, tf32=tf32, **options)

    with (
        mock.patch("grokscope.train.loop.make_engine", make),
        tf32_on(device) if tf32 else nullcontext(),
    ):
        yield


@cache
def _dataset(spec: RunSpec) -> Dataset:
    return make_dataset(spec)


def dataset(spec: RunSpec) -> Dataset:
    """The data of a run; made once for all sizes of network, since those of S5 take a while."""
    return _dataset(replace(spec, depth=2, width=8, steps=1))


class _Enough(Exception):
    """The training has run as long as it is timed."""


class Accelerated:
    """Seconds per step of :func:`grokscope.train.loop.train` with an engine's options.

    Of the blocks of ``MAX_ROWS`` steps after the first, which includes the start and the
    recording of the graphs; a block ends when its rows are on the host.

    Parameters
    ----------
    target
        The training ends after the block that exceeds this many seconds.
    """

    def __init__(
        self, specs: Sequence[RunSpec], device: str, target: float, **options: Any
    ) -> None:
        self.specs = [replace(spec, steps=PUBLISHED_STEPS) for spec in specs]
        self.device, self.target, self.options = device, target, options

    def __call__(self) -> float:
        ends: list[float] = []

        def progress(_: int) -> None:
            ends.append(time.perf_counter())
            if len(ends) > 1 and ends[-1] - ends[0] >= self.target:
                raise _Enough

        with (
            accelerated(self.device, **self.options),
            mock.patch("grokscope.train.loop.make_dataset", dataset),
            suppress(_Enough),
        ):
            train(self.specs, progress=progress)
        return (ends[-1] - ends[0]) / (len(ends) - 1) / MAX_ROWS
