"""Passes of a training step on CPU: the networks of one run and their gradients.

Rows go through the network in tiles so small that everything about them stays in cache, and
through copies of the matrices (:class:`grokscope.train.engines.work.Work`).

The order of every sum is written here and in the modules of vectors and products; there are no
fast-math flags. NaN must get through every pass, or a diverged run would look healthy: hence the
direction of the comparisons.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from grokscope.train.engines.compiling import compiled, within
from grokscope.train.engines.products import add_outer, multiply
from grokscope.train.engines.vectors import (
    LANES,
    PAIR,
    filled,
    fma,
    gated,
    high,
    larger,
    largest,
    library_exp,
    load,
    load_pair,
    low,
    scaled,
    spread,
    store,
    total,
)
from grokscope.train.engines.work import copy_in, copy_out, give_upper, take_upper, turn, whole

# exp of less is subnormal, and subnormals are slow; a probability below e^-87 is negligible.
_LOWEST = np.float32(-87.0)
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(-0.693359375), np.float32(2.12194440e-4)
# Cephes expf: a polynomial on [-ln 2 / 2, ln 2 / 2], relative error below 2e-7 with rounding.
_P0, _P1 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3)
_P2, _P3 = np.float32(8.3334519073e-3), np.float32(4.1665795894e-2)
_P4, _P5 = np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
# To add it rounds to a whole number, which then stands in the lowest bits.
_ROUND = np.float32(1.5 * 2**23)
# Factors of at most some 1,000 multiplied before a logarithm: no overflow of a double.
_FACTORS = 64


def _exp(x: Any) -> Any:
    """exp of a vector of numbers of at most 0; below -87, exp(-87)."""
    raise NotImplementedError  # numba compiles what follows


@overload(_exp)
def _choose_exp(x: Any) -> Any:
    def single(x: Any) -> Any:
        x = larger(filled(x, _LOWEST), x)
        bits = fma(x, filled(x, _LOG2_E), filled(x, _ROUND))
        n = bits - filled(x, _ROUND)
        r = fma(n, filled(x, _LN2_LOW), fma(n, filled(x, _LN2_HIGH), x))
        p = fma(filled(x, _P0), r, filled(x, _P1))
        p = fma(p, r, filled(x, _P2))
        p = fma(p, r, filled(x, _P3))
        p = fma(p, r, filled(x, _P4))
        p = fma(p, r, filled(x, _P5))
        return scaled(fma(p, r * r, r + filled(x, _ONE)), bits)

    def double(x: Any) -> Any:
        return library_exp(x)

    return single if x.number == types.float32 else double


@within
def _softmax(
    work: Any,
    n_out: int,
    classes: Any,
    start: int,
    n: int,
    scale: Any,
    wanted: bool,
    sums: Any,
) -> None:
    """Cross-entropy, correct predictions and, if wanted, the gradient of the output.

    A prediction is correct if the target's logit is strictly the largest: a tie is no prediction.

    Parameters
    ----------
    classes : (n_samples,) int32, those of the tile from `start`
    sums : (3,) float64
        Added to: loss, number of correct predictions, and, if `wanted`, number of samples whose
        class has a gradient of exactly zero.
    """
    output, target, share = work.output, work.target, work.share
    stride, columns = output.shape[1], whole(n_out)
    for i in range(n):
        c = classes[start + i]
        target[i] = output[i, c]
        output[i, c] = -np.inf
    # Several short loops: a processor works on some rows at a time only if a row is not long.
    for i in range(n):
        at = i * stride
        top = load(output, at)
        for j in range(LANES, columns, LANES):
            top = larger(load(output, at + j), top)
        share[i] = largest(top)
    loss = 0.0
    correct = 0
    for i in range(n):
        own, top = target[i], share[i]
        correct += own > top
        highest = top if top > own else own
        loss += highest - own
        target[i] = own - highest
        share[i] = highest
    for i in range(0, n, LANES):
        store(target, i, _exp(load(target, i)))
    for i in range(n):
        at, top = i * stride, share[i]
        all_ = spread(output.dtype.type(0))
        for j in range(0, columns - LANES, PAIR):
            pair = load_pair(output, at + j)
            pair = _exp(pair - filled(pair, top))
            store(output, at + j, pair)
            all_ = all_ + low(pair) + high(pair)
        if columns % PAIR:
            e = _exp(load(output, at + columns - LANES) - spread(top))
            store(output, at + columns - LANES, e)
            all_ = all_ + e
        share[i] = total(all_) + target[i]
    product = 1.0
    for i in range(n):
        product *= share[i]
        if i % _FACTORS == _FACTORS - 1:
            loss += math.log(product)
            product = 1.0
    sums[0] += loss + math.log(product)
    sums[1] += correct
    if not wanted:
        return
    collapsed = 0
    for i in range(n):
        c, at = classes[start + i], i * stride
        part = _ONE / share[i]
        d = target[i] * part - _ONE
        collapsed += d == _ZERO
        factor = spread(part * scale)
        for j in range(0, columns, LANES):
            store(output, at + j, load(output, at + j) * factor)
        output[i, c] = d * scale
    sums[2] += collapsed


@within
def _forward(work: Any, width: int, n: int) -> None:
    """Hidden layers after the first."""
    hidden = work.hidden
    stride, columns = hidden.shape[2], whole(width)
    for layer in range(1, hidden.shape[0]):
        x = hidden[layer]
        multiply(hidden[layer - 1], work.weights[layer - 1], x, n, width, width + 1)
        for i in range(n):
            for at in range(i * stride, i * stride + columns, LANES):
                z = load(x, at)
                store(x, at, gated(z, z))
            x[i, width] = _ONE


@within
def _backward(work: Any, width: int, n: int) -> Any:
    """Gradients of the hidden layers after the first, from that of the last one's activations.

    Returns
    -------
    (rows, stride)
        The gradient of the first layer's activations.
    """
    hidden, deltas = work.hidden, work.deltas
    stride, columns = hidden.shape[2], whole(width)
    top = hidden.shape[0] - 1
    for layer in range(top, 0, -1):
        delta, below = deltas[layer % 2], deltas[(layer - 1) % 2]
        x = hidden[layer]
        for i in range(n):
            for at in range(i * stride, i * stride + columns, LANES):
                store(delta, at, gated(load(x, at), load(delta, at)))
        add_outer(hidden[layer - 1], 0, delta, work.gradients[layer - 1], width + 1, width, n)
        multiply(delta, work.turned[layer - 1], below, n, width, width)
    return deltas[0]


@compiled
def symbols_pass(
    flat: Any,
    gradient: Any,
    work: Any,
    n_symbols: int,
    embedded: int,
    width: int,
    n_out: int,
    pairs: Any,
    classes: Any,
    scale: Any,
    wanted: bool,
    sums: Any,
) -> None:
    """A classifier of pairs of symbols on all samples: its loss and, if wanted, its gradient.

    Parameters
    ----------
    flat, gradient : (P,)
        Parameters; the gradient is overwritten if `wanted`.
    work : Work
    n_symbols, embedded, width, n_out
        Symbols of each operand, size of their embeddings (0: one-hot), of a hidden layer, classes.
    pairs : (n_samples, 2) int32
        Rows of the table: a, and ``n_symbols + b``.
    classes : (n_samples,) int32
    scale
        What the gradient of a sample counts.
    sums : (3,) float64
        Added to, see :func:`_softmax`.
    """
    table = work.table
    if embedded:
        at = 0
        for half in range(2):
            at = copy_in(flat, at, n_symbols, embedded, work.embedding[half])
        for half in range(2):
            first = work.first[half]
            at = copy_in(flat, at, embedded, width, first)
            # In this order: the last block of a's rows reaches into those of b.
            rows = table[half * n_symbols :]
            multiply(work.embedding[half], first, rows, n_symbols, width, embedded)
            if wanted:
                turn(first, embedded, width, work.first_turned[half])
    else:
        at = copy_in(flat, 0, 2 * n_symbols, width, table)
    for a in range(n_symbols):
        for j in range(width):
            table[a, j] += flat[at + j]
    take_upper(flat, at + width, width, n_out, work, wanted)
    x, stride, columns = work.hidden[0], work.hidden.shape[2], whole(width)
    top = work.hidden.shape[0] - 1
    grown = work.table_gradient
    tile = work.share.size
    for start in range(0, classes.size, tile):
        n = min(tile, classes.size - start)
        for i in range(n):
            a, b = pairs[start + i, 0] * stride, pairs[start + i, 1] * stride
            for j in range(0, columns, LANES):
                z = load(table, a + j) + load(table, b + j)
                store(x, i * stride + j, gated(z, z))
            x[i, width] = _ONE
        _forward(work, width, n)
        multiply(work.hidden[top], work.last, work.output, n, n_out, width + 1)
        _softmax(work, n_out, classes, start, n, scale, wanted, sums)
        if not wanted:
            continue
        # Transposed: a width fills its vectors, a number of classes rarely does.
        add_outer(work.output, 0, work.hidden[top], work.last_gradient, n_out, width, n)
        add_outer(work.hidden[top], width, work.output, work.bias_gradient, 1, n_out, n)
        multiply(work.output, work.last_turned, work.deltas[top % 2], n, width, n_out)
        delta = _backward(work, width, n)
        for i in range(n):
            a, b = pairs[start + i, 0] * stride, pairs[start + i, 1] * stride
            for j in range(0, columns, LANES):
                d = gated(load(x, i * stride + j), load(delta, i * stride + j))
                store(grown, a + j, load(grown, a + j) + d)
                store(grown, b + j, load(grown, b + j) + d)
    if not wanted:
        return
    at = 0
    if embedded:
        for half in range(2):
            rows, back = grown[half * n_symbols :], work.embedding_gradient[half]
            multiply(rows, work.first_turned[half], back, n_symbols, embedded, width)
            at = copy_out(back, n_symbols, embedded, gradient, at)
        for half in range(2):
            rows, back = grown[half * n_symbols :], work.first_gradient[half]
            back[:] = _ZERO
            add_outer(work.embedding[half], 0, rows, back, embedded, width, n_symbols)
            at = copy_out(back, embedded, width, gradient, at)
    else:
        at = copy_out(grown, 2 * n_symbols, width, gradient, at)
    # Every sample has one a: the sum over the a's is the sum over the samples.
    for j in range(width):
        gradient[at + j] = _ZERO
    for a in range(n_symbols):
        for j in range(width):
            gradient[at + j] += grown[a, j]
    give_upper(work, width, n_out, gradient, at + width)


@compiled
def numbers_pass(
    flat: Any,
    gradient: Any,
    work: Any,
    width: int,
    inputs: Any,
    targets: Any,
    scale: Any,
    wanted: bool,
    sums: Any,
) -> None:
    """A network from one number to one number; as :func:`symbols_pass`.

    Parameters
    ----------
    inputs, targets : (n_samples,)
    sums : (3,) float64
        The sum of squared errors is added to the first two.
    """
    take_upper(flat, copy_in(flat, 0, 2, width, work.table), width, 1, work, wanted)
    x, stride, columns = work.hidden[0], work.hidden.shape[2], whole(width)
    table, weight = work.table, work.last_turned
    top = work.hidden.shape[0] - 1
    grown, column = work.table_gradient, work.column_gradient
    column[:] = _ZERO
    squares = 0.0
    tile = work.share.size
    for start in range(0, targets.size, tile):
        n = min(tile, targets.size - start)
        for i in range(n):
            number = spread(inputs[start + i])
            for j in range(0, columns, LANES):
                z = fma(number, load(table, j), load(table, stride + j))
                store(x, i * stride + j, gated(z, z))
            x[i, width] = _ONE
        _forward(work, width, n)
        last, delta = work.hidden[top], work.deltas[top % 2]
        for i in range(n):
            at = i * stride
            products = load(last, at) * load(weight, 0)
            for j in range(LANES, whole(width + 1), LANES):
                products = fma(load(last, at + j), load(weight, j), products)
            error = total(products) - targets[start + i]
            squares += error * error
            if wanted:
                d = scale * (error + error)
                factor = spread(d)
                for j in range(0, whole(width + 1), LANES):
                    store(column, j, fma(factor, load(last, at + j), load(column, j)))
                    store(delta, at + j, factor * load(weight, j))
        if not wanted:
            continue
        delta = _backward(work, width, n)
        for i in range(n):
            number = spread(inputs[start + i])
            for j in range(0, columns, LANES):
                at = i * stride + j
                d = gated(load(x, at), load(delta, at))
                store(grown, j, fma(number, d, load(grown, j)))
                store(grown, stride + j, load(grown, stride + j) + d)
    sums[0] += squares
    sums[1] += squares
    if wanted:
        for j in range(width):
            work.last_gradient[0, j] = column[j]
        work.bias_gradient[0, 0] = column[width]
        give_upper(work, width, 1, gradient, copy_out(grown, 2, width, gradient, 0))
