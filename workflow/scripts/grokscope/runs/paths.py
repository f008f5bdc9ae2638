"""Paths: where each result of a study is, relative to the working directory."""

from __future__ import annotations

from collections.abc import Iterable

from grokscope.runs.kinds import Kind
from grokscope.runs.spec import TRACES, Panel, RunKey

PANEL_TABLES = ("runs", "transitions", "alarms", "rank", "phases")
"""Tables of runs; those of the panels are concatenated to those of their study."""
EVALUATION_TABLES = ("evaluation", "chance", "curves", "calibration")
CLAIM_TABLES = ("multiverse", "claims")
STUDY_TABLES = (*PANEL_TABLES, *EVALUATION_TABLES, *CLAIM_TABLES)

CONFIGURATION = "results/configuration.yaml"
"""The configuration that the collected tables and the report are of, with every default."""

# ``folders`` are the name=value folders of a run between its study and its seed.
TRACE_PATTERN = TRACES + "/{study}/{folders}/seed={seed}.parquet"
PANEL_FOLDER = "results/panels/{study}/task={task}/depth={depth}"


def panel_file(panel: Panel, name: str) -> str:
    """A file of a panel, such as ``runs.parquet``."""
    return f"{PANEL_FOLDER.format(**panel._asdict())}/{name}"


def study_table(study: str, table: str) -> str:
    """A table of a study."""
    return f"results/studies/{study}/{table}.parquet"


def summary(study: str) -> str:
    """The summary of a study."""
    return f"results/summaries/{study}.json"


def figure_stems(study: str, kind: Kind) -> dict[str, str]:
    """Path, without suffix, of each figure of a study by name, except figures of single runs."""
    return {
        # The one figure that people ask for by name has the shortest path.
        name: f"results/{study}" if name == kind.main_figure else f"results/figures/{study}/{name}"
        for name in kind.figures
    }


def run_figure_stems(kind: Kind, keys: Iterable[RunKey]) -> list[str]:
    """Path, without suffix, of the figure of each run; empty if the study's kind has none."""
    if kind.run_figure is None:
        return []
    return [
        key.path.removesuffix(".parquet").replace(
            f"{TRACES}/{key.study}", f"results/figures/{key.study}/{kind.run_figure}s", 1
        )
        for key in keys
    ]


def study_of(target: str) -> str | None:
    """The study that the path of a result belongs to; None if the path does not tell.

    >>> study_of("results/figures/my_sweep/lags.png")
    'my_sweep'
    """
    parts = target.removeprefix("./").split("/")
    if parts[0] != "results" or len(parts) < 2:
        return None
    if parts[1] in ("traces", "panels", "studies", "figures"):
        return parts[2] if len(parts) > 3 else None
    if parts[1] == "summaries" and len(parts) == 3:
        return parts[2].removesuffix(".json")
    name, _, suffix = parts[1].rpartition(".")
    is_main = len(parts) == 2 and suffix in ("png", "svg")
    return name if is_main else None
