"""What the passes need and numba does not offer: vectors of numbers, no subnormals.

A vector has :data:`LANES` numbers whatever the processor has, no sum may be reordered, and every
sum of products is fused the same way: the order of every sum is written here, in
:mod:`grokscope.train.engines.products` and in :mod:`grokscope.train.engines.kernels`, and neither
the compiler nor the width of the processor's registers chooses it. Two vectors in one are for
work on each number alone.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, overload, register_model

from grokscope.train.engines.compiling import compiled

LANES = 8
PAIR = 2 * LANES
_INT32 = ir.IntType(32)
cgutils: Any = _cgutils


def intrinsic(define: Any) -> Any:
    """A function for compiled code, of what generates it; its arguments are other ones."""
    return _intrinsic(define)


class Vector(types.Type):
    """A numba type: some numbers of type `number` that are worked on at once."""

    def __init__(self, number: Any, lanes: int = LANES) -> None:
        self.number, self.lanes = number, lanes
        super().__init__(name=f"Vector({number}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            manager, of, ir.VectorType(manager.lookup(of.number).get_value_type(), of.lanes)
        )


def llvm_call(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic that is defined for any type of vector."""
    vector = args[0].type
    bits = 32 if vector.element == ir.FloatType() else 64
    kind = ir.FunctionType(vector, [vector] * len(args))
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.{name}.v{vector.count}f{bits}"
    )
    return builder.call(function, args)


def pointer_at(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Pointer to a number of a contiguous array, by its place in the order of memory."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def vector_pointer(builder: Any, pointer: Any, lanes: int) -> tuple[Any, int]:
    """The pointer as one to a vector, and the alignment that it surely has."""
    number = pointer.type.pointee
    size = 4 if number == ir.FloatType() else 8
    return builder.bitcast(pointer, ir.VectorType(number, lanes).as_pointer()), size


def _part(builder: Any, vector: Any, start: int, lanes: int) -> Any:
    """Some neighbouring numbers of a vector."""
    places = ir.Constant(ir.VectorType(_INT32, lanes), list(range(start, start + lanes)))
    return builder.shuffle_vector(vector, vector, places)


def broadcast(builder: Any, number: Any, lanes: int) -> Any:
    vector = ir.VectorType(number.type, lanes)
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INT32, 0))
    places = ir.Constant(ir.VectorType(_INT32, lanes), None)
    return builder.shuffle_vector(first, nothing, places)


def _load(lanes: int) -> Any:
    @intrinsic
    def load(typing: Any, array: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = pointer_at(context, builder, signature.args[0], *args)
            pointer, size = vector_pointer(builder, pointer, lanes)
            return builder.load(pointer, align=size)

        return Vector(array.dtype, lanes)(array, types.intp), generate

    return load


# The vector, or two in one, that begin at a place of a contiguous array.
load, load_pair = _load(LANES), _load(PAIR)


@intrinsic
def store(typing: Any, array: Any, at: Any, vector: Any) -> Any:
    """Write a vector to a place of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_at(context, builder, signature.args[0], args[0], args[1])
        pointer, size = vector_pointer(builder, pointer, args[2].type.count)
        builder.store(args[2], pointer, align=size)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """A vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return broadcast(builder, args[0], LANES)

    return Vector(number)(number), generate


@intrinsic
def filled(typing: Any, like: Any, number: Any) -> Any:
    """A vector of one number, as long as another vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return broadcast(builder, args[1], args[0].type.count)

    return Vector(number, like.lanes)(like, number), generate


def _half(number: int) -> Any:
    @intrinsic
    def half(typing: Any, pair: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _part(builder, args[0], number * LANES, LANES)

        return Vector(pair.number)(pair), generate

    return half


low, high = _half(0), _half(1)


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
    integers = ir.VectorType(_INT32, x.type.count)
    mantissa = ir.Constant(integers, [23] * x.type.count)
    power = builder.shl(builder.bitcast(whole, integers), mantissa)
    return builder.bitcast(builder.add(builder.bitcast(x, integers), power), x.type)


def _choose(builder: Any, sign: str, a: Any, b: Any, yes: Any, no: Any) -> Any:
    return builder.select(builder.fcmp_ordered(sign, a, b), yes, no)


# a * b + c in one rounding where the processor can.
fma = _elementwise(lambda builder, a, b, c: llvm_call(builder, "fmuladd", a, b, c))
library_exp = _elementwise(lambda builder, a: llvm_call(builder, "exp", a))
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
                parts = [_part(builder, value, start, half) for start in (0, half)]
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
