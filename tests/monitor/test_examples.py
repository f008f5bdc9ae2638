"""The example of a plain loop, and the page that explains the monitor."""

import os
import re
import subprocess
import sys

import pytest

from grokscope.monitor.records import read_rows
from project import ROOT

PAGE = (ROOT / "docs/monitor.md").read_text()


def run(code, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    result = subprocess.run(
        [sys.executable, *code], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result


def test_plain_example(tmp_path):
    example = str(ROOT / "examples/monitor_plain.py")
    result = run([example, "--steps", "600", "--path", "own.parquet"], tmp_path)
    rows = read_rows(tmp_path / "own.parquet")[0].to_pandas()
    assert "600 updates" in result.stdout and "train_accuracy" in result.stdout
    assert len(rows) == 601 and rows["train_metric"][599] > 0.99
    assert rows["test_metric"].notna().sum() == 60


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("name", ["plain", "lightning", "huggingface"])
def test_each_example_is_named_in_the_page(name):
    assert f"examples/monitor_{name}.py" in PAGE
