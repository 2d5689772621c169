"""Runs of patterns that are read when asked for: joined from parts, and cut into scan rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.frames import Frames


def _parts(where: Any, ndim: int) -> list[Any]:
    given = where if isinstance(where, tuple) else (where,)
    return [*given, *[slice(None)] * (ndim - len(given))]


def mapped_once(frames: Frames, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the patterns ``[pattern, ky, kx]`` of a file, mapped for as long as they are in use.

    A map that is kept counts, page by page, as memory of the process: of many files, or of one in
    which every pattern is scattered, all of it.

    Raises
    ------
    ScanError
        If the file is shorter than it was.
    """
    count, ky, kx = shape
    item = frames.dtype.itemsize
    length = frames.offset + (count - 1) * frames.stride + ky * kx * item
    if Path(frames.path).stat().st_size < length:
        raise ScanError(f"{frames.path}: is shorter than it was when it was opened.")
    buffer = np.memmap(frames.path, np.uint8, mode="r", shape=(length,))
    strides = (frames.stride, kx * item, item)
    patterns = np.ndarray(shape, frames.dtype, buffer, frames.offset, strides)
    return patterns[:, ::-1] if frames.bottom_up else patterns


def chunk_metadata(chunks: Sequence[int] | None) -> dict[str, tuple[int, int]]:
    """Return as metadata how many patterns, ``(y, x)``, are decoded together.

    Parameters
    ----------
    chunks : sequence of int or None
        How an array ``[pattern, ...]`` or ``[y, x, ky, kx]`` is cut into chunks; None if it is not.
    """
    if not chunks:
        return {}
    rows, columns = (int(chunks[0]), int(chunks[1])) if len(chunks) == 4 else (1, int(chunks[0]))
    return {"patterns_per_chunk": (rows, columns)}


@dataclass(frozen=True)
class FileStack:
    """The patterns of one of several files, ``[pattern, ky, kx]``, mapped when asked for."""

    frames: Frames
    shape: tuple[int, int, int]
    ndim = 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return self.frames.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.array(mapped_once(self.frames, self.shape)[where])


@dataclass(frozen=True)
class Absent:
    """Patterns that no file holds, as zeros: ``[pattern, ky, kx]``."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    ndim = 3

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.asarray(np.broadcast_to(np.zeros((), self.dtype), self.shape)[where])


@dataclass(frozen=True)
class Joined:
    """Stacks ``[pattern, ky, kx]`` one after the other."""

    stacks: tuple[Any, ...]
    ndim = 3

    @cached_property
    def _starts(self) -> np.ndarray:
        """The number of the first pattern of every stack, and one more than the last of all."""
        return np.cumsum([0, *(int(stack.shape[0]) for stack in self.stacks)])

    @property
    def shape(self) -> tuple[int, int, int]:
        """All patterns, and their detector pixels: ``(pattern, ky, kx)``."""
        _, ky, kx = self.stacks[0].shape
        return int(self._starts[-1]), int(ky), int(kx)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        stored: np.dtype[Any] = np.dtype(self.stacks[0].dtype)
        return stored

    @property
    def chunks(self) -> Sequence[int] | None:
        """Shape of the chunks of the first stack, if it has any."""
        chunks: Sequence[int] | None = getattr(self.stacks[0], "chunks", None)
        return chunks

    def __getitem__(self, where: Any) -> np.ndarray:
        first, ky, kx = _parts(where, 3)
        wanted = np.arange(self.shape[0])[first]
        numbers = np.atleast_1d(wanted)
        # The stack that each pattern is in; there may be thousands, of which few are asked.
        of = np.searchsorted(self._starts, numbers, side="right") - 1
        found = []
        for stack in dict.fromkeys(of.tolist()):
            inside = _as_slice(numbers[of == stack] - self._starts[stack])
            found.append(np.asarray(self.stacks[stack][inside, ky, kx]))
        nothing = np.empty((0, *self.shape[1:]), self.dtype)[:, ky, kx]
        values = np.concatenate(found) if found else nothing
        return np.asarray(values if wanted.ndim else values[0])


@dataclass(frozen=True)
class Rows:
    """A stack of patterns cut into rows of a scan: ``[y, x, ky, kx]``.

    Parameters
    ----------
    stack : array
        ``[pattern, ky, kx]``, in the order of recording.
    scan : tuple of int
        Rows, and patterns of a row.
    first : int
        Pattern at which the scan starts.
    pitch : int
        Patterns from the start of a row to that of the next.
    """

    stack: Any
    scan: tuple[int, int]
    first: int
    pitch: int
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape ``(y, x, ky, kx)``."""
        return (*self.scan, int(self.stack.shape[1]), int(self.stack.shape[2]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        stored: np.dtype[Any] = np.dtype(self.stack.dtype)
        return stored

    @property
    def chunks(self) -> tuple[int, int] | None:
        """Rows and columns that are best read at once, if the stack has chunks."""
        chunks = getattr(self.stack, "chunks", None)
        if not chunks:
            return None
        if chunks[0] < self.pitch:
            return 1, min(chunks[0], self.scan[1])
        return -(-chunks[0] // self.pitch), self.scan[1]

    def __getitem__(self, where: Any) -> np.ndarray:
        y, x, ky, kx = _parts(where, 4)
        rows, columns = np.arange(self.scan[0])[y], np.arange(self.scan[1])[x]
        numbers = self.first + np.add.outer(rows * self.pitch, columns)
        if numbers.size == 0:
            values = np.empty((*numbers.shape, *self.shape[2:]), self.dtype)
            return np.asarray(values[..., ky, kx])
        low, high = int(numbers.min()), int(numbers.max())
        if high - low + 1 <= 2 * numbers.size:
            # Next to one another, but for the flyback: one read.
            values = np.asarray(self.stack[low : high + 1, ky, kx])
            gapless = numbers.size == len(values) and numbers.flat[0] == low
            if not gapless:
                return np.asarray(values[numbers - low])
        else:
            lines = numbers.reshape(-1, columns.size)
            each = [np.asarray(self.stack[_as_slice(line), ky, kx]) for line in lines]
            values = np.concatenate(each)
        return np.asarray(values.reshape((*numbers.shape, *values.shape[1:])))


def _as_slice(numbers: np.ndarray) -> slice:
    """Return a run of numbers at equal distances as a slice."""
    step = int(numbers[1] - numbers[0]) if numbers.size > 1 else 1
    stop = int(numbers[-1]) + (1 if step > 0 else -1)
    return slice(int(numbers[0]), None if stop < 0 else stop, step)
