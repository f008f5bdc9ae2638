"""A batch of multilayer perceptrons with hand-derived gradients.

R runs of one shape are trained side by side: every tensor has a leading axis R. There is no
autograd graph. On CPU, data pass through the network in tiles of rows whose activations stay
in cache, and matrix products loop over the runs so that a run's bytes do not depend on which
others share its batch; on an accelerator one batched product does all runs.

Layers are counted 1 .. depth (linear layers, the last is the output); layer 0 is the pair of
embeddings, where learned. Weights are kept as (in, out), so ``z = x @ w + b``.

The first layer of a pair of symbols is a gather: with one-hot input, ``x @ w + b`` is row a
plus row n_symbols + b of w plus the bias, in the order in which a matrix product adds them;
with embeddings it is the same over the table of embedded symbols times w. Its gradient is the
matching scatter, a sum of rows by symbol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from grokscope.runs import RunSpec
from grokscope.tasks import Dataset, ScalarSamples, SymbolSamples

# Rows whose activations (width 128: 0.5 MB a layer) stay in the second-level cache.
CPU_TILE_ROWS = 1024
# exp of less is subnormal. Flushing does not help: the library's exp itself takes 30 times
# longer there, and a memorised network has little else (62% of a step, measured).
SMALLEST_EXPONENT = -87.0


@dataclass(frozen=True)
class Shape:
    """What runs must share to be trained in one batch."""

    encoding: str
    n_symbols: int
    embedding_dim: int
    sizes: tuple[int, ...]
    n_train: int
    n_test: int

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @classmethod
    def of(cls, spec: RunSpec, data: Dataset) -> Shape:
        samples = data.samples
        if isinstance(samples, SymbolSamples):
            n_symbols, n_out = samples.n_symbols, samples.n_classes
            width_in = 2 * (spec.embedding_dim or n_symbols)
        else:
            n_symbols, n_out, width_in = 0, samples.targets.shape[1], samples.inputs.shape[1]
        return cls(
            encoding=spec.encoding,
            n_symbols=n_symbols,
            embedding_dim=spec.embedding_dim or 0,
            sizes=(width_in, *[spec.width] * (spec.depth - 1), n_out),
            n_train=len(data.train),
            n_test=len(data.test),
        )

    def segments(self) -> dict[int, tuple[int, int]]:
        """First and last-plus-one index of each layer in the flat parameter vector."""
        result = {}
        start = 0
        if self.encoding == "embedding":
            start = 2 * self.n_symbols * self.embedding_dim
            result[0] = (0, start)
        for layer, (n_in, n_out) in enumerate(pairwise(self.sizes), 1):
            result[layer] = (start, start + n_in * n_out + n_out)
            start = result[layer][1]
        return result


def initial_parameters(spec: RunSpec, shape: Shape) -> Tensor:
    """Flat initial parameters of one run, float32, shape ``(n_parameters,)``.

    PyTorch's default initialisation after ``torch.manual_seed(init_seed)``: embedding a,
    embedding b (both N(0, 1)) where learned, then the linear layers in order (published
    recipes of lead_lag and phase_diagram). The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(spec.init_seed)
        parts: list[Tensor] = []
        if shape.encoding == "embedding":
            for _ in range(2):
                parts.append(torch.nn.Embedding(shape.n_symbols, shape.embedding_dim).weight)
        for n_in, n_out in pairwise(shape.sizes):
            linear = torch.nn.Linear(n_in, n_out)
            parts += [linear.weight.T, linear.bias]
        return torch.cat([part.detach().reshape(-1) for part in parts])


@dataclass(frozen=True)
class _Tile:
    """Some rows of the data of every run.

    gather : (R * rows, 3) int64, rows of the first layer's table to add (symbols only):
        a's, b's and the bias
    scatter, offsets : the same rows grouped by symbol, for the gradient (training only)
    inputs : (R, rows, d) (scalars only)
    targets : (R, rows, 1), classes (int64) or real targets
    """

    rows: int
    gather: Tensor | None
    scatter: Tensor | None
    offsets: Tensor | None
    inputs: Tensor | None
    targets: Tensor


def _tiles(
    datasets: Sequence[Dataset],
    part: str,
    tile_rows: int,
    dtype: torch.dtype,
    device: torch.device,
) -> list[_Tile]:
    """Cut the training or test data of all runs into tiles of nearly equal size."""
    indices = [getattr(data, part) for data in datasets]
    n = len(indices[0])
    edges = np.linspace(0, n, -(-n // tile_rows) + 1).astype(int)
    tiles = []
    for start, stop in pairwise(edges):
        rows = stop - start
        chosen = [index[start:stop] for index in indices]
        gather = scatter = offsets = inputs = None
        if isinstance(datasets[0].samples, SymbolSamples):
            table_rows = 2 * datasets[0].samples.n_symbols
            pairs, groups, counts, targets = [], [], [], []
            for run, (data, rows_of_run) in enumerate(zip(datasets, chosen, strict=True)):
                samples = data.samples
                assert isinstance(samples, SymbolSamples)
                pair = samples.operands[rows_of_run] + np.array([0, samples.n_symbols])
                bias = np.full((rows, 1), table_rows)
                pairs.append(np.hstack([pair, bias]) + run * (table_rows + 1))
                # Rows sorted by a, then rows sorted by b: bags of the 2 n_symbols table rows.
                groups += [
                    np.argsort(pair[:, side], kind="stable") + run * rows for side in (0, 1)
                ]
                counts.append(np.bincount(pair.ravel(), minlength=table_rows))
                targets.append(samples.classes[rows_of_run])
            gather = torch.from_numpy(np.concatenate(pairs)).to(device)
            if part == "train":
                scatter = torch.from_numpy(np.concatenate(groups)).to(device)
                ends = np.cumsum(np.concatenate(counts))
                offsets = torch.from_numpy(np.concatenate([[0], ends[:-1]])).to(device)
            target = torch.from_numpy(np.stack(targets)).unsqueeze(-1).to(device)
        else:
            drawn = [data.samples for data in datasets]
            pieces: dict[str, np.ndarray] = {}
            for name in ("inputs", "targets"):
                pieces[name] = np.stack(
                    [getattr(s, name)[r] for s, r in zip(drawn, chosen, strict=True)]
                )
            inputs = torch.from_numpy(pieces["inputs"]).to(device, dtype)
            target = torch.from_numpy(pieces["targets"]).to(device, dtype)
        tiles.append(_Tile(int(rows), gather, scatter, offsets, inputs, target))
    return tiles


class Batch:
    """R runs of one shape: parameters, gradients, data.

    Attributes
    ----------
    parameters, gradients : (R, n_parameters) tensors
        Flat; views of single layers are :attr:`weights`, :attr:`biases`.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        tile_rows: int | None = None,
    ) -> None:
        shapes = {Shape.of(spec, data) for spec, data in zip(specs, datasets, strict=True)}
        if len(shapes) != 1:
            raise ValueError(f"runs of one batch must share their shape, got {shapes}")
        self.shape = shapes.pop()
        self.device = torch.device(device)
        self.dtype = dtype
        self.n_runs = len(specs)
        if tile_rows is None:
            on_cpu = self.device.type == "cpu"
            tile_rows = CPU_TILE_ROWS if on_cpu else max(self.shape.n_train, self.shape.n_test)
        self.parameters = torch.stack([initial_parameters(spec, self.shape) for spec in specs]).to(
            self.device, dtype
        )
        self.gradients = torch.zeros_like(self.parameters)
        self.weights, self.biases, self.embedding = self._views(self.parameters)
        self._weight_grads, self._bias_grads, self._embedding_grad = self._views(self.gradients)
        self._train = _tiles(datasets, "train", tile_rows, dtype, self.device)
        self._test = _tiles(datasets, "test", tile_rows, dtype, self.device)
        self.classifies = isinstance(datasets[0].samples, SymbolSamples)
        self._total_squares = {}
        if not self.classifies:
            for part in ("train", "test"):
                self._total_squares[part] = self._total_sum_of_squares(datasets, part)
        rows = max(tile.rows for tile in self._train + self._test)
        # One buffer a layer and one for its gradient, reused by all tiles.
        self._activations = [
            torch.empty(self.n_runs * rows * size, dtype=dtype, device=self.device)
            for size in self.shape.sizes[1:]
        ]
        self._deltas = [torch.empty_like(buffer) for buffer in self._activations[:-1]]

    def _views(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
        """Weights (R, in, out), biases (R, 1, out), embeddings (R, 2 n_symbols, e) of a vector."""
        weights, biases, embedding = [], [], None
        for layer, (start, stop) in self.shape.segments().items():
            if layer == 0:
                e = self.shape.embedding_dim
                embedding = flat[:, start:stop].view(self.n_runs, -1, e)
                continue
            n_in, n_out = self.shape.sizes[layer - 1], self.shape.sizes[layer]
            middle = start + n_in * n_out
            weights.append(flat[:, start:middle].view(self.n_runs, n_in, n_out))
            biases.append(flat[:, middle:stop].unsqueeze(1))
        return weights, biases, embedding

    def _total_sum_of_squares(self, datasets: Sequence[Dataset], part: str) -> Tensor:
        values = []
        for data in datasets:
            assert isinstance(data.samples, ScalarSamples)
            targets = data.samples.targets[getattr(data, part)]
            total = ((targets - targets.mean(axis=0)) ** 2).sum()
            values.append(total if total > 0 else np.nan)  # R² of equal targets is undefined
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def _product(self, x: Tensor, w: Tensor, out: Tensor, add: bool = False) -> None:
        """``out = x @ w``, or ``out += x @ w``, run by run."""
        if self.device.type == "cpu":
            for run in range(self.n_runs):
                if add:
                    out[run].addmm_(x[run], w[run])
                else:
                    torch.mm(x[run], w[run], out=out[run])
        elif add:
            out.baddbmm_(x, w)
        else:
            torch.bmm(x, w, out=out)

    def _affine(self, x: Tensor, layer: int, out: Tensor) -> None:
        """``out = x @ w + b`` of the layer with index ``layer`` (0-based)."""
        w, b = self.weights[layer], self.biases[layer]
        # On CPU, addmm would first copy the bias into every row.
        self._product(x, w, out)
        out.add_(b)

    def _table(self) -> Tensor:
        """First layer as rows to add, one a symbol and last the bias: (R * (2 n + 1), width)."""
        width = self.shape.sizes[1]
        if self.embedding is None:
            # A layer's bias follows its weights in the flat vector: no copy for a single run.
            start, stop = self.shape.segments()[1]
            return self.parameters[:, start:stop].reshape(-1, width)
        half, e = self.shape.n_symbols, self.shape.embedding_dim
        table = self.embedding.new_empty(self.n_runs, 2 * half + 1, width)
        self._product(self.embedding[:, :half], self.weights[0][:, :e], table[:, :half])
        self._product(self.embedding[:, half:], self.weights[0][:, e:], table[:, half:-1])
        table[:, -1:] = self.biases[0]
        return table.view(-1, width)

    def _table_gradient(self, gradient: Tensor) -> None:
        """Gradients of bias, weights and embeddings of the first layer from its table's."""
        half = self.shape.n_symbols
        torch.sum(gradient[:, :half], 1, keepdim=True, out=self._bias_grads[0])
        if self.embedding is None or self._embedding_grad is None:
            self._weight_grads[0].copy_(gradient)
            return
        e = self.shape.embedding_dim
        for symbols, rows in ((slice(0, half), slice(0, e)), (slice(half, None), slice(e, None))):
            weight = self.weights[0][:, rows]
            vectors = self.embedding[:, symbols]
            part = gradient[:, symbols]
            self._product(part, weight.transpose(1, 2), self._embedding_grad[:, symbols])
            self._product(vectors.transpose(1, 2), part, self._weight_grads[0][:, rows])

    def _forward(self, tile: _Tile, table: Tensor | None) -> list[Tensor]:
        """Activations of each hidden layer (after ReLU) and the output, (R, rows, size) each."""
        activations: list[Tensor] = []
        for layer, size in enumerate(self.shape.sizes[1:]):
            if layer == 0 and table is not None:
                assert tile.gather is not None
                flat = embedding_bag(tile.gather, table, mode="sum")
                out = flat.view(self.n_runs, tile.rows, size)
            else:
                x = activations[-1] if activations else tile.inputs
                assert x is not None
                count = self.n_runs * tile.rows * size
                out = self._activations[layer][:count].view(self.n_runs, tile.rows, size)
                self._affine(x, layer, out)
            if layer < self.shape.depth - 1:
                out.relu_()
            activations.append(out)
        return activations

    def _score(
        self, tile: _Tile, output: Tensor, delta: bool, collapsed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Summed loss and summed correct predictions (or squared error) of each run, (R,).

        With ``delta``, ``output`` is overwritten by the gradient of the summed loss, and the
        number of samples whose class has none is added to ``collapsed``.
        Cross-entropy: softmax minus one-hot. A prediction is correct if the target's logit
        is strictly the largest: a tie is no prediction.
        """
        if not self.classifies:
            error = output.sub_(tile.targets)
            squares = error.square().sum(dim=(1, 2))
            if delta:
                output.mul_(2.0)
            return squares, squares
        # Fewer passes over the logits than log_softmax, exp and a maximum (measured).
        target = output.gather(2, tile.targets)
        others = output.scatter_(2, tile.targets, -torch.inf).amax(2, keepdim=True)
        correct = (target > others).sum(dim=(1, 2)).to(self.dtype)
        top = torch.maximum(target, others)
        exponentials = output.sub_(top).clamp_min_(SMALLEST_EXPONENT).exp_()
        of_target = (target - top).exp_()
        total = exponentials.sum(2, keepdim=True).add_(of_target)
        loss = (total.log() + top - target).sum(dim=(1, 2))
        if delta:
            share = total.reciprocal_()
            of_target.mul_(share).sub_(1.0)
            exponentials.mul_(share).scatter_(2, tile.targets, of_target)
            if collapsed is not None:
                collapsed.add_((of_target == 0).sum(dim=(1, 2)))
        return loss, correct

    def _mean(self, part: str, sums: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Mean loss and metric (accuracy or R²) of each run from the sums of the tiles."""
        n = self.shape.n_train if part == "train" else self.shape.n_test
        loss, metric = sums[0]
        for other_loss, other_metric in sums[1:]:
            loss, metric = loss + other_loss, metric + other_metric
        if self.classifies:
            return loss / n, metric / n
        return loss / n, 1 - metric / self._total_squares[part]

    def step(self, collapse: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Loss and metric on the training set, (R,) each; gradients go to :attr:`gradients`.

        Parameters
        ----------
        collapse : (R,) tensor, optional
            Filled with the share of training samples whose correct-class gradient is exactly
            zero, softmax collapse (Prieto et al. 2025); left as it is in regression.
        """
        counts = collapse is not None and self.classifies
        collapsed = self.gradients.new_zeros(self.n_runs) if counts else None
        table = self._table() if self.classifies else None
        table_gradient: Tensor | None = None
        sums = []
        for number, tile in enumerate(self._train):
            activations = self._forward(tile, table)
            sums.append(self._score(tile, activations[-1], True, collapsed))
            delta = activations[-1]
            for layer in range(self.shape.depth - 1, -1, -1):
                if layer == 0 and table is not None:
                    assert tile.scatter is not None
                    size = self.shape.sizes[1]
                    rows = embedding_bag(
                        tile.scatter, delta.reshape(-1, size), tile.offsets, mode="sum"
                    ).view(self.n_runs, -1, size)
                    table_gradient = rows if table_gradient is None else table_gradient.add_(rows)
                    break
                x = activations[layer - 1] if layer else tile.inputs
                assert x is not None
                self._product(x.transpose(1, 2), delta, self._weight_grads[layer], add=number > 0)
                bias = delta.sum(1, keepdim=True)
                if number:
                    self._bias_grads[layer].add_(bias)
                else:
                    self._bias_grads[layer].copy_(bias)
                if layer:
                    below = self._deltas[layer - 1][: x.numel()].view_as(x)
                    self._product(delta, self.weights[layer].transpose(1, 2), below)
                    # Where ReLU was off, x is zero and nothing flows back.
                    delta = torch.ops.aten.threshold_backward.grad_input(
                        below, x, 0, grad_input=below
                    )
        if table_gradient is not None:
            self._table_gradient(table_gradient)
        # The loss is a mean: one pass over the parameters, not one over the data.
        self.gradients.div_(self.shape.n_train)
        if collapse is not None and collapsed is not None:
            torch.div(collapsed, self.shape.n_train, out=collapse)
        return self._mean("train", sums)

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Loss and metric on the test set, (R,) each."""
        table = self._table() if self.classifies else None
        sums = []
        for tile in self._test:
            sums.append(self._score(tile, self._forward(tile, table)[-1], False))
        return self._mean("test", sums)
