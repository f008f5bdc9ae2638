"""Norms: squared norms of gradients, weights and updates, step by step, without waiting.

Input: the parameters of one optimiser. Output: squared norms of *items*, which
:mod:`grokscope.monitor.worker` adds up to groups. On a CPU an item is a row of up to ``ROW``
numbers of one group; on an accelerator it is a tensor, and what was measured stays on the device
until it is taken.

The accuracy of sums in float32 falls with their length: on a CPU, ``torch.linalg.vector_norm`` of
10 million normal numbers is wrong by 4e-4. Rows are short, and their squares are added in float64.
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
from grokscope.monitor.groups import Watched

# Numbers whose squares are added in their own precision.
ROW = 4096
# Numbers that are handled at a time: in second-level cache.
SEGMENT = 1 << 18


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
    """Norms on a CPU, with numpy: its calls take a third of the time of torch's on small models.

    Parameters lie one after the other, by group, each group filled up with zeros to whole rows.
    """

    def __init__(self, watched: Watched) -> None:
        super().__init__(watched)
        order = sorted(range(len(self.parameters)), key=lambda place: self.groups[place])
        sizes = [local(parameter).numel() for parameter in self.parameters]
        kinds = {parameter.dtype for parameter in self.parameters}
        self._dtype = np.float64 if torch.float64 in kinds else np.float32
        rows: list[int] = []
        self._segments: list[tuple[list[Any], int, int]] = []
        for group in sorted(set(self.groups)):
            members = [place for place in order if self.groups[place] == group]
            total = sum(sizes[place] for place in members)
            rows += [group] * -(-total // ROW)
            for place in members:
                self._place(place, sizes[place])
            self._place(None, -total % ROW)
        self.item_group = np.array(rows, np.int64)
        # Now and before take turns: what was now is before, and is not copied.
        self._now, self._before = np.zeros((2, len(rows) * ROW), self._dtype)
        self._scratch = np.empty(min(len(self._now), SEGMENT), self._dtype)
        self._seen = False
        self._flat: list[NDArray[Any]] = []
        self._addresses: list[int] | None = None

    def _place(self, place: int | None, size: int) -> None:
        """Put the numbers of a parameter, or zeros, behind what is there, cut into segments."""
        first = 0
        while first < size:
            stop = self._segments[-1][2] if self._segments else 0
            if stop % SEGMENT == 0:
                self._segments.append(([], stop, stop))
            pieces, start, stop = self._segments[-1]
            last = min(size, first + start + SEGMENT - stop)
            if place is None:
                pieces.append(np.zeros(last - first, self._dtype))
            else:
                whole = last - first == size
                pieces.append((place, slice(None) if whole else slice(first, last)))
            self._segments[-1] = (pieces, start, stop + last - first)
            first = last

    def _numbers(self, tensor: Tensor) -> NDArray[Any]:
        """The numbers of a tensor, in any order, without a copy where there can be one."""
        here = local(tensor) if tensor.requires_grad or isinstance(tensor, DTensor) else tensor
        if here.dtype in (torch.bfloat16, torch.float16):
            here = here.float()
        return here.numpy().ravel(order="K")

    def _gather(
        self, pieces: Sequence[Any], flat: Sequence[NDArray[Any]], out: NDArray[Any]
    ) -> NDArray[Any]:
        parts = [
            piece if isinstance(piece, np.ndarray) else flat[piece[0]][piece[1]]
            for piece in pieces
        ]
        return np.concatenate(parts, out=out)

    def nothing(self) -> NDArray[np.float64]:
        return np.zeros(len(self.item_group))

    def read_gradients(self, gradients: Sequence[Tensor | None]) -> NDArray[np.float64]:
        flat = [
            np.zeros(local(parameter).numel(), self._dtype)
            if gradient is None
            else self._numbers(gradient)
            for gradient, parameter in zip(gradients, self.parameters, strict=True)
        ]
        squares = []
        for pieces, start, stop in self._segments:
            rows = self._gather(pieces, flat, self._scratch[: stop - start]).reshape(-1, ROW)
            squares.append(np.vecdot(rows, rows))
        return _joined(squares)

    def _weights(self) -> list[NDArray[Any]]:
        """The numbers of the parameters; views are kept while the parameters stay in place."""
        if self._addresses is not None:
            addresses = [parameter.data_ptr() for parameter in self.parameters]
            if addresses == self._addresses:
                return self._flat
        self._flat = [self._numbers(parameter) for parameter in self.parameters]
        views = all(
            parameter.dtype in (torch.float32, torch.float64)
            and not isinstance(parameter, DTensor)
            and np.shares_memory(numbers, parameter.detach().numpy())
            for numbers, parameter in zip(self._flat, self.parameters, strict=True)
        )
        self._addresses = [p.data_ptr() for p in self.parameters] if views else None
        return self._flat

    def read_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        flat = self._weights()
        weights: list[NDArray[Any]] = []
        changes: list[NDArray[Any]] = []
        for pieces, start, stop in self._segments:
            now, before = self._now[start:stop], self._before[start:stop]
            self._gather(pieces, flat, now)
            np.subtract(now, before, out=before)
            for squares, numbers in ((weights, now), (changes, before)):
                rows = numbers.reshape(-1, ROW)
                squares.append(np.vecdot(rows, rows))
        self._now, self._before = self._before, self._now
        if not self._seen:
            changes = [np.zeros_like(squares) for squares in changes]
            self._seen = True
        return _joined(weights), _joined(changes)

    def on_host(self, readings: Sequence[Any]) -> Callable[[], NDArray[np.float64]]:
        found = np.array(readings, np.float64).reshape(len(readings), len(self.item_group))
        return lambda: found


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
