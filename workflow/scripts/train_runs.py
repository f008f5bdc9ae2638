"""Specifications to traces: train the runs of a job, or take their traces from the store."""

import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from grokscope.data.trace_writer import write_trace
from grokscope.runs.spec import RunKey, RunSpec, read_specs
from grokscope.train.checkpoint import Checkpoint
from grokscope.train.devices import choose_device
from grokscope.train.store import TraceStore, UnreadableError, training_key
from grokscope.workflow.script import run

CHECKPOINTS = Path("results/checkpoints")


def fetch(store: TraceStore, spec: RunSpec, device: str, path: str, log: TextIO) -> bool:
    """Copy the trace of a run from the store; whether the store had it."""
    entry, errors = store.fetch(spec, device, path)
    for error in errors:
        kind = "unreadable" if isinstance(error, UnreadableError) else "bad"
        print(f"warning: {kind} entry of the trace store, not used: {error}", file=log)
    if entry is not None:
        print(f"{spec.key}: taken from the trace store: {entry.path}", file=log)
    return entry is not None


def train(
    specs: list[RunSpec],
    paths: dict[RunKey, str],
    device: str,
    store: TraceStore | None,
    checkpoint_seconds: float,
    log: TextIO,
) -> None:
    """Train runs as one batch, with progress and speed in the log; write each trace at its end."""
    # Imported here, so that traces from the store do not wait for numba. That would load scipy for
    # a BLAS that no kernel calls: a quarter of a second and 40 MB.
    sys.modules["scipy"] = None  # type: ignore[assignment]
    from tqdm import tqdm

    from grokscope.train.loop import iter_train

    checkpoints = []
    for spec in specs:
        folder = CHECKPOINTS / Path(spec.key.path).relative_to("results/traces")
        checkpoints.append(Checkpoint(folder.with_suffix(".npz"), training_key(spec, device)))
    # The bar shows progress, steps per second and time left; one line per interval.
    with tqdm(
        total=specs[0].steps + 1, unit="step", file=log, mininterval=5, dynamic_ncols=False
    ) as bar:
        for place, result in iter_train(
            specs,
            device=device,
            progress=bar.update,
            checkpoints=checkpoints,
            checkpoint_seconds=checkpoint_seconds,
        ):
            spec, info = specs[place], result.info
            rows = len(result.columns["step"])
            seconds = info.seconds or 0.0
            resumed = f", resumed at {', '.join(map(str, info.resumed_at))}"
            print(
                f"{spec.key}: {info.stopped} after {max(rows - 1, 0)} updates in "
                f"{seconds:.1f} s, {rows / max(seconds, 1e-9):.0f} steps per second"
                + (resumed if info.resumed_at else ""),
                file=log,
            )
            if info.stopped == "diverged":
                print(f"{spec.key}: diverged at step {info.diverged_step}", file=sys.stderr)
            write_trace(paths[spec.key], spec, info, result.columns)
            if store is not None:
                try:
                    store.keep(spec, device, paths[spec.key])
                except OSError as error:
                    print(f"warning: not kept in the trace store: {error}", file=log)
            with suppress(OSError):  # What stays is of a finished training.
                checkpoints[place].delete()


def main(snakemake: Any) -> None:
    specs = read_specs(snakemake.params.specs)
    paths = dict(zip([spec.key for spec in specs], snakemake.output, strict=True))
    # Not parameters of the rule: another store or device is no reason to train again.
    root, checkpoint_seconds = (snakemake.config[k] for k in ("store", "checkpoint_seconds"))
    store = None if root is None else TraceStore(root)
    with open(snakemake.log[0], "w", encoding="utf-8") as log:
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=log)
        device = choose_device(snakemake.config["device"], snakemake.config["tf32"])
        missing = [
            spec
            for spec in specs
            if store is None or not fetch(store, spec, device, paths[spec.key], log)
        ]
        # On a CPU one after the other: as one batch they would share the cache.
        batches = [missing] if device != "cpu" else [[spec] for spec in missing]
        for batch in batches:
            if batch:
                train(batch, paths, device, store, checkpoint_seconds, log)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
