"""Two patterns, pixel by pixel, window by window and reflection by reflection.

Measured or simulated, any two patterns on the same grid: of two domains, of two embedding channels,
of an experiment and a calculation. `register` brings a measured pattern onto a simulated one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate import Beams, positive

from .correlation import both, correlated, window_of
from .pattern_arrays import Array, beam_at, disk_radius_of
from .reflections import SURE, Disks, Indexed, weights_of


@dataclass(frozen=True, eq=False)
class ReflectionTable:
    """Integrated intensities of the reflections of two patterns; all arrays are ``[n]``.

    Parameters
    ----------
    hkl, g : ndarray
        ``[n, 3]`` Miller indices and ``[n, 2]`` detector components in 1/angstrom.
    a, b : ndarray
        Intensity above background, as a share of the whole pattern.
    error_a, error_b : ndarray
        One standard deviation from counting statistics; NaN where the counts are not known.
    ratio : ndarray
        ``a / b``.
    asymmetry, error : ndarray
        ``(a - b) / (a + b)`` and its standard deviation. NaN where ``a + b`` is less than three
        standard deviations above zero, or half of the disk is bad.
    covered : ndarray
        Share of the disk that is on good pixels.
    """

    hkl: Array
    g: Array
    a: Array
    b: Array
    error_a: Array
    error_b: Array
    ratio: Array
    asymmetry: Array
    error: Array
    covered: Array


@dataclass(frozen=True, eq=False)
class Comparison:
    """Pattern `a` compared with pattern `b`.

    Parameters
    ----------
    difference : ndarray
        float64 ``[ky, kx]``, ``a - b`` after both were divided by their sums; NaN on bad pixels.
    error : ndarray or None
        One standard deviation of `difference` from counting statistics, if counts were given.
    correlation, variation, overall
        As in `Correlation`.
    window : float
        Radius of the window in 1/angstrom.
    reflections : ReflectionTable or None
        Intensity by intensity, if reflections were given.
    """

    difference: Array
    error: Array | None
    correlation: Array
    variation: Array
    overall: float
    window: float
    reflections: ReflectionTable | None


def compare(
    a: Array,
    b: Array,
    *,
    k_step: float,
    window: float = 0.05,
    reflections: Indexed | None = None,
    centre: tuple[float, float] | None = None,
    disk_radius: float | None = None,
    counts_a: float | None = None,
    counts_b: float | None = None,
    bad: Array | None = None,
    background: bool = True,
) -> Comparison:
    """Compare two mean patterns, both measured, both simulated or one of each.

    Parameters
    ----------
    a, b : ndarray
        ``[ky, kx]``, on the same grid.
    k_step : float
        Size of a detector pixel in 1/angstrom.
    window : float
        Radius in 1/angstrom of the circular window of the correlation map.
    reflections : Indexed, optional
        ``hkl [n, 3]`` and ``g [n, 2]``, for example `Beams`: all disks on the detector, because one
        that is not listed ends up in the background of its neighbours.
    centre : tuple of float, optional
        The undiffracted beam ``(ky, kx)`` in pixels; the middle of the array by default.
    disk_radius : float, optional
        1/angstrom; by default estimated from the undiffracted disk.
    counts_a, counts_b : float, optional
        Total counts on good pixels that each pattern stands for: N times its sum for a mean of N
        patterns; None for a simulation, which has no noise.
    bad : ndarray, optional
        Bool ``[ky, kx]``: dead, hot or saturated pixels, left out of everything in both patterns.
        NaN are bad too. Saturation shows in `PatternStatistics.maximum`, not in a mean.
    background : bool
        Take off the mean of what surrounds each disk.

    Returns
    -------
    Comparison
        Maps, the overall correlation and the table of reflections.

    Raises
    ------
    ScanError
        If an argument does not fit the patterns; the message names it.

    Notes
    -----
    Formulae are on the page "Comparing with simulation" of the documentation. They are our reading
    of the maps of [1]_, which gives none.

    References
    ----------
    .. [1] Ludacka et al., npj Comput. Mater. 10, 106 (2024), Fig. 4.

    Examples
    --------
    >>> a, b = np.ones((16, 16)), np.ones((16, 16))
    >>> a[4, 8], b[12, 8] = 9, 9
    >>> found = compare(a, b, k_step=0.02)
    >>> bool(found.difference[4, 8] > 0 > found.difference[12, 8]), found.overall < 0.1
    (True, True)
    """
    one, two, good = both(a, b, bad)
    for name, values in (("a", one), ("b", two)):
        if not values.sum() > 0:
            raise ScanError(
                f"{name}: the sum of the pattern is not positive; use `correlate` for differences."
            )
    # Counts behind one unit of a pattern that was divided by its sum.
    per_unit = [
        None if n is None else positive(name, n)
        for name, n in (("counts_a", counts_a), ("counts_b", counts_b))
    ]
    one, two = one / one.sum(), two / two.sum()
    noise = [
        None if n is None else np.clip(x, 0, None) / n
        for x, n in zip((one, two), per_unit, strict=True)
    ]
    found = correlated(one, two, good, window_of(window, k_step, good.shape), noise[0], noise[1])
    table = None
    if reflections is not None:
        beam = beam_at(centre, good.shape)
        radius = disk_radius
        if radius is None:
            radius = disk_radius_of((one + two) / 2, beam) * k_step
        disks = weights_of(
            reflections,
            good,
            k_step=positive("k_step", k_step),
            centre=beam,
            disk_radius=positive("disk_radius", radius),
            background=background,
        )
        table = _table(one, two, noise, disks)
    known = [n for n in noise if n is not None]
    return Comparison(
        difference=np.where(good, one - two, np.nan),
        error=np.where(good, np.sqrt(sum(known)), np.nan) if known else None,
        correlation=found.map,
        variation=found.variation,
        overall=found.overall,
        window=float(window),
        reflections=table,
    )


def on_detector(
    reflections: Indexed,
    shape: tuple[int, int],
    *,
    k_step: float,
    disk_radius: float,
    centre: tuple[float, float] | None = None,
) -> Beams:
    """Return those reflections whose disks lie wholly on the detector.

    Parameters
    ----------
    reflections : Indexed
        ``hkl [n, 3]`` and ``g [n, 2]``.
    shape : tuple of int
        Detector pixels ``(ky, kx)``.
    k_step, disk_radius : float
        1/angstrom.
    centre : tuple of float, optional
        The undiffracted beam, pixels; the middle by default.
    """
    hkl, g = np.asarray(reflections.hkl), np.asarray(reflections.g, dtype=float)
    at = np.asarray(beam_at(centre, shape)) + g / positive("k_step", k_step)
    radius = positive("disk_radius", disk_radius) / k_step
    fits = (at - radius >= -0.5) & (at + radius <= np.array(shape) - 0.5)
    keep = fits.all(axis=1)
    return Beams(hkl[keep], g[keep])


def _table(a: Array, b: Array, noise: list[Array | None], disks: Disks) -> ReflectionTable:
    n = len(disks.hkl)
    intensity, error = np.empty((2, n)), np.full((2, n), np.nan)
    for i in range(n):
        weights = disks.weights(i, a.size)
        for side, pattern in enumerate((a, b)):
            intensity[side, i] = share = weights @ pattern.ravel()
            variance = noise[side]
            if variance is not None:
                # The pattern was divided by its sum, which holds the same counts.
                error[side, i] = np.sqrt((weights - share) ** 2 @ variance.ravel())
    # A simulation without noise next to a measurement adds none.
    given = np.array([v is not None for v in noise])
    sigma = np.where(given[:, None], error, 0.0 if given.any() else np.nan)
    total = intensity.sum(axis=0)
    usable_sum = (total > 0) & (disks.covered >= 0.5)
    if given.any():
        usable_sum &= total > SURE * np.hypot(*sigma)
    total = np.where(usable_sum, total, np.nan)
    cross = np.hypot(intensity[1] * sigma[0], intensity[0] * sigma[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(intensity[1] > 0, intensity[0] / intensity[1], np.nan)
    return ReflectionTable(
        hkl=disks.hkl,
        g=disks.g,
        a=intensity[0],
        b=intensity[1],
        error_a=error[0],
        error_b=error[1],
        ratio=ratio,
        asymmetry=(intensity[0] - intensity[1]) / total,
        error=2 * cross / total**2,
        covered=disks.covered,
    )
