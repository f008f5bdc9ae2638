"""Variants: what each run's alarms would be under every combination of analysis choices.

Input: the traces of a panel and the config sections ``onset``, ``alarms``, ``phases``, ``rank``,
``evaluation`` and ``multiverse`` of ``analysis``. Output: the table ``variants``, from which
:mod:`grokscope.multiverse` measures the headline numbers again.

Alarms are those of :mod:`grokscope.alarms`, of the combined norm, step by step. What comes of
them is counted by the rule ``every`` of :mod:`grokscope.matching`, in the published window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from grokscope.alarms import alarm_steps, gai, score
from grokscope.matching import Alarms, AtRisk, Cohort, Window
from grokscope.onset import delayed, metric_onset
from grokscope.rank import RankSeries, relative_drop
from grokscope.tables import from_rows
from grokscope.trace import RANK_MEASURES, Trace

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
            :func:`grokscope.alarms.score`, and around a norm of 0 if it is the logarithm's.
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


class Counts(NamedTuple):
    """Alarms while at risk, those of them that are judged, and hits (0 or 1)."""

    alarms: int
    judged: int
    hits: int


def count_alarms(
    alarms: Sequence[Steps], target: Target, last_step: int, window: Window
) -> list[Counts]:
    """What comes of the alarms of a run, by the rule ``every``.

    Parameters
    ----------
    alarms
        Steps under each choice, shape ``(n_alarms,)`` each.
    last_step
        Last step of the run.
    window
        Shortest and longest lead of a hit (steps).

    Returns
    -------
    list
        Counts under each choice.
    """
    onset = np.nan if target.onset is None else target.onset
    run = Cohort.from_onsets([onset], [last_step], event=[target.event])
    steps = np.concatenate([np.empty(0, np.int64), *alarms])
    choice = np.repeat(np.arange(len(alarms)), [len(of) for of in alarms])
    at_risk = AtRisk(Alarms(np.zeros_like(steps), steps, choice, len(alarms)), run)
    hits, judged = at_risk.judge("every", window)
    columns = (at_risk.counts, judged, hits)
    return [Counts(*map(int, row)) for row in np.concatenate(columns, axis=1)]


def hit_share(scored: NDArray[np.bool_], target: Target, window: Window) -> float | None:
    """Share of a run's steps at risk at which an alarm would hit; 0 without event.

    Parameters
    ----------
    scored
        Whether each step has a score, shape ``(n_steps,)``; no alarm can be at another.

    Returns
    -------
    float or None
        None if no step before the event has a score.
    """
    if not target.event or target.onset is None:
        return 0.0
    shortest, longest = window
    at_risk = int(scored[: target.onset].sum())
    hits = int(scored[max(target.onset - longest, 0) : max(target.onset - shortest + 1, 0)].sum())
    return hits / at_risk if at_risk else None


def spike(scores: Array, target: Target, threshold: float) -> float | None:
    """Largest score before the onset, or in the whole run without onset; None without alarm."""
    value = float(np.fmax.reduce(scores[: target.onset], initial=-np.inf))
    return value if value > threshold else None


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
        Config section ``rank``, with the windows of :func:`grokscope.rank.rank_rows`.

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
    """Scores of a run under a choice, and the alarms that they raise.

    Attributes
    ----------
    scores
        Of the combined norm, shape ``(n_steps,)``.
    alarms
        Steps of its alarms, shape ``(n_alarms,)``.
    firsts
        First alarm of each layer, from the first to the last.
    """

    choice: Choice
    scores: Array
    alarms: Steps
    firsts: list[int | None]


def fire(norms: Array, choice: Choice, settings: Mapping[str, Any]) -> Fired:
    """Scores and alarms of a run under a choice.

    Parameters
    ----------
    norms
        Gradient norms, shape ``(1 + depth, n_steps)``: combined, then layers 1 to depth.
    settings
        Config section ``alarms``.
    """
    combined, *layers = choice.scores(norms, settings["sigma_window"])
    threshold = settings["threshold"]
    alarms = alarm_steps(combined, threshold, settings["refractory"])
    return Fired(choice, combined, alarms, [first_alarm(of, threshold) for of in layers])


def variant_rows(trace: Trace, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a run: one a combination of choices and onset threshold.

    Parameters
    ----------
    settings
        Config section ``analysis``, or of it ``onset``, ``alarms``, ``phases``, ``rank``,
        ``evaluation`` and ``multiverse``.
    """
    columns = ["grad_norm", *(f"grad_norm_{layer}" for layer in trace.layers if layer > 0)]
    norms = trace.frame[columns].to_numpy(np.float64).T
    variants = [
        fire(norms, choice, settings["alarms"])
        for choice in choices(settings["multiverse"], settings["alarms"])
    ]
    shortest, longest = settings["evaluation"]["lead_window"]
    last_step = len(trace.frame) - 1
    run = trace.key.row() | {"beta2": trace.spec.betas[1]}
    for target in targets(trace, settings["onset"], settings["phases"]["gap"]):
        drops = rank_drops(trace, target, settings["rank"])
        steps = [fired.alarms for fired in variants]
        counted = count_alarms(steps, target, last_step, (shortest, longest))
        for fired, counts in zip(variants, counted, strict=True):
            leads = [target.lead(first) for first in fired.firsts]
            yield (
                run
                | fired.choice._asdict()
                | {
                    "onset_threshold": target.threshold,
                    "event": target.event,
                    "n_alarms": counts.alarms,
                    "n_judged": counts.judged,
                    "n_hits": counts.hits,
                    "chance": hit_share(np.isfinite(fired.scores), target, (shortest, longest)),
                    "first_lead": target.lead(int(fired.alarms[0]) if len(fired.alarms) else None),
                    "spike": spike(fired.scores, target, settings["alarms"]["threshold"]),
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
