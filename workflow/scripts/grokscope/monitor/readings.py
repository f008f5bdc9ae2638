"""Readings: what is measured at each update, over all optimisers, until it is flushed.

A row ends when every optimiser has stepped, or when one steps again before the others: then those
have no gradient in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.optim import Optimizer

from grokscope.monitor.groups import Groups
from grokscope.monitor.norms import make_norms, moving
from grokscope.monitor.worker import Flush

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]


class Gradients(NamedTuple):
    """Gradients of one optimiser as they were read.

    Attributes
    ----------
    squares
        By item.
    present
        Which groups have one, shape ``(n_groups,)``.
    """

    squares: Any
    present: Booleans


class Reading(NamedTuple):
    """What one optimiser was about to change, and with what.

    Attributes
    ----------
    gradients
        None: it made no update in this row.
    weights, updates
        By item.
    scale, skipped
        Of a fused optimiser under a GradScaler: by how much the gradients are too large, and
        whether the update is left out; numbers or tensors on the device.
    """

    gradients: Gradients | None
    weights: Any
    updates: Any
    scale: Any = 1.0
    skipped: Any = 0.0


class Readings:
    """Readings of the rows since the last flush.

    Attributes
    ----------
    n_rows : int
        Rows that have ended.
    logged : dict
        Values for the row that is open.
    """

    def __init__(self, groups: Groups, optimizers: Sequence[Optimizer], sharded: bool) -> None:
        self._groups = groups
        self._optimizers = optimizers
        self._sharded = sharded
        self._norms = [make_norms(watched) for watched in groups.watched]
        places = np.arange(len(groups.names))
        self._whole = [np.isin(places, norms.groups) for norms in self._norms]
        self._rows: list[list[Reading]] = []
        self._logs: list[dict[str, Any]] = []
        self._early: dict[int, Gradients] = {}
        self._open: dict[int, Reading] = {}
        self.logged: dict[str, Any] = {}
        self.n_rows = 0

    @property
    def is_open(self) -> bool:
        """Whether some optimisers have stepped in this row and others have not."""
        return bool(self._open)

    def read_gradients(self, number: int, early: bool = False) -> Gradients:
        """The gradients of an optimiser as they are now; `early`: for the row that is open."""
        norms = self._norms[number]
        tensors = norms.gradients()
        present = self._whole[number]
        if any(tensor is None for tensor in tensors):
            there = [g for g, t in zip(norms.groups, tensors, strict=True) if t is not None]
            present = np.isin(np.arange(len(present)), there)
        found = Gradients(norms.read_gradients(tensors), present)
        if early:
            self._early[number] = found
        return found

    def read(self, number: int) -> None:
        """Read an optimiser's parameters just before it changes them."""
        if number in self._open:
            self.end_row()
        gradients = self._early.pop(number, None) or self.read_gradients(number)
        weights, updates = self._norms[number].read_weights()
        optimizer: Any = self._optimizers[number]
        scale = getattr(optimizer, "grad_scale", None)
        skipped = getattr(optimizer, "found_inf", None)
        self._open[number] = Reading(
            gradients,
            weights,
            updates,
            1.0 if scale is None else _kept(scale),
            0.0 if skipped is None else _kept(skipped),
        )
        if len(self._open) == len(self._norms):
            self.end_row()

    def end_row(self) -> None:
        """End the row; what made no update in it is read as it is."""
        row = []
        for number, norms in enumerate(self._norms):
            if number in self._open:
                row.append(self._open[number])
            else:
                row.append(Reading(None, *norms.read_weights()))
        self._rows.append(row)
        self._logs.append(self.logged)
        self._open, self.logged = {}, {}
        self._early = {}
        self.n_rows += 1

    def updates(self) -> Array:
        """Squared norms by group of what has changed since the last reading; waits for it."""
        changes = [[norms.read_weights()[1]] for norms in self._norms]
        found: Array = self._sums(changes)()[0]
        return found

    def flush(self) -> Flush:
        """Hand over the rows that have ended; does not wait for a device."""
        rows, logs = self._rows, self._logs
        self._rows, self._logs, self.n_rows = [], [], 0
        by_optimizer = [[row[number] for row in rows] for number in range(len(self._norms))]
        present = np.zeros((len(rows), len(self._groups.names)), bool)
        gradients = []
        for readings, norms in zip(by_optimizer, self._norms, strict=True):
            empty = norms.nothing()
            gradients.append([r.gradients.squares if r.gradients else empty for r in readings])
            for place, reading in enumerate(readings):
                if reading.gradients is not None:
                    present[place] |= reading.gradients.present
        sums = [
            self._sums(gradients, [_moved([r.scale for r in of_one]) for of_one in by_optimizer]),
            self._sums([[r.weights for r in of_one] for of_one in by_optimizer]),
            self._sums([[r.updates for r in of_one] for of_one in by_optimizer]),
        ]
        skips = [_moved([r.skipped for r in of_one]) for of_one in by_optimizer]
        made = [[r.gradients is not None for r in of_one] for of_one in by_optimizer]

        def squares() -> tuple[Array, Array, Array]:
            found, weights, updates = (of() for of in sums)
            return np.where(present, found, np.nan), weights, updates

        def skipped() -> Booleans:
            # An optimiser that made no update left none out.
            left_out = np.array([of() for of in skips]).reshape(len(skips), -1) > 0
            tried = np.array(made, bool).reshape(len(skips), -1)
            found: Booleans = (left_out | ~tried).all(axis=0) & tried.any(axis=0)
            return found

        return Flush(squares, skipped, logs)

    def _sums(
        self, readings: Sequence[Sequence[Any]], scales: Sequence[Callable[[], Array]] = ()
    ) -> Callable[[], Array]:
        """Sums over the items of each group, of the readings of each optimiser.

        What is returned waits for them; its result has shape ``(n_rows, n_groups)``.
        """
        arrived = [
            norms.on_host(of_one) for norms, of_one in zip(self._norms, readings, strict=True)
        ]

        def summed() -> Array:
            total = np.zeros((len(readings[0]), len(self._groups.names)))
            for number, (norms, squares) in enumerate(zip(self._norms, arrived, strict=True)):
                factor = scales[number]()[:, None] ** 2 if scales else 1.0
                norms.add_to(total, squares() / factor)
            return total

        if not self._sharded:
            return summed
        # Each process has a part of each parameter. Here and not in the worker's thread: processes
        # must come together in the order of their training.
        whole = torch.from_numpy(summed())
        distributed.all_reduce(whole)
        return whole.numpy


def _kept(value: Any) -> Any:
    """A number of the optimiser as it is now; on a CPU at once, on a device a copy."""
    if not isinstance(value, Tensor):
        return float(value)
    return float(value) if value.device.type == "cpu" else value.detach().clone().reshape(())


def _moved(values: Sequence[Any]) -> Callable[[], Array]:
    """Numbers, or tensors of one number on their way from a device."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return lambda: np.array(values, np.float64)
    device = tensors[0].device
    stacked = torch.stack([torch.as_tensor(value, device=device).float() for value in values])
    return moving(stacked, lambda numbers: numbers.astype(np.float64))
