"""Report: what the results say, as one HTML page and as Markdown, from one context.

Input: the result tables, the published claims, study summaries, figures with captions and the
validated configuration. Output: two strings. Every number of the page that stands in a table
carries its source as ``data-`` attributes, so that validation can read it back. No dates, no
paths of this machine: the same results give the same bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup, escape

from grokscope.claims.registry import FAILS, HOLDS, NOT_TESTABLE, records
from grokscope.report.evidence import STUDY as EVIDENCE_STUDY
from grokscope.report.evidence import evidence_tables
from grokscope.report.tables import ABSENT, Table, number, probability, steps, study_tables

STUDIES = {
    "lead_lag": (
        "Lead and lag",
        "Du & Ji 2026: does the gradient norm peak before the test accuracy rises?",
    ),
    "gai": (
        "Gradient Acceleration Index",
        "Does a spike of the gradient norm's second difference warn before generalisation?",
    ),
    "phase_diagram": (
        "Phase diagram",
        "Which of four phases a run ends in, over weight decay, train fraction and width.",
    ),
}
# Figures of the chapter Evidence, which opens with the first and ends with the second.
EVIDENCE_FIGURES = ("detection_curves", "specification_curves")
BADGES = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), NOT_TESTABLE: ("untestable", "?")}

FORMATS: dict[str, Callable[[float], str]] = {
    "steps": steps,
    "runs": steps,
    "phases": steps,
    "share": number,
    "r": number,
}


def shown(value: Any, unit: str) -> str:
    """A claim's number as the report prints it; a dash for null."""
    return ABSENT if pd.isna(value) else FORMATS[unit](float(value))


@dataclass(frozen=True)
class Figure:
    """One figure: its file, what it shows, how to read it."""

    path: Path
    title: str
    caption: str

    @property
    def alt(self) -> str:
        """Title and the caption's first sentence."""
        first = re.split(r"(?<=[.!?])\s", self.caption, maxsplit=1)[0]
        return f"{self.title}. {first}".strip()

    @property
    def data(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode()


@dataclass(frozen=True)
class Evidence:
    """The chapter on whether any alarm knows when a run will generalise."""

    study: str
    answer: str
    opening: Sequence[Figure]
    closing: Sequence[Figure]
    tables: Sequence[Table]


@dataclass(frozen=True)
class Section:
    """What the report says of one study."""

    name: str
    title: str
    question: str
    facts: str
    figures: Sequence[Figure] = ()
    overlays: Sequence[Figure] = ()
    tables: Sequence[Table] = field(default_factory=list)


def find_caption(path: PurePath, captions: Mapping[str, str]) -> str:
    """Caption of a figure: that of its stem, or of the folder of figures it lies in.

    Overlays, ``.../overlays/<run>.png``, share the caption ``overlay``.
    """
    return captions.get(path.stem, captions.get(path.parent.name.removesuffix("s"), ""))


def figure_title(path: PurePath) -> str:
    """Words for a figure's file name: "delay map", "task modular addition, depth 2"."""
    words = path.stem.replace("_", " ").replace("=", " ").replace(",", ", ")
    return words[:1].upper() + words[1:]


def _natural(path: Path) -> list[tuple[int, float, str]]:
    """Sort key in which 2 comes before 10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", path.name)
    return [(0, float(p), "") if re.fullmatch(r"\d.*", p) else (1, 0.0, p) for p in parts]


def study_figures(
    study: str, paths: Iterable[Path], captions: Mapping[str, str]
) -> tuple[list[Figure], list[Figure]]:
    """Figures of a study, and those of single runs apart.

    A figure belongs to the study that its folder or its own name names.
    """
    figures: list[Figure] = []
    overlays: list[Figure] = []
    for path in sorted(paths, key=_natural):
        if study not in (*path.parts[:-1], path.stem):
            continue
        figure = Figure(path, figure_title(path), find_caption(path, captions))
        (overlays if path.parent.name == "overlays" else figures).append(figure)
    # The figure that is named like the study comes first, the others as captions are numbered.
    figures.sort(key=lambda figure: figure.path.stem != study)
    return figures, overlays


def facts(summary: Mapping[str, Any] | None) -> str:
    """A sentence on how many runs, seeds and seconds a study took."""
    if summary is None:
        return "This study is not in the configuration."
    seeds = summary["seeds"]
    ends = ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in summary["stopped"].items()
    )
    return (
        f"{summary['runs']} runs ({ends}) of {len(seeds)} seed{'s' * (len(seeds) != 1)}, "
        f"{summary['steps']:,} steps in {summary['seconds']:,.0f} seconds of training."
    )


def claim_rows(
    claims: pd.DataFrame, published: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Claims as the templates print them."""
    weakness = {entry["id"]: entry["weakness"] for entry in published}
    rows = []
    for row in records(claims):
        text = {name: shown(row[name], row["unit"]) for name in ("measured", "low", "high")}
        text |= {
            name: ABSENT if pd.isna(row[name]) else probability(float(row[name]))
            for name in ("p", "p_holm", "p_bonferroni")
        }
        value = {name: "" if pd.isna(row[name]) else repr(float(row[name])) for name in text}
        rows.append(
            row
            | {"text": text, "value": value, "badge": BADGES[row["verdict"]]}
            | {"has_interval": bool(pd.notna(row["low"])), "has_p": bool(pd.notna(row["p"]))}
            | {"weakness": weakness[row["claim"]]}
            | {"unit_text": row["unit"] if row["unit"] in ("steps", "runs", "phases") else ""}
        )
    return rows


def choices(multiverse: pd.DataFrame) -> dict[str, str]:
    """Of each claim, how many analysis choices support it: "3 of 48"."""
    judged = multiverse[multiverse["supports"].notna()]
    return {
        str(name): f"{int(group['supports'].sum())} of {len(group)}"
        for name, group in judged.groupby("claim")
    }


def evidence_chapter(
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[Figure],
    settings: Mapping[str, Any],
) -> Evidence:
    """The chapter ``Evidence``, from the tables and the figures of the study gai."""
    answer, found = evidence_tables(tables, settings)
    opening, closing = (
        [figure for figure in figures if figure.path.stem == name] for name in EVIDENCE_FIGURES
    )
    return Evidence(EVIDENCE_STUDY, answer, opening, closing, found)


def tally(verdicts: Sequence[str]) -> list[tuple[str, tuple[str, str], int]]:
    """Verdicts in words that follow a number, their badges, and how many there are."""
    counts = [(name, verdicts.count(name)) for name in BADGES]
    # "6 hold", "1 holds".
    return [
        (name if count == 1 else name.removesuffix("s"), BADGES[name], count)
        if name in (HOLDS, FAILS)
        else (name, BADGES[name], count)
        for name, count in counts
    ]


def definitions(analysis: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The words of the report, with the thresholds in force."""
    resolution = analysis["detectors"]["resolution"]
    onset, alarms, rank = analysis["onset"], analysis["alarms"], analysis["rank"]
    phases, evaluation = analysis["phases"], analysis["evaluation"]
    transitions = analysis["transitions"]
    low, high = evaluation["lead_window"]
    past = (
        "all past steps"
        if alarms["sigma_window"] is None
        else f"the past {alarms['sigma_window']} steps"
    )
    threshold = phases["threshold"]
    return [
        ("Step", "One full-batch optimiser update. The state at step t has had t updates."),
        (
            "Onset",
            f"First of {onset['evaluations']} evaluations in a row at or above the threshold: "
            f"train metric {onset['train_threshold']} (memorisation), test metric "
            f"{onset['event_threshold']} (generalisation). An onset not reached is censored.",
        ),
        (
            "Event",
            f"An onset of generalisation more than {phases['gap']} steps after memorisation. "
            "Faster generalisation is no event, and alarms before it are false.",
        ),
        (
            "Gradient peak, metric transition, lag",
            f"Peak of the combined gradient norm (Savitzky-Golay, window "
            f"{transitions['savgol_window']}, order {transitions['savgol_order']}) after the "
            f"first {transitions['skip_fraction']:.0%} of steps; steepest rise of the test "
            "metric, smoothed likewise; the second minus the first.",
        ),
        (
            "Alarm",
            f"Second difference of the gradient norm's moving average over "
            f"{alarms['smoothing_window']} steps, more than {alarms['threshold']} standard "
            f"deviations above its mean over {past}; then silent for {alarms['refractory']} "
            f"steps. {'Centred: it uses the future.' if alarms['centred'] else 'Causal.'}",
        ),
        (
            "Detector, score, known at",
            "A detector gives each step a score from the past alone; a score above its threshold "
            f"is an alarm. Scores are kept as their largest value in blocks of {resolution} "
            "steps, known at the end of the block. A peak is known once the signal has fallen "
            "from it.",
        ),
        (
            "At risk, hit, judged, censored",
            "A run is at risk until its event, or to its end. Any alarm: a run counts once, and "
            "is a hit if it has an event. First alarm: a hit if the event follows within the "
            f"window. Every alarm: one to one, the earliest in the window of an event is the hit "
            "and all others are false. An alarm in a run without event is false if its window "
            "ends within the run or the run has generalised fast, else censored: what would have "
            f"followed is unknown. The published window is {low} to {high} steps; the others "
            f"begin {evaluation['minimum_lead']} steps ahead.",
        ),
        (
            "Precision, recall",
            "Hits among judged alarms; share of events that are hit.",
        ),
        (
            "Sensitivity, time in warning",
            "A step is in warning if a score above the threshold came "
            f"{evaluation['minimum_lead']} to {evaluation['primary_horizon']} steps before it: "
            "the share of events in warning, and the share of steps at risk.",
        ),
        (
            "Null models A to D",
            f"A: as many alarms at random steps at risk of the panel's runs. B: the run's own "
            "alarms, shifted circularly after the warm-up. C: alarms of another seed of the cell. "
            "D: one alarm at the cell's typical time, from resampled development seeds. "
            f"{evaluation['surrogates']} surrogates each; p is the share that are at least as "
            "good, the observed one counted among them. Who beats A and B but not C and D knows "
            "when such runs grok, not when this one does.",
        ),
        (
            "p, Holm, Bonferroni",
            "One-sided p of a claim: against B for precision and recall, permuted runs for "
            "GAI4, permuted layers for GAI5, Mann-Whitney for GAI6. Adjusted over the claims of "
            "the study that have one.",
        ),
        (
            "Development seeds",
            f"Thresholds and constant times are chosen on the seeds "
            f"{', '.join(map(str, evaluation['development_seeds'])) or 'none'}; scores are of the "
            "others, or of all in a study that has only one kind.",
        ),
        (
            "Rank drop",
            f"Median rank over {rank['before']} steps before the onset minus that over "
            f"{rank['after']} steps after it, relative to the former.",
        ),
        (
            "Phases",
            f"Confusion: the train metric ends below {threshold}. Memorisation: the test metric "
            f"does. Grokking: both end at or above it, the test metric first reaches it more "
            f"than {phases['gap']} steps after the train metric. Comprehension: at most "
            f"{phases['gap']} steps after. Diverged: a value was not finite.",
        ),
        (
            "Interval",
            f"{evaluation['confidence']:.0%} percentile bootstrap over seeds, all runs of a seed "
            f"together, expanded for few seeds (Hesterberg 2015); {evaluation['resamples']} "
            f"resamples with seed {evaluation['seed']}, or every combination where there are "
            "fewer. An interval over k seeds lies within their range and covers at most "
            "1 - 2^(1-k): 50% with two seeds, 75% with three, 94% with five.",
        ),
    ]


def report_context(
    *,
    tables: Mapping[str, pd.DataFrame],
    published: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    figures: Iterable[Path],
    captions: Mapping[str, str],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the templates print.

    Parameters
    ----------
    tables
        ``runs``, ``transitions``, ``alarms``, ``rank``, ``phases``, ``evaluation``,
        ``chance``, ``multiverse`` and ``claims``.
    published
        Entries of ``claims.yaml``.
    summaries
        Contents of ``results/summaries/<study>.json`` by study.
    figures
        PNG files.
    captions
        Text of a caption by its stem.
    config
        The validated configuration.
    """
    paths = list(figures)
    sections, evidence = [], None
    for study, (title, question) in STUDIES.items():
        if study not in config["studies"]:
            sections.append(Section(study, title, question, facts(None)))
            continue
        own, overlays = study_figures(study, paths, captions)
        if study == EVIDENCE_STUDY:
            evidence = evidence_chapter(tables, own, config["analysis"])
            own = [figure for figure in own if figure.path.stem not in EVIDENCE_FIGURES]
        sections.append(
            Section(
                study,
                title,
                question,
                facts(summaries[study]),
                own,
                overlays,
                study_tables(study, tables, published, config["analysis"]),
            )
        )
    claims = claim_rows(tables["claims"], published)
    verdicts = [claim["verdict"] for claim in claims]
    return {
        "claims": claims,
        "tally": tally(verdicts),
        "evidence": evidence,
        "choices": choices(tables["multiverse"]),
        "sections": sections,
        "definitions": definitions(config["analysis"]),
        "environments": _environments(summaries),
        "machines": _machines(summaries),
        "config": yaml.safe_dump(
            dict(config), sort_keys=False, default_flow_style=None, allow_unicode=True, width=90
        ),
        "runs": len(tables["runs"]),
        "seconds": float(tables["runs"]["seconds"].sum()),
    }


def _environments(summaries: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Library, version that trained, version that analysed."""
    training: dict[str, set[str]] = {}
    analysis: dict[str, set[str]] = {}
    for summary in summaries.values():
        for name, versions in summary["training"]["versions"].items():
            training.setdefault(name, set()).update(versions)
        for name, version in summary["analysis"]["versions"].items():
            analysis.setdefault(name, set()).add(version)

    def listed(versions: dict[str, set[str]], name: str) -> str:
        return ", ".join(sorted(versions.get(name, []))) or ABSENT

    names = sorted(training | analysis)
    return [(name, listed(training, name), listed(analysis, name)) for name in names]


def _machines(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Machines of analysis and devices of training, in words."""
    found = set()
    for summary in summaries.values():
        machine, training = summary["analysis"]["machine"], summary["training"]
        devices = ", ".join(training["devices"]) or "nothing"
        threads = ", ".join(map(str, training["threads"])) or "0"
        found.add(
            f"trained on {devices} with {threads} thread(s) a run; analysed on "
            f"{machine['system']} {machine['architecture']} with {machine['cpus']} CPUs"
        )
    return sorted(found)


# ------------------------------------------------------------------ rendering

_INLINE = re.compile(r"``(.+?)``|\*\*(.+?)\*\*|\*(.+?)\*")


def rst_html(text: str) -> Markup:
    """Inline reStructuredText (literals, emphasis) as HTML; all else is escaped."""

    def tag(match: re.Match[str]) -> str:
        for content, name in zip(match.groups(), ("code", "strong", "em"), strict=True):
            if content is not None:
                return f"<{name}>{content}</{name}>"
        return match[0]

    # The text is escaped before any tag is put into it.
    return Markup(_INLINE.sub(tag, str(escape(text))))  # noqa: S704


def markdown_text(text: Any) -> str:
    """A text that stands in a Markdown table or paragraph as it is."""
    flat = " ".join(str(text).split())
    return re.sub(r"([\\|*_<>\[\]`#])", r"\\\1", flat)


def _render(template: Path, context: Mapping[str, Any], autoescape: bool) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=autoescape,  # noqa: S701  # Off for Markdown, which has a filter of its own.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"rst": rst_html, "md": markdown_text}
    return environment.get_template(template.name).render(context)


def render_html(template: Path, context: Mapping[str, Any]) -> str:
    """The page; autoescaped."""
    return _render(template, context, autoescape=True)


def render_markdown(template: Path, context: Mapping[str, Any], root: Path) -> str:
    """The Markdown file; figures by their paths relative to `root`, the folder it lies in."""

    def relative(path: Path) -> str:
        relative_path = path.relative_to(root).as_posix()
        # Overlays have "=" and "," in their names, which Markdown leaves alone.
        return relative_path.replace(" ", "%20")

    return _render(template, {**context, "relative": relative}, autoescape=False)
