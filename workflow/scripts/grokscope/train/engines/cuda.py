"""The engine for accelerators: a block of runs is one batched program, replayed as a CUDA graph.

A small network leaves an accelerator idle, and so does a host that starts each of its kernels.
So each operation is one kernel for all runs (matrix products are batched over them), and a
step, from the gather of the first layer to AdamW and the logged row, is recorded once and then
started as one graph: one kind for plain steps, one for steps that evaluate the test set. What
changes from step to step lives on the device: the number of updates, and the row to log into.
The host waits in :meth:`CudaEngine.rows`, and where ranks are measured.

Sums are in a fixed order: scatters are sums over rows sorted by symbol, no atomics. A program is
therefore repeatable bit by bit on one machine. Unlike on CPU, the library may choose another
kernel for another number of runs: a run's last bits may depend on its block.

Memory. Per run: 4 copies of its parameters (gradients and two moments of AdamW), twice that
while a graph is recorded; its data; ``MAX_ROWS`` logged rows. Per row of data in progress, numbers
of 4 bytes: ``width`` per hidden layer, ``3 width`` for gradients of activations and the gather,
``2 n_classes``. Rows beyond the budget are processed in turn: see ``activation_bytes``. Example:
100 runs of p = 97, fraction 0.6, width 128, depth 4: 113 MB of parameters, 2.2 GB of activations.

The same program runs on any device without graphs, which is how it is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.engines.base import ADAM_EPS, MAX_ROWS, Columns, ranks_of, select_runs
from grokscope.train.engines.batched import ACTIVATION_BYTES, BatchedNetworks
from grokscope.train.engines.precision import matrix_precision

# Finished runs stay in the batch, unused, until the others are fewer than this share: a new engine
# must record its graphs again.
REBUILD_SHARE = 0.75


def gram_singular_values(weight: Tensor) -> Tensor:
    """Singular values of matrices (R, m, n), descending, (R, min(m, n)); NaN if not finite.

    As roots of the eigenvalues of the Gram matrix in float64: those of 100 matrices of 128 x 128
    take 72 ms on an H200, ``svdvals`` in float32 takes 252; both go one matrix at a time. The root
    costs half the digits: an error of 1e-8 of the largest value, less than that of a decomposition
    in float32.
    """
    finite = torch.isfinite(weight).all(dim=2).all(dim=1)
    wide = torch.where(finite[:, None, None], weight, 0.0).double()
    gram = wide @ wide.mT if weight.shape[1] < weight.shape[2] else wide.mT @ wide
    values = torch.linalg.eigvalsh(gram).flip(1).clamp_min(0).sqrt()
    return torch.where(finite[:, None], values, torch.nan)


class CudaEngine(BatchedNetworks):
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
        super().__init__(
            specs, datasets, dtype=dtype, device=device, activation_bytes=activation_bytes
        )
        self._tf32 = tf32
        self._mean, self._square = self._flat[2:]
        self._columns = Columns(specs[0])
        # Runs that the caller still needs.
        self._places = list(range(len(specs)))
        self._records = self._device.type == "cuda"
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}

        rates = torch.tensor([spec.learning_rate for spec in specs], dtype=torch.float64)
        decays = torch.tensor([float(spec.weight_decay) for spec in specs], dtype=torch.float64)
        self._rates = rates.unsqueeze(1).to(self._device)
        self._shrink = (1 - rates * decays).unsqueeze(1).to(self._device, dtype)
        self._updates = torch.zeros((), dtype=torch.float64, device=self._device)
        self._row = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._log = torch.full(
            (MAX_ROWS, len(specs), len(self._columns.names)), torch.nan, device=self._device
        )

    def step(self, row: int, *, tested: bool, ranked: bool, update: bool) -> None:
        with torch.inference_mode(), matrix_precision(self._tf32):
            # These start kernels and wait for none.
            self._row.fill_(row)
            self._log[row].fill_(torch.nan)
            if ranked:
                self._log[row, :, self._columns.ranks] = self.ranks()
            # The last state occurs once and is not worth a graph.
            if self._records and update:
                self._graph(tested).replay()
            else:
                self._program(tested, update)

    @torch.inference_mode()
    def ranks(self) -> Tensor:
        """Ranks of all layers' weights, (R, 3 depth).

        Not part of the graph: the solver checks convergence on the host.
        """
        tolerance = self._specs[0].rank_tolerance
        ranks = [
            ranks_of(gram_singular_values(weight).cpu().numpy(), tolerance)
            for weight in self.parameters.weights
        ]
        return torch.from_numpy(np.concatenate(ranks).T).to(self._log)

    def _program(self, tested: bool, update: bool) -> None:
        """A whole step except its ranks; nothing here may depend on the host.

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
        betas = self._specs[0].betas
        assert betas is not None
        beta1, beta2 = betas
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
        # Libraries initialise themselves at first use, which cannot be recorded: first make one
        # step on another stream, and undo it.
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

    @torch.inference_mode()
    def keep(self, places: Sequence[int]) -> CudaEngine:
        """See the interface; this engine must not be used afterwards."""
        wanted = [self._places[place] for place in places]
        if len(wanted) >= REBUILD_SHARE * len(self._specs):
            # The same buffers and graphs, with fewer runs visible.
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
