"""A plain PyTorch loop under the monitor: modular addition, four minutes of a laptop or less.

python examples/monitor_plain.py --steps 3000 --path run.parquet
"""

import argparse

import torch
from torch import nn

from grokscope import GradientMonitor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=3000)
parser.add_argument("--path", default="run.parquet")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--calibration", help="results/tables/calibration.parquet of an evaluation")
options = parser.parse_args()

P = 31
torch.manual_seed(options.seed)
pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
sums = pairs.sum(1) % P
train, test = torch.randperm(len(pairs)).split([len(pairs) // 2, len(pairs) - len(pairs) // 2])
inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
model = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=1.0, betas=(0.9, 0.98))

with GradientMonitor(
    model,
    optimizer,
    path=options.path,
    calibration=options.calibration,
    config={"task": "modular_addition", "p": P, "seed": options.seed, "weight_decay": 1.0},
    on_alarm=lambda alarm: print("alarm:", alarm),
) as monitor:
    for step in range(options.steps):
        outputs = model(inputs[train])
        loss = nn.functional.cross_entropy(outputs, sums[train])
        loss.backward()
        # Of the state that the gradients are of: before the update.
        accuracy = (outputs.argmax(1) == sums[train]).float().mean()
        monitor.log(train_loss=loss, train_accuracy=accuracy)
        if step % 10 == 0:
            with torch.no_grad():
                outputs = model(inputs[test])
            loss = nn.functional.cross_entropy(outputs, sums[test])
            accuracy = (outputs.argmax(1) == sums[test]).float().mean()
            monitor.log(test_loss=loss, test_accuracy=accuracy)
        optimizer.step()
        optimizer.zero_grad()
print(f"{options.path}: {monitor.step} updates, {len(monitor.alarms)} alarms")
