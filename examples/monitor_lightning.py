"""Lightning's Trainer under the monitor; needs ``pip install lightning``.

python examples/monitor_lightning.py --epochs 200 --path run.parquet
"""

import argparse
import logging

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from grokscope.monitor.lightning import LightningMonitor

P = 31


class Addition(pl.LightningModule):
    """Modular addition by a network of two layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))

    def _step(self, batch):
        inputs, targets = batch
        outputs = self.layers(inputs)
        accuracy = (outputs.argmax(1) == targets).float().mean()
        return nn.functional.cross_entropy(outputs, targets), accuracy

    def training_step(self, batch):
        loss, accuracy = self._step(batch)
        self.log("train_acc", accuracy)
        return loss

    def validation_step(self, batch):
        loss, accuracy = self._step(batch)
        self.log_dict({"val_loss": loss, "val_acc": accuracy})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=1.0)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--path", default="run.parquet")
options = parser.parse_args()
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

pl.seed_everything(0)
pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
data = TensorDataset(nn.functional.one_hot(pairs, P).flatten(1).float(), pairs.sum(1) % P)
train, test = random_split(data, [0.5, 0.5])
watch = LightningMonitor(options.path, groups=r"layers\.(\d)", config={"p": P, "seed": 0})
trainer = pl.Trainer(
    max_epochs=options.epochs,
    callbacks=[watch],
    accelerator="cpu",
    gradient_clip_val=1.0,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Addition(), DataLoader(train, batch_size=256), DataLoader(test, batch_size=512))
print(f"{options.path}: {watch.monitor.step} updates, {len(watch.monitor.alarms)} alarms")
