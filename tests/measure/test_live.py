"""Live detectors: a run in pieces has the alarms of the whole run, for every detector."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from grokscope.core.errors import UserError
from grokscope.evaluate.curves import Signal
from grokscope.evaluate.matching import Cohort
from grokscope.evaluate.thresholds import raise_alarms
from grokscope.measure.alarms import AlarmRaiser, alarm_steps
from grokscope.measure.detectors.live import LiveDetectors, Rows
from grokscope.measure.detectors.registry import COMBINED, DETECTORS, Detector
from grokscope.measure.detectors.scores import block_maxima
from grokscope.measure.past import Past
from grokscope.runs.config import default_analysis
from synthetic import noisy_trace

ANALYSIS = default_analysis(
    alarms={"sigma_window": 100, "refractory": 30}, detectors={"window": 100}
)
EXPANDING = default_analysis(alarms={"sigma_window": None})
N = 1501


@cache
def spoiled_trace():
    """A noisy run with unknown, infinite and zero values, and a constant stretch."""
    trace = noisy_trace(N)
    frame = trace.frame.copy()
    rng = np.random.default_rng(3)
    for name in frame.columns.drop(["step", "seed"]):
        places = rng.choice(np.arange(700, 1100), 6, replace=False)
        frame.loc[places, name] = rng.choice([np.nan, np.inf, 0.0], 6)
        frame.loc[1200:1240, name] = frame.loc[1200, name]
    return replace(trace, frame=frame)


def pieces(seed, n=N):
    """Cuts of n steps at random places, with empty and single rows among them."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, n, 25))
    edges = np.concatenate([[0], cuts, cuts[::7] + 1, [n]])
    edges = np.sort(edges)
    return list(itertools.pairwise(edges))


def in_pieces(entry, trace, analysis, cuts):
    past, parts = Past(), {}
    for start, end in cuts:
        if start == end:
            continue
        with past.continued():
            found = entry.signal(Rows(trace.frame[start:end], trace.layers), analysis)
        for layer, values in found.items():
            parts.setdefault(layer, []).append(values)
    return {layer: np.concatenate(values) for layer, values in parts.items()}


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("make", [lambda: noisy_trace(N), spoiled_trace], ids=["clean", "spoiled"])
def test_scores_in_pieces_are_those_of_the_whole_run_to_the_last_bit(name, make):
    trace, entry = make(), DETECTORS[name]
    for analysis in (ANALYSIS, EXPANDING):
        whole = entry.signal(trace, analysis)
        for seed in range(3):
            found = in_pieces(entry, trace, analysis, pieces(seed))
            assert list(found) == list(whole)
            for layer, values in whole.items():
                assert np.isfinite(values).sum() > 100, "nothing is compared"
                np.testing.assert_array_equal(found[layer], values)


def levels_of(trace):
    """A level of each detector that alarms several times, beside the stated ones."""
    levels = {}
    for name, entry in DETECTORS.items():
        values = entry.signal(trace, ANALYSIS)[COMBINED]
        levels[name] = None if entry.threshold else float(np.nanquantile(values, 0.8))
    return levels


def offline(trace, levels):
    """The alarms of the finished trace, as the tables and the evaluation have them."""
    found = []
    n_steps = len(trace.frame)
    for name, level in levels.items():
        entry = DETECTORS[name]
        for layer, values in entry.signal(trace, ANALYSIS).items():
            if level is None:
                stated = entry.threshold(ANALYSIS)
                steps = alarm_steps(values, stated, ANALYSIS.alarms.refractory, entry.latched)
            else:
                resolution = ANALYSIS.detectors.resolution
                cohort = Cohort.from_onsets([np.nan], [n_steps - 1])
                signal = Signal(cohort, [block_maxima(values, resolution)], resolution)
                refractory = ANALYSIS.alarms.refractory
                steps = raise_alarms(signal, level, refractory, entry.latched).step
            found += [(int(step), name, layer) for step in steps]
    return sorted(found)


@pytest.mark.parametrize("size", [1, 7, 10, 64, N])
def test_live_alarms_are_those_of_the_finished_trace(size):
    trace = spoiled_trace()
    levels = levels_of(trace)
    live = LiveDetectors(levels, ANALYSIS)
    found = []
    n_steps = 600 if size == 1 else N
    for start in range(0, n_steps, size):
        rows = Rows(trace.frame[start : min(start + size, n_steps)], trace.layers)
        alarms = live.feed(rows)
        assert all(alarm.step < start + size for alarm in alarms), "known before it can be"
        found += [(alarm.step, alarm.detector, alarm.layer) for alarm in alarms]
    expected = offline(replace(trace, frame=trace.frame[:n_steps]), levels)
    assert sorted(found) == expected
    if n_steps == N:
        # train_accuracy stays below its stated level in noise.
        assert {name for _, name, _ in expected} >= set(DETECTORS) - {"train_accuracy"}


def test_scores_of_alarms_are_those_of_their_steps_and_blocks():
    trace = noisy_trace(N)
    gai, cusum = (DETECTORS[name].signal(trace, ANALYSIS)[COMBINED] for name in ("gai", "cusum"))
    blocks = block_maxima(cusum, ANALYSIS.detectors.resolution)
    level = float(np.nanquantile(cusum, 0.7))
    alarms = LiveDetectors({"gai": None, "cusum": level}, ANALYSIS).feed(
        Rows(trace.frame, trace.layers)
    )
    combined = [alarm for alarm in alarms if alarm.layer == COMBINED]
    assert {alarm.detector for alarm in combined} == {"gai", "cusum"}
    for alarm in combined:
        expected = gai[alarm.step] if alarm.detector == "gai" else blocks[alarm.step // 10]
        assert alarm.score == expected > alarm.threshold


def test_a_restored_state_goes_on_as_if_never_stopped():
    trace = spoiled_trace()
    levels = levels_of(trace)
    whole = LiveDetectors(levels, ANALYSIS)
    expected = whole.feed(Rows(trace.frame, trace.layers))
    found = []
    live = LiveDetectors(levels, ANALYSIS)
    for start, end in pieces(5):
        found += live.feed(Rows(trace.frame[start:end], trace.layers))
        state = live.state()
        live = LiveDetectors(levels, ANALYSIS)
        live.restore(state)
    assert sorted(found) == sorted(expected)


def test_alarms_in_pieces_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    for case in range(200):
        scores = rng.integers(0, 3, rng.integers(1, 40)).astype(float)
        refractory, latched = int(rng.integers(0, 6)), bool(case % 2)
        cuts = np.sort(rng.integers(0, len(scores) + 1, 3))
        raiser = AlarmRaiser(1, refractory, latched)
        found = [step for part in np.split(scores, cuts) for step in raiser.feed(part).tolist()]
        assert found == alarm_steps(scores, 1, refractory, latched).tolist()


def test_what_cannot_run_live_is_refused_by_name(monkeypatch):
    with pytest.raises(UserError, match="no detector 'gia'"):
        LiveDetectors({"gia": None}, ANALYSIS)
    with pytest.raises(UserError, match="cusum has no stated level"):
        LiveDetectors({"cusum": None}, ANALYSIS)
    with pytest.raises(UserError, match="state of the detectors {'gai': 3.5}, but here are"):
        LiveDetectors({"cusum": 3.0}, ANALYSIS).restore(
            LiveDetectors({"gai": None}, ANALYSIS).state()
        )

    def total(trace, analysis):
        return {COMBINED: np.cumsum(trace.frame["grad_norm"].to_numpy(np.float64))}

    monkeypatch.setitem(DETECTORS, "total", Detector("total", total, False, None, True, "a sum"))
    with pytest.raises(UserError, match="total has other scores when the rows of a run come in"):
        LiveDetectors({"total": 1.0}, ANALYSIS)
