"""Engines: they make the updates, on a CPU or on an accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from grokscope.core.errors import UserError
from grokscope.data.parts import Parts, parts_of
from grokscope.runs.recipes import by_hand
from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset

if TYPE_CHECKING:
    from grokscope.train.engines.base import Engine


def own_parts(spec: RunSpec, data: Dataset) -> Parts | None:
    """Names of the parts of a run's network that its trace must tell; None of a perceptron's."""
    if spec.model == "mlp":
        return None
    usual = parts_of(spec)
    if usual is not None:
        return usual
    # Of a user's own, whose parts are known when it is made.
    from grokscope.train.networks.factory import make_network

    network = make_network(spec, data)
    return Parts(tuple(network.layers), tuple(network.matrices), tuple(network.blocks))


def engine_of(spec: RunSpec, device: str) -> str:
    """Name of the module here that trains a run on a kind of device.

    Raises
    ------
    UserError
        If it needs torch, and there is none.
    """
    if by_hand(spec):
        return "cpu" if device == "cpu" else "cuda"
    if find_spec("torch") is None:
        raise UserError(
            f"{spec.key}: is trained by torch, which is not installed; only model: mlp by "
            "full-batch AdamW needs none (docs/networks.md)"
        )
    return "generic"


def make_engine(device: str, specs: Sequence[RunSpec], datasets: Sequence[Dataset]) -> Engine:
    """An engine with runs that share their shape, in their initial state.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, or ``cuda-tf32``: matrix products with 10 bits of mantissa.
    """
    engine = engine_of(specs[0], device)
    if engine == "generic":
        from grokscope.train.engines.generic import GenericEngine

        return GenericEngine(specs, datasets, device=device)
    if engine == "cpu":
        from grokscope.train.engines.cpu import CpuEngine

        return CpuEngine(specs, datasets)
    import torch

    from grokscope.train.engines.cuda import CudaEngine

    with torch.inference_mode():
        return CudaEngine(specs, datasets, tf32=device == "cuda-tf32")
