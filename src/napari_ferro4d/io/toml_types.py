"""Values as TOML has them, against the types of dataclass fields."""

from __future__ import annotations

import math
import types
from typing import Any, Literal, Union, get_args, get_origin


def as_kind(value: Any, kind: Any) -> Any:
    """Return a TOML value as `kind`; raises TypeError if it is not one."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        for part in parts:
            try:
                return as_kind(value, part)
            except TypeError:
                continue
        raise TypeError
    if origin is Literal:
        if value in parts and not isinstance(value, bool | float):
            return value
        raise TypeError
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError
        wanted = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        if len(wanted) != len(value):
            raise TypeError
        return tuple(as_kind(one, part) for one, part in zip(value, wanted, strict=True))
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
        raise TypeError
    if type(value) is kind or (value is None and kind is type(None)):
        return value
    raise TypeError


def in_words(kind: Any) -> str:
    """Return what a type is called in an error message."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part) for part in parts if part is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(repr(part) for part in parts)
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return f"a list of which each is {in_words(parts[0])}"
        return f"a list [{', '.join(in_words(part) for part in parts)}]"
    return {int: "a whole number", float: "a number", str: "a text"}[kind]
