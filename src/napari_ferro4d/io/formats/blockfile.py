"""NanoMEGAS blockfiles, `.blo`: 8-bit patterns, each after six bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stored import Stored, mapped, pair, positive

_FRAME_HEADER = 6
"""Two bytes AA 55 and the number of the pattern."""


def read_blockfile(path: Path, hints: OpenOptions) -> Stored:
    """Map a `.blo` file."""
    with path.open("rb") as file:
        start = file.read(66)
    if len(start) < 66 or start[:6] != b"IMGBLO":
        raise ScanError(f"{path}: does not start as a blockfile does (IMGBLO).")
    (offset,) = struct.unpack_from("<I", start, 12)
    side, _, nx, ny = struct.unpack_from("<4H", start, 20)
    step_x, step_y = struct.unpack_from("<2d", start, 30)
    beam_energy, pixels_per_cm, camera_length = struct.unpack_from("<IHI", start, 46)
    if not (side and nx and ny):
        raise ScanError(f"{path}: the header announces {ny} x {nx} patterns of {side} pixels.")
    stride = _FRAME_HEADER + side * side
    frames = Frames(str(path), np.dtype(np.uint8), offset + _FRAME_HEADER, stride)
    array, rest = mapped(path, frames, (side, side))
    # The detector's scale is that of the screen, in cm: no reciprocal length without more.
    metadata = {
        "beam_energy_V": beam_energy,
        "camera_length_mm": camera_length / 10,
        "pixels_per_cm": pixels_per_cm / 100,
    }
    return Stored(
        array,
        scan_step=pair([positive(step_y), positive(step_x)]),
        frames=frames,
        scan_shape=(ny, nx),
        rest=rest,
        metadata=metadata,
    )
