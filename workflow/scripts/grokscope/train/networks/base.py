"""What all networks share: the task that they are built for, and the names of their parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import Samples, SymbolSamples


@dataclass(frozen=True)
class TaskDescription:
    """What a network is built for; the one argument of a user's factory.

    Attributes
    ----------
    symbolic : bool
        Whether a sample is symbols, of which the class is to be found, or numbers (regression).
    n_symbols : int
        Different symbols; 0 if inputs are numbers.
    n_inputs : int
        Symbols or numbers of one sample. The network is called with a batch of shape
        ``(n, n_inputs)``: int64 in 0 .. n_symbols - 1, or of floating point.
    n_outputs : int
        It must return ``(n, n_outputs)``: a logit per class, or predictions.
    depth, width : int
        As in the grid, to be used or not.
    """

    symbolic: bool
    n_symbols: int
    n_inputs: int
    n_outputs: int
    depth: int
    width: int

    @classmethod
    def of(cls, spec: RunSpec, samples: Samples) -> TaskDescription:
        """The task of a run."""
        if isinstance(samples, SymbolSamples):
            sizes = samples.n_symbols, samples.operands.shape[1], samples.n_classes
            return cls(True, *sizes, spec.depth, spec.width)
        sizes = 0, samples.inputs.shape[1], samples.targets.shape[1]
        return cls(False, *sizes, spec.depth, spec.width)


@dataclass(frozen=True)
class Network:
    """A module and what is measured of it.

    Attributes
    ----------
    module
        Called with inputs as :class:`TaskDescription` says.
    layers
        Names of the parameters of each layer, for norms of gradients and weights; each parameter
        is in one.
    matrices
        Names of the parameters whose ranks are measured, by name of the matrix.
    hidden
        Names of the matrices that Muon orthogonalises: neither embeddings nor read-out.
    attention
        Entropy (nats) of the attention of each block, mean over heads, queries and samples:
        ``attention(inputs)`` gives shape ``(n_blocks,)``. None without attention.
    blocks
        Names of these blocks.
    """

    module: nn.Module
    layers: Mapping[str, Sequence[str]]
    matrices: Mapping[str, str]
    hidden: Sequence[str]
    attention: Callable[[Tensor], Tensor] | None = None
    blocks: Sequence[str] = field(default=())

    def scale(self, factor: float) -> None:
        """Multiply all parameters."""
        if factor != 1:
            with torch.no_grad():
                for parameter in self.module.parameters():
                    parameter.mul_(factor)


def normal(*shape: int, std: float) -> nn.Parameter:
    """A parameter drawn from N(0, std²)."""
    return nn.Parameter(torch.randn(*shape) * std)
