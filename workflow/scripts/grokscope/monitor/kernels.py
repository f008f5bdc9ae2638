"""Compiled sums of squares of tensors in the memory of a CPU, by their addresses.

Squares are added in float64: sums in float32 lose accuracy with their length. The order of every
sum is written here, as in :mod:`grokscope.train.engines.vectors`, so no processor changes it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from grokscope.train.engines.compiling import compiled, within
from grokscope.train.engines.vectors import (
    LANES,
    doubled,
    fma,
    intrinsic,
    load,
    spread,
    store,
    total,
)

# Documented, but its module lists no exports.
_carray: Any = numba.carray  # type: ignore[attr-defined]
# Two vectors a turn, since an addition waits for the one before.
_TURN = 2 * LANES


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@within
def _squares(numbers: Any) -> Any:
    end = numbers.size // _TURN * _TURN
    even, odd = spread(0.0), spread(0.0)
    for j in range(0, end, _TURN):
        x, y = doubled(load(numbers, j)), doubled(load(numbers, j + LANES))
        even, odd = fma(x, x, even), fma(y, y, odd)
    squares = total(even + odd)
    for j in range(end, numbers.size):
        squares += np.float64(numbers[j]) * np.float64(numbers[j])
    return squares


@within
def _change(now: Any, before: Any) -> Any:
    end = now.size // LANES * LANES
    weights, changes = spread(0.0), spread(0.0)
    for j in range(0, end, LANES):
        numbers = load(now, j)
        x = doubled(numbers)
        d = x - doubled(load(before, j))
        weights, changes = fma(x, x, weights), fma(d, d, changes)
        store(before, j, numbers)
    weight, change = total(weights), total(changes)
    for j in range(end, now.size):
        x = np.float64(now[j])
        d = x - np.float64(before[j])
        weight += x * x
        change += d * d
        before[j] = now[j]
    return weight, change


@compiled
def squares(addresses: Any, sizes: Any, is_double: Any, out: Any) -> None:
    """Sum of the squares of each tensor.

    Parameters
    ----------
    addresses, sizes : (n,) int64
        Where the numbers of each begin, and how many there are, one behind the other.
    is_double : (n,) bool
        Whether they are float64; else float32.
    out : (n,), overwritten
    """
    for i in range(sizes.size):
        pointer = _pointer(addresses[i])
        if is_double[i]:
            out[i] = _squares(_carray(pointer, sizes[i], np.float64))
        else:
            out[i] = _squares(_carray(pointer, sizes[i], np.float32))


@compiled
def change(
    addresses: Any, before: Any, sizes: Any, is_double: Any, weights: Any, changes: Any
) -> None:
    """Sum of the squares of each tensor, and of its change; what was before becomes what is now.

    Parameters
    ----------
    addresses, before, sizes : (n,) int64
        Where the numbers of each begin, now and of before, and how many there are.
    is_double : (n,) bool
    weights, changes : (n,), overwritten
    """
    for i in range(sizes.size):
        now, then = _pointer(addresses[i]), _pointer(before[i])
        if is_double[i]:
            weights[i], changes[i] = _change(
                _carray(now, sizes[i], np.float64), _carray(then, sizes[i], np.float64)
            )
        else:
            weights[i], changes[i] = _change(
                _carray(now, sizes[i], np.float32), _carray(then, sizes[i], np.float32)
            )
