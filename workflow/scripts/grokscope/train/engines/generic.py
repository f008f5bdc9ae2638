"""The engine for any network: automatic differentiation.

On a CPU one run follows the other. What differs from a plain loop makes it faster: parameters and
gradients are views of one vector each, so that norms and optimisers are few long passes, and rows
go through the network in tiles whose activations stay in cache.

On an accelerator the runs of a block are one program: torch.func maps the network over their
parameters, so each operation is one kernel for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.engines.base import select_runs
from grokscope.train.engines.precision import matrix_precision
from grokscope.train.engines.training import StackError, Training

# Rows of a training pass and of an evaluation: what a CPU's cache holds of one run, and, of all
# runs together, what a few gigabytes of an accelerator's memory do.
TILE_ROWS = 2048
STACKED_ROWS = 2**17


def _alike(specs: Sequence[RunSpec]) -> bool:
    """Whether runs can be one program: they differ in seeds, weight decay and learning rate."""
    first = specs[0]
    own = ("seed", "data_seed", "init_seed", "weight_decay", "learning_rate")
    return all(
        replace(spec, **{name: getattr(first, name) for name in own}) == first for spec in specs
    )


class GenericEngine:
    """See :class:`grokscope.train.engines.base.Engine`.

    Parameters
    ----------
    specs, datasets
        R runs and their data.
    device
        ``cpu``, ``cuda`` or ``cuda-tf32``.
    tile_rows
        Most rows of one run that are processed at once; by default what suits the device.
    stacked
        Whether runs are one program where they can be; by default on an accelerator.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        *,
        device: str = "cpu",
        tile_rows: int | None = None,
        stacked: bool | None = None,
    ) -> None:
        torch.set_num_threads(1)
        # As for the other engine of CPUs: probabilities of a memorised network go subnormal.
        torch.set_flush_denormal(True)
        place = device.removesuffix("-tf32")
        self._tf32 = place != device
        if tile_rows is None:
            tile_rows = TILE_ROWS
            if place != "cpu":
                tile_rows = max(tile_rows, STACKED_ROWS // len(specs))
        self.trainings: list[Training] = []
        if (place != "cpu" if stacked is None else stacked) and _alike(specs):
            with suppress(StackError):
                self.trainings = [Training(specs, datasets, place, tile_rows)]
        if not self.trainings:
            self.trainings = [
                Training([spec], [data], place, tile_rows)
                for spec, data in zip(specs, datasets, strict=True)
            ]
        self.n_parameters = self.trainings[0].flat.shape[1]
        self._log: list[NDArray[np.float32]] = []

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        del self._log[row:]
        with matrix_precision(self._tf32):
            rows = [t.step(tested=tested, ranked=ranked, update=update) for t in self.trainings]
        self._log.append(np.concatenate(rows))

    def rows(self, n: int) -> NDArray[np.float32]:
        return np.array(self._log[:n]).swapaxes(0, 1).copy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        states = [training.state() for training in self.trainings]
        joined = {name: np.concatenate([state[name] for state in states]) for name in states[0]}
        return joined | {"updates": np.array(self.trainings[0].updates)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        first = 0
        for training in self.trainings:
            runs = range(first, first + len(training.flat))
            training.restore(select_runs(state, runs), int(state["updates"]))
            first = runs.stop

    def keep(self, places: Sequence[int]) -> GenericEngine:
        if len(self.trainings) == 1:
            self.trainings[0].keep(places)
        else:
            self.trainings = [self.trainings[place] for place in places]
        return self
