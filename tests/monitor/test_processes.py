"""Two processes that share a model: one file, with the norms of a single process."""

import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from processes import N_STEPS
from watching import Expected, assert_rows, batches, layers, loss_of, model_of, rows_of

from project import ROOT


def run_two(kind, folder):
    places = [ROOT / "workflow/scripts", ROOT / "tests/monitor", ROOT / "tests"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "OMP_NUM_THREADS": "1",
    }
    program = str(ROOT / "tests/monitor/processes.py")
    start = partial(subprocess.Popen, env=environment, text=True, stdout=subprocess.PIPE)
    both = [
        start([sys.executable, program, kind, str(rank), str(folder)], stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    found = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], found
    return [output for output, _ in found]


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_norms_of_two_processes_are_those_of_one(kind, tmp_path):
    run_two(kind, tmp_path)
    model = model_of(width=17)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    expected = Expected(layers(model))
    for inputs, targets in batches(N_STEPS):
        loss_of(model(inputs), targets).backward()
        expected.before()
        optimizer.step()
        optimizer.zero_grad()
    expected.before(gradients=False)
    rows, metadata = rows_of(tmp_path / "run.parquet")
    # The mean over two halves is summed in another order than the whole.
    assert_rows(rows, expected.frame, rtol=1e-4)
    assert metadata["groups"] == ["0", "2"]


def test_processes_that_do_not_say_how_they_share_are_refused(tmp_path):
    for output in run_two("plain", tmp_path):
        assert "does not support a plain model in 2 processes" in output
