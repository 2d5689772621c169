"""The counts of the scans that ``scan_files.py`` has written, others, and ways through them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SHAPE = (3, 4, 16, 16)
COUNTS = np.random.default_rng(7).integers(0, 200, SHAPE).astype(np.uint16)
SCAN_STEP = (1.5, 1.5)
K_STEP = (0.02, 0.02)
CENTRE = (7.25, 8.5)
DTYPES = ["u1", "<u2", ">u2", "<u4", ">u4", "i2", "<i4", "<f4", ">f4", "<f8"]


def frames(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the patterns one by one, in the order of recording."""
    for row in counts:
        yield from row


def stream(file, counts: np.ndarray, dtype: str) -> None:
    """Write all counts, row by row."""
    for row in counts:
        file.write(np.ascontiguousarray(row, dtype).data)


def is_repeated(counts: np.ndarray) -> bool:
    """Return whether all rows are the same array, as ``np.broadcast_to`` makes them."""
    return counts.strides[0] == 0


def random_scan(seed: int, shape: tuple[int, int, int, int], dtype: str) -> np.ndarray:
    """Return counts up to 199; floats between them where `dtype` is one."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 200, shape)
    return (counts + rng.random(shape) if "f" in dtype else counts).astype(dtype)
