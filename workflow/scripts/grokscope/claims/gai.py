"""GAI1-GAI8: the Gradient Acceleration Index warns 200-400 steps ahead.

Input: :class:`grokscope.claims.evidence.Evidence`. Output: one finding per claim. The numbers are
those of :mod:`grokscope.claims.measures` at the configured choice.

GAI1-GAI3, GAI7 and GAI8 are judged by what comes closest to what was published: every alarm of
the combined norm above the published threshold, matched one to one with onsets in the published
window, on the held-out seeds. What their rules say stands in ``claims.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from grokscope.claims.about import Explanation, about, not_significant
from grokscope.claims.controls import (
    layer_alarms,
    permuted_correlation,
    permuted_order,
    rank_controls,
)
from grokscope.claims.evidence import Evidence
from grokscope.claims.gai_rules import (
    at_every_depth,
    beyond_chance,
    depth_testable,
    in_region,
    testable,
)
from grokscope.claims.measures import (
    NOTHING,
    NULL,
    Chance,
    Headline,
    Sample,
    classification,
    spiking,
)
from grokscope.claims.registry import NotTestable, Scale, Values
from grokscope.claims.rules import MAJORITY, Region, fewest
from grokscope.claims.wording import sentence
from grokscope.core.formatting import number, p_text, signed, span, steps
from grokscope.data.parts import RANK_MEASURES
from grokscope.evaluate.intervals import Interval
from grokscope.evaluate.statistics import pearson, spearman
from grokscope.evaluate.tables import leads
from grokscope.measure.onsets import is_event
from grokscope.runs.settings import EvaluationSettings
from grokscope.runs.spec import cell_columns, key_columns

# The study's task sizes are published, its width, fractions and encoding are not; any run of
# its tasks counts, and the two that can grok at all must be of the published size.
GAI_SCALE = Scale(
    sizes={"modular_addition": 97**2, "s5_composition": 120**2, "cubic_regression": None},
    any_task=True,
)
GAI_DEPTHS = replace(GAI_SCALE, depths=(2, 3, 4, 6, 8))

about_gai = partial(about, scale=GAI_SCALE)


def _chance(evidence: Evidence, sample: Sample, score: str) -> tuple[str, float | None]:
    """What shifted alarms reach and which null models are beaten, in words; and the p-value.

    The words are empty without any null model, the p-value is that against shifted alarms.
    """
    found = {
        model: of
        for (model, depth, name), of in sample.chance.items()
        if (depth, name) == (None, score)
    }
    if not found:
        return "", None
    p = {model: of.p for model, of in found.items() if testable(of, evidence.analysis.evaluation)}
    text = f" It {sentence(p, evidence.alpha)}."
    if NULL not in found:
        return text, None
    of = found[NULL]
    if not testable(of, evidence.analysis.evaluation):
        note = _untestable(of, evidence.analysis.evaluation)
        return f" Shifted alarms reach {number(of.mean)} ({p_text(of.p)}).{note}{text}", None
    return f" Shifted alarms reach {number(of.mean)} ({p_text(of.p)}).{text}", of.p


def _window(evidence: Evidence) -> str:
    low, high = evidence.analysis.evaluation.lead_window
    return f"{low}-{high} steps"


def _span(interval: Interval, show: Callable[[float], str] = number) -> str:
    return span(interval.low, interval.high, show)


def events_of(evidence: Evidence) -> pd.DataFrame:
    """The runs with an event, development seeds included: no threshold was chosen on them."""
    runs = GAI_SCALE.select(evidence.of("transitions"))
    return runs[is_event(runs, evidence.analysis.phases.gap)].reset_index(drop=True)


def _untestable(found: Headline | Chance, settings: EvaluationSettings) -> str:
    """Sentence on what a perfect detector would reach; empty if a test is possible."""
    if found.p_best is None or testable(found, settings):
        return ""
    needed = found.events_needed
    more = f"; about {needed} events are needed" if needed else ""
    return f" Even a perfect detector would reach no more than {p_text(found.p_best)}{more}."


# ---------------------------------------------------------------------- claims


@about_gai(
    "GAI1",
    "median_lead",
    in_region(lambda values: Region(values["low"], values["high"], closed=True)),
)
def alarm_lead(evidence: Evidence, values: Values, sample: Sample, found: Headline) -> Explanation:
    """GAI1: the median lead of the first alarm over all events lies in the published window."""
    lead = np.nan_to_num(sample.events().numbers("first_lead"))
    within = (lead >= values["low"]) & (lead <= values["high"])
    low, high = (steps(float(end)) for end in np.quantile(lead, [0.25, 0.75]))
    assert sample.fired is not None
    median = leads(sample.fired, np.arange(len(sample.rows)))["km_lead_median"]
    survival = "not reached" if median is None else f"{steps(round(median, 1))} steps"
    reason = (
        f"Over all {found.n} events of held-out seeds, misses counted as 0, the "
        f"first alarm comes {steps(found.measured)} steps before onset in the median (quartiles "
        f"{low} and {high}; Kaplan-Meier median with runs that alarmed and ended before an onset: "
        f"{survival}). {int((lead > 0).sum())} of {len(lead)} events have an alarm before them; "
        f"{int(within.sum())} of these come {values['low']}-{values['high']} steps ahead."
    )
    return reason, None


@about_gai(
    "GAI2",
    "precision",
    in_region(lambda values: Region(low=values["precision"] - values["tolerance"])),
)
def alarm_precision(
    evidence: Evidence, values: Values, sample: Sample, found: Headline
) -> Explanation:
    """GAI2: the precision is the published one, less a tolerance, or higher."""
    n_alarms, n_judged = sample.total("n_alarms"), sample.total("n_judged")
    if found is NOTHING:
        raise NotTestable(
            f"The combined norm raised {n_alarms} alarms at risk in {len(sample.rows)} runs; "
            "none can be judged."
        )
    chance, p = _chance(evidence, sample, "precision")
    reason = (
        f"{sample.total('n_hits')} of {n_judged} judged alarms are followed by the onset of "
        f"delayed generalisation within {_window(evidence)}, one alarm an event: precision "
        f"{number(found.measured)}. {n_alarms - n_judged} of {n_alarms} alarms "
        f"are censored.{chance}"
    )
    return reason, p


@about_gai(
    "GAI3",
    "recall",
    in_region(lambda values: Region(low=values["recall"] - values["tolerance"])),
)
def alarm_recall(
    evidence: Evidence, values: Values, sample: Sample, found: Headline
) -> Explanation:
    """GAI3: the recall is the published one, less a tolerance, or higher."""
    chance, p = _chance(evidence, sample, "recall")
    reason = (
        f"{sample.total('n_hits')} of {found.n} events have an alarm {_window(evidence)} "
        f"before them.{chance}"
    )
    return reason, p


@about_gai(
    "GAI4",
    "spike_correlation",
    in_region(lambda values: Region(low=values["r"] - values["tolerance"])),
)
def spike_size(evidence: Evidence, values: Values, sample: Sample, found: Headline) -> Explanation:
    """GAI4: r of the largest spike before onset (or end) with the final accuracy.

    Measured on the classification tasks. Beside the pooled r, which was published, stand r across
    cells (of the cells' means) and within cells (of deviations from these): only the last tells
    runs of one setting apart.
    """
    runs, columns = spiking(sample), ["spike", "final_test_metric"]
    spike, metric = (runs.numbers(name) for name in columns)
    if found is NOTHING:
        raise NotTestable(
            f"A correlation needs three runs with an alarm before onset and accuracies that "
            f"differ; there are {len(spike)} runs with such an alarm."
        )
    ranked = runs.correlation(spike, metric, rank=True)(confidence=evidence.confidence)
    cells = runs.rows.groupby(cell_columns(runs.rows.columns), dropna=False)[columns]
    means = cells.mean().to_numpy(float)
    inner = (runs.rows[columns] - cells.transform("mean")).to_numpy(float)
    within = runs.correlation(inner[:, 0], inner[:, 1])(confidence=evidence.confidence)
    both = sample.rows[columns].dropna().to_numpy(float)
    settings = evidence.analysis.evaluation
    p = permuted_correlation(spike, metric, settings.surrogates, settings.seed)
    reason = (
        f"Over the {found.n} of {int(classification(sample).sum())} classification runs that have "
        f"an alarm before onset (or their end) r = {number(found.measured)} ({p_text(p)}, runs "
        f"permuted as if independent), Spearman's rho = {number(spearman(spike, metric))} "
        f"({_span(ranked)}). Across {len(means)} cells r = "
        f"{number(pearson(means[:, 0], means[:, 1]))}, within cells "
        f"{number(pearson(inner[:, 0], inner[:, 1]))} ({_span(within)}): only "
        "this tells runs of one setting apart. With the R² of the regression runs r = "
        f"{number(pearson(both[:, 0], both[:, 1]))}. A spike's size is its largest score, from "
        "the alarm to the end of the refractory period."
    )
    return reason, p


@about_gai(
    "GAI5",
    "last_layer_first",
    in_region(lambda _: MAJORITY),
)
def layer_order(
    evidence: Evidence, values: Values, sample: Sample, found: Headline
) -> Explanation:
    """GAI5: the last layer's first alarm precedes the first layer's in most events."""
    events = events_of(evidence)
    if found is NOTHING:
        raise NotTestable(
            f"Neither the first nor the last layer raises an alarm before any of the "
            f"{len(events)} onsets."
        )
    settings = evidence.analysis.evaluation
    table = layer_alarms(evidence.alarms, events)
    taus, p = permuted_order(table, settings.surrogates, settings.seed)
    order = (
        f" Kendall's tau of layer and first alarm (negative: last first) has the mean "
        f"{taus.mean():.2f} and the median {float(np.median(taus)):.2f} over {len(taus)} events; "
        f"with each event's layers permuted, {p_text(p)}."
        if len(taus)
        else ""
    )
    reason = (
        f"In {round(found.measured * found.n)} of {found.n} events with an alarm in either layer "
        f"the last layer comes first; without order it would be half.{order}"
    )
    return reason, p


@about_gai(
    "GAI6",
    "rank_drop",
    in_region(lambda values: Region(values["low"], values["high"], closed=True)),
)
def rank_drop(evidence: Evidence, values: Values, sample: Sample, found: Headline) -> Explanation:
    """GAI6: the median drop of the last layer's effective rank lies in the published range."""
    events = events_of(evidence)
    if found is NOTHING:
        raise NotTestable("No event has ranks measured on both sides of its onset.")
    rank = GAI_SCALE.select(evidence.of("rank"))
    rank = rank[rank["is_last_layer"] & rank["relative_drop"].notna()]
    rank = rank.astype({"relative_drop": float})
    keys = events[key_columns(events.columns)]
    parts, p, where = [], None, ""
    for measure in RANK_MEASURES:
        of_measure = rank[rank["measure"] == measure]
        at_onset = of_measure[of_measure["reference"] == "onset"].merge(keys)
        if at_onset.empty:
            continue
        matched = of_measure[of_measure["reference"] == "matched"]
        controls, words = rank_controls(at_onset, matched)
        here, there = at_onset["relative_drop"], controls["relative_drop"]
        value, beside = None, "matched: none"
        if len(there):
            # Takes a second to import, and few jobs judge.
            from scipy import stats

            value = float(stats.mannwhitneyu(here, there, alternative="greater").pvalue)
            beside = f"matched: {there.median():.3f} in {len(there)}; {p_text(value)}"
        parts.append(f"{measure} {here.median():.3f} ({beside})")
        if measure == "effective":
            p, where = value, words
    reason = (
        f"Median drop over {found.n} events, beside that of runs that never generalise "
        f"around the matched step ({where}), with Mann-Whitney's p for a larger drop at onset "
        "(runs taken as independent, though those of a seed share data and start): "
        f"{', '.join(parts)}. The effective rank is judged."
    )
    return reason, p


@about_gai(
    "GAI7",
    "every_depth",
    at_every_depth,
    scale=GAI_DEPTHS,
)
def every_depth(
    evidence: Evidence, values: Values, sample: Sample, found: Headline
) -> Explanation:
    """GAI7: at every depth alarms are right more often than not, and better than chance.

    Every depth must be significant, so the largest p-value is that of the claim and needs no
    correction (an intersection-union test).
    """
    settings = evidence.analysis.evaluation
    if found is NOTHING:
        raise NotTestable("No alarm can be judged at any depth with events.")
    parts, of_event = [], sample.events().numbers("depth").tolist()
    for depth, of in found.parts.items():
        name = f"depth {depth} ({of_event.count(depth)} of {of.n} runs with event)"
        text = "no judged alarm"
        if of.p is not None:
            text = f"{number(of.measured)} ({_span(of.interval)}; {p_text(of.p)})"
        few = of.p is not None and of.event_seeds < fewest(settings.confidence)
        limits = _untestable(of, settings) + (" Too few seeds to decide." if few else "")
        parts.append(f"{name}: {text}.{limits}")
    without = sorted({int(depth) for depth in sample.rows["depth"]} - set(found.parts))
    nothing = f" No event at depth {', '.join(map(str, without))}." if without else ""
    tested = [of for of in found.parts.values() if depth_testable(of, settings)]
    complete = tested and all(of.p is not None for of in tested)
    p = max(of.p for of in tested if of.p is not None) if complete else None
    return f"Precision, with p against shifted alarms: {' '.join(parts)}{nothing}", p


@about_gai(
    "GAI8",
    "corrected_excess",
    beyond_chance,
    of_family=True,
)
def corrected_significance(
    evidence: Evidence, values: Values, sample: Sample, found: Headline
) -> Explanation:
    """GAI8: significant by a Bonferroni-corrected interval, and by every adjusted p-value.

    The interval is that of precision minus the precision of shifted alarms; the family is the
    other numerical claims of the study.
    """
    if found is NOTHING:
        raise NotTestable("The combined norm raised no alarm that can be judged.")
    open_ones = not_significant(evidence)
    text = (
        f"Precision minus that of shifted alarms is {signed(found.measured)}, its interval at the "
        f"confidence {sample.corrected:.4f} ({sample.settings.confidence:g}, Bonferroni-corrected "
        f"for {sample.family} claims) {_span(found.interval, signed)}."
    )
    text += _untestable(found, sample.settings)
    if evidence.p_holm:
        text += f" Of {len(evidence.p_holm)} p-values, adjusted by Holm, "
        text += (
            f"those of {', '.join(open_ones)} are not below {evidence.alpha:g}."
            if open_ones
            else f"all are below {evidence.alpha:g}."
        )
    return text, None
