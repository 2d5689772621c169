"""Files without a header: the user says how the counts lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stored import Stored, mapped


def read_raw(path: Path, hints: OpenOptions) -> Stored:
    """Map a file of counts of the type and shape that the hints give.

    Raises
    ------
    ScanError
        If they do not, or the file is too small.
    """
    if hints.dtype is None or hints.detector_shape is None:
        raise ScanError(
            f"{path}: has no header; say what it holds, such as dtype='<u2', "
            "detector_shape=(256, 256), scan_shape=(128, 128)."
        )
    try:
        dtype = np.dtype(hints.dtype)
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype(object)
    if dtype.kind not in "uif":
        raise ScanError(f"{path}: {hints.dtype!r} is no type of counts; say such as '>u2', '<f4'.")
    ky, kx = hints.detector_shape
    pattern = ky * kx * dtype.itemsize
    if path.stat().st_size < hints.offset + pattern:
        raise ScanError(
            f"{path}: has {path.stat().st_size} bytes, too few for a pattern of {ky} x {kx} "
            f"{dtype.name} after {hints.offset} bytes."
        )
    frames = Frames(str(path), dtype, hints.offset, pattern + hints.gap)
    array, rest = mapped(path, frames, (ky, kx))
    return Stored(array, frames=frames, rest=rest)


def raw_axes(path: Path) -> int:
    """Return 0: a file without a header is opened only by who knows what it holds."""
    return 0
