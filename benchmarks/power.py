"""Size and power of the tests against null models, by simulation: how often is p below alpha?

A world has runs of 50,000 steps in cells of six, five of which have an event, and a detector that
knows a certain thing. ``tests/evaluate/test_power.py`` holds some worlds to what is promised;
this writes the table of all into docs/statistics.md:

    python -m benchmarks.power
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Table, markdown, write_section
from grokscope.evaluate import chance, nulls
from grokscope.evaluate.chance import Task
from grokscope.evaluate.matching import Alarms, AtRisk, Cohort

Array = NDArray[np.float64]
Random = np.random.Generator

STATISTICS = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
ALPHA = 0.05
SURROGATES = 199
# Studies of a world: fewer where each has many runs.
STUDIES = {3: 200, 5: 200, 10: 200, 20: 200, 50: 100, 160: 50}

# Runs of a cell with an event; one more has none.
OF_CELL = 5
STEPS, WARM_UP = 50_000, 520
WINDOW = (200, 400)
TASK: Task = ("every", WINDOW)
# Steps between alarms of a detector that does not know when, on average.
BETWEEN = 5000
# Development events of each cell, which null constant_time knows.
DEVELOPMENT = 3


class Place(NamedTuple):
    """Where in a run its onset lies (steps): mean and spread; and how long it goes on."""

    onset: float
    spread: float
    after: int = STEPS


PLACES = {
    "early": Place(1000, 100),
    "middle": Place(25_000, 5000),
    "late": Place(45_000, 2000),
    "stopped": Place(25_000, 5000, after=500),
}


def onsets(place: Place, n: int, rng: Random) -> Array:
    """Steps of `n` onsets; all can be warned of, and come within the run."""
    drawn = rng.normal(place.onset, place.spread, n).round()
    return np.clip(drawn, WARM_UP + WINDOW[1], STEPS - 1)


def cohort_of(place: Place, n_events: int, rng: Random) -> Cohort:
    """Cells of five runs with an event, the last of fewer, and one without."""
    cells = -(-n_events // OF_CELL)
    onset = np.concatenate([onsets(place, n_events, rng), np.full(cells, np.nan)])
    cell = np.concatenate([np.arange(n_events) // OF_CELL, np.arange(cells)])
    last = np.where(np.isnan(onset), STEPS, np.minimum(onset + place.after, STEPS))
    return Cohort.from_onsets(onset, last.astype(np.int64), cell=cell)


# ---------------------------------------------------------------------- detectors


def perfect(cohort: Cohort, place: Place, rng: Random) -> tuple[Array, Array]:
    """One alarm 300 steps before each event, and no other."""
    run = np.flatnonzero(cohort.event)
    return run, cohort.onset[run] - 300


def noise(cohort: Cohort, place: Place, rng: Random) -> tuple[Array, Array]:
    """Alarms at random steps of all runs."""
    number = rng.poisson(np.maximum(cohort.last - WARM_UP, 0) / BETWEEN)
    run = np.repeat(np.arange(len(cohort)), number)
    return run, rng.integers(WARM_UP, cohort.last[run] + 1)


def which(cohort: Cohort, place: Place, rng: Random) -> tuple[Array, Array]:
    """Alarms at random steps of the runs with an event: it knows which, not when."""
    run, step = noise(cohort, place, rng)
    return run[cohort.event[run]], step[cohort.event[run]]


def typical(cohort: Cohort, place: Place, rng: Random) -> tuple[Array, Array]:
    """One alarm per run, 300 steps before the typical onset: it knows no run from another."""
    run = np.flatnonzero(cohort.last >= place.onset - 300)
    return run, np.full(len(run), place.onset - 300)


def drawn(cohort: Cohort, place: Place, rng: Random) -> tuple[Array, Array]:
    """One alarm per run, 300 steps before an onset such as those of its cell."""
    step = onsets(place, len(cohort), rng) - 300
    run = np.flatnonzero(step <= cohort.last)
    return run, step[run]


DETECTORS: dict[str, Callable[..., tuple[Array, Array]]] = {
    of.__name__: of for of in (perfect, noise, which, typical, drawn)
}


# ---------------------------------------------------------------------- studies


def p_of(model: str, detector: str, place: Place, n_events: int, rng: Random) -> float:
    """p-value of the precision of a detector against a null model, in one study."""
    cohort = cohort_of(place, n_events, rng)
    run, step = (part.astype(np.int64) for part in DETECTORS[detector](cohort, place, rng))
    alarms = Alarms(run, step, np.zeros(len(run), np.int64), draws=1)
    everyone = np.ones((1, len(cohort)), bool)
    observed = chance.count(AtRisk(alarms, cohort), [TASK])
    if model == "constant_time":
        of_cell = {int(c): onsets(place, DEVELOPMENT, rng) for c in np.unique(cohort.cell)}
        times = nulls.resampled_times(of_cell, cohort, SURROGATES, int(rng.integers(2**31)))
        constant = chance.constant_counts(times, cohort, [TASK], WINDOW)
        taken = rng.random((SURROGATES, len(cohort))) < 0.5
        side = chance.against_constant(observed, constant, taken, everyone[0], everyone)
    else:
        grid = nulls.Grid(1, np.full(len(cohort), WARM_UP))
        hits = chance.null_hits(
            model,
            alarms,
            cohort,
            grid,
            tasks=[TASK],
            scopes=everyone,
            draws=SURROGATES,
            rng=rng,
        )
        side = chance.against_moved(observed.pooled(everyone), hits)
    row, *_ = chance.compare_counts(side, side, np.array([n_events]), ALPHA)
    assert row["score"] == "precision"
    return 1.0 if row["p"] is None else float(row["p"])


def simulate(model: str, detector: str, where: str, n_events: int, studies: int) -> Array:
    """p-values of a detector in simulated studies, shape ``(studies,)``."""
    rng = nulls.stream(0, model, detector, where, n_events)
    place = PLACES[where]
    return np.array([p_of(model, detector, place, n_events, rng) for _ in range(studies)])


def table() -> str:
    """Percent of studies with p below alpha: a row per null model and detector."""
    rows = []
    for model, detector in product(nulls.MODELS, DETECTORS):
        cells = []
        for n_events in STUDIES:
            shares = [
                np.mean(simulate(model, detector, where, n_events, STUDIES[n_events]) < ALPHA)
                for where in PLACES
            ]
            cells.append(" / ".join(f"{100 * share:.0f}" for share in shares))
        rows.append([f"`{model}`", detector, *cells])
        print(*rows[-1], flush=True)
    header = ["null model", "detector", *(str(n) for n in STUDIES)]
    return markdown(Table(header, rows, None))


if __name__ == "__main__":
    write_section(STATISTICS, "power", table())
