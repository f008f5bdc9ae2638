"""Live view: the time left beside the progress of each rule.

Snakemake's rich logger plugin shows jobs done and the time passed. It keeps its progress
display as an attribute, to which a column is added here.
"""

from __future__ import annotations

from collections.abc import Iterable

# Long enough to see several jobs end; rich forgets speeds after 30 seconds otherwise, and a
# training takes minutes.
SPEED_PERIOD_SECONDS = 3600.0


def show_time_left(handlers: Iterable[object]) -> None:
    """Add a column with the estimated time left to the progress display of log handlers.

    Parameters
    ----------
    handlers
        Log handlers of a Snakemake call; those without a rich progress display are left alone.
    """
    for handler in handlers:
        display = getattr(handler, "progress", None)
        if display is None:
            continue
        from rich.progress import Progress, TextColumn, TimeRemainingColumn

        if isinstance(display, Progress):
            display.speed_estimate_period = SPEED_PERIOD_SECONDS
            display.columns = (*display.columns, TextColumn("left"), TimeRemainingColumn())
