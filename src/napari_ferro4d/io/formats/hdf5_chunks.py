"""HDF5 datasets in chunks that are not compressed, read without the library.

Where the detector axes are the slow ones (HyperSpy's EMD), every pattern lies in every chunk, and
the library, which reads whole chunks, reads all of the file for one pattern.
"""

from __future__ import annotations

import itertools
import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError

_MAPPED: weakref.WeakValueDictionary[str, np.ndarray] = weakref.WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class PlainChunks:
    """A dataset whose chunks lie in the file as they are; mapped when asked for.

    Parameters
    ----------
    path : str
        The file.
    shape : tuple of int
        Shape of the dataset.
    dtype : numpy.dtype
        Its type.
    chunk : tuple of int
        Shape of a chunk; those at the edges are as large.
    offsets : array
        int64, one axis per axis of the dataset: where each chunk starts in the file.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    offsets: np.ndarray

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def mapped(self) -> np.ndarray:
        """Return the bytes of the file, mapped once for all who hold them at the same time.

        To find the pages of a pattern, which are all over the file, takes longer than to read it;
        whoever reads several patterns holds on to this meanwhile. Nobody does for long: pages that
        were looked at count as memory of this process.
        """
        data = _MAPPED.get(self.path)
        if data is None:
            data = _MAPPED[self.path] = np.memmap(self.path, np.uint8, mode="r")
        return data

    def __getitem__(self, where: Any) -> np.ndarray:
        given = list(where) if isinstance(where, tuple) else [where]
        parts = [*given, *[slice(None)] * (self.ndim - len(given))]
        wanted = [np.arange(n)[part] for n, part in zip(self.shape, parts, strict=True)]
        lines = [np.atleast_1d(one) for one in wanted]
        values = np.empty([line.size for line in lines], self.dtype)
        data = self.mapped()
        if data.size < int(self.offsets.max()) + math.prod(self.chunk) * self.dtype.itemsize:
            raise ScanError(f"{self.path}: is shorter than it was when it was opened.")
        runs = [_runs(line, size) for line, size in zip(lines, self.chunk, strict=True)]
        for run in itertools.product(*runs):
            place, there, inside = zip(*run, strict=True)
            chunk = np.ndarray(self.chunk, self.dtype, data, int(self.offsets[place]))
            values[there] = chunk[inside]
        # An axis of which one position was asked for is gone.
        return np.asarray(values[tuple(slice(None) if one.ndim else 0 for one in wanted)])


def _runs(line: np.ndarray, size: int) -> list[tuple[int, slice, np.ndarray | slice]]:
    """Cut a line of positions where one chunk ends: its number, where in the line, where in it."""
    numbers = line // size
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    found: list[tuple[int, slice, np.ndarray | slice]] = []
    for start, stop in itertools.pairwise([*starts, line.size]):
        inside = line[start:stop] - numbers[start] * size
        step = int(inside[1] - inside[0]) if inside.size > 1 else 1
        run = slice(int(inside[0]), int(inside[-1]) + 1, step)
        found.append((int(numbers[start]), slice(int(start), int(stop)), run))
    return found


def plain_chunks(path: Path, data: Any) -> PlainChunks | None:
    """Return an open dataset as `PlainChunks`; None if it is compressed, or not all in the file."""
    if not data.chunks or data.is_virtual or data.external or data.file.userblock_size:
        return None
    if Path(data.file.filename) != path or data.id.get_create_plist().get_nfilters():
        return None
    chunk = data.chunks
    grid = tuple(-(-n // c) for n, c in zip(data.shape, chunk, strict=True))
    if data.id.get_num_chunks() != math.prod(grid):
        return None
    offsets = np.full(grid, -1, np.int64)
    length = math.prod(chunk) * data.dtype.itemsize
    last = path.stat().st_size - length

    def note(stored: Any) -> None:
        place = tuple(o // c for o, c in zip(stored.chunk_offset, chunk, strict=True))
        if stored.size == length and 0 < stored.byte_offset <= last:
            offsets[place] = stored.byte_offset

    data.id.chunk_iter(note)
    if (offsets < 0).any():
        return None
    return PlainChunks(str(path), data.shape, data.dtype, chunk, offsets)
