"""Fit one simulated pattern to counts: scale, background, and how far from Poisson it stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, disk_radius_of, middle

__all__ = ["Fit", "dispersion", "explained", "fitted"]


@dataclass(frozen=True, eq=False)
class Fit:
    """The best fit of one candidate to the counts of good pixels.

    Parameters
    ----------
    expected : ndarray
        ``[pixel]`` expected counts.
    log_likelihood : float
        Poisson, without what depends on the counts alone.
    background : float
        Share of the counts in the even background.
    """

    expected: Array
    log_likelihood: float
    background: float


def fitted(counts: Array, pattern: Array) -> Fit:
    """Fit ``N ((1 - b) S + b U)``, S the pattern and U an even background, to counts ``[pixel]``.

    The scale needs no search: at the maximum the expected counts have the sum of the counts. What
    is left is a concave function of one number b from 0 to 1.
    """
    total = float(counts.sum())
    even = 1 / counts.size
    shape = pattern / pattern.sum() if pattern.sum() > 0 else np.full_like(counts, even)
    lit = counts > 0
    n, s = counts[lit], shape[lit]
    # The derivative falls from left to right. Counts where no intensity is expected keep b above 0.
    low, high = 1e-9, 1.0
    b = 0.05
    for _ in range(60):
        model = s + b * (even - s)
        slope = float((n * (even - s) / model).sum())
        bend = -float((n * ((even - s) / model) ** 2).sum())
        low, high = (b, high) if slope > 0 else (low, b)
        if high - low < 1e-10:
            break
        step = b - slope / bend if bend < 0 else low
        # Newton where it stays inside the bracket, else the middle, on a logarithmic scale.
        new = step if low < step < high else float(np.sqrt(low * high))
        if abs(new - b) < 1e-9 * b:
            b = new
            break
        b = new
    expected = total * (shape + b * (even - shape))
    return Fit(expected, float((n * np.log(expected[lit])).sum() - total), b)


def dispersion(values: Array, good: Array, best: Fit, other: Fit) -> float:
    """Return how many times larger than Poisson's the scatter about the best fit is, at least 1.

    Three estimates, of which the largest is taken, because errors of a simulation run through whole
    disks and add up there, where counting noise does not. Pixel by pixel: the sum of squared
    residuals over the sum of expected counts. In the direction that tells the two fits apart: what
    each region of a disk's size adds to the difference of log-likelihoods, squared, against what
    Poisson noise would. And over all: what chi-square exceeds that of noise by, with one degree of
    freedom for each region instead of each pixel.

    Parameters
    ----------
    values : ndarray
        ``[ky, kx]`` counts.
    good : ndarray
        Bool ``[ky, kx]``: the pixels of the fits.
    best, other : Fit
        The two to be told apart.
    """
    mean = best.expected
    residual = values[good] - mean
    pixels = float((residual**2).sum() / max(mean.sum(), 1e-300))

    image = np.zeros(values.shape)
    image[good] = mean
    side = max(2, round(2 * disk_radius_of(image, middle(values.shape))))
    ky, kx = np.nonzero(good)
    region = (ky // side) * (values.shape[1] // side + 1) + kx // side
    ratio = np.log(mean / other.expected)
    seen = np.bincount(region, residual * ratio)
    chance = float((mean * ratio**2).sum())
    across = float((seen**2).sum()) / chance if chance > 0 else 1.0

    # One count more in the variance keeps single counts in the dark from deciding. The mean over
    # noise is zero exactly, and the spread is that of a Poisson variable's square.
    excess = float(((residual**2 - mean) / (mean + 1)).sum())
    spread = float(np.sqrt(((2 * mean**2 + mean) / (mean + 1) ** 2).sum()))
    regions = np.count_nonzero(np.bincount(region))
    overall = 1 + max(0.0, excess - 2 * spread) / regions
    return max(1.0, pixels, across, overall)


def explained(values: Array, good: Array, fit: Fit) -> tuple[float, bool]:
    """Return which share of the reflections a fit explains, and whether they tell it fits at all.

    Against the counts averaged over the angle, which hold the undiffracted disk and rings but no
    reflections. Each pixel weighs by its expected variance; the share that noise alone would leave
    is taken off both. With few counts that share cannot be measured, NaN; the fit may then still
    be much likelier than the rings, by ten more than the number of rings (each is a free number).
    """
    centre = middle(values.shape)
    ky, kx = np.nonzero(good)
    ring = np.rint(np.hypot(ky - centre[0], kx - centre[1])).astype(int)
    n = values[good]
    pixels = np.bincount(ring)
    even = (np.bincount(ring, n) / np.maximum(pixels, 1))[ring]
    # One count more in the variance keeps single counts in the dark from deciding.
    variance = (even + fit.expected) / 2 + 1
    noise = float((fit.expected / variance).sum())
    rings = float(((n - even) ** 2 / variance).sum()) - noise
    rest = float(((n - fit.expected) ** 2 / variance).sum()) - noise
    if rings > 5 * np.sqrt(2 * n.size):
        return 1 - rest / rings, True
    lit = n > 0
    gain = fit.log_likelihood - float((n[lit] * np.log(even[lit])).sum() - n.sum())
    return float("nan"), bool(gain > 10 + np.count_nonzero(pixels))
