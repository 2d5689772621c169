"""Fit one simulated pattern to counts: scale, background, and how far from Poisson it stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .pattern_arrays import Array, disk_radius_of, middle

_AT_ONCE = 500_000
"""Numbers that are fitted together: patterns times pixels with counts; 4 MB."""


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


def fit_patterns(counts: Array, patterns: Sequence[Array]) -> tuple[Array, Array]:
    """Fit ``N ((1 - b) S + b U)``, S a pattern and U an even background, to counts ``[pixel]``.

    The scale needs no search: at the maximum the expected counts have the sum of the counts. What
    is left is a concave function of one number b from 0 to 1 for each pattern.

    Parameters
    ----------
    counts : ndarray
        ``[pixel]``.
    patterns : sequence of ndarray
        Each ``[pixel]``.

    Returns
    -------
    tuple of ndarray
        ``[pattern]`` share of the background, and log-likelihood without what depends on the
        counts alone.
    """
    lit = counts > 0
    together = max(1, _AT_ONCE // max(1, int(np.count_nonzero(lit))))
    found = [
        _fitted(counts[lit], np.stack([_shape(p)[lit] for p in patterns[i : i + together]]), lit)
        for i in range(0, len(patterns), together)
    ]
    background, likelihood = np.concatenate(found, axis=1)
    return background, likelihood


def fit_of(counts: Array, pattern: Array) -> Fit:
    """Return the fit of one pattern ``[pixel]`` with all that is expected."""
    (background,), (likelihood,) = fit_patterns(counts, [pattern])
    shape = _shape(pattern)
    expected = counts.sum() * (shape + background * (1 / counts.size - shape))
    return Fit(expected, float(likelihood), float(background))


def _shape(pattern: Array) -> Array:
    total = float(pattern.sum())
    return pattern / total if total > 0 else np.full(pattern.shape, 1 / pattern.size)


def _fitted(n: Array, s: Array, lit: Array) -> Array:
    """Return ``[2, pattern]``: background and log-likelihood, for the pixels with counts."""
    even, total = 1 / lit.size, float(n.sum())
    # The derivative falls from left to right. Counts where no intensity is expected keep b above 0.
    low, high = np.full(len(s), 1e-9), np.ones(len(s))
    b = np.full(len(s), 0.05)
    left = np.arange(len(s))
    for _ in range(60):
        here = b[left]
        share = even - s[left]
        share /= s[left] + here[:, None] * share
        gradient, curvature = share @ n, -(share**2) @ n
        low[left] = np.where(gradient > 0, here, low[left])
        high[left] = np.where(gradient > 0, high[left], here)
        # Newton where it stays inside the bracket, else the middle, on a logarithmic scale.
        step = here - gradient / np.where(curvature < 0, curvature, -np.inf)
        inside = (low[left] < step) & (step < high[left])
        b[left] = np.where(inside, step, np.sqrt(low[left] * high[left]))
        left = left[(np.abs(b[left] - here) > 1e-9 * here) & (high[left] > 1e-8)]
        if not left.size:
            break
    model = total * (s + b[:, None] * (even - s))
    return np.stack([b, np.log(model) @ n - total])


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
