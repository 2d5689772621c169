"""numpy's `.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stored import Stored, mapped, refuse_reshaped


def npy_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, type and the offset of the first value."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        return shape, fortran, dtype, file.tell()


def npy_axes(path: Path) -> int:
    """Return the number of axes that the header states."""
    return len(npy_header(path)[0])


def read_npy(path: Path, hints: OpenOptions) -> Stored:
    """Map a `.npy` file."""
    shape, fortran, dtype, offset = npy_header(path)
    if dtype.hasobject:
        raise ScanError(f"{path}: holds Python objects, not numbers; save a plain array.")
    if len(shape) == 4:
        refuse_reshaped(path, shape, hints)
    in_rows = not fortran and len(shape) in (3, 4) and 0 not in shape
    size = path.stat().st_size
    needed = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < needed and not (in_rows and hints.incomplete != "error"):
        raise ScanError(
            f"{path}: the header announces shape {shape} of {dtype}, {needed} bytes, but the file "
            f"has {size}; it is truncated: copy it again, or open it with incomplete='pad'."
        )
    if size > needed and hints.incomplete == "error":
        raise ScanError(
            f"{path}: the header announces shape {shape} of {dtype}, {needed} bytes, but the file "
            f"has {size}; the header is damaged. incomplete='trim' leaves out the rest."
        )
    if not in_rows:
        return Stored(np.lib.format.open_memmap(path, mode="r"))
    frames = Frames(str(path), dtype, offset, shape[-2] * shape[-1] * dtype.itemsize)
    stated = int(np.prod(shape[:-2], dtype=object))
    array, _ = mapped(path, frames, (shape[-2], shape[-1]), stated)
    return Stored(
        array, frames=frames, scan_shape=(shape[0], shape[1]) if len(shape) == 4 else None
    )
