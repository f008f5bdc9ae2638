"""The example of a plain loop, and the page that explains the monitor: run as they stand."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from grokscope.monitor.records import read_rows
from project import ROOT

PAGE = (ROOT / "docs/monitor.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.S | re.M)


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


def test_the_blocks_of_the_page(tmp_path):
    """One after the other, as a reader would; what they lack is named in the page."""
    code = "\n".join(blocks("python"))
    run(["-W", "error", "-c", code], tmp_path)
    assert not list(tmp_path.glob("*.partial"))
    table = pd.read_parquet(tmp_path / "run.parquet")
    assert {"grad_norm", "train_loss", "test_metric"} <= set(table.columns)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("name", ["plain", "lightning", "huggingface"])
def test_each_example_is_named_in_the_page(name):
    assert f"examples/monitor_{name}.py" in PAGE
