"""Grid: the runs that the grids of a study define."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from grokscope.runs.modules import module_code
from grokscope.runs.names import DECIMALS, VARIABLE
from grokscope.runs.recipes import used_settings
from grokscope.runs.settings import Configuration, Grid, StudySettings
from grokscope.runs.spec import RunKey, RunSpec, decimal_string
from grokscope.runs.tasks import TASKS


def varied_settings(study: StudySettings) -> tuple[str, ...]:
    """Names of the settings that some grid of the study lists values of, in path order."""
    named = {name for grid in study.grids for name in grid.settings}
    return tuple(name for name in VARIABLE if name in named)


def _typed(name: str, value: Any) -> Any:
    """A value of a setting as specifications have it: YAML may write 1 for 1.0."""
    if isinstance(value, tuple):
        return tuple(map(float, value))
    return float(value) if name in DECIMALS and value is not None else value


def expand_grid(study: StudySettings, grid: Grid) -> Iterator[RunSpec]:
    """Specifications of the runs of one grid, each once, in the order of its lists.

    Values of a setting that the task does not use give one run, not several.
    """
    varied = varied_settings(study)
    values = [grid.settings.get(name, (getattr(study, name),)) for name in VARIABLE]
    seen: set[RunKey] = set()
    for task, depth, fraction, decay, width, seed, *chosen in product(
        grid.tasks,
        grid.depths,
        grid.train_fractions,
        grid.weight_decays,
        grid.widths,
        grid.seeds,
        *values,
    ):
        uses = TASKS[task].parameters
        setting = used_settings(dict(zip(VARIABLE, chosen, strict=True)), TASKS[task].symbolic)
        for name in ("p", "samples"):
            if name not in uses:
                setting[name] = None
        for name in ("data_seed", "init_seed"):
            if setting[name] is None:
                setting[name] = seed
        own = setting["model"] == "module"
        spec = RunSpec(
            study=study.name,
            task=task,
            depth=depth,
            train_fraction=decimal_string(fraction),
            weight_decay=decimal_string(decay),
            width=width,
            seed=seed,
            **{name: _typed(name, value) for name, value in setting.items()},
            module=study.module if own else None,
            module_code=module_code(study.module) if own else None,
            steps=grid.steps,
            test_every=study.test_every,
            rank_every=study.rank_every,
            rank_tolerance=float(study.rank_tolerance),
            early_stop=study.early_stop,
            varied=varied,
        )
        if not varied:
            yield spec
        elif (key := spec.key) not in seen:
            seen.add(key)
            yield spec


def expand_study(study: StudySettings) -> Iterator[RunSpec]:
    """Specifications of all runs of a study, in the order of the grids."""
    for grid in study.grids:
        yield from expand_grid(study, grid)


def expand_runs(configuration: Configuration) -> dict[RunKey, RunSpec]:
    """Run table of a configuration."""
    return {
        spec.key: spec for study in configuration.studies.values() for spec in expand_study(study)
    }
