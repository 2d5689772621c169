"""The normalised cross-correlation of two patterns, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import positive

from .pattern_arrays import Array, usable

_SURE = 3.0
"""Standard deviations by which contrast has to exceed what noise alone would make."""


@dataclass(frozen=True, eq=False)
class Correlation:
    """How alike two patterns are, in every window and over all.

    Parameters
    ----------
    map : ndarray
        float64 ``[ky, kx]``, -1 to 1: normalised cross-correlation of the windows about each pixel;
        NaN where one of the two has no contrast there beyond its noise, or half of the window is
        bad or off the detector: there is nothing to correlate.
    variation : ndarray
        float64 ``[ky, kx]``, at least 0: what the window adds to ``1 - overall``; NaN where half of
        the window is bad or off the detector.
    overall : float
        Normalised cross-correlation of the whole patterns.
    """

    map: Array
    variation: Array
    overall: float


def correlate(
    a: Array,
    b: Array,
    *,
    k_step: float,
    window: float = 0.05,
    noise_a: Array | None = None,
    noise_b: Array | None = None,
    bad: Array | None = None,
) -> Correlation:
    """Correlate two patterns window by window; differences of patterns, with either sign, too.

    Parameters
    ----------
    a, b : ndarray
        ``[ky, kx]`` on the same grid. A factor and an offset between them make no difference.
    k_step, window : float
        Size of a pixel and radius of the window in 1/angstrom.
    noise_a, noise_b : ndarray, optional
        ``[ky, kx]`` standard deviation of every pixel; none by default.
    bad : ndarray, optional
        Bool ``[ky, kx]``.

    Returns
    -------
    Correlation
        Two maps and a number.

    Raises
    ------
    ScanError
        If an argument does not fit the patterns; the message names it.

    Examples
    --------
    >>> difference = np.random.default_rng(0).normal(size=(32, 32))
    >>> round(correlate(difference, -2 * difference + 1, k_step=0.02).overall, 3)
    -1.0
    """
    one, two, good = both(a, b, bad)
    variances = []
    for name, noise in (("noise_a", noise_a), ("noise_b", noise_b)):
        if noise is not None and np.shape(noise) != good.shape:
            raise ScanError(f"{name}: has shape {np.shape(noise)}, the patterns {good.shape}.")
        if noise is not None and not (np.abs(np.asarray(noise, dtype=float)[good]) < 1e60).all():
            raise ScanError(f"{name}: is not finite on a good pixel; mark it bad.")
        known = None if noise is None else np.where(good, np.asarray(noise, dtype=float), 0.0)
        variances.append(None if known is None else known**2)
    kernel = window_of(window, k_step, good.shape)
    return correlated(one, two, good, kernel, variances[0], variances[1])


def both(a: Array, b: Array, bad: Array | None) -> tuple[Array, Array, Array]:
    """Return two patterns of one shape, zero where bad, and where both are good."""
    one, good_a = usable("a", a, bad)
    if np.shape(b) != one.shape:
        raise ScanError(
            f"b: has shape {np.shape(b)}, but a has {one.shape}; `register` brings them together."
        )
    two, good_b = usable("b", b, bad)
    good = good_a & good_b
    if np.count_nonzero(good) < 9:
        raise ScanError("bad: fewer than nine pixels are good in both patterns.")
    one, two = np.where(good, one, 0.0), np.where(good, two, 0.0)
    for name, values in (("a", one), ("b", two)):
        if not np.ptp(values[good]) > 0:
            raise ScanError(
                f"{name}: all good pixels have the same value; nothing can be compared."
            )
    return one, two, good


def window_of(radius: float, k_step: float, shape: tuple[int, ...]) -> Array:
    """Return the weights ``[n, n]`` of a circular window; its edge is one pixel wide."""
    pixels = positive("window", radius) / positive("k_step", k_step)
    if pixels < 1:
        raise ScanError(
            f"window: a radius of {radius:g} 1/angstrom is smaller than a pixel of {k_step:g}."
        )
    if 2 * pixels + 1 > min(shape):
        raise ScanError(
            f"window: a radius of {radius:g} 1/angstrom is {pixels:.1f} pixels, too large for a "
            f"pattern of {shape[0]} x {shape[1]}."
        )
    reach = int(np.ceil(pixels + 0.5))
    axis = np.arange(-reach, reach + 1)
    return np.clip(pixels + 0.5 - np.hypot(axis[:, None], axis[None]), 0, 1)


def correlated(
    a: Array, b: Array, good: Array, kernel: Array, noise_a: Array | None, noise_b: Array | None
) -> Correlation:
    """Correlate checked patterns in the window `kernel`; see `correlate`."""
    from scipy.ndimage import correlate as filtered

    def total(values: Array, weights: Array = kernel) -> Array:
        return np.asarray(filtered(np.where(good, values, 0.0), weights, mode="constant", cval=0.0))

    weight = total(np.ones_like(a))
    enough = weight >= 0.5 * kernel.sum()
    share = np.where(enough, weight, 1.0)
    # Independent pixels in a window, for how far a variance strays by chance.
    pixels = share**2 / np.where(enough, total(np.ones_like(a), kernel**2), 1.0)

    za, zb = ((x - x[good].mean()) / x[good].std() for x in (a, b))
    mean_a, mean_b = total(za) / share, total(zb) / share
    var_a = total(za**2) / share - mean_a**2
    var_b = total(zb**2) / share - mean_b**2
    covariance = total(za * zb) / share - mean_a * mean_b
    seen = enough.copy()
    for x, z, mean, variance, noise in (
        (a, za, mean_a, var_a, noise_a),
        (b, zb, mean_b, var_b, noise_b),
    ):
        # What rounding leaves of a flat window is no contrast.
        least = 1e-10 * (total(z**2) / share + mean**2 + 1e-6)
        if noise is not None:
            chance = total(noise / x[good].var()) / share
            # A variance made of noise alone strays by sqrt(2 / pixels) of itself.
            least = np.maximum(least, chance * (1 + _SURE * np.sqrt(2 / pixels)))
        seen &= variance > least
    norm = np.sqrt(np.where(seen, var_a * var_b, 1.0))
    return Correlation(
        map=np.where(seen, np.clip(covariance / norm, -1, 1), np.nan),
        variation=np.where(enough, total((za - zb) ** 2) / share / 2, np.nan),
        overall=float((za[good] * zb[good]).mean()),
    )
