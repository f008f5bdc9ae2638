"""Progress display: time left beside the progress of each rule, and why a job failed.

Snakemake's rich logger plugin shows finished jobs and the time passed. Its progress display is an
attribute, to which a column is added here. For a failed job the plugin shows the log, but not the
message of the executor, which on a cluster is often all there is; if the job failed before it had
a log, as on a full disk, the plugin itself fails with a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Long enough for several jobs to end: by default rich estimates speeds from the last 30 seconds,
# and a training takes minutes.
SPEED_PERIOD_SECONDS = 3600.0


def show_time_left(handlers: Iterable[object]) -> None:
    """Add a column with the estimated time left to the progress display of log handlers.

    Parameters
    ----------
    handlers
        Log handlers of a Snakemake call; those without a rich progress display are ignored.
    """
    for handler in handlers:
        display = getattr(handler, "progress", None)
        if display is None:
            continue
        from rich.progress import Progress, TextColumn, TimeRemainingColumn

        if isinstance(display, Progress):
            display.speed_estimate_period = SPEED_PERIOD_SECONDS
            display.columns = (*display.columns, TextColumn("left"), TimeRemainingColumn())


def show_failures(handlers: Iterable[logging.Handler]) -> None:
    """Let log handlers with a rich console print the executor's message about a failed job, and
    those of the job's logs that exist.

    Parameters
    ----------
    handlers
        Log handlers of a Snakemake call; those without a rich console are ignored.
    """
    for handler in handlers:
        console = getattr(handler, "console", None)
        if console is None:
            continue

        events = getattr(handler, "event_handler", None)

        def show(record: logging.LogRecord, console: Any = console, events: Any = events) -> bool:
            job = getattr(events, "jobs_info", {}).get(getattr(record, "jobid", None))
            if record.levelno >= logging.ERROR and job:
                job["log"] = [path for path in job["log"] if Path(path).is_file()]
            message = getattr(record, "rule_msg", None)
            if record.levelno >= logging.ERROR and message:
                console.print(message, style="red", markup=False, soft_wrap=True)
            return True

        handler.addFilter(show)
