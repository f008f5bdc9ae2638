"""Stamps: what changes them and what does not."""

import os
import shutil

import pytest

from grokscope.core.provenance import _data_digest, _digest, code_hashes, write_stamps
from project import ROOT


@pytest.fixture
def scripts(tmp_path):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    return tmp_path / "workflow/scripts"


def stamp(scripts, script="measure_panel"):
    _digest.cache_clear()
    _data_digest.cache_clear()
    write_stamps(scripts.parent / "code", scripts)
    return scripts.parent / "code" / f"{script}.json"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_stamp_names_what_a_script_imports(scripts):
    training = code_hashes("train_runs", scripts)
    assert {
        "train_runs",
        "grokscope.train.loop",
        "grokscope.train.models",
        "grokscope.runs.tasks",
    } <= set(training)
    # Editing a detector, a table or a figure never retrains.
    packages = {name.split(".")[1] for name in training if name.startswith("grokscope.")}
    assert packages == {"core", "runs", "data", "train", "workflow"}
    assert not {"grokscope.data.tables", "grokscope.runs.config", "grokscope.runs.plan"} & set(
        training
    )
    assert "grokscope.train.loop" not in code_hashes("measure_panel", scripts)
    assert "tables.yaml" in code_hashes("measure_panel", scripts)


def test_comments_docstrings_and_touches_leave_the_file_alone(scripts):
    path = stamp(scripts)
    os.utime(path, (1, 1))
    alarms = scripts / "grokscope/measure/alarms.py"
    alarms.touch()
    alarms.write_text(alarms.read_text() + "\n# A comment.\n")
    edit(alarms, '"""', '"""Another docstring. ')
    edit(scripts.parent / "schemas/tables.yaml", "One row per alarm", "A row per alarm")
    stamp(scripts)
    assert path.stat().st_mtime == 1


def test_an_edit_reaches_dependents_alone(scripts):
    before = {name: stamp(scripts, name).read_text() for name in ("measure_panel", "train_runs")}
    alarms = scripts / "grokscope/measure/alarms.py"
    alarms.write_text(alarms.read_text() + "\nEXTRA = 1\n")
    assert stamp(scripts).read_text() != before["measure_panel"]
    assert stamp(scripts, "train_runs").read_text() == before["train_runs"]
    assert stamp(scripts, "plot_lags").read_text() == stamp(scripts, "plot_lags").read_text()


def test_an_edit_of_an_indirect_import_counts(scripts):
    before = stamp(scripts).read_text()
    edit(scripts / "grokscope/runs/spec.py", 'text + ".0"', 'text + ".00"')
    assert stamp(scripts).read_text() != before


def test_a_schema_change_counts(scripts):
    before = stamp(scripts).read_text()
    edit(scripts.parent / "schemas/tables.yaml", "score: {type: number", "score: {type: integer")
    assert stamp(scripts).read_text() != before
