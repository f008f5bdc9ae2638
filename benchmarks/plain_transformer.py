"""The transformer of Nanda et al. (2023), written plainly; also a user's network (``make``)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """One block without norm on the tokens ``a b =``; every position is computed."""

    def __init__(self, p: int, d: int = 128, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.p = heads, p
        self.embed = nn.Parameter(torch.randn(p + 1, d) / d**0.5)
        self.positions = nn.Parameter(torch.randn(3, d) / d**0.5)
        self.qkv = nn.ParameterList([nn.Parameter(torch.randn(d, d) / d**0.5) for _ in range(3)])
        self.output = nn.Parameter(torch.randn(d, d) / d**0.5)
        self.into = nn.Linear(d, 4 * d)
        self.out = nn.Linear(4 * d, d)
        self.read = nn.Parameter(torch.randn(d, p) / p**0.5)
        self.register_buffer("mask", torch.ones(3, 3).triu(1).bool())

    def forward(self, pairs: Tensor) -> Tensor:
        tokens = torch.cat([pairs, torch.full_like(pairs[:, :1], self.p)], 1)
        x = self.embed[tokens] + self.positions
        n, length, d = x.shape
        q, k, v = ((x @ w).view(n, length, self.heads, -1).transpose(1, 2) for w in self.qkv)
        scores = (q @ k.transpose(2, 3) / (d // self.heads) ** 0.5).masked_fill(
            self.mask, -torch.inf
        )
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, d)
        x = x + mixed @ self.output
        x = x + self.out(self.into(x).relu())
        return (x @ self.read)[:, -1]


def make(task: Any) -> Plain:
    """The factory of ``module: benchmarks/plain_transformer.py:make``."""
    return Plain(task.n_symbols)
