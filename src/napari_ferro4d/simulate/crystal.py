"""Crystals: atoms in a cell of any shape, and the hexagonal manganites YMnO3 and ErMnO3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_ferro4d.errors import ScanError

__all__ = ["Crystal", "hexagonal", "ymno3"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal: the three axes of a unit cell and every atom in it.

    Parameters
    ----------
    lattice : ndarray
        ``[3, 3]``; rows are the axes a, b and c in angstrom, right-handed.
    elements : tuple of str
        Chemical symbol of each atom.
    positions : ndarray
        ``[atom, 3]`` fractional coordinates in [0, 1).
    debye_waller : dict
        Isotropic B in square angstrom per element; amplitudes are damped by ``exp(-B g^2 / 4)``.
    name : str
        Said in the metadata of what is made of it.
    occupancy : float or ndarray
        Share of the sites that is occupied, one for all or ``[atom]``.
    source : str
        Where cell and coordinates come from.

    Raises
    ------
    ScanError
        If the axes span no volume, atoms and positions do not pair up, or an element has no B.
    """

    lattice: Array
    elements: tuple[str, ...]
    positions: Array
    debye_waller: dict[str, float]
    name: str = ""
    occupancy: float | Array = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        label = self.name or "crystal"
        if np.shape(self.lattice) != (3, 3) or not self.volume > 1e-3:
            raise ScanError(
                f"{label}: lattice must be three right-handed axes [3, 3] in angstrom that span a "
                f"volume, not {np.asarray(self.lattice).tolist()}."
            )
        if np.shape(self.positions) != (len(self.elements), 3):
            raise ScanError(
                f"{label}: {len(self.elements)} elements but positions of shape "
                f"{np.shape(self.positions)}; give one row of three fractions per atom."
            )
        missing = sorted(set(self.elements) - set(self.debye_waller))
        if missing:
            raise ScanError(f"{label}: debye_waller has no B for {', '.join(missing)}.")

    @property
    def volume(self) -> float:
        """Volume of the unit cell in cubic angstrom."""
        return float(np.linalg.det(self.lattice))

    @property
    def reciprocal(self) -> Array:
        """Rows a*, b* and c* in 1/angstrom, without 2 pi: ``a . a* = 1``."""
        return np.asarray(np.linalg.inv(self.lattice).T)

    @property
    def occupancies(self) -> Array:
        """Share of each site that is occupied, ``[atom]``."""
        return np.broadcast_to(np.asarray(self.occupancy, dtype=float), (len(self.elements),))

    def g_length(self, hkl: Array) -> Array:
        """Return ``|g| = 1/d`` in 1/angstrom for Miller indices ``[..., 3]``."""
        return np.asarray(np.linalg.norm(np.asarray(hkl, dtype=float) @ self.reciprocal, axis=-1))

    def mirrored(self, name: str = "") -> Crystal:
        """Return the crystal mirrored in the basal plane, z to -z: the polarisation turns round.

        Raises
        ------
        ScanError
            If c is not perpendicular to a and b: the mirror image has another cell.
        """
        if np.abs(self.lattice[:2] @ self.lattice[2]).max() > 1e-6 * self.volume ** (2 / 3):
            raise ScanError(
                f"{self.name or 'crystal'}: c is not perpendicular to a and b, so that mirroring z "
                "does not keep the cell; use inverted() for the opposite polarisation."
            )
        positions = np.mod(self.positions * [1, 1, -1], 1.0)
        return replace(self, positions=positions, name=name)

    def inverted(self, name: str = "") -> Crystal:
        """Return the crystal inverted in the origin: any polarisation turns round, any cell."""
        return replace(self, positions=np.mod(-self.positions, 1.0), name=name)

    def averaged_with_mirror(self) -> Crystal:
        """Return the centrosymmetric average of the crystal and its mirror image.

        Every atom is split in halves at z and -z; the structure factor is the mean of both states.
        """
        both = np.concatenate([self.positions, self.mirrored().positions])
        return replace(
            self,
            elements=self.elements * 2,
            positions=both,
            name=f"mean of {self.name} and its mirror image",
            occupancy=np.tile(self.occupancies, 2) / 2,
        )


def hexagonal(a: float, c: float) -> Array:
    """Return the axes ``[3, 3]`` of a hexagonal cell in angstrom: gamma is 120 degrees."""
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def ymno3(polarisation: Literal[1, -1] = 1) -> Crystal:
    """Return ferroelectric hexagonal YMnO3 (P6_3cm) with P along +c or -c.

    Parameters
    ----------
    polarisation : 1 or -1
        +1: P along +c, two of three yttrium planes displaced up, one down; -1: the mirror image.

    Returns
    -------
    Crystal
        30 atoms in a cell of 6.14 x 6.14 x 11.41 angstrom.

    Notes
    -----
    Cell and coordinates are those of the single-crystal refinement at 293 K [1]_, to four digits,
    with z(Mn) = 0 as the origin. As printed, yttrium is displaced "one up, two down", that is P
    along -c; the mirror image is therefore the state named +1. Debye-Waller factors are
    rounded, typical values for a manganite at room temperature.

    References
    ----------
    .. [1] B. B. van Aken, A. Meetsma and T. T. M. Palstra, "Hexagonal YMnO3",
       Acta Cryst. C57, 230-232 (2001).

    Examples
    --------
    >>> crystal = ymno3()
    >>> len(crystal.elements), round(crystal.volume, 1)
    (30, 372.3)
    """
    if polarisation not in (1, -1):
        raise ValueError(f"polarisation is +1 or -1, not {polarisation!r}.")
    sites = (
        ("Y", (0.0, 0.0, 0.2743)),
        ("Y", (1 / 3, 2 / 3, 0.2335)),
        ("Mn", (0.3352, 0.0, 0.0)),
        ("O", (0.3083, 0.0, 0.1627)),
        ("O", (0.6413, 0.0, 0.3372)),
        ("O", (0.0, 0.0, 0.4778)),
        ("O", (1 / 3, 2 / 3, 0.0186)),
    )
    elements: list[str] = []
    positions: list[Array] = []
    for element, site in sites:
        orbit = _orbit_p63cm(np.array(site))
        elements += [element] * len(orbit)
        positions += list(orbit)
    b_factors = {"Y": 0.4, "Mn": 0.4, "O": 0.6}
    printed = Crystal(
        hexagonal(6.1387, 11.4071),
        tuple(elements),
        np.array(positions),
        b_factors,
        "YMnO3, P along -c",
        source="B. B. van Aken et al., Acta Cryst. C57, 230 (2001)",
    )
    return printed if polarisation == -1 else printed.mirrored("YMnO3, P along +c")


def _orbit_p63cm(site: Array) -> Array:
    """Return all atoms ``[n, 3]`` that P6_3cm makes of one; No. 185 in International Tables A."""
    x, y, z = site
    up = z + 0.5
    images = np.array(
        [
            (x, y, z),
            (-y, x - y, z),
            (-x + y, -x, z),
            (-x, -y, up),
            (y, -x + y, up),
            (x - y, x, up),
            (-y, -x, up),
            (-x + y, y, up),
            (x, x - y, up),
            (y, x, z),
            (x - y, -y, z),
            (-x, -x + y, z),
        ]
    )
    images = np.mod(np.round(images, 9), 1.0)
    return np.unique(images, axis=0)
