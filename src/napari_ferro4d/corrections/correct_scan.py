"""Detector corrections on the fly: applied to every block as it is read, never to the file."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.frames import FrameArray, lazily
from napari_ferro4d.scan import Correction, Scan, signature_of

from .block_work import kept, work_of

if TYPE_CHECKING:
    import dask.array as da


def correct(
    scan: Scan,
    *,
    dark: np.ndarray | None = None,
    gain: np.ndarray | None = None,
    bad: np.ndarray | None = None,
    crop: tuple[slice, slice] | None = None,
    bin: int = 1,  # what every detector's manual calls it
) -> Scan:
    """Return a scan whose patterns are corrected as they are read.

    In this order: subtract `dark`, multiply by `gain`, replace `bad` pixels by the mean of the
    good pixels nearest to them, `crop`, `bin`. Cropping and binning alone keep integers integers,
    and an uncompressed file that is only cropped is still read where it lies.

    Parameters
    ----------
    scan : Scan
        The scan.
    dark, gain : array, optional
        ``[ky, kx]``: counts without beam, and the factor that makes pixels alike. Gains of bad
        pixels do not matter.
    bad : array, optional
        Bool ``[ky, kx]``: hot and dead pixels; see `napari_ferro4d.corrections.bad_pixels`.
    crop : tuple of slice, optional
        Detector rows and columns to keep.
    bin : int
        Sum squares of `bin` x `bin` pixels; rows and columns that fill no square are left out.

    Returns
    -------
    Scan
        Lazy; centre and pixel size follow cropping and binning, and `Scan.correction` says what
        was done. It has no `Scan.source`, because the file alone does not make it; `open_scan`
        with the same corrections gives one that has. The scan itself if there is nothing to do.

    Raises
    ------
    ScanError
        If an array has another shape than the detector, holds no usable number somewhere, or
        nothing is left of the detector.

    Examples
    --------
    >>> scan = Scan.from_array(np.ones((2, 2, 8, 8), np.uint8), k_step=0.1)
    >>> binned = correct(scan, bin=4)
    >>> binned.detector_shape, binned.k_step, int(binned.data[0, 0, 0, 0])
    ((2, 2), (0.4, 0.4), 16)
    """
    block_work = work_of(scan, dark, gain, bad, crop, bin)
    if block_work is None:
        return scan
    rows, columns, region = block_work.rows, block_work.columns, block_work.region
    frames = None
    patterns: Any = scan.data
    work: Callable[[np.ndarray], np.ndarray] = block_work.of_whole
    if scan.frames is not None:
        frames = scan.frames.cropped(scan.detector_shape, *region)
        shape = tuple(part.stop - part.start for part in region)
        patterns = FrameArray(frames, (*scan.scan_shape, shape[0], shape[1]))
        work = block_work
    corrected = _Corrected(patterns, work, (*scan.scan_shape, *block_work.shape), block_work.dtype)
    if frames is None:
        # A name of its own: dask would otherwise hash the images for one.
        data = scan.data.map_blocks(
            work,
            dtype=block_work.dtype,
            chunks=(*scan.data.chunks[:2], (block_work.shape[0],), (block_work.shape[1],)),
            meta=np.empty((0, 0, 0, 0), block_work.dtype),
            name=f"corrected-{uuid.uuid4().hex}",
        )
    elif block_work.only_crops:
        data = lazily(patterns, frames)
    else:
        data = _lazily(corrected, lazily(patterns, frames).chunks)
        frames = None
    used = np.zeros(scan.detector_shape, bool)
    used[rows, columns] = True if bad is None else ~np.asarray(bad, bool)[rows, columns]
    images = {"dark": dark, "gain": gain, "bad_pixels": bad}
    record = _record(
        {name: one for name, one in images.items() if one is not None}, crop, bin, scan
    )
    correction = Correction(scan, block_work.of_whole, used, (rows, columns), bin, record)
    if scan.correction is not None:
        correction = _after(scan.correction, correction)
    return replace(
        scan,
        data=data,
        k_step=None if scan.k_step is None else (scan.k_step[0] * bin, scan.k_step[1] * bin),
        centre=None
        if scan.centre is None
        else (
            (scan.centre[0] - rows.start + 0.5) / bin - 0.5,
            (scan.centre[1] - columns.start + 0.5) / bin - 0.5,
        ),
        source=None,
        frames=frames,
        signature=signature_of(corrected),
        correction=correction,
    )


def not_negative(scan: Scan) -> Scan:
    """Return `scan` with 0 for the counts below zero that a dark image leaves where there are none.

    For what takes the logarithm of counts. A scan without a dark image is returned as it is; so are
    signature, source and correction.
    """
    record = None if scan.correction is None else scan.correction.record
    while record and "dark" not in record:
        record = record.get("before")
    if not record:
        return scan
    return replace(scan, data=scan.data.clip(0, None), frames=None)


@dataclass(frozen=True, eq=False)
class _Corrected:
    """Corrected patterns as dask likes them: what is sliced off is neither read nor corrected."""

    patterns: Any
    work: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    ndim = 4

    def __getitem__(self, where: Any) -> np.ndarray:
        given = where if isinstance(where, tuple) else (where,)
        wanted: list[Any] = [*given, *[slice(None)] * (4 - len(given))]
        # One position is a block of one, of which the axis is taken away at the end.
        alone = [isinstance(index, int | np.integer) for index in wanted[:2]]
        some = [
            slice(index % n, index % n + 1) if one else index
            for index, n, one in zip(wanted, self.shape, alone, strict=False)
        ]
        block = self.work(np.asarray(self.patterns[some[0], some[1]]))
        left = tuple(0 if one else slice(None) for one in alone)
        return np.asarray(block[(*left, *wanted[2:])])


def _lazily(corrected: _Corrected, chunks: Any) -> da.Array:
    import dask.array as da

    sizes = (*chunks[:2], *((n,) for n in corrected.shape[2:]))
    return da.from_array(corrected, chunks=sizes, name=False, inline_array=True)


def _after(earlier: Correction, later: Correction) -> Correction:
    """Return two corrections, one after the other, as one of the scan as it was recorded."""
    used = earlier.used.copy()
    (rows, columns), size = earlier.place, earlier.bin
    used[rows, columns] &= later.used.repeat(size, axis=0).repeat(size, axis=1)
    place = tuple(
        slice(outer.start + inner.start * size, outer.start + inner.stop * size)
        for outer, inner in zip(earlier.place, later.place, strict=True)
    )
    return Correction(
        earlier.raw,
        lambda block: later.apply(earlier.apply(block)),
        used,
        (place[0], place[1]),
        size * later.bin,
        {**later.record, "before": dict(earlier.record)},
    )


def _record(
    images: Mapping[str, np.ndarray], crop: tuple[slice, slice] | None, bin: int, scan: Scan
) -> dict[str, Any]:
    record: dict[str, Any] = {
        name: {"sha256": hashlib.sha256(np.asarray(image).tobytes()).hexdigest()}
        for name, image in images.items()
    }
    if crop is not None:
        record["crop"] = [[part.start, part.stop] for part in kept(scan, crop, bin)]
    return {**record, "bin": bin} if bin > 1 else record
