"""Train one run and keep its trace."""

import sys
from typing import Any

from tqdm import tqdm

from grokscope.runs import RunSpec
from grokscope.trace import write_trace
from grokscope.training import train


def main(snakemake: Any) -> None:
    spec = RunSpec.from_json(snakemake.params.spec)
    with open(snakemake.log[0], "w", encoding="utf-8") as log:
        print(spec.key, file=log)
        # The bar shows done, speed in steps per second and time left; one line an interval.
        with tqdm(
            total=spec.steps + 1, unit="step", file=log, mininterval=5, dynamic_ncols=False
        ) as bar:
            result = train([spec], progress=bar.update)[0]
        rows = len(result.columns["step"])
        speed = rows / result.info.seconds
        print(
            f"{result.info.stopped} after {max(rows - 1, 0)} updates in "
            f"{result.info.seconds:.1f} s, {speed:.0f} steps per second",
            file=log,
        )
    write_trace(snakemake.output.trace, spec, result.info, result.columns)
    if result.info.stopped == "diverged":
        print(f"{spec.key}: diverged at step {result.info.diverged_step}", file=sys.stderr)


if __name__ == "__main__":
    main(snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
