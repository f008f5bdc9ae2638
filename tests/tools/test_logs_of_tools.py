"""Logs as the tools themselves write them, read back: each with its real writer.

Run by ``make test-tools``, in an environment that has the tools (docs/own_logs.md names the
versions tried). What is logged is what :func:`foreign_logs.curves` has, where a tool takes steps.
"""

import importlib.metadata
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from foreign_logs import curves, import_all, one, study_of

FRAME = curves()
NAMES = {"train_loss": "train/loss", "test_loss": "val/loss"}
NAMES |= {"train_acc": "train/acc", "test_acc": "val/acc"}


def check(trace, frame=FRAME):
    """The trace has the values of the curves, to float32, at their steps."""
    found = trace.frame.dropna(subset="test_metric")
    assert found["step"].tolist() == frame["step"].tolist()
    metrics = ("train_loss", "test_loss", "train_metric", "test_metric")
    for name, logged in zip(metrics, frame.columns[1:], strict=True):
        np.testing.assert_allclose(found[name], frame[logged], rtol=1e-6)
        assert trace.spec.column(name).every == 50


def rows(frame=FRAME):
    """Step, and what is logged at it."""
    for row in frame.to_dict("records"):
        yield row["step"], {NAMES[name]: row[name] for name in NAMES}


def test_tensorboard(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path / "runs/seed_3")
    for step, values in rows():
        for name, value in values.items():
            writer.add_scalar(name, value, step)
    writer.close()
    run = {"path": "seed_{seed}"}
    trace = one(tmp_path / "runs", tmp_path, run=run)
    check(trace)
    assert trace.key.seed == 3
    assert trace.spec.format == "tensorboard"


def test_tensorboard_scalars_as_tensors(tmp_path):
    """As TensorFlow 2 writes them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path / "run"))
    for step, values in rows():
        for name, value in values.items():
            tensor = make_tensor_proto(np.float32(value))
            summary = Summary(value=[Summary.Value(tag=name, tensor=tensor)])
            writer.add_event(Event(step=step, wall_time=1e9 + step, summary=summary))
    writer.close()
    check(one(tmp_path / "run", tmp_path))


def test_tensorboard_resumed_run_and_all_points(tmp_path):
    """More points than TensorBoard shows, and steps that were made twice."""
    from torch.utils.tensorboard import SummaryWriter

    for start, end, loss in ((0, 15_000, 1.0), (12_000, 20_000, 2.0)):
        writer = SummaryWriter(tmp_path / "run", filename_suffix=f".{start}")
        for step in range(start, end):
            writer.add_scalar("train/loss", loss, step, walltime=1e9 + start + step)
        writer.close()
    found = one(tmp_path / "run", tmp_path).frame["train_loss"]
    assert found.tolist() == [1.0] * 12_000 + [2.0] * 8_000


def test_lightning_csv_logger(tmp_path):
    import lightning as L
    import torch
    from lightning.pytorch.loggers import CSVLogger

    class Module(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, _):
            loss = self.layer(batch[0]).square().mean()
            self.log("train_loss", loss)
            self.log("train_acc", 0.5)
            return loss

        def on_before_optimizer_step(self, optimizer):
            norms = L.pytorch.utilities.grad_norm(self, norm_type=2)
            self.log_dict(norms)

        def validation_step(self, batch, _):
            self.log("val_loss", self.layer(batch[0]).square().mean())
            self.log("val_acc", 0.25)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.TensorDataset(torch.ones(40, 2))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = L.Trainer(
        max_epochs=3,
        logger=CSVLogger(tmp_path, name="mine"),
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Module(), loader, loader)
    trace = one(f"{tmp_path}/mine/**/metrics.csv", tmp_path)
    # Ten steps an epoch, validated at its end; the two stand on different rows.
    assert trace.frame["train_metric"].notna().sum() == 30
    tested = trace.frame.dropna(subset="test_metric")
    assert tested["step"].tolist() == [9, 19, 29]
    assert trace.spec.column("test_metric").every == 10
    # In the order of the file, which sorts its columns.
    assert trace.layers == ["layer_bias", "layer_weight"]
    whole = trace.frame["grad_norm"].to_numpy(float)
    parts = trace.frame[["grad_norm_layer_weight", "grad_norm_layer_bias"]].to_numpy(float)
    np.testing.assert_allclose(whole, np.sqrt((parts**2).sum(axis=1)), rtol=1e-3)


def test_hugging_face_trainer(tmp_path):
    import torch
    from transformers import Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x, labels):
            logits = self.layer(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    data = [{"x": torch.randn(2), "labels": i % 2} for i in range(64)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=20,
        per_device_train_batch_size=8,
        logging_steps=5,
        eval_strategy="steps",
        eval_steps=10,
        save_steps=20,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )

    def accuracy(prediction):
        return {
            "accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())
        }

    trainer = Trainer(
        Model(), arguments, train_dataset=data, eval_dataset=data, compute_metrics=accuracy
    )
    trainer.train()
    trace = one(f"{tmp_path}/out/**/trainer_state.json", tmp_path)
    assert trace.spec.format == "huggingface"
    loss = trace.frame.dropna(subset="train_loss")
    history = [row for row in trainer.state.log_history if "loss" in row]
    assert loss["step"].tolist() == [5, 10, 15, 20] == [row["step"] for row in history]
    np.testing.assert_allclose(loss["train_loss"], [row["loss"] for row in history], rtol=1e-6)
    assert trace.spec.column("train_loss").mean_over == "since_last"
    tested = trace.frame.dropna(subset="test_metric")
    assert tested["step"].tolist() == [10, 20]
    assert trace.spec.column("grad_norm").every == 5


@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_mlflow(tmp_path, monkeypatch, store):
    if store == "file":
        # In maintenance, for what was written before.
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        place, uri = tmp_path / "mlruns", (tmp_path / "mlruns").as_uri()
    else:
        place = tmp_path / "mlflow.db"
        uri = f"sqlite:///{place}"
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("grokking")
    for seed in range(2):
        frame = curves(onset=700 + 50 * seed)
        with mlflow.start_run(run_name=f"run {seed}"):
            mlflow.log_params({"seed": seed, "optimizer": "adamw"})
            for step, values in rows(frame):
                mlflow.log_metrics(values, step=int(step))
    run = {"seed": {"config": "seed"}, "optimizer": {"config": "optimizer"}}
    traces = import_all(study_of({"files": str(place), "run": run}), tmp_path)
    assert [trace.key.seed for trace in traces] == [0, 1]
    check(traces[0])
    check(traces[1], curves(onset=750))


def test_trackio(tmp_path, monkeypatch):
    code = (
        "import json, sys, trackio\n"
        "rows = json.loads(sys.argv[1])\n"
        "for seed in range(2):\n"
        "    run = trackio.init(project='mine', name=f'run-{seed}', config={'seed': seed})\n"
        "    for step, values in rows:\n"
        "        trackio.log(values, step=step)\n"
        "    trackio.finish()\n"
    )
    text = json.dumps([[int(step), values] for step, values in rows()])
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}
    environment |= {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    subprocess.run(
        [sys.executable, "-c", code, text],
        env=environment,
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    run = {"seed": {"config": "seed"}}
    source = {"files": str(tmp_path / "trackio/mine.db"), "run": run}
    traces = import_all(study_of(source), tmp_path)
    assert [trace.spec.part for trace in traces] == ["run-0", "run-1"]
    check(traces[0])


def log_records(data):
    """Records of W&B's log: LevelDB's format, blocks of 32 KiB after a header of 7 bytes."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        # Whole, or the last of several parts.
        if kind in (1, 4):
            yield parts
            parts = b""


def test_wandb_offline(tmp_path, monkeypatch):
    """What it wrote, exported row by row as its own documentation says, with all rows."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    import wandb
    from wandb.proto import wandb_internal_pb2

    run = wandb.init(project="mine", dir=str(tmp_path))
    for step, values in rows():
        run.log(values, step=int(step))
    run.finish()
    (log,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    history = []
    for data in log_records(log.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            row = {of.key or ".".join(of.nested_key): json.loads(of.value_json) for of in items}
            history.append({"_step": record.history.step.num} | row)
    frame = pd.DataFrame(history)
    assert {"_step", "_runtime", "_timestamp"} <= set(frame)
    for name, write in (("history.csv", frame.to_csv), ("history.parquet", frame.to_parquet)):
        write(tmp_path / name)
        check(one(tmp_path / name, tmp_path))


def test_versions_tried_are_those_documented():
    from project import ROOT

    text = (ROOT / "docs/own_logs.md").read_text()
    for name in ("tensorboard", "lightning", "transformers", "mlflow-skinny", "trackio", "wandb"):
        assert f"{name} {importlib.metadata.version(name)}" in text
