"""Users' networks in the workflow: an edit trains the runs that use them, and no others."""

import pytest

from project import run_tool

pytestmark = pytest.mark.slow

NETWORK = """
from torch import nn


def make(task):
    hidden = nn.Linear(task.n_inputs * task.width, task.n_outputs)
    return nn.Sequential(nn.Embedding(task.n_symbols, task.width), nn.Flatten(), hidden)
"""
CONFIG = """
studies:
  own:
    kind: phase_diagram
    grids: [&grid {tasks: [modular_addition], depths: [2], train_fractions: [0.7], seeds: [0, 1],
                   weight_decays: [1.0], widths: [4], steps: 20}]
    p: 7
    model: module
    module: net.py:make
  plain: {kind: phase_diagram, grids: [*grid], p: 7}
store: store
runs_per_job: 1
"""
CELL = "task=modular_addition/depth=2/train_fraction=0.7/weight_decay=1.0/width=4"
TRACES = [
    f"results/traces/{study}/{CELL}/seed={seed}.parquet"
    for study in ("own", "plain")
    for seed in (0, 1)
]


def test_an_edit_of_its_file_trains_its_runs_alone_and_the_store_knows_the_old_ones(checkout):
    (checkout / "own.yaml").write_text(CONFIG)
    network = checkout / "net.py"
    network.write_text(NETWORK)
    assert made(checkout) == TRACES
    network.write_text(NETWORK + "# Said.\n")
    assert made(checkout) == []
    network.write_text(NETWORK.replace("hidden)", "nn.ReLU(), hidden)"))
    assert made(checkout) == TRACES[:2]
    assert not any("taken from the trace store" in log for log in logs(checkout, TRACES[:2]))
    # As it was: their jobs run, and find what was kept.
    network.write_text(NETWORK)
    assert made(checkout) == TRACES[:2]
    assert all("taken from the trace store" in log for log in logs(checkout, TRACES[:2]))


def made(folder):
    """Traces that a call of the workflow makes."""
    before = times(folder)
    command = ["snakemake", *TRACES, "--cores", "2", "--configfile", "own.yaml"]
    result = run_tool(command, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return [trace for trace, time in times(folder).items() if time != before.get(trace)]


def times(folder):
    """When each trace was written."""
    return {t: (folder / t).stat().st_mtime_ns for t in TRACES if (folder / t).exists()}


def logs(folder, traces):
    """Logs of the jobs that made traces."""
    places = (t.replace("results/", "results/logs/").replace(".parquet", ".log") for t in traces)
    return [(folder / place).read_text() for place in places]
