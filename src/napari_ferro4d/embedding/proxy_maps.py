"""Maps of what a channel may be about other than domains: thickness, tilt, shift of the pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.jobs import Report
from napari_ferro4d.reduce import (
    ComMaps,
    Reduction,
    centre_of_mass,
    reduce_scan,
    virtual_images,
)
from napari_ferro4d.scan import Scan

from .undiffracted_beam import find_disk, some_patterns

Map = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_CORE = 0.65
"""Radius of the part of the undiffracted disk that tells the tilt over that of the disk: where the
shift of its edge, blurred by the detector, does not reach. Of twelve simulated specimens with disks
of 5.7 pixels the tilt correlates by at least 0.66 with its proxy, and by 0.41 within 0.8; polarity
by at most 0.53, and by 0.81 within 0.8."""

_INSIDE = 0.8
"""The same of the part that the shift is held against."""

_BEYOND = 2.0
"""Pixels by which the ring about the edge of the disk reaches out."""

_RING_OVER_DISK = 1.7
"""How much more an even gradient of brightness shows in the ring than inside: the halves of a ring
of radius R differ by 2/pi times gradient and radius, those of a disk of 0.8 R by 4/(3 pi) times
0.8."""

_BLUR = 2.0
"""Positions over which thickness, tilt and shift are averaged: they vary slowly."""

_SMALLEST_DISK = 2.5
"""Pixels of radius from which on a disk has halves to compare."""


def proxies(scan: Scan, *, report: Report | None = None) -> Mapping[str, Map]:
    """Map thickness, tilt, shift, centre of mass and dark field, in one pass over the scan.

    Parameters
    ----------
    scan : Scan
        The scan. The undiffracted beam and its disk are found in 256 of its patterns.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    mapping of str to ndarray
        float32 ``[y, x]``; NaN where a pattern is missing or empty:

        ``thickness``
            Minus the logarithm of the counts: what a thicker specimen absorbs or scatters beyond
            the detector.
        ``tilt_y``, ``tilt_x``
            How much brighter the lower (right) half of the undiffracted disk is than the other,
            over the sum of both, within 0.65 of its radius. NaN everywhere if the disk has a radius
            of less than 2.5 pixels.
        ``shift_y``, ``shift_x``
            The same in a ring about the edge of the disk, less 1.7 times the same within 0.8 of
            the radius: where the disk lies, which imperfect descanning changes.
        ``com_y``, ``com_x``
            Centre of mass of the whole pattern, pixels from the undiffracted beam.
        ``dark_field``
            Share of the counts outside of the disk.

    Raises
    ------
    ScanError
        If a part of the file cannot be read.

    Notes
    -----
    The centre of mass mixes tilt, shift and polarity. The undiffracted disk does not know polarity:
    by reciprocity its intensity does not change, within the zero-order Laue zone, when the beam
    direction is reversed, which is what inverting the crystal does to it. So thickness, tilt and
    shift are taken from it and from the sum of all counts. They are averaged over the scan by a
    Gaussian of two positions, because they vary slowly; domain walls do not.
    """
    centre, radius = find_disk(some_patterns(scan, report))
    parts = _parts(scan.detector_shape, centre, radius)
    names = [name for name, mask in parts.items() if mask.any()]
    reductions: list[Reduction[Any]] = [
        centre_of_mass(scan, centre=centre),
        virtual_images(scan, [parts[name] for name in names], [None] * len(names)),
    ]
    com, images = reduce_scan(scan, reductions, report, "thickness and tilt")
    counts = {name: np.zeros(scan.scan_shape) for name in parts}
    counts |= {name: one.image.astype(float) for name, one in zip(names, images, strict=True)}
    return _maps(com, counts)


def _parts(
    shape: tuple[int, int], centre: tuple[float, float], radius: float
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the quadrants of the core of the disk, of the rim of its inside, and of its edge."""
    ky, kx = (np.arange(n) - c for n, c in zip(shape, centre, strict=True))
    down, right = ky[:, None] > 0, kx[None] > 0
    distance = np.hypot(ky[:, None], kx[None])
    halves = radius >= _SMALLEST_DISK
    core, inside = (halves & (distance <= share * radius) for share in (_CORE, _INSIDE))
    ring = (distance <= radius + _BEYOND) & ~inside
    return {
        f"{where} {dy}{dx}": part & (down == (dy == "down")) & (right == (dx == "right"))
        for where, part in (("in core", core), ("in rim", inside & ~core), ("ring", ring))
        for dy in ("up", "down")
        for dx in ("left", "right")
    }


def _maps(com: ComMaps, counts: Mapping[str, Floats]) -> dict[str, Map]:
    def asymmetry(where: str, side: str) -> Floats:
        total = sum(one for name, one in counts.items() if name.startswith(where))
        half = sum(one for name, one in counts.items() if name.startswith(where) and side in name)
        return np.asarray(np.where(total > 0, (2 * half - total) / total, np.nan))

    total = com.sum.astype(float)
    found: dict[str, Floats] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        found["thickness"] = np.where(total > 0, -np.log(total), np.nan)
        tilt, inside, ring = (
            {"y": asymmetry(where, "down"), "x": asymmetry(where, "right")}
            for where in ("in core", "in", "ring")
        )
        dark = np.where(total > 0, 1 - sum(counts.values()) / total, np.nan)
    for axis in "yx":
        found[f"tilt_{axis}"] = tilt[axis]
        lies = ring[axis] - _RING_OVER_DISK * np.nan_to_num(inside[axis])
        found[f"shift_{axis}"] = lies
    found = {name: _blurred(one) for name, one in found.items()}
    found |= {"com_y": com.com_y, "com_x": com.com_x, "dark_field": dark}
    return {name: one.astype(np.float32) for name, one in found.items()}


def _blurred(values: Floats) -> Floats:
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(values)
    weight = gaussian_filter(known.astype(float), _BLUR, mode="nearest")
    total = gaussian_filter(np.where(known, values, 0.0), _BLUR, mode="nearest")
    return np.where(known, total / np.where(known, weight, 1.0), np.nan)
