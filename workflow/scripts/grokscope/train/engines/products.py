"""Products of matrices on CPU, their blocks of sums in registers.

Every number of a product is one chain of fused multiplications and additions, whatever block it
lies in: blocks fit the processor and decide no number.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import codegen as _codegen
from numba.core import config as _config

from grokscope.train.engines.compiling import within
from grokscope.train.engines.vectors import (
    LANES,
    PAIR,
    broadcast,
    intrinsic,
    llvm_call,
    pointer_at,
    vector_pointer,
)

# Numba's types lack these.
codegen: Any = _codegen
config: Any = _config
# Rows of a block of a product, and numbers in one of its two columns of vectors: as many as the
# registers hold (16 of 8 floats with AVX2, 32 of 16 with AVX-512), which changes no number. Of the
# instructions that numba may use: the processor's, or those of its settings.
_FEATURES = config.CPU_FEATURES
if _FEATURES is None:
    _FEATURES = codegen.get_host_cpu_features()
ROWS, BLOCK_LANES = (8, PAIR) if "+avx512f" in _FEATURES.split(",") else (6, LANES)


def _block(n_rows: int, vectors: int, lanes: int, add: bool) -> Any:
    """An intrinsic: a block of a product of matrices, its sums in registers.

    ``out[i, j] = sum_k a[i, k] b[k, j]`` for `n_rows` rows and ``vectors * lanes`` columns;
    each a chain of fused multiplications and additions over k, whatever the shape of the block.

    Arguments of the intrinsic, places and steps in the order of memory: `out`, its place, its
    step from row to row; `a`, its place, its steps along i and along k; `b`, its place, its step
    along k; the number of k. With `add` the sums are added to `out`.
    """

    @intrinsic
    def block(
        typing: Any,
        out: Any,
        out_at: Any,
        out_step: Any,
        a: Any,
        a_at: Any,
        a_row: Any,
        a_step: Any,
        b: Any,
        b_at: Any,
        b_step: Any,
        n: Any,
    ) -> Any:
        place = types.intp
        signature = types.void(out, place, place, a, place, place, place, b, place, place, place)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = signature.args
            row = pointer_at(context, builder, kinds[0], args[0], args[1])
            left = pointer_at(context, builder, kinds[3], args[3], args[4])
            right = pointer_at(context, builder, kinds[7], args[7], args[8])
            out_step, a_row, a_step, b_step, n = args[2], args[5], args[6], args[9], args[10]
            intp, vector = n.type, ir.VectorType(left.type.pointee, lanes)
            rows = [builder.mul(a_row, ir.Constant(intp, i)) for i in range(n_rows)]
            before, loop, after = (
                builder.block,
                builder.append_basic_block("k"),
                builder.append_basic_block("end"),
            )
            builder.branch(loop)
            builder.position_at_end(loop)

            def variable(kind: Any, start: Any) -> Any:
                phi = builder.phi(kind)
                phi.add_incoming(start, before)
                return phi

            k = variable(intp, ir.Constant(intp, 0))
            x, y = variable(left.type, left), variable(right.type, right)
            sums = [variable(vector, ir.Constant(vector, None)) for _ in range(n_rows * vectors)]

            def part(pointer: Any, column: int) -> tuple[Any, int]:
                pointer = builder.gep(pointer, [ir.Constant(intp, column * lanes)])
                return vector_pointer(builder, pointer, lanes)

            columns = []
            for column in range(vectors):
                pointer, size = part(y, column)
                columns.append(builder.load(pointer, align=size))
            new = []
            for i in range(n_rows):
                factor = broadcast(builder, builder.load(builder.gep(x, [rows[i]])), lanes)
                new += [
                    llvm_call(builder, "fmuladd", factor, columns[j], sums[i * vectors + j])
                    for j in range(vectors)
                ]
            following = builder.add(k, ir.Constant(intp, 1))
            steps = [
                (k, following),
                (x, builder.gep(x, [a_step])),
                (y, builder.gep(y, [b_step])),
            ]
            for phi, value in [*steps, *zip(sums, new, strict=True)]:
                phi.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
            builder.position_at_end(after)
            for i in range(n_rows):
                for j in range(vectors):
                    pointer, size = part(row, j)
                    value = new[i * vectors + j]
                    if add:
                        value = builder.fadd(builder.load(pointer, align=size), value)
                    builder.store(value, pointer, align=size)
                row = builder.gep(row, [out_step])
            return context.get_dummy_value()

        return signature, generate

    return block


def _product(add: bool) -> Any:
    """A function: a product in blocks, as wide ones as the columns fill."""
    wide, row = _block(ROWS, 2, BLOCK_LANES, add), _block(1, 2, BLOCK_LANES, add)
    middle, narrow = _block(ROWS, 1, BLOCK_LANES, add), _block(ROWS, 1, LANES, add)

    @within
    def product(
        a: Any, at: int, a_row: int, a_step: int, b: Any, out: Any, m: int, n: int, k: int
    ) -> None:
        step, b_step = out.shape[1], b.shape[1]
        columns, blocks = n + LANES - 1, m
        if add:
            # A last row alone, of a bias or a class, costs less as a block of its own.
            blocks = m - (m % ROWS == 1)
        j = 0
        while j + 2 * BLOCK_LANES <= columns:
            for i in range(0, blocks, ROWS):
                wide(out, i * step + j, step, a, at + i * a_row, a_row, a_step, b, j, b_step, k)
            if add:
                for i in range(blocks, m):
                    row(out, i * step + j, step, a, at + i * a_row, a_row, a_step, b, j, b_step, k)
            j += 2 * BLOCK_LANES
        if not add:
            while j + BLOCK_LANES <= columns:
                for i in range(0, m, ROWS):
                    middle(
                        out, i * step + j, step, a, at + i * a_row, a_row, a_step, b, j, b_step, k
                    )
                j += BLOCK_LANES
        while j < n:
            for i in range(0, m, ROWS):
                narrow(out, i * step + j, step, a, at + i * a_row, a_row, a_step, b, j, b_step, k)
            j += LANES

    return product


_set, _add = _product(False), _product(True)


@within
def multiply(a: Any, b: Any, out: Any, m: int, n: int, k: int) -> None:
    """``out = a @ b`` of matrices with padding.

    Parameters
    ----------
    a, b, out : (rows, stride)
        The first ``(m, k)``, ``(k, n)`` and ``(m, n)`` count. Of `a` and `out` there are rows up
        to the next multiple of :data:`ROWS`, of `b` and `out` columns up to the next multiple of
        :data:`LANES`; what lies there in `out` is overwritten.
    """
    _set(a, 0, a.shape[1], 1, b, out, m, n, k)


@within
def add_outer(a: Any, at: int, b: Any, out: Any, m: int, n: int, k: int) -> None:
    """``out += a.T @ b``; as :func:`multiply`, but of `a` count k rows and m columns from `at`."""
    _add(a, at, 1, a.shape[1], b, out, m, n, k)
