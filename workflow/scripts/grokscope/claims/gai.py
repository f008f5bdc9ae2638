"""GAI1-GAI8: the Gradient Acceleration Index warns 200-400 steps ahead.

Input: :class:`grokscope.claims.evidence.Evidence`. Output: a finding a claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from grokscope import evaluation
from grokscope.claims.evidence import (
    KEY,
    Evidence,
    Finding,
    NotTestable,
    Scale,
    Values,
    claim,
    share_text,
    span_text,
    steps_text,
)
from grokscope.statistics import Interval, Rows, pearson, resolves, spearman

# The study's task sizes are published, its width, fractions and encoding are not; any run of
# its tasks counts, and the two that can grok at all must be of the published size.
GAI_SCALE = Scale(
    sizes={"modular_addition": 97**2, "s5_composition": 120**2, "cubic_regression": None},
    any_task=True,
)
GAI_DEPTHS = replace(GAI_SCALE, depths=(2, 3, 4, 6, 8))


def alarm_counts(evidence: Evidence) -> pd.DataFrame:
    """What came of the alarms in the runs that the claims are about; a row a run and layer.

    See :func:`grokscope.evaluation.run_counts`.
    """
    runs = GAI_SCALE.select(evidence.of("transitions", "gai"))
    alarms = evidence.alarms[evidence.alarms["study"] == "gai"]
    counts = evaluation.run_counts(
        alarms.merge(runs[KEY], on=KEY),
        runs,
        lead_window=evidence.settings["evaluation"]["lead_window"],
        gap=evidence.settings["phases"]["gap"],
    )
    counts = counts[counts["detector"] == evaluation.GAI]
    return counts.merge(runs[[*KEY, "final_test_metric", "test_onset_step"]], on=KEY)


def combined_counts(evidence: Evidence) -> pd.DataFrame:
    """Those of the combined norm; a row a run."""
    counts = alarm_counts(evidence)
    return counts[counts["layer"] == evaluation.COMBINED].reset_index(drop=True)


def _window(evidence: Evidence) -> str:
    low, high = evidence.settings["evaluation"]["lead_window"]
    return f"{low}-{high} steps"


def _events(evidence: Evidence) -> pd.DataFrame:
    """Combined-norm counts of the runs with an event."""
    counts = combined_counts(evidence)
    events = counts[counts["event"]].reset_index(drop=True)
    if events.empty:
        gap = evidence.settings["phases"]["gap"]
        raise NotTestable(
            f"None of the {len(counts)} runs has an event (an onset of generalisation more than "
            f"{gap} steps after memorisation)."
        )
    return events


def _judged(evidence: Evidence) -> pd.DataFrame:
    """Combined-norm counts of all runs, if there is an event and a judged alarm."""
    _events(evidence)
    counts = combined_counts(evidence)
    if not counts["n_judged"].sum():
        raise NotTestable(
            f"The combined norm raised {counts['n_alarms'].sum()} alarms in {len(counts)} runs; "
            "none can be judged."
        )
    return counts


def _median(values: np.ndarray) -> float:
    """Median of the numbers among values; NaN if there is none."""
    numbers = values[~np.isnan(values)]
    return float(np.median(numbers)) if len(numbers) else float("nan")


@claim("GAI1", quantity="median lead of the first alarm", unit="steps", scale=GAI_SCALE)
def alarm_lead(evidence: Evidence, values: Values) -> Finding:
    """GAI1: the median first-alarm lead lies in the published window.

    The point is judged, not the interval: the claim locates leads and states no uncertainty,
    and no interval over a few seeds would fit into a window of 200 steps.
    """
    events = _events(evidence)
    first = events["first_lead"].to_numpy(float)
    last = events["last_lead"].to_numpy(float)
    warned = ~np.isnan(first)
    if not warned.any():
        raise NotTestable(f"No alarm comes before any of the {len(events)} onsets.")
    measured = _median(first)
    interval = evidence.interval(events, lambda index: _median(first[index]))
    inside = float(((first >= values["low"]) & (first <= values["high"]))[warned].mean())
    quartiles = np.quantile(first[warned], [0.25, 0.75])
    return Finding(
        measured=measured,
        interval=interval,
        n=int(warned.sum()),
        seeds=events.loc[warned, "seed"].nunique(),
        holds=values["low"] <= measured <= values["high"],
        reason=f"The first alarm comes {steps_text(measured)} steps before onset in the median "
        f"(quartiles {steps_text(quartiles[0])} and {steps_text(quartiles[1])}), the last one "
        f"{steps_text(_median(last))} steps; {inside:.0%} of the first alarms lie within "
        f"{values['low']}-{values['high']} steps. {int(warned.sum())} of {len(events)} events "
        "have an alarm before them. The point is judged, as the claim states no uncertainty.",
    )


def _reaches(measured: float, interval: Interval, published: float) -> bool:
    """Whether the published value lies within or below the interval (or the point)."""
    return (measured if interval.high is None else interval.high) >= published


@claim("GAI2", quantity="precision of the combined norm's alarms", unit="share", scale=GAI_SCALE)
def alarm_precision(evidence: Evidence, values: Values) -> Finding:
    """GAI2: the published precision lies within or below the interval."""
    counts = _judged(evidence)
    hits, judged = counts["n_hits"].to_numpy(), counts["n_judged"].to_numpy()
    measured = evaluation.precision(hits, judged)
    chance = evaluation.chance_precision(counts["chance"].to_numpy(float), judged)
    interval = evidence.interval(
        counts, lambda index: evaluation.precision(hits[index], judged[index])
    )
    alarms = int(counts["n_alarms"].sum())
    quiet = int(counts.loc[~counts["event"], "n_judged"].sum())
    return Finding(
        measured=measured,
        interval=interval,
        n=len(counts),
        seeds=counts["seed"].nunique(),
        holds=_reaches(measured, interval, values["precision"]),
        reason=f"{hits.sum()} of {judged.sum()} judged alarms are followed by the onset of "
        f"delayed generalisation within {_window(evidence)}: precision {share_text(measured)}, "
        f"{share_text(chance)} by chance (alarms at random steps of the same runs). "
        f"{alarms - judged.sum()} of {alarms} alarms are censored; {quiet} of the judged ones "
        "come in runs without event.",
    )


@claim("GAI3", quantity="recall of the combined norm's alarms", unit="share", scale=GAI_SCALE)
def alarm_recall(evidence: Evidence, values: Values) -> Finding:
    """GAI3: the published recall lies within or below the interval."""
    events = _events(evidence)
    detected, event = events["detected"].to_numpy(bool), events["event"].to_numpy(bool)
    measured = evaluation.recall(detected, event)
    interval = evidence.interval(
        events, lambda index: evaluation.recall(detected[index], event[index])
    )
    misses = (1 - events["chance"].astype(float)) ** events["n_judged"].astype(float)
    return Finding(
        measured=measured,
        interval=interval,
        n=len(events),
        seeds=events["seed"].nunique(),
        holds=_reaches(measured, interval, values["recall"]),
        reason=f"{int(detected.sum())} of {len(events)} events have an alarm "
        f"{_window(evidence)} before them; as many alarms at random steps of the same runs "
        f"would find {share_text(float(1 - misses.mean()))}.",
    )


@claim("GAI4", quantity="Pearson r of spike size and test accuracy", unit="r", scale=GAI_SCALE)
def spike_size(evidence: Evidence, values: Values) -> Finding:
    """GAI4: r of the largest score before onset (or end) with the final accuracy.

    Measured on the classification tasks: the R² of a regression is no accuracy, and one badly
    fitted polynomial would decide the correlation.
    """
    counts = combined_counts(evidence)
    alarms = evidence.alarms
    fired = alarms[
        (alarms["study"] == "gai")
        & (alarms["detector"] == evaluation.GAI)
        & (alarms["layer"] == evaluation.COMBINED)
    ].merge(counts[[*KEY, "test_onset_step"]], on=KEY)
    before = fired[fired["test_onset_step"].isna() | (fired["step"] < fired["test_onset_step"])]
    largest = before.groupby(KEY)["score"].max().reset_index()
    spikes = largest.merge(counts[[*KEY, "final_test_metric"]], on=KEY).dropna()
    spikes = spikes.astype({"score": float, "final_test_metric": float})
    accuracy = ~spikes["task"].str.endswith("_regression")
    rows = spikes[accuracy].reset_index(drop=True)
    score = rows["score"].to_numpy(float)
    metric = rows["final_test_metric"].to_numpy(float)
    measured = pearson(score, metric)
    if math.isnan(measured):
        raise NotTestable(
            f"A correlation needs three runs with an alarm before onset and accuracies that "
            f"differ; there are {len(rows)} runs with such an alarm."
        )
    interval = evidence.interval(rows, lambda index: pearson(score[index], metric[index]))
    every = pearson(spikes["score"].to_numpy(float), spikes["final_test_metric"].to_numpy(float))
    excludes_zero = interval.low is None or interval.low > 0
    runs = int((~counts["task"].str.endswith("_regression")).sum())
    return Finding(
        measured=measured,
        interval=interval,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=excludes_zero and _reaches(measured, interval, values["r"]),
        reason=f"Over the {len(rows)} of {runs} classification runs that have an alarm before "
        f"onset (or their end) r = {share_text(measured)}, Spearman's rho = "
        f"{share_text(spearman(score, metric))}; with the R² of the regression runs r = "
        f"{share_text(every)}. It holds if the interval excludes zero and reaches {values['r']}.",
    )


def _first_alarms(counts: pd.DataFrame) -> pd.DataFrame:
    """Steps of the first alarm before onset, a row an event and a column a layer."""
    layers = counts[
        counts["event"] & (counts["layer"] != evaluation.COMBINED) & (counts["layer"] != "0")
    ]
    table = layers.assign(
        layer=layers["layer"].astype(int), first=layers["onset"] - layers["first_lead"]
    )
    # Not pivot_table: that would drop layers without any alarm.
    return table.pivot(index=KEY, columns="layer", values="first")  # noqa: PD010


@claim(
    "GAI5",
    quantity="share of events whose last layer alarms before the first",
    unit="share",
    scale=GAI_SCALE,
)
def layer_order(evidence: Evidence, values: Values) -> Finding:
    """GAI5: the last layer's first alarm precedes the first layer's in most events."""
    events = _events(evidence)
    steps = _first_alarms(alarm_counts(evidence))
    depth = steps.index.get_level_values("depth").to_numpy(int)
    table = steps.to_numpy(float)
    columns = steps.columns.to_numpy(int)
    first = table[:, columns == 1][:, 0]
    last = np.array([row[columns == layer][0] for row, layer in zip(table, depth, strict=True)])
    either = ~(np.isnan(first) & np.isnan(last))
    if not either.any():
        raise NotTestable(
            f"Neither the first nor the last layer raises an alarm before any of the "
            f"{len(events)} onsets."
        )
    # A layer without alarm before onset comes after one that has it.
    leads = (np.nan_to_num(last, nan=np.inf) < np.nan_to_num(first, nan=np.inf))[either]
    rows = steps.reset_index()[either].reset_index(drop=True)
    taus = []
    for row in table:
        fired = ~np.isnan(row)
        if fired.sum() >= 2 and np.ptp(row[fired]) > 0:
            taus.append(float(stats.kendalltau(columns[fired], row[fired]).statistic))
    measured = float(leads.mean())
    interval = evidence.interval(rows, lambda index: float(leads[index].mean()))
    above = measured if interval.low is None else interval.low
    order = (
        f" Kendall's tau of layer and first alarm (negative: last first) has the median "
        f"{float(np.median(taus)):.2f} over {len(taus)} events."
        if taus
        else ""
    )
    return Finding(
        measured=measured,
        interval=interval,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=above > 0.5,
        reason=f"In {int(leads.sum())} of {len(rows)} events with an alarm in either layer the "
        f"last layer comes first; without order it would be half. It holds if the interval (or, "
        f"with one seed, the share) lies above 0.5.{order}",
    )


@claim(
    "GAI6",
    quantity="median relative drop of the last layer's effective rank at onset",
    unit="share",
    scale=GAI_SCALE,
)
def rank_drop(evidence: Evidence, values: Values) -> Finding:
    """GAI6: the median drop of the last layer's effective rank lies in the published range."""
    events = _events(evidence)
    rank = GAI_SCALE.select(evidence.of("rank", "gai"))
    rank = rank[rank["is_last_layer"] & rank["relative_drop"].notna()]
    rank = rank.astype({"relative_drop": float})
    at_onset = rank[rank["reference"] == "onset"].merge(events[KEY], on=KEY)
    matched = rank[rank["reference"] == "matched"]
    rows = at_onset[at_onset["measure"] == "effective"].reset_index(drop=True)
    if rows.empty:
        raise NotTestable("No event has ranks measured on both sides of its onset.")
    drop = rows["relative_drop"].to_numpy(float)
    measured = _median(drop)
    parts = []
    for measure in ("effective", "stable", "numerical"):
        here = at_onset.loc[at_onset["measure"] == measure, "relative_drop"]
        there = matched.loc[matched["measure"] == measure, "relative_drop"]
        if len(here):
            control = f"{there.median():.3f} in {len(there)}" if len(there) else "none"
            parts.append(f"{measure} {here.median():.3f} (matched: {control})")
    return Finding(
        measured=measured,
        interval=evidence.interval(rows, lambda index: _median(drop[index])),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=values["low"] <= measured <= values["high"],
        reason=f"Median drop over {len(rows)} events, beside that of runs that never generalise "
        f"around the matched step: {', '.join(parts)}. The effective rank's point is judged "
        f"against {values['low']}-{values['high']}.",
    )


def _excess(counts: pd.DataFrame) -> Callable[[Rows], float]:
    """Precision minus chance of some runs, by row index."""
    hits, judged = counts["n_hits"].to_numpy(), counts["n_judged"].to_numpy()
    chance = counts["chance"].to_numpy(float)

    def excess(index: Rows) -> float:
        return evaluation.precision(hits[index], judged[index]) - evaluation.chance_precision(
            chance[index], judged[index]
        )

    return excess


@claim(
    "GAI7",
    quantity="smallest precision minus chance over the depths with events",
    unit="share",
    scale=GAI_DEPTHS,
)
def every_depth(evidence: Evidence, values: Values) -> Finding:
    """GAI7: precision is above chance at every depth that has events."""
    events = _events(evidence)
    counts = combined_counts(evidence)
    depths = sorted(events["depth"].unique())
    found: dict[int, tuple[float, Interval]] = {}
    silent = []
    parts = []
    for depth in depths:
        rows = counts[counts["depth"] == depth].reset_index(drop=True)
        excess = _excess(rows)
        value = excess(np.arange(len(rows)))
        name = f"depth {depth} ({int(rows['event'].sum())} of {len(rows)} runs with event)"
        if math.isnan(value):
            silent.append(depth)
            parts.append(f"{name}: no judged alarm")
            continue
        found[depth] = value, evidence.interval(rows, excess)
        parts.append(f"{name}: {value:+.3f} ({span_text(found[depth][1], '{:+.3f}'.format)})")
    if not found:
        raise NotTestable(f"No alarm can be judged at the depths with events, {depths}.")
    worst = min(found, key=lambda depth: found[depth][0])
    without = sorted(set(counts["depth"].unique()) - set(depths))
    nothing = f" No event at depth {', '.join(map(str, without))}." if without else ""
    rows = counts[counts["depth"].isin(depths)]
    return Finding(
        measured=found[worst][0],
        interval=found[worst][1],
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=not silent and all(value > 0 for value, _ in found.values()),
        reason=f"Precision minus chance, with intervals: {'; '.join(parts)}.{nothing}",
    )


@claim("GAI8", quantity="precision minus chance", unit="share", scale=GAI_SCALE)
def corrected_significance(evidence: Evidence, values: Values) -> Finding:
    """GAI8: the Bonferroni-corrected interval of precision minus chance lies above zero.

    The family is the other numerical claims of the study. An interval that the seeds are too
    few for is only as wide as their range; then only a precision no better than chance decides.
    """
    counts = _judged(evidence)
    excess = _excess(counts)
    measured = excess(np.arange(len(counts)))
    confidence = evidence.settings["evaluation"]["confidence"]
    corrected = 1 - (1 - confidence) / values["family"]
    interval = evidence.interval(counts, excess, corrected)
    seeds = counts["seed"].nunique()
    resolved = resolves(corrected, seeds)
    if interval.low is None:
        raise NotTestable(
            f"An interval over seeds needs at least 2 seeds; there is {seeds}. Precision minus "
            f"chance is {measured:+.3f}."
        )
    text = (
        f"Precision minus chance is {measured:+.3f}, its interval at the confidence "
        f"{corrected:.4f} ({confidence:g}, Bonferroni-corrected for {values['family']} claims) "
        f"{span_text(interval, '{:+.3f}'.format)}."
    )
    if not resolved:
        text += f" {seeds} seeds are too few for that confidence: this is only their range."
    return Finding(
        measured=measured,
        interval=interval,
        n=len(counts),
        seeds=seeds,
        holds=interval.low > 0,
        testable=resolved or measured <= 0,
        reason=text,
    )
