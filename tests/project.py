"""Where the project's files are, and how tests run its tools."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The smallest configuration in which every rule runs.
TINY = ROOT / "tests/tiny.yaml"
CONFIGS = [
    *sorted((ROOT / "config").glob("*.yaml")),
    *sorted((ROOT / "docs/evidence").rglob("config.yaml")),
]

# What a workflow run needs of a checkout.
PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "envs")


def canonical(requirement: str) -> tuple[str, str]:
    """Name and version of a pin, as the registry compares them."""
    name, version = requirement.split("==")
    return re.sub(r"[-_.]+", "-", name).lower(), version


def pins() -> dict[str, str]:
    """Version of each package in requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(canonical(line) for line in lines if "==" in line)


def run_tool(
    command: Sequence[str], folder: Path = ROOT, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in a folder."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    # What pytest was told is not for the tools.
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def finished_jobs(folder: Path, *arguments: str) -> Counter[str]:
    """Run the workflow; number of finished jobs by rule."""
    before = set(folder.glob(".snakemake/log/*.log"))
    result = run_tool(["snakemake", *arguments], folder)
    assert result.returncode == 0, result.stdout + result.stderr
    logs = set(folder.glob(".snakemake/log/*.log")) - before
    text = "".join(log.read_text() for log in logs)
    finished = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", text))
    finished.pop("all", None)
    return finished


def copy_checkout(folder: Path) -> None:
    """Copy what a workflow run needs into a folder, file times included."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # Compiled modules too, but for those that another test is writing.
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, folder / part)
