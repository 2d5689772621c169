"""Rocking tables and convergent-beam patterns: what the detector sees of one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array, Crystal

from .scattering import (
    Beams,
    Indices,
    diffracted_intensities,
    structure_matrix,
    wavelength,
    zone_beams,
)

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report

__all__ = ["Optics", "RockingTable", "patterns", "rocking_table"]


# Grid points beyond the range asked for: a cubic spline bends wrongly at the ends of its table.
_MARGIN = 2


@dataclass(frozen=True)
class Optics:
    """A convergent probe and a pixel detector.

    Parameters
    ----------
    kilovolts : float
        Acceleration voltage.
    convergence : float
        Semi-angle of the probe in mrad.
    k_step : float
        Size of a detector pixel in 1/angstrom.
    detector_shape : tuple of int
        Pixels ``(ky, kx)``; the undiffracted disk is in the middle.
    """

    kilovolts: float = 200.0
    convergence: float = 1.8
    k_step: float = 0.02
    detector_shape: tuple[int, int] = (64, 64)

    @property
    def centre(self) -> tuple[float, float]:
        """Beam centre ``(ky, kx)`` in pixels, the middle of pixel 0 being 0.0."""
        return (self.detector_shape[0] - 1) / 2, (self.detector_shape[1] - 1) / 2

    @property
    def disk_radius(self) -> float:
        """Radius of a diffraction disk in 1/angstrom."""
        return self.convergence * 1e-3 / wavelength(self.kilovolts)


@dataclass(frozen=True, eq=False)
class RockingTable:
    """Intensity of every beam over beam direction and thickness, for one crystal.

    Parameters
    ----------
    intensity : ndarray
        ``[beam, ky, kx, thickness]``, the incident beam being 1.
    g : ndarray
        ``[beam, 2]`` detector components of each beam in 1/angstrom.
    k_t : ndarray
        Grid of transverse wave vectors in 1/angstrom, the same for ky and kx, even and symmetric.
    thickness : ndarray
        Grid of thicknesses in nm, even. Both grids reach two points further than may be asked for.
    """

    intensity: Array
    g: Array
    k_t: Array
    thickness: Array

    def mirrored(self) -> RockingTable:
        """Return the table of the crystal mirrored in its basal plane, without calculating again.

        Mirroring the crystal, the beam direction and the diffracted beam together changes nothing.
        """
        partner = _partners(self.g, self.g * [-1, 1])
        return RockingTable(self.intensity[partner][:, ::-1], self.g, self.k_t, self.thickness)


def rocking_table(
    crystal: Crystal,
    optics: Optics,
    *,
    tilt: float,
    thickness: tuple[float, float],
    g_max: float = 1.6,
    absorption: float = 0.03,
    zone_axis: Indices = (1, 0, 0),
    up: Indices = (0, 0, 1),
    report: Report | None = None,
) -> RockingTable:
    """Calculate the beams that reach the detector for all tilts and thicknesses of a specimen.

    Parameters
    ----------
    crystal : Crystal
        The crystal, seen along `zone_axis`.
    optics : Optics
        Its detector decides which beams are kept; all up to `g_max` take part.
    tilt : float
        Largest specimen tilt in mrad, in either direction; the convergence angle is added.
    thickness : tuple of float
        Smallest and largest thickness in nm.
    g_max : float
        Longest beam of the calculation in 1/angstrom.
    absorption : float
        See `structure_matrix`.
    zone_axis, up : sequence of int
        See `zone_beams`; by default [100] with c* up.
    report : callable, optional
        Called once per beam direction; may raise `Cancelled`.

    Raises
    ------
    ScanError
        If `zone_axis` and `up` do not belong together, or a tilt or thickness is negative or no
        number, or the thicknesses are in the wrong order.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from napari_ferro4d.jobs import Steps

    if not 0 <= tilt < np.inf:
        raise ScanError(f"tilt: the largest one in mrad, positive or zero, not {tilt!r}.")
    if not 0 <= thickness[0] <= thickness[1] < np.inf:
        raise ScanError(f"thickness: smallest and largest in nm are needed, not {thickness!r}.")
    beams = zone_beams(crystal, g_max, zone_axis, up)
    coupling = structure_matrix(crystal, beams, optics.kilovolts, absorption)
    kept = np.flatnonzero(_on_detector(beams, optics))
    # Rocking curves of an 80 nm crystal are 1 mrad wide or wider: half of that is a safe step.
    step = 0.5e-3 / wavelength(optics.kilovolts)
    reach = tilt * 1e-3 / wavelength(optics.kilovolts) + optics.disk_radius + optics.k_step
    half = int(np.ceil(reach / step)) + _MARGIN
    k_t = np.arange(-half, half + 1) * step
    intervals = max(1, int(np.ceil((thickness[1] - thickness[0]) / 2)))
    nm_step = (thickness[1] - thickness[0]) / intervals or 2.0
    nm = thickness[0] + nm_step * np.arange(-_MARGIN, intervals + 1 + _MARGIN)

    intensity = np.empty((len(kept), len(k_t), len(k_t), len(nm)))
    mirror = _left_right_partners(coupling, beams, optics)
    left_right = None if mirror is None else _partners(beams.g[kept], beams.g[kept] * [1, -1])
    first = half if mirror is not None else 0
    steps = Steps(report, len(k_t) * (len(k_t) - first), "diffraction table")
    # Matrices of 250 x 250 are too small to share: with two threads each takes ten times as long.
    with threadpool_limits(1):
        for y, ky in enumerate(k_t):
            # A mirror plane upright in the beam makes left and right of a pattern equal.
            for x in range(first, len(k_t)):
                direction = np.array([ky, k_t[x]])
                here = diffracted_intensities(coupling, beams, direction, nm, optics.kilovolts)
                intensity[:, y, x] = here[:, kept].T
                if left_right is not None:
                    intensity[:, y, len(k_t) - 1 - x] = here[:, kept[left_right]].T
                steps.add()
    return RockingTable(intensity, beams.g[kept], k_t, nm)


def patterns(
    table: RockingTable, optics: Optics, tilt_y: Array, tilt_x: Array, thickness: Array
) -> Array:
    """Return the expected pattern of each of n places, as a share of the incident electrons.

    Parameters
    ----------
    table : RockingTable
        Intensities of the crystal.
    optics : Optics
        As the table was made for.
    tilt_y, tilt_x : ndarray
        ``[n]`` mrad, direction of the incident beam in the frame of the crystal.
    thickness : ndarray
        ``[n]`` nm.

    Returns
    -------
    ndarray
        float64 ``[n, ky, kx]``; the sum is 1 less what is absorbed or misses the detector.

    Raises
    ------
    ScanError
        If a tilt or thickness lies outside the table.
    """
    from scipy.ndimage import map_coordinates, spline_filter

    per_mrad = 1e-3 / wavelength(optics.kilovolts)
    tilts = np.stack([tilt_y, tilt_x], axis=-1) * per_mrad
    depth = np.asarray(thickness)
    k_step, t_step = table.k_t[1] - table.k_t[0], table.thickness[1] - table.thickness[0]
    reach = np.abs(tilts).max() + optics.disk_radius + optics.k_step / 2
    if not reach <= table.k_t[-1] - _MARGIN * k_step + 1e-9:
        most = np.abs(tilts).max() / per_mrad
        raise ScanError(f"tilt: {most:g} mrad lies outside the rocking table; make it for more.")
    low, high = table.thickness[_MARGIN], table.thickness[-1 - _MARGIN]
    if not (low - 1e-4 <= depth.min() and depth.max() <= high + 1e-4):
        raise ScanError(
            f"thickness: {depth.min():g} to {depth.max():g} nm, but the rocking table reaches from "
            f"{low:g} to {high:g} nm."
        )

    t_index = (depth - table.thickness[0]) / t_step
    rows, cols = (
        np.arange(n) - c for n, c in zip(optics.detector_shape, optics.centre, strict=True)
    )
    pixel_k = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1) * optics.k_step
    disk_pixels = np.pi * (optics.disk_radius / optics.k_step) ** 2
    out = np.zeros((len(depth), *optics.detector_shape))
    for beam, g in enumerate(table.g):
        q = pixel_k - g
        # One pixel wide, soft edge of the aperture: a pixel that it cuts gets its share.
        inside = np.clip(
            (optics.disk_radius - np.hypot(*np.moveaxis(q, -1, 0))) / optics.k_step + 0.5, 0, 1
        )
        lit = inside > 0
        where = (q[lit][None] + tilts[:, None] - table.k_t[0]) / k_step
        at = [where[..., 0], where[..., 1], np.broadcast_to(t_index[:, None], where.shape[:2])]
        spline = spline_filter(table.intensity[beam], order=3, mode="mirror")
        value = map_coordinates(spline, at, order=3, mode="mirror", prefilter=False)
        out[:, lit] += inside[lit] / disk_pixels * np.clip(value, 0, None)
    return out


def _on_detector(beams: Beams, optics: Optics) -> Array:
    half = np.array(optics.detector_shape) / 2 * optics.k_step
    return np.asarray((np.abs(beams.g) < half + optics.disk_radius + optics.k_step).all(axis=-1))


def _left_right_partners(coupling: Array, beams: Beams, optics: Optics) -> Array | None:
    """Return the mirror partner of each beam, None where left and right of a pattern differ."""
    partner = _partners(beams.g, beams.g * [1, -1])
    if np.abs(beams.g[partner] - beams.g * [1, -1]).max() > 1e-6:
        return None
    # One beam direction off the mirror line shows whether the crystal has the plane.
    somewhere, nm = np.array([0.0123, 0.0217]), np.array([40.0])
    one = diffracted_intensities(coupling, beams, somewhere, nm, optics.kilovolts)[0]
    other = diffracted_intensities(coupling, beams, somewhere * [1, -1], nm, optics.kilovolts)[0]
    return partner if np.abs(one[partner] - other).max() < 1e-8 else None


def _partners(g: Array, images: Array) -> Array:
    """Return for each vector of `images` its index in `g`."""
    distance = np.abs(images[:, None] - g[None]).max(axis=-1)
    return np.asarray(distance.argmin(axis=1))
