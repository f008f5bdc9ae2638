"""Runs of one network, trained by automatic differentiation; several as one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, vmap

from grokscope.data.parts import Parts
from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import SymbolSamples
from grokscope.train.batches import Batches
from grokscope.train.dataset import Dataset
from grokscope.train.engines.base import Columns, cut_rows, select_runs, weight_ranks
from grokscope.train.losses import Score, score
from grokscope.train.networks.base import Network
from grokscope.train.networks.factory import make_network
from grokscope.train.optimizers import Optimizer, Pair

# Inputs and targets, (R, n, ...).
Rows = tuple[Tensor, Tensor]
# Loss, metric and softmax collapse of each run, (R,).
Means = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class StackError(Exception):
    """A network that torch.func cannot map over runs."""


class Training:
    """Runs of one network: modules, optimiser and data.

    Parameters
    ----------
    specs, datasets
        R runs that differ in seeds, weight decay and learning rate alone.
    device
        Where.
    tile_rows
        Most rows of one run that are processed at once.

    Attributes
    ----------
    flat, gradient : (R, n_parameters) tensors
        Layer by layer.

    Raises
    ------
    StackError
        If the runs are several, and their network is a user's whose code cannot be mapped over
        parameters.
    """

    def __init__(
        self,
        specs: Sequence[RunSpec],
        datasets: Sequence[Dataset],
        device: str,
        tile_rows: int,
    ) -> None:
        self._specs = list(specs)
        self._device, self._tile_rows = torch.device(device), tile_rows
        first, data = specs[0], datasets[0]
        dtype = torch.float64 if first.dtype == "float64" else torch.float32
        self._networks = [make_network(*run) for run in zip(specs, datasets, strict=True)]
        for network in self._networks:
            network.module.to(self._device, dtype)
        network = self._networks[0]
        self.parts = Parts(tuple(network.layers), tuple(network.matrices), tuple(network.blocks))
        self.columns = Columns(first, None if first.model == "mlp" else self.parts)
        # Random numbers and buffers are those of users' networks alone.
        self._has_state = first.model == "module"
        self._lay_out_parameters()
        self._data = {part: self._rows(datasets, part, dtype) for part in ("train", "test")}
        self._n = {"train": len(data.train), "test": len(data.test)}
        self._cut_data()
        self._batches: list[Batches] = []
        if first.batch_size is not None:
            sizes = self._n["train"], first.batch_size
            self._batches = [Batches(*sizes, spec.seed) for spec in specs]
        self.updates = 0
        if self._has_state and len(specs) > 1:
            self._try_stacked()

    def _lay_out_parameters(self) -> None:
        """Make parameters and gradients views of two arrays with a row per run, layer by layer."""
        modules = [dict(network.module.named_parameters()) for network in self._networks]
        sizes = {name: parameter.numel() for name, parameter in modules[0].items()}
        like = next(iter(modules[0].values())).detach()
        shape = (2, len(modules), sum(sizes.values()))
        self.flat, self.gradient = like.new_zeros(shape)
        self.segments: list[tuple[int, int]] = []
        # What torch.func maps the network over, and gradients of it.
        self._stacked: dict[str, Pair] = {}
        views: list[dict[str, Pair]] = [{} for _ in modules]
        start = stop = 0
        for names in self._network.layers.values():
            for name in names:
                begin, stop = stop, stop + sizes[name]
                values, gradients = (
                    part[:, begin:stop].unflatten(1, modules[0][name].shape)
                    for part in (self.flat, self.gradient)
                )
                for run, parameters in enumerate(modules):
                    values[run].copy_(parameters[name].detach())
                    parameters[name].data = values[run]
                    parameters[name].grad = gradients[run]
                    views[run][name] = values[run], gradients[run]
                self._stacked[name] = values.requires_grad_(), gradients
            self.segments.append((start, stop))
            start = stop
        if stop != shape[2]:
            raise ValueError("each parameter must be in one layer")
        names = self._network.hidden
        hidden = [[found[name] for name in names] for found in views]
        rest = [[pair for name, pair in found.items() if name not in names] for found in views]
        self._optimizer = Optimizer(self._specs, self.flat, self.gradient, hidden, rest)

    @property
    def _network(self) -> Network:
        """The network of all runs, with the parameters of the first."""
        return self._networks[0]

    def _rows(self, datasets: Sequence[Dataset], part: str, dtype: torch.dtype) -> Rows:
        """Inputs and targets of the training or test set."""
        inputs, targets = [], []
        for data in datasets:
            rows, samples = getattr(data, part), data.samples
            if isinstance(samples, SymbolSamples):
                inputs.append(torch.from_numpy(samples.operands[rows]))
                targets.append(torch.from_numpy(samples.classes[rows]))
            else:
                inputs.append(torch.from_numpy(samples.inputs[rows]).to(dtype))
                targets.append(torch.from_numpy(samples.targets[rows]).to(dtype))
        return torch.stack(inputs).to(self._device), torch.stack(targets).to(self._device)

    def _cut_data(self) -> None:
        self._whole = {part: self._cut(rows) for part, rows in self._data.items()}
        self._squares = {part: _total_squares(rows[1]) for part, rows in self._data.items()}

    def _cut(self, rows: Rows) -> list[Rows]:
        inputs, targets = rows
        edges = cut_rows(inputs.shape[1], self._tile_rows)
        return [(inputs[:, a:b], targets[:, a:b]) for a, b in edges]

    def _batch(self) -> tuple[list[Rows], int]:
        """What the next update sees, in tiles, and how many samples of a run that are."""
        if not self._batches:
            return self._whole["train"], self._n["train"]
        found = np.stack([batches.of_update(self.updates + 1) for batches in self._batches])
        places = torch.from_numpy(found).to(self._device)
        runs = torch.arange(len(places), device=self._device).unsqueeze(1)
        inputs, targets = self._data["train"]
        return self._cut((inputs[runs, places], targets[runs, places])), places.shape[1]

    def _score(self, rows: Rows) -> Score:
        """Sums over the samples of each run, (R,)."""
        inputs, targets = rows
        spec, module = self._specs[0], self._network.module
        if len(inputs) == 1:
            found = score(spec, module(inputs[0]), targets[0])
            return Score(*(value.unsqueeze(0) for value in found))

        def one(parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Score:
            return score(spec, functional_call(module, parameters, (inputs,)), targets)

        parameters = {name: values for name, (values, _) in self._stacked.items()}
        mapped: Callable[..., Score] = vmap(one, randomness="error")
        return mapped(parameters, inputs, targets)

    def _add_gradient(self, loss: Tensor) -> None:
        """Add the gradient of the runs' losses, (R,), each of its own parameters."""
        if len(loss) == 1:
            torch.autograd.backward(loss[0])
            return
        pairs = self._stacked.values()
        found = torch.autograd.grad(loss.sum(), [values for values, _ in pairs])
        for (_, gradients), new in zip(pairs, found, strict=True):
            gradients.add_(new)

    def _try_stacked(self) -> None:
        """Refuse a user's network that cannot be mapped, or draws numbers or keeps buffers."""
        if list(self._network.module.buffers()):
            raise StackError("buffers")
        try:
            found = self._score(self._whole["train"][0])
            self._add_gradient(found.loss)
        except RuntimeError as error:
            raise StackError(str(error)) from error

    def train_pass(self) -> Means:
        """Means over the next batch; sets the gradient."""
        if self._has_state and len(self._specs) == 1:
            # Dropout and its like draw the same numbers however often a run was resumed.
            torch.manual_seed((self._specs[0].init_seed << 24) + self.updates)
        self.gradient.zero_()
        tiles, n = self._batch()
        sums = self._zeros()
        for rows in tiles:
            found = self._score(rows)
            self._add_gradient(found.loss / n)
            sums += torch.stack([value.detach().double() for value in found])
        squares = self._squares["train"]
        if self._batches and squares is not None:
            squares = _total_squares(torch.cat([targets for _, targets in tiles], 1))
        return self._means(sums, n, squares)

    @torch.no_grad()
    def evaluate(self, part: str) -> Means:
        """Means over the whole training or test set."""
        self._network.module.eval()
        sums = self._zeros()
        for rows in self._whole[part]:
            sums += torch.stack([value.double() for value in self._score(rows)])
        self._network.module.train()
        return self._means(sums, self._n[part], self._squares[part])

    def _zeros(self) -> Tensor:
        return torch.zeros(3, len(self._specs), dtype=torch.float64, device=self._device)

    def _means(self, sums: Tensor, n: int, squares: NDArray[np.float64] | None) -> Means:
        found = sums.cpu().numpy()
        loss, metric, collapse = found / n
        return loss, metric if squares is None else 1 - found[1] / squares, collapse

    @torch.no_grad()
    def norms(self, flat: Tensor) -> NDArray[np.float64]:
        """Norm of each layer's part of each run's vector, (R, n_layers)."""
        parts = [flat[:, a:b] for a, b in self.segments]
        found = [torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in parts]
        values: NDArray[np.float64] = torch.stack(found, 1).cpu().numpy()
        return values

    @torch.no_grad()
    def ranks(self) -> NDArray[np.float64]:
        """Ranks of all matrices, then attention's entropies on the training set, (R, n)."""
        tolerance = self._specs[0].rank_tolerance
        matrices = [self._stacked[name][0] for name in self._network.matrices.values()]
        found = [weight_ranks(m.detach().cpu().numpy(), tolerance).T for m in matrices]
        if self._network.attention is not None:
            found.append(np.stack([self._entropies(run) for run in range(len(self._specs))]))
        return np.concatenate(found, axis=1)

    def _entropies(self, run: int) -> NDArray[np.float64]:
        """Mean entropy of each block's attention on a run's training set."""
        attention = self._networks[run].attention
        assert attention is not None
        tiles = [inputs[run] for inputs, _ in self._whole["train"]]
        sums = torch.stack([attention(inputs) * len(inputs) for inputs in tiles]).sum(0)
        return (sums / self._n["train"]).cpu().numpy()

    def step(self, *, tested: bool, ranked: bool, update: bool) -> NDArray[np.float32]:
        """Measure the state, then make an update; the logged rows, (R, n_columns)."""
        rows = np.full((len(self._specs), len(self.columns.names)), np.nan, np.float32)
        loss, metric, collapse = self.train_pass()
        rows[:, self.columns.grad_norms] = self.norms(self.gradient)
        rows[:, self.columns.weight_norms] = self.norms(self.flat)
        if tested:
            if self._batches:
                # Onsets are of the whole training set.
                _, metric, collapse = self.evaluate("train")
            rows[:, self.columns.tested] = np.stack([*self.evaluate("test")[:2], collapse], 1)
        rows[:, :2] = np.stack([loss, metric], 1)
        if ranked:
            rows[:, self.columns.ranks] = self.ranks()
        if update:
            self.updates += 1
            self._optimizer.update(self.updates)
        return rows

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these runs alone."""
        state = select_runs(self._optimizer.state(), places)
        self._specs = [self._specs[place] for place in places]
        self._networks = [self._networks[place] for place in places]
        self._batches = [self._batches[place] for place in places if self._batches]
        index = torch.tensor(places, device=self._device)
        self._data = {part: (x[index], y[index]) for part, (x, y) in self._data.items()}
        self._lay_out_parameters()
        self._cut_data()
        self._optimizer.restore(state)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything the next steps depend on besides the data, a row per run."""
        found = {"parameters": self.flat.cpu().numpy().copy()} | self._optimizer.state()
        buffers = list(self._network.module.buffers()) if self._has_state else []
        if buffers:
            vector = torch.cat([b.double().reshape(-1) for b in buffers])
            found["buffers"] = vector.unsqueeze(0).cpu().numpy()
        return found

    @torch.no_grad()
    def restore(self, state: Mapping[str, NDArray[np.generic]], updates: int) -> None:
        """Continue from a :meth:`state`."""
        self.flat.copy_(torch.from_numpy(state["parameters"]))
        self._optimizer.restore(state)
        if "buffers" in state:
            buffers = list(self._network.module.buffers())
            vector = torch.from_numpy(state["buffers"][0])
            pieces = torch.split(vector, [b.numel() for b in buffers])
            for buffer, piece in zip(buffers, pieces, strict=True):
                buffer.copy_(piece.view(buffer.shape))
        self.updates = updates


def _total_squares(targets: Tensor) -> NDArray[np.float64] | None:
    """Sum of squares of each run's numbers about their mean, NaN where equal; None of classes."""
    if not targets.is_floating_point():
        return None
    wide = targets.double().flatten(1)
    squares = (wide - wide.mean(1, keepdim=True)).square().sum(1).cpu().numpy()
    return np.where(squares > 0, squares, np.nan)
