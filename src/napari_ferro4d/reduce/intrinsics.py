"""Machine instructions, and promises to the compiler, that numba has no name for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def turned(_context: Any, value: Any) -> Any:
    """Return a 16-bit count with its two bytes turned over."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.IntType(16)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind]), "llvm.bswap.i16"
        )
        return builder.call(function, [arguments[0]])

    return types.uint16(types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def native(context: Any, value: Any, swap: Any) -> Any:
    """Return a count in native byte order: as it is where `swap` is None, else turned over.

    Which of the two is settled when the loop is compiled: one with both in it does not become
    vector code.
    """
    if swap == types.none:
        return value(value, swap), lambda context, builder, signature, arguments: arguments[0]
    _, turn = turned._defn(context, types.uint16)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = context.cast(builder, arguments[0], signature.args[0], types.uint16)
        return turn(context, builder, None, [count])

    return types.uint16(value, swap), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus(_context: Any, one: Any, other: Any) -> Any:
    """Return the sum of two numbers of one type, in that type.

    Numba adds 32-bit integers as 64-bit ones, of which a vector holds half as many.
    """
    if one != other:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        add = builder.fadd if isinstance(one, types.Float) else builder.add
        return add(*arguments)

    return one(one, one), generate


@intrinsic  # type: ignore[untyped-decorator]
def span(_context: Any, array: Any, start: Any, count: Any) -> Any:
    """Return ``array[start:start + count]`` of one axis, which must lie inside: nothing is checked.

    The rules of a slice (negative numbers, ends beyond the array) take longer than a short row.
    """
    kind = types.Array(array.dtype, 1, "C", readonly=not array.mutable, aligned=array.aligned)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(signature.args[0])(context, builder, arguments[0])
        part = context.make_array(kind)(context, builder)
        size = context.get_constant(
            types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype))
        )
        context.populate_array(
            part,
            data=builder.gep(whole.data, [arguments[1]]),
            shape=[arguments[2]],
            strides=[size],
            itemsize=size,
            meminfo=None,
            parent=None,
        )
        return part._getvalue()

    return kind(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def unaliased(_context: Any) -> Any:
    """Promise that what a function writes to one of its arrays it reads from no other.

    Without it, loops with several arrays to write to do not become vector code.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for argument in builder.function.args:
            # The first pointers are numba's own, for what is returned and raised.
            if isinstance(argument.type, ir.PointerType) and argument.name.startswith("arg."):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), generate
