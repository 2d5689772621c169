"""The values of a channel: their histogram, and the probe positions in a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ferro4d.errors import ScanError

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_BLUR = 2.0
"""Standard deviation, in units of the histogram's resolution, by which it is smoothed."""

_SURE = 5.0
"""Standard deviations of its counts by which a peak has to rise above both of its sides."""

_LEAST_SHARE = 0.02
"""Of the highest peak, by which any other has to rise above both of its sides."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often the values of a channel occur.

    Parameters
    ----------
    edges : ndarray
        ``[bins + 1]``, of the channel's lowest to its highest value, evenly spaced.
    counts : ndarray
        int64 ``[bins]``: probe positions.
    peaks : tuple of float
        Values at which it has a peak, from low to high.
    """

    edges: Floats
    counts: npt.NDArray[np.int64]
    peaks: tuple[float, ...]


def histogram(channel: npt.ArrayLike, bins: int = 200) -> Histogram:
    """Count the values of a channel, and find the peaks.

    Parameters
    ----------
    channel : array
        ``[y, x]``; NaN is left out.
    bins : int
        How many. 200 are those of the paper's figures.

    Returns
    -------
    Histogram
        A constant channel has one bin filled, and its peak there.

    Raises
    ------
    ScanError
        If no value is finite, or there are no bins.

    Notes
    -----
    Peaks are looked for in the counts blurred by a Gaussian, of a width that falls with the number
    of positions. Each has to rise above the lower ground on both of its sides by five standard
    deviations of its counts and by 2 % of the highest. The first and the last bin can be peaks: a
    channel of rectified values has one at zero.

    References
    ----------
    Ludacka et al., npj Comput. Mater. 10, 106 (2024), doi:10.1038/s41524-024-01265-y.

    Examples
    --------
    >>> found = histogram(np.repeat([[0.0, 1.0, 4.0]], 100, axis=0))
    >>> len(found.counts), [round(peak, 1) for peak in found.peaks]
    (200, [0.0, 1.0, 4.0])
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    if bins < 1:
        raise ScanError(f"{bins} bins hold no histogram; ask for 1 or more.")
    values = np.asarray(channel, np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise ScanError("the channel holds no finite value, so it has no histogram.")
    counts, edges = np.histogram(values, bins)
    sigma = _BLUR
    padded = np.pad(counts.astype(float), int(4 * sigma) + 2)
    smooth = gaussian_filter1d(padded, sigma, mode="constant")
    # Blurred counts of a Poisson process vary by less than the counts themselves.
    noise = np.sqrt(smooth / (2 * np.sqrt(np.pi) * sigma))
    found, of = find_peaks(smooth, prominence=_LEAST_SHARE * smooth.max())
    sure = of["prominences"] > _SURE * noise[found]
    if not sure.any():
        sure = np.arange(len(found)) == np.argmax(smooth[found])
    middle = (edges[:-1] + edges[1:]) / 2
    at = np.clip(found[sure] - (len(padded) - bins) // 2, 0, bins - 1)
    return Histogram(edges, counts.astype(np.int64), tuple(float(middle[i]) for i in at))


def within(channel: npt.ArrayLike, low: float, high: float) -> Bools:
    """Return the probe positions whose value lies in a range, its ends included.

    Parameters
    ----------
    channel : array
        ``[y, x]``; NaN lies in no range.
    low, high : float
        Ends of the range, in any order.

    Returns
    -------
    ndarray
        bool ``[y, x]``, what `mean_pattern` takes: the paper's "virtual aperture".

    Examples
    --------
    >>> within([[0.0, 1.0, 2.0, np.nan]], 2, 1).tolist()
    [[False, True, True, False]]
    """
    values = np.asarray(channel)
    low, high = min(low, high), max(low, high)
    return np.asarray((values >= low) & (values <= high))


def gate(
    channel_a: npt.ArrayLike, channel_b: npt.ArrayLike, polygon: Sequence[tuple[float, float]]
) -> Bools:
    """Return the probe positions whose pair of values lies inside a polygon.

    Parameters
    ----------
    channel_a, channel_b : array
        ``[y, x]`` each; NaN lies outside.
    polygon : sequence of tuple of float
        Corners ``(a, b)`` in the plane of the two channels, three or more, closed by itself.

    Returns
    -------
    ndarray
        bool ``[y, x]``.

    Raises
    ------
    ScanError
        If the channels differ in shape, or the polygon is none.

    Examples
    --------
    >>> gate([[0.5, 2.0]], [[0.5, 0.5]], [(0, 0), (1, 0), (1, 1), (0, 1)]).tolist()
    [[True, False]]
    """
    from skimage.measure import points_in_poly

    a, b = np.asarray(channel_a, np.float64), np.asarray(channel_b, np.float64)
    if a.shape != b.shape:
        raise ScanError(f"the channels have shapes {a.shape} and {b.shape}; take two of one scan.")
    corners = np.asarray(polygon, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ScanError("a gate is a polygon of three corners (a, b) or more.")
    if not np.isfinite(corners).all():
        raise ScanError("a corner of the gate is no finite number.")
    inside = np.zeros(a.shape, bool)
    near = within(a, *_ends(corners[:, 0])) & within(b, *_ends(corners[:, 1]))
    inside[near] = points_in_poly(np.column_stack([a[near], b[near]]), corners)
    return inside


def _ends(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())
