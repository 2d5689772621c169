"""From expected electrons to counts: background, point spread, noise, read-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ferro4d.simulate.crystal import Array, scattering_factor
from napari_ferro4d.simulate.diffraction import Optics

if TYPE_CHECKING:
    from .spec import Spec

_FWHM = 2.354820045  # of a Gaussian, in standard deviations

# First and second diffuse ring of amorphous carbon: position and width in 1/angstrom, height over
# the scattering of single atoms. Rounded from the maxima of its structure factor at 2 pi q of
# about 3.0 and 5.4 /angstrom.
_RINGS = ((0.48, 0.07, 0.7), (0.86, 0.10, 0.35))
_Q_STEP = 0.005
_Q_MAX = 4.0


@dataclass(frozen=True, eq=False)
class Detector:
    """A pixel detector.

    Parameters
    ----------
    kernel : ndarray
        float32 point spread along one axis, of odd length; the sum is 1.
    dead, hot : ndarray
        bool ``[ky, kx]``.
    hot_counts : float
        Mean extra counts of a hot pixel per pattern.
    full_scale : int
        Largest count.
    dtype : numpy.dtype
        Of the counts.
    """

    kernel: Array
    dead: Array
    hot: Array
    hot_counts: float
    full_scale: int
    dtype: np.dtype[Any]


def detector_of(spec: Spec) -> Detector:
    """Return the detector of a spec; dead and hot pixels are placed by its seed."""
    keys = spec.detector
    rng = np.random.default_rng(np.random.SeedSequence(spec.seed, spawn_key=(0,)))
    dead, hot = np.zeros(keys.shape, bool), np.zeros(keys.shape, bool)
    for chosen, pixels in ((dead, keys.dead), (hot, keys.hot)):
        if isinstance(pixels, tuple):
            for at in pixels:
                chosen[at] = True
    for chosen, pixels in ((dead, keys.dead), (hot, keys.hot)):
        if isinstance(pixels, int):
            free = np.flatnonzero(~(dead | hot))
            chosen.flat[rng.choice(free, pixels, replace=False)] = True
    return Detector(
        _kernel(keys.point_spread),
        dead,
        hot,
        keys.hot_counts,
        spec.full_scale,
        np.dtype(np.uint8 if keys.bits <= 8 else np.uint16),
    )


def _kernel(fwhm: float) -> Array:
    """Return the shares of a Gaussian that fall into a pixel and its neighbours."""
    from scipy.special import ndtr

    if fwhm == 0:
        return np.ones(1, np.float32)
    sigma = fwhm / _FWHM
    half = int(np.ceil(4 * sigma))
    edges = np.arange(-half - 0.5, half + 1)
    shares = np.diff(ndtr(edges / sigma))
    return np.asarray(shares / shares.sum(), dtype=np.float32)


def amorphous_profile(optics: Optics) -> Array:
    """Return the diffuse rings of an amorphous layer as the detector sees them.

    Scattering of carbon atoms, times the two rings of amorphous carbon, smeared by the cone of the
    probe. A layer thick enough for multiple scattering is not described.

    Returns
    -------
    ndarray
        float32 ``[sample]``: share of the scattered electrons per pixel, every 0.005 1/angstrom
        from the beam outwards.
    """
    q = np.arange(0, _Q_MAX, _Q_STEP)
    # The cone of the probe, as points spread evenly over it.
    turns, points = np.pi * (3 - np.sqrt(5)), 200
    radius = optics.disk_radius * np.sqrt((np.arange(points) + 0.5) / points)
    offset_x, offset_y = (radius * f(turns * np.arange(points)) for f in (np.cos, np.sin))
    smeared = _rings(np.hypot(q[:, None] + offset_x, offset_y)).mean(axis=1)
    all_angles = (2 * np.pi * q * smeared).sum() * _Q_STEP
    return np.asarray(smeared / all_angles * optics.k_step**2, dtype=np.float32)


def _rings(q: Array) -> Array:
    order = sum(height * np.exp(-(((q - at) / width) ** 2)) for at, width, height in _RINGS)
    return np.asarray(scattering_factor("C", q) ** 2 * (1 + order))


def add_background(
    patterns: Array, profile: Array, optics: Optics, weight: float, shift: Array
) -> None:
    """Add `weight` times the diffuse rings to patterns ``[n, ky, kx]`` shifted by ``[n, 2]``."""
    from napari_ferro4d.simulate.diffraction import add_rings

    if weight:
        add_rings(patterns, profile, _Q_STEP, optics.k_step, *optics.centre, weight, shift)


def read_out(expected: Array, detector: Detector, rng: np.random.Generator) -> Array:
    """Return the counts of one exposure.

    The point spread acts on single electrons, each counted in one pixel, so that the noise stays
    that of Poisson and pixels stay independent. Hot pixels add counts of their own, a pixel stops
    at full scale, and dead pixels read zero whatever reaches them.

    Parameters
    ----------
    expected : ndarray
        float32 ``[n, ky, kx]``, mean electrons on each pixel; overwritten.
    detector : Detector
        The detector.
    rng : numpy.random.Generator
        Patterns are drawn one after the other, so that a row may be read in any chunks.

    Returns
    -------
    ndarray
        ``[n, ky, kx]`` of the detector's type.
    """
    from napari_ferro4d.simulate.diffraction import blur

    if len(detector.kernel) > 1:
        blur(expected, detector.kernel)
    if detector.hot_counts:
        expected[:, detector.hot] += np.float32(detector.hot_counts)
    counts = rng.poisson(expected)
    np.minimum(counts, detector.full_scale, out=counts)
    counts[:, detector.dead] = 0
    return np.asarray(counts, dtype=detector.dtype)
