"""The multilayer perceptron of :mod:`grokscope.train.models`, for other optimisers and losses."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from grokscope.runs.spec import RunSpec
from grokscope.train.networks.base import Network, TaskDescription


class Perceptron(nn.Module):
    """Linear layers with ReLU between; symbols enter one-hot or through two embeddings.

    Parameters are drawn in the order of the hand-derived engine's, so one seed gives one network.
    """

    def __init__(self, spec: RunSpec, task: TaskDescription) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        width_in = task.n_inputs
        if task.symbolic:
            width_in = task.n_inputs * (spec.embedding_dim or task.n_symbols)
        if spec.encoding == "embedding":
            assert spec.embedding_dim is not None
            for _ in range(task.n_inputs):
                self.embeddings.append(nn.Embedding(task.n_symbols, spec.embedding_dim))
        sizes = (width_in, *[spec.width] * (spec.depth - 1), task.n_outputs)
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.n_symbols = task.n_symbols

    def forward(self, inputs: Tensor) -> Tensor:
        first, *others = [layer for layer in self.linear if isinstance(layer, nn.Linear)]
        if self.embeddings:
            vectors = [
                embed(column)
                for embed, column in zip(self.embeddings, inputs.unbind(1), strict=True)
            ]
            x: Tensor = first(torch.cat(vectors, 1))
        elif inputs.is_floating_point():
            x = first(inputs)
        else:
            # The product with one-hot rows is a sum of columns of the weight.
            table, x = first.weight.T.contiguous(), first.bias
            for place, column in enumerate(inputs.unbind(1)):
                x = x + nn.functional.embedding(column + place * self.n_symbols, table)
        for layer in others:
            x = layer(x.relu())
        return x


def make_mlp(spec: RunSpec, task: TaskDescription) -> Network:
    """The perceptron of a run, layers named by number; 0 is the embeddings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.init_seed)
        module = Perceptron(spec, task)
    names = range(1, spec.depth + 1)
    layers = {str(i): [f"linear.{i - 1}.weight", f"linear.{i - 1}.bias"] for i in names}
    if module.embeddings:
        layers = {"0": [f"embeddings.{i}.weight" for i in range(task.n_inputs)]} | layers
    weights = {str(i): f"linear.{i - 1}.weight" for i in names}
    return Network(module, layers, weights, hidden=list(weights.values())[1:-1])
