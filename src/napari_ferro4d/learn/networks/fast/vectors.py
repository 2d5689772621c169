"""Arithmetic on 16 channels at a time, for the compiled loops of `fast_winograd`.

Compilers vectorise loops; they do not keep a block of a matrix product, or a whole tile of a
convolution, in registers. The functions below say what stays there: numba calls them intrinsics.
All take arrays without gaps and flat indices into them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["WIDTH", "Vector", "product", "transform"]

WIDTH = 16
"""Channels that are worked on side by side. Two registers of AVX2, one of AVX-512."""

_INDEX = ir.IntType(64)


class Vector:
    """16 numbers in registers, for transforms that are written as plain arithmetic."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder, self.value = builder, value

    def __add__(self, other: Vector) -> Vector:
        # "contract": a product and the sum after it may become one instruction.
        return Vector(
            self._builder, self._builder.fadd(self.value, other.value, flags=["contract"])
        )

    def __sub__(self, other: Vector) -> Vector:
        return Vector(
            self._builder, self._builder.fsub(self.value, other.value, flags=["contract"])
        )

    def __mul__(self, factor: float) -> Vector:
        factors = ir.Constant(self.value.type, [factor] * WIDTH)
        return Vector(self._builder, self._builder.fmul(self.value, factors, flags=["contract"]))

    __rmul__ = __mul__


class _Array:
    """What an array argument is to the generated code: 16 neighbours at an index."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self._builder = builder
        self._data = context.make_array(kind)(context, builder, value).data
        self.scalar = context.get_value_type(kind.dtype)
        self.vector = ir.VectorType(self.scalar, WIDTH)
        self._align = kind.dtype.bitwidth // 8

    def address(self, *indices: Any) -> Any:
        at = indices[0]
        for index in indices[1:]:
            at = self._builder.add(at, index)
        return self._builder.gep(self._data, [at])

    def load(self, *indices: Any) -> Vector:
        pointer = self._builder.bitcast(self.address(*indices), self.vector.as_pointer())
        return Vector(self._builder, self._builder.load(pointer, align=self._align))

    def store(self, value: Any, *indices: Any) -> None:
        pointer = self._builder.bitcast(self.address(*indices), self.vector.as_pointer())
        self._builder.store(value, pointer, align=self._align)


def transform(along: Callable[[Sequence[Any]], Sequence[Any]], size: int, plus: str = "") -> Any:
    """Return a function for compiled code that transforms a square of vectors along both axes.

    Parameters
    ----------
    along : callable
        Takes the `size` vectors of a line, returns those of the transformed line.
    size : int
        Side of the square.
    plus : {"", "offset", "total"}
        The function's last two arguments are an array and an index. "offset": these 16 numbers are
        added to every result. "total": to them the sum of the square is added.

    Returns
    -------
    callable
        ``f(source, at, down, right, target, at, down, right, array, at)`` for compiled code, with
        the distances between lines and columns.
    """

    @intrinsic
    def transformed(  # type: ignore[no-untyped-def]
        _context, source, a, a_down, a_right, target, b, b_down, b_right, more, at
    ):
        integers = [types.intp] * 3
        signature = types.void(source, *integers, target, *integers, more, types.intp)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            kinds = signature.args
            read, write, other = (
                _Array(context, builder, kinds[i], arguments[i]) for i in (0, 4, 8)
            )
            a, a_down, a_right = arguments[1:4]
            b, b_down, b_right = arguments[5:8]

            def times(stride: Any, n: int) -> Any:
                return builder.mul(stride, _INDEX(n))

            columns, total = [], None
            for j in range(size):
                column = [read.load(a, times(a_down, i), times(a_right, j)) for i in range(size)]
                if plus == "total":
                    for value in column:
                        total = value if total is None else total + value
                columns.append(along(column))
            if total is not None:
                other.store((other.load(arguments[9]) + total).value, arguments[9])
            for i in range(len(columns[0])):
                for j, value in enumerate(along([column[i] for column in columns])):
                    if plus == "offset":
                        value = value + other.load(arguments[9])
                    write.store(value.value, b, times(b_down, i), times(b_right, j))
            return context.get_dummy_value()

        return signature, generate

    return transformed


def product(rows: int, accumulate: bool) -> Any:
    """Return a function for compiled code: the product of a narrow and a flat matrix.

    Parameters
    ----------
    rows : int
        Rows of the result; 6 keep both arithmetic units of a core busy and fit its registers.
    accumulate : bool
        Add to the result instead of replacing it.

    Returns
    -------
    callable
        ``f(a, at, down, right, b, at, down, depth, c, at, down)`` for compiled code: from `depth`
        columns of `a` and as many rows of `b`, 16 wide.
    """

    @intrinsic
    def multiplied(  # type: ignore[no-untyped-def]
        _context, a, a_at, a_down, a_right, b, b_at, b_down, depth, c, c_at, c_down
    ):
        index = types.intp
        signature = types.void(a, index, index, index, b, index, index, index, c, index, index)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            kinds = signature.args
            left, right, out = (_Array(context, builder, kinds[i], arguments[i]) for i in (0, 4, 8))
            _, a_at, a_down, a_right, _, b_at, b_down, depth, _, c_at, c_down = arguments
            vector = left.vector
            name = f"llvm.fmuladd.v{WIDTH}{left.scalar.intrinsic_name}"
            kind = ir.FunctionType(vector, [vector] * 3)
            fused = cgutils.get_or_insert_function(builder.module, kind, name)
            first = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
            undefined = ir.Constant(vector, ir.Undefined)

            a_rows = [builder.mul(a_down, _INDEX(row)) for row in range(rows)]
            c_rows = [builder.mul(c_down, _INDEX(row)) for row in range(rows)]
            if accumulate:
                starts = [out.load(c_at, row).value for row in c_rows]
            else:
                starts = [ir.Constant(vector, None)] * rows
            before = builder.block
            loop = builder.append_basic_block("depth")
            after = builder.append_basic_block("depth.end")
            builder.branch(loop)

            builder.position_at_end(loop)
            k = builder.phi(_INDEX)
            k.add_incoming(_INDEX(0), before)
            sums = [builder.phi(vector) for _ in range(rows)]
            line = right.load(b_at, builder.mul(k, b_down)).value
            a_column = builder.add(a_at, builder.mul(k, a_right))
            for row, start, total in zip(a_rows, starts, sums, strict=True):
                total.add_incoming(start, before)
                one = builder.load(left.address(a_column, row))
                one = builder.insert_element(undefined, one, ir.IntType(32)(0))
                everywhere = builder.shuffle_vector(one, undefined, first)
                total.add_incoming(builder.call(fused, [everywhere, line, total]), loop)
            following = builder.add(k, _INDEX(1))
            k.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)

            builder.position_at_end(after)
            for row, total in zip(c_rows, sums, strict=True):
                out.store(total.incomings[1][0], c_at, row)
            return context.get_dummy_value()

        return signature, generate

    return multiplied
