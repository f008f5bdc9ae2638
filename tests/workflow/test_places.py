"""Other people's folders: odd names, results elsewhere, a configuration elsewhere."""

import errno
import json
import os
import re
import shutil
import site
import subprocess
import venv
from pathlib import Path

import pandas as pd
import pytest
import yaml

from grokscope.cli import main
from grokscope.data.trace_tree import plan_of, read_runs
from grokscope.workflow.lock import clear_stale_lock
from grokscope.workflow.notes import NOTE
from project import TINY, copy_checkout, run_tool

STUDY = "phase_diagram"
SUMMARY = f"results/summaries/{STUDY}.json"
# A study of two runs; its summary needs a training, a panel and the published claims.
CALL = (SUMMARY, "--cores", "2", "--configfile", str(TINY))


def check(folder: Path) -> None:
    assert (folder / SUMMARY).is_file()
    assert len(read_runs(folder, config=TINY, study=STUDY)) == 2 * 41
    assert (folder / "results/traces" / STUDY / NOTE).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a blank", '-it\'s 50% "é" $HOME; # *[x]'])
def test_a_checkout_and_an_environment_in_a_folder_of_any_name(name, tmp_path):
    checkout = tmp_path / name
    checkout.mkdir()
    copy_checkout(checkout)
    # An environment of its own with the packages of this one, as `make environment` puts it there.
    venv.create(checkout / ".venv", with_pip=False)
    (packages,) = (checkout / ".venv").glob("lib/python*/site-packages")
    (packages / "these.pth").write_text("\n".join(site.getsitepackages()))
    python = checkout / ".venv/bin/python"
    result = subprocess.run(
        [str(python), "-m", "snakemake", *CALL],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    check(checkout)


def test_braces_in_the_path_of_the_checkout_are_refused(tmp_path):
    checkout = tmp_path / "a{b}"
    checkout.mkdir()
    copy_checkout(checkout)
    result = run_tool(["snakemake", "-n", *CALL], checkout)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "a{b}: Snakemake takes braces in the checkout's path for wildcards" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_results_elsewhere_with_directory(checkout, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch") / "o{d}d place"
    scratch.mkdir()
    result = run_tool(["snakemake", *CALL, "--directory", str(scratch)], checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    check(scratch)
    assert not (checkout / "results").exists() and not (checkout / ".snakemake/log").exists()
    # Nothing is left to do, from there or from here.
    for call, folder in (
        (["snakemake", "-n", *CALL, "--directory", str(scratch)], checkout),
        (["snakemake", "-n", *CALL, "-s", str(checkout / "Snakefile")], scratch),
    ):
        result = run_tool(call, folder)
        assert "Nothing to be done" in result.stdout + result.stderr


def test_the_default_configuration_is_that_of_the_folder_or_of_the_checkout(checkout, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    call = ["snakemake", "-n", "-s", str(checkout / "Snakefile"), SUMMARY]
    result = run_tool([*call], scratch)
    assert result.returncode == 0, result.stdout + result.stderr
    (scratch / "config").mkdir()
    (scratch / "config/config.yaml").write_text("studies: {mine: {}}\nstudies: {mine: {}}\n")
    result = run_tool(call, scratch)
    said = result.stdout + result.stderr
    assert "config/config.yaml: studies: is given twice (lines 1 and 2)" in said
    assert "Traceback" not in said


def test_a_configuration_file_with_a_key_given_twice_is_refused(checkout):
    text = TINY.read_text().replace("  gai:\n", "  lead_lag:\n", 1)
    (checkout / "twice.yaml").write_text(text)
    result = run_tool(["snakemake", "-n", "all", "--configfile", "twice.yaml"], checkout)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert re.search(r"twice\.yaml: studies\.lead_lag: is given twice \(lines 3 and \d+\)", said)
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_configuration_of_finished_results(finished):
    """Its runs are read without a word about others, and asking for it again is nothing to do."""
    frame = read_runs(finished)
    assert len(frame) == 61 + 2 * 81 + 2 * 41
    kept = finished / "results/configuration.yaml"
    call = ["snakemake", "-n", "all", "--configfile", str(kept)]
    assert plan_of(finished).config.values == plan_of(config=TINY).config.values
    result = run_tool(call, finished)
    assert "Nothing to be done" in result.stdout + result.stderr


@pytest.mark.slow
def test_a_study_that_the_configuration_leaves_out(finished, tmp_path, capsys):
    """Its results stay, and are in no table, report or reader."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    config = yaml.safe_load(TINY.read_text())
    del config["studies"]["gai"]
    (tmp_path / "less.yaml").write_text(yaml.safe_dump(config))
    call = ["snakemake", "all", "--cores", "2", "--configfile", "less.yaml"]
    result = run_tool(call, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    results = tmp_path / "results"
    assert json.loads((results / "validation.json").read_text())["status"] == "ok"
    for path in results.glob("tables/*.parquet"):
        assert "gai" not in set(pd.read_parquet(path).get("study", [])), path
    assert not re.search(r"\bgai\b", (results / "report.md").read_text())
    with pytest.warns(UserWarning, match="2 traces of no run of this configuration left out"):
        assert set(read_runs(tmp_path)["study"]) == {"lead_lag", "phase_diagram"}
    assert main(["tidy", "--folder", str(tmp_path), "--move", str(tmp_path / "away")]) == 0
    assert "results/summaries/gai.json" in capsys.readouterr().out
    left = [path for path in results.rglob("*") if "gai" in path.parts and path.is_file()]
    assert {path.name for path in left if "logs" not in path.parts} == {NOTE}
    call = ["snakemake", "-n", "all", "--configfile", "less.yaml"]
    result = run_tool(call, tmp_path)
    assert "Nothing to be done" in result.stdout + result.stderr


def test_a_read_only_folder_can_be_planned_in(tmp_path, monkeypatch):
    (tmp_path / "owner.lock").touch()

    def read_only(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", read_only)
    assert clear_stale_lock(tmp_path) == []
