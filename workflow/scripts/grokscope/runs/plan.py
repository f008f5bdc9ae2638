"""Plan: which files a configuration asks for, and what each rule is told.

Input: the mapping that Snakemake read. Output: paths and parameter strings for the rules.
Parameters are JSON strings with sorted keys that depend on wildcards alone, since Snakemake
compares parameters as an unordered set of their representations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from grokscope.runs.config import check_config
from grokscope.runs.jobs import BlockRule, block_rules, estimated_seconds, make_blocks
from grokscope.runs.spec import Panel, RunKey, expand_runs, panels

STUDIES = ("lead_lag", "gai", "phase_diagram")
PANEL_TABLES = ("runs", "transitions", "alarms", "rank", "phases")
EVALUATION_TABLES = ("evaluation", "chance", "curves")
STUDY_TABLES = (*PANEL_TABLES, *EVALUATION_TABLES, "multiverse", "claims")

FIGURES = {
    "lead_lag": ("summary_grid", "lags", "weight_norms"),
    "gai": (
        "detection_curves",
        "specification_curves",
        "gai_outcomes",
        "gai_trace",
        "alarm_leads",
        "rank_at_onset",
    ),
    "phase_diagram": ("phase_diagram", "delay_map", "example_curves", "effects"),
}

# A caption a figure; the overlays of lead_lag share one.
CAPTIONS = FIGURES | {"lead_lag": (*FIGURES["lead_lag"], "overlay")}

PANEL_PATTERN = "results/panels/{study}/task={task}/depth={depth}/{table}.parquet"
OVERLAY_PATTERN = (
    "results/figures/{study}/overlays/task={task}/depth={depth}/train_fraction={train_fraction}"
    "/weight_decay={weight_decay}/width={width}/seed={seed}"
)


def to_json(value: Any) -> str:
    """One line with sorted keys: equal values give equal strings."""
    return json.dumps(value, sort_keys=True)


def growing(
    first: int | Callable[[Mapping[str, str]], int],
) -> Callable[[Mapping[str, str], int], int]:
    """What a job asks for of a resource: more each time, since it may have failed for want of it.

    At most three times as much as at first: a job that is often preempted fails often, and
    would otherwise ask for more than any machine has.

    Parameters
    ----------
    first
        The amount at the first attempt, or a function of the job's wildcards that gives it.
    """

    def ask(wildcards: Mapping[str, str], attempt: int) -> int:
        amount = first if isinstance(first, int) else first(wildcards)
        return amount * min(attempt, 3)

    return ask


class Plan:
    """Files and parameters of a configuration.

    Parameters
    ----------
    config
        As read from YAML; checked and completed here.

    Raises
    ------
    ConfigError
        If the configuration is wrong.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = check_config(config)
        self.specs = expand_runs(self.config)
        self.panels = panels(self.specs)
        # Without a store a killed job would lose the runs that it had finished.
        runs_per_job = self.config["runs_per_job"] if self.config["store"] else 1
        blocks = make_blocks(self.specs, runs_per_job)
        self.block_rules: list[BlockRule] = block_rules(blocks)
        # Serialised once: input and parameter functions are called for every job.
        self._json = {key: spec.to_json() for key, spec in self.specs.items()}

    def keys(self, study: str | None = None) -> list[RunKey]:
        """Runs of a study, or all."""
        return [key for key in self.specs if study in (None, key.study)]

    def traces(self, keys: Iterable[RunKey]) -> list[str]:
        """Paths of the traces of some runs."""
        return [key.path for key in keys]

    def specs_json(self, keys: Iterable[RunKey]) -> str:
        """Specifications of some runs, a JSON list in their order."""
        return "[" + ", ".join(self._json[key] for key in keys) + "]"

    def run_of(self, wildcards: Mapping[str, str]) -> RunKey:
        """The run that wildcards name.

        Raises
        ------
        KeyError
            If the configuration has no such run.
        """
        key = RunKey(
            wildcards["study"],
            wildcards["task"],
            int(wildcards["depth"]),
            wildcards["train_fraction"],
            wildcards["weight_decay"],
            int(wildcards["width"]),
            int(wildcards["seed"]),
        )
        if key not in self.specs:
            raise KeyError(f"the configuration has no run {key}")
        return key

    def seconds(self, keys: Iterable[RunKey]) -> float:
        """About how long training some runs takes."""
        return sum(estimated_seconds(self.specs[key]) for key in keys)

    def minutes(self, keys: Iterable[RunKey]) -> int:
        """Minutes that training some runs may take: five times the estimate, and a start."""
        return 10 + math.ceil(5 * self.seconds(keys) / 60)

    def priority(self, keys: Iterable[RunKey]) -> float:
        """Of a job that trains some runs: the longest first, all after any analysis (0).

        So no core waits long for the last training, and tables come as soon as they can.
        """
        return -1 / self.seconds(keys)

    def panel_of(self, wildcards: Mapping[str, str]) -> list[RunKey]:
        """Runs of the panel that wildcards name; KeyError if there are none."""
        panel = Panel(wildcards["study"], wildcards["task"], int(wildcards["depth"]))
        if panel not in self.panels:
            raise KeyError(f"the configuration has no panel {panel}")
        return self.panels[panel]

    def panel_tables(self, study: str, table: str) -> list[str]:
        """Panel tables (or other parquet files of its panels) of a study."""
        return [
            PANEL_PATTERN.format(table=table, **panel._asdict())
            for panel in self.panels
            if panel.study == study
        ]

    def study_tables(
        self, tables: Sequence[str] = STUDY_TABLES, studies: Sequence[str] = STUDIES
    ) -> list[str]:
        """Tables of some studies; the multiverse is that of gai alone."""
        return [
            f"results/studies/{study}/{table}.parquet"
            for study in studies
            for table in tables
            if table != "multiverse" or study == "gai"
        ]

    def settings(self, *sections: str) -> str:
        """Some sections of the analysis settings, as JSON."""
        return to_json({name: self.config["analysis"][name] for name in sections})

    def overlays(self) -> list[str]:
        """Stems of the overlay figures, one a run of lead_lag."""
        return [OVERLAY_PATTERN.format(**key._asdict()) for key in self.keys("lead_lag")]

    def figures(self, study: str, suffixes: Sequence[str] = ("png", "svg")) -> list[str]:
        """Paths of all figures of a study that the configuration has; none of another."""
        if study not in self.config["studies"]:
            return []
        stems = [
            # The one figure that people ask for by name has the shortest path.
            "results/phase_diagram" if name == study else f"results/figures/{study}/{name}"
            for name in FIGURES[study]
        ]
        if study == "lead_lag":
            stems += self.overlays()
        return [f"{stem}.{suffix}" for stem in stems for suffix in suffixes]
