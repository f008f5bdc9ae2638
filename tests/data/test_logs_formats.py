"""Formats of logs that need no further package, each read to the same trace."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foreign_logs import curves, import_all, one, study_of
from grokscope.core.errors import UserError

USED = ["train_loss", "test_loss", "train_metric", "test_metric"]


def check(trace, frame=None):
    """The trace has the values of the curves, at their steps."""
    frame = curves() if frame is None else frame
    found = trace.frame.dropna(subset="test_metric")
    assert found["step"].tolist() == frame["step"].tolist()
    for name, logged in zip(USED, frame.columns[1:], strict=True):
        np.testing.assert_array_equal(found[name], frame[logged].to_numpy(np.float32))
        assert trace.spec.column(name).every == 50


def long(frame):
    """A row per step and metric."""
    return frame.melt(id_vars="step", var_name="metric", value_name="value").sort_values("step")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_wide_csv(tmp_path, separator):
    curves().to_csv(tmp_path / "run.csv", index=False, sep=separator)
    check(one(tmp_path / "run.csv", tmp_path))


def test_long_csv(tmp_path):
    long(curves()).to_csv(tmp_path / "run.csv", index=False)
    check(one(tmp_path / "run.csv", tmp_path))


@pytest.mark.parametrize("shape", [pd.DataFrame, long])
def test_parquet(tmp_path, shape):
    shape(curves()).to_parquet(tmp_path / "run.parquet")
    check(one(tmp_path / "run.parquet", tmp_path))


@pytest.mark.parametrize("shape", [pd.DataFrame, long])
@pytest.mark.parametrize("meta", [[], [{"_meta": {"seed": 3}}], [{"seed": 3, "lr": 0.1}]])
def test_json_lines_with_and_without_settings(tmp_path, meta, shape):
    lines = [*meta, *shape(curves()).to_dict("records")]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = {"seed": {"config": "seed"}} if meta else {}
    trace = one(tmp_path / "run.jsonl", tmp_path, run=run)
    check(trace)
    assert trace.key.seed == (3 if meta else 0)


def test_npz(tmp_path):
    frame = curves()
    np.savez(tmp_path / "run.npz", seed=3, **{name: frame[name].to_numpy() for name in frame})
    trace = one(tmp_path / "run.npz", tmp_path, run={"seed": {"config": "seed"}})
    check(trace)
    assert trace.key.seed == 3


def test_lightning_has_train_and_validation_on_rows_of_their_own(tmp_path):
    frame = curves()
    train = frame[["step", "train_loss", "train_acc"]].assign(epoch=0)
    val = frame[["step", "test_loss", "test_acc"]].set_axis(
        ["step", "val_loss", "val_acc"], axis=1
    )
    rows = pd.concat([train, val.assign(epoch=0)]).sort_values("step", kind="stable")
    rows.to_csv(tmp_path / "metrics.csv", index=False)
    check(one(tmp_path / "metrics.csv", tmp_path))


def test_hugging_face_state(tmp_path):
    frame = curves()
    history = []
    for row in frame.to_dict("records"):
        history.append({"step": row["step"], "epoch": 0.1, "loss": row["train_loss"]})
        history[-1] |= {
            "grad_norm": 1.5,
            "learning_rate": 1e-3,
            "train_accuracy": row["train_acc"],
        }
        history.append({"step": row["step"], "eval_loss": row["test_loss"]})
        history[-1] |= {"eval_accuracy": row["test_acc"], "eval_runtime": 0.1}
    history.append({"step": 1000, "train_loss": 0.5, "train_runtime": 9.0})
    state = {"log_history": history, "max_steps": 1000, "global_step": 1000}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    trace = one(tmp_path / "trainer_state.json", tmp_path)
    check(trace)
    # A mean since the last log, and never the mean of the whole training, the last row's.
    assert trace.spec.column("train_loss").mean_over == "since_last"
    assert trace.spec.column("train_loss").logged == "loss"
    assert trace.spec.format == "huggingface"
    assert trace.spec.row == "before_update"


def test_mlflow_folder(tmp_path):
    run = tmp_path / "mlruns/1/abc"
    (run / "params").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\n")
    (run / "params/seed").write_text("3")
    frame = curves()
    names = {"train/loss": "train_loss", "val/loss": "test_loss"}
    names |= {"train/acc": "train_acc", "val/acc": "test_acc"}
    for key, column in names.items():
        path = run / "metrics" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        times = range(1000, 1000 + len(frame))
        rows = zip(times, frame[column], frame["step"], strict=True)
        path.write_text("".join(f"{time} {value!r} {step}\n" for time, value, step in rows))
    trace = one(tmp_path / "mlruns", tmp_path, run={"seed": {"config": "seed"}})
    check(trace)
    assert trace.key.seed == 3


def test_trackio_database_of_two_runs(tmp_path):
    path = tmp_path / "project.db"
    with closing(sqlite3.connect(path)) as base:
        base.execute(
            "create table metrics (id integer primary key, timestamp text, run_name text, "
            "step integer, metrics text)"
        )
        base.execute("create table configs (id integer, run_name text, config text)")
        for seed, name in enumerate(("quick-fox", "slow-dog")):
            config = json.dumps({"seed": seed, "optimizer": {"lr": 0.1}})
            base.execute("insert into configs values (?, ?, ?)", (seed, name, config))
            for row in curves(onset=700 + 50 * seed).to_dict("records"):
                text = json.dumps({key: row[key] for key in row if key != "step"})
                base.execute(
                    "insert into metrics (run_name, step, metrics) values (?, ?, ?)",
                    (name, row["step"], text),
                )
        base.commit()
    run = {"seed": {"config": "seed"}, "learning_rate": {"config": "optimizer.lr"}}
    traces = import_all(study_of({"files": str(path), "run": run}), tmp_path)
    assert [trace.spec.part for trace in traces] == ["quick-fox", "slow-dog"]
    assert [trace.key.seed for trace in traces] == [0, 1]
    assert traces[0].key.settings == (("learning_rate", "0.1"),)
    check(traces[0])
    check(traces[1], curves(onset=750))


def test_monitor_file_is_told_by_its_metadata(tmp_path):
    step = np.arange(40)
    table = pa.table(
        {
            "step": step,
            "train_loss": 1 / (step + 1),
            "test_metric": pa.array([0.5 if t % 10 == 0 else None for t in step]),
            "grad_norm": np.full(40, 5.0),
            "grad_norm_body": np.full(40, 3.0),
            "grad_norm_head": np.full(40, 4.0),
            "weight_norm_body": np.full(40, 6.0),
            "weight_norm_head": np.full(40, 8.0),
            "update_norm_head": np.full(40, 0.1),
            "learning_rate": np.full(40, 0.1),
        }
    )
    facts = {"version": 1, "groups": ["body", "head"], "row": "after_update"}
    facts |= {"config": {"seed": 7}, "complete": True, "stopped_reason": None, "library": {}}
    metadata = {"grokscope.monitor": json.dumps(facts)}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "run.parquet")
    trace = one(tmp_path / "run.parquet", tmp_path, run={"seed": {"config": "seed"}})
    assert trace.spec.format == "grokscope_monitor"
    assert trace.spec.row == "after_update"
    assert trace.key.seed == 7
    assert trace.layers == ["body", "head"]
    # The groups share out all parameters.
    assert trace.frame["weight_norm"].tolist() == [10.0] * 40
    assert trace.spec.column("test_metric").every == 10
    assert "learning_rate" not in trace.frame


def test_wandb_history_with_an_index_column(tmp_path):
    frame = curves().rename(columns={"step": "_step", "test_acc": "val/acc"})
    frame["_runtime"], frame["_timestamp"] = frame["_step"] / 10, frame["_step"] + 1.6e9
    frame.to_csv(tmp_path / "history.csv")
    trace = one(tmp_path / "history.csv", tmp_path)
    assert trace.spec.last_step == 1000
    assert trace.spec.column("test_metric").logged == "val/acc"


def test_wandb_counts_calls_of_log_where_the_loop_logs_its_step(tmp_path):
    frame = curves().rename(columns={"step": "trainer/global_step"})
    frame.insert(0, "_step", np.arange(len(frame)))
    frame.to_parquet(tmp_path / "history.parquet")
    check(one(tmp_path / "history.parquet", tmp_path))


def test_runs_of_a_table_are_told_apart_by_a_column(tmp_path):
    rows = [curves(onset=700 + 50 * seed).assign(run=f"s{seed}", lr=0.1) for seed in range(2)]
    pd.concat(rows).to_csv(tmp_path / "all.csv", index=False)
    run = {"part": "s{seed}", "learning_rate": {"column": "lr"}}
    traces = import_all(study_of({"files": str(tmp_path / "all.csv"), "run": run}), tmp_path)
    assert [trace.key.seed for trace in traces] == [0, 1]
    check(traces[1], curves(onset=750))


def test_names_in_the_path(tmp_path):
    for seed in range(2):
        place = tmp_path / f"logs/adamw/wd0.10_s{seed}"
        place.mkdir(parents=True)
        curves().to_csv(place / "metrics.csv", index=False)
    run = {"path": "{optimizer}/wd{weight_decay}_s{seed}/*.csv", "task": "My task!"}
    source = {"files": f"{tmp_path}/logs/**/metrics.csv", "run": run}
    keys = [trace.key for trace in import_all(study_of(source), tmp_path)]
    assert [key.seed for key in keys] == [0, 1]
    assert keys[0].task == "my_task"
    assert keys[0].weight_decay == "0.1"
    assert keys[0].settings == (("optimizer", "adamw"),)
    # What no log tells is null, and no number.
    assert keys[0].row()["train_fraction"] is None
    assert keys[0].row()["width"] is None


def test_a_resumed_run_keeps_what_was_written_later(tmp_path):
    first, again = curves(range(0, 601, 50)), curves(range(400, 1001, 50))
    rows = pd.concat([first.assign(train_acc=0.5), again])
    rows.to_csv(tmp_path / "run.csv", index=False)
    with pytest.raises(UserError, match="go backwards, from 600 to 400 in row 14.*later_wins"):
        one(tmp_path / "run.csv", tmp_path)
    trace = one(tmp_path / "run.csv", tmp_path, overlap="later_wins")
    found = trace.frame["train_metric"].dropna()
    assert found.tolist() == [0.5] * 8 + [1.0] * 13


def test_a_loss_that_is_not_finite_ends_the_run_and_a_norm_does_not(tmp_path):
    frame = curves().assign(grad_norm=1.0)
    frame.loc[3, "grad_norm"] = np.inf
    frame.loc[10:, "train_loss"] = np.nan
    frame.to_csv(tmp_path / "run.csv", index=False, na_rep="nan")
    trace = one(tmp_path / "run.csv", tmp_path)
    assert trace.info.stopped == "diverged"
    assert trace.info.diverged_step == 500
    assert trace.spec.last_step == 450
    assert np.isnan(trace.frame["grad_norm"][150])


def test_only_what_changed_is_read_again(tmp_path, monkeypatch):
    from grokscope.data.logs import index

    for seed in range(3):
        curves().to_csv(tmp_path / f"s{seed}.csv", index=False)
    study = study_of({"files": f"{tmp_path}/s*.csv", "run": {"path": "s{seed}.csv"}})
    before = index.indexed(study, tmp_path)
    read = []
    of_log = index.read_runs
    monkeypatch.setattr(
        index, "read_runs", lambda name, log, source: read.append(log) or of_log(name, log, source)
    )
    assert index.indexed(study, tmp_path) == before
    assert read == []
    curves(range(0, 1101, 50)).to_csv(tmp_path / "s1.csv", index=False)
    after = index.indexed(study, tmp_path)
    assert [log.path for log in read] == [str(tmp_path / "s1.csv")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert after[1].last_step == 1100


def test_logs_as_traces_from_python(tmp_path):
    from grokscope import import_logs, score_detectors

    for seed in range(2):
        curves().to_csv(tmp_path / f"s{seed}.csv", index=False)
    traces = import_logs(f"{tmp_path}/s*.csv", run={"path": "s{seed}.csv"})
    assert [trace.key.seed for trace in traces] == [0, 1]
    check(traces[0])
    scores = score_detectors(traces[0])
    assert len(scores) == 1001
    assert ("train_loss", "combined") in scores
    assert not any(name == "gai" for name, _ in scores)
