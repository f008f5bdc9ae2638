"""What all rules share: wildcards, a single owner of the directory, a clean end."""

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from grokscope.workflow.lock import (
    InUseError,
    claim,
    clear_stale_lock,
    stop_on_signals,
    stop_orphans,
)
from grokscope.workflow.notes import leave_notes

# Not in the Snakemake of a job, which runs in the directory of its main process.
if workflow.is_main_process:
    try:
        for path in clear_stale_lock():
            logger.warning(f"Removed {path}: the snakemake that made it is dead.")
    except InUseError as error:
        # Not yet an error: this may be a dry-run.
        logger.warning(str(error))


onstart:
    try:
        claim()
        if orphans := stop_orphans():
            logger.warning(
                f"Stopped jobs of a dead snakemake: processes {orphans}."
            )
    except InUseError as error:
        raise WorkflowError(str(error)) from None
    stop_on_signals(local=workflow.local_exec)
    leave_notes(plan.trace_folders())


wildcard_constraints:
    study=plan.named(),
    task=r"[a-z0-9_]+",
    depth=r"\d+",
    folders=r"task=[^/]+(/[a-z_]+=[^/]+)+",
    seed=r"\d+",
    table="|".join(STUDY_TABLES),


# Seconds each, even with 1,500 runs: on a cluster not worth a place in the queue.
localrules:
    collect_study,
    summarise_study,
    collect_tables,
    plot_lags,
    plot_phase_diagram,
    plot_delay_map,
    plot_effects,
    plot_detection_curves,
    plot_specification_curves,
    plot_alarm_leads,
    plot_outcomes,
    write_report,
    check_validation,
