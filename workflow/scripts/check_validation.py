"""Validation to success or failure: fails if it found problems, and lists them."""

import json
import sys
from pathlib import Path
from typing import Any

from grokscope.report.checks.check import failures
from grokscope.workflow.script import run


def main(snakemake: Any) -> None:
    """Read the checks; stop with their problems, or write how many passed."""
    result = json.loads(Path(snakemake.input.validation).read_text(encoding="utf-8"))
    problems = failures(result)
    if problems:
        sys.exit("results/validation.json:\n" + "\n".join(problems))
    checked = sum(check["n_checked"] for check in result["checks"])
    text = f"{len(result['checks'])} checks, {checked} comparisons: ok\n"
    Path(snakemake.output.stamp).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main, snakemake)  # type: ignore[name-defined]  # Set by Snakemake.
