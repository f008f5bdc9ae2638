"""Transformers on sequences of two symbols and, if wanted, the token "=".

What the first block makes of a token depends on its symbol and position alone. So queries, keys
and values are products over the vocabulary, from which samples gather rows, and the score of a
query and a key is an entry of a table of pairs. Of the last block only the last position reaches
the loss (unless the mean is read out), so no other is computed. Both are the same function as the
plain computation; gradients are automatic differentiation's.

Positions are those of a, b and "=", if it is there.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from grokscope.data.parts import transformer_parts
from grokscope.runs.spec import RunSpec
from grokscope.train.networks.base import Network, TaskDescription, normal


def linear(n_in: int, n_out: int, bias: bool, std: float | None) -> nn.Linear:
    """A linear map with torch's default weights, uniform in ±1/sqrt(n_in).

    Parameters
    ----------
    std
        Standard deviation of normal weights instead; biases are then zero.
    """
    made = nn.Linear(n_in, n_out, bias)
    if std is not None:
        nn.init.normal_(made.weight, std=std)
        if made.bias is not None:
            nn.init.zeros_(made.bias)
    return made


class Attention(nn.Module):
    """Multi-head attention of one block."""

    def __init__(self, spec: RunSpec, std: float | None) -> None:
        super().__init__()
        assert spec.heads is not None
        self.heads, self.causal = spec.heads, bool(spec.causal)
        bias = spec.biases == "all"
        self.query = linear(spec.width, spec.width, bias, std)
        self.key = linear(spec.width, spec.width, bias, std)
        self.value = linear(spec.width, spec.width, bias, std)
        self.output = linear(spec.width, spec.width, bias, std)
        # Of the last pass: of each position that was computed, (n, heads, keys).
        self.weights: list[Tensor] = []

    def _split(self, x: Tensor) -> Tensor:
        """(..., width) as (..., heads, width of a head)."""
        return x.view(*x.shape[:-1], self.heads, -1)

    def _keys(self, place: int, length: int) -> range:
        """Positions that one may attend to."""
        return range(place + 1 if self.causal else length)

    def on_tables(self, table: Tensor, rows: list[Tensor | int], places: list[int]) -> Tensor:
        """Attention whose inputs are rows of a table.

        Parameters
        ----------
        table : (m, width) tensor
        rows
            Of each position, the row of every sample, ``(n,)``, or the one row of all.
        places
            Positions wanted.

        Returns
        -------
        output : (n, len(places), width) tensor
        weights
            Of each wanted position, ``(n, heads, keys)``.
        """
        query, key, value = (self._split(f(table)) for f in (self.query, self.key, self.value))
        scale = query.shape[-1] ** -0.5
        outputs: list[Tensor] = []
        self.weights = []
        for place in places:
            keys = self._keys(place, len(rows))
            q = rows[place]
            scores = []
            for other in keys:
                k = rows[other]
                if other == place:
                    # Entries (i, i) alone.
                    scores.append(_take((query * key).sum(-1) * scale, q))
                elif isinstance(q, int):
                    scores.append(_take((query[q] * key).sum(-1) * scale, k))
                elif isinstance(k, int):
                    scores.append(_take((query * key[k]).sum(-1) * scale, q))
                else:
                    pairs = torch.einsum("qhd,khd->qkh", query * scale, key)
                    scores.append(pairs.flatten(0, 1)[q * len(table) + k])
            n = max(score.shape[0] for score in scores)
            weights = torch.stack([score.expand(n, -1) for score in scores], -1).softmax(-1)
            parts = [
                weights[:, :, place, None] * _take(value, rows[other])
                for place, other in enumerate(keys)
            ]
            mixed = parts[0]
            for part in parts[1:]:
                mixed = mixed + part
            outputs.append(mixed.flatten(1))
            self.weights.append(weights)
        found: Tensor = self.output(torch.stack(outputs, 1))
        return found

    def forward(self, x: Tensor, last: bool) -> Tensor:
        """Attention of all positions of ``x``, (n, length, width), or of the last alone."""
        query, key, value = (
            self._split(f(part)).transpose(1, 2)
            for f, part in ((self.query, x[:, -1:] if last else x), (self.key, x), (self.value, x))
        )
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        if self.causal and not last:
            scores = scores.masked_fill(_future(x), -torch.inf)
        weights = scores.softmax(-1)
        # One per position, as of tables.
        self.weights = list(weights.unbind(2))
        found: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return found


def _future(x: Tensor) -> Tensor:
    """Pairs of positions (query, key) of which the key comes later."""
    return torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)


def _take(table: Tensor, rows: Tensor | int) -> Tensor:
    """Rows of a table, ``(n, ...)``; one row as ``(1, ...)``."""
    if isinstance(rows, int):
        return table[rows : rows + 1]
    return functional.embedding(rows, table.flatten(1)).view(len(rows), *table.shape[1:])


class Block(nn.Module):
    """Attention and MLP, each with its residual and norm."""

    def __init__(self, spec: RunSpec, std: float | None) -> None:
        super().__init__()
        assert spec.mlp_ratio is not None
        width, hidden = spec.width, round(spec.mlp_ratio * spec.width)
        self.norm, self.activation = spec.layer_norm, spec.activation
        self.attention = Attention(spec, std)
        bias = spec.biases != "without"
        self.into = linear(width, hidden, bias, std) if hidden else None
        self.out = linear(hidden, width, bias, std) if hidden else None
        normed = spec.layer_norm != "without"
        self.attention_norm = nn.LayerNorm(width) if normed else None
        self.mlp_norm = nn.LayerNorm(width) if normed and hidden else None

    def before(self, norm: nn.LayerNorm | None, x: Tensor) -> Tensor:
        """The input of a part."""
        return norm(x) if norm is not None and self.norm == "pre" else x

    def after(self, norm: nn.LayerNorm | None, x: Tensor) -> Tensor:
        """The sum of a part and its residual."""
        return norm(x) if norm is not None and self.norm == "post" else x

    def mlp(self, x: Tensor) -> Tensor:
        """The MLP, its residual and norm."""
        if self.into is None or self.out is None:
            return x
        hidden = self.into(self.before(self.mlp_norm, x))
        active = functional.relu(hidden) if self.activation == "relu" else functional.gelu(hidden)
        return self.after(self.mlp_norm, x + self.out(active))

    def forward(self, x: Tensor, last: bool) -> Tensor:
        mixed = self.attention(self.before(self.attention_norm, x), last)
        return self.mlp(self.after(self.attention_norm, (x[:, -1:] if last else x) + mixed))

    def on_tables(self, table: Tensor, rows: list[Tensor | int], places: list[int]) -> Tensor:
        """The same of inputs that are rows of a table, see :meth:`Attention.on_tables`."""
        normed = self.before(self.attention_norm, table)
        mixed = self.attention.on_tables(normed, rows, places)
        x = torch.stack([_take(table, rows[p]).expand(len(mixed), -1) for p in places], 1)
        return self.mlp(self.after(self.attention_norm, x + mixed))


class Transformer(nn.Module):
    """See the module; the settings are those of the configuration."""

    def __init__(self, spec: RunSpec, task: TaskDescription) -> None:
        super().__init__()
        torch_like = spec.initialisation == "torch"
        std = None if torch_like else spec.width**-0.5
        deviation = 1.0 if torch_like else spec.width**-0.5
        self.n_symbols, self.mean = task.n_symbols, spec.pooling == "mean"
        self.equals = bool(spec.equals_token)
        length = task.n_inputs + self.equals
        self.symbols = normal(task.n_symbols + self.equals, spec.width, std=deviation)
        self.positions = normal(length, spec.width, std=deviation) if spec.positions else None
        self.blocks = nn.ModuleList(Block(spec, std) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width) if spec.layer_norm == "pre" else None
        self.tied = bool(spec.tied)
        bias = spec.biases == "all"
        if self.tied:
            self.bias = nn.Parameter(torch.zeros(task.n_outputs)) if bias else None
        else:
            read = None if torch_like else task.n_outputs**-0.5
            self.unembedding = linear(spec.width, task.n_outputs, bias, read)

    def _table(self, n_inputs: int) -> Tensor:
        """Embedded symbols at each position, one position after the other, then "="."""
        symbols = self.symbols[: self.n_symbols]
        parts = []
        for place in range(n_inputs):
            parts.append(symbols if self.positions is None else symbols + self.positions[place])
        if self.equals:
            equals = self.symbols[self.n_symbols :]
            parts.append(equals if self.positions is None else equals + self.positions[n_inputs:])
        return torch.cat(parts)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, inputs: Tensor) -> Tensor:
        n_inputs = inputs.shape[1]
        first_rows = torch.arange(n_inputs, device=inputs.device) * self.n_symbols
        rows: list[Tensor | int] = list((inputs + first_rows).unbind(1))
        if self.equals:
            rows.append(n_inputs * self.n_symbols)
        first, *others = self._blocks()
        alone = not self.mean
        places = list(range(len(rows)))
        x = first.on_tables(
            self._table(n_inputs), rows, places[-1:] if alone and not others else places
        )
        for block in others:
            x = block(x, last=alone and block is others[-1])
        x = x.mean(1) if self.mean else x[:, -1]
        x = x if self.norm is None else self.norm(x)
        if not self.tied:
            logits: Tensor = self.unembedding(x)
            return logits
        product = x @ self.symbols[: self.n_symbols].T
        return product if self.bias is None else product + self.bias

    def attention(self, inputs: Tensor) -> Tensor:
        """Entropy (nats) of each block's attention, (n_blocks,); mean over heads and queries."""
        self(inputs)
        entropies = []
        for block in self._blocks():
            each = [torch.special.entr(w).sum(-1).mean() for w in block.attention.weights]
            entropies.append(torch.stack(each).mean())
        return torch.stack(entropies)


def _layer_of(name: str) -> str:
    """Layer of a parameter, by its name in the module."""
    parts = name.split(".")
    if parts[0] != "blocks":
        return "embedding" if parts[0] in ("symbols", "positions") else "unembedding"
    part = "attention" if parts[2].startswith("attention") else "mlp"
    return f"block_{int(parts[1]) + 1}.{part}"


def _matrices(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Names of the matrices with ranks, and of their parameters."""
    yield "embedding", "symbols"
    for i in range(spec.depth):
        for name in ("query", "key", "value", "output"):
            yield f"block_{i + 1}.attention.{name}", f"blocks.{i}.attention.{name}.weight"
        if spec.mlp_ratio:
            yield f"block_{i + 1}.mlp.in", f"blocks.{i}.into.weight"
            yield f"block_{i + 1}.mlp.out", f"blocks.{i}.out.weight"
    if not spec.tied:
        yield "unembedding", "unembedding.weight"


def make_transformer(spec: RunSpec, task: TaskDescription) -> Network:
    """The transformer of a run, seeded by ``init_seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.init_seed)
        module = Transformer(spec, task)
    layers: dict[str, list[str]] = {}
    for name, _ in module.named_parameters():
        layers.setdefault(_layer_of(name), []).append(name)
    parts = transformer_parts(spec)
    matrices = dict(_matrices(spec))
    hidden = [p for p in matrices.values() if p.startswith("blocks")]
    return Network(
        module,
        {name: layers[name] for name in parts.layers},
        {name: matrices[name] for name in parts.matrices},
        hidden,
        module.attention,
        parts.attention,
    )
