"""Passes over the parameters of one run on CPU: norms and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from grokscope.train.engines.compiling import compiled
from grokscope.train.engines.vectors import LANES, doubled, fma, load, spread, total


@compiled
def norms(flat: Any, segments: Any, out: Any) -> None:
    """Euclidean norm of each layer.

    Parameters
    ----------
    flat : (P,)
    segments : (n_layers, 2) int64, first and last-plus-one index of each layer
    out : (n_layers,), overwritten
    """
    for layer in range(segments.shape[0]):
        start, stop = segments[layer, 0], segments[layer, 1]
        end = start + (stop - start) // LANES * LANES
        parts = spread(0.0)
        for j in range(start, end, LANES):
            values = doubled(load(flat, j))
            parts = fma(values, values, parts)
        squares = total(parts)
        for j in range(end, stop):
            squares += np.float64(flat[j]) * np.float64(flat[j])
        out[layer] = math.sqrt(squares)


@compiled
def adamw(
    parameters: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    shrink: Any,
    rate: Any,
    constants: Any,
) -> None:
    """One update of :class:`torch.optim.AdamW`, in its order of operations.

    Parameters
    ----------
    parameters, gradient, mean, square : (P,), all but the gradient updated in place
    shrink, rate
        1 - learning rate * weight decay, and learning rate / (1 - beta1^t).
    constants : (5,), 1 - beta1, beta2, 1 - beta2, sqrt(1 - beta2^t), epsilon
    """
    lerp, beta2, share = constants[0], constants[1], constants[2]
    correction, epsilon = constants[3], constants[4]
    p, g, m, v = parameters, gradient, mean, square
    for j in range(p.size):
        m[j] = m[j] + lerp * (g[j] - m[j])
        v[j] = v[j] * beta2 + share * g[j] * g[j]
        denominator = np.sqrt(v[j]) / correction + epsilon
        p[j] = p[j] * shrink - rate * m[j] / denominator
