"""Dependencies: pinned by version and, where possible, by hash; enough on every Python."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from project import ROOT, canonical, pins


def pythons():
    """The versions of Python that the package declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert project["requires-python"] == f">={found[0]}"
    return found


def test_the_versions_of_python_are_those_that_are_tested():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == pythons()
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text()
        assert f"Python {pythons()[0]} to {pythons()[-1]}" in text, name


@pytest.mark.parametrize("python", pythons())
def test_the_pins_suffice_on(python):
    """No pinned package forbids this Python, and what it needs there is pinned too.

    A few need more on older versions than on the one that runs this.
    """
    environment = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    pinned = pins()
    todo, seen = [(name, "") for name in pinned], set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = importlib.metadata.distribution(name)
        allowed = SpecifierSet(package.metadata.get("Requires-Python", ""))
        assert allowed.contains(f"{python}.0"), f"{name} needs Python {allowed}"
        for need in map(Requirement, package.requires or []):
            if need.marker and not need.marker.evaluate(environment | {"extra": extra}):
                continue
            needed = canonicalize_name(need.name)
            # What a build of torch for CUDA needs besides comes with it.
            if name == "torch" and needed not in pinned:
                continue
            assert needed in pinned, f"{name} needs {need}"
            assert need.specifier.contains(pinned[needed]), f"{name} needs {need}"
            todo += [(needed, wanted) for wanted in need.extras]


def test_the_lock_is_of_the_requirements():
    wanted = {
        line.strip()
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith(("#", "torch=="))
    }
    text = (ROOT / "requirements.lock").read_text()
    locked = re.findall(
        r"^([^\s#]+==\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M
    )
    assert {canonical(name) for name, _ in locked} == {canonical(name) for name in wanted}
    assert text.count("--hash=") == sum(hashes.count("--hash=") for _, hashes in locked)


def test_the_environment_is_installed_by_hash():
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes --no-deps --requirement requirements.lock" in makefile


def test_an_environment_without_its_interpreter_is_made_again(tmp_path):
    """As after an upgrade that removed the Python it was made with."""
    (tmp_path / "bin").mkdir()
    link = tmp_path / "bin/python"
    link.symlink_to(sys.executable)
    (tmp_path / ".ready").touch()
    command = ["make", "--dry-run", "environment", f"VENV={tmp_path}"]

    def plan():
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "-m venv" not in plan()
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    assert "-m venv" in plan()
