"""Control worlds of PD1-PD7: the published map; phases by chance; one premise is broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from control_worlds import (
    FAILS,
    GROKKING,
    HOLDS,
    UNDECIDED,
    World,
    configuration,
    none_holds,
    only,
    phase_trace,
    seeds_of,
    world,
)

CLAIMS = tuple(f"PD{number}" for number in range(1, 8))
TRUE = dict.fromkeys(CLAIMS, HOLDS)
MODERATE, WIDTHS = (0.001, 0.01, 0.1), (16, 32, 64)


@pytest.fixture(scope="module")
def mapped() -> World:
    """Every claim is true, at the scale of the evidence."""
    return world(configuration("evidence"), "phase_diagram", phase_trace)


class Map:
    """Phases of a world by cell, the same in all seeds, to be changed."""

    def __init__(self, of: World) -> None:
        self.world = of
        table = of.tables["phases"]
        names = ["weight_decay", "train_fraction", "width"]
        self.cells = list(table[names].astype(float).itertuples(index=False, name=None))
        self.phase = dict(zip(self.cells, table["phase"], strict=True))

    def put(self, phase: str, *cells: tuple[float, float, int]) -> Map:
        """Another phase of some cells."""
        self.phase |= dict.fromkeys(cells, phase)
        return self

    def swap(self, one: tuple[float, float, int], other: tuple[float, float, int]) -> Map:
        """Exchange two cells."""
        self.phase |= {one: self.phase[other], other: self.phase[one]}
        return self

    def verdicts(self) -> dict[str, str]:
        phases = pd.Series([self.phase[cell] for cell in self.cells])
        return self.world.but("phases", phase=phases.to_numpy()).verdicts()


def test_a_world_with_the_published_map(mapped: World) -> None:
    assert mapped.verdicts() == TRUE
    assert mapped.seeds(seeds_of("config", "phase_diagram")).verdicts() == TRUE


def test_a_world_of_noise(mapped: World) -> None:
    """Phases by chance: all four occur, and that is all."""
    phases = ["confusion", "memorisation", "grokking", "comprehension"]
    drawn = np.random.default_rng(0).choice(phases, len(mapped.tables["phases"]))
    verdicts = mapped.but("phases", phase=drawn).verdicts()
    none_holds(verdicts, but=["PD7"])
    assert {verdicts[claim] for claim in ("PD1", "PD5")} == {FAILS}


def test_a_world_in_which_nothing_generalises(mapped: World) -> None:
    verdicts = mapped.but("phases", phase="memorisation").verdicts()
    none_holds(verdicts, but=["PD1"])
    assert {verdicts[claim] for claim in ("PD2", "PD3", "PD5", "PD7")} == {FAILS}


def test_little_data_generalises(mapped: World) -> None:
    broken = Map(mapped).put("grokking", (0.01, 0.5, 64))
    only({"PD1": FAILS}, broken.verdicts(), TRUE)


def test_most_data_does_not_generalise(mapped: World) -> None:
    broken = Map(mapped)
    for decay in MODERATE:
        for width in WIDTHS:
            broken.swap((decay, 0.7, width), (decay, 0.9, width))
    only({"PD2": FAILS}, broken.verdicts(), TRUE)


def test_moderate_decay_does_not_grok(mapped: World) -> None:
    broken = Map(mapped)
    moderate = [cell for cell in GROKKING if float(cell[0]) in MODERATE]
    broken.put("comprehension", *((float(d), float(x), width) for d, x, width in moderate))
    only({"PD3": FAILS}, broken.verdicts(), TRUE)


def test_a_small_network_groks_without_decay(mapped: World) -> None:
    """Of three conditions that may each be broken, six seeds refute none alone."""
    broken = Map(mapped).swap((0.0, 0.7, 64), (0.0, 0.7, 16))
    only({"PD4": UNDECIDED}, broken.verdicts(), TRUE)


def test_nothing_generalises_without_decay(mapped: World) -> None:
    wide = [(0.0, 0.9, 32), (0.0, 0.7, 64), (0.0, 0.9, 64)]
    only({"PD4": UNDECIDED}, Map(mapped).put("memorisation", *wide).verdicts(), TRUE)


def test_strong_decay_groks(mapped: World) -> None:
    broken = Map(mapped).put("grokking", (1.0, 0.9, 64))
    only({"PD5": FAILS}, broken.verdicts(), TRUE)


def test_strong_decay_comprehends_nowhere(mapped: World) -> None:
    high = [(1.0, x, width) for x in (0.7, 0.9) for width in (32, 64)]
    only({"PD5": FAILS}, Map(mapped).put("confusion", *high).verdicts(), TRUE)


def test_small_networks_generalise_as_readily(mapped: World) -> None:
    broken = Map(mapped)
    for decay in MODERATE:
        for fraction in (0.7, 0.9):
            broken.put("grokking", (decay, fraction, 16))
            broken.put("memorisation", (decay, fraction, 32))
    only({"PD6": UNDECIDED}, broken.verdicts(), TRUE)


def test_one_phase_does_not_occur(mapped: World) -> None:
    confused = [cell for cell, phase in Map(mapped).phase.items() if phase == "confusion"]
    only({"PD7": FAILS}, Map(mapped).put("memorisation", *confused).verdicts(), TRUE)


def test_one_seed_decides_nothing(mapped: World) -> None:
    """As published: what one seed shows may be its own."""
    assert mapped.seeds([42]).verdicts() == dict.fromkeys(CLAIMS, UNDECIDED)


def test_five_seeds_are_too_few_for_a_majority(mapped: World) -> None:
    verdicts = mapped.seeds([42, 0, 1, 2, 3]).verdicts()
    assert {verdicts[claim] for claim in ("PD1", "PD2", "PD4", "PD5", "PD7")} == {UNDECIDED}
