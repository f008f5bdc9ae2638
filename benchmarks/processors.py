"""Processors: what two kinds of processors make of the default configuration, emulated on one.

Settings of the environment let BLAS and the compiler of the kernels take the code for other
processors. The default's studies ``lead_lag`` and ``phase_diagram`` are made under each kind:
which traces differ, which numbers and verdicts move?
"""

from __future__ import annotations

import hashlib
import os
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from benchmarks import ROOT
from benchmarks.checkout import checkout
from benchmarks.common import HELD_TO, Options, Report, Table, main, number

REPEATS = 1
CORES = 2
STUDIES = {
    "lead_lag": ("transitions", "claims"),
    "phase_diagram": ("transitions", "phases", "claims"),
}
KINDS = {"Intel with AVX2": HELD_TO["avx2"], "AMD with AVX": HELD_TO["avx"]}
# Steps that are compared, by study.
NUMBERS = {
    "lead_lag": ("train_onset_step", "test_onset_step", "lag"),
    "phase_diagram": ("train_onset_step", "test_onset_step"),
}


def configuration(quick: bool) -> dict[str, Any]:
    """The default configuration's two studies; of each a corner of few steps, if quick."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
    config["studies"] = {study: config["studies"][study] for study in STUDIES}
    if quick:
        for study in config["studies"].values():
            study["grids"] = study["grids"][:1]
            grid = study["grids"][0]
            for name in ("tasks", "train_fractions", "weight_decays", "widths"):
                grid[name] = grid[name][:1]
            grid |= {"seeds": grid["seeds"][:2], "steps": min(grid["steps"], 600)}
    return config


@contextmanager
def emulated(settings: Mapping[str, str]) -> Iterator[None]:
    """The environment of a kind."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def trace_digest(path: Path) -> str:
    """Hash of a trace's columns, without its metadata, which name the processor."""
    frame = pq.read_table(path).to_pandas()
    return hashlib.sha256(b"".join(frame[name].to_numpy().tobytes() for name in frame)).hexdigest()


def by_kind(config: Mapping[str, Any], settings: Mapping[str, str]) -> dict[Any, Any]:
    """Tables of the studies as a kind of processor makes them; under "traces" a hash of each."""
    wanted = {
        (study, table): f"results/studies/{study}/{table}.parquet"
        for study, tables in STUDIES.items()
        for table in (*tables, "runs")
    }
    with checkout() as work, emulated(settings):
        work.configure(config, store=True)
        work.snakemake(*wanted.values(), "--cores", str(CORES))
        traces = work.folder / "results/traces"
        found: dict[Any, Any] = {
            name: pd.read_parquet(work.folder / path) for name, path in wanted.items()
        }
        return found | {
            "traces": {
                str(path.relative_to(traces)): trace_digest(path)
                for path in sorted(traces.rglob("*.parquet"))
            }
        }


def moved(one: pd.DataFrame, other: pd.DataFrame, column: str) -> list[str]:
    """A row on a step of two tables of the same runs: reached, differing, by how much."""
    a, b = one[column], other[column]
    both = a.notna() & b.notna()
    apart = [int(step) for step in (b - a)[both].abs()]
    return [
        f"{both.sum()} of {len(a)}",
        str(int((a.notna() != b.notna()).sum())),
        str(sum(step > 0 for step in apart)),
        number(statistics.median(apart)) if apart else "",
        str(max(apart, default="")),
    ]


def benchmark(options: Options) -> Report:
    """Both studies under each kind, and what differs."""
    config = configuration(options.quick)
    found = {kind: by_kind(config, settings) for kind, settings in KINDS.items()}
    one, other = found.values()
    numbers, verdicts = [], []
    for study in STUDIES:
        key = (study, "transitions")
        for column in NUMBERS[study]:
            numbers.append([study, f"`{column}`", *moved(one[key], other[key], column)])
        claims = [table[study, "claims"].set_index("claim") for table in (one, other)]
        for claim in claims[0].index:
            rows = [table.loc[claim] for table in claims]
            words = [
                row["verdict"]
                if pd.isna(row["measured"])
                else f"{row['verdict']} ({number(row['measured'])})"
                for row in rows
            ]
            same = rows[0]["verdict"] == rows[1]["verdict"]
            verdicts.append([claim, *words, "" if same else "**moved**"])
    same_bytes = sum(digest == other["traces"][run] for run, digest in one["traces"].items())
    phases = [table["phase_diagram", "phases"]["phase"] for table in (one, other)]
    changed = f"{int((phases[0] != phases[1]).sum())} of {len(phases[0])}"
    used = {
        kind: sorted(set(tables["lead_lag", "runs"]["processor"]))
        for kind, tables in found.items()
    }
    return Report(
        "processors",
        "Two kinds of processors",
        [
            "Studies `lead_lag` and `phase_diagram` of the default configuration, same code, same "
            "libraries, same machine, with the instructions of two kinds of processors, emulated: "
            + "; ".join(f"{kind}: `{', '.join(names)}`" for kind, names in used.items())
            + f". Of {len(one['traces'])} traces {same_bytes} have the same bytes. Where "
            "trainings part in the last bits, what follows is the scatter that a single seed has "
            "between machines.",
        ],
        [
            Table(
                [
                    "study",
                    "step",
                    "reached by both",
                    "by one alone",
                    "differ",
                    "median steps",
                    "most",
                ],
                numbers,
                used,
            ),
            Table(["phase_diagram", "runs"], [["another phase", changed]], None),
            Table(["claim", *KINDS, ""], verdicts, None),
        ],
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
