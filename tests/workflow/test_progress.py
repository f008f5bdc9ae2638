"""The progress display: time left is shown, other handlers are ignored."""

import io
import logging
from types import SimpleNamespace

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_rich.handler import RichLogHandler

from grokscope.workflow.progress import show_failures, show_time_left


def test_time_left_is_shown():
    clock = SimpleNamespace(now=0.0)
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    progress = Progress(
        TimeElapsedColumn(), console=console, get_time=lambda: clock.now, auto_refresh=False
    )
    show_time_left([logging.NullHandler(), SimpleNamespace(progress=progress)])
    task = progress.add_task("train run", total=10)
    # A job every 100 seconds: rich alone would have forgotten the speed.
    for _ in range(4):
        clock.now += 100
        progress.advance(task)
    with console.capture() as shown:
        console.print(progress.make_tasks_table(progress.tasks))
    assert "0:06:40" in shown.get()  # passed
    assert "left" in shown.get()
    assert "0:10:00" in shown.get()  # six jobs of 100 seconds


def test_other_handlers_are_left_alone():
    other = SimpleNamespace(progress="another handler's")
    show_time_left([logging.NullHandler(), other])
    assert other.progress == "another handler's"


def test_what_an_executor_says_of_a_failed_job_is_shown():
    console = Console(file=io.StringIO(), width=80)
    handler = logging.NullHandler()
    handler.console = console
    show_failures([handler, logging.NullHandler()])
    with console.capture() as shown:
        for level, message in ((logging.ERROR, "sbatch: no [account]"), (logging.ERROR, None)):
            values = {"levelno": level, "msg": "Error in rule x", "rule_msg": message}
            assert handler.filter(logging.makeLogRecord(values))
    assert shown.get() == "sbatch: no [account]\n"


def test_of_a_failed_job_the_logs_that_there_are_are_shown(tmp_path, capsys):
    """With the plugin of the default profile, which would end in a traceback."""
    written = tmp_path / "written.log"
    written.write_text("what the job wrote")
    handler = RichLogHandler(settings=OutputSettings())
    handler.console.file = io.StringIO()
    job = {"rule": "train_run", "wildcards": {}, "log": [str(written), str(tmp_path / "none.log")]}
    handler.event_handler.jobs_info[3] = job
    show_failures([handler])
    record = logging.makeLogRecord(
        {
            "levelno": logging.ERROR,
            "msg": "Error in rule x",
            "event": LogEvent.JOB_ERROR,
            "jobid": 3,
        }
    )
    handler.handle(record)
    shown = handler.console.file.getvalue()
    assert "Failed train_run" in shown
    assert "what the job wrote" in shown
    # Where logging's own errors go.
    assert capsys.readouterr().err == ""
