"""Patterns as plain arrays: what is usable of them, where the middle is, how large a disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError

Array = np.ndarray[Any, np.dtype[Any]]


def usable(name: str, pattern: Array, bad: Array | None = None) -> tuple[Array, Array]:
    """Return a pattern as float64 ``[ky, kx]``, zero where it is bad, and where it is good."""
    values = np.asarray(pattern)
    if values.ndim != 2 or min(values.shape) < 3 or values.dtype.kind not in "buif":
        raise ScanError(
            f"{name}: a pattern is a real array [ky, kx] of at least 3 x 3 pixels, not "
            f"{values.dtype} {values.shape}."
        )
    values = values.astype(float)
    good = np.isfinite(values)
    if bad is not None:
        marked = np.asarray(bad)
        if marked.shape != values.shape:
            raise ScanError(
                f"bad: the bad pixels have shape {marked.shape}, {name} has {values.shape}."
            )
        good &= ~marked.astype(bool)
    if not good.any():
        raise ScanError(f"{name}: every pixel is bad or NaN.")
    values = np.where(good, values, 0.0)
    largest = np.abs(values).max()
    if largest == 0:
        raise ScanError(f"{name}: the pattern is zero everywhere.")
    if not 1e-60 < largest < 1e60:
        raise ScanError(f"{name}: values of {largest:.0e} are no intensities; scale them.")
    return values, good


def beam_at(centre: Sequence[float] | None, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the undiffracted beam ``(ky, kx)`` in pixels, by default the middle."""
    if centre is None:
        return middle(shape)
    try:
        ky, kx = (float(value) for value in centre)
    except (TypeError, ValueError):
        raise ScanError(f"centre: is (ky, kx) in pixels, not {centre!r}.") from None
    if not (-0.5 <= ky <= shape[0] - 0.5 and -0.5 <= kx <= shape[1] - 0.5):
        raise ScanError(
            f"centre: ({ky:g}, {kx:g}) is not on the detector of {shape[0]} x {shape[1]} pixels."
        )
    return ky, kx


def middle(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the middle ``(ky, kx)`` of a detector in pixels."""
    return (shape[0] - 1) / 2, (shape[1] - 1) / 2


def disk_radius_of(pattern: Array, centre: tuple[float, float]) -> float:
    """Estimate the radius of a diffraction disk in pixels, from the undiffracted one.

    The circle has the area of the connected region at the centre that is brighter than half of its
    own median; the region is looked for with Otsu's threshold on the square root of the intensity.
    Where disks touch, the narrow bridges between them are cut.

    Parameters
    ----------
    pattern : ndarray
        ``[ky, kx]``.
    centre : tuple of float
        The undiffracted beam, pixels.

    Returns
    -------
    float
        Radius in pixels; at least 1.
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, label
    from skimage.filters import threshold_otsu

    root = np.sqrt(np.clip(pattern, 0, None))
    ky, kx = np.indices(pattern.shape)
    distance = np.hypot(ky - centre[0], kx - centre[1])
    bright = root > threshold_otsu(root) if np.ptp(root) > 0 else root > 0
    regions, _ = label(bright)
    if not bright.any():
        return 1.0
    nearest = np.where(bright, distance, np.inf).argmin()
    region = regions == regions.ravel()[nearest]
    # Otsu's threshold takes in pixels that the edge only touches.
    full = binary_fill_holes(region & (pattern > np.median(pattern[region]) / 2))
    # Eroded until the bridges are gone, the disk alone is grown again.
    inside = distance_transform_edt(full)
    depth = inside[inside > 0.0][distance[inside > 0.0].argmin()] * 0.7
    cores, _ = label(inside > depth)
    core = cores.ravel()[np.where(cores > 0, distance, np.inf).argmin()]
    away, nearest_core = distance_transform_edt(cores == 0, return_indices=True)
    # By one pixel more, as distances are those of whole pixels: a disk that stands alone, however
    # small, has to come back as it was.
    disk = full & (away <= depth + 1) & (cores[tuple(nearest_core)] == core)
    return max(1.0, float(np.sqrt(np.count_nonzero(disk) / np.pi)))
