"""Patterns as the compiled loops read them: one flat array, and the steps between rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ferro4d.frames import counted

Layout = tuple[int, int, int, int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Patterns:
    """A block of patterns ``[y, x, ky, kx]`` whose detector rows are contiguous in memory.

    Parameters
    ----------
    flat : array
        One axis: everything from the first to the last count, gaps between frames included.
    layout : tuple of int
        Positions down and right, detector rows and columns; then, in counts, where row 0 of the
        first pattern begins, and the steps to the pattern below, to the pattern on the right and
        to the next detector row, which is negative where files store the bottom row first.
    swap : bool
        The bytes of every (16-bit) count are to be turned over.
    """

    flat: np.ndarray
    layout: Layout
    swap: bool

    @classmethod
    def of(cls, block: np.ndarray) -> Patterns:
        """Describe an array ``[y, x, ky, kx]``, without a copy wherever that can be."""
        swap = False
        native = counted(block.dtype)
        if block.dtype != native:
            swap = block.dtype.kind == "u" and block.dtype.itemsize == 2
            block = block.view(native) if swap else block.astype(native)
        item = block.dtype.itemsize
        if block.strides[3] != item or any(s % item for s in block.strides) or block.size == 0:
            block = np.ascontiguousarray(block)
        down, right, row = (stride // item for stride in block.strides[:3])
        # The flat array begins with the count at the lowest address: steps back count from there.
        lengths = block.shape[:3]
        back = sum((n - 1) * -s for n, s in zip(lengths, (down, right, row), strict=True) if s < 0)
        reach = sum((n - 1) * abs(s) for n, s in zip(lengths, (down, right, row), strict=True))
        lowest = tuple(
            n - 1 if s < 0 else 0 for n, s in zip(lengths, (down, right, row), strict=True)
        )
        flat = np.lib.stride_tricks.as_strided(
            block[lowest], (reach + block.shape[3],), (item,), writeable=False
        )
        return cls(flat, (*block.shape, back, down, right, row), swap)

    @property
    def arguments(self) -> tuple[np.ndarray, Layout, bool]:
        """What every compiled loop takes first."""
        return self.flat, self.layout, self.swap

    def run(self, y: int, x: int, count: int) -> Patterns:
        """Return `count` patterns of row `y` from column `x` on."""
        _, nx, nky, nkx, origin, down, right, row = self.layout
        start = origin + y * down + x * right
        layout = (1, min(count, nx - x), nky, nkx, start, down, right, row)
        return Patterns(self.flat, layout, self.swap)
