"""EMPAD: `.raw`, 130 rows of 128 float32 per pattern of which 128 are the image, and its `.xml`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stored import Step, Stored, mapped, positive

_ROWS, _SIDE = 130, 128
_MOST_XML = 16 * 2**20


def empad_axes(path: Path) -> int:
    """Return 4 if a header or the name says that it is an EMPAD scan, else 0."""
    if path.suffix.lower() == ".xml":
        return 4 if _raw_of(path, _parsed(path)).is_file() else 0
    whole = path.stat().st_size % (_ROWS * _SIDE * 4) == 0
    return 4 if whole and (_header_of(path) or _shape_in_name(path.name)) else 0


def read_empad(path: Path, hints: OpenOptions) -> Stored:
    """Map an EMPAD scan, given its `.raw` or its `.xml`; a `.raw` may come without a header."""
    header = path if path.suffix.lower() == ".xml" else _header_of(path)
    root = _parsed(header) if header else None
    raw = _raw_of(path, root) if root is not None and header == path else path
    if not raw.is_file():
        raise ScanError(f"{path}: names the data file {raw.name}, which is not beside it.")
    frames = Frames(str(raw), np.dtype("<f4"), 0, _ROWS * _SIDE * 4)
    array, rest = mapped(raw, frames, (_SIDE, _SIDE))
    shape = _shape(root) if root is not None else None
    shape = shape or _shape_in_name(raw.name)
    if root is None:
        return Stored(array, frames=frames, scan_shape=shape, rest=rest)
    scan = hints.scan_shape or shape
    return Stored(
        array,
        scan_step=_scan_step(root, scan) if scan else None,
        k_step=_k_step(root),
        frames=frames,
        scan_shape=shape,
        rest=rest,
        metadata=_metadata(root),
    )


def _parsed(path: Path) -> ElementTree.Element:
    if path.stat().st_size > _MOST_XML:
        raise ScanError(f"{path}: is too large for the header of an EMPAD scan.")
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ScanError(f"{path}: is no readable EMPAD header ({error}).") from error
    if not _text(root, "raw_file[@filename]", "filename"):
        raise ScanError(f"{path}: names no raw_file, so is no EMPAD header.")
    return root


def _text(root: ElementTree.Element, place: str, attribute: str = "") -> str:
    node = root.find(place)
    if node is None:
        return ""
    return ((node.get(attribute) if attribute else node.text) or "").strip()


def _number(root: ElementTree.Element, place: str) -> float | None:
    try:
        return positive(float(_text(root, place)))
    except ValueError:
        return None


def _raw_of(path: Path, root: ElementTree.Element) -> Path:
    # Only a name counts: the folder is that of the computer that recorded the scan.
    name = re.split(r"[\\/]", _text(root, "raw_file[@filename]", "filename"))[-1]
    if "\0" in name:
        raise ScanError(f"{path}: the name of its raw_file is damaged.")
    return path.parent / name


def _header_of(raw: Path) -> Path | None:
    """Return the header beside `raw` that names it."""
    own = raw.with_suffix(".xml")
    for header in [own] if own.is_file() else sorted(raw.parent.glob("*.xml"))[:64]:
        try:
            if header == own or _raw_of(header, _parsed(header)).name == raw.name:
                return header
        except ScanError:
            continue
    return None


def _shape(root: ElementTree.Element) -> tuple[int, int] | None:
    places = [
        ("pix_y", "pix_x"),
        (
            "scan_parameters[@mode='acquire']/scan_resolution_y",
            "scan_parameters[@mode='acquire']/scan_resolution_x",
        ),
    ]
    for y, x in places:
        ny, nx = _number(root, y), _number(root, x)
        if ny and nx:
            return int(ny), int(nx)
    return _shape_in_name(_text(root, "raw_file[@filename]", "filename"))


def _shape_in_name(name: str) -> tuple[int, int] | None:
    found = re.search(r"_x(\d{1,6})_y(\d{1,6})", name)
    return (int(found[2]), int(found[1])) if found else None


def _scan_step(root: ElementTree.Element, scan: tuple[int, int]) -> Step:
    # RosettaSciIO found that the stored field of view, in metres, is that of the longer side times
    # the scale factor. Older headers give both sides as a pair.
    field = _number(root, "iom_measurements/full_scan_field_of_view/x")
    factor = _number(root, "iom_measurements/full_scan_field_of_view/scale_factor")
    if field and factor:
        step = positive(field / factor / max(scan) * 1e9)
        return (step, step) if step else None
    sides = re.findall(
        r"[-+.\deE]+", _text(root, "iom_measurements/optics.get_full_scan_field_of_view")
    )
    try:
        y, x = (positive(float(s) / n * 1e9) for s, n in zip(sides, scan, strict=True))
    except ValueError:
        return None
    return (y, x) if y and x else None


def _k_step(root: ElementTree.Element) -> Step:
    # In 1/m over 1e9, so in 1/nm times 1e9.
    stated = _number(root, "iom_measurements/calibrated_pixelsize")
    step = positive(stated * 1e9 * 0.1) if stated else None
    return (step, step) if step else None


def _metadata(root: ElementTree.Element) -> dict[str, Any]:
    places = {
        "exposure_ms": "exposure_time",
        "high_voltage_V": "iom_measurements/high_voltage",
        "camera_length_m": "iom_measurements/nominal_camera_length",
    }
    found: dict[str, Any] = {name: _number(root, place) for name, place in places.items()}
    found["timestamp"] = _text(root, "timestamp[@isoformat]", "isoformat")
    return {name: value for name, value in found.items() if value}
