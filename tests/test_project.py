"""The project as a whole: linters, pins, documents that are made from data."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import grokscope
from grokscope.data.tables import data_dictionary, table_names
from project import CONFIGS, ROOT, pins, run_tool


def lint_commands():
    """What ``make lint`` runs."""
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    return [line.strip().removeprefix("$(BIN)/").split() for line in recipe[1].splitlines()]


@pytest.mark.parametrize("command", lint_commands(), ids=" ".join)
def test_linter_is_clean(command):
    result = run_tool(command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_linter_is_among_those_of_make_lint_and_pre_commit():
    tools = {command[0] for command in lint_commands()}
    assert tools == {"ruff", "snakefmt", "mypy", "lint-imports", "snakemake"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"].removeprefix(".venv/bin/").split() for hook in hooks] == lint_commands()


def test_no_file_is_longer_than_can_be_read_at_once():
    kernels = {"kernels.py"}
    for path in (ROOT / "workflow/scripts").rglob("*.py"):
        lines = len(path.read_text().splitlines())
        assert lines <= 400 or path.name in kernels, f"{path}: {lines} lines"


def test_package_files_import_nothing_but_registries():
    for path in (ROOT / "workflow/scripts/grokscope").rglob("__init__.py"):
        tree = ast.parse(path.read_text())
        imported = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) if n.module]
        ours = {name for name in imported if name.startswith("grokscope")}
        place = path.parent.name
        allowed = {
            "detectors": {"grokscope.measure.detectors"},
            "engines": {name for name in ours if name.startswith("grokscope.")},
        }
        assert ours <= allowed.get(place, set()), f"{path}: {ours}"


@pytest.mark.parametrize("environment", ["training", "analysis"])
def test_conda_pins_equal_the_requirements(environment):
    conda = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())
    renamed = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    for line in conda["dependencies"]:
        name, version = line.split(" =")
        if name != "python":
            assert pins()[renamed.get(name, name)] == version, name


def test_analysis_needs_no_torch():
    code = (
        "import sys, pkgutil, importlib, grokscope\n"
        "for module in pkgutil.walk_packages(grokscope.__path__, 'grokscope.'):\n"
        "    if not module.name.startswith(('grokscope.train.loop', 'grokscope.train.models',"
        " 'grokscope.train.engines', 'grokscope.train.networks.', 'grokscope.train.optimizers',"
        " 'grokscope.train.losses', 'grokscope.monitor.')):\n"
        "        importlib.import_module(module.name)\n"
        "assert 'torch' not in sys.modules and 'snakemake' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT / "workflow/scripts"
    )


def test_requirements_cover_what_the_package_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        names += extra
    # Of users' tools; make test-tools installs them.
    for name in set(names) - {"lightning", "transformers", "accelerate"}:
        assert re.split(r"[<>=]", name)[0].lower() in pins(), name


def test_all_packages_are_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    scripts = ROOT / "workflow/scripts"
    there = {
        ".".join(path.parent.relative_to(scripts).parts)
        for path in (scripts / "grokscope").rglob("__init__.py")
    }
    assert set(listed) == there | {"grokscope.schema_files"}


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == grokscope.__version__


def test_data_dictionary_is_up_to_date():
    assert (ROOT / "docs/data_dictionary.md").read_text() == data_dictionary()
    # The modulus of a task, which stands above all tables, is not the p-value of three.
    assert data_dictionary().count("\n| `p` |") == 4
    assert {"runs", "transitions", "alarms", "rank", "phases", "claims"} <= set(table_names())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_dry_run_of_shipped_config(path, checkout):
    result = run_tool(
        ["snakemake", "all", "--dry-run", "--quiet", "all", "--configfile", str(path)], checkout
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_config_is_one_error_and_no_job(checkout):
    command = ["snakemake", "all", "--cores", "1", "--config", "studies={gai: {p: 1, q: 2}}"]
    result = run_tool(command, checkout)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "studies.gai.p: 1 is not allowed; allowed: integer >= 2" in output
    assert "studies.gai: unknown key 'q'" in output
    assert "Traceback" not in output
    assert not list(checkout.glob("results/traces"))
