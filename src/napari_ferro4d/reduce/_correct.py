"""Detector corrections on the fly: applied to every block as it is read, never to the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan, signature_of

from ._pattern import PatternStatistics

__all__ = ["bad_pixels", "correct"]


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

    In this order: subtract `dark`, multiply by `gain`, replace `bad` pixels by the mean of their
    good neighbours, `crop`, `bin`. Cropping and binning alone keep integers integers.

    Parameters
    ----------
    scan : Scan
        The scan.
    dark, gain : array, optional
        ``[ky, kx]``: counts without beam, and the factor that makes pixels alike.
    bad : array, optional
        Bool ``[ky, kx]``: hot and dead pixels; see `bad_pixels`.
    crop : tuple of slice, optional
        Detector rows and columns to keep.
    bin : int
        Sum squares of `bin` x `bin` pixels; rows and columns that fill no square are left out.

    Returns
    -------
    Scan
        Lazy; centre and pixel size follow cropping and binning. It has no `Scan.source`, because
        the file alone does not make it.

    Raises
    ------
    ScanError
        If an array has another shape than the detector, or nothing is left of it.

    Examples
    --------
    >>> scan = Scan.from_array(np.ones((2, 2, 8, 8), np.uint8), k_step=0.1)
    >>> binned = correct(scan, bin=4)
    >>> binned.detector_shape, binned.k_step, int(binned.data[0, 0, 0, 0])
    ((2, 2), (0.4, 0.4), 16)
    """
    for name, array in (("dark", dark), ("gain", gain), ("bad pixel", bad)):
        if array is not None and np.shape(array) != scan.detector_shape:
            raise ScanError(
                f"{scan.where()}: the {name} image has shape {np.shape(array)}, but the detector "
                f"has {scan.detector_shape[0]} x {scan.detector_shape[1]} pixels."
            )
    rows, cols = _kept(scan, crop, bin)
    shape = ((rows.stop - rows.start) // bin, (cols.stop - cols.start) // bin)
    measured = dark is not None or gain is not None or bad is not None
    kind = np.dtype(np.float32) if measured or scan.dtype.kind == "f" else _wide(scan.dtype, bin)
    weights = None if bad is None else _neighbours(np.asarray(bad, bool), scan)

    def apply(block: np.ndarray) -> np.ndarray:
        if measured:
            block = block.astype(np.float32)
            if dark is not None:
                block -= dark
            if gain is not None:
                block *= gain
            if weights is not None:
                for (ky, kx), (near_ky, near_kx) in weights:
                    block[..., ky, kx] = block[..., near_ky, near_kx].mean(axis=-1)
        kept = block[..., rows, cols][..., : shape[0] * bin, : shape[1] * bin]
        parts = kept.reshape(*kept.shape[:2], shape[0], bin, shape[1], bin)
        return np.asarray(parts.sum(axis=(3, 5), dtype=kind))

    data = scan.data.map_blocks(
        apply, dtype=kind, chunks=(*scan.data.chunks[:2], (shape[0],), (shape[1],))
    )
    return replace(
        scan,
        data=data,
        k_step=None if scan.k_step is None else (scan.k_step[0] * bin, scan.k_step[1] * bin),
        centre=None
        if scan.centre is None
        else (
            (scan.centre[0] - rows.start + 0.5) / bin - 0.5,
            (scan.centre[1] - cols.start + 0.5) / bin - 0.5,
        ),
        source=None,
        frames=None,
        signature=signature_of(data),
    )


def _kept(scan: Scan, crop: tuple[slice, slice] | None, bin: int) -> tuple[slice, slice]:
    if bin < 1:
        raise ScanError(f"{scan.where()}: bin is a number of pixels from 1 on, not {bin}.")
    kept = []
    for part, size in zip(crop or (slice(None), slice(None)), scan.detector_shape, strict=True):
        start, stop, step = part.indices(size)
        if step != 1 or stop - start < bin:
            raise ScanError(
                f"{scan.where()}: cropping to {part.start}:{part.stop} of {size} pixels leaves "
                f"nothing to bin by {bin}."
            )
        kept.append(slice(start, stop))
    return kept[0], kept[1]


def _wide(dtype: np.dtype[Any], bin: int) -> np.dtype[Any]:
    # The smallest integer that holds bin^2 of the largest count.
    if bin == 1:
        return dtype.newbyteorder("=")
    most = int(np.iinfo(dtype).max) * bin**2
    sizes = "BHIQ" if dtype.kind == "u" else "bhiq"
    return next(np.dtype(s) for s in sizes if most <= np.iinfo(s).max or s in "Qq")


def _neighbours(
    bad: np.ndarray, scan: Scan
) -> list[tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]]]:
    """Return for every bad pixel the good pixels nearest to it."""
    if bad.all():
        raise ScanError(f"{scan.where()}: every detector pixel is marked bad.")
    found = []
    good = np.argwhere(~bad)
    for ky, kx in np.argwhere(bad):
        distance = np.abs(good - (ky, kx)).max(axis=1)
        near = good[distance == distance.min()]
        found.append(((int(ky), int(kx)), (near[:, 0], near[:, 1])))
    return found


def bad_pixels(statistics: PatternStatistics, ratio: float = 2.0) -> np.ndarray:
    """Find hot and dead pixels: those that no pixel beside them comes near to.

    A hot pixel counts more than `ratio` times as much as the highest of its eight neighbours, a
    dead one less than the lowest of them divided by it, and by more than counting noise. A
    reflection has a flank wherever it falls on more than one pixel; one that does not is mistaken
    for a hot pixel.

    Parameters
    ----------
    statistics : PatternStatistics
        From `pattern_statistics`.
    ratio : float
        How much more, or less.

    Returns
    -------
    array
        Bool ``[ky, kx]``.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    around = np.ones((3, 3), bool)
    around[1, 1] = False
    mean = statistics.mean
    highest = maximum_filter(mean, footprint=around, mode="nearest")
    lowest = minimum_filter(mean, footprint=around, mode="nearest")

    def beyond_noise(more: np.ndarray, less: np.ndarray) -> np.ndarray:
        # Six standard deviations of the difference of two Poisson means: one pixel in 10^9.
        return np.asarray((more - less) ** 2 > 36 * (more + less) / statistics.patterns)

    hot = (mean > ratio * highest) & beyond_noise(mean, highest)
    dead = (mean * ratio < lowest) & beyond_noise(lowest, mean)
    return np.asarray(hot | dead)
