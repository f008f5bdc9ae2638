"""A note in the folders of traces, which stops tools that would read a folder as one table.

Such a tool takes every file below, runs of grids long gone included, and only the columns of the
first one. It cannot read the note, and its error names it; single traces are read as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from grokscope.core.files import replacing

# Not hidden, and not beginning with _: readers of data sets skip such files.
NOTE = "read_this_folder_with_grokscope.read_runs.txt"
_TEXT = """\
This folder is no table. Its traces differ in their columns, the parameters of a run are text in
its path, and runs of earlier configurations stay. This file makes tools fail that would read it as
one (pandas.read_parquet and others); each single trace can be read with any of them.

    from grokscope import read_runs
    frame = read_runs()

gives all runs of the present configuration as one table, in the folder in which snakemake ran.
"""


def leave_notes(folders: Iterable[str]) -> None:
    """Put the note into folders, which are made if they are not there."""
    for folder in folders:
        path = Path(folder, NOTE)
        # An aid, never a reason not to train.
        with suppress(OSError):
            if not path.exists():
                with replacing(path) as temporary:
                    temporary.write_text(_TEXT, encoding="utf-8")
