"""Pages of mapped files: looked at once, they count as this process's memory until let go."""

from __future__ import annotations

import mmap

import numpy as np


def memory_map(view: np.ndarray) -> mmap.mmap | None:
    """Return the map that an array shows a part of, where the system can let go of its pages."""
    base = view.base
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return getattr(base, "_mmap", None) if hasattr(mmap, "MADV_DONTNEED") else None
        base = base.base
    return None


def let_go(block: np.ndarray) -> None:
    """Let go of the pages of a block of a mapped file; the system keeps them in its own cache."""
    mapped = memory_map(block)
    if mapped is None or block.size == 0:
        return
    low, high = np.lib.array_utils.byte_bounds(block)
    whole, _ = np.lib.array_utils.byte_bounds(np.frombuffer(mapped, np.uint8))
    # Whole pages only: those at the ends hold a part of the neighbouring blocks.
    first = -(-(low - whole) // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (high - whole) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        mapped.madvise(mmap.MADV_DONTNEED, first, last - first)
