"""Support: what the monitor was not tested with, refused by name.

A norm that is too low by a factor, because a tensor is a shard or a gradient is still scaled,
looks like any other norm. So what was not tested is not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from grokscope.core.errors import UserError

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
DEVICES = ("cpu", "cuda")
# Wrappers that keep gradients or parameters elsewhere than in the model's own tensors.
_REFUSED = {
    "FullyShardedDataParallel": "flattens parameters; fully_shard (FSDP2) is supported",
    "DataParallel": "is not tested; DistributedDataParallel is supported",
    "DeepSpeedEngine": "keeps gradients of its own",
    "ZeroRedundancyOptimizer": "updates a part of the parameters in each process",
    "SparseAdam": "takes sparse gradients",
}


def _refuse(kind: str, why: str) -> UserError:
    return UserError(f"GradientMonitor does not support {kind}: {why}")


def check_model(model: nn.Module) -> None:
    """Refuse wrappers that were not tested."""
    for module in model.modules():
        name = type(module).__name__
        if name in _REFUSED:
            raise _refuse(name, _REFUSED[name])


def check_optimizers(optimizers: Sequence[Any]) -> None:
    """Refuse what is no optimiser of torch, and those that were not tested."""
    for optimizer in optimizers:
        name = type(optimizer).__name__
        if name in _REFUSED:
            raise _refuse(name, _REFUSED[name])
        if not isinstance(optimizer, Optimizer):
            raise _refuse(f"{name} as an optimiser", "it is no torch.optim.Optimizer")


def check_parameters(parameters: Sequence[Tensor]) -> None:
    """Refuse devices, numbers and layouts that were not tested."""
    for parameter in parameters:
        if parameter.device.type not in DEVICES:
            raise _refuse(f"the device {parameter.device.type}", f"tested are {DEVICES}")
        if parameter.dtype not in DTYPES:
            raise _refuse(f"parameters of {parameter.dtype}", "tested are real floating types")
        if parameter.layout != torch.strided:
            raise _refuse(f"parameters of layout {parameter.layout}", "tested is torch.strided")
        if isinstance(parameter, DTensor):
            if parameter.device.type != "cpu":
                raise _refuse("fully_shard on accelerators", "it is tested on CPUs alone")
            mesh = parameter.device_mesh
            if mesh.ndim != 1 or not all(place.is_shard() for place in parameter.placements):
                raise _refuse(
                    f"a DTensor with placements {parameter.placements}",
                    "tested are parameters that fully_shard shards over one mesh dimension",
                )
    devices = {str(parameter.device) for parameter in parameters}
    if len(devices) > 1:
        raise _refuse("a model on several devices", ", ".join(sorted(devices)))


def is_sharded(parameters: Sequence[Tensor]) -> bool:
    """Whether each process holds a part of each parameter.

    Raises
    ------
    UserError
        If that is so of some of them only.
    """
    sharded = [isinstance(parameter, DTensor) for parameter in parameters]
    if any(sharded) and not all(sharded):
        raise _refuse("sharded beside whole parameters", "call fully_shard on the root as well")
    return all(sharded)


def writes_here(model: nn.Module, sharded: bool) -> bool:
    """Whether this process keeps the records: the only one, or the first of several.

    Raises
    ------
    UserError
        If there are several processes and nothing says how they share the model.
    """
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return True
    if distributed.get_world_size() == 1:
        return True
    if not sharded and not any(isinstance(m, DistributedDataParallel) for m in model.modules()):
        raise _refuse(
            f"a plain model in {distributed.get_world_size()} processes",
            "pass the model that DistributedDataParallel or fully_shard made",
        )
    return bool(distributed.get_rank() == 0)
