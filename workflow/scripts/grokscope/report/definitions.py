"""Definitions: the words of the report, with the thresholds in force.

Input: the analysis settings and the kinds of the studies. Output: words and their meanings; only
those that the report of such studies uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from grokscope.core.formatting import plain
from grokscope.measure.detectors.registry import DETECTORS
from grokscope.runs.settings import Analysis

Entry = tuple[str, str]


def definitions(analysis: Analysis, kinds: Collection[str], has_claims: bool) -> list[Entry]:
    """Words and meanings, in the order of the report.

    Parameters
    ----------
    kinds
        Kinds of the studies.
    has_claims
        Whether any of the studies is judged.
    """
    found = [*_runs(analysis)]
    if "lead_lag" in kinds:
        found += _lags(analysis)
    if "early_warning" in kinds:
        found += [*_alarms(analysis), *_chance(analysis), *_rank(analysis)]
    found += _phases(analysis)
    if has_claims:
        found += _tests()
    if has_claims or "early_warning" in kinds:
        found += _intervals(analysis)
    return found


def _runs(analysis: Analysis) -> Iterator[Entry]:
    onset = analysis.onset
    yield "Step", "One optimiser update. The state at step t has had t updates."
    yield (
        "Onset",
        f"First of {onset.evaluations} evaluations in a row at or above the threshold: "
        f"train metric {onset.train_threshold} (memorisation), test metric "
        f"{onset.event_threshold} (generalisation). An onset not reached is censored. "
        f"Generalisation is lost at the first of {onset.evaluations} evaluations in a row after "
        f"it with a test metric below {onset.lost_below}.",
    )
    yield (
        "Event",
        f"An onset of generalisation more than {analysis.phases.gap} steps after memorisation. "
        "Faster generalisation is no event, and alarms before it are false.",
    )


def _lags(analysis: Analysis) -> Iterator[Entry]:
    transitions = analysis.transitions
    yield (
        "Gradient peak, metric transition, lag",
        f"Peak of the combined gradient norm (Savitzky-Golay, window "
        f"{transitions.savgol_window}, order {transitions.savgol_order}) after the "
        f"first {transitions.skip_fraction:.0%} of steps; steepest rise of the test "
        "metric, smoothed likewise; the second minus the first.",
    )


def _alarms(analysis: Analysis) -> Iterator[Entry]:
    alarms, evaluation = analysis.alarms, analysis.evaluation
    low, high = evaluation.lead_window
    nearest, farthest = evaluation.primary_window
    past = (
        "all past steps"
        if alarms.sigma_window is None
        else f"the past {alarms.sigma_window} steps"
    )
    yield (
        "GAI alarm",
        f"Second difference of the gradient norm's moving average over "
        f"{alarms.smoothing_window} steps, more than {plain(alarms.threshold)} standard "
        f"deviations above its mean over {past}; then silent for {alarms.refractory} "
        "steps. Causal.",
    )
    yield (
        "Detector, score, known at",
        f"Each of the {len(DETECTORS)} detectors gives each step a score from the past alone; a "
        "score above the threshold is an alarm. Alarms above a stated threshold are counted step "
        "by step; thresholds chosen on development seeds, and curves, use the largest score in "
        f"blocks of {analysis.detectors.resolution} steps, known at the end of the block. A peak "
        "is known once the signal has fallen from it.",
    )
    yield (
        "At risk, hit, judged, censored",
        "A run is at risk until its event, or to its end. Any alarm: a run counts once, and "
        "is a hit if it has an event. First alarm: a hit if the event follows within the "
        f"window. Every alarm: one to one, the earliest in the window of an event is the hit "
        "and all others are false. An alarm in a run without event is false if its window "
        "ends within the run or the run has generalised fast, else censored: what would have "
        f"followed is unknown. The published window is {low} to {high} steps; the others "
        f"begin {nearest} steps ahead.",
    )
    yield "Precision, recall", "Hits among judged alarms; share of events that are hit."
    yield (
        "Sensitivity, time in warning",
        "A step is in warning if a score above the threshold came "
        f"{nearest} to {farthest} steps before it: "
        "the share of events in warning, and the share of steps at risk.",
    )


def _chance(analysis: Analysis) -> Iterator[Entry]:
    evaluation = analysis.evaluation
    seeds = ", ".join(map(str, evaluation.development_seeds)) or "none"
    yield (
        "Null models",
        "Random: as many alarms at random steps at risk of the panel's runs. Shifted: the "
        "run's own alarms, shifted circularly after the warm-up. Swapped: alarms of another "
        "seed of the cell. Constant time: one alarm at the cell's typical time, from resampled "
        f"development seeds. {evaluation.surrogates} surrogates each; p is the share that are at "
        "least as good, the observed one counted among them. Who beats the first two but not the "
        "last two knows when such runs grok, not when this one does.",
    )
    yield (
        "Development seeds",
        f"Thresholds and constant times are chosen on the seeds {seeds}; scores are of the "
        "others, or of all in a study that has only one kind.",
    )


def _rank(analysis: Analysis) -> Iterator[Entry]:
    rank = analysis.rank
    yield (
        "Rank drop",
        f"Median rank over {rank.before} steps before the onset minus that over "
        f"{rank.after} steps after it, relative to the former.",
    )


def _phases(analysis: Analysis) -> Iterator[Entry]:
    phases = analysis.phases
    yield (
        "Phases",
        f"Confusion: the train metric ends below {phases.threshold}. Memorisation: the test "
        f"metric does. Grokking: both end at or above it, the test metric first reaches it more "
        f"than {phases.gap} steps after the train metric. Comprehension: at most "
        f"{phases.gap} steps after. Collapsed: the run had generalised and lost it, and the test "
        "metric ends below the threshold. Diverged: a value was not finite.",
    )


def _tests() -> Iterator[Entry]:
    yield (
        "p, Holm, Bonferroni",
        "One-sided p of a claim: against shifted alarms for precision and recall, permuted runs "
        "for GAI4, permuted layers for GAI5, Mann-Whitney for GAI6. Adjusted over the claims of "
        "the study that have one.",
    )


def _intervals(analysis: Analysis) -> Iterator[Entry]:
    evaluation = analysis.evaluation
    yield (
        "Interval",
        f"{evaluation.confidence:.0%}, all runs of a seed together. A share's is Clopper and "
        "Pearson's at as many independent units as vary like the seeds do, at least one per "
        "seed (Korn and Graubard 1998): without a hit it ends where it would for as many runs "
        "without a hit as there are seeds. A median's follows from the shares on both sides of "
        "it, a mean's is Student's for seeds' means, a correlation's the jackknife over seeds. "
        "Simulated, they cover about as often as they say, or more: they are rather too wide "
        "than too narrow. Where the seeds do not bound a number it has no interval.",
    )
