"""Training: AdamW over a batch of runs, full batch, with a trace row for every state.

Row t describes θ_t, the state after t updates; a run of T updates has rows 0 .. T.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import grokscope
from grokscope.model import Batch
from grokscope.runs import RunSpec
from grokscope.tasks import Dataset, make_dataset
from grokscope.trace import RANK_MEASURES, TraceInfo, gradient_layers

ADAM_EPS = 1e-8
# Steps between looks at the log from the host (stopping, progress). A run that stops is cut
# at the step at which its rule held, so this changes speed, never results.
FLUSH_STEPS = 100


class AdamW:
    """Decoupled weight decay (Loshchilov & Hutter 2019), a learning rate and decay a run.

    The order of operations is that of ``torch.optim.AdamW``.

    Parameters
    ----------
    parameters : (R, n_parameters) tensor, updated in place
    learning_rate, weight_decay : R numbers each
    betas : moment decay rates, shared
    """

    def __init__(
        self,
        parameters: Tensor,
        learning_rate: Sequence[float],
        weight_decay: Sequence[float],
        betas: tuple[float, float],
    ) -> None:
        self.parameters = parameters
        self.betas = betas
        self.updates = 0
        rate = torch.tensor(learning_rate, dtype=torch.float64, device=parameters.device)
        decay = torch.tensor(weight_decay, dtype=torch.float64, device=parameters.device)
        self._rate = rate.unsqueeze(1)
        self._shrink = (1 - rate * decay).unsqueeze(1).to(parameters.dtype)
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)

    def step(self, gradients: Tensor) -> None:
        """One update."""
        self.updates += 1
        beta1, beta2 = self.betas
        self.parameters.mul_(self._shrink)
        self._mean.lerp_(gradients, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
        correction1 = 1 - beta1**self.updates
        correction2 = 1 - beta2**self.updates
        torch.sqrt(self._square, out=self._scratch)
        self._scratch.div_(correction2**0.5).add_(ADAM_EPS)
        torch.div(self._mean, self._scratch, out=self._scratch)
        rate = (-self._rate / correction1).to(self.parameters.dtype)
        self.parameters.addcmul_(self._scratch, rate)

    def select(self, parameters: Tensor, keep: list[int]) -> AdamW:
        """The optimiser of the runs ``keep`` alone, in its present state, for ``parameters``."""
        other = AdamW(parameters, [0.0] * len(keep), [0.0] * len(keep), self.betas)
        other.updates = self.updates
        for name in ("_rate", "_shrink", "_mean", "_square"):
            setattr(other, name, getattr(self, name)[keep].clone())
        return other


def weight_ranks(weight: Tensor, tolerance: float) -> Tensor:
    """Effective, stable and numerical rank of matrices.

    Parameters
    ----------
    weight : (R, m, n) tensor
    tolerance : float
        Numerical rank counts the singular values above ``tolerance`` times the largest.

    Returns
    -------
    (3, R) tensor
        Effective rank ``exp(-Σ p ln p)``, ``p = σ / Σσ`` (Roy & Vetterli 2007); stable rank
        ``||W||_F² / ||W||_2²``; numerical rank. NaN where W has a non-finite entry, and
        for effective and stable rank where W is zero.
    """
    finite = torch.isfinite(weight).all(dim=2).all(dim=1)
    sigma = torch.linalg.svdvals(torch.where(finite[:, None, None], weight, 0.0))
    share = sigma / sigma.sum(dim=1, keepdim=True)
    effective = torch.special.entr(share).sum(dim=1).exp()
    stable = sigma.square().sum(dim=1) / sigma[:, 0].square()
    numerical = (sigma > tolerance * sigma[:, :1]).sum(dim=1).to(weight.dtype)
    ranks = torch.stack([effective, stable, numerical])
    return torch.where(finite, ranks, torch.nan)


@dataclass(frozen=True)
class Result:
    """A finished training: the columns of its trace and how it was made."""

    spec: RunSpec
    info: TraceInfo
    columns: dict[str, NDArray[np.generic]]


def versions() -> dict[str, str]:
    """Versions that a training depends on."""
    return {
        "grokscope": grokscope.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def settled_step(
    metrics: Sequence[NDArray[np.floating]], threshold: float, hold_steps: int
) -> int | None:
    """First evaluated step at which all metrics have held the threshold for ``hold_steps``.

    Parameters
    ----------
    metrics
        Arrays of shape ``(n_rows,)``, one value a step; NaN where not evaluated.
    threshold, hold_steps
        Every evaluation in ``[t - hold_steps, t]`` must be at or above the threshold, and
        the first of them must be no later than ``t - hold_steps``.

    Returns
    -------
    int or None
        The step t, None if there is none.
    """
    values = np.stack(metrics)
    steps = np.flatnonzero(~np.isnan(values).any(axis=0))
    if not len(steps):
        return None
    held = (values[:, steps] >= threshold).all(axis=0)
    place = np.arange(len(steps))
    # Where the present streak of held evaluations began.
    begun = np.maximum.accumulate(np.where(held, -1, place)) + 1
    settled = held & (steps - steps[np.minimum(begun, place)] >= hold_steps)
    return int(steps[settled.argmax()]) if settled.any() else None


class _Log:
    """Rows of all runs on the host, shape (R, max_rows, n_columns), NaN where not measured."""

    def __init__(self, spec: RunSpec, n_runs: int) -> None:
        layers = gradient_layers(spec)
        self.names = ["train_loss", "train_metric"]
        self.names += [f"grad_norm_{layer}" for layer in layers]
        self.names += [f"weight_norm_{layer}" for layer in layers]
        self.always = len(self.names)
        self.names += ["test_loss", "test_metric", "softmax_collapse"]
        self.tested = slice(self.always, len(self.names))
        self.names += [
            f"{measure}_rank_{layer}"
            for layer in range(1, spec.depth + 1)
            for measure in RANK_MEASURES
        ]
        self.values = np.full((n_runs, spec.steps + 1, len(self.names)), np.nan, np.float32)

    def column(self, name: str, run: int, rows: int) -> NDArray[np.float32]:
        return self.values[run, :rows, self.names.index(name)]


def train(
    specs: Sequence[RunSpec],
    *,
    device: str = "cpu",
    tile_rows: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Result]:
    """Train runs that share their shape, steps, cadences and betas, side by side.

    Parameters
    ----------
    specs
        The runs. They may differ in seed, weight decay, learning rate and, at equal sizes,
        in the task.
    device, tile_rows
        Where, and how many rows at a time (None: what suits the device).
    progress
        Called with the number of steps made since the last call.

    Returns
    -------
    list of Result
        In the order of ``specs``. A run ends before ``steps`` where its early stopping rule
        holds or a loss, gradient norm or weight norm is not finite: then its rows end before
        that step and ``info.stopped`` is ``diverged``.

    Raises
    ------
    ValueError
        If the runs cannot share a batch.
    """
    shared = ("steps", "test_every", "rank_every", "rank_tolerance", "betas", "early_stop")
    for name in (*shared, "encoding", "depth"):
        if any(getattr(spec, name) != getattr(specs[0], name) for spec in specs):
            raise ValueError(f"runs of one batch must share {name}")
    torch.set_num_threads(1)
    # Probabilities and second moments of a memorised network go subnormal, which is 8 times
    # slower (measured; docs/design.md).
    torch.set_flush_denormal(True)
    with torch.inference_mode():
        return _train(specs, device, tile_rows, progress)


def _train(
    specs: Sequence[RunSpec],
    device: str,
    tile_rows: int | None,
    progress: Callable[[int], object] | None,
) -> list[Result]:
    started = time.perf_counter()
    first = specs[0]
    datasets = [make_dataset(spec) for spec in specs]
    log = _Log(first, len(specs))
    results: dict[int, Result] = {}
    alive = list(range(len(specs)))

    def batch_of(runs: list[int]) -> Batch:
        return Batch(
            [specs[run] for run in runs],
            [datasets[run] for run in runs],
            device=device,
            tile_rows=tile_rows,
        )

    batch = batch_of(alive)
    optimiser = AdamW(
        batch.parameters,
        [spec.learning_rate for spec in specs],
        [float(spec.weight_decay) for spec in specs],
        first.betas,
    )
    segments = batch.shape.segments()
    buffer = batch.parameters.new_full((FLUSH_STEPS, len(alive), len(log.names)), torch.nan)
    flushed = 0
    for t in range(first.steps + 1):
        row = buffer[t - flushed]
        tested = row[:, log.tested] if t % first.test_every == 0 or t == first.steps else None
        loss, metric = batch.step(None if tested is None else tested[:, -1])
        always = [loss, metric]
        for flat in (batch.gradients, batch.parameters):
            for start, stop in segments.values():
                always.append(torch.linalg.vector_norm(flat[:, start:stop], dim=1))
        torch.stack(always, dim=1, out=row[:, : log.always])
        if tested is not None:
            torch.stack(batch.evaluate(), dim=1, out=tested[:, :2])
        if first.rank_every is not None and t % first.rank_every == 0:
            ranks = [weight_ranks(weight, first.rank_tolerance) for weight in batch.weights]
            row[:, log.tested.stop :] = torch.cat(ranks).T
        if t < first.steps:
            optimiser.step(batch.gradients)
        if t + 1 - flushed < FLUSH_STEPS and t < first.steps:
            continue

        rows = t + 1 - flushed
        log.values[alive, flushed : t + 1] = buffer[:rows].transpose(0, 1).cpu().numpy()
        buffer.fill_(torch.nan)
        flushed = t + 1
        if progress is not None:
            progress(rows)
        ended = {}
        for run in alive:
            end = _end(specs[run], log, run, t)
            if end is not None:
                ended[run] = end
        for run, (stopped, n_rows) in ended.items():
            results[run] = _result(
                specs[run],
                datasets[run],
                log,
                run,
                n_rows,
                stopped,
                n_parameters=batch.parameters.shape[1],
                device=device,
                seconds=time.perf_counter() - started,
            )
        if not ended:
            continue
        keep = [place for place, run in enumerate(alive) if run not in ended]
        alive = [alive[place] for place in keep]
        if not alive:
            break
        smaller = batch_of(alive)
        smaller.parameters.copy_(batch.parameters[keep])
        optimiser = optimiser.select(smaller.parameters, keep)
        batch = smaller
        buffer = buffer[:, keep].clone()
    return [results[run] for run in range(len(specs))]


def _end(spec: RunSpec, log: _Log, run: int, t: int) -> tuple[str, int] | None:
    """Whether the run has ended by step t: why, and how many of its rows count."""
    values = log.values[run, : t + 1]
    # A metric may be undefined (R² of one sample); losses and norms may not.
    watched = [place for place in range(log.always) if log.names[place] != "train_metric"]
    finite = np.isfinite(values[:, watched]).all(axis=1)
    test_loss = log.column("test_loss", run, t + 1)
    finite &= ~np.isinf(test_loss)
    evaluated = np.arange(t + 1) % spec.test_every == 0
    finite &= ~(evaluated & np.isnan(test_loss))
    bad = np.flatnonzero(~finite)
    limit = int(bad[0]) if len(bad) else t + 1
    if spec.early_stop is not None:
        test = log.column("test_metric", run, limit)
        metrics = {
            # The rule looks at evaluations: the train metric at other steps does not count.
            "train": np.where(np.isnan(test), np.nan, log.column("train_metric", run, limit)),
            "test": test,
        }
        settled = settled_step(
            [metrics[name] for name in spec.early_stop["metrics"]],
            spec.early_stop["threshold"],
            spec.early_stop["hold_steps"],
        )
        if settled is not None and settled < spec.steps:
            return "early_stop", settled + 1
    if len(bad):
        return "diverged", limit
    return ("completed", t + 1) if t == spec.steps else None


def _result(
    spec: RunSpec,
    data: Dataset,
    log: _Log,
    run: int,
    n_rows: int,
    stopped: str,
    *,
    n_parameters: int,
    device: str,
    seconds: float,
) -> Result:
    columns: dict[str, NDArray[np.generic]] = {"step": np.arange(n_rows, dtype=np.int32)}
    for name in log.names:
        columns[name] = log.column(name, run, n_rows).copy()
    layers = [columns[f"grad_norm_{layer}"] for layer in gradient_layers(spec)]
    squares = np.square(np.stack(layers).astype(np.float64))
    columns["grad_norm"] = np.sqrt(squares.sum(axis=0)).astype(np.float32)
    info = TraceInfo(
        stopped=stopped,
        diverged_step=n_rows if stopped == "diverged" else None,
        n_train=len(data.train),
        n_test=len(data.test),
        n_parameters=n_parameters,
        device=device,
        threads=torch.get_num_threads(),
        seconds=seconds,
        versions=versions(),
    )
    return Result(spec, info, columns)
