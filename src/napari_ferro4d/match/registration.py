"""Where a simulated pattern lies in a measured one, and how to bring one onto the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ferro4d.errors import ScanError

from .pattern_arrays import Array, middle


@dataclass(frozen=True)
class Registration:
    """Where a simulated pattern lies in a measured one.

    A point of the simulated pattern, ``d`` pixels from its middle, is found in the measured one
    ``shift + scale * R(rotation) d`` from the middle of that; with `mirrored`, ``d`` is first
    mirrored left to right.

    Parameters
    ----------
    shift : tuple of float
        ``(ky, kx)`` in pixels of the measured pattern.
    rotation : float
        Degrees, counter-clockwise as drawn, by which the measured pattern is turned.
    scale : float
        Measured pixels per simulated pixel: the measured pixel is the simulated one divided by it.
    mirrored : bool
        Whether the measured pattern is a mirror image.
    score : float
        Correlation of the two outside the undiffracted disk, -1 to 1, on a compressed scale and
        without what is the same at all angles.
    measured_shape, simulated_shape : tuple of int
        Detector pixels ``(ky, kx)``.
    """

    shift: tuple[float, float]
    rotation: float
    scale: float
    mirrored: bool
    score: float
    measured_shape: tuple[int, int]
    simulated_shape: tuple[int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the simulated pattern ``(ky, kx)`` in pixels of the measured one."""
        ky, kx = middle(self.measured_shape)
        return ky + self.shift[0], kx + self.shift[1]

    def apply(self, measured: Array) -> Array:
        """Return a measured pattern on the grid of the simulated one.

        Parameters
        ----------
        measured : ndarray
            ``[ky, kx]``; NaN are bad pixels.

        Returns
        -------
        ndarray
            float64 of the simulated shape; counts are kept, NaN where nothing was measured.

        Notes
        -----
        Interpolation mixes neighbouring pixels: their noise is no longer independent. For
        statistics, `project` the simulation instead, as `identify` does.
        """
        _same(measured, self.measured_shape, "measured")
        matrix = matrix_of(self)
        at = np.asarray(self.centre)[:, None, None] + np.einsum(
            "ij,jyx->iyx", matrix, _offsets(self.simulated_shape)
        )
        return self.scale**2 * _resampled(np.asarray(measured, dtype=float), at, self.scale)

    def project(self, simulated: Array) -> Array:
        """Return a simulated pattern on the grid of the measured one, the opposite of `apply`.

        Parameters
        ----------
        simulated : ndarray
            ``[ky, kx]``.

        Returns
        -------
        ndarray
            float64 of the measured shape; NaN where nothing was simulated.
        """
        _same(simulated, self.simulated_shape, "simulated")
        at = np.asarray(middle(self.simulated_shape))[:, None, None] + towards(self)
        values = _resampled(np.asarray(simulated, dtype=float), at, 1 / self.scale)
        return values / self.scale**2


def _same(pattern: Array, shape: tuple[int, int], name: str) -> None:
    if np.shape(pattern) != shape:
        raise ScanError(f"{name}: has shape {np.shape(pattern)}, the registration is of {shape}.")


def matrix_of(r: Registration) -> Array:
    """Return the matrix that takes simulated offsets ``(ky, kx)`` to measured ones."""
    c, s = np.cos(np.deg2rad(r.rotation)), np.sin(np.deg2rad(r.rotation))
    # ky points down: counter-clockwise as drawn takes right (0, 1) to up (-1, 0).
    return np.asarray(r.scale * np.array([[c, -s], [s, c]]) * [1, -1 if r.mirrored else 1])


def _offsets(shape: tuple[int, ...]) -> Array:
    """Return ``[2, ky, kx]``: every pixel's distance from the middle."""
    return np.asarray(np.indices(shape) - np.asarray(middle(shape))[:, None, None])


def towards(r: Registration) -> Array:
    """Return for every measured pixel the simulated offset ``[2, ky, kx]`` it shows."""
    offset = _offsets(r.measured_shape) - np.asarray(r.shift)[:, None, None]
    return np.asarray(np.einsum("ij,jyx->iyx", np.linalg.inv(matrix_of(r)), offset))


def blurred(values: Array, sigma: float) -> Array:
    """Return a pattern blurred by a Gaussian of `sigma` pixels."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, sigma, mode="nearest")) if sigma > 0.1 else values


def filled(values: Array, good: Array) -> Array:
    """Return a pattern with each bad pixel replaced by its nearest good one."""
    from scipy.ndimage import distance_transform_edt

    if good.all():
        return values
    nearest = distance_transform_edt(~good, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def _resampled(values: Array, at: Array, step: float) -> Array:
    """Interpolate at the places ``[2, ky, kx]``; `step` is their distance in pixels."""
    from scipy.ndimage import map_coordinates

    good = np.isfinite(values)
    if not good.any():
        raise ScanError("measured: every pixel is NaN.")
    # Where pixels are thinned out, what lies between them has to be in them.
    smooth = blurred(filled(values, good), 0.5 * np.sqrt(max(step**2 - 1, 0)))
    out = map_coordinates(smooth, at, order=3, mode="nearest")
    clean = map_coordinates(good.astype(float), at, order=1, mode="constant", cval=0.0) > 0.99
    return np.where(clean, out, np.nan)
