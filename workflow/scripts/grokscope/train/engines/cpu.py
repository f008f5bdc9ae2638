"""The engine for CPUs: tiles of rows whose activations stay in cache, one thread.

Matrix products are torch's BLAS, one per run, so that a run's bytes do not depend on the runs
trained beside it; everything else is a fused pass of :mod:`grokscope.train.engines.kernels`.
All arrays of a step are allocated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.engines import kernels
from grokscope.train.engines.base import (
    ADAM_EPS,
    MAX_ROWS,
    Columns,
    cut_rows,
    select_runs,
    weight_ranks,
)
from grokscope.train.models import Parameters, Shape, arrays_of, initial_parameters, total_squares

# Rows whose activations (width 128: 0.5 MB per layer) stay in the second-level cache.
TILE_ROWS = 1024
# Each run's numbers start at a multiple of this many (a cache line of floats): BLAS may round
# differently with another alignment.
ALIGNMENT = 16

_Products = list[tuple[Tensor, Tensor, Tensor]]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _multiply(products: _Products) -> None:
    for x, w, out in products:
        torch.mm(x, w, out=out)


def _multiply_add(products: _Products) -> None:
    for x, w, out in products:
        out.addmm_(x, w)


@dataclass(frozen=True)
class _Tile:
    """Some rows of the data of every run and the matrix products applied to them.

    Attributes
    ----------
    n : int
        Rows in use; the arrays have more, the same number in all tiles.
    data
        As of :func:`grokscope.train.models.arrays_of`.
    forward, weight, below : one list per layer, one product per run
        Activations times weights; transposed activations times deltas, the weights' gradient;
        deltas times transposed weights, the gradient of the layer's input. None for a first
        layer, whose input is symbols or one number, and for a last layer of one number:
        those have passes of their own.
    """

    n: int
    data: Mapping[str, NDArray[np.generic]]
    forward: list[_Products]
    weight: list[_Products]
    below: list[_Products]


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
        dtype: torch.dtype = torch.float32,
        tile_rows: int = TILE_ROWS,
    ) -> None:
        # More runs at a time gain more than more threads per run.
        torch.set_num_threads(1)
        # Probabilities and second moments of a memorised network go subnormal, which is 8
        # times slower (measured; docs/design.md).
        torch.set_flush_denormal(True)
        self._specs, self._datasets = list(specs), list(datasets)
        self._dtype, self._tile_rows = dtype, tile_rows
        self.shape = shape = Shape.of_all(specs, datasets)
        self.n_parameters = shape.n_parameters
        self._columns = Columns(specs[0])
        self._segments = np.array(list(shape.segments().values()))
        self._bias = [shape.bias_offset(layer) for layer in range(1, shape.depth + 1)]
        # Layers 1 to here (counted from 0) are matrix products.
        self._multiplied = shape.depth if shape.classifies else shape.depth - 1
        self._updates = 0

        flat = [self._zeros(self.n_parameters) for _ in range(4)]
        self._flat, self._gradient, self._mean, self._square = (x.numpy() for x in flat)
        self.parameters, self.gradients = Parameters(shape, flat[0]), Parameters(shape, flat[1])
        for row, spec in zip(self.parameters.flat, specs, strict=True):
            row.copy_(initial_parameters(spec, shape))
        rates = np.array([spec.learning_rate for spec in specs])
        decays = np.array([float(spec.weight_decay) for spec in specs])
        self._rates = rates
        self._shrink = (1 - rates * decays).astype(self._flat.dtype)

        data = {part: arrays_of(datasets, part) for part in ("train", "test")}
        if not shape.classifies:
            self._total_squares = {part: total_squares(arrays) for part, arrays in data.items()}
        self._lay_out_buffers()
        self._tiles = {part: self._cut(arrays) for part, arrays in data.items()}
        self._log = np.full((MAX_ROWS, len(specs), len(self._columns.names)), np.nan, np.float32)

    def _zeros(self, size: int) -> Tensor:
        return torch.zeros(len(self._specs), _aligned(size), dtype=self._dtype)

    def _lay_out_buffers(self) -> None:
        """One buffer per layer for activations and their gradients; tables of symbols."""
        shape, n_runs = self.shape, len(self._specs)
        most = min(self._tile_rows, max(shape.n_train, shape.n_test))
        self._rows = rows = _aligned(most)
        self._outputs = [
            torch.zeros(n_runs, rows, size, dtype=self._dtype) for size in shape.sizes[1:]
        ]
        self._deltas = [torch.zeros_like(buffer) for buffer in self._outputs[:-1]]
        self._activations = [buffer.numpy() for buffer in self._outputs]
        self._backward = [buffer.numpy() for buffer in self._deltas]
        self._scratch = np.empty((3, rows), self._flat.dtype)
        # The rows that a first layer of symbols adds: the weights themselves, or the
        # embedded symbols times the weights.
        self._table, self._table_gradient = self._flat, self._gradient
        self._table_rows = 2 * shape.n_symbols
        self._table_forward: _Products = []
        self._table_backward: _Products = []
        if shape.encoding != "embedding":
            return
        n, e, width = shape.n_symbols, shape.embedding_dim, shape.sizes[1]
        tables = [self._zeros(2 * n * width) for _ in range(2)]
        self._table, self._table_gradient = (table.numpy() for table in tables)
        table, gradient = (x[:, : 2 * n * width].view(n_runs, 2 * n, width) for x in tables)
        embedding, embedding_gradient = self.parameters.embedding, self.gradients.embedding
        assert embedding is not None and embedding_gradient is not None
        for run in range(n_runs):
            for half in (0, 1):
                symbols, inputs = slice(half * n, half * n + n), slice(half * e, half * e + e)
                vectors, part = embedding[run, symbols], gradient[run, symbols]
                weight = self.parameters.weights[0][run, inputs]
                self._table_forward.append((vectors, weight, table[run, symbols]))
                self._table_backward += [
                    (part, weight.T, embedding_gradient[run, symbols]),
                    (vectors.T, part, self.gradients.weights[0][run, inputs]),
                ]

    def _cut(self, arrays: Mapping[str, NDArray[np.generic]]) -> list[_Tile]:
        """Cut the data of all runs into tiles of nearly equal size."""
        n = next(iter(arrays.values())).shape[1]
        return [self._tile(arrays, start, stop) for start, stop in cut_rows(n, self._rows)]

    def _tile(self, arrays: Mapping[str, NDArray[np.generic]], start: int, stop: int) -> _Tile:
        n = stop - start
        data = {}
        for name, values in arrays.items():
            dtype = values.dtype if values.dtype.kind == "i" else self._flat.dtype
            data[name] = np.zeros((len(values), self._rows, *values.shape[2:]), dtype)
            data[name][:, :n] = values[:, start:stop]
        tile = _Tile(n, data, [], [], [])
        for layer in range(self.shape.depth):
            forward: _Products = []
            weight: _Products = []
            below: _Products = []
            if 0 < layer < self._multiplied:
                x, out = self._outputs[layer - 1], self._outputs[layer]
                delta = out if layer == self.shape.depth - 1 else self._deltas[layer]
                for run in range(len(self._specs)):
                    w = self.parameters.weights[layer][run]
                    gradient = self.gradients.weights[layer][run]
                    forward.append((x[run, :n], w, out[run, :n]))
                    weight.append((x[run, :n].T, delta[run, :n], gradient))
                    below.append((delta[run, :n], w.T, self._deltas[layer - 1][run, :n]))
            tile.forward.append(forward)
            tile.weight.append(weight)
            tile.below.append(below)
        return tile

    def _pass_forward(self, tile: _Tile, sums: NDArray[np.float64], wanted: bool) -> None:
        """Add to the sums of loss, metric and collapse; if wanted, leave the output's delta."""
        last = self.shape.depth - 1
        first = self._activations[0]
        if self.shape.classifies:
            kernels.gather_relu(
                self._table,
                self._table_rows,
                self._flat,
                self._bias[0],
                tile.data["pairs"],
                tile.n,
                first,
            )
        else:
            kernels.scalar_relu(tile.data["inputs"], self._flat, 0, tile.n, first)
        for layer in range(1, last):
            _multiply(tile.forward[layer])
            kernels.bias_relu(self._activations[layer], self._flat, self._bias[layer], tile.n)
        # The loss is a mean.
        scale = self._flat.dtype.type(1 / self.shape.n_train)
        if self.shape.classifies:
            _multiply(tile.forward[last])
            kernels.softmax(
                self._activations[last],
                self._flat,
                self._bias[last],
                tile.data["classes"],
                tile.n,
                scale,
                self._gradient,
                wanted,
                self._scratch,
                sums,
            )
        else:
            kernels.squared_error(
                self._activations[last - 1],
                self._flat,
                self._bias[last] - self.shape.sizes[last],
                tile.data["targets"],
                tile.n,
                scale,
                self._gradient,
                wanted,
                self._backward[last - 1],
                sums,
            )

    def _pass_backward(self, tile: _Tile) -> None:
        """Add to the gradients, from the output's delta."""
        for layer in range(self.shape.depth - 1, 0, -1):
            _multiply_add(tile.weight[layer])
            _multiply(tile.below[layer])
            if layer > 1:
                kernels.relu_backward(
                    self._backward[layer - 1],
                    self._activations[layer - 1],
                    self._gradient,
                    self._bias[layer - 1],
                    tile.n,
                )
        delta, x, data = self._backward[0], self._activations[0], tile.data
        if self.shape.classifies:
            kernels.relu_scatter(
                delta, x, data["pairs"], self._table_gradient, self._table_rows, tile.n
            )
        else:
            kernels.scalar_relu_backward(delta, x, data["inputs"], self._gradient, 0, tile.n)

    def train_pass(self) -> NDArray[np.float64]:
        """Loss, metric and softmax collapse on the training set, (3, R); sets the gradients.

        Softmax collapse is the share of samples whose correct-class gradient is exactly zero
        (Prieto et al. 2025), NaN in regression.
        """
        self._gradient.fill(0)
        if self.shape.classifies:
            _multiply(self._table_forward)
            if self._table_backward:
                self._table_gradient.fill(0)
        sums = np.zeros((len(self._specs), 3))
        for tile in self._tiles["train"]:
            self._pass_forward(tile, sums, True)
            self._pass_backward(tile)
        if self.shape.classifies:
            # Every sample has one a: the sum over the a's is the sum over the samples.
            n, width = self.shape.n_symbols, self.shape.sizes[1]
            table = self._table_gradient[:, : n * width]
            by_symbol = table.reshape(len(table), n, width)
            bias = self._bias[0]
            np.sum(by_symbol, axis=1, out=self._gradient[:, bias : bias + width])
            _multiply(self._table_backward)
        loss, metric, collapse = self._means("train", sums)
        if not self.shape.classifies:
            collapse = np.full_like(collapse, np.nan)
        return np.stack([loss, metric, collapse])

    def test_pass(self) -> NDArray[np.float64]:
        """Loss and metric on the test set, (2, R)."""
        if self.shape.classifies:
            _multiply(self._table_forward)
        sums = np.zeros((len(self._specs), 3))
        for tile in self._tiles["test"]:
            self._pass_forward(tile, sums, False)
        return self._means("test", sums)[:2]

    def _means(self, part: str, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        n = self.shape.n_train if part == "train" else self.shape.n_test
        loss, metric, collapse = sums.T / n
        if not self.shape.classifies:
            metric = 1 - sums[:, 1] / self._total_squares[part]
        return np.stack([loss, metric, collapse])

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        log, columns = self._log[row], self._columns
        loss, metric, collapse = self.train_pass()
        log[:, 0], log[:, 1] = loss, metric
        kernels.norms(self._gradient, self._segments, log[:, columns.grad_norms])
        kernels.norms(self._flat, self._segments, log[:, columns.weight_norms])
        log[:, columns.tested] = np.nan
        if tested:
            log[:, columns.tested] = np.vstack([self.test_pass(), collapse]).T
        log[:, columns.ranks] = np.nan
        if ranked:
            tolerance = self._specs[0].rank_tolerance
            ranks = [weight_ranks(weight, tolerance) for weight in self.parameters.weights]
            log[:, columns.ranks] = torch.cat(ranks).T.numpy()
        if update:
            self._update()

    def _update(self) -> None:
        self._updates += 1
        beta1, beta2 = self._specs[0].betas
        constants = [1 - beta1, beta2, 1 - beta2, (1 - beta2**self._updates) ** 0.5, ADAM_EPS]
        kernels.adamw(
            self._flat,
            self._gradient,
            self._mean,
            self._square,
            self._shrink,
            (self._rates / (1 - beta1**self._updates)).astype(self._flat.dtype),
            np.array(constants, self._flat.dtype),
            self.n_parameters,
        )

    def rows(self, n: int) -> NDArray[np.float32]:
        return self._log[:n].swapaxes(0, 1).copy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        flat = {"parameters": self._flat, "mean": self._mean, "square": self._square}
        state = {name: values[:, : self.n_parameters].copy() for name, values in flat.items()}
        return state | {"updates": np.array(self._updates)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        for name, values in (
            ("parameters", self._flat),
            ("mean", self._mean),
            ("square", self._square),
        ):
            values[:, : self.n_parameters] = state[name]
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
