"""Train one run and keep its trace, or take the trace from the store."""

import sys
from typing import Any, TextIO

from grokscope.runs import RunSpec
from grokscope.store import TraceStore
from grokscope.trace import write_trace

DEVICE = "cpu"


def train_logged(spec: RunSpec, path: str, log: TextIO) -> None:
    """Train, with progress and speed in the log, and write the trace."""
    # Imported here: a trace from the store need not wait for torch.
    from tqdm import tqdm

    from grokscope.training import train

    # The bar shows done, speed in steps per second and time left; one line an interval.
    with tqdm(
        total=spec.steps + 1, unit="step", file=log, mininterval=5, dynamic_ncols=False
    ) as bar:
        result = train([spec], device=DEVICE, progress=bar.update)[0]
    rows = len(result.columns["step"])
    speed = rows / result.info.seconds
    print(
        f"{result.info.stopped} after {max(rows - 1, 0)} updates in "
        f"{result.info.seconds:.1f} s, {speed:.0f} steps per second",
        file=log,
    )
    write_trace(path, spec, result.info, result.columns)
    if result.info.stopped == "diverged":
        print(f"{spec.key}: diverged at step {result.info.diverged_step}", file=sys.stderr)


def main(snakemake: Any) -> None:
    spec = RunSpec.from_json(snakemake.params.spec)
    path = snakemake.output.trace
    # Not a parameter: another store is no reason to train again.
    root = snakemake.config["store"]
    with open(snakemake.log[0], "w", encoding="utf-8") as log:
        print(spec.key, file=log)
        if root is None:
            train_logged(spec, path, log)
            return
        store = TraceStore(root)
        entry, errors = store.fetch(spec, DEVICE, path)
        for error in errors:
            print(f"warning: bad entry of the trace store, not used: {error}", file=log)
        if entry is not None:
            print(f"taken from the trace store: {entry.path}", file=log)
            return
        train_logged(spec, path, log)
        try:
            store.keep(spec, DEVICE, path)
        except OSError as error:
            print(f"warning: not kept in the trace store: {error}", file=log)


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
