"""The engine for accelerators: a block of runs is one batched program, replayed as a CUDA graph.

A small network leaves an accelerator idle, and so does a host that starts each of its kernels.
So every operation here is one kernel for all runs (matrix products are batched over them), and a
step, from the gather of the first layer to AdamW and the logged row, is recorded once and then
started as one graph: one kind for plain steps, one for steps that evaluate the test set. What
changes from step to step lives on the device: the number of updates, and the row to log into.
The host waits in :meth:`CudaEngine.rows`, and where ranks are measured.

Sums are in a fixed order: scatters are sums over rows sorted by symbol, no atomics. A program is
therefore repeatable bit by bit on one machine. Unlike on CPU, the library may choose another
kernel for another number of runs: a run's last bits may depend on its block.

Memory. Of a run: 4 copies of its parameters (gradients and two moments of AdamW), twice that
while a graph is recorded; its data; ``MAX_ROWS`` logged rows. Of a row of data that is under way,
numbers of 4 bytes: ``width`` a hidden layer, ``3 width`` for what flows back and the gather,
``2 n_classes``. Rows beyond the budget wait: see ``activation_bytes``. For example 100 runs of
p = 97, fraction 0.6, width 128, depth 4: 113 MB of parameters, 2.2 GB of activations.

The same program runs on any device without graphs, which is how it is tested.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import Dataset
from grokscope.train.engines.base import (
    ADAM_EPS,
    MAX_ROWS,
    Columns,
    cut_rows,
    select_runs,
    weight_ranks,
)
from grokscope.train.models import Parameters, Shape, arrays_of, initial_parameters, total_squares

# Fixed, not a share of what is free: how rows are cut decides the order of sums.
ACTIVATION_BYTES = 8 * 2**30
# Rows of activations start at multiples of so many numbers: kernels load 16 bytes at a time.
ALIGNMENT = 4
# Finished runs go on unseen until the others are fewer than this share: a new engine must
# record its graphs anew.
REBUILD_SHARE = 0.75


@contextmanager
def _matrix_precision(tf32: bool) -> Iterator[None]:
    """Products of float32 matrices in TF32 (10 bits of mantissa) or not: a global switch."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32" if tf32 else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def gram_singular_values(weight: Tensor) -> Tensor:
    """Singular values of matrices (R, m, n), descending, (R, min(m, n)).

    As roots of the eigenvalues of the Gram matrix in float64, for which there is a batched
    solver; singular values are found one matrix at a time. The root costs half the digits: an
    error of 1e-8 of the largest value, less than that of a decomposition in float32.
    """
    wide = weight.double()
    gram = wide @ wide.mT if weight.shape[1] < weight.shape[2] else wide.mT @ wide
    squares: Tensor = torch.linalg.eigvalsh(gram).flip(1)
    return squares.clamp_min(0).sqrt().to(weight.dtype)


@dataclass(frozen=True)
class _Bags:
    """Sums of rows of a table: bag k is the sum of the rows ``index[starts[k]:starts[k + 1]]``."""

    index: Tensor
    starts: Tensor

    def sums(self, table: Tensor) -> Tensor:
        """One row a bag; `table` is (rows, size)."""
        return embedding_bag(self.index, table, self.starts, mode="sum")


@dataclass(frozen=True)
class _Tile:
    """Some rows of the data of every run.

    Attributes
    ----------
    n : int
        Rows a run.
    targets : (R, n, 1), classes (int64) or real targets
    inputs : (R, n, 2), the input and a one (scalars only)
    gather
        Bags of three rows of the first layer's table: a's, b's and the bias (symbols only).
    scatter
        The way back: a bag a run and symbol, the tile's rows where it stands.
    """

    n: int
    targets: Tensor
    inputs: Tensor | None = None
    gather: _Bags | None = None
    scatter: _Bags | None = None


@dataclass(frozen=True)
class _Buffers:
    """What a tile is computed in; all are reused by every tile and every step.

    Attributes
    ----------
    hidden : list of (R * rows, stride)
        Activations of each hidden layer: ``width`` columns, then a one, then zeros.
    deltas : two (R * rows, stride)
        What flows back, in turn: a layer's is made of that of the layer above.
    output : (R * rows, n_out)
    """

    hidden: list[Tensor]
    deltas: list[Tensor]
    output: Tensor


class CudaEngine:
    """See :class:`grokscope.train.engines.base.Engine`.

    Parameters
    ----------
    specs, datasets
        R runs of one shape and their data.
    dtype
        Of parameters and data; float64 for comparisons.
    device
        Where; steps are recorded as graphs on CUDA only.
    tf32
        Matrix products in TF32.
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
        dtype: torch.dtype = torch.float32,
        device: str = "cuda",
        tf32: bool = False,
        activation_bytes: int = ACTIVATION_BYTES,
    ) -> None:
        self._specs, self._datasets = list(specs), list(datasets)
        self._dtype, self._device, self._tf32 = dtype, torch.device(device), tf32
        self._activation_bytes = activation_bytes
        self.shape = shape = Shape.of_all(specs, datasets)
        self.n_parameters = shape.n_parameters
        self._columns = Columns(specs[0])
        # Runs that the caller still wants.
        self._places = list(range(len(specs)))
        self._records = self._device.type == "cuda"
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}

        # Gradients, parameters, mean and square of AdamW. A run's row is a whole number of rows
        # of the first layer, so that all runs' one-hot layers are rows of one table.
        step = math.lcm(ALIGNMENT, shape.sizes[1])
        size = -(-self.n_parameters // step) * step
        self._flat = self._zeros(4, len(specs), size)
        gradient, flat, self._mean, self._square = self._flat
        self.parameters, self.gradients = Parameters(shape, flat), Parameters(shape, gradient)
        initial = torch.stack([initial_parameters(spec, shape) for spec in specs])
        self.parameters.flat.copy_(initial)
        # A layer's bias follows its weights: with inputs that end in a one they are one matrix.
        self._matrices, self._matrix_gradients = self._layers(flat), self._layers(gradient)
        self._lay_out_tables()

        rates = torch.tensor([spec.learning_rate for spec in specs], dtype=torch.float64)
        decays = torch.tensor([float(spec.weight_decay) for spec in specs], dtype=torch.float64)
        self._rates = rates.unsqueeze(1).to(self._device)
        self._shrink = (1 - rates * decays).unsqueeze(1).to(self._device, dtype)
        self._updates = torch.zeros((), dtype=torch.float64, device=self._device)
        self._row = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._log = torch.full(
            (MAX_ROWS, len(specs), len(self._columns.names)), torch.nan, device=self._device
        )
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
        """Memory that a row of data of one run takes while it passes through the network."""
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
        """Made at the first step: by then the engine that this one replaced is gone."""
        shape = self.shape
        rows = len(self._specs) * self._tile_rows
        hidden = [self._zeros(rows, self._stride) for _ in range(shape.depth - 1)]
        for buffer in hidden:
            buffer[:, shape.sizes[1]] = 1
        deltas = [self._zeros(rows, self._stride) for _ in range(2)]
        return _Buffers(hidden, deltas, self._zeros(rows, shape.sizes[-1]))

    def _view(self, buffer: Tensor, n: int) -> Tensor:
        """The part of a buffer that holds `n` rows a run, contiguous: (R, n, columns)."""
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
        """What goes into each layer (None into a gather), and the output.

        Inputs of a width beyond the layer's, ``in + 1``, hold zeros there.
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
        largest: a tie is no prediction.
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
            # Where ReLU was off, x is zero and nothing flows back; NaN does.
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

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        with torch.inference_mode(), _matrix_precision(self._tf32):
            # These start kernels and wait for none.
            self._row.fill_(row)
            self._log[row].fill_(torch.nan)
            if ranked:
                self._log[row, :, self._columns.ranks] = self.ranks()
            # The last state comes once: it is worth no graph.
            if self._records and update:
                self._graph(tested).replay()
            else:
                self._program(tested, update)

    @torch.inference_mode()
    def ranks(self) -> Tensor:
        """Ranks of all layers' weights, (R, 3 depth).

        Not in the graph: the solver asks the host whether it converged.
        """
        tolerance = self._specs[0].rank_tolerance
        ranks = [
            weight_ranks(weight, tolerance, gram_singular_values)
            for weight in self.parameters.weights
        ]
        return torch.cat(ranks).T

    def _program(self, tested: bool, update: bool) -> None:
        """All of a step but its ranks; nothing here may depend on the host.

        The row is logged before the update, whatever the order of kernels within.
        """
        loss, metric, collapse = self.train_pass()
        # Gradients and parameters side by side.
        norms = [
            torch.linalg.vector_norm(self._flat[:2, :, start:stop], dim=2)
            for start, stop in self.shape.segments().values()
        ]
        values = [torch.stack([loss, metric], 1), torch.stack(norms, 2).transpose(0, 1).flatten(1)]
        if tested:
            values.append(torch.stack([*self.test_pass(), collapse], 1))
        found = torch.cat(values, 1).to(self._log.dtype)
        self._log[:, :, : found.shape[1]].index_copy_(0, self._row, found.unsqueeze(0))
        if update:
            self._update()

    def _update(self) -> None:
        """One update of :class:`torch.optim.AdamW`, bias corrections made on the device."""
        beta1, beta2 = self._specs[0].betas
        self._updates.add_(1)
        rate = (self._rates / (1 - beta1**self._updates)).to(self._dtype)
        correction = (1 - beta2**self._updates).sqrt().to(self._dtype)
        gradient, flat = self._flat[0], self._flat[1]
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        denominator = self._square.sqrt().div_(correction).add_(ADAM_EPS)
        flat.mul_(self._shrink).addcdiv_(self._mean * rate, denominator, value=-1)

    def _graph(self, tested: bool) -> torch.cuda.CUDAGraph:
        """The recorded step; recorded when first asked for."""
        graph = self._graphs.get(tested)
        if graph is not None:
            return graph
        # Libraries set themselves up at first use, which a recording cannot hold: one step on
        # another stream, undone.
        before = self._flat.clone(), self._updates.clone()
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._program(tested, True)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        self._flat.copy_(before[0])
        self._updates.copy_(before[1])
        # One pool of memory: the two kinds of step never run at once.
        pool = next((other.pool() for other in self._graphs.values()), None)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            self._program(tested, True)
        self._graphs[tested] = graph
        return graph

    def rows(self, n: int) -> NDArray[np.float32]:
        log: NDArray[np.float32] = self._log[:n].cpu().numpy()
        return log[:, self._places].swapaxes(0, 1).copy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        names = ("parameters", "mean", "square")
        flat = self._flat[1:, self._places, : self.n_parameters].cpu().numpy()
        state: dict[str, NDArray[np.generic]] = dict(zip(names, flat, strict=True))
        return state | {"updates": np.array(int(self._updates))}

    @torch.inference_mode()
    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        for name, to in zip(("parameters", "mean", "square"), self._flat[1:], strict=True):
            to[self._places, : self.n_parameters] = torch.from_numpy(state[name]).to(to.device)
        self._updates.fill_(int(state["updates"]))

    def keep(self, places: Sequence[int]) -> CudaEngine:
        """As of the interface; this engine must not be used any more."""
        wanted = [self._places[place] for place in places]
        if len(wanted) >= REBUILD_SHARE * len(self._specs):
            # The same buffers and graphs, less to see.
            other = copy(self)
            other._places = wanted
            return other
        other = CudaEngine(
            [self._specs[place] for place in wanted],
            [self._datasets[place] for place in wanted],
            dtype=self._dtype,
            device=str(self._device),
            tf32=self._tf32,
            activation_bytes=self._activation_bytes,
        )
        other.restore(select_runs(self.state(), places))
        return other
