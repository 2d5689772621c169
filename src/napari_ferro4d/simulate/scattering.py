"""Electrons in a crystal: scattering factors, structure factors and the scattering matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .crystal import Array, Crystal

__all__ = [
    "Beams",
    "diffracted_intensities",
    "scattering_factor",
    "scattering_matrix",
    "structure_factor",
    "structure_matrix",
    "wavelength",
    "zone_beams",
]

# Electron scattering factors f(q) = sum a/(q^2 + b) + sum c exp(-d q^2), q = 1/d in 1/angstrom, f
# in angstrom. E. J. Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (Springer, 2010),
# appendix C. Rows: a, b, c, d.
_KIRKLAND = {
    "O": (
        (0.339969204, 0.307570172, 0.130369072),
        (0.381570280, 0.381571436, 19.1919745),
        (0.0883326058, 0.196586700, 0.000996220028),
        (0.760635525, 2.07401094, 0.0303266869),
    ),
    "Mn": (
        (0.326697613, 0.717297000, 1.33212464),
        (0.0888813083, 11.1300198, 0.582141104),
        (0.280801702, 1.15499241, 0.0111984488),
        (0.671583145, 12.6825395, 0.0532334467),
    ),
    "Y": (
        (0.675302747, 0.470286720, 2.63497677),
        (0.0654331847, 106.108709, 2.06643540),
        (0.109621746, 0.960348773, 0.00528921560),
        (0.193131925, 1.63310938, 0.0166083821),
    ),
}

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


def scattering_factor(element: str, g: Array) -> Array:
    """Return the electron scattering factor of a resting atom in angstrom, without relativity.

    Parameters
    ----------
    element : str
        ``"O"``, ``"Mn"`` or ``"Y"``.
    g : ndarray
        ``1/d`` in 1/angstrom, any shape.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), appendix C.
    """
    a, b, c, d = (np.array(row) for row in _KIRKLAND[element])
    q2 = np.asarray(g, dtype=float)[..., None] ** 2
    return np.asarray((a / (q2 + b) + c * np.exp(-d * q2)).sum(axis=-1))


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
        total += crystal.occupancy * f * np.exp(-2j * np.pi * phase).sum(axis=-1)
    return total


@dataclass(frozen=True, eq=False)
class Beams:
    """The beams of the zero-order Laue zone of a zone axis perpendicular to c.

    Parameters
    ----------
    hkl : ndarray
        ``[beam, 3]`` Miller indices; beam 0 is the undiffracted one.
    g : ndarray
        ``[beam, 2]`` detector components ``(ky, kx)`` in 1/angstrom; +c* points up, to negative ky.
    """

    hkl: Array
    g: Array


def zone_beams(crystal: Crystal, g_max: float) -> Beams:
    """Return the beams ``0kl`` of the zone axis [100] with ``|g| <= g_max``, shortest first.

    b* points right (+kx) and c* up (-ky); the beam runs along the crystal's a axis.

    Parameters
    ----------
    crystal : Crystal
        Gives the reciprocal lattice.
    g_max : float
        Longest reciprocal vector in 1/angstrom.
    """
    b_star, c_star = 2 / (np.sqrt(3) * crystal.a), 1 / crystal.c
    n_k, n_l = int(g_max / b_star), int(g_max / c_star)
    k, l = np.meshgrid(np.arange(-n_k, n_k + 1), np.arange(-n_l, n_l + 1))  # noqa: E741
    hkl = np.stack([np.zeros_like(k), k, l], axis=-1).reshape(-1, 3)
    # The c glide mirror of P6_3cm extinguishes 0kl with odd l, in every dynamical path of the zone.
    hkl = hkl[hkl[:, 2] % 2 == 0]
    g = np.stack([-hkl[:, 2] * c_star, hkl[:, 1] * b_star], axis=-1)
    length = np.hypot(*g.T)
    keep = np.flatnonzero(length <= g_max)
    order = keep[np.lexsort((hkl[keep, 1], hkl[keep, 2], np.round(length[keep], 9)))]
    return Beams(hkl[order], g[order])


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
    differences = beams.hkl[:, None] - beams.hkl[None]
    gamma = 1 + kilovolts / _ELECTRON_REST_KEV
    u = gamma * structure_factor(crystal, differences) / (np.pi * crystal.volume)
    matrix = (1 + 1j * absorption) * u * wavelength(kilovolts) / 2
    # The mean inner potential only adds a phase common to all beams; its absorption is kept.
    return np.asarray(matrix - np.eye(len(u)) * np.diag(matrix).real)


def _excitation_errors(beams: Beams, k_t: Array, kilovolts: float) -> Array:
    """Return ``s_g`` ``[..., beam]`` in 1/angstrom for transverse wave vectors ``k_t [..., 2]``."""
    along = np.asarray(k_t) @ beams.g.T
    return np.asarray(-wavelength(kilovolts) / 2 * (2 * along + (beams.g**2).sum(axis=-1)))


def scattering_matrix(
    coupling: Array, beams: Beams, k_t: Array, thickness: float, kilovolts: float = 200.0
) -> Array:
    """Return the scattering matrix ``S = exp(2 pi i A t)`` of a parallel-sided slab.

    Parameters
    ----------
    coupling : ndarray
        `structure_matrix`, ``[N, N]``.
    beams : Beams
        The same N beams.
    k_t : ndarray
        Transverse wave vector ``(ky, kx)`` of the incident beam in 1/angstrom; zero on the axis.
    thickness : float
        In nm.
    kilovolts : float
        Acceleration voltage.

    Returns
    -------
    ndarray
        Complex ``[N, N]``: column h gives all beams for unit amplitude in beam h.
    """
    from scipy.linalg import expm

    a = coupling + np.diag(_excitation_errors(beams, k_t, kilovolts))
    return np.asarray(expm(2j * np.pi * a * thickness * 10))


def diffracted_intensities(
    coupling: Array, beams: Beams, k_t: Array, thicknesses: Array, kilovolts: float = 200.0
) -> Array:
    """Return the intensity of every beam at many thicknesses, by Bloch waves.

    One diagonalisation serves all thicknesses. Without absorption this is exactly
    ``|scattering_matrix(...)[:, 0]|^2``. Absorption damps each Bloch wave to first order, which
    is several times faster than to diagonalise a non-Hermitian matrix and, in 70 nm of
    manganite, changes no beam by more than 1 % of the incident one.

    Parameters
    ----------
    coupling, beams, k_t, kilovolts
        As for `scattering_matrix`.
    thicknesses : ndarray
        ``[T]`` in nm.

    Returns
    -------
    ndarray
        ``[T, beam]``; the incident beam has intensity 1.

    References
    ----------
    J. C. H. Spence and J. M. Zuo, Electron Microdiffraction (1992), section 3.5.
    """
    elastic = (coupling + coupling.conj().T) / 2
    absorptive = (coupling - coupling.conj().T) / 2j
    gamma, waves = np.linalg.eigh(elastic + np.diag(_excitation_errors(beams, k_t, kilovolts)))
    damping = np.einsum("gj,gj->j", waves.conj(), absorptive @ waves).real
    t = 10 * np.asarray(thicknesses)[:, None]
    amplitudes = (np.exp(2j * np.pi * (gamma + 1j * damping) * t) * waves[0].conj()) @ waves.T
    return np.asarray(np.abs(amplitudes) ** 2)
