"""Mean patterns, and the beam centre found in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan

from .engine import reduce_scan
from .reductions import Reduction, largest, pattern_sums, ring_sums, squares

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, eq=False)
class PatternStatistics:
    """Every detector pixel over the whole scan.

    Parameters
    ----------
    mean, deviation : array
        float64 ``[ky, kx]``: mean and standard deviation of the counts.
    maximum : array
        ``[ky, kx]``: the largest count.
    patterns : int
        How many patterns they are of.
    """

    mean: np.ndarray
    deviation: np.ndarray
    maximum: np.ndarray
    patterns: int


def mean_pattern(
    scan: Scan,
    where: np.ndarray | None = None,
    report: Report | None = None,
    client: Client | None = None,
) -> np.ndarray:
    """Average patterns over the scan or a part of it.

    Parameters
    ----------
    scan : Scan
        The scan.
    where : array, optional
        Bool ``[y, x]``: the probe positions to average; all of them by default.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.
    client : distributed.Client, optional
        Run on this cluster; the scan must be a file on storage that all workers share.

    Returns
    -------
    array
        float64 ``[ky, kx]``. Integer counts are summed as integers, so the sum is exact.

    Raises
    ------
    ScanError
        If `where` has another shape than the scan or chooses nothing.
    """
    chosen = np.ones(scan.scan_shape, bool) if where is None else np.asarray(where, bool)
    if chosen.shape != scan.scan_shape:
        raise ScanError(
            f"{scan.where()}: the region has shape {chosen.shape}, the scan {scan.scan_shape}."
        )
    if scan.missing is not None:
        chosen = chosen & ~scan.missing
    if not chosen.any():
        raise ScanError(f"{scan.where()}: no probe position is chosen, so there is no mean.")
    regions = np.where(chosen, 0, -1).astype(np.int64)
    reduction = pattern_sums(scan, regions, 1, lambda sums: sums[0] / np.count_nonzero(chosen))
    (mean,) = reduce_scan(scan, [reduction], report, "averaging patterns", client)
    return np.asarray(mean)


def region_means(scan: Scan, labels: np.ndarray) -> Reduction[dict[int, np.ndarray]]:
    """Return the mean pattern of every class of a label image, as a reduction.

    Parameters
    ----------
    scan : Scan
        The scan.
    labels : array
        Integer ``[y, x]``, 0 = unlabelled.

    Returns
    -------
    Reduction
        Of float64 ``[ky, kx]`` by class number.

    Raises
    ------
    ScanError
        If the labels have another shape than the scan, or none is set.
    """
    if labels.shape != scan.scan_shape:
        raise ScanError(
            f"{scan.where()}: the labels have shape {labels.shape}, the scan {scan.scan_shape}."
        )
    there = labels > 0 if scan.missing is None else (labels > 0) & ~scan.missing
    numbers, counts = np.unique(labels[there], return_counts=True)
    if numbers.size == 0:
        raise ScanError(f"{scan.where()}: no probe position is labelled, so there is no mean.")
    regions = np.where(there, np.searchsorted(numbers, labels), -1).astype(np.int64)

    def finish(sums: np.ndarray) -> dict[int, np.ndarray]:
        return {int(n): sums[i] / counts[i] for i, n in enumerate(numbers)}

    return pattern_sums(scan, regions, len(numbers), finish)


def pattern_statistics(
    scan: Scan, report: Report | None = None, client: Client | None = None
) -> PatternStatistics:
    """Return mean, standard deviation and maximum of every detector pixel, in one pass.

    Hot and dead pixels show in them, and the reflections that vary over the scan.

    Parameters
    ----------
    scan : Scan
        The scan.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.
    client : distributed.Client, optional
        Run on this cluster; the scan must be a file on storage that all workers share.
    """
    there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
    count = int(np.count_nonzero(there))
    regions = np.where(there, 0, -1).astype(np.int64)
    reductions = [
        pattern_sums(scan, regions, 1, lambda sums: sums[0] / count),
        squares(scan, lambda sums: sums / count),
        largest(scan, np.asarray),
    ]
    mean, square, maximum = reduce_scan(scan, reductions, report, "averaging patterns", client)
    with np.errstate(invalid="ignore", over="ignore"):  # where a count is infinite
        # Rounding may leave a pixel that never varies just below zero.
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return PatternStatistics(mean, deviation, maximum, count)


def radial_profile(pattern: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Average a pattern over the angle: float64 ``[radius]``, one entry per pixel of radius.

    NaN where no pixel lies: at radius 0 if the centre lies between four pixels.

    Parameters
    ----------
    pattern : array
        ``[ky, kx]``.
    centre : tuple of float
        ``(ky, kx)`` in detector pixels.

    Examples
    --------
    >>> radial_profile(np.eye(3), (1, 1)).round(2).tolist()
    [1.0, 0.25]
    """
    rings = _rings((pattern.shape[0], pattern.shape[1]), centre).ravel()
    total = np.bincount(rings, np.asarray(pattern, float).ravel())
    with np.errstate(invalid="ignore"):  # 0 / 0 where no pixel lies
        return np.asarray(total / np.bincount(rings))


def radial_profiles(scan: Scan, centre: tuple[float, float] | None = None) -> Reduction[np.ndarray]:
    """Return the radial profile of every pattern, as a reduction.

    Parameters
    ----------
    scan : Scan
        The scan.
    centre : tuple of float, optional
        Beam centre ``(ky, kx)`` in detector pixels; by default the scan's own.

    Returns
    -------
    Reduction
        Of float32 ``[y, x, radius]``: mean counts per pixel, one entry per pixel of radius; NaN
        where no pixel lies.

    Raises
    ------
    ScanError
        If no centre is given and the scan's is unknown.
    """
    middle = centre or scan.centre
    if middle is None:
        raise ScanError(f"{scan.where()}: a radial profile needs the beam centre.")
    rings = _rings(scan.detector_shape, middle)
    pixels = np.bincount(rings.ravel())

    def finish(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # 0 / 0 where no pixel lies
            return np.asarray(sums / pixels, np.float32)

    return ring_sums(scan, rings, len(pixels), finish)


def _rings(shape: tuple[int, int], centre: tuple[float, float]) -> np.ndarray:
    """Return the distance of every pixel from the centre, rounded to whole pixels."""
    ky, kx = np.indices(shape)
    return np.asarray(np.rint(np.hypot(ky - centre[0], kx - centre[1])), np.int64)


Centre = tuple[float, float] | Literal["mean"] | None
"""A beam centre in detector pixels, that of the mean pattern, or the scan's own (None)."""


def known_centre(scan: Scan, centre: Centre) -> tuple[float, float] | None:
    """Return the beam centre that was asked for, if it takes no pass over the scan to know it."""
    return None if centre == "mean" else centre or scan.centre


def find_centre(pattern: np.ndarray, radius: float | None = None) -> tuple[float, float]:
    """Find the beam centre of a (mean) pattern as its centre of mass.

    Parameters
    ----------
    pattern : array
        ``[ky, kx]``.
    radius : float, optional
        Refine within a disk of this radius (pixels) until it stays put, so that reflections
        further out do not pull the centre.

    Returns
    -------
    tuple of float
        ``(ky, kx)`` in detector pixels; the middle of the detector for an empty pattern. Pixels
        that are no finite number do not count.
    """
    middle = ((pattern.shape[0] - 1) / 2, (pattern.shape[1] - 1) / 2)
    weights = np.nan_to_num(np.asarray(pattern, float), posinf=0, neginf=0)
    ky, kx = np.ogrid[: pattern.shape[0], : pattern.shape[1]]

    def centre_of(part: np.ndarray, otherwise: tuple[float, float]) -> tuple[float, float]:
        total = part.sum()
        if not total > 0:
            return otherwise
        return float((part * ky).sum() / total), float((part * kx).sum() / total)

    centre = centre_of(weights, middle)
    if radius is None:
        return centre
    for _ in range(50):
        inside = np.hypot(ky - centre[0], kx - centre[1]) <= radius
        moved = centre_of(np.where(inside, weights, 0), centre)
        if np.hypot(moved[0] - centre[0], moved[1] - centre[1]) < 1e-3:
            return moved
        centre = moved
    return centre
