"""What all benchmarks share: the machine, interleaved timing, tables, the results page."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grokscope.train.processors import processor_kind

HERE = Path(__file__).resolve().parent
RAW = HERE / "raw"
RESULTS = HERE / "RESULTS.md"
# Settings that hold compiler and libraries to the instructions of another kind of processor.
HELD_TO = {
    "avx2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma",
        "OPENBLAS_CORETYPE": "Haswell",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
    },
    # Registers half as wide, in pairs; it has fused multiplications, as every processor since, and
    # instructions that no later one has.
    "avx": {
        "NUMBA_CPU_NAME": "bdver2",
        "NUMBA_CPU_FEATURES": "+avx,+fma,-fma4,-xop,-tbm,-lwp",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
PACKAGES = ("torch", "numpy", "scipy", "pandas", "pyarrow", "snakemake")


@dataclass(frozen=True)
class Options:
    """How thorough a benchmark is.

    Attributes
    ----------
    repeats
        Times that each number is measured.
    quick
        Fewer and smaller cases, for a look while changing the code.
    device
        ``cpu`` or ``cuda``; only the step time can use another than the CPU.
    only
        Words, one of which a case's name must contain; all cases if empty.
    loop_runs
        Runs of the whole target that the published loop trains; the time of all runs is
        calculated from them. None: a few, spread over the grid.
    """

    repeats: int
    quick: bool
    device: str
    only: tuple[str, ...] = ()
    loop_runs: int | None = None

    def wants(self, case: str) -> bool:
        return not self.only or any(word in case for word in self.only)


@dataclass(frozen=True)
class Wanted:
    """A target of the project and what was measured; `met` is None for what was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, with the numbers behind them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    raw: Any
    caption: str = ""


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes
    ----------
    method
        How it was measured, one paragraph per line.
    """

    name: str
    title: str
    method: Sequence[str]
    tables: Sequence[Table]
    wanted: Sequence[Wanted] = field(default_factory=tuple)


def cpu_model() -> str:
    """Name of the processor, as the system gives it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def held_to() -> str | None:
    """The kind that the environment holds compiler and libraries to, if any."""
    environment = os.environ.items()
    kinds = (kind for kind, held in HELD_TO.items() if held.items() <= environment)
    return next(kinds, None)


def hold_to(kind: str | None) -> None:
    """Start this program again, held to a kind: libraries read their settings when loaded."""
    if kind is not None and held_to() != kind:
        command = [sys.executable, *sys.orig_argv[1:]]
        raise SystemExit(subprocess.run(command, env=os.environ | HELD_TO[kind]).returncode)


def kind_of_cpu() -> str:
    """Vendor and vector instructions of the processor, or those that it is held to."""
    _, vendor, *vectors = processor_kind("cpu").partition(" (")[0].split()
    vendor = re.sub("Genuine|Authentic", "", vendor)
    return " ".join([vendor, f"held to {held_to()}"] if held_to() else [vendor, *vectors])


def machine(device: str) -> dict[str, str]:
    """What the numbers depend on; no names of hosts, no paths."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {"CPU": cpu_model(), "cores": str(cores), "Python": platform.python_version()}
    facts["kind"] = kind_of_cpu()
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    if device == "cuda":
        import torch

        facts["GPU"] = torch.cuda.get_device_name()
        facts["CUDA"] = str(torch.version.cuda)
    return facts


def interleave(
    measures: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, list[float]]:
    """Measure all in turn, `repeats` times over, so that a busy moment affects all alike."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            values[name].append(measure())
    return values


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median and, in brackets, smallest and largest, to significant digits."""
    middle = number(statistics.median(values), digits)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values), digits)} to {number(max(values), digits)})"


def number(value: float, digits: int = 3) -> str:
    """A number to significant digits, without exponent."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text else text


def markdown(table: Table) -> str:
    """A table of the results page."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table.caption}\n\n{text}" if table.caption else text


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->`` in a page of docs."""
    page = path.read_text("utf-8")
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(start) != 1 or page.count(end) != 1:
        raise ValueError(f"{path.name} needs one {start} and one {end}")
    before, after = page.split(start)[0], page.split(end)[1]
    path.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def save(report: Report, options: Options) -> Path:
    """Write the raw numbers, then the whole results page; the path of the numbers."""
    RAW.mkdir(exist_ok=True)
    path = RAW / f"{report.name}.json"
    content = {"machine": machine(options.device), "options": asdict(options), **asdict(report)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    RESULTS.write_text(page(), encoding="utf-8")
    return path


def page() -> str:
    """The results page, of all numbers that are there."""
    reports = [json.loads(path.read_text("utf-8")) for path in sorted(RAW.glob("*.json"))]
    parts = [
        "# Benchmarks",
        "Made by `make bench` (and `make bench-gpu`); do not edit. Medians, in brackets the "
        "smallest and the largest of the repeats; what is compared was measured in turn in one "
        "session. Raw numbers: `benchmarks/raw/`.",
    ]
    wanted = [row for report in reports for row in report["wanted"]]
    if wanted:
        verdict = {True: "yes", False: "no", None: "not measured"}
        rows = [
            [row["what"], row["wanted"], row["measured"], verdict[row["met"]]] for row in wanted
        ]
        parts += ["## Wanted and measured"]
        parts += [markdown(Table(["what", "wanted", "measured", "met"], rows, None))]
    for report in reports:
        facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
        quick = " Quick: fewer and shorter." if report["options"]["quick"] else ""
        parts += [f"## {report['title']}", *report["method"]]
        parts += [f"{facts}. Repeats: {report['options']['repeats']}.{quick}"]
        parts += [markdown(Table(**table)) for table in report["tables"]]
    return "\n\n".join(parts) + "\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options that all benchmarks know."""
    parser.add_argument("--repeats", type=int, help="times that each number is measured")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument(
        "--held-to", choices=[*HELD_TO], help="instructions of another kind of processor"
    )
    parser.add_argument("--only", nargs="+", default=[], help="words in the names of cases")
    parser.add_argument(
        "--loop-runs",
        type=int,
        help="whole_target: runs that the published loop trains (of 60); the rest is calculated",
    )
    parser.add_argument("--dry", action="store_true", help="print, write nothing")


def options_of(given: argparse.Namespace, repeats: int) -> Options:
    """Options from the command line; `repeats` where none are given, 3 at most if quick.

    Held to a kind of processor, the program starts again here.
    """
    hold_to(given.held_to)
    default = min(repeats, 3) if given.quick else repeats
    count = given.repeats or default
    return Options(count, given.quick, given.device, tuple(given.only), given.loop_runs)


def show(report: Report) -> None:
    """Print a report."""
    print(f"\n## {report.title}\n")
    for table in report.tables:
        print(markdown(table) + "\n", flush=True)
    for row in report.wanted:
        print(f"- {row.what}: wanted {row.wanted}, measured {row.measured}", flush=True)


def main(benchmark: Callable[[Options], Report], repeats: int, description: str | None) -> None:
    """Command line of one benchmark."""
    parser = argparse.ArgumentParser(description=description)
    arguments(parser)
    given = parser.parse_args()
    options = options_of(given, repeats)
    report = benchmark(options)
    show(report)
    # Some cases are not the benchmark: a selection never replaces the whole.
    if not given.dry and not options.only:
        save(report, options)
