"""Run benchmarks one after the other and write the results page."""

from __future__ import annotations

import argparse
import time

from benchmarks import (
    analysis_time,
    engines,
    memory,
    monitor,
    processors,
    step_time,
    transformer,
    whole_target,
    workflow_cost,
)
from benchmarks.common import arguments, options_of, save, show

BENCHMARKS = {
    "step_time": step_time,
    "whole_target": whole_target,
    "workflow_cost": workflow_cost,
    "memory": memory,
    "analysis_time": analysis_time,
    "processors": processors,
    "monitor": monitor,
    "transformer": transformer,
    "engines": engines,
}
# Only the step time is measured on the accelerator.
CUDA = ("step_time",)


def main() -> None:
    """Command line: which benchmarks, how thorough."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = ", ".join(BENCHMARKS)
    parser.add_argument(
        "benchmarks",
        nargs="*",
        choices=[[], *BENCHMARKS],
        metavar="NAME",
        help=f"of {known}; all by default",
    )
    arguments(parser)
    given = parser.parse_args()
    names = given.benchmarks or (CUDA if given.device == "cuda" else list(BENCHMARKS))
    for name in names:
        start = time.perf_counter()
        module = BENCHMARKS[name]
        options = options_of(given, module.REPEATS)
        report = module.benchmark(options)
        show(report)
        # Some cases are not the benchmark: a selection never replaces the whole.
        if not given.dry and not options.only:
            save(report, options)
        print(f"\n{name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
