"""Parts of a network that have columns in its trace, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from grokscope.runs.spec import RunSpec

RANK_MEASURES = ("effective", "stable", "numerical")
# Layers of symbols, which are no layer of the network proper.
EMBEDDINGS = ("0", "embedding")
_BLOCK = re.compile(r"block_(\d+)\.(.+)")


@dataclass(frozen=True)
class Parts:
    """Names of the parts of a network, nearest the input first.

    Attributes
    ----------
    layers
        Groups of parameters with norms of gradient and weights.
    matrices
        Weights with ranks.
    attention
        Blocks with an entropy of their attention.
    """

    layers: tuple[str, ...]
    matrices: tuple[str, ...]
    attention: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Their columns in a trace, in order."""
        return [
            *(f"grad_norm_{layer}" for layer in self.layers),
            *(f"weight_norm_{layer}" for layer in self.layers),
            *(f"{measure}_rank_{m}" for m in self.matrices for measure in RANK_MEASURES),
            *(f"attention_entropy_{block}" for block in self.attention),
        ]


def layer_order(name: str) -> tuple[int, int, str]:
    """Key to sort layers by, nearest the input first; names of users come by name."""
    if name in EMBEDDINGS or name == "unembedding":
        return (0 if name in EMBEDDINGS else 2), 0, name
    block = _BLOCK.fullmatch(name)
    if block is not None:
        return 1, int(block[1]), block[2]
    return 1, int(name) if name.isdecimal() else 0, name


def has_order(name: str) -> bool:
    """Whether a layer's place is known: numbers and parts of built-in networks."""
    built_in = name in (*EMBEDDINGS, "unembedding") or _BLOCK.fullmatch(name) is not None
    return built_in or name.isdecimal()


def parts_of(spec: RunSpec) -> Parts | None:
    """Parts of a built-in network; None of a user's, whose trace's metadata name them."""
    if spec.model == "mlp":
        matrices = tuple(map(str, range(1, spec.depth + 1)))
        return Parts(("0", *matrices) if spec.encoding == "embedding" else matrices, matrices)
    return transformer_parts(spec) if spec.model == "transformer" else None


def transformer_parts(spec: RunSpec) -> Parts:
    """Parts of a transformer: embedding, attention and MLP of each block, read-out."""
    blocks = tuple(f"block_{i}" for i in range(1, spec.depth + 1))
    layers, matrices = ["embedding"], ["embedding"]
    for block in blocks:
        layers.append(f"{block}.attention")
        matrices += [f"{block}.attention.{x}" for x in ("query", "key", "value", "output")]
        if spec.mlp_ratio:
            layers.append(f"{block}.mlp")
            matrices += [f"{block}.mlp.in", f"{block}.mlp.out"]
    if not spec.tied:
        matrices.append("unembedding")
    # A tied read-out has no matrix of its own, but may have a bias or the last norm.
    if not spec.tied or spec.biases == "all" or spec.layer_norm == "pre":
        layers.append("unembedding")
    return Parts(tuple(layers), tuple(matrices), blocks)
