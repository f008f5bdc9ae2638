"""Multiverse: the headline number of each GAI claim under every combination of analysis choices.

Input: the tables ``variants`` (:mod:`grokscope.measure.variants`) and ``runs`` of a study, the
published values and the config sections ``alarms``, ``detectors``, ``onset`` and ``evaluation``.
Output: the table ``multiverse``, a row a claim and specification: the number, its interval over
seeds, and whether the claim would hold by the rules of :mod:`grokscope.claims.rules`.

A number is measured as the table ``claims`` does it: what comes of alarms (GAI1-GAI3, GAI7, GAI8)
of the held-out seeds and by :mod:`grokscope.evaluate.matching`, chance by null model B with the
surrogates of :mod:`grokscope.evaluate.study`, the rest of all seeds. So the configured choice
gives the number of ``claims``, exactly. Nothing here is chosen on development seeds. Only GAI8
asks less than its claim: the corrected interval, not also the adjusted p-values of the other
claims.

Reference: Simonsohn, Simmons & Nelson 2020, "Specification curve analysis", Nature Human
Behaviour 4.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grokscope.claims import registry, rules
from grokscope.data.tables import from_rows
from grokscope.data.trace import RANK_MEASURES
from grokscope.evaluate import nulls
from grokscope.evaluate.matching import AtRisk, Cohort, alarms_of, held_out
from grokscope.evaluate.statistics import (
    NO_INTERVAL,
    Interval,
    cluster_bootstrap,
    pearson,
    ratio_bootstrap,
    resolves,
)
from grokscope.evaluate.study import GAI, Subject, surrogate_stream
from grokscope.measure.detectors import COMBINED
from grokscope.measure.variants import steps_of
from grokscope.runs.spec import KEY_COLUMNS

Array = NDArray[np.float64]
Values = Mapping[str, Any]

KEY = list(KEY_COLUMNS)
ALARM_CHOICES = ["smoothing", "sigma", "sign", "norm", "window", "beta2", "onset_threshold"]
"""Choices that a number made of alarms depends on."""
RANK_CHOICES = ["beta2", "onset_threshold"]
"""Those of them that a number made of ranks depends on, besides the measure."""
CHOICES = [*ALARM_CHOICES, "rank_measure"]


# As in the claims, which are judged against the run's own alarms at other times.
NULL = "B"


class Chance(NamedTuple):
    """Precision of surrogate alarms: its mean, and the p-value of the observed one."""

    mean: float
    p: float


class Sample(NamedTuple):
    """The runs of one specification, and how to put an interval around what they say.

    Attributes
    ----------
    rows
        A row a run: columns of ``variants`` and ``final_test_metric``, null as NaN; those of
        held-out seeds also with the columns of :func:`outcomes`.
    settings
        Config section ``evaluation``: ``confidence``, ``resamples``, ``seed``.
    chance
        By depth, None for all; without those that have no judged alarm.
    """

    rows: pd.DataFrame
    settings: Mapping[str, Any]
    chance: Mapping[int | None, Chance] = MappingProxyType({})

    def of(self, mask: pd.Series | NDArray[np.bool_]) -> Sample:
        """The runs of a mask."""
        return self._replace(rows=self.rows[np.asarray(mask, bool)])

    def events(self) -> Sample:
        """The runs with an event."""
        return self.of(self.rows["event"])

    def numbers(self, column: str) -> Array:
        """Values of a column, shape ``(n_runs,)``."""
        return self.rows[column].to_numpy(np.float64)

    def interval(self, statistic: Callable[..., float], *of: Array) -> Interval:
        """Bootstrap interval over seeds of ``statistic(*of)``; arrays of shape ``(n_runs,)``."""
        return cluster_bootstrap(
            self.rows["seed"].to_numpy(),
            lambda index: statistic(*(values[index] for values in of)),
            confidence=self.settings["confidence"],
            resamples=self.settings["resamples"],
            seed=self.settings["seed"],
        )

    def ratio_interval(
        self, numerator: Array, denominator: Array, confidence: float | None = None
    ) -> Interval:
        """That of the sum of the one over the sum of the other, both of shape ``(n_runs,)``."""
        low, high = ratio_bootstrap(
            self.rows["seed"].to_numpy(),
            numerator[:, None],
            denominator[:, None],
            confidence=self.settings["confidence"] if confidence is None else confidence,
            resamples=self.settings["resamples"],
            seed=self.settings["seed"],
        )
        return NO_INTERVAL if np.isnan(low[0]) else Interval(float(low[0]), float(high[0]))


class Headline(NamedTuple):
    """A claim's number under one specification, of `n` runs or events."""

    measured: float
    interval: Interval
    n: int
    supports: bool | None


NOTHING = Headline(float("nan"), NO_INTERVAL, 0, None)


def ratio(numerator: Array, denominator: Array) -> float:
    """Sum over sum; NaN where the second is 0."""
    total = denominator.sum()
    return float(numerator.sum() / total) if total else float("nan")


def outcomes(sample: Sample, settings: Mapping[str, Any]) -> Sample:
    """What comes of the alarms of held-out runs, and what shifted ones would reach.

    The counting is that of the published alarms in the tables ``evaluation`` and ``chance``,
    with the same surrogates: of the configured choice both have the same numbers.

    Parameters
    ----------
    sample
        Rows sorted by the runs' key, as there: surrogates are drawn in that order.
    settings
        Config section ``analysis``: of it ``alarms``, ``detectors`` and ``evaluation``.

    Returns
    -------
    Sample
        With ``chance``, and in its rows with ``first_lead`` (steps from the first alarm to the
        event, NaN without alarm or event), ``n_judged`` and ``n_hits``.
    """
    of, resolution = settings["evaluation"], settings["detectors"]["resolution"]
    rows, last = sample.rows, sample.rows["steps"].to_numpy(np.int64)
    event = rows["event"].to_numpy(bool)
    cohort = Cohort.from_onsets(rows["onset"].to_numpy(np.float64), last, event=event)
    alarms = alarms_of([steps_of(text) for text in rows["alarms"].fillna("")])
    unscored = last // resolution + 1
    warm_up = rows["warm_up"].to_numpy(np.float64) / resolution
    first = np.where(np.isnan(warm_up), unscored, warm_up).astype(np.int64)

    task: nulls.Task = ("every", tuple(of["lead_window"]))
    depth = rows["depth"].to_numpy(np.int64)
    depths = np.unique(depth).tolist()
    scopes = np.stack([np.ones(len(rows), bool), *(depth == value for value in depths)])
    fired = AtRisk(alarms, cohort)
    null = nulls.null_counts(
        NULL,
        alarms,
        cohort,
        nulls.Grid(resolution, first),
        tasks=[task],
        scopes=scopes,
        draws=of["surrogates"],
        rng=surrogate_stream(
            of["seed"],
            str(rows["study"].iloc[0]),
            Subject(GAI, COMBINED, False),
            "published",
            float(settings["alarms"]["threshold"]),
            NULL,
        ),
    )
    compared = nulls.compare_counts(
        nulls.count(fired, [task], scopes), null, (scopes & event).sum(axis=1)
    )
    chance = {
        (None, *depths)[row["scope"]]: Chance(row["null_mean"], row["p"])
        for row in compared
        if row["score"] == "precision" and row["p"] is not None
    }
    verdict = fired.judge(*task)
    lead = np.where(event & np.isfinite(fired.first[0]), cohort.onset - fired.first[0], np.nan)
    counted = rows.assign(
        first_lead=lead, n_judged=verdict.judged[0], n_hits=verdict.hits[0].astype(np.int64)
    )
    return sample._replace(rows=counted, chance=chance)


def median_lead(sample: Sample, values: Values) -> Headline:
    """GAI1: median over all events of the first alarm's lead, a missed event as 0."""
    events = sample.events()
    if events.rows.empty:
        return NOTHING
    lead = np.nan_to_num(events.numbers("first_lead"))
    measured = float(np.median(lead))
    supports = rules.inside(measured, values["low"], values["high"])
    return Headline(measured, events.interval(np.median, lead), len(lead), supports)


def precision(sample: Sample, values: Values) -> Headline:
    """GAI2: hits over judged alarms."""
    hits, judged = sample.numbers("n_hits"), sample.numbers("n_judged")
    if not sample.rows["event"].any() or not judged.any():
        return NOTHING
    measured, interval = ratio(hits, judged), sample.ratio_interval(hits, judged)
    supports = rules.reaches(measured, interval, values["precision"])
    return Headline(measured, interval, len(hits), supports)


def recall(sample: Sample, values: Values) -> Headline:
    """GAI3: hits over events."""
    hits, events = sample.numbers("n_hits"), sample.numbers("event")
    if not events.any():
        return NOTHING
    measured, interval = ratio(hits, events), sample.ratio_interval(hits, events)
    supports = rules.reaches(measured, interval, values["recall"])
    return Headline(measured, interval, int(events.sum()), supports)


def spike_correlation(sample: Sample, values: Values) -> Headline:
    """GAI4: Pearson r of the largest spike before onset (or end) with the final accuracy.

    Of the classification runs that raised an alarm by then: a lower score is no spike.
    """
    runs = sample.of(
        ~sample.rows["task"].str.endswith("_regression")
        & sample.rows[["spike", "final_test_metric"]].notna().all(axis=1)
    )
    spike, final = runs.numbers("spike"), runs.numbers("final_test_metric")
    measured = pearson(spike, final)
    if np.isnan(measured):
        return NOTHING
    interval = runs.interval(pearson, spike, final)
    return Headline(
        measured, interval, len(spike), rules.correlates(measured, interval, values["r"])
    )


def last_layer_first(sample: Sample, values: Values) -> Headline:
    """GAI5: share of the events with an alarm in either layer whose last layer comes first."""
    events = sample.events()
    # A lead is at least 1: a layer without alarm before the event comes last.
    last = np.nan_to_num(events.numbers("last_first_lead"))
    first = np.nan_to_num(events.numbers("first_first_lead"))
    either = (last > 0) | (first > 0)
    if not either.any():
        return NOTHING
    earlier = (last > first).astype(np.float64)
    measured = float(earlier[either].mean())
    interval = events.of(either).ratio_interval(earlier[either], np.ones(either.sum()))
    return Headline(measured, interval, int(either.sum()), rules.above(measured, interval, 0.5))


def rank_drop(sample: Sample, values: Values, measure: str) -> Headline:
    """GAI6: median relative drop of the last layer's rank around the onset of events."""
    column = f"{measure}_drop"
    events = sample.of(sample.rows["event"] & sample.rows[column].notna())
    if events.rows.empty:
        return NOTHING
    drop = events.numbers(column)
    measured = float(np.median(drop))
    supports = rules.inside(measured, values["low"], values["high"])
    return Headline(measured, events.interval(np.median, drop), len(drop), supports)


def every_depth(sample: Sample, values: Values) -> Headline:
    """GAI7: smallest precision minus chance over the depths with events.

    Each must be above chance, and significantly so. A depth with events and without any judged
    alarm speaks against the claim, but has no number.
    """
    depths = sorted({int(depth) for depth in sample.events().rows["depth"]})
    of_depth = {depth: sample.of(sample.rows["depth"] == depth) for depth in depths}
    found = {
        depth: ratio(part.numbers("n_hits"), part.numbers("n_judged")) - sample.chance[depth].mean
        for depth, part in of_depth.items()
        if depth in sample.chance
    }
    if not found:
        return NOTHING
    worst = min(found, key=lambda depth: found[depth])
    part = of_depth[worst]
    interval = part.ratio_interval(part.numbers("n_hits"), part.numbers("n_judged"))
    alpha = registry.alpha({"evaluation": sample.settings})
    return Headline(
        found[worst],
        interval.minus(sample.chance[worst].mean),
        sum(len(part.rows) for part in of_depth.values()),
        len(found) == len(depths)
        and min(found.values()) > 0
        and max(sample.chance[depth].p for depth in found) < alpha,
    )


def corrected_excess(sample: Sample, values: Values) -> Headline:
    """GAI8: precision minus chance, with an interval corrected for the family of claims."""
    if not sample.rows["event"].any() or None not in sample.chance:
        return NOTHING
    hits, judged = sample.numbers("n_hits"), sample.numbers("n_judged")
    by_chance = sample.chance[None].mean
    confidence = 1 - (1 - sample.settings["confidence"]) / values["family"]
    measured = ratio(hits, judged) - by_chance
    interval = sample.ratio_interval(hits, judged, confidence).minus(by_chance)
    resolved = resolves(confidence, sample.rows["seed"].nunique())
    supports = rules.significant(measured, interval, resolved)
    return Headline(measured, interval, len(judged), supports)


OF_ALARMS: dict[str, Callable[[Sample, Values], Headline]] = {
    "GAI1": median_lead,
    "GAI2": precision,
    "GAI3": recall,
    "GAI4": spike_correlation,
    "GAI5": last_layer_first,
    "GAI7": every_depth,
    "GAI8": corrected_excess,
}
OF_RANKS = "GAI6"
OF_HELD_OUT = ("GAI1", "GAI2", "GAI3", "GAI7", "GAI8")


def plain_rows(variants: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Variants with each run's steps and final test metric, sorted by the runs' key.

    Numbers as NumPy columns with NaN for null.
    """
    facts = runs[[*KEY, "steps", "final_test_metric"]]
    frame = variants.merge(facts, on=KEY, validate="many_to_one").sort_values(KEY)
    whole = [*KEY, "steps", "window"]
    types = dict.fromkeys(frame.columns[frame.dtypes == "Int64"].difference(whole), np.float64)
    types |= dict.fromkeys(frame.columns[frame.dtypes == "Float64"], np.float64)
    return frame.astype(types).astype({"event": bool})


def default_choices(settings: Mapping[str, Any]) -> dict[str, Hashable]:
    """The choice of each kind that the claims are judged under.

    Smoothing is causal whatever the config says, as in the detector that is evaluated; of
    AdamW's beta2 every one is a run's own.
    """
    alarms = settings["alarms"]
    return {
        "smoothing": "causal",
        "sigma": "expanding" if alarms["sigma_window"] is None else "running",
        "sign": "signed",
        "norm": "raw",
        "window": alarms["smoothing_window"],
        "onset_threshold": settings["onset"]["event_threshold"],
        "rank_measure": "effective",
    }


def _row(
    claim: str,
    choice: Mapping[str, Hashable],
    headline: Headline,
    default: Mapping[str, Hashable],
) -> dict[str, Any]:
    return (
        {"claim": claim}
        | dict.fromkeys(CHOICES)
        | dict(choice)
        | {
            "measured": None if np.isnan(headline.measured) else headline.measured,
            "low": headline.interval.low,
            "high": headline.interval.high,
            "n": headline.n,
            "supports": headline.supports,
            "is_default": all(default.get(name, value) == value for name, value in choice.items()),
        }
    )


def multiverse_table(
    variants: pd.DataFrame,
    runs: pd.DataFrame,
    published: Iterable[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """The table ``multiverse``: a row a claim and specification.

    Parameters
    ----------
    variants, runs
        The tables of these names, of one study.
    published
        Entries of ``claims.yaml``; used are ``id`` and ``values``. Claims that no function here
        measures are left out.
    settings
        Config section ``analysis``, or of it ``alarms``, ``detectors``, ``onset`` and
        ``evaluation``.
    """
    frame = plain_rows(variants, runs)
    scored = frame[held_out(frame["seed"], settings["evaluation"]["development_seeds"])]
    default = default_choices(settings)

    def samples(rows: pd.DataFrame, names: list[str]) -> list[tuple[dict[str, Hashable], Sample]]:
        return [
            (dict(zip(names, values, strict=True)), Sample(group, settings["evaluation"]))
            for values, group in rows.groupby(names, sort=False)
        ]

    of_scored = [
        (choice, outcomes(sample, settings)) for choice, sample in samples(scored, ALARM_CHOICES)
    ]
    of_alarms = samples(frame, ALARM_CHOICES)
    # Ranks are the same under every choice that alarms are made by.
    of_ranks = samples(frame.drop_duplicates([*KEY, *RANK_CHOICES]), RANK_CHOICES)
    rows = []
    for entry in published:
        claim, values = entry["id"], entry["values"]
        if claim in OF_ALARMS:
            rows += [
                _row(claim, choice, OF_ALARMS[claim](sample, values), default)
                for choice, sample in (of_scored if claim in OF_HELD_OUT else of_alarms)
            ]
        elif claim == OF_RANKS:
            rows += [
                _row(
                    claim,
                    choice | {"rank_measure": measure},
                    rank_drop(sample, values, measure),
                    default,
                )
                for choice, sample in of_ranks
                for measure in RANK_MEASURES
            ]
    return from_rows(rows, "multiverse")
