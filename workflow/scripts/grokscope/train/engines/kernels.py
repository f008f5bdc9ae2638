"""Element-wise passes of a training step on CPU, fused and vectorised by numba.

Matrix products stay with the BLAS of torch; everything between two of them is one pass here over
rows that are still in cache. Arrays carry runs first: ``(R, rows, size)``; of the rows the first
``n`` count, the rest is padding. Weights and biases are found in the flat parameters (or
gradients) ``(R, P)`` at an offset, since a slice of a flat row is contiguous and a view of many
rows is not, and only contiguous loops vectorise.

NaN must get through every pass, or a diverged run would look healthy: hence the direction of
the comparisons, and no ``nnan`` among the fast-math flags.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

# Sums may be reordered (so that they vectorise) and products fused with sums.
_FLAGS = {"reassoc", "contract", "nsz"}
_sums = numba.njit(cache=True, fastmath=_FLAGS, error_model="numpy")
# A function within others, inlined: otherwise cached machine code contains another, differently
# optimised copy of it than fresh code, and the first training of a checkout has other last bits.
_within = numba.njit(cache=True, fastmath=_FLAGS, error_model="numpy", forceinline=True)
# Nothing is reordered or fused: every operation rounds as in torch.optim.AdamW.
_exact = numba.njit(cache=True, error_model="numpy")

# exp of less is subnormal, and subnormals are slow; a probability below e^-87 is negligible.
_LOWEST = np.float32(-87.0)
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# Cephes expf: a polynomial on [-ln 2 / 2, ln 2 / 2], relative error below 2e-7 with rounding.
_P0, _P1 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3)
_P2, _P3 = np.float32(8.3334519073e-3), np.float32(4.1665795894e-2)
_P4, _P5 = np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
_BIAS, _MANTISSA = np.int32(127), np.int32(23)
# Factors of at most some 1,000 multiplied before a logarithm: no overflow of a double.
_FACTORS = 64


@intrinsic
def _larger(context: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers in one instruction, unlike a comparison and a selection."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = args[0].type
        function = builder.module.declare_intrinsic(
            "llvm.maxnum", [number], ir.FunctionType(number, [number, number])
        )
        return builder.call(function, args, fastmath=("nnan", "nsz"))

    return a(a, a), generate


def _exp(x: Any) -> Any:
    """exp of a number of at most 0; below -87, exp(-87)."""
    raise NotImplementedError  # numba compiles what follows


@overload(_exp, jit_options={"forceinline": True})
def _choose_exp(x: Any) -> Any:
    def double(x: Any) -> Any:
        return math.exp(x)

    def single(x: Any) -> Any:
        x = _LOWEST if x < _LOWEST else x
        n = np.floor(x * _LOG2_E + _HALF)
        r = x - n * _LN2_HIGH - n * _LN2_LOW
        p = _P0
        p = p * r + _P1
        p = p * r + _P2
        p = p * r + _P3
        p = p * r + _P4
        p = p * r + _P5
        p = p * (r * r) + r + _ONE
        power = np.int32((np.int32(n) + _BIAS) << _MANTISSA)
        return p * power.view(np.float32)

    return single if x == types.float32 else double


@_sums
def gather_relu(
    tables: Any, n_rows: int, biases: Any, at: int, pairs: Any, n: int, out: Any
) -> None:
    """First layer of symbols: row a plus row b of the table plus the bias, then ReLU.

    Parameters
    ----------
    tables : (R, ...), begin with the flat table of ``n_rows`` rows of ``width`` numbers
    biases : (R, P), the bias from `at`
    pairs : (R, rows, 2) int32, rows of the table
    out : (R, rows, width), overwritten
    """
    width = out.shape[2]
    for run in range(out.shape[0]):
        table = tables[run, : n_rows * width].reshape(n_rows, width)
        bias = biases[run, at : at + width]
        for i in range(n):
            a, b = table[pairs[run, i, 0]], table[pairs[run, i, 1]]
            row = out[run, i]
            for j in range(width):
                z = a[j] + b[j] + bias[j]
                row[j] = _ZERO if z <= _ZERO else z


@_sums
def bias_relu(z: Any, biases: Any, at: int, n: int) -> None:
    """``z = max(z + b, 0)`` in place; `z` is (R, rows, size), the bias (R, P) from `at`."""
    size = z.shape[2]
    for run in range(z.shape[0]):
        bias = biases[run, at : at + size]
        for i in range(n):
            row = z[run, i]
            for j in range(size):
                v = row[j] + bias[j]
                row[j] = _ZERO if v <= _ZERO else v


@_sums
def relu_backward(delta: Any, x: Any, gradients: Any, at: int, n: int) -> None:
    """Zero the gradient where ReLU was off, and add its sum to the bias gradient.

    Parameters
    ----------
    delta : (R, rows, size), gradient of the ReLU's output; overwritten by that of its input
    x : (R, rows, size), the ReLU's output
    gradients : (R, P), the bias gradient from `at`
    """
    size = x.shape[2]
    for run in range(x.shape[0]):
        total = gradients[run, at : at + size]
        for i in range(n):
            back, out = delta[run, i], x[run, i]
            for j in range(size):
                d = _ZERO if out[j] <= _ZERO else back[j]
                back[j] = d
                total[j] += d


@_sums
def relu_scatter(delta: Any, x: Any, pairs: Any, tables: Any, n_rows: int, n: int) -> None:
    """As :func:`relu_backward` for the first layer of symbols: sums by symbol.

    Parameters
    ----------
    delta, x : (R, rows, width)
    pairs : (R, rows, 2) int32, rows of the table
    tables : (R, ...), begin with the flat gradient of the table of ``n_rows`` rows; added to
    """
    width = x.shape[2]
    for run in range(x.shape[0]):
        table = tables[run, : n_rows * width].reshape(n_rows, width)
        for i in range(n):
            a, b = table[pairs[run, i, 0]], table[pairs[run, i, 1]]
            back, out = delta[run, i], x[run, i]
            for j in range(width):
                d = _ZERO if out[j] <= _ZERO else back[j]
                a[j] += d
                b[j] += d


@_within
def _add(row: Any, bias: Any) -> None:
    for j in range(bias.size):
        row[j] += bias[j]


@_within
def _maximum(row: Any) -> Any:
    top = row[0]
    for j in range(row.size):
        top = _larger(top, row[j])
    return top


@_within
def _exponentials(row: Any, top: Any) -> Any:
    total = top * _ZERO  # A zero of the array's type.
    for j in range(row.size):
        e = _exp(row[j] - top)
        row[j] = e
        total += e
    return total


@_within
def _scale(row: Any, share: Any, total: Any) -> None:
    for j in range(total.size):
        v = row[j] * share
        row[j] = v
        total[j] += v


@_sums
def softmax(
    logits: Any,
    biases: Any,
    at: int,
    classes: Any,
    n: int,
    scale: Any,
    gradients: Any,
    wanted: bool,
    scratch: Any,
    sums: Any,
) -> None:
    """Cross-entropy of logits, correct predictions and, if wanted, the gradient.

    A prediction is correct if the target's logit is strictly the largest: a tie is no
    prediction.

    Parameters
    ----------
    logits : (R, rows, n_classes)
        Without bias. Overwritten, by ``scale`` times softmax minus one-hot if `wanted`.
    biases, gradients : (R, P)
        The output bias from `at`; its gradient is added to.
    classes : (R, rows) int32
    scratch : (3, rows)
    sums : (R, 3) float64
        Added to: loss, number of correct predictions, and, if `wanted`, number of samples
        whose class has a gradient of exactly zero.
    """
    n_classes = logits.shape[2]
    target, top, total = scratch[0], scratch[1], scratch[2]
    for run in range(logits.shape[0]):
        bias = biases[run, at : at + n_classes]
        # Several short passes over rows in cache: each vectorises, one long loop does not.
        for i in range(n):
            row = logits[run, i]
            _add(row, bias)
            target[i] = row[classes[run, i]]
            row[classes[run, i]] = -np.inf
        for i in range(n):
            top[i] = _maximum(logits[run, i])
        correct = 0
        loss = 0.0
        for i in range(n):
            correct += target[i] > top[i]
            top[i] = _larger(top[i], target[i])
            loss += top[i] - target[i]
        for i in range(n):
            total[i] = _exponentials(logits[run, i], top[i])
        for i in range(n):
            target[i] = _exp(target[i] - top[i])
            total[i] += target[i]
        for start in range(0, n, _FACTORS):
            product = 1.0
            for i in range(start, min(start + _FACTORS, n)):
                product *= total[i]
            loss += math.log(product)
        sums[run, 0] += loss
        sums[run, 1] += correct
        if not wanted:
            continue
        collapsed = 0
        for i in range(n):
            share = _ONE / total[i]
            d = target[i] * share - _ONE
            collapsed += d == _ZERO
            total[i] = share * scale
            target[i] = d * scale
        sums[run, 2] += collapsed
        column_sums = gradients[run, at : at + n_classes]
        for i in range(n):
            logits[run, i, classes[run, i]] = _ZERO
            _scale(logits[run, i], total[i], column_sums)
        for i in range(n):
            logits[run, i, classes[run, i]] = target[i]
            column_sums[classes[run, i]] += target[i]


@_sums
def scalar_relu(inputs: Any, flat: Any, at: int, n: int, out: Any) -> None:
    """First layer of one number: ``out = max(x w + b, 0)``.

    Parameters
    ----------
    inputs : (R, rows, 1)
    flat : (R, P), the weights from `at`, then the biases
    out : (R, rows, size), overwritten
    """
    size = out.shape[2]
    for run in range(out.shape[0]):
        weight, bias = flat[run, at : at + size], flat[run, at + size : at + 2 * size]
        for i in range(n):
            x, row = inputs[run, i, 0], out[run, i]
            for j in range(size):
                z = x * weight[j] + bias[j]
                row[j] = _ZERO if z <= _ZERO else z


@_sums
def scalar_relu_backward(delta: Any, x: Any, inputs: Any, gradients: Any, at: int, n: int) -> None:
    """As :func:`relu_backward` for :func:`scalar_relu`; the gradient of its weights too.

    Parameters
    ----------
    delta : (R, rows, size), gradient of the ReLU's output
    x : (R, rows, size), the ReLU's output
    inputs : (R, rows, 1)
    gradients : (R, P), those of the weights from `at`, then of the biases; added to
    """
    size = x.shape[2]
    for run in range(x.shape[0]):
        weight, bias = gradients[run, at : at + size], gradients[run, at + size : at + 2 * size]
        for i in range(n):
            number, back, out = inputs[run, i, 0], delta[run, i], x[run, i]
            for j in range(size):
                d = _ZERO if out[j] <= _ZERO else back[j]
                weight[j] += number * d
                bias[j] += d


@_within
def _dot(x: Any, y: Any) -> Any:
    total = x[0] * _ZERO  # A zero of the array's type.
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@_sums
def squared_error(
    x: Any,
    flat: Any,
    at: int,
    targets: Any,
    n: int,
    scale: Any,
    gradients: Any,
    wanted: bool,
    delta: Any,
    sums: Any,
) -> None:
    """An output layer of one number: sum of squared errors and, if wanted, all gradients.

    Parameters
    ----------
    x : (R, rows, size), input of the layer
    flat, gradients : (R, P)
        The weights from `at`, then the bias; the gradient of the sum times `scale` is added to.
    targets : (R, rows, 1)
    delta : (R, rows, size), overwritten by the gradient of `x` if `wanted`
    sums : (R, 3) float64, the first two added to
    """
    size = x.shape[2]
    for run in range(x.shape[0]):
        weight, gradient = flat[run, at : at + size], gradients[run, at : at + size]
        squares = 0.0
        for i in range(n):
            row, back = x[run, i], delta[run, i]
            error = _dot(row, weight) + flat[run, at + size] - targets[run, i, 0]
            squares += error * error
            if wanted:
                d = scale * (error + error)
                gradients[run, at + size] += d
                for j in range(size):
                    gradient[j] += d * row[j]
                    back[j] = d * weight[j]
        sums[run, 0] += squares
        sums[run, 1] += squares


@_sums
def norms(flat: Any, segments: Any, out: Any) -> None:
    """Euclidean norm of each layer of each run.

    Parameters
    ----------
    flat : (R, P)
    segments : (n_layers, 2) int64, first and last-plus-one index of each layer
    out : (R, n_layers), overwritten
    """
    for run in range(flat.shape[0]):
        for layer in range(segments.shape[0]):
            part = flat[run, segments[layer, 0] : segments[layer, 1]]
            squares = 0.0
            for j in range(part.size):
                squares += np.float64(part[j]) * np.float64(part[j])
            out[run, layer] = math.sqrt(squares)


@_exact
def adamw(
    parameters: Any,
    gradients: Any,
    mean: Any,
    square: Any,
    shrink: Any,
    rate: Any,
    constants: Any,
    n: int,
) -> None:
    """One update of :class:`torch.optim.AdamW`, in its order of operations.

    Parameters
    ----------
    parameters, gradients, mean, square : (R, P), all but the gradients updated in place
    shrink, rate : (R,), 1 - learning rate * weight decay, and learning rate / (1 - beta1^t)
    constants : (5,), 1 - beta1, beta2, 1 - beta2, sqrt(1 - beta2^t), epsilon
    n : int
        Columns that count.
    """
    lerp, beta2, share = constants[0], constants[1], constants[2]
    correction, epsilon = constants[3], constants[4]
    for run in range(parameters.shape[0]):
        p, g, m, v = parameters[run], gradients[run], mean[run], square[run]
        for j in range(n):
            m[j] = m[j] + lerp * (g[j] - m[j])
            v[j] = v[j] * beta2 + share * g[j] * g[j]
            denominator = np.sqrt(v[j]) / correction + epsilon
            p[j] = p[j] * shrink[run] - rate[run] * m[j] / denominator
