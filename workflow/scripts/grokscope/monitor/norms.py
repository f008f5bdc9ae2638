"""Norms: squared norms of gradients, weights and updates, step by step, without waiting.

Input: the parameters of one optimiser. Output: squared norms of *items*, which
:mod:`grokscope.monitor.readings` adds up to groups: one item per tensor. On an accelerator, what
was measured stays on the device until it is taken.

The accuracy of sums in float32 falls with their length: on a CPU, ``torch.linalg.vector_norm`` of
10 million normal numbers is wrong by 4e-4. Here squares are added in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.tensor import DTensor

from grokscope.core.errors import UserError
from grokscope.monitor import kernels
from grokscope.monitor.groups import Watched


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that is in this process, outside of autograd."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


class Norms(ABC):
    """Squared norms of the parameters of one optimiser.

    Attributes
    ----------
    item_group : ndarray
        Group of each item, shape ``(n_items,)``.
    """

    item_group: NDArray[np.int64]

    def __init__(self, watched: Watched) -> None:
        self.parameters = watched.parameters
        self.groups = watched.group

    def add_to(self, total: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
        """Add squared norms by item, ``(n, n_items)``, to sums by group, ``(n, n_groups)``."""
        order = np.argsort(self.item_group, kind="stable")
        groups, first = np.unique(self.item_group[order], return_index=True)
        if len(groups):
            total[:, groups] += np.add.reduceat(squares[:, order], first, axis=1)

    def gradients(self) -> list[Tensor | None]:
        """The gradients as they are now.

        Raises
        ------
        UserError
            If one is sparse.
        """
        found = [parameter.grad for parameter in self.parameters]
        for gradient in found:
            if gradient is not None and gradient.layout != torch.strided:
                raise UserError("GradientMonitor does not support sparse gradients")
        return found

    @abstractmethod
    def nothing(self) -> Any:
        """A reading of zeros."""

    @abstractmethod
    def read_gradients(self, gradients: Sequence[Tensor | None]) -> Any:
        """Squared norms of gradients, by item; 0 where there is none."""

    @abstractmethod
    def read_weights(self) -> tuple[Any, Any]:
        """Squared norms of the weights, and of their change since the last call, by item.

        The change is 0 at the first call.
        """

    @abstractmethod
    def on_host(self, readings: Sequence[Any]) -> Callable[[], NDArray[np.float64]]:
        """Start moving readings to the host; what is returned waits for them.

        Its result has shape ``(n_readings, n_items)``.
        """


class HostNorms(Norms):
    """Norms on a CPU, compiled: one call measures all gradients, one all weights and changes."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)
        self.item_group = np.array(self.groups, np.int64)
        kinds = [
            torch.float64 if p.dtype is torch.float64 else torch.float32 for p in self.parameters
        ]
        self._before = [
            torch.zeros_like(_in_a_row(parameter, kind))
            for parameter, kind in zip(self.parameters, kinds, strict=True)
        ]
        self._before_at = _addresses(self._before)
        self._n_numbers = [tensor.numel() for tensor in self._before]
        self._sizes = np.array(self._n_numbers, np.int64)
        self._is_double = np.array([kind is torch.float64 for kind in kinds])
        self._seen = False
        # Of the parameters, if their numbers can be read where they are.
        self._places: list[int] | None = None
        self._weights_at = self._before_at

    def nothing(self) -> NDArray[np.float64]:
        return np.zeros(len(self.item_group))

    def _numbers(self, tensors: Sequence[Tensor | None]) -> list[Tensor]:
        """What is read of the tensors, by address: it has to live, and be as large, until then."""
        found = [
            before if tensor is None else _in_a_row(tensor, before.dtype)
            for tensor, before in zip(tensors, self._before, strict=True)
        ]
        if [tensor.numel() for tensor in found] != self._n_numbers:
            raise UserError("GradientMonitor does not support parameters that change their size")
        return found

    def read_gradients(self, gradients: Sequence[Tensor | None]) -> NDArray[np.float64]:
        numbers = self._numbers(gradients)
        found = self.nothing()
        kernels.squares(_addresses(numbers), self._sizes, self._is_double, found)
        absent = [place for place, gradient in enumerate(gradients) if gradient is None]
        if absent:
            found[absent] = 0
        return found

    def read_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        places = [parameter.data_ptr() for parameter in self.parameters]
        if places != self._places:
            numbers = self._numbers(self.parameters)
            self._weights_at = _addresses(numbers)
            # Where nothing had to be made, the next reading finds the numbers in the same places.
            self._places = places if self._weights_at.tolist() == places else None
        weights, changes = np.empty((2, len(places)))
        kernels.change(
            self._weights_at, self._before_at, self._sizes, self._is_double, weights, changes
        )
        if not self._seen:
            changes[:] = 0
            self._seen = True
        return weights, changes

    def on_host(self, readings: Sequence[Any]) -> Callable[[], NDArray[np.float64]]:
        found = np.array(readings, np.float64).reshape(len(readings), len(self.item_group))
        return lambda: found


def _in_a_row(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The numbers of a tensor one behind the other, of a type: itself where it is so."""
    if isinstance(tensor, DTensor):
        tensor = local(tensor)
    if tensor.dtype is not dtype:
        tensor = tensor.detach().to(dtype)
    return tensor if tensor.is_contiguous() else tensor.detach().contiguous()


def _addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    return np.array([tensor.data_ptr() for tensor in tensors], np.int64)


class DeviceNorms(Norms):
    """Norms on an accelerator: a few launches per step, and no waiting for their results.

    The first reading is measured once more, in float64 and by plain sums: the program was tested
    on a CPU, and what a device makes of it is compared there.
    """

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)
        self.item_group = np.array(self.groups, np.int64)
        self._before: list[Tensor] = []
        self._exact: tuple[Tensor, Tensor] | None = None

    def _norms(self, tensors: list[Tensor]) -> Tensor:
        # Half precision must not add up squares in itself; float64 stays what it is.
        halves = any(tensor.dtype in (torch.bfloat16, torch.float16) for tensor in tensors)
        dtype = torch.float32 if halves else None
        return torch.stack(torch._foreach_norm(tensors, 2, dtype=dtype))

    def _compare(self) -> None:
        """Compare the first reading, when it is on the host.

        Raises
        ------
        UserError
            If it differs from float64 by more than 1e-5.
        """
        if self._exact is None:
            return
        found, exact = (norms.double().cpu().numpy() for norms in self._exact)
        self._exact = None
        if not np.allclose(found, exact, rtol=1e-5, atol=1e-30, equal_nan=True):
            kind = self.parameters[0].device
            raise UserError(
                f"GradientMonitor does not support the device {kind}: its norms differ from "
                "float64 by more than 1e-5"
            )

    def nothing(self) -> Tensor:
        return local(self.parameters[0]).new_zeros(len(self.item_group))

    def read_gradients(self, gradients: Sequence[Tensor | None]) -> Tensor:
        here = [
            local(parameter).new_zeros(1) if gradient is None else local(gradient)
            for gradient, parameter in zip(gradients, self.parameters, strict=True)
        ]
        return self._norms(here)

    def read_weights(self) -> tuple[Tensor, Tensor]:
        weights = [local(parameter) for parameter in self.parameters]
        if not self._before:
            self._before = [weight.clone() for weight in weights]
            exact = [weight.double().square().sum().sqrt() for weight in weights]
            self._exact = self._norms(weights), torch.stack(exact)
        torch._foreach_sub_(self._before, weights)
        changes = self._norms(self._before)
        torch._foreach_copy_(self._before, weights)
        return self._norms(weights), changes

    def on_host(self, readings: Sequence[Any]) -> Callable[[], NDArray[np.float64]]:
        found = torch.stack(list(readings)) if readings else torch.empty(0, len(self.item_group))
        arrived = moving(found, lambda norms: norms.astype(np.float64) ** 2)

        def compared() -> NDArray[np.float64]:
            self._compare()
            return arrived()

        return compared


def moving(
    tensor: Tensor, then: Callable[[NDArray[Any]], NDArray[np.float64]]
) -> Callable[[], NDArray[np.float64]]:
    """Start copying a tensor to the host; what is returned waits for the copy alone."""
    if tensor.device.type != "cuda":
        return lambda: then(tensor.numpy())
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()

    def arrived() -> NDArray[np.float64]:
        done.synchronize()
        return then(host.numpy())

    return arrived


def make_norms(watched: Watched) -> Norms:
    """Norms for the device that the parameters are on."""
    on_cpu = watched.parameters[0].device.type == "cpu"
    return HostNorms(watched) if on_cpu else DeviceNorms(watched)
