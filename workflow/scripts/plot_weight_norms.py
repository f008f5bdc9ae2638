"""Traces to the weight norms of the lead_lag runs."""

from typing import Any

from grokscope.plotting import style
from grokscope.plotting.lead_lag import weight_norms
from grokscope.script import run
from grokscope.trace import read_trace


def main(snakemake: Any) -> None:
    """Read the traces, draw."""
    figure = weight_norms([read_trace(path) for path in snakemake.input.traces])
    style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Snakemake puts it there.
