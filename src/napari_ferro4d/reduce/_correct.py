"""Which detector pixels are hot or dead, and `correct`, which puts them right."""

from __future__ import annotations

import numpy as np

from napari_ferro4d.correction import correct

from ._pattern import PatternStatistics

__all__ = ["bad_pixels", "correct"]


def bad_pixels(statistics: PatternStatistics, ratio: float = 2.0) -> np.ndarray:
    """Find hot and dead pixels: those that no pixel beside them comes near to.

    A hot pixel counts more than `ratio` times as much as the highest of its eight neighbours, a
    dead one less than the lowest of them divided by it, and by more than counting noise. A
    reflection has a flank wherever it falls on more than one pixel; one that does not is mistaken
    for a hot pixel. What hits a pixel once, as an X-ray does, makes no hot pixel of it.

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
        # Six standard deviations of the difference of two means: one pixel in 10^9. Counts vary as
        # Poisson has it, or as much more as they did: once very high is not always high.
        variance = np.maximum(more + less, statistics.deviation**2)
        with np.errstate(invalid="ignore", over="ignore"):  # where a count is infinite
            return np.asarray((more - less) ** 2 > 36 * variance / statistics.patterns)

    hot = (mean > ratio * highest) & beyond_noise(mean, highest)
    dead = (mean * ratio < lowest) & beyond_noise(lowest, mean)
    return np.asarray(hot | dead)
