"""Networks of one shape as one batched program: their data, forward and backward passes.

Every operation is one kernel for all runs (matrix products are batched over them). Inputs of a
layer end in a one, so that weights and bias are one matrix. Sums are in a fixed order: scatters
are sums over rows sorted by symbol, no atomics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.engines.base import cut_rows
from grokscope.train.initial import initial_parameters
from grokscope.train.models import Parameters, Shape, arrays_of, total_squares

# Fixed, not a share of the free memory: how rows are cut decides the order of sums.
ACTIVATION_BYTES = 8 * 2**30
# Rows of activations start at multiples of this many numbers: kernels load 16 bytes at a time.
ALIGNMENT = 4


@dataclass(frozen=True)
class _Bags:
    """Sums of rows of a table: bag k is the sum of the rows ``index[starts[k]:starts[k + 1]]``."""

    index: Tensor
    starts: Tensor

    def sums(self, table: Tensor) -> Tensor:
        """One row per bag; `table` is (rows, size)."""
        return embedding_bag(self.index, table, self.starts, mode="sum")


@dataclass(frozen=True)
class _Tile:
    """Some rows of the data of every run.

    Attributes
    ----------
    n : int
        Rows per run.
    targets : (R, n, 1), classes (int64) or real targets
    inputs : (R, n, 2), the input and a one (scalars only)
    gather
        Bags of three rows of the first layer's table: a's, b's and the bias (symbols only).
    scatter
        The reverse: one bag per run and symbol, of the tile's rows with that symbol.
    """

    n: int
    targets: Tensor
    inputs: Tensor | None = None
    gather: _Bags | None = None
    scatter: _Bags | None = None


@dataclass(frozen=True)
class _Buffers:
    """Work space of a tile; reused by every tile and every step.

    Attributes
    ----------
    hidden : list of (R * rows, stride)
        Activations of each hidden layer: ``width`` columns, then a one, then zeros.
    deltas : two (R * rows, stride)
        Gradients of activations, alternating: a layer's is computed from that of the layer above.
    output : (R * rows, n_out)
    """

    hidden: list[Tensor]
    deltas: list[Tensor]
    output: Tensor


class BatchedNetworks:
    """R networks, their data and gradients.

    Parameters
    ----------
    specs, datasets
        R runs of one shape and their data.
    dtype
        Of parameters and data; float64 for comparisons.
    device
        Where.
    activation_bytes
        Most memory that activations may take; rows are cut into tiles to fit.

    Attributes
    ----------
    parameters, gradients : Parameters
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        *,
        dtype: torch.dtype,
        device: str,
        activation_bytes: int,
    ) -> None:
        self._specs, self._datasets = list(specs), list(datasets)
        self._dtype, self._device = dtype, torch.device(device)
        self._activation_bytes = activation_bytes
        self.shape = shape = Shape.of_all(specs, datasets)
        self.n_parameters = shape.n_parameters

        # Gradients, parameters, and two arrays of that size for the optimiser. A run's row is a
        # whole number of rows of the first layer, so that all runs' one-hot layers are rows of
        # one table.
        step = math.lcm(ALIGNMENT, shape.sizes[1])
        size = -(-self.n_parameters // step) * step
        self._flat = self._zeros(4, len(specs), size)
        gradient, flat = self._flat[:2]
        self.parameters, self.gradients = Parameters(shape, flat), Parameters(shape, gradient)
        initial = np.stack([initial_parameters(spec, shape) for spec in specs])
        self.parameters.flat.copy_(torch.from_numpy(initial))
        # A layer's bias follows its weights: with inputs that end in a one they are one matrix.
        self._matrices, self._matrix_gradients = self._layers(flat), self._layers(gradient)
        self._lay_out_tables()
        self._tile_rows = min(
            max(1, activation_bytes // (len(specs) * self._bytes_per_row)),
            max(shape.n_train, shape.n_test),
        )
        self._tiles = {part: self._cut(part) for part in ("train", "test")}
        self._total_squares = {
            part: torch.from_numpy(total_squares(arrays_of(datasets, part))).to(self._device)
            for part in (() if shape.classifies else ("train", "test"))
        }

    def _zeros(self, *size: int) -> Tensor:
        return torch.zeros(size, dtype=self._dtype, device=self._device)

    @property
    def _stride(self) -> int:
        """Columns of a hidden layer's buffer: its outputs, a one, and what aligns the next."""
        return -(-(self.shape.sizes[1] + 1) // ALIGNMENT) * ALIGNMENT

    @property
    def _bytes_per_row(self) -> int:
        """Memory that a row of data of one run needs on its way through the network."""
        shape = self.shape
        numbers = (shape.depth - 1 + 2) * self._stride + shape.sizes[1] + 2 * shape.sizes[-1]
        return numbers * self._dtype.itemsize

    def _layers(self, flat: Tensor) -> list[Tensor]:
        """Weights and, as their last row, bias of each layer: (R, in + 1, out) views."""
        matrices = []
        for layer in range(1, self.shape.depth + 1):
            start, stop = self.shape.segments()[layer]
            matrices.append(flat[:, start:stop].view(len(flat), -1, self.shape.sizes[layer]))
        return matrices

    def _lay_out_tables(self) -> None:
        """First layer of symbols as rows to add, 2 n_symbols and the bias; its gradient.

        One-hot: the parameters themselves, seen as rows (of which later ones are other layers).
        Embeddings: the embedded symbols times the weights.
        """
        n_runs, width = len(self._specs), self.shape.sizes[1]
        if self.shape.encoding == "one_hot":
            self._table, self._table_gradient = (
                flat.view(n_runs, -1, width) for flat in (self._flat[1], self._flat[0])
            )
        elif self.shape.encoding == "embedding":
            rows = 2 * self.shape.n_symbols + 1
            self._table = self._zeros(n_runs, rows, width)
            self._table_gradient = self._zeros(n_runs, rows, width)

    def _cut(self, part: str) -> list[_Tile]:
        """Training or test data in tiles of nearly equal size."""
        arrays = arrays_of(self._datasets, part)
        n = next(iter(arrays.values())).shape[1]
        return [
            self._tile({name: values[:, a:b] for name, values in arrays.items()}, part == "train")
            for a, b in cut_rows(n, self._tile_rows)
        ]

    def _tile(self, arrays: Mapping[str, NDArray[np.generic]], train: bool) -> _Tile:
        if not self.shape.classifies:
            inputs = torch.from_numpy(arrays["inputs"]).to(self._device, self._dtype)
            targets = torch.from_numpy(arrays["targets"]).to(self._device, self._dtype)
            ones = torch.ones_like(inputs[:, :, :1])
            return _Tile(inputs.shape[1], targets, inputs=torch.cat([inputs, ones], 2))
        classes = torch.from_numpy(arrays["classes"]).to(self._device, torch.int64)
        pairs = arrays["pairs"].astype(np.int64)
        n_runs, n, _ = pairs.shape
        n_rows = 2 * self.shape.n_symbols
        bias = np.full((n_runs, n, 1), n_rows)
        first_row = np.arange(n_runs)[:, None, None] * self._table.shape[1]
        gathered = np.concatenate([pairs, bias], axis=2) + first_row
        scatter = None
        if train:
            # Each run's rows sorted by a, then sorted by b: bags of the 2 n_symbols table rows.
            order = np.argsort(pairs, axis=1, kind="stable").swapaxes(1, 2)
            order = order + np.arange(n_runs)[:, None, None] * n
            sizes = [np.bincount(pair.ravel(), minlength=n_rows) for pair in pairs]
            scatter = self._bags(order, np.concatenate(sizes))
        gather = self._bags(gathered, np.full(n_runs * n, 3))
        return _Tile(n, classes.unsqueeze(2), gather=gather, scatter=scatter)

    def _bags(self, index: NDArray[np.int64], sizes: NDArray[np.int64]) -> _Bags:
        starts = np.cumsum(sizes) - sizes
        return _Bags(
            torch.from_numpy(index.ravel()).to(self._device),
            torch.from_numpy(starts).to(self._device),
        )

    @cached_property
    def _buffers(self) -> _Buffers:
        """Allocated at the first step, when the engine that this one replaced has been freed."""
        shape = self.shape
        rows = len(self._specs) * self._tile_rows
        hidden = [self._zeros(rows, self._stride) for _ in range(shape.depth - 1)]
        for buffer in hidden:
            buffer[:, shape.sizes[1]] = 1
        deltas = [self._zeros(rows, self._stride) for _ in range(2)]
        return _Buffers(hidden, deltas, self._zeros(rows, shape.sizes[-1]))

    def _view(self, buffer: Tensor, n: int) -> Tensor:
        """The part of a buffer that holds `n` rows per run, contiguous: (R, n, columns)."""
        n_runs = len(self._specs)
        return buffer[: n_runs * n].view(n_runs, n, -1)

    def _fill_table(self) -> None:
        """Embedded symbols times weights, and the bias."""
        embedding = self.parameters.embedding
        if embedding is None:
            return
        half, e = self.shape.n_symbols, self.shape.embedding_dim
        first = self._matrices[0]
        torch.bmm(embedding[:, :half], first[:, :e], out=self._table[:, :half])
        torch.bmm(embedding[:, half:], first[:, e:-1], out=self._table[:, half:-1])
        self._table[:, -1] = first[:, -1]

    def _scatter_table_gradient(self) -> None:
        """Gradients of bias, weights and embeddings of the first layer from its table's."""
        half, e = self.shape.n_symbols, self.shape.embedding_dim
        gradient, first = self._table_gradient, self._matrix_gradients[0]
        # Every sample has one a: the sum over the a's is the sum over the samples.
        torch.sum(gradient[:, :half], 1, out=first[:, -1])
        embedding, embedding_gradient = self.parameters.embedding, self.gradients.embedding
        if embedding is None or embedding_gradient is None:
            return
        weights = self._matrices[0]
        for symbols, inputs in (
            (slice(0, half), slice(0, e)),
            (slice(half, 2 * half), slice(e, 2 * e)),
        ):
            part, vectors = gradient[:, symbols], embedding[:, symbols]
            torch.bmm(part, weights[:, inputs].mT, out=embedding_gradient[:, symbols])
            torch.bmm(vectors.mT, part, out=first[:, inputs])

    def _pass_forward(self, tile: _Tile) -> tuple[list[Tensor | None], Tensor]:
        """Input of each layer (None for a gather), and the output.

        Columns of an input beyond the layer's ``in + 1`` are zero.
        """
        inputs = [tile.inputs]
        width = self.shape.sizes[1]
        for buffer, matrix in zip(self._buffers.hidden, self._matrices[:-1], strict=True):
            out, x = self._view(buffer, tile.n), inputs[-1]
            if x is None:
                assert tile.gather is not None
                rows = tile.gather.sums(self._table.view(-1, width))
                torch.clamp_min(rows.view(-1, tile.n, width), 0, out=out[:, :, :width])
            else:
                torch.bmm(x[:, :, : matrix.shape[1]], matrix, out=out[:, :, :width])
                # Whole buffers are contiguous, one fast pass: ones stay ones.
                out.clamp_min_(0)
            inputs.append(out)
        output = self._view(self._buffers.output, tile.n)
        torch.bmm(out[:, :, : width + 1], self._matrices[-1], out=output)
        return inputs, output

    def _score(self, tile: _Tile, output: Tensor, sums: Tensor) -> Tensor:
        """Add to the sums of loss, metric and collapse, (3, R); the gradient of the summed loss.

        `output` is overwritten. A prediction is correct if the target's logit is strictly the
        largest: a tie counts as wrong.
        """
        if not self.shape.classifies:
            error = output.sub_(tile.targets)
            sums[:2] += error.square().sum((1, 2), dtype=sums.dtype)
            return error.mul_(2)
        # The operations of torch's cross-entropy and its gradient, softmax minus one-hot.
        logs = torch.log_softmax(output, 2)
        of_target = logs.gather(2, tile.targets)
        sums[0] -= of_target.sum((1, 2), dtype=sums.dtype)
        target = output.gather(2, tile.targets)
        others = output.scatter_(2, tile.targets, -torch.inf).amax(2, keepdim=True)
        sums[1] += (target > others).sum((1, 2))
        slope = of_target.exp_().sub_(1)
        sums[2] += (slope == 0).sum((1, 2))
        return logs.exp_().scatter_(2, tile.targets, slope)

    def _pass_backward(self, tile: _Tile, inputs: list[Tensor | None], delta: Tensor) -> None:
        """Add to the gradients, from that of the summed loss by the output."""
        width = self.shape.sizes[1]
        # The loss is a mean.
        scale = 1 / self.shape.n_train
        for layer in range(self.shape.depth - 1, 0, -1):
            x = inputs[layer]
            assert x is not None
            self._matrix_gradients[layer].baddbmm_(x[:, :, : width + 1].mT, delta, alpha=scale)
            below = self._view(self._buffers.deltas[layer % 2], tile.n)
            torch.bmm(delta, self._matrices[layer][:, :-1].mT, out=below[:, :, :width])
            # Where ReLU was off, x is zero and the gradient is stopped; NaN passes.
            torch.ops.aten.threshold_backward.grad_input(below, x, 0, grad_input=below)
            delta = below[:, :, :width]
        if tile.scatter is not None:
            rows = tile.scatter.sums(delta.flatten(0, 1))
            gradient = self._table_gradient[:, : 2 * self.shape.n_symbols]
            gradient.add_(rows.view_as(gradient), alpha=scale)
        elif inputs[0] is not None:
            self._matrix_gradients[0].baddbmm_(inputs[0].mT, delta, alpha=scale)

    @torch.inference_mode()
    def train_pass(self) -> Tensor:
        """Loss, metric and softmax collapse on the training set, (3, R); sets the gradients.

        Softmax collapse is the share of samples whose correct-class gradient is exactly zero
        (Prieto et al. 2025), NaN in regression.
        """
        self._flat[0].zero_()
        if self.shape.encoding == "embedding":
            self._table_gradient.zero_()
        self._fill_table()
        sums = torch.zeros(3, len(self._specs), dtype=torch.float64, device=self._device)
        for tile in self._tiles["train"]:
            inputs, output = self._pass_forward(tile)
            self._pass_backward(tile, inputs, self._score(tile, output, sums))
        if self.shape.classifies:
            self._scatter_table_gradient()
        return self._means("train", sums)

    @torch.inference_mode()
    def test_pass(self) -> Tensor:
        """Loss and metric on the test set, (2, R)."""
        self._fill_table()
        sums = torch.zeros(3, len(self._specs), dtype=torch.float64, device=self._device)
        for tile in self._tiles["test"]:
            self._score(tile, self._pass_forward(tile)[1], sums)
        return self._means("test", sums)[:2]

    def _means(self, part: str, sums: Tensor) -> Tensor:
        loss, metric, collapse = sums / (
            self.shape.n_train if part == "train" else self.shape.n_test
        )
        if not self.shape.classifies:
            metric = 1 - sums[1] / self._total_squares[part]
            collapse = torch.full_like(collapse, torch.nan)
        return torch.stack([loss, metric, collapse])
