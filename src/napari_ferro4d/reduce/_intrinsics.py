"""Two machine instructions that numba has no name for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["prefetch", "turned"]

_BYTE_POINTER = ir.IntType(8).as_pointer()
_INT32 = ir.IntType(32)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``, which may lie beyond the array: it is a hint."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _BYTE_POINTER)
        kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read, to be kept in every level of cache, data rather than instructions.
        builder.call(function, [address, _INT32(0), _INT32(3), _INT32(1)])

    return types.void(array, types.int64), generate


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
