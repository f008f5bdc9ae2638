"""The engine for any network: automatic differentiation, one run after the other.

What differs from a plain loop makes it faster: parameters and gradients are views of one vector
each, so that norms and optimisers are few long passes, and rows go through the network in tiles
whose activations stay in cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokscope.data.parts import Parts
from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import SymbolSamples
from grokscope.train.batches import Batches
from grokscope.train.dataset import Dataset
from grokscope.train.engines.base import Columns, cut_rows, weight_ranks
from grokscope.train.losses import score
from grokscope.train.networks.factory import make_network
from grokscope.train.optimizers import Optimizer

# Rows of a training pass and of an evaluation.
TILE_ROWS = 2048

Rows = tuple[Tensor, Tensor]


class Training:
    """One run: network, optimiser and data.

    Attributes
    ----------
    flat, gradient : (n_parameters,) tensors
        Layer by layer.
    """

    def __init__(self, spec: RunSpec, data: Dataset, device: str, tile_rows: int) -> None:
        self.spec = spec
        self._device, self._tile_rows = torch.device(device), tile_rows
        dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self._network = network = make_network(spec, data)
        self._module = network.module.to(self._device, dtype)
        self.parts = Parts(tuple(network.layers), tuple(network.matrices), tuple(network.blocks))
        self.columns = Columns(spec, None if spec.model == "mlp" else self.parts)
        # Random numbers and buffers are those of users' networks alone.
        self._has_state = spec.model == "module"
        self._lay_out_parameters(dtype)
        self._data = {part: self._rows(data, part, dtype) for part in ("train", "test")}
        self._whole = {part: self._cut(rows) for part, rows in self._data.items()}
        n_train = len(data.train)
        self._batches = None
        if spec.batch_size is not None:
            self._batches = Batches(n_train, spec.batch_size, spec.seed)
        self._squares = {part: _total_squares(rows[1]) for part, rows in self._data.items()}
        self.updates = 0

    def _lay_out_parameters(self, dtype: torch.dtype) -> None:
        """Make all parameters and their gradients views of two vectors, layer by layer."""
        parameters = dict(self._module.named_parameters())
        n = sum(parameter.numel() for parameter in parameters.values())
        self.flat, self.gradient = torch.zeros(2, n, dtype=dtype, device=self._device)
        self.segments: list[tuple[int, int]] = []
        views: dict[str, Rows] = {}
        start = stop = 0
        for names in self._network.layers.values():
            for name in names:
                parameter = parameters[name]
                begin, stop = stop, stop + parameter.numel()
                view = self.flat[begin:stop].view(parameter.shape)
                view.copy_(parameter.detach())
                parameter.data = view
                parameter.grad = self.gradient[begin:stop].view(parameter.shape)
                views[name] = view, parameter.grad
            self.segments.append((start, stop))
            start = stop
        if stop != n:
            raise ValueError("each parameter must be in one layer")
        self._matrices = [views[name][0] for name in self._network.matrices.values()]
        hidden = [views[name] for name in self._network.hidden]
        rest = [pair for name, pair in views.items() if name not in self._network.hidden]
        self._optimizer = Optimizer(self.spec, self.flat, self.gradient, hidden, rest)

    def _rows(self, data: Dataset, part: str, dtype: torch.dtype) -> Rows:
        """Inputs and targets of the training or test set."""
        rows, samples = getattr(data, part), data.samples
        if isinstance(samples, SymbolSamples):
            inputs, targets = samples.operands[rows], samples.classes[rows]
            return self._to(inputs), self._to(targets)
        return self._to(samples.inputs[rows], dtype), self._to(samples.targets[rows], dtype)

    def _to(self, array: NDArray[np.generic], dtype: torch.dtype | None = None) -> Tensor:
        return torch.from_numpy(array).to(self._device, dtype)

    def _cut(self, rows: Rows) -> list[Rows]:
        edges = cut_rows(len(rows[0]), self._tile_rows)
        return [(rows[0][a:b], rows[1][a:b]) for a, b in edges]

    def _batch(self) -> tuple[list[Rows], int]:
        """What the next update sees, in tiles, and how many samples that are."""
        if self._batches is None:
            return self._whole["train"], len(self._data["train"][0])
        places = torch.from_numpy(self._batches.of_update(self.updates + 1)).to(self._device)
        inputs, targets = self._data["train"]
        return self._cut((inputs[places], targets[places])), len(places)

    def train_pass(self) -> tuple[float, float, float]:
        """Loss, metric and softmax collapse of the next batch; sets the gradient."""
        if self._has_state:
            # Dropout and its like draw the same numbers however often a run was resumed.
            torch.manual_seed((self.spec.init_seed << 24) + self.updates)
        self.gradient.zero_()
        tiles, n = self._batch()
        sums = torch.zeros(3, dtype=torch.float64, device=self._device)
        for inputs, targets in tiles:
            found = score(self.spec, self._module(inputs), targets)
            torch.autograd.backward(found.loss / n)
            sums += torch.stack([value.detach().double() for value in found])
        squares = self._squares["train"]
        if self._batches is not None and squares is not None:
            squares = _total_squares(torch.cat([targets for _, targets in tiles]))
        return self._means(sums, n, squares)

    @torch.no_grad()
    def evaluate(self, part: str) -> tuple[float, float, float]:
        """Loss, metric and softmax collapse on the whole training or test set."""
        self._module.eval()
        sums = torch.zeros(3, dtype=torch.float64, device=self._device)
        for inputs, targets in self._whole[part]:
            sums += torch.stack(
                [v.double() for v in score(self.spec, self._module(inputs), targets)]
            )
        self._module.train()
        return self._means(sums, len(self._data[part][0]), self._squares[part])

    def _means(self, sums: Tensor, n: int, squares: float | None) -> tuple[float, float, float]:
        loss, metric, collapse = (sums / n).tolist()
        return loss, metric if squares is None else 1 - float(sums[1]) / squares, collapse

    @torch.no_grad()
    def norms(self, flat: Tensor) -> list[float]:
        """Norm of each layer's part of a vector."""
        parts = [flat[a:b] for a, b in self.segments]
        found = [torch.linalg.vector_norm(part, dtype=torch.float64) for part in parts]
        values: list[float] = torch.stack(found).tolist()
        return values

    @torch.no_grad()
    def ranks(self) -> list[float]:
        """Ranks of all matrices, then the entropies of attention on the training set."""
        tolerance = self.spec.rank_tolerance
        found: list[float] = []
        for matrix in self._matrices:
            found += weight_ranks(matrix.unsqueeze(0).cpu().numpy(), tolerance)[:, 0].tolist()
        attention = self._network.attention
        if attention is not None:
            tiles = self._whole["train"]
            sums = torch.stack([attention(inputs) * len(inputs) for inputs, _ in tiles]).sum(0)
            found += (sums / len(self._data["train"][0])).tolist()
        return found

    def step(self, *, tested: bool, ranked: bool, update: bool) -> NDArray[np.float32]:
        """Measure the state, then make an update; the logged row."""
        row = np.full(len(self.columns.names), np.nan, np.float32)
        loss, metric, collapse = self.train_pass()
        row[self.columns.grad_norms] = self.norms(self.gradient)
        row[self.columns.weight_norms] = self.norms(self.flat)
        if tested:
            if self._batches is not None:
                # Onsets are of the whole training set.
                _, metric, collapse = self.evaluate("train")
            row[self.columns.tested] = [*self.evaluate("test")[:2], collapse]
        row[:2] = loss, metric
        if ranked:
            row[self.columns.ranks] = self.ranks()
        if update:
            self.updates += 1
            self._optimizer.update(self.updates)
        return row

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything the next steps depend on besides the data."""
        found = {"parameters": self.flat.cpu().numpy().copy()} | self._optimizer.state()
        buffers = list(self._module.buffers()) if self._has_state else []
        if buffers:
            found["buffers"] = torch.cat([b.double().reshape(-1) for b in buffers]).cpu().numpy()
        return found

    @torch.no_grad()
    def restore(self, state: Mapping[str, NDArray[np.generic]], updates: int) -> None:
        """Continue from a :meth:`state`."""
        self.flat.copy_(torch.from_numpy(state["parameters"]))
        self._optimizer.restore(state)
        if "buffers" in state:
            buffers = list(self._module.buffers())
            pieces = torch.split(torch.from_numpy(state["buffers"]), [b.numel() for b in buffers])
            for buffer, piece in zip(buffers, pieces, strict=True):
                buffer.copy_(piece.view(buffer.shape))
        self.updates = updates


def _total_squares(targets: Tensor) -> float | None:
    """Sum of squares of numbers about their mean, NaN where they are equal; None of classes."""
    if not targets.is_floating_point():
        return None
    squares = float((targets.double() - targets.double().mean()).square().sum())
    return squares if squares > 0 else float("nan")


class GenericEngine:
    """See :class:`grokscope.train.engines.base.Engine`.

    Parameters
    ----------
    specs, datasets
        R runs and their data.
    device
        ``cpu``, ``cuda`` or ``cuda-tf32``.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        *,
        device: str = "cpu",
        tile_rows: int = TILE_ROWS,
    ) -> None:
        torch.set_num_threads(1)
        # As for the other engine of CPUs: probabilities of a memorised network go subnormal.
        torch.set_flush_denormal(True)
        place = device.removesuffix("-tf32")
        self.runs = [
            Training(spec, data, place, tile_rows)
            for spec, data in zip(specs, datasets, strict=True)
        ]
        self.n_parameters = len(self.runs[0].flat)
        self._log: list[list[NDArray[np.float32]]] = []

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        del self._log[row:]
        self._log.append(
            [run.step(tested=tested, ranked=ranked, update=update) for run in self.runs]
        )

    def rows(self, n: int) -> NDArray[np.float32]:
        return np.array(self._log[:n]).swapaxes(0, 1).copy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        states = [run.state() for run in self.runs]
        stacked = {name: np.stack([state[name] for state in states]) for name in states[0]}
        return stacked | {"updates": np.array(self.runs[0].updates)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        for place, run in enumerate(self.runs):
            own = {name: values[place] for name, values in state.items() if name != "updates"}
            run.restore(own, int(state["updates"]))

    def keep(self, places: Sequence[int]) -> GenericEngine:
        self.runs = [self.runs[place] for place in places]
        return self
