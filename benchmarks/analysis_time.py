"""Analysis time: each detector and each pass over a trace, ms per run of 50,000 steps."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.common import Options, Report, Table, Wanted, interleave, main, spread
from benchmarks.traces import late_run
from grokscope.data.trace import Trace
from grokscope.data.trace_reader import read_trace
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.measure.detectors.scores import block_maxima
from grokscope.measure.panel import measure_panel
from grokscope.measure.variants import choices, variants_table
from grokscope.runs.config import default_analysis
from grokscope.runs.settings import Analysis
from synthetic import make_spec, write

REPEATS = 7
STEPS = 50_000
DEPTHS = (2, 4, 8)
WANTED_MS = 50.0


def works(trace: Trace, path: Path, analysis: Analysis) -> dict[str, Callable[[], object]]:
    """What is timed, by name: every detector, then what the panel jobs do with a run."""

    def score(name: str) -> Callable[[], object]:
        resolution = analysis.detectors.resolution
        signal = DETECTORS[name].signal
        return lambda: [block_maxima(v, resolution) for v in signal(trace, analysis).values()]

    n_choices = len(choices(analysis.multiverse, analysis.alarms))
    return {f"detector {name}": score(name) for name in DETECTORS} | {
        "measure_panel (all tables)": lambda: measure_panel([trace], analysis),
        f"vary_analysis ({n_choices} choices)": lambda: variants_table([trace], analysis),
        "reading the trace": lambda: read_trace(path, trace.spec),
    }


def timer(work: Callable[[], object]) -> Callable[[], float]:
    """Milliseconds that a call takes."""

    def measure() -> float:
        start = perf_counter()
        work()
        return 1e3 * (perf_counter() - start)

    return measure


def benchmark(options: Options) -> Report:
    """Time everything at every depth."""
    analysis = default_analysis()
    depths = DEPTHS[-1:] if options.quick else DEPTHS
    found: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for depth in depths:
            trace = late_run(make_spec(depth=depth, steps=STEPS))
            path = write(trace, Path(folder))
            measures = {
                name: timer(work)
                for name, work in works(trace, path, analysis).items()
                if options.wants(name)
            }
            found[depth] = interleave(measures, options.repeats)
    names = list(found[depths[0]])
    rows = [[name, *(spread(found[depth][name]) for depth in depths)] for name in names]
    wanted = []
    deepest = {name: statistics.median(found[depths[-1]][name]) for name in names}
    detectors = {name: ms for name, ms in deepest.items() if name.startswith("detector")}
    if detectors:
        slowest = max(detectors, key=detectors.__getitem__)
        ms = detectors[slowest]
        what = f"analysis, slowest {slowest}, depth {depths[-1]}, ms per run of {STEPS:,} steps"
        wanted.append(Wanted(what, f"below {WANTED_MS:g}", f"{ms:.3g}", ms < WANTED_MS))
    return Report(
        "analysis_time",
        "Analysis time",
        [
            f"Synthetic traces of {STEPS:,} steps of modular addition, default settings. A "
            "detector: all its signals (`gai` has one per layer and one combined) and their "
            "largest value in blocks of 10 steps. `measure_panel` makes all tables of a run and "
            "the scores of all detectors in one pass, `vary_analysis` its alarms under every "
            "analysis choice. Both jobs read each trace once; reading is timed separately.",
        ],
        [
            Table(
                ["work", *(f"depth {depth}" for depth in depths)],
                rows,
                {str(depth): values for depth, values in found.items()},
                "Milliseconds per run:",
            )
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
