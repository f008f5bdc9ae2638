"""Grokscope: config, includes, targets."""

import os
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, update_config

min_version("9.27")
CHECKOUT = Path(workflow.basedir).resolve()
if set("{}") & set(str(CHECKOUT)):
    raise WorkflowError(
        f"{CHECKOUT}: Snakemake takes braces in the checkout's path for wildcards; move the "
        "checkout to a folder without them (results may lie in one with: --directory)"
    )
sys.path.insert(0, str(CHECKOUT / "workflow" / "scripts"))
# Snakemake starts jobs by a shell, with the path of its Python as it stands, blanks included.
if Path(sys.executable).is_file():
    sys.executable = shlex.quote(sys.executable)
# The kernels of trainings use what numba has no Python for.
os.environ.pop("NUMBA_DISABLE_JIT", None)

from grokscope.core.errors import UserError
from grokscope.core.provenance import write_stamps
from grokscope.runs.paths import (
    CLAIM_TABLES,
    CONFIGURATION,
    EVALUATION_TABLES,
    PANEL_FOLDER,
    PANEL_TABLES,
    STUDY_TABLES,
    TRACE_PATTERN,
    study_table,
    summary,
)
from grokscope.runs.plan import Plan, scaled_by_attempt
from grokscope.runs.reading import read_argument, read_config
from grokscope.workflow.targets import command_line_targets
from grokscope.workflow.progress import show_failures, show_time_left

# Relative to the working directory, which --directory may place elsewhere: as long as it is the
# checkout, the inputs of rules have the same names wherever that is.
TEXTS = os.path.relpath(CHECKOUT / "workflow/report")

# A config on the command line replaces the default; it is not merged into it.
default = Path("config/config.yaml")
if not default.exists():
    default = os.path.relpath(CHECKOUT / default)
try:
    # Snakemake's own reading keeps the last of two equal keys, and reads 010 as 8.
    for path in workflow.overwrite_configfiles or [default]:
        read_config(path)
except UserError as error:
    raise WorkflowError(str(error)) from None

if not workflow.overwrite_configfiles:

    configfile: str(default)


try:
    # Snakemake leaves nested parts of a --config value as text.
    for argument in workflow.config_settings.config_args or []:
        update_config(config, read_argument(argument))
    # What reads logs is imported only where there are some.
    plan = Plan(
        config, lambda study: import_module("grokscope.data.logs.index").indexed(study)
    )
    write_stamps("results/code")
except (UserError, OSError) as error:
    raise WorkflowError(str(error)) from None
for name in ("store", "device", "tf32", "checkpoint_seconds"):
    config[name] = getattr(plan.config, name)

show_time_left(workflow.logger_manager.plugin_handlers)
show_failures(workflow.logger_manager.plugin_handlers)


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/imports.smk"
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
        "results/verdicts.json",
        "results/report.html",
        "results/report.md",
        "results/explorer.html",
        "results/validation.json",
        "results/validated.txt",


# All trainings and nothing after them, or all imported runs: for a machine that only trains.
rule traces:
    input:
        plan.traces(plan.keys()),


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
