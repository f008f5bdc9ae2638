"""Variants: what each run's alarms would be under every combination of analysis choices.

Input: the traces of a panel and the config sections ``onset``, ``alarms``, ``detectors``,
``phases``, ``rank`` and ``multiverse`` of ``analysis``. Output: the table ``variants``, from
which :mod:`grokscope.claims.multiverse` measures the headline numbers again.

Every number is made as the one that the claims judge: alarms of the combined norm that are set
against onsets are known at the ends of blocks (:mod:`grokscope.measure.detectors.scores`), spikes
and the order of layers are of the alarms step by step (:mod:`grokscope.measure.alarms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from grokscope.data.tables import from_rows
from grokscope.data.trace import RANK_MEASURES, Trace
from grokscope.measure.alarms import alarm_steps, gai, largest_spike, score, spike_peaks
from grokscope.measure.detectors import DETECTORS, alarm_blocks, block_maxima
from grokscope.measure.onsets import delayed, metric_onset
from grokscope.measure.rank import RankSeries, relative_drop

Array = NDArray[np.float64]
Steps = NDArray[np.int64]


class Choice(NamedTuple):
    """How scores are made of gradient norms.

    Attributes
    ----------
    smoothing
        ``causal`` or ``centred``.
    sigma
        ``running`` (over the configured window) or ``expanding`` (over all the past).
    sign
        ``signed`` or ``absolute`` index.
    norm
        ``raw`` or ``log`` norm.
    window
        Smoothing window (steps).
    """

    smoothing: str
    sigma: str
    sign: str
    norm: str
    window: int

    def scores(self, norms: Array, sigma_window: int | None) -> Array:
        """Score of each step under this choice.

        Parameters
        ----------
        norms
            Gradient norms, shape ``(..., n_steps)``.
        sigma_window
            Steps of the running mean and standard deviation.

        Returns
        -------
        ndarray
            Shape ``(..., n_steps)``, in standard deviations; NaN as in
            :func:`grokscope.measure.alarms.score`, and around a norm of 0 if it is the
            logarithm's.
        """
        if self.norm == "log":
            with np.errstate(divide="ignore"):
                norms = np.log(norms)
        index = gai(norms, self.window, centred=self.smoothing == "centred")
        if self.sign == "absolute":
            index = np.abs(index)
        return score(index, sigma_window if self.sigma == "running" else None)


def choices(multiverse: Mapping[str, Any], alarms: Mapping[str, Any]) -> Iterator[Choice]:
    """All combinations of the config section ``multiverse``.

    Without a sigma window in the section ``alarms`` there is no running mean, and only the
    expanding one is left.
    """
    names = ("smoothing", "sigma", "sign", "norm", "windows")
    for choice in map(Choice._make, product(*(multiverse[name] for name in names))):
        if choice.sigma == "expanding" or alarms["sigma_window"] is not None:
            yield choice


class Target(NamedTuple):
    """Generalisation of a run as one threshold of the test metric defines it.

    Attributes
    ----------
    threshold
        Test metric.
    onset
        Step, None if it is not reached.
    event
        Whether the onset is delayed.
    """

    threshold: float
    onset: int | None
    event: bool

    def lead(self, first: int | None) -> int | None:
        """Steps from a first alarm to the event, None if it is not before one."""
        if not self.event or self.onset is None or first is None or first >= self.onset:
            return None
        return self.onset - first


def targets(trace: Trace, onset: Mapping[str, Any], gap: int) -> list[Target]:
    """Targets of a run, one for each of the onset section's ``test_thresholds``."""
    evaluations = onset["evaluations"]
    train = metric_onset(trace, "train", onset["train_threshold"], evaluations)
    found = []
    for threshold in onset["test_thresholds"]:
        test = metric_onset(trace, "test", threshold, evaluations)
        found.append(Target(threshold, test, delayed(train, test, gap)))
    return found


def first_alarm(scores: Array, threshold: float) -> int | None:
    """First step with a score above the threshold, None if there is none."""
    above = scores > threshold
    return int(np.argmax(above)) if above.any() else None


def layer_order(leads: Sequence[int | None]) -> float | None:
    """Kendall's tau-b of layer and first alarm before the event; negative: last layer first.

    Parameters
    ----------
    leads
        Lead of the first alarm of each layer, from the first layer to the last (steps); None
        for a layer without alarm before the event, which is left out.

    Returns
    -------
    float or None
        None with fewer than two layers or if all alarm at the same step.

    References
    ----------
    Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33.
    """
    known = [(layer, -lead) for layer, lead in enumerate(leads) if lead is not None]
    if len({step for _, step in known}) < 2:
        return None
    return float(stats.kendalltau(*zip(*known, strict=True)).statistic)


def rank_drops(
    trace: Trace, target: Target, settings: Mapping[str, Any]
) -> dict[str, float | None]:
    """Relative drop of the last layer's rank around an onset, by measure.

    Parameters
    ----------
    settings
        Config section ``rank``, with the windows of :func:`grokscope.measure.rank.rank_rows`.

    Returns
    -------
    dict
        ``<measure>_drop``; None without onset or without a rank on both sides of it.
    """
    drops: dict[str, float | None] = {}
    for measure in RANK_MEASURES:
        drop = None
        if target.onset is not None:
            ranks = trace.frame[f"{measure}_rank_{trace.spec.depth}"].dropna()
            steps = trace.frame.loc[ranks.index, "step"].to_numpy(np.int64)
            series = RankSeries(steps, ranks.to_numpy(np.float64))
            before = series.median(target.onset - settings["before"], target.onset)
            after = series.median(target.onset, target.onset + settings["after"] + 1)
            drop = relative_drop(before, after)
        drops[f"{measure}_drop"] = drop
    return drops


class Fired(NamedTuple):
    """The alarms of a run under a choice, all of the combined norm but ``firsts``.

    Attributes
    ----------
    warm_up
        First step whose block has a score.
    known
        Alarms as the evaluation knows them: ends of blocks, shape ``(n_known,)``.
    alarms
        The same step by step, shape ``(n_alarms,)``.
    peaks
        Their spikes' largest scores, shape ``(n_alarms,)``.
    firsts
        First alarm of each layer, from the first to the last.
    """

    choice: Choice
    warm_up: int | None
    known: Steps
    alarms: Steps
    peaks: Array
    firsts: list[int | None]


def fire(norms: Array, choice: Choice, settings: Mapping[str, Any]) -> Fired:
    """Alarms of a run under a choice.

    Parameters
    ----------
    norms
        Gradient norms, shape ``(1 + depth, n_steps)``: combined, then layers 1 to depth.
    settings
        Config section ``analysis``: of it ``alarms`` and ``detectors``.
    """
    of, resolution = settings["alarms"], settings["detectors"]["resolution"]
    combined, *layers = choice.scores(norms, of["sigma_window"])
    threshold, refractory = of["threshold"], of["refractory"]
    scores = block_maxima(combined, resolution)
    scored = np.flatnonzero(np.isfinite(scores))
    silent = refractory // resolution
    known = alarm_blocks(scores, threshold, silent, DETECTORS["gai"].latched) * resolution
    alarms = alarm_steps(combined, threshold, refractory)
    return Fired(
        choice=choice,
        warm_up=int(scored[0]) * resolution if len(scored) else None,
        known=known,
        alarms=alarms,
        peaks=spike_peaks(combined, alarms, refractory),
        firsts=[first_alarm(of_layer, threshold) for of_layer in layers],
    )


def steps_text(steps: Steps) -> str | None:
    """Steps as the column ``alarms`` has them, separated by blanks; None without any."""
    return " ".join(map(str, steps)) or None


def steps_of(text: str) -> Steps:
    """The steps of :func:`steps_text`; none of an empty text."""
    return np.array(text.split(), np.int64)


def variant_rows(trace: Trace, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a run: one a combination of choices and onset threshold.

    Parameters
    ----------
    settings
        Config section ``analysis``, or of it ``onset``, ``alarms``, ``detectors``, ``phases``,
        ``rank`` and ``multiverse``.
    """
    columns = ["grad_norm", *(f"grad_norm_{layer}" for layer in trace.layers if layer > 0)]
    norms = trace.frame[columns].to_numpy(np.float64).T
    variants = [
        fire(norms, choice, settings)
        for choice in choices(settings["multiverse"], settings["alarms"])
    ]
    run = trace.key.row() | {"beta2": trace.spec.betas[1]}
    for target in targets(trace, settings["onset"], settings["phases"]["gap"]):
        drops = rank_drops(trace, target, settings["rank"])
        onset = np.nan if target.onset is None else target.onset
        for fired in variants:
            leads = [target.lead(first) for first in fired.firsts]
            yield (
                run
                | fired.choice._asdict()
                | {
                    "onset_threshold": target.threshold,
                    "onset": target.onset,
                    "event": target.event,
                    "warm_up": fired.warm_up,
                    "alarms": steps_text(fired.known),
                    "spike": largest_spike(fired.peaks, fired.alarms, onset),
                    "last_first_lead": leads[-1],
                    "first_first_lead": leads[0],
                    "tau": layer_order(leads),
                }
                | drops
            )


def variants_table(traces: Iterable[Trace], settings: Mapping[str, Any]) -> pd.DataFrame:
    """The table ``variants`` of some runs; `settings` as in :func:`variant_rows`."""
    rows = [row for trace in traces for row in variant_rows(trace, settings)]
    return from_rows(rows, "variants")
