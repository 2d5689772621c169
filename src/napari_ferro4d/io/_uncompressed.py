"""Files in which patterns lie one after the other: `.npy` and Merlin `.mib`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Frames

from ._stored import Hints, Stored, mapped


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


def read_npy(path: Path, hints: Hints) -> Stored:
    """Map a `.npy` file."""
    shape, fortran, dtype, offset = npy_header(path)
    if dtype.hasobject:
        raise ScanError(f"{path}: holds Python objects, not numbers; save a plain array.")
    in_rows = not fortran and len(shape) in (3, 4) and 0 not in shape
    size = path.stat().st_size
    needed = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < needed and not (in_rows and hints.incomplete != "error"):
        raise ScanError(
            f"{path}: the header announces shape {shape} of {dtype}, {needed} bytes, but the file "
            f"has {size}; it is truncated: copy it again, or open it with incomplete='pad'."
        )
    if not in_rows:
        return Stored(np.lib.format.open_memmap(path, mode="r"))
    frames = Frames(str(path), dtype, offset, shape[-2] * shape[-1] * dtype.itemsize)
    stated = int(np.prod(shape[:-2], dtype=object))
    array, _ = mapped(path, frames, (shape[-2], shape[-1]), stated)
    return Stored(
        array, frames=frames, scan_shape=(shape[0], shape[1]) if len(shape) == 4 else None
    )


def mib_axes(path: Path) -> int:
    """Return 4: nothing else comes in this format, and the scan shape is often elsewhere."""
    return 4


def read_mib(path: Path, hints: Hints) -> Stored:
    """Map a Merlin `.mib` file; RosettaSciIO reads its headers."""
    from rsciio.quantumdetector._api import MIBProperties

    with path.open("rb") as file:
        if file.read(3) != b"MQ1":
            raise ScanError(f"{path}: does not start with a Merlin frame header (MQ1).")
    header = MIBProperties()
    header.parse_file(str(path))
    if header.raw or header.head_size is None or header.dtype is None:
        raise ScanError(
            f"{path}: Merlin raw mode or an unknown frame header; save it as a processed 1, 6, 12 "
            "or 24 bit .mib from the Merlin software."
        )
    dtype = np.dtype(header.dtype).newbyteorder(">")
    ky, kx = (int(n) for n in header.merlin_size)
    stride = header.head_size + ky * kx * dtype.itemsize
    frames, rest = divmod(path.stat().st_size, stride)
    if rest:
        raise ScanError(
            f"{path}: {frames} whole frames of {stride} bytes and {rest} bytes of another; "
            "the file is truncated, copy it again."
        )
    ny, nx = hints.scan_shape or _mib_scan_shape(path, frames)
    if ny * nx != frames:
        raise ScanError(
            f"{path}: holds {frames} patterns, which do not fill a scan of {ny} x {nx}; "
            "give the scan shape that they do fill."
        )
    # Merlin's first row is the bottom of the image; here ky points down.
    where = Frames(str(path), dtype, header.head_size, stride, bottom_up=True)
    metadata = {"exposure_ms": header.exposure, "timestamp": header.timestamp}
    return Stored(where.view((ny, nx, ky, kx)), frames=where, metadata=metadata)


def _mib_scan_shape(path: Path, frames: int) -> tuple[int, int]:
    from rsciio.quantumdetector import file_reader
    from rsciio.quantumdetector._api import parse_hdr_file

    companion = path.with_suffix(".hdr")
    if companion.is_file():
        announced = int(parse_hdr_file(companion).get("Frames in Acquisition (Number)", 0))
        if announced not in (0, frames):
            raise ScanError(
                f"{path}: holds {frames} patterns, but {companion.name} announces {announced}; "
                "copy the file again, or give the scan shape of what is there."
            )
    # RosettaSciIO finds the rows in the companion, or in the pauses between the exposures.
    shape = file_reader(str(path), lazy=True)[0]["data"].shape[:-2]
    if len(shape) != 2:
        raise ScanError(
            f"{path}: nothing says how its {frames} patterns fill a scan; give the scan shape."
        )
    return int(shape[0]), int(shape[1])
