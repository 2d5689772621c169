"""What a file holds, before it is a scan, and what a file format is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames

from .open_options import OpenOptions

Step = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: an array, the steps it states, and what else it says.

    Parameters
    ----------
    array : array
        ``[y, x, ky, kx]``, or ``[pattern, ky, kx]`` in the order of recording.
    scan_step, k_step : tuple of float or None
        Steps in nm and 1/angstrom.
    frames : Frames or None
        Where the patterns lie, if the file is uncompressed.
    scan_shape : tuple of int or None
        The scan shape that the file states, where the array does not have it.
    rest : int
        Bytes at the end that make no whole pattern.
    centre : tuple of float or None
        The beam centre that the file states; ignored where it lies off the detector.
    missing : array or None
        bool ``[y, x]``, True where a scan that is stored by position has no pattern.
    metadata : mapping
        What else the file says.
    held : object
        What makes reading faster while it is there: until the scan is opened.
    """

    array: Any
    scan_step: Step = None
    k_step: Step = None
    frames: Frames | None = None
    scan_shape: tuple[int, int] | None = None
    rest: int = 0
    centre: tuple[float, float] | None = None
    missing: np.ndarray | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    held: Any = None


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : str
        What ``format=`` and ``--format`` accept.
    suffixes : tuple of str
        File name endings, lower case; the longest that fits decides.
    axes : callable
        ``axes(path)`` gives the number of axes of what the file holds, cheaply, and 0 if it holds
        no array at all; may raise anything on a broken file.
    read : callable
        ``read(path, hints)`` gives a `Stored`; may raise anything on a broken file.
    only_scans : bool
        Files of this ending are scans and nothing else, so a broken one is ours to explain.
    """

    name: str
    suffixes: tuple[str, ...]
    axes: Callable[[Path], int]
    read: Callable[[Path, OpenOptions], Stored]
    only_scans: bool = False


def scan_axes(path: Path) -> int:
    """Return 4: for formats that hold scans and nothing else."""
    return 4


def mapped(
    path: Path, frames: Frames, detector: tuple[int, int], patterns: int | None = None
) -> tuple[np.ndarray, int]:
    """Map the whole patterns of a file as ``[pattern, ky, kx]``; return the bytes left, too.

    Parameters
    ----------
    path : Path
        The file.
    frames : Frames
        How the patterns lie.
    detector : tuple of int
        Detector pixels ``(ky, kx)``.
    patterns : int, optional
        The number that the file states; by default all that it has room for.

    Raises
    ------
    ScanError
        If the file holds no whole pattern.
    """
    ky, kx = detector
    pattern = ky * kx * frames.dtype.itemsize
    size = path.stat().st_size
    if min(ky, kx) < 1 or size < frames.offset + pattern or frames.stride < pattern:
        raise ScanError(
            f"{path}: the header announces patterns of {ky} x {kx} {frames.dtype.name}, but the "
            f"{size} bytes of the file hold none; it is damaged, copy it again."
        )
    # The gap after the last pattern may be left out.
    there = (size - frames.offset - pattern) // frames.stride + 1
    rest = size - frames.offset - (there - 1) * frames.stride - pattern
    if rest == frames.stride - pattern:
        rest = 0
    if patterns is not None and 0 < patterns <= there:
        # What the header does not announce is no pattern of the scan, but a footer.
        there, rest = patterns, 0
    return frames.view((1, there, ky, kx))[0], rest


MOST_CHUNK_BYTES = 3 * 2**28
"""Of a chunk that is compressed on its own, and has to be decoded as a whole: 768 MB."""


def refuse_absurd_chunks(path: Path, array: Any) -> None:
    """Refuse an array whose chunks are too large, or too many per pattern, to be read.

    Raises
    ------
    ScanError
        Of a damaged header, mostly.
    """
    chunks = getattr(array, "chunks", None)
    if not chunks:
        return
    size = math.prod(chunks) * np.dtype(array.dtype).itemsize
    per_pattern = math.prod(-(-n // c) for n, c in zip(array.shape[-2:], chunks[-2:], strict=True))
    if size > MOST_CHUNK_BYTES or per_pattern > 2**14:
        raise ScanError(
            f"{path}: is stored in chunks of {size} bytes, {per_pattern} per pattern, which cannot "
            "be read one by one; the header is damaged, or the file has to be written anew."
        )


def largest(path: Path, arrays: list[Any]) -> Any:
    """Return the array with the most axes, and of these the largest.

    Raises
    ------
    ScanError
        If there is none.
    """
    if not arrays:
        raise ScanError(f"{path}: holds no array of 3 or 4 axes, so no 4D-STEM scan.")
    return max(arrays, key=lambda array: (array.ndim, array.size))


def positive(value: float) -> float | None:
    """Return `value` if it can be a step, and None if it says nothing."""
    return value if math.isfinite(value) and value > 0 else None


def pair(values: list[float | None]) -> Step:
    """Return the steps of two axes, or None if neither states one."""
    # An axis of one position states no step; the other one's is as good.
    known = [value for value in values if value is not None]
    return (values[0] or known[0], values[-1] or known[0]) if known else None


def refuse_reshaped(path: Path, shape: tuple[int, ...], hints: OpenOptions) -> None:
    """Refuse to cut the rows of an array ``[y, x, ky, kx]`` anew; one stored as a line may be.

    Raises
    ------
    ScanError
        If the hints give another scan shape of as many positions.
    """
    ny, nx = hints.scan_shape or (0, 0)
    same_count = ny * nx == shape[0] * shape[1]
    if min(shape[:2]) > 1 and same_count and (ny, nx) != shape[:2]:
        raise ScanError(
            f"{path}: is stored as a scan of {shape[0]} x {shape[1]}; as {ny} x {nx} its rows "
            "would be cut in the wrong places. Leave the scan shape out."
        )
