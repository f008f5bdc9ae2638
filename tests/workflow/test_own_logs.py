"""Own logs through the whole workflow: all results, and what a change of a log recomputes."""

import json
import os
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
import torch
import yaml

from foreign_logs import curves
from grokscope import GradientMonitor, read_runs
from project import copy_checkout, run_tool
from synthetic import learning_run

pytestmark = pytest.mark.slow

KEYS = {"path": "{task}_s{seed}.csv", "depth": 2, "width": 16, "learning_rate": 0.01}
CONFIG = {
    "studies": {
        "warning": {
            "kind": "early_warning",
            "claims": "GAI",
            "source": {"files": "logs/full/*.csv", "run": KEYS, "row": "after_update"},
        },
        "sparse": {
            "kind": "lead_lag",
            "claims": "LL",
            "source": {"files": "logs/sparse/*.jsonl", "run": {"path": "s{seed}.jsonl"}},
        },
        "phases": {
            "kind": "phase_diagram",
            "claims": "PD",
            "source": {"files": "logs/sparse/*.jsonl", "run": {"path": "s{seed}.jsonl"}},
        },
        "watched": {
            "kind": "early_warning",
            "source": {"files": "logs/watched/*.parquet", "run": {"seed": {"config": "seed"}}},
        },
    },
    "analysis": {"evaluation": {"surrogates": 19}, "multiverse": {"windows": [20]}},
}


def watch(path, seed):
    """Train a small network that memorises and generalises, under the monitor."""
    torch.manual_seed(seed)
    inputs = torch.randn(100, 8)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with GradientMonitor(model, optimizer, path=path, config={"seed": seed}) as monitor:
        for step in range(800):
            scores = model(inputs)
            loss = torch.nn.functional.cross_entropy(scores, labels)
            loss.backward()
            accuracy = (scores.argmax(1) == labels).float().mean()
            monitor.log(train_loss=loss, train_accuracy=accuracy)
            if step % 10 == 0:
                # Of inputs that it was trained on: what is asked is how the workflow reads it.
                monitor.log(test_accuracy=accuracy, test_loss=loss)
            optimizer.step()
            optimizer.zero_grad()


def snakemake(folder, *arguments):
    """Run the workflow; number of finished jobs by rule."""
    before = set(folder.glob(".snakemake/log/*.log"))
    call = ["snakemake", "all", "--cores", "2", *arguments, "--configfile", "logs.yaml"]
    result = run_tool(call, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    logs = set(folder.glob(".snakemake/log/*.log")) - before
    text = "".join(log.read_text() for log in logs)
    finished = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", text))
    finished.pop("all", None)
    return finished


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A checkout in which logs were imported and everything made of them."""
    folder = tmp_path_factory.mktemp("own_logs")
    copy_checkout(folder)
    (folder / "logs.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    for name in ("full", "sparse"):
        (folder / "logs" / name).mkdir(parents=True)
    for task in ("one", "two"):
        for seed in range(2):
            trace = learning_run(seed=seed, kinks=[700, 900 + 40 * seed], onset=1200)
            frame = trace.frame.filter(regex="^(step|train_.*|test_.*|grad_norm.*)$")
            frame.to_csv(folder / f"logs/full/{task}_s{seed}.csv", index=False)
    for seed in range(2):
        lines = curves(onset=700 + 50 * seed).to_dict("records")
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"logs/sparse/s{seed}.jsonl").write_text(text)
    (folder / "logs/watched").mkdir()
    for seed in range(3):
        watch(folder / f"logs/watched/{seed}.parquet", seed)
    finished = snakemake(folder)
    # One job for the logs of a panel.
    assert {name for name in finished if name.startswith("import")} == {
        f"import_block_{number}" for number in range(1, 6)
    }
    return folder


@pytest.fixture
def again(done, tmp_path):
    """A copy of it, file times included."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_all_results_are_there_and_valid(done):
    results = done / "results"
    assert json.loads((results / "validation.json").read_text())["status"] == "ok"
    claims = pd.read_parquet(results / "tables/claims.parquet")
    assert len(claims) == 20
    reasons = claims.set_index("claim")["reason"]
    lacking = "Not testable: no gradient norm in these logs."
    assert set(reasons.filter(like="LL")) == {lacking}
    # Its runs have gradient norms at every step, but are not those of the publication.
    assert reasons.filter(like="GAI").str.startswith("There is no run of").all()
    evaluation = pd.read_parquet(results / "tables/evaluation.parquet")
    assert "gai" in set(evaluation.loc[evaluation["study"] == "warning", "detector"])
    assert "gai" not in set(evaluation.loc[evaluation["study"] == "sparse", "detector"])
    report = (results / "report.md").read_text()
    assert "Imported logs" in report
    assert "Not testable on these logs" in report


def test_imported_runs_are_read_like_trained_ones(done):
    frame = read_runs(done, study="warning")
    assert len(frame) == 4 * 2001
    assert frame["learning_rate"].unique().tolist() == [0.01]
    assert frame["grad_norm_2"].notna().all()
    assert set(frame["task"]) == {"one", "two"}


def test_what_the_monitor_wrote_is_evaluated(done):
    frame = read_runs(done, study="watched")
    assert len(frame) == 3 * 801
    assert set(frame.filter(like="grad_norm_")) == {"grad_norm_0", "grad_norm_2"}
    # The last row has no update, so no gradient either.
    unknown = frame["grad_norm"].isna()
    assert frame.loc[unknown, "step"].tolist() == [800] * 3
    runs = pd.read_parquet(done / "results/tables/runs.parquet")
    assert runs.loc[runs["study"] == "watched", "not_testable"].isna().all()
    transitions = pd.read_parquet(done / "results/tables/transitions.parquet")
    assert transitions.loc[transitions["study"] == "watched", "test_onset_step"].notna().all()
    evaluation = pd.read_parquet(done / "results/tables/evaluation.parquet")
    mine = evaluation[evaluation["study"] == "watched"]
    assert {"gai", "weight_norm_turn"} <= set(mine["detector"])


def test_nothing_is_done_again_without_a_change(again):
    for log in again.glob("logs/**/*.*"):
        os.utime(log)
    assert snakemake(again) == {}


def test_a_longer_log_imports_that_run_alone_and_remakes_its_panel(again):
    log = again / "logs/full/two_s1.csv"
    frame = pd.read_csv(log)
    last = frame.iloc[[-1]].assign(step=frame["step"].iloc[-1] + 1)
    pd.concat([frame, last]).to_csv(log, index=False)
    finished = snakemake(again)
    assert {name for name in finished if name.startswith("import")} == {"import_block_2"}
    text = (again / "results/logs/imports/warning/block=2.log").read_text()
    assert text.count("imported") == 1
    assert "seed=1: imported, 2002 rows of logs/full/two_s1.csv" in text
    assert "1 unchanged" in text
    # The other task's panel, and the other studies, stay as they are.
    assert finished["measure_panel"] == 1
    assert finished["evaluate_alarms"] == 1
    assert finished["plot_lags"] == 0
    runs = pd.read_parquet(again / "results/tables/runs.parquet")
    mine = runs[(runs["study"] == "warning") & (runs["task"] == "two")]
    assert mine["steps"].tolist() == [2000, 2001]
    assert json.loads((again / "results/validation.json").read_text())["status"] == "ok"


def test_a_log_that_went_wrong_is_one_error_and_loses_nothing(again):
    log = again / "logs/full/one_s0.csv"
    frame = pd.read_csv(log)
    pd.concat([frame, frame]).to_csv(log, index=False)
    result = run_tool(["snakemake", "all", "--cores", "1", "--configfile", "logs.yaml"], again)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "logs/full/one_s0.csv: steps go backwards, from 2,000 to 0" in said
    assert "Traceback" not in said
    assert (again / "results/report.html").exists()
    # What was made of it before is there, and read without the log.
    assert read_runs(again, study="warning")["seed"].unique().tolist() == [0, 1]
