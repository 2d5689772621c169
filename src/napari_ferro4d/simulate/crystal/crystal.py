"""Crystals: atoms in a cell of any shape, and hexagonal YMnO3 and ErMnO3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError

Array = np.ndarray[Any, np.dtype[Any]]
Site = tuple[float, float, float]


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


def hexagonal(a: float, c: float) -> Array:
    """Return the axes ``[3, 3]`` of a hexagonal cell in angstrom: gamma is 120 degrees."""
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


def orbit(site: Array, generators: tuple[str, ...]) -> Array:
    """Return every atom of one cell that symmetry makes of one, sorted.

    Parameters
    ----------
    site : ndarray
        Fractional coordinates ``[3]``.
    generators : tuple of str
        Operations that generate the space group, as ``"-y, x-y, z+1/2"``.

    Returns
    -------
    ndarray
        ``[n, 3]`` in [0, 1).
    """
    operations = _group(generators)
    images = np.array([rotation @ site + shift for rotation, shift in operations])
    return np.unique(np.mod(np.round(images, 9), 1.0), axis=0)


@cache
def _group(generators: tuple[str, ...]) -> list[tuple[Array, Array]]:
    """Return all operations of a space group, one of each coset of the lattice translations."""
    steps = [_operation(text) for text in generators]
    found = {(tuple(np.eye(3).ravel()), (0.0, 0.0, 0.0))}
    new = found
    while new:
        products = (
            (step @ np.reshape(rotation, (3, 3)), step @ np.array(shift) + move)
            for rotation, shift in new
            for step, move in steps
        )
        new = {
            (tuple((rotation + 0.0).ravel()), tuple(np.mod(np.round(shift, 9), 1.0)))
            for rotation, shift in products
        } - found
        found = found | new
    return [(np.reshape(rotation, (3, 3)), np.array(shift)) for rotation, shift in sorted(found)]


def _operation(text: str) -> tuple[Array, Array]:
    """Return rotation ``[3, 3]`` and translation ``[3]`` of an operation such as ``-y, x-y, z``."""
    rotation, shift = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(text.replace(" ", "").split(",")):
        for sign, letter, number in re.findall(r"([+-]?)(?:([xyz])|(\d+/\d+))", part):
            value = -1.0 if sign == "-" else 1.0
            if letter:
                rotation[row, "xyz".index(letter)] = value
            else:
                shift[row] = value * float(Fraction(number))
    return rotation, shift


def from_sites(
    lattice: Array,
    sites: Sequence[tuple[str, Site]],
    generators: tuple[str, ...],
    debye_waller: dict[str, float],
    name: str,
    source: str,
) -> Crystal:
    """Return the crystal that symmetry makes of the atoms of the asymmetric unit.

    Parameters
    ----------
    lattice : ndarray
        As of `Crystal`.
    sites : sequence
        Element and fractional coordinates of each independent atom.
    generators : tuple of str
        See `orbit`.
    debye_waller, name, source
        As of `Crystal`.
    """
    orbits = [(element, orbit(np.array(site), generators)) for element, site in sites]
    elements = tuple(element for element, images in orbits for _ in images)
    positions = np.concatenate([images for _, images in orbits])
    return Crystal(lattice, elements, positions, debye_waller, name, source=source)


_P63CM = ("-y, x-y, z", "-x, -y, z+1/2", "y, x, z")

# z of the first rare-earth site, of the second, x(Mn), and the four oxygen sites, in the order of
# the paper, z(Mn) = 0 being the origin: B. B. van Aken et al., Acta Cryst. C57, 230 (2001).
_YMNO3_SITES = (
    ("R", (0.0, 0.0, 0.2743)),
    ("R", (1 / 3, 2 / 3, 0.2335)),
    ("Mn", (0.3352, 0.0, 0.0)),
    ("O", (0.3083, 0.0, 0.1627)),
    ("O", (0.6413, 0.0, 0.3372)),
    ("O", (0.0, 0.0, 0.4778)),
    ("O", (1 / 3, 2 / 3, 0.0186)),
)
# The same atoms where P6_3/mmc holds them, in the axes of the polar cell.
_NON_POLAR_SITES = (
    ("R", (0.0, 0.0, 0.25)),
    ("R", (1 / 3, 2 / 3, 0.25)),
    ("Mn", (1 / 3, 0.0, 0.0)),
    ("O", (1 / 3, 0.0, 0.164)),
    ("O", (2 / 3, 0.0, 0.336)),
    ("O", (0.0, 0.0, 0.5)),
    ("O", (1 / 3, 2 / 3, 0.0)),
)


def ymno3(polarisation: int = 1) -> Crystal:
    """Return hexagonal YMnO3: ferroelectric (P6_3cm) with P along +c or -c, or non-polar.

    Parameters
    ----------
    polarisation : 1, -1 or 0
        +1: P along +c, two of three yttrium planes displaced up, one down; -1: the mirror image;
        0: the high-temperature structure (P6_3/mmc) in the axes and with the lengths of the polar
        cell, so that reflections keep their indices; only every third of them is there.

    Returns
    -------
    Crystal
        30 atoms in a cell of 6.14 x 6.14 x 11.41 angstrom.

    Raises
    ------
    ScanError
        If `polarisation` is something else.

    Notes
    -----
    Cell and coordinates are those of the single-crystal refinement at 293 K [1]_, to four digits,
    with z(Mn) = 0 as the origin. As printed, yttrium is displaced "one up, two down", that is P
    along -c; the mirror image is therefore the state named +1. The non-polar structure has one
    free coordinate, the height of the apical oxygen, here that of YMnO3 at 1285 K [2]_, entered
    from memory; it lies in the middle of the two apical heights of [1]_. Debye-Waller factors are
    rounded, typical values for a manganite at room temperature.

    References
    ----------
    .. [1] B. B. van Aken, A. Meetsma and T. T. M. Palstra, "Hexagonal YMnO3",
       Acta Cryst. C57, 230-232 (2001).
    .. [2] K. Lukaszewicz and J. Karut-Kalicinska, Ferroelectrics 7, 81-82 (1974).

    Examples
    --------
    >>> crystal = ymno3()
    >>> len(crystal.elements), round(crystal.volume, 1)
    (30, 372.3)
    """
    source = "B. B. van Aken et al., Acta Cryst. C57, 230 (2001)"
    return _manganite("Y", polarisation, (6.1387, 11.4071), 0.4, source)


def ermno3(polarisation: int = 1) -> Crystal:
    """Return hexagonal ErMnO3: ferroelectric (P6_3cm) with P along +c or -c, or non-polar.

    Parameters
    ----------
    polarisation : 1, -1 or 0
        As for `ymno3`.

    Returns
    -------
    Crystal
        30 atoms in a cell of 6.11 x 6.11 x 11.42 angstrom.

    Raises
    ------
    ScanError
        If `polarisation` is something else.

    Notes
    -----
    The cell is that of ErMnO3 [1]_, entered from memory and not compared with the paper. The
    coordinates are those of isostructural YMnO3 (see `ymno3`): the ionic radii of yttrium and
    erbium differ by 0.01 angstrom. To work with refined coordinates, give their CIF to
    `structure`.

    References
    ----------
    .. [1] B. B. van Aken, A. Meetsma and T. T. M. Palstra, "Hexagonal ErMnO3",
       Acta Cryst. E57, i38-i40 (2001).

    Examples
    --------
    >>> ermno3(-1).name
    'ErMnO3, P along -c'
    """
    source = (
        "cell: B. B. van Aken et al., Acta Cryst. E57, i38 (2001), from memory; "
        "coordinates: isostructural YMnO3, Acta Cryst. C57, 230 (2001)"
    )
    return _manganite("Er", polarisation, (6.1121, 11.4200), 0.35, source)


def _manganite(
    rare_earth: str, polarisation: int, cell: tuple[float, float], b_factor: float, source: str
) -> Crystal:
    if polarisation not in (1, 0, -1):
        raise ScanError(f"polarisation: +1, 0 (non-polar) or -1 is needed, not {polarisation!r}.")
    sites = [
        (rare_earth if element == "R" else element, site)
        for element, site in (_YMNO3_SITES if polarisation else _NON_POLAR_SITES)
    ]
    b_factors = {rare_earth: b_factor, "Mn": 0.4, "O": 0.6}
    formula = f"{rare_earth}MnO3"
    name = f"{formula}, P along -c" if polarisation else f"{formula}, non-polar"
    printed = from_sites(hexagonal(*cell), sites, _P63CM, b_factors, name, source)
    return printed.mirrored(f"{formula}, P along +c") if polarisation == 1 else printed
