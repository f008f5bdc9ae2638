"""The project as a whole: linters, pins, documents that are made from data."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import grokscope
from grokscope.data.tables import data_dictionary, table_names
from project import CONFIGS, ROOT, run_tool


def pins():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["snakefmt", "--check", "Snakefile", "rules"],
    ],
    ids=" ".join,
)
def test_linter_is_clean(command):
    result = run_tool(command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_snakemake_lint_is_clean():
    result = run_tool(["snakemake", "--lint"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Congratulations" in result.stdout + result.stderr


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
        " 'grokscope.train.engines')):\n"
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
    for name in names:
        assert re.split(r"[<>=]", name)[0].lower() in pins(), name


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == grokscope.__version__


def test_data_dictionary_is_up_to_date():
    assert (ROOT / "docs/data_dictionary.md").read_text() == data_dictionary()
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
