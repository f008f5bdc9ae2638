"""The monitor's callbacks with the real Lightning and transformers; run by make test-tools."""

import os
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import Trainer, TrainingArguments

from grokscope.core.errors import UserError
from grokscope.monitor.huggingface import HuggingFaceMonitor
from grokscope.monitor.lightning import LightningMonitor
from grokscope.monitor.records import partial_path, read_rows

ROOT = Path(__file__).resolve().parents[2]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def data(n=64):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(n, 4, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


def plain(n_steps, size, clip=None, accumulate=1):
    """Losses and norms of the same training by hand: batches in order, again and again."""
    model, (inputs, targets) = network(), data()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows = []
    for step in range(n_steps):
        start = step * size * accumulate % len(inputs)
        part = slice(start, start + size * accumulate)
        weight = torch.cat([p.detach().flatten() for p in model.parameters()]).norm()
        loss = nn.functional.cross_entropy(model(inputs[part]), targets[part])
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip or 1e9)
        norm = min(float(norm), clip or np.inf)
        rows.append({"train_loss": loss.item(), "grad_norm": norm, "weight": float(weight)})
        optimizer.step()
        optimizer.zero_grad()
    return pd.DataFrame(rows)


def assert_same(rows, expected, losses=True):
    n = len(expected)
    assert len(rows) == n + 1 and rows["step"].tolist() == list(range(n + 1))
    weight = np.sqrt(sum(rows[name] ** 2 for name in rows if name.startswith("weight_norm_")))
    np.testing.assert_allclose(weight[:n], expected["weight"], rtol=1e-5)
    np.testing.assert_allclose(rows["grad_norm"][:n], expected["grad_norm"], rtol=1e-3)
    if losses:
        np.testing.assert_allclose(rows["train_loss"][:n], expected["train_loss"], rtol=1e-4)


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = network()

    def training_step(self, batch):
        outputs = self.layers(batch[0])
        self.log("train_acc", (outputs.argmax(1) == batch[1]).float().mean())
        return nn.functional.cross_entropy(outputs, batch[1])

    def validation_step(self, batch):
        outputs = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(outputs, batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def fit(folder, watch, n_steps=8, size=16, resume=None, **options):
    settings = {"max_steps": n_steps, "accelerator": "cpu", "logger": False} | options
    settings |= {"enable_progress_bar": False, "enable_model_summary": False}
    settings |= {"default_root_dir": folder, "enable_checkpointing": False}
    trainer = pl.Trainer(callbacks=[watch], **settings)
    loader = DataLoader(TensorDataset(*data()), batch_size=size)
    trainer.fit(Module(), loader, loader, ckpt_path=resume)
    return trainer


def test_lightning(tmp_path):
    path = tmp_path / "run.parquet"
    fit(tmp_path, LightningMonitor(path), gradient_clip_val=0.3)
    rows = read_rows(path)[0].to_pandas()
    assert_same(rows, plain(8, 16, clip=0.3))
    # Four batches an epoch, validated at its end: of the state after it.
    assert rows.index[rows["test_loss"].notna()].tolist() == [4, 8]
    model, (inputs, targets) = network(), data()
    accuracy = (model(inputs[:16]).argmax(1) == targets[:16]).float().mean()
    assert rows["train_metric"][0] == accuracy and rows["train_metric"][:8].notna().all()


def test_lightning_accumulates(tmp_path):
    path = tmp_path / "run.parquet"
    fit(tmp_path, LightningMonitor(path), 4, size=8, accumulate_grad_batches=2)
    assert_same(read_rows(path)[0].to_pandas(), plain(4, 8, accumulate=2))


def test_lightning_resumes(tmp_path):
    path = tmp_path / "run.parquet"

    class Stops(Exception):
        pass

    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "kept.ckpt")
            if trainer.global_step == 6:
                raise Stops

    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    settings |= {"enable_model_summary": False, "enable_checkpointing": False, "max_steps": 8}
    loader = DataLoader(TensorDataset(*data()), batch_size=16)
    trainer = pl.Trainer(callbacks=[LightningMonitor(path), Stop()], **settings)
    with pytest.raises(Stops):
        trainer.fit(Module(), loader, loader)
    assert partial_path(path).exists() and not path.exists()
    fit(tmp_path, LightningMonitor(path), resume=tmp_path / "kept.ckpt")
    table, metadata = read_rows(path)
    assert_same(table.to_pandas(), plain(8, 16))
    assert metadata["resumed_at"] == [4]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, inputs, labels):
        outputs = self.layers(inputs)
        return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}


class Rows(torch.utils.data.Dataset):
    def __init__(self):
        self.inputs, self.labels = data()

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return {"inputs": self.inputs[index], "labels": self.labels[index]}


class InOrder(Trainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer_of(folder, path, n_steps, **options):
    settings = {"max_steps": n_steps, "per_device_train_batch_size": 16, "logging_steps": 1}
    settings |= {"learning_rate": 1e-2, "lr_scheduler_type": "constant", "weight_decay": 0.01}
    settings |= {"report_to": [], "use_cpu": True, "disable_tqdm": True, "save_steps": 4}
    settings |= {"eval_strategy": "steps", "eval_steps": 4, "max_grad_norm": 0.3} | options
    watch = HuggingFaceMonitor(path)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return InOrder(
        model,
        TrainingArguments(str(folder), **settings),
        train_dataset=Rows(),
        eval_dataset=Rows(),
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        callbacks=[watch],
    )


def test_huggingface(tmp_path):
    path = tmp_path / "run.parquet"
    trainer_of(tmp_path, path, 8).train()
    table, metadata = read_rows(path)
    rows, expected = table.to_pandas(), plain(8, 16, clip=0.3)
    assert_same(rows, expected, losses=False)
    # Logged after the update: the loss of the step before.
    np.testing.assert_allclose(rows["train_loss"][1:], expected["train_loss"], atol=1e-4)
    assert rows.index[rows["test_loss"].notna()].tolist() == [4, 8]
    assert "since the last log" in metadata["config"]["train_loss"]


def test_huggingface_in_bf16_and_resumed(tmp_path):
    whole, path = tmp_path / "whole.parquet", tmp_path / "run.parquet"
    trainer_of(tmp_path / "a", whole, 8, bf16=True).train()
    trainer = trainer_of(tmp_path / "b", path, 6, bf16=True)
    trainer.callback_handler.callbacks[-1].on_train_end = lambda *_, **__: None
    watch = next(
        c for c in trainer.callback_handler.callbacks if isinstance(c, HuggingFaceMonitor)
    )
    watch.on_train_end = lambda *_, **__: watch.monitor.close(complete=False)
    trainer.train()
    assert partial_path(path).exists() and not path.exists()
    trainer_of(tmp_path / "b", path, 8, bf16=True).train(
        resume_from_checkpoint=str(tmp_path / "b/checkpoint-4")
    )
    names = ["step", "grad_norm", "weight_norm_layers.0", "update_norm_layers.2"]
    found, expected = (read_rows(p)[0].to_pandas()[names] for p in (path, whole))
    pd.testing.assert_frame_equal(found, expected)
    assert read_rows(path)[1]["resumed_at"] == [4]


def test_what_was_not_tested_is_refused(tmp_path):
    trainer = trainer_of(tmp_path, tmp_path / "run.parquet", 2)
    trainer.args.deepspeed = "a.json"
    with pytest.raises(UserError, match="HuggingFaceMonitor does not support deepspeed"):
        trainer.train()


@pytest.mark.parametrize("name", ["lightning", "huggingface"])
def test_example(name, tmp_path):
    amount = {"lightning": ["--epochs", "5"], "huggingface": ["--steps", "10"]}[name]
    path = tmp_path / "run.parquet"
    command = [sys.executable, str(ROOT / f"examples/monitor_{name}.py"), "--path", str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    result = subprocess.run(
        command + amount, env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "10 updates" in result.stdout
    rows = read_rows(path)[0].to_pandas()
    assert rows["grad_norm"][:10].notna().all() and rows["test_loss"].notna().any()
