"""Which detector pixels are hot or dead, found in the counts of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_ferro4d.frames import counted
from napari_ferro4d.io import Place, over_blocks
from napari_ferro4d.jobs import Report
from napari_ferro4d.scan import Scan


class CountStatistics(Protocol):
    """What is to be known of every pixel; see `napari_ferro4d.reduce.PatternStatistics`."""

    @property
    def mean(self) -> np.ndarray:
        """Mean counts ``[ky, kx]``."""

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the counts ``[ky, kx]``."""

    @property
    def patterns(self) -> int:
        """How many patterns they are of."""


def bad_pixels(statistics: CountStatistics, ratio: float = 2.0) -> np.ndarray:
    """Find hot and dead pixels: those that no pixel beside them comes near to.

    A hot pixel counts more than `ratio` times as much as the highest of its eight neighbours, a
    dead one less than the lowest of them divided by it, and by more than counting noise. A
    reflection has a flank wherever it falls on more than one pixel; one that does not is mistaken
    for a hot pixel. What hits a pixel once, as an X-ray does, makes no hot pixel of it.

    Parameters
    ----------
    statistics : PatternStatistics
        From `napari_ferro4d.reduce.pattern_statistics`.
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
        # Six standard deviations of the difference of two means: one pixel in 10^9. Counts vary as
        # Poisson has it, or as much more as they did: once very high is not always high.
        variance = np.maximum(more + less, statistics.deviation**2)
        with np.errstate(invalid="ignore", over="ignore"):  # where a count is infinite
            return np.asarray((more - less) ** 2 > 36 * variance / statistics.patterns)

    hot = (mean > ratio * highest) & beyond_noise(mean, highest)
    dead = (mean * ratio < lowest) & beyond_noise(lowest, mean)
    return np.asarray(hot | dead)


@dataclass(frozen=True, eq=False)
class _Counts:
    mean: np.ndarray
    deviation: np.ndarray
    patterns: int


def find_bad_pixels(scan: Scan, report: Report | None = None) -> np.ndarray:
    """Find hot and dead pixels in the counts of a scan, in one pass; see `bad_pixels`.

    Returns
    -------
    array
        Bool ``[ky, kx]``.
    """
    from . import kernels

    there = np.ones(scan.scan_shape, bool) if scan.missing is None else ~scan.missing
    count = int(np.count_nonzero(there))
    kind = counted(scan.dtype)
    whole = np.dtype(np.float64 if kind.kind == "f" else np.int64)

    def work(block: np.ndarray, place: Place) -> tuple[np.ndarray, np.ndarray]:
        sums, squares = np.zeros(scan.detector_shape, whole), np.zeros(scan.detector_shape)
        for row, recorded in zip(block, there[place], strict=True):
            kernels.add_counts(np.ascontiguousarray(row[recorded], kind), sums, squares)
        return sums, squares

    sums, squares = np.zeros(scan.detector_shape, whole), np.zeros(scan.detector_shape)
    for _, (some, some_squares) in over_blocks(scan, work, report, "averaging patterns"):
        sums += some
        squares += some_squares
    mean = sums / count
    with np.errstate(invalid="ignore", over="ignore"):  # where a count is infinite
        # Rounding may leave a pixel that never varies just below zero.
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return bad_pixels(_Counts(mean, deviation, count))
