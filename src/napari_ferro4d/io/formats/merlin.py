"""Quantum Detectors Merlin: `.mib`, frames with a text header each, and `.hdr` beside them.

The first frame header says how long headers are and how pixels are packed, so that no other header
has to be read. Frames are stored from the bottom row of the image up (so say RosettaSciIO, which
turns them, and LiberTEM's ``flip_y``); here ``ky`` points down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames
from napari_ferro4d.io.open_options import OpenOptions
from napari_ferro4d.io.stacks import Absent, FileStack, Joined, Rows, chunk_metadata, mapped_once
from napari_ferro4d.io.stored import Stored, mapped

from .merlin_series import (
    Part,
    companion,
    frames_of_companion,
    is_companion,
    series_of,
    what_is_missing,
)

_PROCESSED = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_RAW = {1: np.uint8, 6: np.uint8, 12: np.uint16, 24: np.uint32}
_TIMES_READ = 4096
"""Frames whose time is looked at for pauses between the rows: reading them all takes a while."""


@dataclass(frozen=True)
class Header:
    """What the header of the first frame says.

    Parameters
    ----------
    length : int
        Bytes of every frame header.
    width, height : int
        Pixels of the image as stored; in raw files the chips lie side by side.
    kind : str
        ``U08``, ``U16``, ``U32`` for processed counts, ``R64`` for raw ones.
    chips : int
        Number of detector chips.
    layout : str
        How they are assembled: ``1x1``, ``2x2``, ``Nx1``, with a G if gaps are filled.
    depth : int
        Bits of a counter: 1, 6, 12 or 24.
    metadata : dict
        Time, exposure and bit depth.
    """

    length: int
    width: int
    height: int
    kind: str
    chips: int
    layout: str
    depth: int
    metadata: dict[str, Any]

    @property
    def frame_bytes(self) -> int:
        """Bytes of the counts of a frame."""
        if self.kind in _PROCESSED:
            return self.width * self.height * np.dtype(_PROCESSED[self.kind]).itemsize
        # The two images of a raw 24-bit count lie side by side as far as the header is concerned.
        width = self.width // 2 if self.depth == 24 else self.width
        return width * self.height * raw_bits(self.depth) // 8


def mib_axes(path: Path) -> int:
    """Return 4, as Merlin writes nothing but scans; 0 for a `.hdr` file of another program."""
    return 4 if path.suffix.lower() != ".hdr" or is_companion(path) else 0


def read_mib(path: Path, hints: OpenOptions) -> Stored:
    """Map or decode a Merlin `.mib` file, or all files of its acquisition."""
    first = frames_of_companion(path) if path.suffix.lower() == ".hdr" else path
    header = read_header(first)
    array, frames, rest = _opened(first, header)
    said = _companion(first)
    announced = said.get("Frames in Acquisition (Number)", 0)
    parts = series_of(first, header.length + header.frame_bytes, announced)
    missing = what_is_missing(parts, 0 if hints.scan_shape else announced)
    if len(parts) > 1 or missing:
        return _joined(path, header, array, parts, hints, missing, said)
    shape = hints.scan_shape or _scan_shape(header, parts, said)
    metadata = {**header.metadata, **_chunks(header)}
    return Stored(array, frames=frames, scan_shape=shape, rest=rest, metadata=metadata)


def _opened(path: Path, header: Header) -> tuple[Any, Frames | None, int]:
    """Return the patterns of one file, where they lie if they are mapped, and the bytes left."""
    if header.kind == "R64":
        raw, rest = _raw(path, header)
        return raw, None, rest
    if header.kind not in _PROCESSED:
        raise ScanError(f"{path}: the frame header names an unknown pixel type {header.kind}.")
    dtype = np.dtype(_PROCESSED[header.kind])
    stride = header.length + header.frame_bytes
    frames = Frames(str(path), dtype, header.length, stride, bottom_up=True)
    array, rest = mapped(path, frames, (header.height, header.width))
    return array, frames, rest


def _joined(
    path: Path,
    header: Header,
    one: Any,
    parts: list[Part],
    hints: OpenOptions,
    missing: str,
    said: dict[str, int],
) -> Stored:
    """Join the files of an acquisition; `one` holds the patterns of any of them."""
    if missing and hints.incomplete == "error":
        raise ScanError(
            f"{path}: is one of the files of an acquisition, but {missing}. Copy it again, beside "
            "the others, or open what there is with incomplete='pad' to fill the rest with zeros."
        )
    stacks: list[Any] = []
    absent = []
    number = 1
    for part in parts:
        if part.first > number:
            if hints.incomplete == "trim":
                break
            absent.append(slice(number - 1, part.first - 1))
            stacks.append(Absent((part.first - number, *one.shape[1:]), np.dtype(one.dtype)))
        stacks.append(_stack(part, header, one))
        number = part.last + 1
    if not stacks:
        raise ScanError(f"{path}: nothing is left of the scan, as {missing}; copy it.")
    array: Any = Joined(tuple(stacks))
    shape = hints.scan_shape or _scan_shape(header, parts, said)
    rest = 0 if hints.incomplete == "trim" else parts[-1].rest
    metadata = {**header.metadata, **_chunks(header), "data_files": len(parts)}
    if not absent:
        return Stored(array, scan_shape=shape, rest=rest, metadata=metadata)
    if shape is None or shape[0] * shape[1] < number - 1:
        raise ScanError(
            f"{path}: its frames are numbered up to {number - 1}; give the scan shape that they "
            "would fill."
        )
    hole = np.zeros(shape[0] * shape[1], bool)
    for where in (*absent, slice(number - 1, None)):
        hole[where] = True
    if hole[number - 1 :].any():
        end = Absent((hole.size - number + 1, *one.shape[1:]), np.dtype(one.dtype))
        array = Joined((*stacks, end))
    rows = Rows(array, shape, 0, shape[1])
    return Stored(rows, scan_shape=shape, missing=hole.reshape(shape), metadata=metadata)


def _chunks(header: Header) -> dict[str, Any]:
    # Raw counts are decoded, pattern by pattern.
    return chunk_metadata((1,) if header.kind == "R64" else None)


def _stack(part: Part, header: Header, one: Any) -> Any:
    if isinstance(one, RawFrames):
        return replace(one, frames=replace(one.frames, path=str(part.path)), count=part.count)
    dtype = np.dtype(_PROCESSED[header.kind])
    stride = header.length + header.frame_bytes
    frames = Frames(str(part.path), dtype, header.length, stride, bottom_up=True)
    return FileStack(frames, (part.count, header.height, header.width))


def read_header(path: Path) -> Header:
    """Read the header of the first frame.

    Raises
    ------
    ScanError
        If it is none.
    """
    with path.open("rb") as file:
        start = file.read(4096).decode("latin-1")
    fields = start.split(",")
    if fields[0] != "MQ1" or len(fields) < 12:
        raise ScanError(f"{path}: does not start with a Merlin frame header (MQ1).")
    try:
        length, chips, width, height = (int(fields[i]) for i in (2, 3, 4, 5))
    except ValueError:
        raise ScanError(
            f"{path}: the sizes in the first Merlin frame header are damaged."
        ) from None
    if not (64 <= length <= 2**20 and 1 <= chips <= 64):
        raise ScanError(
            f"{path}: the first Merlin frame header states {length} bytes of header and {chips} "
            "chips; it is damaged."
        )
    text = start[:length]
    # The extension repeats the time in UTC and gives the exposure in ns and the counter's bits.
    extended = re.search(r"MQ1A,([^,]*),(\d+)ns,(\d+)", text)
    kind, layout = fields[6], fields[7].strip()
    exposure = float(extended[2]) / 1e6 if extended else _number(fields[10]) * 1e3
    bits = {"U08": 6, "U16": 12, "U32": 24}.get(kind, 0)
    depth = int(extended[3]) if extended else bits
    metadata = {
        "timestamp": extended[1] if extended else fields[9],
        **({"exposure_ms": exposure} if np.isfinite(exposure) else {}),
        "bit_depth": depth,
        "chips": chips,
    }
    return Header(length, width, height, kind, chips, layout, depth, metadata)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


# --- raw counts


@dataclass(frozen=True)
class RawFrames:
    """Frames as the chips send them, decoded when asked for: ``[pattern, ky, kx]``.

    The bytes of each 8-byte word come in reverse; in the right order they hold little-endian
    counters of 1 bit, 8 bits (6 used), or 16 bits (12 used). A 24-bit count is two 12-bit images,
    the upper half first. Of four chips in a square, a row holds one row each of chips 4, 3, 2 and
    1, and the lower chips, 3 and 4, are mounted upside down.
    """

    frames: Frames
    count: int
    depth: int
    square: bool
    detector: tuple[int, int]
    ndim = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Patterns, detector rows and columns."""
        return (self.count, *self.detector)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts once they are unpacked."""
        return np.dtype(_RAW[self.depth])

    @property
    def _bytes(self) -> int:
        return self.detector[0] * self.detector[1] * raw_bits(self.depth) // 8

    def __getitem__(self, where: Any) -> np.ndarray:
        first, *others = where if isinstance(where, tuple) else (where,)
        stored = mapped_once(self.frames, (self.count, 1, self._bytes))[:, 0]
        blocks = np.atleast_2d(stored[first])
        patterns = self._decode(np.ascontiguousarray(blocks.reshape(len(blocks), -1, 8)[..., ::-1]))
        patterns = patterns[0] if isinstance(first, int | np.integer) else patterns
        return patterns[(slice(None),) * (patterns.ndim - 2) + tuple(others)]

    def _decode(self, words: np.ndarray) -> np.ndarray:
        count = len(words)
        data = words.reshape(count, -1)
        values: np.ndarray
        ky, kx = self.detector
        if self.depth == 1:
            values = np.unpackbits(data, axis=1, bitorder="little")
        elif self.depth == 6:
            values = data
        else:
            values = data.view("<u2").astype(np.uint16, copy=False)
        if self.depth == 24:
            upper, lower = values.reshape(count, 2, ky, kx).transpose(1, 0, 2, 3)
            values = (upper.astype(np.uint32) << 12) + lower
        if self.square:
            half = kx // 2
            four, three, two, one = values.reshape(count, half, 4, half).transpose(2, 0, 1, 3)
            upper = np.concatenate([one, two], axis=2)
            lower = np.concatenate([three[:, ::-1, ::-1], four[:, ::-1, ::-1]], axis=2)
            values = np.concatenate([upper, lower], axis=1)
        return values.reshape(count, ky, kx)[:, ::-1]


def raw_bits(depth: int) -> int:
    """Return the bits that a pixel of a counter of `depth` bits takes in a raw file."""
    return {1: 1, 6: 8, 12: 16, 24: 32}[depth]


def _raw(path: Path, header: Header) -> tuple[RawFrames, int]:
    square = header.chips == 4 and header.layout.startswith("2x2")
    if header.depth not in _RAW or (header.chips > 1 and (not square or header.depth == 24)):
        raise ScanError(
            f"{path}: raw frames of {header.chips} chips ({header.layout}) with {header.depth} "
            "bits cannot be read; save processed ones from the Merlin software."
        )
    # The two images of a 24-bit count lie side by side as far as the header is concerned.
    width = header.width // 2 if header.depth == 24 else header.width
    detector = (width // 2, width // 2) if square else (header.height, width)
    bits = detector[0] * detector[1] * raw_bits(header.depth)
    if min(detector) < 1 or bits % 64 or detector[0] * detector[1] != header.height * width:
        raise ScanError(
            f"{path}: raw frames of {header.height} x {header.width} pixels are impossible for "
            f"{header.chips} chips with {header.depth} bits; the header is damaged."
        )
    raw = Frames(str(path), np.dtype(np.uint8), header.length, header.length + bits // 8)
    blocks, rest = mapped(path, raw, (1, bits // 8))
    return RawFrames(raw, len(blocks), header.depth, square, detector), rest


# --- the scan shape


def _scan_shape(header: Header, parts: list[Part], said: dict[str, int]) -> tuple[int, int] | None:
    """Return the scan shape from the `.hdr` file, or the pauses between rows; None if unknown."""
    if {"ScanX", "ScanY"} <= said.keys():
        return said["ScanY"], said["ScanX"]
    announced = said.get("Frames in Acquisition (Number)", 0) or parts[-1].last
    row = said.get("Frames per Trigger (Number)", 0)
    if not 1 < row < announced:
        row = _pause(_times(header, parts))
    # A row that was announced but not filled is for the user to decide on.
    return (-(-announced // row), row) if row else None


def _companion(path: Path) -> dict[str, int]:
    beside = companion(path)
    if beside is None:
        return {}
    with beside.open("rb") as file:
        text = file.read(2**16).decode("latin-1")
    lines = re.findall(r"^([^\t\n]+?):?\t\s*(\d{1,9})\s*$", text, re.MULTILINE)
    return {name: int(value) for name, value in lines if int(value) > 0}


def _pause(times: np.ndarray | None) -> int:
    """Return after how many frames there is always a longer pause, or 0."""
    if times is None or len(times) < 3:
        return 0
    between = np.diff(times)
    rows = np.flatnonzero(between > between.mean()) + 1
    if rows.size == 0 or not np.array_equal(rows, rows[0] * np.arange(1, rows.size + 1)):
        return 0
    # The last pause may be outside what was read, but no earlier one.
    return int(rows[0]) if rows.size == (len(times) - 1) // rows[0] else 0


def _times(header: Header, parts: list[Part]) -> np.ndarray | None:
    """Return the times of the first frames in ns, or None if they cannot be told."""
    found: list[np.ndarray] = []
    wanted, number = _TIMES_READ, 1
    for part in parts:
        if wanted <= 0 or part.first != number:
            break
        times = _times_in(header, part, min(part.count, wanted))
        if times is None:
            return None
        found.append(times)
        wanted, number = wanted - times.size, part.last + 1
    return np.concatenate(found) if found else None


def _times_in(header: Header, part: Part, frames: int) -> np.ndarray | None:
    with part.path.open("rb") as file:
        first = file.read(header.length)
    place = re.search(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{3,9}", first)
    if place is None:
        return None
    stride = header.length + header.frame_bytes
    length = place.end() - place.start()
    where = Frames(str(part.path), np.dtype(np.uint8), place.start(), stride)
    letters = np.ascontiguousarray(where.view((1, frames, 1, length))[0, :, 0])
    digits = (letters >= ord("0")) & (letters <= ord("9"))
    if not (digits == digits[0]).all() or not (digits | (letters == letters[0])).all():
        return None
    text = letters.view(f"S{length}")
    try:
        times = text[:, 0].astype(str).astype("datetime64[ns]")
    except ValueError:
        return None
    return times.astype(np.int64)
