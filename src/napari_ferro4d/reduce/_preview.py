"""A first look at a scan in real space, without reading it all."""

from __future__ import annotations

import mmap

import numpy as np

from napari_ferro4d.scan import Scan

from ._pages import memory_map

__all__ = ["preview"]

_PATTERNS = 2**15
_DECODED_BYTES = 256 * 2**20


def preview(scan: Scan) -> np.ndarray:
    """Sum a sparse subset of detector pixels for every probe position.

    Of an uncompressed file eight detector rows are read; of a compressed one whole patterns have
    to be decoded, so a large one is sampled at every n-th probe position and filled in between.

    Parameters
    ----------
    scan : Scan
        The scan.

    Returns
    -------
    array
        float32 ``[y, x]``.
    """
    ny, nx, ky, kx = scan.shape
    if scan.frames is not None:
        return _from_frames(scan)
    per_pattern = ky * kx * scan.dtype.itemsize
    rows = scan.data.chunksize[0]
    # Whole chunks are decoded whatever part of them is wanted: skip rows of chunks first.
    every = max(1, -(-ny * nx * per_pattern // _DECODED_BYTES))
    step = every * rows if every > 1 else 1
    sparse = scan.data[::step, :, :: max(1, ky // 8), :: max(1, kx // 32)]
    image = np.asarray(sparse.sum(axis=(2, 3), dtype=np.float64).compute(scheduler="threads"))
    return np.repeat(image, step, axis=0)[:ny].astype(np.float32)


def _from_frames(scan: Scan) -> np.ndarray:
    assert scan.frames is not None
    ny, nx, ky, kx = scan.shape
    view = scan.frames.view(scan.shape)
    step = max(1, round((ny * nx / _PATTERNS) ** 0.5))
    detector_rows = np.unique(np.linspace(0.2 * ky, 0.8 * (ky - 1), 8).astype(int))
    image = np.empty((-(-ny // step), -(-nx // step)))
    mapped = memory_map(view)
    for i, y in enumerate(range(0, ny, step)):
        rows = view[y, ::step][:, detector_rows, :: max(1, kx // 64)]
        image[i] = rows.sum(axis=(1, 2), dtype=np.float64)
        if mapped is not None and i % 16 == 15:
            # Pages looked at once count as this process's memory until they are let go.
            mapped.madvise(mmap.MADV_DONTNEED)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
    image = np.repeat(np.repeat(image, step, axis=0), step, axis=1)
    return image[:ny, :nx].astype(np.float32)
