"""Initial parameters: those of PyTorch's default initialisation, made without PyTorch.

Published single-seed numbers are of networks that ``torch.manual_seed(seed)`` and the constructors
of ``torch.nn`` made. Torch's CPU generator is a Mersenne Twister with the seeding of numpy's
``RandomState``; what is drawn from it is repeated here. Uniform numbers are torch's to the last
bit. Normal ones are within rounding of torch's, whose own last bits differ between processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from grokscope.runs.spec import RunSpec
from grokscope.train.models import Shape

# Normal numbers are made of uniform ones in groups, the first half radii, the second angles.
_GROUP = 16


def _single(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A function in single precision, exact but for the last rounding."""
    return function(x.astype(np.float64)).astype(np.float32)


class TorchGenerator:
    """The numbers that torch draws after ``torch.manual_seed(seed)``."""

    def __init__(self, seed: int) -> None:
        # Torch seeds with the lowest 32 bits.
        self._random = np.random.RandomState(seed % 2**32)
        self._spare: float | None = None

    def _bits(self, size: int) -> NDArray[np.uint32]:
        return self._random.randint(0, 2**32, size, np.uint32)

    def uniform(self, low: float, high: float, size: int) -> NDArray[np.float32]:
        """``torch.empty(size).uniform_(low, high)``."""
        start = np.float32(low)
        span = np.float32(np.float32(high) - start)
        share = (self._bits(size) & np.uint32(2**24 - 1)) * 2.0**-24
        # Fused: exact in double precision, then rounded once.
        return (share * np.float64(span) + np.float64(start)).astype(np.float32)

    def normal(self, size: int) -> NDArray[np.float32]:
        """``torch.empty(size).normal_()``, by the transformation of Box and Muller."""
        if size < _GROUP:
            return np.array([self._next_normal() for _ in range(size)], np.float32)
        values = self.uniform(0, 1, size)
        rest = size % _GROUP
        groups = [values[: size - rest]]
        if rest:
            # The last group is drawn anew, and overwrites the end of the one before it.
            groups.append(self.uniform(0, 1, _GROUP))
        for group in groups:
            first, second = group.reshape(-1, 2, _GROUP // 2).swapaxes(0, 1)
            # Rounded where torch rounds; logarithm, cosine and sine are exact before.
            wide = np.log((1 - first).astype(np.float64)).astype(np.float32)
            radius, angle = np.sqrt(-2 * wide), np.float32(2 * np.pi) * second
            pair = np.stack([radius * _single(np.cos, angle), radius * _single(np.sin, angle)], 1)
            group[:] = pair.reshape(-1)
        if rest:
            values[size - _GROUP :] = groups[1]
        return values

    def _next_normal(self) -> float:
        """One number of the way that torch goes for few: in double precision, two at a time."""
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        high, low = self._bits(4).astype(np.uint64).reshape(2, 2).T
        angle, share = ((high << 32 | low) & np.uint64(2**53 - 1)) * 2.0**-53
        radius = math.sqrt(-2 * math.log1p(-share))
        self._spare = radius * math.sin(2 * math.pi * angle)
        return radius * math.cos(2 * math.pi * angle)


def initial_parameters(spec: RunSpec, shape: Shape) -> NDArray[np.float32]:
    """Flat initial parameters of one run, shape ``(n_parameters,)``.

    PyTorch's default initialisation after ``torch.manual_seed(init_seed)``: embedding a,
    embedding b (both N(0, 1)) if learned, then the linear layers in order, weights and bias
    uniform to the inverse root of the number of inputs (published recipes of lead_lag and
    phase_diagram).
    """
    generator = TorchGenerator(spec.init_seed)
    parts = []
    if shape.encoding == "embedding":
        parts += [generator.normal(shape.n_symbols * shape.embedding_dim) for _ in range(2)]
    for n_in, n_out in pairwise(shape.sizes):
        # In torch's order of operations: the last bit counts.
        bound = math.sqrt(3) * (math.sqrt(2 / (1 + math.sqrt(5) ** 2)) / math.sqrt(n_in))
        weight = generator.uniform(-bound, bound, n_in * n_out).reshape(n_out, n_in)
        bound = 1 / math.sqrt(n_in)
        parts += [weight.T.reshape(-1), generator.uniform(-bound, bound, n_out)]
    return np.concatenate(parts)
