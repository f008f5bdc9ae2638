"""Work space of a pass over a network on CPU: padded copies of its matrices, and activations.

Rows are whole vectors, so that no loop has a remainder. Padding holds zeros or, in sums over
classes, what changes no sum.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grokscope.train.engines.compiling import within
from grokscope.train.engines.products import ROWS
from grokscope.train.engines.vectors import LANES
from grokscope.train.models import Shape

_LINE = 64
_ZERO = np.float32(0.0)


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _stride(columns: int) -> int:
    """Numbers from row to row: an odd number of vectors, so that rows share no place in cache."""
    vectors = _up(columns, LANES) // LANES
    return (vectors + (vectors % 2 == 0)) * LANES


def _zeros(size: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros from the start of a cache line on: no vector lies in two lines."""
    count = math.prod(size) * np.dtype(dtype).itemsize
    room = np.zeros(count + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + count].view(dtype).reshape(size)


class Work(NamedTuple):
    """Arrays of a pass over one run, all with padding; layers are counted from 0 here.

    Attributes
    ----------
    table, table_gradient : (2 n_symbols or 2, stride)
        What a first layer adds for a symbol: its weights, or embeddings times weights; the bias is
        in the rows of a. Where the input is a number: its weights and its bias.
    first, first_turned, first_gradient : (2, embedding_dim or width, stride)
        Weights of the first layer for a and for b, transposed, and their gradient (embeddings
        only).
    embedding, embedding_gradient : (2, n_symbols, stride)
    weights, turned, gradients : (depth - 2, width + 1 or width, stride)
        Of the layers between the first and the last: weights and bias, transposed weights, and
        gradients of weights and bias.
    last, last_turned
        The same of the last layer. The padding of its bias is minus infinity: a class without
        probability.
    last_gradient, bias_gradient : (classes, stride), (1, stride)
        Gradients of its weights, transposed, and of its bias.
    hidden : (depth - 1, rows, stride)
        Activations, then a one: with it weights and bias are one matrix.
    deltas : (2, rows, stride)
        Gradients of activations, of two layers in turn.
    output : (rows, stride)
        Of the last layer, and its gradient (classes).
    column_gradient : (stride,)
        That of the last layer (one number).
    target : (whole vectors,)
    share : (tile rows,)
    """

    table: NDArray[Any]
    table_gradient: NDArray[Any]
    first: NDArray[Any]
    first_turned: NDArray[Any]
    first_gradient: NDArray[Any]
    embedding: NDArray[Any]
    embedding_gradient: NDArray[Any]
    weights: NDArray[Any]
    turned: NDArray[Any]
    gradients: NDArray[Any]
    last: NDArray[Any]
    last_turned: NDArray[Any]
    last_gradient: NDArray[Any]
    bias_gradient: NDArray[Any]
    hidden: NDArray[Any]
    deltas: NDArray[Any]
    output: NDArray[Any]
    column_gradient: NDArray[Any]
    target: NDArray[Any]
    share: NDArray[Any]


def make_work(shape: Shape, tile_rows: int, dtype: DTypeLike) -> Work:
    """Work space for networks of a shape and tiles of at most `tile_rows` rows."""

    def matrix(rows: int, columns: int, *layers: int) -> NDArray[Any]:
        # Rows of the left factor of a product, and of its result, go to the end of a block.
        return _zeros((*layers, _up(rows, ROWS) + ROWS, _stride(columns)), dtype)

    width, n_out, depth = shape.sizes[1], shape.sizes[-1], shape.depth
    table_rows, embedded = max(2 * shape.n_symbols, 2), shape.embedding_dim
    work = Work(
        table=matrix(table_rows, width + 1),
        table_gradient=matrix(table_rows, width + 1),
        first=matrix(embedded, width, 2),
        first_turned=matrix(width, embedded, 2),
        first_gradient=matrix(embedded, width, 2),
        embedding=matrix(shape.n_symbols, embedded, 2),
        embedding_gradient=matrix(shape.n_symbols, embedded, 2),
        weights=matrix(width + 1, width, depth - 2),
        turned=matrix(width, width, depth - 2),
        gradients=matrix(width + 1, width, depth - 2),
        last=matrix(width + 1, n_out),
        last_turned=matrix(n_out, width + 1),
        last_gradient=matrix(n_out, width),
        bias_gradient=matrix(1, n_out),
        hidden=matrix(tile_rows, width + 1, depth - 1),
        deltas=matrix(tile_rows, width + 1, 2),
        output=matrix(tile_rows, n_out),
        column_gradient=np.zeros(_stride(width + 1), dtype),
        target=np.zeros(_up(tile_rows, LANES), dtype),
        share=np.zeros(tile_rows, dtype),
    )
    work.last[width, n_out:] = -np.inf
    work.hidden[:, :, width] = 1
    return work


@within
def whole(columns: int) -> int:
    """Columns of the vectors that hold these."""
    return (columns + LANES - 1) // LANES * LANES


@within
def copy_in(flat: Any, at: int, rows: int, columns: int, out: Any) -> int:
    """Copy a matrix out of flat parameters; the place after it."""
    for i in range(rows):
        for j in range(columns):
            out[i, j] = flat[at + i * columns + j]
    return at + rows * columns


@within
def turn(matrix: Any, rows: int, columns: int, out: Any) -> None:
    for i in range(rows):
        for j in range(columns):
            out[j, i] = matrix[i, j]


@within
def copy_out(matrix: Any, rows: int, columns: int, flat: Any, at: int) -> int:
    """Copy a matrix into flat gradients; the place after it."""
    for i in range(rows):
        for j in range(columns):
            flat[at + i * columns + j] = matrix[i, j]
    return at + rows * columns


@within
def take_upper(flat: Any, at: int, width: int, n_out: int, work: Any, wanted: bool) -> None:
    """Copy the parameters of all layers but the first, at `at`, and what `wanted` needs."""
    for layer in range(work.weights.shape[0]):
        at = copy_in(flat, at, width + 1, width, work.weights[layer])
        if wanted:
            turn(work.weights[layer], width, width, work.turned[layer])
    copy_in(flat, at, width + 1, n_out, work.last)
    turn(work.last, width + 1, n_out, work.last_turned)
    if wanted:
        work.table_gradient[:] = _ZERO
        work.gradients[:] = _ZERO
        work.last_gradient[:] = _ZERO
        work.bias_gradient[:] = _ZERO


@within
def give_upper(work: Any, width: int, n_out: int, gradient: Any, at: int) -> None:
    """Copy their gradients out."""
    for layer in range(work.weights.shape[0]):
        at = copy_out(work.gradients[layer], width + 1, width, gradient, at)
    for j in range(width):
        for c in range(n_out):
            gradient[at + j * n_out + c] = work.last_gradient[c, j]
    copy_out(work.bias_gradient, 1, n_out, gradient, at + width * n_out)
