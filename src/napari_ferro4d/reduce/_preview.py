"""A first look at a scan in real space, without reading it all."""

from __future__ import annotations

import mmap

import numpy as np

from napari_ferro4d.scan import Scan

from ._pages import memory_map

__all__ = ["preview"]

_PATTERNS = 2**15
_DETECTOR_ROWS = 2**17
"""Rows of the detector that are read in all, of an uncompressed file: each is a page or two."""
_DECODED_BYTES = 64 * 2**20
_PIECES = 2**12
"""Each piece costs the time to find and to open it, however small it is."""


def preview(scan: Scan) -> np.ndarray:
    """Sum a sparse subset of detector pixels for every probe position.

    Of an uncompressed file a few detector rows are read; of a compressed one whole pieces have to
    be decoded, so a large one is sampled at some probe positions and filled in between.

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
    if "patterns_per_piece" in scan.metadata:
        return _from_pieces(scan, *scan.metadata["patterns_per_piece"])
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


def _from_pieces(scan: Scan, rows: int, columns: int) -> np.ndarray:
    """Decode pieces of `rows` x `columns` patterns that lie at equal distances over the scan."""
    ny, nx, ky, kx = scan.shape
    pieces = -(-ny // rows) * -(-nx // columns)
    bytes_per_piece = rows * columns * ky * kx * scan.dtype.itemsize
    affordable = max(1, min(_PIECES, _DECODED_BYTES // bytes_per_piece))
    if pieces <= affordable:
        return _filled(_sums(scan, (slice(None), slice(None)), 8), (ny, nx), 1, 1)
    down, across = -(-ny // rows), -(-nx // columns)
    pitch = (ny * nx / affordable) ** 0.5
    every_x = min(across, max(1, round(pitch / columns)))
    every_y = -(-down // max(1, affordable // -(-across // every_x)))
    # The first pattern of a piece stands for it, unless all pieces are decoded.
    dy, dx = every_y * rows if every_y > 1 else 1, every_x * columns if every_x > 1 else 1
    where = slice(None, None, dy), slice(None, None, dx)
    return _filled(_sums(scan, where, 8), (ny, nx), dy, dx)


def _from_files(scan: Scan) -> np.ndarray:
    """Read a few detector rows of patterns that lie as they are, but in several files."""
    ny, nx, _, _ = scan.shape
    step = max(1, round((ny * nx / _PATTERNS) ** 0.5))
    every = slice(None, None, step)
    return _filled(_sums(scan, (every, every), _rows_of_each(ny * nx)), (ny, nx), step, step)


def _from_frames(scan: Scan) -> np.ndarray:
    assert scan.frames is not None
    ny, nx, ky, kx = scan.shape
    view = scan.frames.view(scan.shape)
    step = max(1, round((ny * nx / _PATTERNS) ** 0.5))
    rows = _rows_of_each(ny * nx)
    detector_rows = np.unique(np.linspace(0.2 * ky, 0.8 * (ky - 1), rows).astype(int))
    image = np.empty((-(-ny // step), -(-nx // step)))
    mapped = memory_map(view)
    for i, y in enumerate(range(0, ny, step)):
        some = view[y, ::step][:, detector_rows, :: max(1, kx // 64)]
        image[i] = some.sum(axis=(1, 2), dtype=np.float64)
        if mapped is not None and i % 16 == 15:
            # Pages looked at once count as this process's memory until they are let go.
            mapped.madvise(mmap.MADV_DONTNEED)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
    return _filled(image, (ny, nx), step, step)


def _rows_of_each(patterns: int) -> int:
    """Return how many detector rows to read of each of so many patterns."""
    return min(8, max(4, _DETECTOR_ROWS // min(patterns, _PATTERNS)))
