"""The networks: plain multilayer perceptrons, their parameters and data as flat arrays.

R runs of one shape are kept side by side: every array has a leading axis R. Linear layers are
counted 1 .. depth (the last is the output); layer 0 is the pair of learned embeddings, if any.
Weights are kept as (in, out), so ``z = x @ w + b``.

With one-hot input the first layer's product ``x @ w + b`` is a gather: row a plus row
n_symbols + b of w plus the bias. With embeddings it is the same over the table of embedded
symbols times w. Its gradient is the matching scatter, a sum of rows by symbol. There is no
autograd graph: engines (:mod:`grokscope.train.engines`) compute gradients by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokscope.runs.spec import RunSpec
from grokscope.runs.tasks import SymbolSamples
from grokscope.train.dataset import Dataset

# Of numpy or of torch.
Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Shape:
    """Dimensions that runs must share to be trained in one batch."""

    encoding: str
    n_symbols: int
    embedding_dim: int
    sizes: tuple[int, ...]
    n_train: int
    n_test: int

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @classmethod
    def of_all(cls, specs: Sequence[RunSpec], datasets: Sequence[Dataset]) -> Shape:
        """The shape that all runs have.

        Raises
        ------
        ValueError
            If they differ.
        """
        shapes = {cls.of(spec, data) for spec, data in zip(specs, datasets, strict=True)}
        if len(shapes) != 1:
            raise ValueError(f"runs of one batch must share their shape, got {shapes}")
        return shapes.pop()

    @classmethod
    def of(cls, spec: RunSpec, data: Dataset) -> Shape:
        samples = data.samples
        if isinstance(samples, SymbolSamples):
            n_symbols, n_out = samples.n_symbols, samples.n_classes
            width_in = 2 * (spec.embedding_dim or n_symbols)
        else:
            n_symbols, n_out, width_in = 0, samples.targets.shape[1], samples.inputs.shape[1]
        return cls(
            encoding=spec.encoding,
            n_symbols=n_symbols,
            embedding_dim=spec.embedding_dim or 0,
            sizes=(width_in, *[spec.width] * (spec.depth - 1), n_out),
            n_train=len(data.train),
            n_test=len(data.test),
        )

    @property
    def classifies(self) -> bool:
        return self.encoding != "scalar"

    @property
    def n_parameters(self) -> int:
        return max(stop for _, stop in self.segments().values())

    def bias_offset(self, layer: int) -> int:
        """Index of the first bias of a linear layer (1 .. depth) in the flat vector."""
        return self.segments()[layer][1] - self.sizes[layer]

    def segments(self) -> dict[int, tuple[int, int]]:
        """First and last-plus-one index of each layer in the flat parameter vector."""
        result = {}
        start = 0
        if self.encoding == "embedding":
            start = 2 * self.n_symbols * self.embedding_dim
            result[0] = (0, start)
        for layer, (n_in, n_out) in enumerate(pairwise(self.sizes), 1):
            result[layer] = (start, start + n_in * n_out + n_out)
            start = result[layer][1]
        return result


def arrays_of(datasets: Sequence[Dataset], part: str) -> dict[str, NDArray[np.generic]]:
    """Training or test data (`part` is ``train`` or ``test``) of runs of one shape.

    Returns
    -------
    dict
        Symbols: ``pairs`` (R, n, 2) int32, rows a and n_symbols + b of the first layer's table,
        and ``classes`` (R, n) int32. Scalars: ``inputs`` and ``targets`` (R, n, 1) float64.
    """
    stacked: dict[str, list[NDArray[np.generic]]] = {}
    for data in datasets:
        rows = getattr(data, part)
        samples = data.samples
        if isinstance(samples, SymbolSamples):
            pairs = samples.operands[rows] + np.array([0, samples.n_symbols])
            arrays = {"pairs": pairs.astype(np.int32)}
            arrays["classes"] = samples.classes[rows].astype(np.int32)
        else:
            arrays = {"inputs": samples.inputs[rows], "targets": samples.targets[rows]}
        for name, values in arrays.items():
            stacked.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in stacked.items()}


class Parameters(Generic[Array]):
    """Flat parameters (or gradients) of R runs and views of their layers.

    Parameters
    ----------
    shape
        Shape of the runs.
    flat : (R, at least n_parameters) array or tensor

    Attributes
    ----------
    flat : (R, n_parameters)
    weights : list of (R, in, out), layers 1 .. depth
    embedding : (R, 2 n_symbols, embedding_dim) or None
    """

    def __init__(self, shape: Shape, flat: Array) -> None:
        n_runs = len(flat)
        self.flat: Array = flat[:, : shape.n_parameters]
        self.embedding: Array | None = None
        self.weights: list[Array] = []
        for layer, (start, stop) in shape.segments().items():
            if layer == 0:
                part = self.flat[:, start:stop]
                self.embedding = part.reshape(n_runs, -1, shape.embedding_dim)
                continue
            n_in, n_out = shape.sizes[layer - 1], shape.sizes[layer]
            bias = shape.bias_offset(layer)
            self.weights.append(self.flat[:, start:bias].reshape(n_runs, n_in, n_out))


def total_squares(arrays: dict[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Sum of squares of each run's targets about their mean, (R,); NaN where they are equal.

    The denominator of R², which is undefined for equal targets.
    """
    targets = np.asarray(arrays["targets"], np.float64)
    squares = ((targets - targets.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2))
    return np.where(squares > 0, squares, np.nan)
