"""From patterns in the order of their recording to a scan: rows, flyback, snakes, missing ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import CHUNK_BYTES, Frames, lazily

from .open_options import OpenOptions
from .stacks import Rows
from .stored import Stored, refuse_reshaped

if TYPE_CHECKING:
    import dask.array as da


MOST_POSITIONS = 2**28
MOST_PADDED = 2**26
MOST_PATTERN_BYTES = 2**28
MOST_BYTES = 2**46
"""Sizes beyond which a scan is a damaged header: 64 TB, patterns of 256 MB."""


@dataclass(frozen=True, eq=False)
class Arranged:
    """A scan's array ``[y, x, ky, kx]``, how it lies in the file, and what is missing of it."""

    array: Any
    frames: Frames | None = None
    missing: np.ndarray | None = None
    left_out: int = 0
    """Patterns at the end that ``incomplete="trim"`` cut off."""
    complete: bool = True
    """The file holds all that the scan was to be, whatever became of the rest."""


def check(path: Path, hints: OpenOptions) -> None:
    """Refuse hints that describe no scan.

    Raises
    ------
    ScanError
        If a number is negative, or a word unknown.
    """
    for what, pair in (("scan", hints.scan_shape), ("detector", hints.detector_shape)):
        if pair is not None and not (len(pair) == 2 and all(_whole(n, 1) for n in pair)):
            raise ScanError(
                f"{path}: the {what} shape must be two positive whole numbers, not {pair}."
            )
    for what in ("first_frame", "flyback", "offset", "gap"):
        if not _whole(getattr(hints, what), 0):
            raise ScanError(
                f"{path}: {what} must be a whole number, neither negative nor larger than any "
                f"file, not {getattr(hints, what)}."
            )
    if hints.incomplete not in ("error", "pad", "trim"):
        raise ScanError(f"{path}: incomplete is error, pad or trim, not {hints.incomplete!r}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and least <= int(value) <= MOST_BYTES


def arrange(path: Path, stored: Stored, hints: OpenOptions) -> Arranged:
    """Arrange what a file holds as ``[y, x, ky, kx]``.

    Raises
    ------
    ScanError
        If the patterns do not fill the scan, or nothing says how they would.
    """
    shape = tuple(int(n) for n in stored.array.shape)
    if len(shape) not in (3, 4) or 0 in shape:
        raise ScanError(
            f"{path}: the array has {len(shape)} axes {shape}; a 4D-STEM scan has four that are "
            "not empty (y, x, ky, kx)."
        )
    _refuse_absurd(path, shape, np.dtype(stored.array.dtype).itemsize)
    if stored.missing is not None:
        return _by_position(path, stored, hints)
    patterns = shape[0] if len(shape) == 3 else shape[0] * shape[1]
    ny, nx = _scan_shape(path, stored, shape, hints)
    row = nx + hints.flyback
    # The beam need not fly back after the last row.
    needed = hints.first_frame + ny * row - hints.flyback
    if hints.incomplete == "error" or (hints.incomplete == "pad" and patterns >= needed):
        _refuse_unfilled(path, stored, hints, patterns, (ny, nx))
    there = patterns - hints.first_frame
    if there < nx:
        raise ScanError(
            f"{path}: holds {patterns} patterns, which do not fill a single row of the scan "
            f"{ny} x {nx} from frame {hints.first_frame} on; give the scan shape that they fill."
        )
    missing, left_out = None, 0
    if hints.incomplete == "trim":
        ny = min(ny, (there + hints.flyback) // row)
        left_out = max(0, there - (ny * row))
    elif patterns < needed:
        if ny * nx > MOST_PADDED:
            raise ScanError(
                f"{path}: holds {patterns} patterns, far fewer than a scan of {ny} x {nx} needs; "
                "give the scan shape that they fill."
            )
        missing = np.arange(ny)[:, None] * row + np.arange(nx) >= there
    array, frames = _rows(stored, shape, hints, (ny, nx), padded=missing is not None)
    if hints.snake:
        array, frames = _unwound(lazily(array, frames)), None
        missing = None if missing is None else _every_second_reversed(missing)
    return Arranged(array, frames, missing, left_out, complete=patterns >= needed)


def _scan_shape(
    path: Path, stored: Stored, shape: tuple[int, ...], hints: OpenOptions
) -> tuple[int, int]:
    if hints.scan_shape and len(shape) == 4 and stored.scan_shape is None:
        refuse_reshaped(path, shape, hints)
    if hints.scan_shape or stored.scan_shape:
        ny, nx = hints.scan_shape or stored.scan_shape or (0, 0)
        return ny, nx
    if len(shape) == 4:
        return shape[0], shape[1]
    raise ScanError(
        f"{path}: the array has 3 axes {shape}, and nothing says how its {shape[0]} patterns fill "
        "a scan; give the scan shape."
    )


def _refuse_absurd(path: Path, shape: tuple[int, ...], itemsize: int) -> None:
    # In Python's integers, which do not overflow.
    positions = math.prod(shape[:-2])
    pattern = math.prod(shape[-2:]) * itemsize
    absurd = positions > MOST_POSITIONS or pattern > MOST_PATTERN_BYTES
    if absurd or positions * pattern > MOST_BYTES:
        raise ScanError(
            f"{path}: announces {positions} patterns of {shape[-2]} x {shape[-1]} pixels, more "
            "than can be; its header is damaged."
        )


def _by_position(path: Path, stored: Stored, hints: OpenOptions) -> Arranged:
    """Take a scan whose every pattern says where it belongs."""
    missing = np.asarray(stored.missing)
    moved = hints.first_frame or hints.flyback or hints.snake
    if (hints.scan_shape or missing.shape) != missing.shape or moved:
        raise ScanError(
            f"{path}: its patterns say where they belong, in a scan of {missing.shape[0]} x "
            f"{missing.shape[1]}; give no other scan shape, first frame, flyback or snake order."
        )
    if missing.any() and hints.incomplete != "pad":
        raise ScanError(
            f"{path}: {int(missing.sum())} of {missing.size} positions have no pattern. Open it "
            "with incomplete='pad' to fill them with zeros."
        )
    return Arranged(stored.array, missing=missing if missing.any() else None)


def _refuse_unfilled(
    path: Path, stored: Stored, hints: OpenOptions, patterns: int, scan: tuple[int, int]
) -> None:
    ny, nx = scan
    row = nx + hints.flyback
    needed = hints.first_frame + ny * row - hints.flyback
    if needed <= patterns <= needed + hints.flyback and not stored.rest:
        return
    rest = f" and {stored.rest} bytes of another" if stored.rest else ""
    text = f"{path}: holds {patterns} patterns{rest}, but a scan of {ny} x {nx} needs {needed}"
    if patterns >= needed:
        raise ScanError(
            f"{text}; give the scan shape that they fill, the frames to skip, or "
            "incomplete='trim' to leave out the rest."
        )
    whole = max(0, patterns - hints.first_frame + hints.flyback) // row
    raise ScanError(
        f"{text}: {ny - whole} of {ny} rows are unfinished or missing. Open it with "
        "incomplete='pad' to fill them with zeros or 'trim' to leave them out, or give the scan "
        "shape that the patterns fill."
    )


def _rows(
    stored: Stored,
    shape: tuple[int, ...],
    hints: OpenOptions,
    scan: tuple[int, int],
    *,
    padded: bool,
) -> tuple[Any, Frames | None]:
    """Return the scan's rows, without what was recorded before them and between them."""
    ny, nx = scan
    row = nx + hints.flyback
    full = (ny, nx, shape[-2], shape[-1])
    if stored.frames is not None and not padded:
        where = stored.frames
        frames = replace(
            where,
            offset=where.offset + hints.first_frame * where.stride,
            row_stride=row * where.stride if hints.flyback else None,
        )
        return frames.view(full), frames
    if shape == full and not hints.first_frame and not padded:
        return stored.array, None
    import dask.array as da

    if len(shape) == 3 and not padded and not isinstance(stored.array, da.Array):
        return Rows(stored.array, scan, hints.first_frame, row), None
    stack = _stack(stored, shape)[hints.first_frame : hints.first_frame + ny * row]
    # Whole rows per chunk, so that the axis can be split without moving anything.
    bytes_per_row = row * shape[-2] * shape[-1] * stack.dtype.itemsize
    chunks = (row * max(1, CHUNK_BYTES // bytes_per_row), -1, -1)
    absent = ny * row - stack.shape[0]
    if absent:
        zeros = da.zeros((absent, *shape[-2:]), dtype=stack.dtype, chunks=chunks)
        stack = da.concatenate([stack, zeros])
    stack = stack.rechunk(chunks)
    return stack.reshape((ny, row, *shape[-2:]))[:, :nx], None


def _stack(stored: Stored, shape: tuple[int, ...]) -> da.Array:
    """Return all patterns one after the other, lazily."""
    import dask.array as da

    if stored.frames is not None:
        patterns = shape[0] if len(shape) == 3 else shape[0] * shape[1]
        one_row = (1, patterns, shape[-2], shape[-1])
        return lazily(stored.frames.view(one_row), stored.frames)[0]
    if len(shape) == 4:
        return lazily(stored.array).reshape((-1, *shape[-2:]))
    if isinstance(stored.array, da.Array):
        return stored.array.rechunk({1: -1, 2: -1})
    pattern = shape[-2] * shape[-1] * np.dtype(stored.array.dtype).itemsize
    stride = (getattr(stored.array, "chunks", None) or (1,))[0]
    chunk = max(1, CHUNK_BYTES // pattern // stride) * stride
    return da.from_array(stored.array, chunks=(chunk, -1, -1), name=False)


def _unwound(rows: da.Array) -> da.Array:
    return rows.rechunk({1: -1}).map_blocks(_unwind_block, dtype=rows.dtype)


def _unwind_block(block: np.ndarray, block_info: Any = None) -> np.ndarray:
    first = block_info[0]["array-location"][0][0] if block_info else 0
    return _every_second_reversed(block, first)


def _every_second_reversed(rows: np.ndarray, first: int = 0) -> np.ndarray:
    """Turn the rows of odd number round; the first of `rows` has the number `first`."""
    turned = rows.copy()
    odd = 1 - first % 2
    turned[odd::2] = rows[odd::2, ::-1]
    return turned
