"""Electrons in a crystal: beams, structure factors and how they couple the beams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array, Crystal, scattering_factor

Indices = Sequence[int] | Array

_ELECTRON_REST_KEV = 510.99895
_HC_KEV_ANGSTROM = 12.39841984


def wavelength(kilovolts: float) -> float:
    """Return the relativistic electron wavelength in angstrom.

    Examples
    --------
    >>> round(wavelength(200), 5)
    0.02508
    """
    return _HC_KEV_ANGSTROM / float(np.sqrt(kilovolts * (2 * _ELECTRON_REST_KEV + kilovolts)))


def structure_factor(crystal: Crystal, hkl: Array) -> Array:
    """Return ``F = sum f exp(-B g^2/4) exp(-2 pi i g.r)`` in angstrom.

    Parameters
    ----------
    crystal : Crystal
        Atoms of one cell.
    hkl : ndarray
        ``[..., 3]`` Miller indices.

    Returns
    -------
    ndarray
        Complex ``[...]``. The sign is that of the Fourier coefficient of the potential, so that
        ``V(r) = sum V_g exp(+2 pi i g.r)``.
    """
    hkl = np.asarray(hkl)
    g = crystal.g_length(hkl)
    total = np.zeros(hkl.shape[:-1], dtype=complex)
    for element in dict.fromkeys(crystal.elements):
        here = [i for i, e in enumerate(crystal.elements) if e == element]
        phase = hkl @ crystal.positions[here].T
        b = crystal.debye_waller[element]
        f = scattering_factor(element, g) * np.exp(-b * g**2 / 4)
        total += f * (np.exp(-2j * np.pi * phase) @ crystal.occupancies[here])
    return total


@dataclass(frozen=True, eq=False)
class Beams:
    """The beams of the zero-order Laue zone of a zone axis.

    Parameters
    ----------
    hkl : ndarray
        ``[beam, 3]`` Miller indices; beam 0 is the undiffracted one.
    g : ndarray
        ``[beam, 2]`` detector components ``(ky, kx)`` in 1/angstrom; up is negative ky.
    """

    hkl: Array
    g: Array


def detector_frame(crystal: Crystal, zone_axis: Indices, up: Indices) -> Array:
    """Return the unit vectors right, up and along the beam as rows ``[3, 3]``, right-handed.

    Parameters
    ----------
    crystal : Crystal
        Gives both lattices.
    zone_axis : sequence of int
        Direct lattice direction ``[uvw]`` that the beam runs along.
    up : sequence of int
        Reciprocal lattice vector ``hkl`` that points up on the detector, to negative ky.

    Raises
    ------
    ScanError
        If either is zero or not three whole numbers, or `up` is not perpendicular to the zone axis.
    """
    uvw, hkl = _indices(zone_axis, "zone_axis"), _indices(up, "up")
    if uvw @ hkl != 0:
        name = crystal.name or "the crystal"
        raise ScanError(
            f"up: ({' '.join(map(str, hkl))}) does not belong to the zone axis "
            f"[{' '.join(map(str, uvw))}] of {name}: hu + kv + lw must be 0."
        )
    beam, upward = uvw @ crystal.lattice, hkl @ crystal.reciprocal
    beam, upward = beam / np.linalg.norm(beam), upward / np.linalg.norm(upward)
    return np.stack([np.cross(upward, beam), upward, beam])


def _indices(value: Indices, key: str) -> Array:
    numbers = np.asarray(value)
    if numbers.shape != (3,) or numbers.dtype.kind not in "iu" or not numbers.any():
        raise ScanError(f"{key}: three whole numbers, not all zero, are needed, not {value!r}.")
    return numbers


def zone_beams(
    crystal: Crystal, g_max: float, zone_axis: Indices = (1, 0, 0), up: Indices = (0, 0, 1)
) -> Beams:
    """Return the beams of a zone axis with ``|g| <= g_max``, shortest first.

    Right, up and the beam direction are a right-handed frame; the default has b* to the right
    (+kx), c* up (-ky) and the beam along the crystal's a axis. Beams that no dynamical path
    leads to, because they are no sum of reflections of the zone that exist (glide planes,
    centrings), are left out.

    Parameters
    ----------
    crystal : Crystal
        Gives the reciprocal lattice and the extinctions.
    g_max : float
        Longest reciprocal vector in 1/angstrom.
    zone_axis : sequence of int
        Direct lattice direction ``[uvw]`` that the beam runs along.
    up : sequence of int
        Reciprocal lattice vector ``hkl`` of the zone that points up.

    Raises
    ------
    ScanError
        If `zone_axis` or `up` is not a direction, or they do not belong together.
    """
    frame = detector_frame(crystal, zone_axis, up)
    hkl = _zone(crystal, g_max, np.asarray(zone_axis))
    vectors = hkl @ crystal.reciprocal
    g = np.stack([-vectors @ frame[1], vectors @ frame[0]], axis=-1)
    # Positions of atoms carry rounding errors, which would scatter the order of equal lengths.
    length = np.round(np.hypot(*g.T), 9)
    order = np.lexsort((*hkl.T, length))
    hkl, g = hkl[order], g[order]
    reached = _reached(crystal, hkl)
    return Beams(hkl[reached], g[reached])


def _zone(crystal: Crystal, g_max: float, uvw: Array) -> Array:
    """Return all hkl of the zone with ``|g| <= g_max``."""
    # No index of g is longer than |g| times the axis it belongs to.
    most = np.floor(g_max * np.linalg.norm(crystal.lattice, axis=1) + 1e-9).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1)
    hkl = hkl.reshape(-1, 3)
    hkl = hkl[hkl @ uvw == 0]
    return np.asarray(hkl[crystal.g_length(hkl) <= g_max])


def _reached(crystal: Crystal, hkl: Array) -> Array:
    """Tell which beams are sums of beams with a non-zero structure factor."""
    size = np.abs(structure_factor(crystal, hkl))
    basis = _echelon(hkl[size > 1e-6 * size.max()])
    rest = hkl.copy()
    for row in basis:
        column = np.flatnonzero(row)[0]
        rest -= (rest[:, column] // row[column])[:, None] * row
    return np.asarray(~rest.any(axis=1))


def _echelon(vectors: Array) -> Array:
    """Return a basis in echelon form of all sums of whole multiples of integer vectors."""
    rest = np.unique(vectors, axis=0)
    basis = []
    for column in range(vectors.shape[1]):
        while (rest[:, column] != 0).sum() > 1:
            filled = np.flatnonzero(rest[:, column])
            least = filled[np.abs(rest[filled, column]).argmin()]
            pivot = rest[least].copy()
            rest -= (rest[:, column] // pivot[column])[:, None] * pivot
            rest[least] = pivot
        filled = np.flatnonzero(rest[:, column])
        basis += [rest[i] for i in filled]
        rest = np.delete(rest, filled, axis=0)
    return np.array(basis)


def _pair_factors(crystal: Crystal, hkl: Array) -> Array:
    """Return the structure factor ``[n, n]`` of the difference of every two of n reflections."""
    pairs = (hkl[:, None] - hkl[None]).reshape(-1, 3)
    # One number per difference sorts many times faster than three.
    span = 2 * np.abs(pairs).max() + 1
    code = (pairs[:, 0] * span + pairs[:, 1]) * span + pairs[:, 2]
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    values = structure_factor(crystal, pairs[first])
    return np.asarray(values[index].reshape(len(hkl), len(hkl)))


def structure_matrix(
    crystal: Crystal, beams: Beams, kilovolts: float = 200.0, absorption: float = 0.03
) -> Array:
    """Return the coupling of the beams, ``U_(g-h) / 2K``, in 1/angstrom, for any beam direction.

    Parameters
    ----------
    crystal : Crystal
        Atoms of one cell.
    beams : Beams
        N beams of the zone.
    kilovolts : float
        Acceleration voltage.
    absorption : float
        Imaginary share of the potential, ``V'_g / V_g``: electrons lost to diffuse scattering.

    Returns
    -------
    ndarray
        Complex ``[N, N]``; Hermitian without absorption.

    References
    ----------
    J. C. H. Spence and J. M. Zuo, Electron Microdiffraction (Plenum, 1992), chapter 3; the
    proportional absorption is that of H. Hashimoto, A. Howie and M. J. Whelan,
    Proc. R. Soc. A 269, 80-103 (1962).
    """
    gamma = 1 + kilovolts / _ELECTRON_REST_KEV
    u = gamma * _pair_factors(crystal, beams.hkl) / (np.pi * crystal.volume)
    matrix = (1 + 1j * absorption) * u * wavelength(kilovolts) / 2
    # The mean inner potential only adds a phase common to all beams; its absorption is kept.
    return np.asarray(matrix - np.eye(len(u)) * np.diag(matrix).real)


def excitation_errors(beams: Beams, k_t: Array, kilovolts: float) -> Array:
    """Return ``s_g`` ``[..., beam]`` in 1/angstrom for transverse wave vectors ``k_t [..., 2]``."""
    along = np.asarray(k_t) @ beams.g.T
    return np.asarray(-wavelength(kilovolts) / 2 * (2 * along + (beams.g**2).sum(axis=-1)))
