"""Variants: what each run's alarms would be under every combination of analysis choices.

Input: the traces of a panel and the sections ``onset``, ``alarms``, ``phases``, ``rank`` and
``multiverse`` of the analysis settings. Output: the table ``variants``, from which
:mod:`grokscope.claims.multiverse` measures the headline numbers again.

Alarms, warm-up, spikes and leads are those of the tables ``alarms`` and ``evaluation``, step by
step, so the configured choice gives the claims' numbers exactly.

Choices share what they have in common. The centred index is the causal one of some steps later
(:func:`grokscope.measure.gai.gai`), so its scores and alarms are the causal ones, that much
earlier; only the causal ones are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.data.parts import EMBEDDINGS, RANK_MEASURES
from grokscope.data.tables import from_rows
from grokscope.data.trace import Trace
from grokscope.measure.alarms import alarm_steps, largest_spike, spike_peaks
from grokscope.measure.detectors.registry import DETECTORS, GAI
from grokscope.measure.detectors.scores import first_score
from grokscope.measure.gai import gai, score
from grokscope.measure.lacking import lacking
from grokscope.measure.onsets import is_event, metric_onset, train_onset
from grokscope.measure.rank import RankSeries, relative_drop
from grokscope.runs.imported import ImportedSpec
from grokscope.runs.settings import AlarmSettings, Analysis, MultiverseSettings

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

    @property
    def advance(self) -> int:
        """Steps by which scores come before those of causal smoothing."""
        return (self.window + 1) // 2 if self.smoothing == "centred" else 0


def configured(alarms: AlarmSettings) -> Choice:
    """The choice that alarms are made by everywhere else."""
    sigma = "expanding" if alarms.sigma_window is None else "running"
    return Choice("causal", sigma, "signed", "raw", alarms.smoothing_window)


def choices(multiverse: MultiverseSettings, alarms: AlarmSettings) -> list[Choice]:
    """All combinations of the analysis choices, and the configured one if it is none of them.

    Without a sigma window there is no running mean, and only the expanding one is left.
    """
    names = ("smoothing", "sigma", "sign", "norm", "windows")
    found = list(map(Choice._make, product(*(getattr(multiverse, name) for name in names))))
    if alarms.sigma_window is None:
        found = [choice for choice in found if choice.sigma == "expanding"]
    return list(dict.fromkeys([*found, configured(alarms)]))


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


def targets(trace: Trace, analysis: Analysis) -> list[Target]:
    """Targets of a run, one for each of ``analysis.onset.test_thresholds``."""
    settings = analysis.onset
    train = train_onset(trace, settings)
    found = []
    for threshold in settings.test_thresholds:
        test = metric_onset(trace, "test", threshold, settings.evaluations)
        onsets = {"train_onset_step": train, "test_onset_step": test}
        found.append(Target(threshold, test, bool(is_event(onsets, analysis.phases.gap))))
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
    known = [lead for lead in leads if lead is not None]
    # A layer that alarms later has the shorter lead. Layers are never tied.
    signs = [(earlier > later) - (earlier < later) for earlier, later in combinations(known, 2)]
    untied = sum(sign != 0 for sign in signs)
    return sum(signs) / float(np.sqrt(untied * len(signs))) if untied else None


def rank_drops(trace: Trace, target: Target, analysis: Analysis) -> dict[str, float | None]:
    """Relative drop of the last layer's rank around an onset, by measure.

    Returns
    -------
    dict
        ``<measure>_drop``; None without onset or without a rank on both sides of it.
    """
    drops: dict[str, float | None] = {}
    for measure in RANK_MEASURES:
        drop = None
        if target.onset is not None and trace.parts.matrices:
            series = RankSeries.of_layer(trace, trace.parts.matrices[-1], measure)
            drop = relative_drop(*series.around(target.onset, analysis.rank))
        drops[f"{measure}_drop"] = drop
    return drops


class Fired(NamedTuple):
    """The alarms of a run under a choice, all of the combined norm but ``firsts``.

    Attributes
    ----------
    warm_up
        First step with a score.
    alarms
        Their steps, shape ``(n_alarms,)``.
    peaks
        Their spikes' largest scores, shape ``(n_alarms,)``.
    firsts
        First alarm of each layer, from the first to the last.
    """

    warm_up: int | None
    alarms: Steps
    peaks: Array
    firsts: list[int | None]

    def earlier(self, steps: int) -> Fired:
        """The same if all scores came so many steps before; they do not start that early."""

        def moved(step: int | None) -> int | None:
            return None if step is None else step - steps

        return Fired(
            moved(self.warm_up), self.alarms - steps, self.peaks, list(map(moved, self.firsts))
        )


def fire(scores: Array, settings: AlarmSettings) -> Fired:
    """Alarms of a run.

    Parameters
    ----------
    scores
        Shape ``(1 + depth, n_steps)``: of the combined norm, then of layers 1 to depth.
    """
    combined, *layers = scores
    alarms = alarm_steps(combined, settings.threshold, settings.refractory, DETECTORS[GAI].latched)
    return Fired(
        warm_up=first_score(combined),
        alarms=alarms,
        peaks=spike_peaks(combined, alarms, settings.refractory),
        firsts=[first_alarm(layer, settings.threshold) for layer in layers],
    )


def fired_choices(
    norms: Array, multiverse: MultiverseSettings, settings: AlarmSettings
) -> dict[Choice, Fired]:
    """Alarms of a run under every choice.

    Parameters
    ----------
    norms
        Gradient norms, shape ``(1 + depth, n_steps)``: combined, then layers 1 to depth.
    """
    with np.errstate(divide="ignore"):
        signals = {"raw": norms, "log": np.log(norms)}
    causal: dict[Choice, Fired] = {}
    found: dict[Choice, Fired] = {}
    index: dict[tuple[str, int], Array] = {}
    for choice in choices(multiverse, settings):
        base = choice._replace(smoothing="causal")
        if base not in causal:
            place = (choice.norm, choice.window)
            if place not in index:
                index[place] = gai(signals[choice.norm], choice.window)
            values = np.abs(index[place]) if choice.sign == "absolute" else index[place]
            past = settings.sigma_window if choice.sigma == "running" else None
            causal[base] = fire(score(values, past), settings)
        found[choice] = causal[base].earlier(choice.advance)
    return found


def steps_text(steps: Steps) -> str | None:
    """Steps as the column ``alarms`` has them, separated by blanks; None without any."""
    return " ".join(map(str, steps.tolist())) or None


def parse_steps(text: str) -> Steps:
    """The steps of :func:`steps_text`; none of an empty text."""
    return np.array(text.split(), np.int64)


def ordered_layers(trace: Trace) -> list[str]:
    """Layers from the first to the last, without the embeddings.

    None of an imported run unless its log numbers them as ours are: which of several named groups
    of parameters is nearest the input is not known.
    """
    layers = [layer for layer in trace.layers if layer not in EMBEDDINGS]
    if not trace.imported:
        return layers
    numbered = [str(number) for number in range(1, trace.spec.depth + 1)]
    known = trace.every_step(f"grad_norm_{layer}" for layer in numbered)
    return numbered if set(numbered) == set(layers) and len(known) == len(numbered) else []


def variant_rows(trace: Trace, analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Rows of a run: one per combination of choices and onset threshold."""
    if lacking(trace, GAI) or lacking(trace, "events"):
        return
    columns = ["grad_norm", *(f"grad_norm_{layer}" for layer in ordered_layers(trace))]
    norms = np.stack([trace.frame[name].to_numpy(np.float64) for name in columns])
    fired = fired_choices(norms, analysis.multiverse, analysis.alarms)
    betas = None if isinstance(trace.spec, ImportedSpec) else trace.spec.betas
    run = trace.key.row() | {"beta2": None if betas is None else betas[1]}
    for target in targets(trace, analysis):
        drops = rank_drops(trace, target, analysis)
        for choice, alarms in fired.items():
            yield run | choice._asdict() | _outcome(alarms, target) | drops


def _outcome(fired: Fired, target: Target) -> dict[str, Any]:
    """Columns of the table ``variants`` that depend on choice and target."""
    leads = [target.lead(first) for first in fired.firsts]
    onset = np.nan if target.onset is None else target.onset
    return {
        "onset_threshold": target.threshold,
        "onset": target.onset,
        "event": target.event,
        "warm_up": fired.warm_up,
        "alarms": steps_text(fired.alarms),
        "spike": largest_spike(fired.peaks, fired.alarms, onset),
        "last_first_lead": leads[-1] if leads else None,
        "first_first_lead": leads[0] if leads else None,
        "tau": layer_order(leads),
    }


def variants_table(traces: Iterable[Trace], analysis: Analysis) -> pd.DataFrame:
    """The table ``variants`` of some runs, one row per run, choice and onset threshold.

    Parameters
    ----------
    traces
        Runs; one is in memory at a time.
    analysis
        Sections ``onset``, ``alarms``, ``phases``, ``rank`` and ``multiverse``.
    """
    rows = [row for trace in traces for row in variant_rows(trace, analysis)]
    return from_rows(rows, "variants")
