"""The engine for CPUs: one thread, one run after another, each in a few compiled passes.

A run's bytes do not depend on the runs trained beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.engines import kernels, updates
from grokscope.train.engines.base import ADAM_EPS, MAX_ROWS, Columns, select_runs, weight_ranks
from grokscope.train.engines.vectors import flush_subnormals
from grokscope.train.engines.work import make_work
from grokscope.train.initial import initial_parameters
from grokscope.train.models import Parameters, Shape, arrays_of, total_squares

# Rows whose activations stay in the first- or second-level cache; blocks of sums over rows.
TILE_ROWS = 96
# Each run's numbers start at a multiple of this many (a cache line of floats).
ALIGNMENT = 16


class CpuEngine:
    """See :class:`grokscope.train.engines.base.Engine`.

    Parameters
    ----------
    specs, datasets
        R runs of one shape and their data.
    dtype
        Of parameters and data; float64 for comparisons.
    tile_rows
        Most rows that pass through the network at a time.

    Attributes
    ----------
    parameters, gradients : Parameters
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        *,
        dtype: type[np.floating] = np.float32,
        tile_rows: int = TILE_ROWS,
    ) -> None:
        # More runs at a time gain more than more threads per run.
        threadpool_limits(1, "blas")
        # Probabilities and second moments of a memorised network go subnormal, which is 8
        # times slower (measured; docs/design.md).
        flush_subnormals(True)
        self._specs, self._datasets = list(specs), list(datasets)
        self._dtype, self._tile_rows = dtype, tile_rows
        self.shape = shape = Shape.of_all(specs, datasets)
        self.n_parameters = shape.n_parameters
        self._columns = Columns(specs[0])
        self._segments = np.array(list(shape.segments().values()))
        self._updates = 0

        self._flat, self._gradient, self._mean, self._square = (self._zeros() for _ in range(4))
        self.parameters = Parameters(shape, self._flat)
        self.gradients = Parameters(shape, self._gradient)
        for row, spec in zip(self.parameters.flat, specs, strict=True):
            row[:] = initial_parameters(spec, shape)
        rates = np.array([spec.learning_rate for spec in specs])
        decays = np.array([float(spec.weight_decay) for spec in specs])
        self._rates = rates
        self._shrink = (1 - rates * decays).astype(self._dtype)

        self._work = make_work(shape, tile_rows, self._dtype)
        data = {part: arrays_of(datasets, part) for part in ("train", "test")}
        self._sizes = {"train": shape.n_train, "test": shape.n_test}
        if not shape.classifies:
            self._total_squares = {part: total_squares(arrays) for part, arrays in data.items()}
            data = {
                part: {name: values[..., 0].astype(self._dtype) for name, values in arrays.items()}
                for part, arrays in data.items()
            }
        self._data = data
        self._log = np.full((MAX_ROWS, len(specs), len(self._columns.names)), np.nan, np.float32)

    def _zeros(self) -> NDArray[np.floating]:
        size = -(-self.n_parameters // ALIGNMENT) * ALIGNMENT
        return np.zeros((len(self._specs), size), self._dtype)[:, : self.n_parameters]

    def _pass(self, part: str, wanted: bool) -> NDArray[np.float64]:
        """Means over a part of the data of loss, metric and collapse, (R, 3).

        Sets the gradients if `wanted`.
        """
        shape, data = self.shape, self._data[part]
        sums = np.zeros((len(self._specs), 3))
        # The loss is a mean.
        scale = self._dtype(1 / shape.n_train)
        for run in range(len(sums)):
            arrays = self._flat[run], self._gradient[run], self._work
            if shape.classifies:
                kernels.symbols_pass(
                    *arrays,
                    shape.n_symbols,
                    shape.embedding_dim,
                    shape.sizes[1],
                    shape.sizes[-1],
                    data["pairs"][run],
                    data["classes"][run],
                    scale,
                    wanted,
                    sums[run],
                )
            else:
                kernels.numbers_pass(
                    *arrays,
                    shape.sizes[1],
                    data["inputs"][run],
                    data["targets"][run],
                    scale,
                    wanted,
                    sums[run],
                )
        means: NDArray[np.float64] = sums / self._sizes[part]
        if not shape.classifies:
            means[:, 1] = 1 - sums[:, 1] / self._total_squares[part]
            means[:, 2] = np.nan
        return means

    def train_pass(self) -> NDArray[np.float64]:
        """Loss, metric and softmax collapse on the training set, (3, R); sets the gradients.

        Softmax collapse is the share of samples whose correct-class gradient is exactly zero
        (Prieto et al. 2025), NaN in regression.
        """
        return self._pass("train", True).T

    def test_pass(self) -> NDArray[np.float64]:
        """Loss and metric on the test set, (2, R)."""
        return self._pass("test", False)[:, :2].T

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        log, columns = self._log[row], self._columns
        means = self._pass("train", True)
        log[:, :2] = means[:, :2]
        for run in range(len(log)):
            updates.norms(self._gradient[run], self._segments, log[run, columns.grad_norms])
            updates.norms(self._flat[run], self._segments, log[run, columns.weight_norms])
        log[:, columns.tested.start :] = np.nan
        if tested:
            log[:, columns.tested] = np.hstack([self._pass("test", False)[:, :2], means[:, 2:]])
        if ranked:
            tolerance = self._specs[0].rank_tolerance
            ranks = [weight_ranks(weight, tolerance) for weight in self.parameters.weights]
            log[:, columns.ranks] = np.concatenate(ranks).T
        if update:
            self._update()

    def _update(self) -> None:
        self._updates += 1
        betas = self._specs[0].betas
        assert betas is not None
        beta1, beta2 = betas
        constants = np.array(
            [1 - beta1, beta2, 1 - beta2, (1 - beta2**self._updates) ** 0.5, ADAM_EPS],
            self._dtype,
        )
        rates = (self._rates / (1 - beta1**self._updates)).astype(self._dtype)
        for run in range(len(rates)):
            updates.adamw(
                self._flat[run],
                self._gradient[run],
                self._mean[run],
                self._square[run],
                self._shrink[run],
                rates[run],
                constants,
            )

    def rows(self, n: int) -> NDArray[np.float32]:
        return self._log[:n].swapaxes(0, 1).copy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        flat = {"parameters": self._flat, "mean": self._mean, "square": self._square}
        state: dict[str, NDArray[np.generic]] = {name: x.copy() for name, x in flat.items()}
        return state | {"updates": np.array(self._updates)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._flat[:] = state["parameters"]
        self._mean[:] = state["mean"]
        self._square[:] = state["square"]
        self._updates = int(state["updates"])

    def keep(self, places: Sequence[int]) -> CpuEngine:
        other = CpuEngine(
            [self._specs[place] for place in places],
            [self._datasets[place] for place in places],
            dtype=self._dtype,
            tile_rows=self._tile_rows,
        )
        other.restore(select_runs(self.state(), places))
        return other
