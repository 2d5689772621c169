"""TVIPS recorder files, `name_000.tvips`, `name_001.tvips`, ...: frames with a header each."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import FileStack, Joined
from napari_ferro4d.io.stored import Stored, mapped

_FIELDS = (
    *("size", "version", "width", "height", "bits", "x0", "y0", "bin_x", "bin_y"),
    *("pixel_size", "high_voltage", "magnification", "frame_header"),
)


def tvips_axes(path: Path) -> int:
    """Return 4 for the first file of a recording; the others belong to it."""
    return 4 if _number(path) in (None, 0) else 0


def read_tvips(path: Path, hints: OpenOptions) -> Stored:
    """Map a recording, in as many files as there are.

    The recorder does not say how the beam went, and its pixel size is that of the camera, so scan
    shape and steps have to be given.
    """
    if _number(path) not in (None, 0):
        raise ScanError(f"{path}: is not the first part of the recording; open {_part(path, 0)}.")
    with path.open("rb") as file:
        start = file.read(52)
    if len(start) < 52:
        raise ScanError(f"{path}: is too short for a TVIPS header.")
    header = dict(zip(_FIELDS, struct.unpack("<13I", start), strict=True))
    if header["version"] not in (1, 2) or header["bits"] not in (8, 16):
        raise ScanError(
            f"{path}: the header states version {header['version']} and {header['bits']} bits; "
            "versions 1 and 2 with 8 or 16 bits can be read."
        )
    # Version 1 wrote number, time and milliseconds only.
    frame_header = 12 if header["version"] == 1 else header["frame_header"]
    dtype = np.dtype(f"<u{header['bits'] // 8}")
    detector = (header["height"], header["width"])
    stride = frame_header + detector[0] * detector[1] * dtype.itemsize
    offset = header["size"] + frame_header
    files = [path, *_further(path)]
    parts = [
        Frames(str(one), dtype, offset if one == path else frame_header, stride) for one in files
    ]
    maps = [mapped(one, part, detector) for one, part in zip(files, parts, strict=True)]
    for one, (_, rest) in zip(files[:-1], maps[:-1], strict=True):
        if rest:
            raise ScanError(f"{one}: ends in the middle of a frame; copy it again.")
    metadata = {
        "high_voltage_kV": header["high_voltage"],
        "camera_length_or_magnification": header["magnification"],
    }
    if len(files) == 1:
        return Stored(maps[0][0], frames=parts[0], rest=maps[0][1], metadata=metadata)
    stacks = (FileStack(part, array.shape) for part, (array, _) in zip(parts, maps, strict=True))
    metadata["data_files"] = len(files)
    return Stored(Joined(tuple(stacks)), rest=maps[-1][1], metadata=metadata)


def _number(path: Path) -> int | None:
    found = re.search(r"_(\d{3})\.[^.]*$", path.name)
    return int(found[1]) if found else None


def _part(path: Path, number: int) -> str:
    return re.sub(r"_\d{3}(\.[^.]*)$", rf"_{number:03d}\1", path.name)


def _further(path: Path) -> list[Path]:
    further: list[Path] = []
    while _number(path) is not None:
        part = path.with_name(_part(path, len(further) + 1))
        if not part.is_file() or len(further) == 998:
            break
        further.append(part)
    return further
