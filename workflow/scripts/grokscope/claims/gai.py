"""GAI1-GAI8: the Gradient Acceleration Index warns 200-400 steps ahead.

Input: :class:`grokscope.claims.registry.Evidence`. Output: a finding a claim.

GAI1-GAI3, GAI7 and GAI8 are judged by the row of the table ``evaluation`` that comes closest to
what was published: every alarm of the combined norm above the published threshold, matched one
to one with onsets in the published window, on the held-out seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from grokscope.claims.registry import (
    CELL,
    KEY,
    Evidence,
    Finding,
    NotTestable,
    Scale,
    Values,
    claim,
    p_text,
    records,
    select,
    share_text,
    span_text,
    steps_text,
)
from grokscope.claims.rules import above, correlates, inside, reaches, significant
from grokscope.claims.wording import null_rows, p_values, sentence
from grokscope.evaluate import matching
from grokscope.evaluate.matching import AtRisk, Cohort, floats, held_out, is_event
from grokscope.evaluate.statistics import (
    NO_INTERVAL,
    Interval,
    p_value,
    pearson,
    resolves,
    spearman,
)
from grokscope.measure.alarms import largest_spike

Array = NDArray[np.float64]
Row = Mapping[str, Any]

STUDY, DETECTOR, COMBINED = "gai", "gai", "combined"
# The null that alarms of the same runs at other times are: p-values of the claims are against it.
NULL = "B"

# The study's task sizes are published, its width, fractions and encoding are not; any run of
# its tasks counts, and the two that can grok at all must be of the published size.
GAI_SCALE = Scale(
    sizes={"modular_addition": 97**2, "s5_composition": 120**2, "cubic_regression": None},
    any_task=True,
)
GAI_DEPTHS = replace(GAI_SCALE, depths=(2, 3, 4, 6, 8))


# -------------------------------------------------------- the published alarms


def published_alarms(evidence: Evidence) -> dict[str, Any]:
    """Columns of ``evaluation`` and ``chance`` that name the published alarms and window."""
    low, high = evidence.settings["evaluation"]["lead_window"]
    alarms = {"study": STUDY, "detector": DETECTOR, "layer": COMBINED}
    alarms |= {"threshold_source": "published", "rule": "every"}
    return alarms | {"lead_min": low, "lead_max": high}


def headline(evidence: Evidence, depth: int | None = None) -> Row:
    """Row of the table ``evaluation`` that claims are judged by; `depth` None pools all.

    Raises
    ------
    NotTestable
        If there is none, or if it has no event.
    """
    where = published_alarms(evidence)
    rows = records(select(evidence.evaluation, task=None, depth=depth, **where))
    if not rows:
        raise NotTestable("No run of a held-out seed was evaluated.")
    if not rows[0]["n_events"]:
        raise NotTestable(_no_event(evidence, rows[0]["n_runs"], "held-out runs"))
    return rows[0]


def _no_event(evidence: Evidence, number: int, noun: str) -> str:
    gap = evidence.settings["phases"]["gap"]
    return (
        f"None of the {number} {noun} has an event (an onset of generalisation more than {gap} "
        "steps after memorisation)."
    )


def nulls_of(evidence: Evidence, score: str, depth: int | None = None) -> dict[str, Row]:
    """Rows of the table ``chance`` of the headline row, by null model."""
    where = published_alarms(evidence)
    rows = null_rows(evidence.chance, task=None, depth=depth, score=score, **where)
    return {name: dict(row) for name, row in rows.items()}


def _p(nulls: Mapping[str, Row]) -> float | None:
    return float(nulls[NULL]["p"]) if NULL in nulls else None


def _interval(row: Row, score: str) -> Interval:
    low, high = row[f"{score}_low"], row[f"{score}_high"]
    return NO_INTERVAL if pd.isna(low) or pd.isna(high) else Interval(float(low), float(high))


def _chance_text(evidence: Evidence, nulls: Mapping[str, Row]) -> str:
    """What shifted alarms reach, and which null models are beaten; empty without any."""
    if not nulls:
        return ""
    text = f" It {sentence(p_values(nulls), evidence.alpha)}."
    if NULL in nulls:
        mean = share_text(float(nulls[NULL]["null_mean"]))
        text = f" Shifted alarms reach {mean} ({p_text(_p(nulls))}).{text}"
    return text


def _window(evidence: Evidence) -> str:
    low, high = evidence.settings["evaluation"]["lead_window"]
    return f"{low}-{high} steps"


# ----------------------------------------------------------------- single runs


def runs_of(evidence: Evidence) -> pd.DataFrame:
    """Runs that the claims are about, with ``event`` and ``onset`` (NaN: not reached)."""
    runs = GAI_SCALE.select(evidence.of("transitions", STUDY))
    event = is_event(runs, evidence.settings["phases"]["gap"])
    return runs.assign(event=event, onset=floats(runs["test_onset_step"]))


def events_of(evidence: Evidence) -> pd.DataFrame:
    """The runs with an event, development seeds included: no threshold was chosen on them."""
    runs = runs_of(evidence)
    events = runs[runs["event"]].reset_index(drop=True)
    if events.empty:
        raise NotTestable(_no_event(evidence, len(runs), "runs"))
    return events


def alarms_of(evidence: Evidence, runs: pd.DataFrame) -> pd.DataFrame:
    """GAI alarms of some runs, with the runs' columns."""
    alarms = evidence.alarms[evidence.alarms["detector"] == DETECTOR]
    columns = [*KEY, "event", "onset", "final_test_metric"]
    return alarms.merge(runs[columns], on=KEY).astype({"step": float, "peak": float})


def block_ends(evidence: Evidence, steps: Array) -> Array:
    """Steps at which the evaluation knew of alarms: ends of the blocks that scores are kept in.

    First alarms are exactly its own. A later one can be missing there, or be later, if it came
    within a block of the end of the refractory period.
    """
    block = evidence.settings["detectors"]["resolution"]
    return np.asarray(np.ceil(steps / block) * block)


def combined_alarms(evidence: Evidence) -> tuple[pd.DataFrame, AtRisk]:
    """Held-out runs and the alarms of their combined norm, as the evaluation knew them."""
    runs = runs_of(evidence)
    scored = held_out(runs["seed"], evidence.settings["evaluation"]["development_seeds"])
    runs = runs[scored].reset_index(drop=True)
    alarms = alarms_of(evidence, runs)
    alarms = alarms[alarms["layer"] == COMBINED]
    steps = {key: group["step"].to_numpy() for key, group in alarms.groupby(KEY)}
    ends = [
        block_ends(evidence, steps.get(key, np.empty(0)))
        for key in runs[KEY].itertuples(index=False, name=None)
    ]
    cohort = Cohort.from_transitions(runs, evidence.settings["phases"]["gap"])
    return runs, AtRisk(matching.alarms_of(ends), cohort)


def first_leads(evidence: Evidence) -> tuple[pd.DataFrame, Array]:
    """Events of the held-out seeds, and the lead of the first alarm; 0 for a missed event."""
    runs, at_risk = combined_alarms(evidence)
    event = at_risk.cohort.event
    first = at_risk.first[0, event]
    lead = np.where(np.isfinite(first), at_risk.cohort.onset[event] - first, 0)
    return runs[event].reset_index(drop=True), lead


# ---------------------------------------------------------------------- claims


@claim("GAI1", quantity="median lead of the first alarm", unit="steps", scale=GAI_SCALE)
def alarm_lead(evidence: Evidence, values: Values) -> Finding:
    """GAI1: the median lead of the first alarm over all events lies in the published window.

    The point is judged, not the interval: the claim locates leads and states no uncertainty,
    and no interval over a few seeds would fit into a window of 200 steps.
    """
    row = headline(evidence)
    events, lead = first_leads(evidence)
    measured = float(row["lead_median"])
    warned = lead > 0
    within = (lead >= values["low"]) & (lead <= values["high"])
    low, high = (steps_text(float(row[f"lead_{end}"])) for end in ("q25", "q75"))
    survival = "not reached"
    if pd.notna(row["km_lead_median"]):
        survival = f"{steps_text(round(float(row['km_lead_median']), 1))} steps"
    return Finding(
        measured=measured,
        interval=evidence.interval(events, lambda index: float(np.median(lead[index]))),
        n=int(row["n_events"]),
        seeds=int(row["seeds"]),
        holds=inside(measured, values["low"], values["high"]),
        reason=f"Over all {row['n_events']} events of held-out seeds, misses counted as 0, the "
        f"first alarm comes {steps_text(measured)} steps before onset in the median (quartiles "
        f"{low} and {high}; Kaplan-Meier median with runs that alarmed and ended before an onset: "
        f"{survival}). {int(warned.sum())} of {len(lead)} events have an alarm before them; "
        f"{int(within.sum())} of these come {values['low']}-{values['high']} steps ahead. The "
        "point is judged, as the claim states no uncertainty.",
    )


@claim("GAI2", quantity="precision of the combined norm's alarms", unit="share", scale=GAI_SCALE)
def alarm_precision(evidence: Evidence, values: Values) -> Finding:
    """GAI2: the published precision lies within or below the interval."""
    row = headline(evidence)
    if pd.isna(row["precision"]):
        raise NotTestable(
            f"The combined norm raised {row['n_alarms']} alarms at risk in {row['n_runs']} runs; "
            "none can be judged."
        )
    measured, interval = float(row["precision"]), _interval(row, "precision")
    nulls = nulls_of(evidence, "precision")
    return Finding(
        measured=measured,
        interval=interval,
        n=int(row["n_runs"]),
        seeds=int(row["seeds"]),
        holds=reaches(measured, interval, values["precision"]),
        p=_p(nulls),
        reason=f"{row['n_hits']} of {row['n_judged']} judged alarms are followed by the onset of "
        f"delayed generalisation within {_window(evidence)}, one alarm an event: precision "
        f"{share_text(measured)}. {row['n_alarms'] - row['n_judged']} of {row['n_alarms']} alarms "
        f"are censored.{_chance_text(evidence, nulls)}",
    )


@claim("GAI3", quantity="recall of the combined norm's alarms", unit="share", scale=GAI_SCALE)
def alarm_recall(evidence: Evidence, values: Values) -> Finding:
    """GAI3: the published recall lies within or below the interval."""
    row = headline(evidence)
    measured, interval = float(row["recall"]), _interval(row, "recall")
    nulls = nulls_of(evidence, "recall")
    return Finding(
        measured=measured,
        interval=interval,
        n=int(row["n_events"]),
        seeds=int(row["seeds"]),
        holds=reaches(measured, interval, values["recall"]),
        p=_p(nulls),
        reason=f"{row['n_hits']} of {row['n_events']} events have an alarm {_window(evidence)} "
        f"before them.{_chance_text(evidence, nulls)}",
    )


def spikes(evidence: Evidence) -> pd.DataFrame:
    """Largest spike of each run before its onset (or its end), and the run's final metric.

    The size of a spike is its peak (:func:`grokscope.measure.alarms.spike_peaks`). Runs without
    alarm by then, or without final metric, are left out.
    """
    runs = runs_of(evidence).sort_values(KEY, ignore_index=True)
    fired = alarms_of(evidence, runs)
    sizes = {
        key: largest_spike(of["peak"].to_numpy(), of["step"].to_numpy(), of["onset"].iloc[0])
        for key, of in fired[fired["layer"] == COMBINED].groupby(KEY)
    }
    found = [sizes.get(key) for key in runs[KEY].itertuples(index=False, name=None)]
    rows = runs.assign(spike=np.array(found, float))
    rows = rows[[*KEY, "spike", "final_test_metric"]].astype({"final_test_metric": float})
    return rows.dropna(ignore_index=True)


def permuted_correlation(x: Array, y: Array, resamples: int, seed: int) -> float:
    """One-sided p-value of a positive Pearson r: runs' final metrics permuted.

    Exact where there are no more than `resamples` permutations. Arrays of shape ``(n_runs,)``.
    """

    def correlation(of: Array, axis: int) -> Array:
        centred = of - of.mean(axis=axis, keepdims=True)
        return np.asarray((centred * (y - y.mean())).sum(axis=axis))

    result = stats.permutation_test(
        (x,),
        correlation,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=resamples,
        vectorized=True,
        batch=10_000,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


@claim("GAI4", quantity="Pearson r of spike size and test accuracy", unit="r", scale=GAI_SCALE)
def spike_size(evidence: Evidence, values: Values) -> Finding:
    """GAI4: r of the largest spike before onset (or end) with the final accuracy.

    Measured on the classification tasks: the R² of a regression is no accuracy, and one badly
    fitted polynomial would decide the correlation. Beside the pooled r, which was published,
    stand r across cells (of the cells' means) and within cells (of deviations from these): only
    the last tells runs of one setting apart.
    """
    every = spikes(evidence)
    rows = every[~every["task"].str.endswith("_regression")].reset_index(drop=True)
    spike, metric = (rows[name].to_numpy(float) for name in ("spike", "final_test_metric"))
    measured = pearson(spike, metric)
    if math.isnan(measured):
        raise NotTestable(
            f"A correlation needs three runs with an alarm before onset and accuracies that "
            f"differ; there are {len(rows)} runs with such an alarm."
        )
    interval = evidence.interval(rows, lambda index: pearson(spike[index], metric[index]))
    ranked = evidence.interval(rows, lambda index: spearman(spike[index], metric[index]))
    cells = rows.groupby(["task", *CELL])[["spike", "final_test_metric"]]
    means = cells.mean().to_numpy(float)
    inner = (rows[["spike", "final_test_metric"]] - cells.transform("mean")).to_numpy(float)
    within = evidence.interval(rows, lambda index: pearson(inner[index, 0], inner[index, 1]))
    both = pearson(every["spike"].to_numpy(float), every["final_test_metric"].to_numpy(float))
    settings = evidence.settings["evaluation"]
    p = permuted_correlation(spike, metric, settings["surrogates"], settings["seed"])
    runs = runs_of(evidence)
    number = int((~runs["task"].str.endswith("_regression")).sum())
    return Finding(
        measured=measured,
        interval=interval,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=correlates(measured, interval, values["r"]),
        p=p,
        reason=f"Over the {len(rows)} of {number} classification runs that have an alarm before "
        f"onset (or their end) r = {share_text(measured)} ({p_text(p)}, runs permuted), "
        f"Spearman's rho = {share_text(spearman(spike, metric))} "
        f"({span_text(ranked, share_text)}). Across {len(means)} cells r = "
        f"{share_text(pearson(means[:, 0], means[:, 1]))}, within cells "
        f"{share_text(pearson(inner[:, 0], inner[:, 1]))} ({span_text(within, share_text)}): only "
        "this tells runs of one setting apart. With the R² of the regression runs r = "
        f"{share_text(both)}. A spike's size is its largest score, from the alarm to the end of "
        "the refractory period. It holds if the interval excludes zero and reaches "
        f"{values['r']}.",
    )


def layer_alarms(evidence: Evidence, events: pd.DataFrame) -> pd.DataFrame:
    """Steps of the first alarm before onset: a row an event, a column a layer, NaN without one."""
    fired = alarms_of(evidence, events)
    fired = fired[(fired["step"] < fired["onset"]) & ~fired["layer"].isin([COMBINED, "0"])]
    fired = fired.assign(layer=fired["layer"].astype(int))
    steps = fired.groupby([*KEY, "layer"])["step"].min().unstack("layer")  # noqa: PD010
    keys = pd.MultiIndex.from_frame(events[KEY])
    layers = range(1, int(events["depth"].max()) + 1)
    return steps.reindex(index=keys, columns=layers)


def order_score(steps: Array) -> Array:
    """Kendall's tau-b of layers 1, 2, ... and the steps of their first alarms.

    Parameters
    ----------
    steps
        Shape ``(..., n_layers)``, without NaN.

    Returns
    -------
    ndarray
        Shape ``(...)``; negative if later layers come first, NaN if all come at once.

    References
    ----------
    Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33.
    """
    n_layers = steps.shape[-1]
    one, other = np.triu_indices(n_layers, 1)
    signs = np.sign(steps[..., other] - steps[..., one])
    pairs = len(one)
    with np.errstate(invalid="ignore"):
        # Layers are never tied with each other, steps may be.
        scale = np.sqrt(pairs * np.abs(signs).sum(axis=-1))
        return np.asarray(signs.sum(axis=-1) / scale)


def permuted_order(table: Array, surrogates: int, seed: int) -> tuple[Array, float | None]:
    """tau of each event, and the p-value of their mean when each event's layers are permuted.

    Parameters
    ----------
    table
        Steps of first alarms, shape ``(n_events, n_layers)``; NaN without alarm.

    Returns
    -------
    taus
        Of the events with two layers that alarm at different steps, shape ``(<= n_events,)``.
    p
        One-sided, for the last layer coming first (tau < 0); None without such an event.
    """
    rng = np.random.default_rng(seed)
    taus: list[float] = []
    null = np.zeros(surrogates)
    for row in table:
        steps = row[~np.isnan(row)]
        if len(np.unique(steps)) < 2:
            continue
        taus.append(float(stats.kendalltau(np.arange(len(steps)), steps).statistic))
        null += order_score(rng.permuted(np.tile(steps, (surrogates, 1)), axis=1))
    if not taus:
        return np.empty(0), None
    # The sum orders surrogates as the mean does.
    return np.array(taus), p_value(-sum(taus), -null)


@claim(
    "GAI5",
    quantity="share of events whose last layer alarms before the first",
    unit="share",
    scale=GAI_SCALE,
)
def layer_order(evidence: Evidence, values: Values) -> Finding:
    """GAI5: the last layer's first alarm precedes the first layer's in most events."""
    events = events_of(evidence)
    table = layer_alarms(evidence, events).to_numpy(float)
    depth = events["depth"].to_numpy(int)
    first, last = table[:, 0], table[np.arange(len(table)), depth - 1]
    either = ~(np.isnan(first) & np.isnan(last))
    if not either.any():
        raise NotTestable(
            f"Neither the first nor the last layer raises an alarm before any of the "
            f"{len(events)} onsets."
        )
    # A layer without alarm before onset comes after one that has it.
    leads = (np.nan_to_num(last, nan=np.inf) < np.nan_to_num(first, nan=np.inf))[either]
    rows = events[either].reset_index(drop=True)
    settings = evidence.settings["evaluation"]
    taus, p = permuted_order(table, settings["surrogates"], settings["seed"])
    measured = float(leads.mean())
    interval = evidence.interval(rows, lambda index: float(leads[index].mean()))
    order = (
        f" Kendall's tau of layer and first alarm (negative: last first) has the mean "
        f"{taus.mean():.2f} and the median {float(np.median(taus)):.2f} over {len(taus)} events; "
        f"with each event's layers permuted, {p_text(p)}."
        if len(taus)
        else ""
    )
    return Finding(
        measured=measured,
        interval=interval,
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=above(measured, interval, 0.5),
        p=p,
        reason=f"In {int(leads.sum())} of {len(rows)} events with an alarm in either layer the "
        f"last layer comes first; without order it would be half. It holds if the interval (or, "
        f"with one seed, the share) lies above 0.5.{order}",
    )


def rank_controls(events: pd.DataFrame, matched: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Matched drops to compare those of events with, and where they come from, in words.

    Runs of the events' own cells that never generalise; without any, those of the same task,
    whatever their depth.
    """
    for names, words in (
        (["task", *CELL], "of the same cells"),
        (["task", "depth"], "of the same tasks and depths"),
        (["task"], "of the same tasks, other depths included, as there are none nearer"),
    ):
        near = matched.merge(events[names].drop_duplicates(), on=names)
        if len(near):
            return near, words
    return matched.head(0), "of the same tasks: there are none"


@claim(
    "GAI6",
    quantity="median relative drop of the last layer's effective rank at onset",
    unit="share",
    scale=GAI_SCALE,
)
def rank_drop(evidence: Evidence, values: Values) -> Finding:
    """GAI6: the median drop of the last layer's effective rank lies in the published range."""
    events = events_of(evidence)
    rank = GAI_SCALE.select(evidence.of("rank", STUDY))
    rank = rank[rank["is_last_layer"] & rank["relative_drop"].notna()]
    rank = rank.astype({"relative_drop": float})
    drops = {
        measure: rank[(rank["reference"] == "onset") & (rank["measure"] == measure)]
        .merge(events[KEY], on=KEY)
        .reset_index(drop=True)
        for measure in ("effective", "stable", "numerical")
    }
    rows = drops["effective"]
    if rows.empty:
        raise NotTestable("No event has ranks measured on both sides of its onset.")
    parts, p, where = [], None, ""
    for measure, at_onset in drops.items():
        matched = rank[(rank["reference"] == "matched") & (rank["measure"] == measure)]
        controls, words = rank_controls(at_onset, matched)
        here, there = at_onset["relative_drop"], controls["relative_drop"]
        if at_onset.empty:
            continue
        text = f"{measure} {here.median():.3f}"
        if len(there):
            test = stats.mannwhitneyu(here, there, alternative="greater")
            value = float(test.pvalue)
            text += f" (matched: {there.median():.3f} in {len(there)}; {p_text(value)})"
        else:
            value = None
            text += " (matched: none)"
        parts.append(text)
        if measure == "effective":
            p, where = value, words
    drop = rows["relative_drop"].to_numpy(float)
    measured = float(np.median(drop))
    return Finding(
        measured=measured,
        interval=evidence.interval(rows, lambda index: float(np.median(drop[index]))),
        n=len(rows),
        seeds=rows["seed"].nunique(),
        holds=inside(measured, values["low"], values["high"]),
        p=p,
        reason=f"Median drop over {len(rows)} events, beside that of runs that never generalise "
        f"around the matched step ({where}), with Mann-Whitney's p for a larger drop at onset "
        "(runs taken as independent, though those of a seed share data and start): "
        f"{', '.join(parts)}. The effective rank's point is judged against "
        f"{values['low']}-{values['high']}.",
    )


@claim(
    "GAI7",
    quantity="smallest precision minus chance over the depths with events",
    unit="share",
    scale=GAI_DEPTHS,
)
def every_depth(evidence: Evidence, values: Values) -> Finding:
    """GAI7: precision is above that of shifted alarms at every depth that has events.

    Every depth must be significant, so the largest p-value is that of the claim and needs no
    correction (an intersection-union test).
    """
    pooled = headline(evidence)
    where = published_alarms(evidence)
    depths = select(evidence.evaluation, task=None, **where)
    depths = depths[depths["depth"].notna()].sort_values("depth")
    found: dict[int, tuple[float, Interval, float]] = {}
    parts, silent, without = [], [], []
    for row in records(depths):
        depth = int(row["depth"])
        if not row["n_events"]:
            without.append(depth)
            continue
        name = f"depth {depth} ({row['n_events']} of {row['n_runs']} runs with event)"
        nulls = nulls_of(evidence, "precision", depth)
        if NULL not in nulls:
            silent.append(depth)
            parts.append(f"{name}: no judged alarm")
            continue
        by_chance, p = float(nulls[NULL]["null_mean"]), float(nulls[NULL]["p"])
        value = float(row["precision"]) - by_chance
        interval = _interval(row, "precision").minus(by_chance)
        found[depth] = value, interval, p
        span = span_text(interval, "{:+.3f}".format)
        parts.append(f"{name}: {value:+.3f} ({span}; {p_text(p)})")
    if not found:
        raise NotTestable(f"No alarm can be judged at the depths with events, {silent}.")
    worst = min(found, key=lambda depth: found[depth][0])
    nothing = f" No event at depth {', '.join(map(str, without))}." if without else ""
    largest = max(p for _, _, p in found.values())
    return Finding(
        measured=found[worst][0],
        interval=found[worst][1],
        n=int(sum(row["n_runs"] for row in records(depths) if row["n_events"])),
        seeds=int(pooled["seeds"]),
        holds=not silent
        and largest < evidence.alpha
        and all(value > 0 for value, _, _ in found.values()),
        p=None if silent else largest,
        reason=f"Precision minus that of shifted alarms, with intervals: {'; '.join(parts)}."
        f"{nothing} It holds if every depth with events is above, each with p below "
        f"{evidence.alpha:g}.",
    )


@claim("GAI8", quantity="precision minus chance", unit="share", scale=GAI_SCALE, of_family=True)
def corrected_significance(evidence: Evidence, values: Values) -> Finding:
    """GAI8: significant by a Bonferroni-corrected interval, and by every adjusted p-value.

    The interval is that of precision minus the precision of shifted alarms; the family is the
    other numerical claims of the study. An interval that the seeds are too few for is only as
    wide as their range; then only a precision no better than chance decides.
    """
    row = headline(evidence)
    nulls = nulls_of(evidence, "precision")
    if NULL not in nulls:
        raise NotTestable("The combined norm raised no alarm that can be judged.")
    by_chance = float(nulls[NULL]["null_mean"])
    measured = float(row["precision"]) - by_chance
    confidence = evidence.settings["evaluation"]["confidence"]
    corrected = 1 - (1 - confidence) / values["family"]
    runs, at_risk = combined_alarms(evidence)
    low, high = evidence.settings["evaluation"]["lead_window"]
    hits, judged = (counts[0] for counts in at_risk.judge("every", (low, high)))

    def excess(index: NDArray[np.intp]) -> float:
        alarms = judged[index].sum()
        return float(hits[index].sum() / alarms) - by_chance if alarms else math.nan

    interval = evidence.interval(runs, excess, corrected)
    seeds = int(row["seeds"])
    if interval.low is None:
        raise NotTestable(
            f"An interval needs judged alarms of at least 2 seeds; {seeds} are held out. "
            f"Precision minus that of shifted alarms is {measured:+.3f}."
        )
    resolved = resolves(corrected, seeds)
    clear = significant(measured, interval, resolved)
    open_ones = sorted(name for name, p in evidence.p_holm.items() if p >= evidence.alpha)
    text = (
        f"Precision minus that of shifted alarms is {measured:+.3f}, its interval at the "
        f"confidence {corrected:.4f} ({confidence:g}, Bonferroni-corrected for "
        f"{values['family']} claims) {span_text(interval, '{:+.3f}'.format)}."
    )
    if not resolved:
        text += f" {seeds} seeds are too few for that confidence: this is only their range."
    if evidence.p_holm:
        text += f" Of {len(evidence.p_holm)} p-values, adjusted by Holm, "
        text += (
            f"those of {', '.join(open_ones)} are not below {evidence.alpha:g}."
            if open_ones
            else f"all are below {evidence.alpha:g}."
        )
    return Finding(
        measured=measured,
        interval=interval,
        n=len(runs),
        seeds=seeds,
        holds=bool(clear) and not open_ones,
        testable=clear is not None or bool(open_ones),
        reason=text,
    )
