"""Plan: the files that a configuration asks for, and the parameters of each rule.

Input: the mapping that Snakemake read. Output: paths and parameter strings for the rules.
Parameters are JSON strings with sorted keys that depend on wildcards alone, since Snakemake
compares parameters as an unordered set of their representations.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grokscope.core.errors import UserError
from grokscope.runs import paths
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.imported import AnySpec, ImportedSpec
from grokscope.runs.jobs import BlockRule, block_rules, estimated_seconds, make_blocks
from grokscope.runs.kinds import KINDS, Kind
from grokscope.runs.settings import StudySettings
from grokscope.runs.spec import TRACES, Panel, RunKey, panels

# A wildcard constraint that nothing matches.
NOTHING = "(?!)"
# Runs that are imported by one job: it reads some ten thousand rows a second.
_MOST_IMPORTS = 500

# Finds the runs in the logs of a study: reading them takes more than this stage may import.
Importer = Callable[[StudySettings], Sequence[ImportedSpec]]


class TargetError(UserError, LookupError):
    """A target that belongs to a study which the configuration does not have."""


def to_json(value: Any) -> str:
    """One line with sorted keys: equal values give equal strings."""
    return json.dumps(value, sort_keys=True)


def scaled_by_attempt(
    first: int | Callable[[Mapping[str, str]], int],
) -> Callable[[Mapping[str, str], int], int]:
    """Amount of a resource per attempt: more each time, since the job may have lacked it.

    At most three times the first amount: a job that is often preempted fails often, and would
    otherwise request more than any machine has.

    Parameters
    ----------
    first
        Amount at the first attempt, or a function that computes it from the job's wildcards.
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
    importer
        Finds the runs in logs, see :func:`grokscope.data.logs.index.indexed`; called for each
        study that has a source.

    Raises
    ------
    ConfigError
        If the configuration is wrong.
    ValueError
        If a study has a source and there is no importer.
    """

    def __init__(self, config: Mapping[str, Any], importer: Importer | None = None) -> None:
        self.config = check_config(config)
        trained = expand_runs(self.config)
        self.specs: dict[RunKey, AnySpec] = {}
        for study in self.config.studies.values():
            if study.source is None:
                self.specs |= {key: of for key, of in trained.items() if key.study == study.name}
            elif importer is None:
                raise ValueError(f"study {study.name} has a source, but nothing reads logs here")
            else:
                self.specs |= {spec.key: spec for spec in importer(study)}
        self.panels = panels(self.specs)
        self._runs = {key.path: key for key in self.specs}
        # Without a store, a killed job would lose its finished runs.
        runs_per_job = self.config.runs_per_job if self.config.store else 1
        blocks = make_blocks(trained, runs_per_job)
        self.block_rules: list[BlockRule] = block_rules(blocks)
        self._trained = trained
        # Serialised once: input and parameter functions are called for every job.
        self._json = {key: spec.to_json(with_varied=True) for key, spec in self.specs.items()}

    # ----------------------------------------------------------------- studies

    @property
    def studies(self) -> list[str]:
        """Names of the studies."""
        return list(self.config.studies)

    def kind(self, study: str) -> Kind:
        """Kind of a study."""
        return KINDS[self.config.studies[study].kind]

    def named(self, kind: str | None = None) -> str:
        """Wildcard constraint that matches the studies of a kind, or all studies."""
        names = [name for name in self.studies if kind in (None, self.kind(name).name)]
        return "|".join(names) or NOTHING

    def trained(self) -> str:
        """Wildcard constraint that matches the studies whose runs are trained."""
        studies = self.config.studies.values()
        return "|".join(study.name for study in studies if study.source is None) or NOTHING

    def varied(self) -> list[str]:
        """Names of the studies whose headline numbers are measured under every analysis choice."""
        return [study for study in self.studies if self.kind(study).has_variants]

    def studies_json(self) -> str:
        """Kind and claims of every study, as JSON in the order of the configuration."""
        return json.dumps(
            {
                name: {"kind": study.kind, "claims": study.claims}
                for name, study in self.config.studies.items()
            }
        )

    def config_json(self) -> str:
        """The completed configuration as JSON, in the order that people read."""
        return json.dumps(self.config.values)

    def study_json(self, study: str) -> str:
        """Name, kind and claims of a study, as JSON."""
        settings = self.config.studies[study]
        return to_json({"name": study, "kind": settings.kind, "claims": settings.claims})

    def check_targets(self, targets: Iterable[str], rules: Iterable[str] = ()) -> None:
        """Refuse targets of studies that do not exist.

        Parameters
        ----------
        targets
            Names of rules or files.
        rules
            Names of all rules; the studies are among them.

        Raises
        ------
        TargetError
            Naming the target, the study and those of the configuration.
        """
        known = {*rules, *self.studies}
        for target in targets:
            is_name = target.isidentifier() and target not in known and not Path(target).exists()
            study = target if is_name else paths.study_of(target)
            if study is not None and study not in known:
                near = difflib.get_close_matches(study, known, 1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise TargetError(
                    f"target {target}: the configuration has no study {study!r}{hint}; "
                    f"it has {', '.join(self.studies)}"
                )

    # -------------------------------------------------------------------- runs

    def keys(self, study: str | None = None) -> list[RunKey]:
        """Runs of a study, or all."""
        return [key for key in self.specs if study in (None, key.study)]

    def traces(self, keys: Iterable[RunKey]) -> list[str]:
        """Paths of the traces of some runs."""
        return [key.path for key in keys]

    def trace_folders(self) -> list[str]:
        """Folders with the traces of a panel, of a task, of a study and of all."""
        found = {TRACES}
        for panel in self.panels:
            folder = Path(TRACES, panel.study, f"task={panel.task}", f"depth={panel.depth}")
            found.update(map(str, [folder, *folder.parents[:2]]))
        return sorted(found)

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
        return self._runs[paths.TRACE_PATTERN.format(**wildcards)]

    def seconds(self, keys: Iterable[RunKey]) -> float:
        """Approximate time (seconds) of training some runs."""
        return sum(estimated_seconds(self._trained[key]) for key in keys)

    def imports(self) -> list[tuple[RunKey, ...]]:
        """Runs that are imported together: of one panel, whose tables need them all."""
        blocks = []
        for keys in self.panels.values():
            if isinstance(self.specs[keys[0]], ImportedSpec):
                starts = range(0, len(keys), _MOST_IMPORTS)
                blocks += [tuple(keys[start : start + _MOST_IMPORTS]) for start in starts]
        return blocks

    def logs(self, keys: Iterable[RunKey]) -> list[str]:
        """Logs of some imported runs, each once."""
        specs = (self.specs[key] for key in keys)
        return list(dict.fromkeys(of.log for of in specs if isinstance(of, ImportedSpec)))

    def source_json(self, study: str) -> str:
        """Where the runs of a study come from, as JSON; empty of trained ones."""
        source = self.config.studies[study].source
        return "" if source is None else source.to_json()

    def minutes(self, keys: Iterable[RunKey]) -> int:
        """Minutes that training some runs may take: five times the estimate, and a start."""
        return 10 + math.ceil(5 * self.seconds(keys) / 60)

    def priority(self, keys: Iterable[RunKey]) -> float:
        """Priority of a job that trains some runs: longest first, all after any analysis (0).

        So no core waits long for the last training, and tables are made as early as possible.
        """
        return -1 / self.seconds(keys)

    def panel_of(self, wildcards: Mapping[str, str]) -> list[RunKey]:
        """Runs of the panel that wildcards name; KeyError if there are none."""
        panel = Panel(wildcards["study"], wildcards["task"], int(wildcards["depth"]))
        return self.panels[panel]

    # ------------------------------------------------------------------- files

    def panel_files(self, study: str, name: str) -> list[str]:
        """A file of each panel of a study, such as ``runs.parquet``."""
        return [paths.panel_file(panel, name) for panel in self.panels if panel.study == study]

    def study_tables(self, study: str) -> list[str]:
        """All tables of a study."""
        return [paths.study_table(study, table) for table in paths.STUDY_TABLES]

    def run_figures(self, study: str, suffix: str) -> list[str]:
        """Paths of the figures of single runs of a study."""
        stems = paths.run_figure_stems(self.kind(study), self.keys(study))
        return [f"{stem}.{suffix}" for stem in stems]

    def figures(self, study: str, suffixes: Sequence[str] = ("png", "svg")) -> list[str]:
        """Paths of all figures of a study."""
        stems = paths.figure_stems(study, self.kind(study)).values()
        named = [f"{stem}.{suffix}" for stem in stems for suffix in suffixes]
        return named + [path for suffix in suffixes for path in self.run_figures(study, suffix)]

    def study_files(self, study: str) -> list[str]:
        """All results of a study.

        Including traces and panel tables: Snakemake silently accepts a deleted intermediate file
        while files downstream of it exist.
        """
        names = [*(f"{table}.parquet" for table in (*paths.PANEL_TABLES, "scores"))]
        names += ["variants.parquet"] if self.kind(study).has_variants else []
        return [
            *self.traces(self.keys(study)),
            *(path for name in names for path in self.panel_files(study, name)),
            *self.study_tables(study),
            *self.figures(study),
            paths.summary(study),
        ]

    # -------------------------------------------------------------- parameters

    def settings(self, *sections: str) -> str:
        """Sections of the analysis settings as JSON; all of them if none is named."""
        return self.config.analysis.to_json(sections or None)
