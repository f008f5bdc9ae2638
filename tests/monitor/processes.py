"""One of two processes that share a model: ``python processes.py KIND RANK FOLDER``."""

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from watching import batches, loss_of, model_of

from grokscope import GradientMonitor
from grokscope.core.errors import UserError

N_STEPS = 6


def main(kind: str, rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    model = model_of(width=17)
    if kind == "ddp":
        model = DistributedDataParallel(model)
    elif kind == "fsdp2":
        mesh = init_device_mesh("cpu", (2,))
        for place in (0, 2):
            fully_shard(model[place], mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    path = folder / "run.parquet"
    if kind == "plain":
        try:
            GradientMonitor(model, optimizer, path)
        except UserError as error:
            print(error)
        return
    with GradientMonitor(model, optimizer, path, flush_seconds=0.0) as monitor:
        for inputs, targets in batches(N_STEPS):
            part = slice(rank * 16, rank * 16 + 16)
            loss = loss_of(model(inputs[part]), targets[part])
            loss.backward()
            monitor.log(train_loss=loss)
            optimizer.step()
            optimizer.zero_grad()
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
