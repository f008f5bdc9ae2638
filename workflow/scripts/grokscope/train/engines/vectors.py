"""What the passes need and numba does not offer: vectors of numbers, products, no subnormals.

A vector has :data:`LANES` numbers whatever the processor has, no sum may be reordered, and every
sum of products is fused the same way: the order of every sum is written here and in
:mod:`grokscope.train.engines.kernels`, and neither the compiler nor the width of the processor's
registers chooses it.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, overload, register_model

from grokscope.train.engines.compiling import compiled, within

LANES = 8
# Rows of a block of a product, and numbers in one of its two columns of vectors: as many as the
# registers hold (16 of 8 floats with AVX2, 32 of 16 with AVX-512), which changes no number.
ROWS, BLOCK_LANES = (8, 16) if binding.get_host_cpu_features().get("avx512f") else (6, LANES)
_INT32 = ir.IntType(32)
cgutils: Any = _cgutils


def intrinsic(define: Any) -> Any:
    """A function for compiled code, of what generates it; its arguments are other ones."""
    return _intrinsic(define)


class Vector(types.Type):
    """A numba type: :data:`LANES` numbers of type `number` that are worked on at once."""

    def __init__(self, number: Any) -> None:
        self.number = number
        super().__init__(name=f"Vector({number})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            manager, of, ir.VectorType(manager.lookup(of.number).get_value_type(), LANES)
        )


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic that is defined for any type of vector."""
    vector = args[0].type
    bits = 32 if vector.element == ir.FloatType() else 64
    kind = ir.FunctionType(vector, [vector] * len(args))
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.{name}.v{vector.count}f{bits}"
    )
    return builder.call(function, args)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Pointer to a number of a contiguous array, by its place in the order of memory."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def _as_vector(builder: Any, pointer: Any, lanes: int) -> tuple[Any, int]:
    """The pointer as one to a vector, and the alignment that it surely has."""
    number = pointer.type.pointee
    size = 4 if number == ir.FloatType() else 8
    return builder.bitcast(pointer, ir.VectorType(number, lanes).as_pointer()), size


def _spread(builder: Any, number: Any, lanes: int) -> Any:
    vector = ir.VectorType(number.type, lanes)
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INT32, 0))
    places = ir.Constant(ir.VectorType(_INT32, lanes), None)
    return builder.shuffle_vector(first, nothing, places)


@intrinsic
def load(typing: Any, array: Any, at: Any) -> Any:
    """The vector that begins at a place of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *args)
        pointer, size = _as_vector(builder, pointer, LANES)
        return builder.load(pointer, align=size)

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, at: Any, vector: Any) -> Any:
    """Write a vector to a place of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        pointer, size = _as_vector(builder, pointer, LANES)
        builder.store(args[2], pointer, align=size)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """A vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, args[0], LANES)

    return Vector(number)(number), generate


def _elementwise(generate: Callable[..., Any]) -> Any:
    """An intrinsic of vectors of one type, from a function of the builder and the vectors."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return generate(builder, *args)

    def one(typing: Any, a: Any) -> Any:
        return a(a), lower

    def two(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lower

    def three(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return a(a, b, c), lower

    return intrinsic([one, two, three][generate.__code__.co_argcount - 2])


def _zero(vector: Any) -> Any:
    return ir.Constant(vector.type, None)


def _scaled(builder: Any, x: Any, whole: Any) -> Any:
    integers = ir.VectorType(_INT32, LANES)
    mantissa = ir.Constant(integers, [23] * LANES)
    power = builder.shl(builder.bitcast(whole, integers), mantissa)
    return builder.bitcast(builder.add(builder.bitcast(x, integers), power), x.type)


def _choose(builder: Any, sign: str, a: Any, b: Any, yes: Any, no: Any) -> Any:
    return builder.select(builder.fcmp_ordered(sign, a, b), yes, no)


# a * b + c in one rounding where the processor can.
fma = _elementwise(lambda builder, a, b, c: _call(builder, "fmuladd", a, b, c))
library_exp = _elementwise(lambda builder, a: _call(builder, "exp", a))
# The larger of two; b where one of them is NaN.
larger = _elementwise(lambda builder, a, b: _choose(builder, ">", a, b, a, b))
# x where the gate is positive or NaN, else 0: ReLU (of itself) and its gradient.
gated = _elementwise(
    lambda builder, gate, x: _choose(builder, "<=", gate, _zero(gate), _zero(x), x)
)
# x times 2 to the power of the lowest bits of a float32; neither x nor the result is subnormal.
scaled = _elementwise(_scaled)


def _arithmetic(sign: Any, name: str) -> None:
    """Let numba know an operator of two vectors, by the name of LLVM's operation."""
    operation = _elementwise(lambda builder, a, b: getattr(builder, name)(a, b))

    @overload(sign)
    def implement(a: Any, b: Any) -> Any:
        def call(a: Any, b: Any) -> Any:
            return operation(a, b)

        return call if isinstance(a, Vector) and isinstance(b, Vector) else None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _halves(operation: str) -> Any:
    """An intrinsic that makes one number of a vector: its halves, their halves, and so on."""

    @intrinsic
    def reduce(typing: Any, vector: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (value,) = args
            while value.type.count > 1:
                half = value.type.count // 2
                parts = []
                for start in (0, half):
                    places = ir.Constant(
                        ir.VectorType(_INT32, half), [start + place for place in range(half)]
                    )
                    parts.append(builder.shuffle_vector(value, value, places))
                if operation == "larger":
                    value = _choose(builder, ">", *parts, *parts)
                else:
                    value = builder.fadd(*parts)
            return builder.extract_element(value, ir.Constant(_INT32, 0))

        return vector.number(vector), generate

    return reduce


total = _halves("add")
largest = _halves("larger")


@intrinsic
def doubled(typing: Any, vector: Any) -> Any:
    """The same numbers in double precision."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.DoubleType(), LANES)
        return args[0] if args[0].type == kind else builder.fpext(args[0], kind)

    return Vector(types.float64)(vector), generate


def _block(vectors: int, lanes: int, add: bool) -> Any:
    """An intrinsic: a block of a product of matrices, its sums in registers.

    ``out[i, j] = sum_k a[i, k] b[k, j]`` for :data:`ROWS` rows and ``vectors * lanes`` columns;
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
            row = _pointer(context, builder, kinds[0], args[0], args[1])
            left = _pointer(context, builder, kinds[3], args[3], args[4])
            right = _pointer(context, builder, kinds[7], args[7], args[8])
            out_step, a_row, a_step, b_step, n = args[2], args[5], args[6], args[9], args[10]
            intp, vector = n.type, ir.VectorType(left.type.pointee, lanes)
            rows = [builder.mul(a_row, ir.Constant(intp, i)) for i in range(ROWS)]
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
            sums = [variable(vector, ir.Constant(vector, None)) for _ in range(ROWS * vectors)]

            def part(pointer: Any, column: int) -> tuple[Any, int]:
                pointer = builder.gep(pointer, [ir.Constant(intp, column * lanes)])
                return _as_vector(builder, pointer, lanes)

            columns = []
            for column in range(vectors):
                pointer, size = part(y, column)
                columns.append(builder.load(pointer, align=size))
            new = []
            for i in range(ROWS):
                factor = _spread(builder, builder.load(builder.gep(x, [rows[i]])), lanes)
                new += [
                    _call(builder, "fmuladd", factor, columns[j], sums[i * vectors + j])
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
            for i in range(ROWS):
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


_WIDE = 2 * BLOCK_LANES
_wide, _narrow = _block(2, BLOCK_LANES, False), _block(1, LANES, False)
_wide_add, _narrow_add = _block(2, BLOCK_LANES, True), _block(1, LANES, True)


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
    step, a_step, b_step = out.shape[1], a.shape[1], b.shape[1]
    j = 0
    while j + _WIDE <= n + LANES - 1:
        for i in range(0, m, ROWS):
            _wide(out, i * step + j, step, a, i * a_step, a_step, 1, b, j, b_step, k)
        j += _WIDE
    while j < n:
        for i in range(0, m, ROWS):
            _narrow(out, i * step + j, step, a, i * a_step, a_step, 1, b, j, b_step, k)
        j += LANES


@within
def add_outer(a: Any, b: Any, out: Any, m: int, n: int, k: int) -> None:
    """``out += a.T @ b``; as :func:`multiply`, but `a` is ``(k, m)``."""
    step, a_step, b_step = out.shape[1], a.shape[1], b.shape[1]
    j = 0
    while j + _WIDE <= n + LANES - 1:
        for i in range(0, m, ROWS):
            _wide_add(out, i * step + j, step, a, i, 1, a_step, b, j, b_step, k)
        j += _WIDE
    while j < n:
        for i in range(0, m, ROWS):
            _narrow_add(out, i * step + j, step, a, i, 1, a_step, b, j, b_step, k)
        j += LANES


def _switched(builder: Any, register: Any, bits: int, on: Any) -> Any:
    """The register with the bits set or not."""
    mask = ir.Constant(register.type, bits)
    return builder.select(
        on, builder.or_(register, mask), builder.and_(register, builder.not_(mask))
    )


@intrinsic
def _flush(typing: Any, on: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            register = cgutils.alloca_once(builder, _INT32)
            pointer = builder.bitcast(register, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [pointer.type])
            read, write = (
                cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
                for name in ("stmxcsr", "ldmxcsr")
            )
            builder.call(read, [pointer])
            # Bit 15 of the register is for results, bit 6 for operands.
            builder.store(_switched(builder, builder.load(register), 0x8040, args[0]), register)
            builder.call(write, [pointer])
        elif machine in ("aarch64", "arm64"):
            word, nothing = ir.IntType(64), ir.VoidType()
            flags = builder.asm(ir.FunctionType(word, []), "mrs $0, fpcr", "=r", [], True)
            flags = _switched(builder, flags, 1 << 24, args[0])
            builder.asm(ir.FunctionType(nothing, [word]), "msr fpcr, $0", "r", [flags], True)
        return context.get_dummy_value()

    return types.void(types.boolean), generate


@compiled
def flush_subnormals(on: bool) -> None:
    """Let this thread take subnormal numbers for zero or not (x86-64, arm64; else no change)."""
    _flush(on)
