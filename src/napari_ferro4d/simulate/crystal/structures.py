"""Crystal structures by name: what is bundled, with its source, and CIF files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError

from .boracite_structures import boracite, boracite_cubic
from .crystal import Array, Crystal, ermno3, from_sites, ymno3
from .scattering_factors import scattering_factor


def batio3(polarisation: int = 1) -> Crystal:
    """Return tetragonal BaTiO3 (P4mm) with P along +c or -c, or its cubic average.

    Parameters
    ----------
    polarisation : 1, -1 or 0
        +1: titanium displaced along +c against the oxygen; -1: the mirror image; 0: all atoms in
        the planes of the cubic structure, in the same tetragonal cell.

    Returns
    -------
    Crystal
        5 atoms in a cell of 3.991 x 3.991 x 4.035 angstrom.

    Raises
    ------
    ScanError
        If `polarisation` is something else.

    Notes
    -----
    Cell and coordinates at room temperature are those of the neutron refinement [1]_, entered from
    memory and not compared with the paper; formal charges give 18 microcoulomb/cm2, two thirds
    of the measured polarisation, as is known of BaTiO3. Debye-Waller factors are rounded.

    References
    ----------
    .. [1] G. H. Kwei, A. C. Lawson, S. J. L. Billinge and S.-W. Cheong, J. Phys. Chem. 97,
       2368-2377 (1993).

    Examples
    --------
    >>> round(batio3().volume, 1)
    64.3
    """
    if polarisation not in (1, 0, -1):
        raise ScanError(f"polarisation: +1, 0 (non-polar) or -1 is needed, not {polarisation!r}.")
    titanium, apical, basal = (0.0224, -0.0244, -0.0105) if polarisation else (0.0, 0.0, 0.0)
    up = from_sites(
        np.diag([3.99095, 3.99095, 4.0352]),
        (
            ("Ba", (0.0, 0.0, 0.0)),
            ("Ti", (0.5, 0.5, 0.5 + titanium)),
            ("O", (0.5, 0.5, apical)),
            ("O", (0.5, 0.0, 0.5 + basal)),
        ),
        ("-y, x, z", "x, -y, z"),
        {"Ba": 0.4, "Ti": 0.45, "O": 0.6},
        "BaTiO3, P along +c" if polarisation else "BaTiO3, non-polar",
        "G. H. Kwei et al., J. Phys. Chem. 97, 2368 (1993), from memory",
    )
    return up.mirrored("BaTiO3, P along -c") if polarisation == -1 else up


STRUCTURES: dict[str, Callable[[], Crystal]] = {
    "ermno3+": partial(ermno3, 1),
    "ermno3-": partial(ermno3, -1),
    "ermno3-nonpolar": partial(ermno3, 0),
    "ymno3+": partial(ymno3, 1),
    "ymno3-": partial(ymno3, -1),
    "ymno3-nonpolar": partial(ymno3, 0),
    "boracite": boracite,
    "boracite-cubic": boracite_cubic,
    "batio3+": partial(batio3, 1),
    "batio3-": partial(batio3, -1),
    "batio3-nonpolar": partial(batio3, 0),
}
"""What `structure` knows by name."""


def structure(name: str | Path, *, debye_waller: float = 0.5) -> Crystal:
    """Return a bundled crystal structure, or read one from a CIF file.

    Parameters
    ----------
    name : str or Path
        One of `STRUCTURES`, in any case, as ``"ermno3+"``; or the path of a CIF file.
    debye_waller : float
        Isotropic B in square angstrom for every element of a CIF file; displacement parameters in
        the file are not read. Bundled structures have their own.

    Returns
    -------
    Crystal
        With its literature source, or the path, as `source`.

    Raises
    ------
    ScanError
        If there is neither such a structure nor such a file, the file is no CIF with one readable
        structure, it holds an unknown element, or ase (of the extra ``simulate``) is missing.

    Examples
    --------
    >>> structure("ErMnO3+").name
    'ErMnO3, P along +c'
    """
    if not isinstance(name, str | Path):
        raise ScanError(f"crystal: the name of a structure or a CIF file is needed, not {name!r}.")
    bundled = STRUCTURES.get(str(name).lower())
    if bundled is not None:
        return bundled()
    if not 0 <= debye_waller < 100:
        raise ScanError(f"debye_waller: B from 0 to 100 angstrom^2, not {debye_waller!r}.")
    path = Path(name)
    if not path.is_file():
        raise ScanError(
            f"{name}: neither a bundled structure nor a CIF file. Bundled: {', '.join(STRUCTURES)}."
        )
    return _read_cif(path, debye_waller)


def _read_cif(path: Path, debye_waller: float) -> Crystal:
    try:
        from ase.io import read
    except ImportError as error:
        raise ScanError(
            f"{path}: reading a CIF file needs ase; install it with "
            'pip install "napari-ferro4d[simulate]".'
        ) from error
    try:
        with warnings.catch_warnings():
            # ase remarks on settings of space groups and on species it rounds; the cell is checked.
            warnings.simplefilter("ignore", UserWarning)
            # The parser meets whatever the file holds: any exception means an unreadable file.
            atoms: Any = read(path, format="cif", fractional_occupancies=True)
            elements, positions, shares = _sites(atoms)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, KeyError) and reason.strip("'").isalpha() and len(reason) < 6:
            # ase looks symbols up in its table of elements.
            raise ScanError(f"{path}: {reason} is not a chemical element.") from error
        raise ScanError(
            f"{path}: not a readable CIF file with one crystal structure ({reason}); check its "
            "cell, symmetry operations and atom sites."
        ) from error
    lattice = np.array(atoms.cell)
    if not np.isfinite(lattice).all() or not np.linalg.det(lattice) > 1e-3 or len(elements) == 0:
        raise ScanError(f"{path}: holds no atoms in a unit cell; is it a crystal structure?")
    if not np.isfinite(positions).all() or not np.all((shares > 0) & (shares <= 1)):
        raise ScanError(
            f"{path}: positions must be finite numbers, and occupancies above 0 and at most 1; "
            "check its atom sites."
        )
    for element in dict.fromkeys(elements):
        try:
            scattering_factor(element, np.zeros(1))
        except ScanError as error:
            raise ScanError(f"{path}: {error}") from error
    return Crystal(
        lattice,
        tuple(elements),
        positions % 1.0,
        dict.fromkeys(elements, float(debye_waller)),
        f"{atoms.get_chemical_formula()} of {path.name}",
        shares,
        str(path),
    )


def _sites(atoms: Any) -> tuple[list[str], Array, Array]:
    """Return element, position and occupancy of every atom; a mixed site gives several."""
    shared = atoms.info.get("occupancy", {})
    kinds = atoms.arrays.get("spacegroup_kinds", np.zeros(len(atoms), dtype=int))
    found = [
        (element, position, float(share))
        for symbol, position, kind in zip(
            atoms.get_chemical_symbols(), atoms.get_scaled_positions(), kinds, strict=True
        )
        for element, share in shared.get(str(kind), {symbol: 1.0}).items()
    ]
    elements = [element for element, _, _ in found]
    positions = np.array([position for _, position, _ in found]).reshape(-1, 3)
    return elements, positions, np.array([share for _, _, share in found])
