"""Complete results of three small synthetic studies: traces, tables, summaries, report.

Made with the functions of the library, without Snakemake and without training, so that tests of
the report and of the validation start from results that are right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grokscope.claims.export import verdicts_document
from grokscope.claims.published import read_published
from grokscope.data.tables import read_table, write_table
from grokscope.data.trace import Trace
from grokscope.report.checks.check import Check
from grokscope.report.checks.files import check_csv, check_verdicts
from grokscope.report.checks.recompute import Recomputed, recompute
from grokscope.report.checks.validate import check_report, check_results, validate
from grokscope.report.page import render_html, render_markdown, report_context
from grokscope.report.studies import Study
from grokscope.report.summary import TABLES as OF_SUMMARY
from grokscope.report.summary import analysis_environment, study_facts
from grokscope.runs.config import check_config
from grokscope.runs.grid import expand_runs
from grokscope.runs.settings import Configuration
from grokscope.runs.spec import RunKey, RunSpec
from synthetic import make_trace, write

TEMPLATES = Path(__file__).resolve().parents[1] / "workflow" / "report"
PUBLISHED = read_published(TEMPLATES / "claims.yaml")
# The smallest PNG file: one white pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8"
    "ffff3f0005fe02fea735815e0000000049454e44ae426082"
)


def grid(tasks: list[str], fractions: list[float], seeds: list[int], **of: Any) -> dict[str, Any]:
    """One block of a study."""
    values = {"tasks": tasks, "depths": [2], "train_fractions": fractions, "seeds": seeds}
    return values | {"weight_decays": [0.1], "widths": [64], "steps": 400} | of


def small_values() -> dict[str, Any]:
    """Three studies, a few runs each; short signals, so short windows."""
    modular, sine = ["modular_addition"], ["sine_regression"]
    return {
        "studies": {
            "lead_lag": {
                "kind": "lead_lag",
                "claims": "LL",
                "grids": [
                    grid([*modular, *sine], [0.5, 0.9], [42]),
                    grid(modular, [0.5], [7], steps=390),
                ],
            },
            "gai": {
                "kind": "early_warning",
                "claims": "GAI",
                "grids": [grid([*modular, "cubic_regression"], [0.6], [0, 1, 2], depths=[2, 3])],
                "test_every": 5,
                "rank_every": 20,
            },
            "phase_diagram": {
                "kind": "phase_diagram",
                "claims": "PD",
                "grids": [grid(modular, [0.3, 0.9], [42], weight_decays=[0, 1.0])],
                "encoding": "embedding",
                "test_every": 20,
            },
        },
        "analysis": {
            "alarms": {"smoothing_window": 5, "sigma_window": 50, "refractory": 20},
            "detectors": {"window": 50},
            "multiverse": {"smoothing": ["causal"], "norm": ["raw"], "windows": [5, 10]},
            "phases": {"gap": 40},
            "evaluation": {
                "lead_window": [20, 60],
                "horizons": [40, 100],
                "primary_horizon": 100,
                "surrogates": 19,
            },
            "transitions": {"savgol_window": 21, "replication_steps": 300},
        },
    }


def small_config() -> Configuration:
    """The same, checked and completed."""
    return check_config(small_values())


def own_values() -> dict[str, Any]:
    """Studies of one's own: two under the same claims, and one that varies p, judged by none."""
    values = small_values()
    given = values["studies"]
    modular = ["modular_addition"]
    wide = grid(modular, [0.6], [0, 1, 2], widths=[128])
    tasks, values_of = [*modular, "sine_regression"], {"p": [23, 59], "learning_rate": [0.01]}
    free = grid(tasks, [0.3, 0.9], [1, 2], **values_of)
    values["studies"] = {
        "narrow": given["gai"] | {"grids": [grid(modular, [0.6], [0, 1, 2])]},
        "wide": given["gai"] | {"grids": [wide]},
        "my_map": {"kind": "phase_diagram", "grids": [free], "test_every": 20},
    }
    return values


def own_figures(root: Path) -> list[Path]:
    """Figures of the studies of :func:`own_values`."""
    names = ["figures/narrow/detection_curves", "figures/wide/detection_curves"]
    names += ["figures/my_map/effects", "my_map"]
    return write_pixels([root / "results" / f"{name}.png" for name in names])


def synthetic_trace(spec: RunSpec) -> Trace:
    """A run that memorises at 60 and generalises later, the earlier the more data it has.

    The gradient norm has a bump, and a kink shortly before the onset, so that there are alarms.
    Fractions of 0.3 never generalise.
    """
    t = np.arange(spec.steps + 1)
    rng = np.random.default_rng([spec.seed, spec.depth, int(10 * float(spec.train_fraction))])
    onset = 330 - 200 * float(spec.train_fraction) + 10 * (spec.seed % 5)
    noise = 0.002 * rng.normal(size=len(t))
    train = 1 / (1 + np.exp(-(t - 40) / 4))
    test = 1 / (1 + np.exp(-(t - onset) / 6)) if spec.train_fraction != "0.3" else 0.02 + 0 * t
    bump = np.exp(-(((t - 0.7 * onset) / 40) ** 2))
    norm = 0.3 + bump + 0.2 * np.maximum(t - (onset - 40), 0) * (t < onset - 30) + noise
    return make_trace(
        spec,
        train_metric=train,
        test_metric=test,
        grad_norm=norm,
        train_loss=1.1 - train,
        test_loss=1.1 - test,
        **{
            f"effective_rank_{layer}": 40 - 15 * test + rng.uniform(size=len(t))
            for layer in range(1, spec.depth + 1)
        },
        info={"seconds": 1.5, "n_train": 600, "n_test": 400},
    )


def studies_of(config: Configuration) -> list[Study]:
    """Studies of a configuration, as report and validation are told of them."""
    return [Study(name, study.kind, study.claims) for name, study in config.studies.items()]


@dataclass
class Results:
    """Everything that validation reads."""

    root: Path
    config: Configuration
    specs: dict[RunKey, RunSpec]
    paths: dict[RunKey, Path]
    recomputed: Recomputed
    tables: dict[str, pd.DataFrame]
    csv: dict[str, Path]
    summaries: dict[str, dict[str, Any]]
    verdicts: dict[str, Any]
    context: dict[str, Any]
    html: str
    markdown: str

    def validate(self, workers: int = 1) -> list[Check]:
        """All checks of the results as they are now, all from the traces."""
        return validate(
            tables=self.tables,
            csv=self.csv,
            traces=self.paths,
            specs=self.specs,
            analysis=self.config.analysis,
            studies=studies_of(self.config),
            published=PUBLISHED,
            summaries=self.summaries,
            verdicts=self.verdicts,
            html=self.html,
            markdown=self.markdown,
            workers=workers,
        )

    def problems_of_tables(self) -> dict[str, list[str]]:
        """Problems of the checks that read tables and summaries, by what was recomputed before.

        Much faster than :meth:`problems`, and the same as long as no trace changed.
        """
        checks = check_results(self.tables, self.recomputed, self.specs, self.summaries)
        return {check.name: check.problems for check in checks if check.problems}

    def problems_of_files(self) -> dict[str, list[str]]:
        """Problems of the checks that read files alone."""
        of_report = (self.tables, studies_of(self.config), PUBLISHED, self.config.analysis)
        checks = [check_csv(self.tables, self.csv)]
        checks += [check_verdicts(self.tables["claims"], self.verdicts)]
        checks += check_report(self.html, self.markdown, *of_report)
        return {check.name: check.problems for check in checks if check.problems}

    def problems(self) -> dict[str, list[str]]:
        """Problems of each check that has any."""
        return {check.name: check.problems for check in self.validate() if check.problems}

    def render(self, **changed: Any) -> dict[str, Any]:
        """The context of a report in which some of what it is made of is another."""
        given = {
            "tables": self.tables,
            "studies": studies_of(self.config),
            "published": PUBLISHED,
            "summaries": self.summaries,
            "figures": [],
            "captions": {},
            "config": self.config.values,
        }
        return report_context(**(given | changed))


def write_pixels(paths: list[Path]) -> list[Path]:
    """One-pixel figures."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PIXEL)
    return paths


def write_figures(root: Path) -> list[Path]:
    """One-pixel figures where the workflow would have real ones."""
    overlay = "lead_lag/overlays/task=modular_addition/depth=2/seed=42"
    names = ["lead_lag/lags", overlay, "gai/alarm_leads", "phase_diagram/delay_map"]
    names += ["gai/detection_curves", "gai/specification_curves"]
    paths = [root / "results" / "figures" / f"{name}.png" for name in names]
    return write_pixels([*paths, root / "results" / "phase_diagram.png"])


def make_results(
    root: Path,
    config: Configuration | None = None,
    trace_of: Callable[[RunSpec], Trace] = synthetic_trace,
    figures: list[Path] | None = None,
    captions: Mapping[str, str] | None = None,
) -> Results:
    """Write traces and CSV files under `root`, and make all results from them."""
    config = small_config() if config is None else config
    specs = expand_runs(config)
    studies = studies_of(config)
    paths = {key: write(trace_of(spec), root) for key, spec in specs.items()}
    recomputed = recompute(paths, specs, config.analysis, studies, PUBLISHED)
    assert recomputed.reading.problems == []
    tables = dict(recomputed.tables)
    csv = {
        name: root / "results" / "tables" / f"{name}.csv" for name in tables if name != "variants"
    }
    for name, path in csv.items():
        write_table(tables[name], path.with_suffix(".parquet"), name)
        write_table(tables[name], path, name)
        tables[name] = read_table(path.with_suffix(".parquet"), name)
    summaries = {
        study: json.loads(
            json.dumps(
                study_facts(study, {name: tables[name] for name in OF_SUMMARY})
                | {"training": recomputed.environments[study]}
                | {"analysis": analysis_environment()}
            )
        )
        for study in config.studies
    }
    context = report_context(
        tables=tables,
        studies=studies,
        published=PUBLISHED,
        summaries=summaries,
        figures=write_figures(root) if figures is None else figures,
        captions={"lags": "Lags. Read *this*, ``not`` that <b>&.", "overlay": "One run."}
        if captions is None
        else captions,
        config=config.values,
    )
    html = render_html(TEMPLATES / "report.html.j2", context)
    markdown = render_markdown(TEMPLATES / "report.md.j2", context, root / "results")
    verdicts = json.loads(
        json.dumps(verdicts_document(tables["claims"], config.values["studies"]))
    )
    made = (tables, csv, summaries, verdicts, context, html, markdown)
    return Results(root, config, specs, paths, recomputed, *made)
