"""A first look at a scan in real space, without reading it all."""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from napari_ferro4d.io import memory_map
from napari_ferro4d.scan import Scan

_PATTERNS = 2**15
_DETECTOR_ROWS = 2**17
"""Rows of the detector that are read in all, of an uncompressed file: each is a page or two."""
_FIRST = 2**9
"""Patterns of an uncompressed file that are looked at in any case, and..."""
_SECONDS = 0.5
"""...for how long more of them are."""
_AT_ONCE = 64
_SLOW = 5e-5
"""Seconds for a pattern from which on the file is thought to be on disk."""
_DECODED_BYTES = 128 * 2**20
_CHUNKS = 2**12
"""Each chunk costs the time to find and to open it, however small it is."""


def preview(scan: Scan) -> np.ndarray:
    """Sum a sparse subset of detector pixels for every probe position.

    Of an uncompressed file a few detector rows are read, for half a second: where that is not
    enough for every probe position, and of a large compressed file, whose chunks have to be
    decoded whole, some positions are read and the map is filled in between.

    Parameters
    ----------
    scan : Scan
        The scan.

    Returns
    -------
    array
        float32 ``[y, x]``.
    """
    if scan.frames is not None:
        return _from_frames(scan)
    if "patterns_per_chunk" in scan.metadata:
        return _from_chunks(scan, *scan.metadata["patterns_per_chunk"])
    if "data_files" in scan.metadata:
        return _from_files(scan)
    ny, nx, ky, kx = scan.shape
    rows = scan.data.chunksize[0]
    # Whole chunks are decoded whatever part of them is wanted: skip rows of chunks first.
    every = max(1, -(-ny * nx * ky * kx * scan.dtype.itemsize // (4 * _DECODED_BYTES)))
    step = every * rows if every > 1 else 1
    return _filled(_sums(scan, (slice(None, None, step), slice(None)), 8), (ny, nx), step, 1)


def _sums(scan: Scan, where: tuple[slice, slice], detector_rows: int) -> np.ndarray:
    """Sum some of the pixels of some of the patterns."""
    _, _, ky, kx = scan.shape
    some = (slice(None, None, max(1, ky // detector_rows)), slice(None, None, max(1, kx // 32)))
    sums = scan.data[(*where, *some)].sum(axis=(2, 3), dtype=np.float64)
    return np.asarray(sums.compute(scheduler="threads"))


def _filled(image: np.ndarray, shape: tuple[int, int], dy: int, dx: int) -> np.ndarray:
    """Let every value of `image` stand for `dy` x `dx` positions."""
    whole = np.repeat(np.repeat(image, dy, axis=0), dx, axis=1)
    return whole[: shape[0], : shape[1]].astype(np.float32)


def _from_chunks(scan: Scan, rows: int, columns: int) -> np.ndarray:
    """Decode chunks of `rows` x `columns` patterns that lie at equal distances over the scan."""
    ny, nx, ky, kx = scan.shape
    chunks = -(-ny // rows) * -(-nx // columns)
    bytes_per_chunk = rows * columns * ky * kx * scan.dtype.itemsize
    affordable = max(1, min(_CHUNKS, _DECODED_BYTES // bytes_per_chunk))
    everything = slice(None), slice(None)
    if chunks <= affordable:
        return _filled(_sums(scan, everything, 8), (ny, nx), 1, 1)
    down, across = -(-ny // rows), -(-nx // columns)
    pitch = (ny * nx / affordable) ** 0.5
    every_x = min(across, max(1, round(pitch / columns)))
    every_y = -(-down // max(1, affordable // -(-across // every_x)))
    # The first pattern of a chunk stands for it, unless all chunks are decoded.
    dy, dx = every_y * rows if every_y > 1 else 1, every_x * columns if every_x > 1 else 1
    start = time.monotonic()
    image = _sums(scan, (slice(None, None, dy), slice(None, None, dx)), 8)
    if (time.monotonic() - start) * chunks / affordable < _SECONDS:
        # Blocks look as if the scan were wrong; nobody shall see them for a moment saved.
        return _filled(_sums(scan, everything, 8), (ny, nx), 1, 1)
    return _filled(image, (ny, nx), dy, dx)


def _from_files(scan: Scan) -> np.ndarray:
    """Read a few detector rows of patterns that lie as they are, but in several files."""
    ny, nx, _, _ = scan.shape
    step = max(1, round((ny * nx / _PATTERNS) ** 0.5))
    every = slice(None, None, step)
    return _filled(_sums(scan, (every, every), _rows_of_each(ny * nx)), (ny, nx), step, step)


def _from_frames(scan: Scan) -> np.ndarray:
    """Read a few detector rows of patterns that lie one after the other in a file.

    First of patterns far apart, then of those half way between, until all that are wanted are
    there or the time is over: a file that the system has in memory is shown in full at once, and
    one on a slow disk does not keep anybody waiting.
    """
    assert scan.frames is not None
    ny, nx, ky, kx = scan.shape
    view = scan.frames.view(scan.shape)
    finest = max(1, round((ny * nx / _PATTERNS) ** 0.5))
    coarsest = finest
    while -(-ny // coarsest) * -(-nx // coarsest) > _FIRST:
        coarsest *= 2
    rows = _rows_of_each(ny * nx)
    detector_rows = np.unique(np.linspace(0.2 * ky, 0.8 * (ky - 1), rows).astype(int))
    some = detector_rows, slice(None, None, max(1, kx // 64))
    end = time.monotonic() + _SECONDS
    image = np.zeros((-(-ny // finest), -(-nx // finest)))
    mapped = memory_map(view)
    with _scattered(mapped):
        step = coarsest
        _read_every(view, image, some, (coarsest, finest), None, mapped)
        while step > finest:
            finer = image.copy()
            if not _read_every(view, finer, some, (step // 2, finest), end, mapped):
                break
            image, step = finer, step // 2
    every = step // finest
    return _filled(image[::every, ::every], (ny, nx), step, step)


def _read_every(
    view: np.ndarray,
    image: np.ndarray,
    some: tuple[np.ndarray, slice],
    steps: tuple[int, int],
    end: float | None,
    mapped: mmap.mmap | None,
) -> bool:
    """Sum patterns `steps[0]` apart into `image`, which has one value per `steps[1]`.

    With an `end`, those twice as far apart are there already, and it stops when that is past.
    Returns whether it came to the last pattern.
    """
    (step, finest), (lines, columns) = steps, some
    on_disk = False
    for i, y in enumerate(range(0, view.shape[0], step)):
        old = end is not None and i % 2 == 0
        first, stride = (step, 2 * step) if old else (0, step)
        for x in range(first, view.shape[1], _AT_ONCE * stride):
            start = time.monotonic()
            if end is not None and start > end:
                return False
            patterns = view[y, x : x + _AT_ONCE * stride : stride]
            if on_disk and mapped is not None:
                _ask_for(mapped, patterns, lines)
            sums = patterns[:, lines, columns].sum(axis=(1, 2), dtype=np.float64)
            into = slice(x // finest, None, stride // finest)
            image[y // finest, into][: len(sums)] = sums
            # Asking takes longer than looking where the system has the file in memory.
            on_disk = on_disk or time.monotonic() - start > len(sums) * _SLOW
        if mapped is not None and i % 16 == 15:
            # Pages looked at once count as this process's memory until they are let go.
            mapped.madvise(mmap.MADV_DONTNEED)
    return True


def _ask_for(mapped: mmap.mmap, patterns: np.ndarray, lines: np.ndarray) -> None:
    """Have the system fetch rows of patterns all at once, where each would be waited for."""
    whole, _ = np.lib.array_utils.byte_bounds(np.frombuffer(mapped, np.uint8))
    start = patterns.__array_interface__["data"][0] - whole
    length = patterns.shape[2] * patterns.itemsize
    for number in range(len(patterns)):
        for line in lines:
            at = start + number * patterns.strides[0] + int(line) * patterns.strides[1]
            page = at // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, page, at + length - page)


@contextmanager
def _scattered(mapped: mmap.mmap | None) -> Iterator[None]:
    """Let the system read the pages that are looked at, and not 128 kB around each of them."""
    if mapped is None:
        yield
        return
    mapped.madvise(mmap.MADV_RANDOM)
    try:
        yield
    finally:
        mapped.madvise(mmap.MADV_NORMAL)
        mapped.madvise(mmap.MADV_DONTNEED)


def _rows_of_each(patterns: int) -> int:
    """Return how many detector rows to read of each of so many patterns."""
    return min(8, max(4, _DETECTOR_ROWS // min(patterns, _PATTERNS)))
