"""Where patterns lie in an uncompressed file, and patterns as lazy arrays of whole ones."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["CHUNK_BYTES", "FrameArray", "Frames", "counted", "lazily"]

CHUNK_BYTES = 32 * 2**20
"""Target size of a dask chunk: small enough to cancel between two, large enough to be one read."""


@dataclass(frozen=True)
class Frames:
    """How patterns lie in an uncompressed file, one after the other at equal distances.

    Parameters
    ----------
    path : str
        The file.
    dtype : numpy.dtype
        Type and byte order of the counts.
    offset, stride : int
        Bytes to the first pattern, and from one pattern to the next (headers included).
    bottom_up : bool
        The first stored row is the bottom of the pattern; `view` turns it over.
    row_stride : int, optional
        Bytes from the first pattern of a scan row to that of the next, where the file holds
        patterns between the rows (flyback); None if the rows follow one another.
    line_stride : int, optional
        Bytes from one detector row to the next, where only a part of each row is wanted (see
        `cropped`); None if the rows follow one another.
    """

    path: str
    dtype: np.dtype[Any]
    offset: int
    stride: int
    bottom_up: bool = False
    row_stride: int | None = None
    line_stride: int | None = None

    def cropped(self, detector: tuple[int, int], rows: slice, columns: slice) -> Frames:
        """Return where the chosen rows and columns of a detector ``(ky, kx)`` lie."""
        item = self.dtype.itemsize
        line = self.line_stride or detector[1] * item
        first = detector[0] - rows.stop if self.bottom_up else rows.start
        offset = self.offset + first * line + columns.start * item
        return replace(self, offset=offset, line_stride=line)

    def view(self, shape: tuple[int, int, int, int]) -> np.ndarray:
        """Return the patterns as a read-only memory map ``[y, x, ky, kx]``; reads nothing yet."""
        state = os.stat(self.path)
        return _map_frames(self, shape, (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _map_frames(
    frames: Frames, shape: tuple[int, int, int, int], version: tuple[int, int, int]
) -> np.ndarray:
    # `version` tells a file that was written anew from the one mapped before.
    ny, nx, ky, kx = shape
    item = frames.dtype.itemsize
    row_stride = nx * frames.stride if frames.row_stride is None else frames.row_stride
    line = frames.line_stride or kx * item
    last = frames.offset + (ny - 1) * row_stride + (nx - 1) * frames.stride
    length = last + (ky - 1) * line + kx * item
    buffer = np.memmap(frames.path, np.uint8, mode="r", shape=(length,))
    strides = (row_stride, frames.stride, line, item)
    patterns = np.ndarray(shape, frames.dtype, buffer, frames.offset, strides)
    return patterns[:, :, ::-1] if frames.bottom_up else patterns


@dataclass(frozen=True)
class FrameArray:
    """The patterns of a file as dask likes them: sliced when asked, mapped again when unpickled.

    A memory map handed to dask as it is would be copied into memory, and pickled with its content.
    """

    frames: Frames
    shape: tuple[int, int, int, int]
    ndim = 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return self.frames.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.asarray(self.frames.view(self.shape)[where])


@dataclass(frozen=True, eq=False)
class _ArrayInMemory:
    """An array in memory for dask, which would copy it otherwise."""

    array: np.ndarray
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.asarray(self.array[where])


def counted(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which the compiled loops see counts: they know no halves."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float32) if native == np.float16 else native


def lazily(array: Any, frames: Frames | None = None) -> da.Array:
    """Return `array` ``[y, x, ky, kx]`` as a dask array of whole patterns; reads nothing.

    What lies in a file as `frames` say is mapped again wherever the dask array is unpickled.
    """
    return _whole_patterns(_uncopied(array, frames))


def _uncopied(array: Any, frames: Frames | None) -> Any:
    if frames is not None:
        return FrameArray(frames, tuple(array.shape))
    return _ArrayInMemory(array) if isinstance(array, np.ndarray) else array


def _whole_patterns(array: Any) -> da.Array:
    import dask.array as da

    # Runs of consecutive rows, or of one row's columns where a row alone is larger than a chunk.
    pattern_bytes = int(np.prod(array.shape[2:])) * np.dtype(array.dtype).itemsize
    ny, nx = array.shape[:2]
    per_chunk = max(1, CHUNK_BYTES // max(1, pattern_bytes))
    rows, cols = (max(1, per_chunk // nx), nx) if per_chunk >= nx else (1, per_chunk)
    # Never decode a stored chunk twice: whole stored chunks per dask chunk.
    stored = getattr(array, "chunks", None)
    if not isinstance(array, da.Array):
        if stored:
            rows = min(ny, -(-rows // stored[0]) * stored[0])
            cols = min(nx, -(-cols // stored[1]) * stored[1])
        # A fixed name: dask would otherwise hash the whole array, reading every byte of the file.
        return da.from_array(
            array, chunks=(min(rows, ny), cols, -1, -1), name=False, inline_array=True
        )
    if array.numblocks[2:] == (1, 1) and max(array.chunksize[:2]) > 1:
        return array
    return array.rechunk({0: min(rows, ny), 1: cols, 2: -1, 3: -1})
