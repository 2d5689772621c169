"""MRC stacks, `.mrc`, and what Direct Electron's server writes beside them in `_info.txt`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stored import Stored, mapped, pair, positive

_MODES = {0: "u1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def mrc_axes(path: Path) -> int:
    """Return 4 if an info file says that it is a scan; else it may be a tilt series."""
    return 4 if _scan_shape(_info(path)) else 3


def read_mrc(path: Path, hints: OpenOptions) -> Stored:
    """Map an `.mrc` file, with the scan shape and the steps from its info file."""
    with path.open("rb") as file:
        start = file.read(1024)
    if len(start) < 1024:
        raise ScanError(f"{path}: is too short for an MRC header.")
    order = "<" if struct.unpack_from("<I", start, 12)[0] in _MODES else ">"
    nx, ny, nz, mode = struct.unpack_from(f"{order}4I", start)
    (extended,) = struct.unpack_from(f"{order}I", start, 92)
    if mode not in _MODES:
        raise ScanError(
            f"{path}: the header states the pixel type {mode}, which is none of counts."
        )
    dtype = np.dtype(order + _MODES[mode])
    frames = Frames(str(path), dtype, 1024 + extended, nx * ny * dtype.itemsize)
    array, rest = mapped(path, frames, (ny, nx))
    info = _info(path)
    shape = _scan_shape(info)
    if len(array) > nz or (rest and len(array) == nz):
        raise ScanError(
            f"{path}: the header announces {nz} patterns of {ny} x {nx} {dtype.name}, but the file "
            f"has room for {len(array)}; the header is damaged."
        )
    if len(array) < nz and (shape is None or hints.incomplete == "error"):
        raise ScanError(
            f"{path}: the header announces {nz} patterns, but the file holds {len(array)}; copy it "
            "again, or open it with the scan shape and incomplete='pad'."
        )
    # RosettaSciIO 0.15 reads these lines and then replaces every value by 1.
    return Stored(
        array,
        scan_step=pair([_value(info, f"Specimen Pixel Size {a} (nanometers)") for a in "YX"]),
        k_step=pair([_value(info, f"Diffraction Pixel Size {a}", 0.1) for a in "YX"]),
        frames=frames,
        scan_shape=shape,
        rest=rest,
        metadata=_metadata(info),
    )


def _info(path: Path) -> dict[str, str]:
    """Return the lines ``name = value`` of the info file of a ``DATE_NUMBER_..._movie.mrc``."""
    parts = path.name.split("_")
    if len(parts) < 3 or not parts[-1].lower().startswith("movie"):
        return {}
    prefix = f"{parts[0]}_{parts[1]}_"
    beside = (p for p in path.parent.iterdir() if p.name.startswith(prefix))
    found = sorted(p for p in beside if p.name.endswith("info.txt"))
    if not found:
        return {}
    with found[0].open(encoding="utf-8", errors="replace") as file:
        lines = [line.partition("=") for line in file.read(2**20).splitlines()]
    return {name.strip(): value.strip() for name, _, value in lines}


def _value(info: dict[str, str], name: str, factor: float = 1.0) -> float | None:
    # The server writes -1 for what it does not know.
    try:
        return positive(float(info.get(name, "")) * factor)
    except ValueError:
        return None


def _scan_shape(info: dict[str, str]) -> tuple[int, int] | None:
    if info.get("Scan - Enable") != "Enable" or info.get("Scan - Type", "Raster") != "Raster":
        return None
    area = "ROI Size" if info.get("Scan - ROI Enable") == "Enable" else "Size"
    ny, nx = (_value(info, f"Scan - {area} {axis}") for axis in "YX")
    return (int(ny), int(nx)) if ny and nx else None


def _metadata(info: dict[str, str]) -> dict[str, Any]:
    names = {
        "Camera Model": "camera",
        "Local time": "timestamp",
        "Instrument Accelerating Voltage (V)": "beam_energy_V",
        "Frames Per Second": "frames_per_second",
    }
    return {short: info[name] for name, short in names.items() if info.get(name)}
