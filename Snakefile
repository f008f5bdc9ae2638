"""Grokscope: config, includes, targets."""

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, update_config

min_version("9.27")
sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from grokscope.core.errors import UserError
from grokscope.core.provenance import write_stamps
from grokscope.runs.config import check_file, read_argument
from grokscope.runs.paths import (
    CLAIM_TABLES,
    EVALUATION_TABLES,
    PANEL_FOLDER,
    PANEL_TABLES,
    STUDY_TABLES,
    TRACE_PATTERN,
    study_table,
    summary,
)
from grokscope.runs.plan import Plan, scaled_by_attempt
from grokscope.workflow.targets import command_line_targets
from grokscope.workflow.progress import show_failures, show_time_left

# A config on the command line replaces the default; it is not merged into it.
if not workflow.overwrite_configfiles:
    try:
        check_file("config/config.yaml")
    except UserError as error:
        raise WorkflowError(str(error)) from None

    configfile: "config/config.yaml"


try:
    # Snakemake leaves nested parts of a --config value as text.
    for argument in workflow.config_settings.config_args or []:
        update_config(config, read_argument(argument))
    plan = Plan(config)
    write_stamps("results/code")
except (UserError, OSError) as error:
    raise WorkflowError(str(error)) from None
for name in ("store", "device", "tf32", "checkpoint_seconds"):
    config[name] = plan.config.values[name]

show_time_left(workflow.logger_manager.plugin_handlers)
show_failures(workflow.logger_manager.plugin_handlers)


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/measure.smk"
include: "rules/evaluate.smk"
include: "rules/claims.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        [plan.study_files(study) for study in plan.studies],
        expand(
            "results/tables/{table}.{suffix}",
            table=STUDY_TABLES,
            suffix=["parquet", "csv"],
        ),
        "results/report.html",
        "results/report.md",
        "results/validation.json",
        "results/validated.txt",


# Each study is a target.
for study in plan.studies:

    rule:
        name:
            study
        input:
            plan.study_files(study),


if workflow.is_main_process:
    try:
        plan.check_targets(
            command_line_targets(), rules=[rule.name for rule in workflow.rules]
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None
