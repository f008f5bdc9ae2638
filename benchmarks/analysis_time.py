"""Analysis time: each detector and each table, seconds a run of 50,000 steps."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.common import Options, Report, Table, Wanted, interleave, main, spread
from benchmarks.traces import analysis_settings, late_run
from grokscope.data.trace import Trace, read_trace
from grokscope.measure.alarms import find_alarms
from grokscope.measure.detectors import DETECTORS, block_maxima
from grokscope.measure.phases import phases_table
from grokscope.measure.rank import rank_table
from grokscope.measure.summary import runs_table
from grokscope.measure.transitions import transitions_table
from grokscope.measure.variants import choices, variants_table
from synthetic import make_spec, write

REPEATS = 7
STEPS = 50_000
DEPTHS = (2, 4, 8)
WANTED_MS = 50.0


def works(
    trace: Trace, path: Path, settings: Mapping[str, Any]
) -> dict[str, Callable[[], object]]:
    """What is timed, by name: all detectors, then what the panel jobs do with a run."""

    def score(name: str) -> Callable[[], object]:
        resolution = settings["detectors"]["resolution"]
        signal = DETECTORS[name].signal
        return lambda: [block_maxima(v, resolution) for v in signal(trace, settings).values()]

    onset = settings["onset"]
    n_choices = len(list(choices(settings["multiverse"], settings["alarms"])))
    return {f"detector {name}": score(name) for name in DETECTORS} | {
        "table alarms": lambda: find_alarms(trace, settings),
        "table transitions": lambda: transitions_table([trace], settings["transitions"], onset),
        "table rank": lambda: rank_table([trace], settings["rank"], onset),
        "table phases": lambda: phases_table([trace], settings["phases"]),
        "table runs": lambda: runs_table([trace]),
        f"table variants ({n_choices} choices)": lambda: variants_table([trace], settings),
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
    """Time all works at all depths."""
    settings = analysis_settings()
    depths = DEPTHS[-1:] if options.quick else DEPTHS
    found: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for depth in depths:
            trace = late_run(make_spec(depth=depth, steps=STEPS))
            path = write(trace, Path(folder))
            measures = {
                name: timer(work)
                for name, work in works(trace, path, settings).items()
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
        what = f"analysis, slowest {slowest}, depth {depths[-1]}, ms a run of {STEPS:,} steps"
        wanted.append(Wanted(what, f"below {WANTED_MS:g}", f"{ms:.3g}", ms < WANTED_MS))
    return Report(
        "analysis_time",
        "Analysis time",
        [
            f"Synthetic traces of {STEPS:,} steps of modular addition, settings of the default "
            "configuration. A detector: all its signals (`gai` has one a layer and one combined) "
            "and their largest value in blocks of 10 steps. Reading happens once a panel job and "
            "run, and is not part of the others.",
        ],
        [
            Table(
                ["work", *(f"depth {depth}" for depth in depths)],
                rows,
                {str(depth): values for depth, values in found.items()},
                "Milliseconds a run:",
            )
        ],
        wanted,
    )


if __name__ == "__main__":
    main(benchmark, REPEATS, __doc__)
