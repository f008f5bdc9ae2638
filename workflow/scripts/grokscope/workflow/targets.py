"""Targets of a Snakemake call, known while the Snakefile is still being parsed."""

from __future__ import annotations

import sys
from pathlib import Path


def command_line_targets() -> list[str]:
    """Targets on the command line; none if Snakemake was not started by its command.

    Snakemake does not pass targets to the Snakefile, and about one that no rule makes it reports
    only that there is no rule.
    """
    if Path(sys.argv[0]).stem not in ("snakemake", "__main__"):
        return []
    from snakemake.cli import get_argument_parser

    known, _ = get_argument_parser().parse_known_args(sys.argv[1:])
    return sorted(known.targets or ())
