"""Grokscope: config, includes, targets."""

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, update_config

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from grokscope.runs.config import ConfigError, check_file, read_argument
from grokscope.workflow.progress import show_failures, show_time_left
from grokscope.runs.plan import (
    CAPTIONS,
    EVALUATION_TABLES,
    OVERLAY_PATTERN,
    PANEL_TABLES,
    STUDIES,
    STUDY_TABLES,
    Plan,
    growing,
    to_json,
)
from grokscope.core.provenance import write_stamps
from grokscope.runs.spec import TRACE_PATTERN

# Given on the command line, another config replaces the default; it is not laid over it.
if not workflow.overwrite_configfiles:
    try:
        check_file("config/config.yaml")
    except ConfigError as error:
        raise WorkflowError(str(error)) from None

    configfile: "config/config.yaml"


try:
    # Snakemake leaves what is nested in a --config value as text.
    for argument in workflow.config_settings.config_args or []:
        update_config(config, read_argument(argument))
    plan = Plan(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
for name in ("store", "device", "tf32", "checkpoint_seconds"):
    config[name] = plan.config[name]

try:
    write_stamps("results/code")
except OSError as error:
    raise WorkflowError(str(error)) from None
show_time_left(workflow.logger_manager.plugin_handlers)
show_failures(workflow.logger_manager.plugin_handlers)


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/detect.smk"
include: "rules/evaluate.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        plan.traces(plan.keys()),
        [plan.panel_tables(study, table) for study in STUDIES for table in PANEL_TABLES],
        plan.study_tables(),
        [plan.panel_tables(study, "scores") for study in STUDIES],
        plan.panel_tables("gai", "variants"),
        "results/studies/gai/variants.parquet",
        expand(
            "results/tables/{table}.{suffix}",
            table=STUDY_TABLES,
            suffix=["parquet", "csv"],
        ),
        expand("results/summaries/{study}.json", study=plan.config["studies"]),
        [plan.figures(study) for study in plan.config["studies"]],
        "results/report.html",
        "results/report.md",
        "results/validation.json",
        "results/validated.txt",


rule lead_lag:
    input:
        plan.traces(plan.keys("lead_lag")),
        plan.study_tables(studies=["lead_lag"]),
        plan.figures("lead_lag"),
        "results/summaries/lead_lag.json",


rule gai:
    input:
        plan.traces(plan.keys("gai")),
        plan.study_tables(studies=["gai"]),
        plan.figures("gai"),
        "results/summaries/gai.json",


rule phase_diagram:
    input:
        plan.traces(plan.keys("phase_diagram")),
        plan.study_tables(studies=["phase_diagram"]),
        plan.figures("phase_diagram"),
        "results/summaries/phase_diagram.json",
