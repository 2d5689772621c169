"""The undiffracted disk: where it is and how large, from a look at some of the patterns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_ferro4d.jobs import Report, Steps
from napari_ferro4d.reduce import find_centre, radial_profile
from napari_ferro4d.scan import Scan

Floats = npt.NDArray[np.float64]

_BLOCKS, _PATTERNS = 8, 256
"""Blocks of the scan that are read, and patterns in them that are averaged."""


def some_patterns(scan: Scan, report: Report | None = None) -> Floats:
    """Return the mean of some patterns of a few blocks that are spread over the scan."""
    blocks = list(np.ndindex(*scan.data.numblocks[:2]))
    some = [blocks[i] for i in np.unique(np.linspace(0, len(blocks) - 1, _BLOCKS).astype(int))]
    starts = [np.cumsum((0, *sizes)) for sizes in scan.data.chunks[:2]]
    steps = Steps(report, len(some), "looking for the beam")
    total, count = np.zeros(scan.detector_shape), 0
    for y, x in some:
        block = np.asarray(scan.data.blocks[y, x].compute(scheduler="synchronous"))
        patterns = block.reshape(-1, *scan.detector_shape)
        wanted = np.unique(np.linspace(0, len(patterns) - 1, _PATTERNS // len(some)).astype(int))
        if scan.missing is not None:
            there = ~scan.missing[starts[0][y] :, starts[1][x] :]
            wanted = wanted[there[: block.shape[0], : block.shape[1]].ravel()[wanted]]
        total += patterns[wanted].sum(axis=0, dtype=np.float64)
        count += len(wanted)
        steps.add()
    return np.nan_to_num(total / max(count, 1), posinf=0, neginf=0)


def find_disk(pattern: Floats) -> tuple[tuple[float, float], float]:
    """Return centre and radius, in pixels, of the undiffracted disk of a mean pattern.

    The radius is where the mean over the angle falls to half of the mean of all within.
    """
    from scipy.ndimage import gaussian_filter, median_filter

    calm = median_filter(pattern, 3)  # without hot pixels
    # A disk as wide as this, or wider, is brightest in its middle; a smaller one is a spot anyway.
    smooth = np.asarray(gaussian_filter(calm, max(1.0, min(pattern.shape) / 40)))
    row, column = np.unravel_index(smooth.argmax(), smooth.shape)
    centre, radius = (float(row), float(column)), 1.0
    for _ in range(3):
        radius = _half_radius(calm, centre)
        ky, kx = np.ogrid[: pattern.shape[0], : pattern.shape[1]]
        near = np.hypot(ky - centre[0], kx - centre[1]) <= 1.3 * radius + 1
        centre = find_centre(np.where(near, calm, 0))
    return centre, radius


def _half_radius(pattern: Floats, centre: tuple[float, float]) -> float:
    # No pixel is nearer than half a pixel to a centre between four.
    profile = np.nan_to_num(radial_profile(pattern, centre))
    profile[0] = max(profile[:2])
    area = 2 * np.arange(len(profile)) + 0.25  # of the rings, but for a factor
    inside = np.cumsum(profile * area) / np.cumsum(area)
    below = np.flatnonzero(profile[1:] < inside[1:] / 2) + 1
    if below.size == 0:
        return float(min(pattern.shape)) / 2
    ring = int(below[0])
    upper, lower = profile[ring - 1], profile[ring]
    return float(ring - 1 + (upper - inside[ring] / 2) / max(upper - lower, 1e-12))
