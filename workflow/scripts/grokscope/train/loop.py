"""Training: runs of one shape, with a trace row for every state.

Row t describes θ_t, the state after t updates; a run of T updates has rows 0 .. T. An engine
(:mod:`grokscope.train.engines`) makes the updates; this module decides when a run ends and what is
kept.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

import grokscope
from grokscope.data.trace import TraceInfo
from grokscope.runs.spec import RunSpec
from grokscope.train.checkpoint import Checkpoint, Snapshot
from grokscope.train.dataset import Dataset, make_dataset
from grokscope.train.engines import engine_of, make_engine, own_parts
from grokscope.train.engines.base import MAX_ROWS, Columns, select_runs
from grokscope.train.processors import libraries, processor_kind

# What the runs of a batch must share; the shape is checked separately.
SHARED = (
    "steps",
    "test_every",
    "rank_every",
    "rank_tolerance",
    "betas",
    "early_stop",
    "encoding",
    "depth",
    "model",
    "module",
)


@dataclass(frozen=True)
class Result:
    """A finished training: the columns of its trace and how it was made."""

    spec: RunSpec
    info: TraceInfo
    columns: dict[str, NDArray[np.generic]]


def versions(spec: RunSpec, device: str) -> dict[str, str]:
    """Versions that a training on a kind of device depends on."""
    return {
        "grokscope": grokscope.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries(engine_of(spec, device))},
    }


def settled_step(
    metrics: Sequence[NDArray[np.floating]], threshold: float, hold_steps: int
) -> int | None:
    """First evaluated step at which all metrics have held the threshold for ``hold_steps``.

    Parameters
    ----------
    metrics
        Arrays of shape ``(n_rows,)``, one value per step; NaN where not evaluated.
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
    # Where the current streak of held evaluations began.
    begun = np.maximum.accumulate(np.where(held, -1, place)) + 1
    settled = held & (steps - steps[np.minimum(begun, place)] >= hold_steps)
    return int(steps[settled.argmax()]) if settled.any() else None


class _Run:
    """A run in progress: its rows so far, and whether they end it."""

    def __init__(self, spec: RunSpec, data: Dataset, snapshot: Snapshot | None) -> None:
        self.spec, self.data = spec, data
        self.parts = own_parts(spec, data)
        self.columns = Columns(spec, self.parts)
        # One row per column, so that a column needs no copy. Zeros, not NaN: pages that are never
        # written take no memory.
        self._log = np.zeros((len(self.columns.names), spec.steps + 1), np.float32)
        self.n_rows = 0
        self.resumed_at: tuple[int, ...] = ()
        self.seconds_before = 0.0
        if snapshot is not None:
            self.append(snapshot.log)
            self.resumed_at = (*snapshot.resumed_at, snapshot.updates)
            self.seconds_before = snapshot.seconds

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add rows, shape ``(n, n_columns)``."""
        self._log[:, self.n_rows : self.n_rows + len(rows)] = rows.T
        self.n_rows += len(rows)

    @property
    def log(self) -> NDArray[np.float32]:
        """The rows so far, shape ``(n_rows, n_columns)``."""
        return self._log[:, : self.n_rows].T

    def column(self, name: str, rows: int) -> NDArray[np.float32]:
        return self._log[self.columns.names.index(name), :rows]

    def end(self, new: int) -> tuple[str, int] | None:
        """Why the run has ended and how many of its rows count; None if it continues.

        Parameters
        ----------
        new : int
            Number of rows added last; the rows before did not end the run.
        """
        first = self.n_rows - new
        tested = self.columns.tested.start
        # A metric may be undefined (R² of one sample); losses and norms may not.
        watched = [0, *range(2, tested)]
        finite = np.isfinite(self.log[first:, watched]).all(axis=1)
        test_loss = self.log[first:, tested]
        finite &= ~np.isinf(test_loss)
        evaluated = np.arange(first, self.n_rows) % self.spec.test_every == 0
        finite &= ~(evaluated & np.isnan(test_loss))
        bad = np.flatnonzero(~finite)
        limit = first + int(bad[0]) if len(bad) else self.n_rows
        rule = self.spec.early_stop
        if rule is not None:
            # Earlier rows did not end the run, so a streak that ends it now began no earlier.
            begin = max(first - rule.hold_steps, 0) // self.spec.test_every
            begin *= self.spec.test_every
            test = self.column("test_metric", limit)[begin:]
            train = self.column("train_metric", limit)[begin:]
            metrics = {
                # The rule applies to evaluations: the train metric at other steps does not count.
                "train": np.where(np.isnan(test), np.nan, train),
                "test": test,
            }
            settled = settled_step(
                [metrics[name] for name in rule.metrics], rule.threshold, rule.hold_steps
            )
            if settled is not None and begin + settled < self.spec.steps:
                return "early_stop", begin + settled + 1
        if len(bad):
            return "diverged", limit
        return ("completed", self.n_rows) if self.n_rows > self.spec.steps else None

    def result(
        self, stopped: str, n_rows: int, *, n_parameters: int, device: str, seconds: float
    ) -> Result:
        columns: dict[str, NDArray[np.generic]] = {"step": np.arange(n_rows, dtype=np.int32)}
        for name in self.columns.names:
            columns[name] = self.column(name, n_rows)
        layers = [columns[f"grad_norm_{layer}"] for layer in self.columns.layers]
        squares = sum(np.square(layer, dtype=np.float64) for layer in layers)
        columns["grad_norm"] = np.sqrt(squares).astype(np.float32)
        info = TraceInfo(
            stopped=stopped,
            diverged_step=n_rows if stopped == "diverged" else None,
            n_train=len(self.data.train),
            n_test=len(self.data.test),
            n_parameters=n_parameters,
            device=device,
            processor=processor_kind(device),
            threads=1,
            seconds=self.seconds_before + seconds,
            versions=versions(self.spec, device),
            resumed_at=self.resumed_at,
            parts=self.parts,
        )
        return Result(self.spec, info, columns)


def train(specs: Sequence[RunSpec], **options: object) -> list[Result]:
    """All results of :func:`iter_train`, in the order of `specs`."""
    results = dict(iter_train(specs, **options))  # type: ignore[arg-type]
    return [results[run] for run in range(len(specs))]


def iter_train(
    specs: Sequence[RunSpec],
    *,
    device: str = "cpu",
    progress: Callable[[int], object] | None = None,
    checkpoints: Sequence[Checkpoint] | None = None,
    checkpoint_seconds: float = 60.0,
) -> Iterator[tuple[int, Result]]:
    """Train runs that share their shape, steps, cadences and betas, side by side.

    Parameters
    ----------
    specs
        The runs. They may differ in seed, weight decay, learning rate and, at equal sizes,
        in the task.
    device
        Kind of device, see :func:`grokscope.train.devices.choose_device`.
    progress
        Called with the number of steps since the last call.
    checkpoints
        One per run: trainings resume from an existing one and save every `checkpoint_seconds`.
        None: neither.

    Yields
    ------
    place, result
        Place in `specs` and result of each run, as the runs end. A run ends before ``steps`` when
        its early stopping rule holds, or when a loss, gradient norm or weight norm is not finite:
        then its rows end before that step and ``info.stopped`` is ``diverged``.

    Raises
    ------
    ValueError
        If the runs cannot share a batch.
    """
    for name in SHARED:
        if any(getattr(spec, name) != getattr(specs[0], name) for spec in specs):
            raise ValueError(f"runs of one batch must share {name}")
    if len({engine_of(spec, device) for spec in specs}) > 1:
        raise ValueError("runs of one batch must share their engine")
    snapshots = [checkpoint.load() for checkpoint in checkpoints or []]
    # Only runs at the same step can be trained side by side.
    groups: dict[int, list[int]] = {}
    for place in range(len(specs)):
        snapshot = snapshots[place] if snapshots else None
        groups.setdefault(snapshot.updates if snapshot else 0, []).append(place)
    for places in groups.values():
        yield from _train(
            {place: specs[place] for place in places},
            {place: snapshots[place] for place in places} if snapshots else {},
            {place: checkpoints[place] for place in places} if checkpoints else {},
            device,
            progress,
            checkpoint_seconds,
        )


def _train(
    specs: dict[int, RunSpec],
    snapshots: dict[int, Snapshot | None],
    checkpoints: dict[int, Checkpoint],
    device: str,
    progress: Callable[[int], object] | None,
    checkpoint_seconds: float,
) -> Iterator[tuple[int, Result]]:
    started = saved = time.perf_counter()
    runs = {
        place: _Run(spec, make_dataset(spec), snapshots.get(place))
        for place, spec in specs.items()
    }
    first = next(iter(specs.values()))
    engine = make_engine(
        device, [run.spec for run in runs.values()], [run.data for run in runs.values()]
    )
    states = [snapshot.state for snapshot in snapshots.values() if snapshot is not None]
    if states:
        stacked = {
            name: np.concatenate([state[name] for state in states])
            for name in states[0].keys() - {"updates"}
        }
        engine.restore(stacked | {"updates": states[0]["updates"]})
    begin = next(iter(runs.values())).n_rows
    while runs:
        n = min(MAX_ROWS, first.steps + 1 - begin)
        for row in range(n):
            t = begin + row
            engine.step(
                row,
                tested=t % first.test_every == 0 or t == first.steps,
                ranked=first.rank_every is not None and t % first.rank_every == 0,
                update=t < first.steps,
            )
        begin += n
        ended = []
        for (place, run), rows in zip(runs.items(), engine.rows(n), strict=True):
            run.append(rows)
            end = run.end(n)
            if end is not None:
                ended.append((place, end))
        if progress is not None:
            progress(n)
        now = time.perf_counter()
        for place, (stopped, n_rows) in ended:
            yield (
                place,
                runs[place].result(
                    stopped,
                    n_rows,
                    n_parameters=engine.n_parameters,
                    device=device,
                    seconds=now - started,
                ),
            )
        if ended:
            gone = {place for place, _ in ended}
            keep = [i for i, place in enumerate(runs) if place not in gone]
            runs = {place: run for place, run in runs.items() if place not in gone}
            if runs:
                engine = engine.keep(keep)
        if runs and checkpoints and now - saved >= checkpoint_seconds:
            saved = now
            state = engine.state()
            for i, (place, run) in enumerate(runs.items()):
                snapshot = Snapshot(
                    log=run.log,
                    state=select_runs(state, [i]),
                    resumed_at=run.resumed_at,
                    seconds=run.seconds_before + now - started,
                )
                try:
                    checkpoints[place].save(snapshot)
                except OSError as error:
                    # What only saves time must not end what took hours.
                    warnings.warn(f"{error}; training goes on", RuntimeWarning, stacklevel=2)
