"""Boracite Cu3B7O13Cl: the cubic parent structure and the polar orthorhombic one."""

from __future__ import annotations

import numpy as np

from .crystal import Crystal, from_sites

_F43C = ("y, z, x", "-x, -y, z", "y+1/2, x+1/2, z+1/2", "x, y+1/2, z+1/2")
_B_FACTORS = {"Cu": 0.5, "B": 0.4, "O": 0.5, "Cl": 0.8}
_PSEUDO_CUBIC = 11.87  # angstrom


_POLAR_SITES = (
    ("Cu", (0.0427, 0.0576, 0.2522)),
    ("Cu", (0.0398, 0.4488, 0.2555)),
    ("Cu", (0.2540, 0.2485, 0.4571)),
    ("Cl", (0.2510, 0.2500, 0.2500)),
    ("B", (0.9973, 0.0016, 0.5005)),
    ("B", (0.9969, 0.4979, 0.5002)),
    ("B", (0.0266, 0.7495, 0.1136)),
    ("B", (0.0951, 0.7487, 0.5753)),
    ("B", (0.2457, 0.5977, 0.4230)),
    ("B", (0.2467, 0.7496, 0.2493)),
    ("B", (0.2459, 0.9009, 0.4235)),
    ("O", (0.0294, 0.1747, 0.5142)),
    ("O", (0.0346, 0.3296, 0.0140)),
    ("O", (0.0613, 0.5884, 0.1019)),
    ("O", (0.0579, 0.9155, 0.6013)),
    ("O", (0.0866, 0.5627, 0.8990)),
    ("O", (0.0794, 0.9425, 0.3982)),
    ("O", (0.1401, 0.6599, 0.6770)),
    ("O", (0.1331, 0.8394, 0.1771)),
    ("O", (0.1762, 0.0257, 0.9900)),
    ("O", (0.1706, 0.4698, 0.4880)),
    ("O", (0.1563, 0.6347, 0.3200)),
    ("O", (0.1646, 0.8622, 0.8214)),
    ("O", (0.2421, 0.7492, 0.4970)),
)

BORACITE_STATES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "up": ((1, 1, 0), (0, 0, 1)),
    "down": ((1, 1, 0), (0, 0, -1)),
    "right": ((-1, 1, 0), (1, 1, 0)),
    "left": ((1, -1, 0), (1, 1, 0)),
    "along": ((0, 0, 1), (-1, 1, 0)),
    "against": ((0, 0, -1), (-1, 1, 0)),
}
"""Zone axis [uvw] and up (hkl) of `boracite` for each direction of P on the detector.

The six domain states that one pseudo-cubic crystal can have with the beam along one of its axes:
P up, down, right or left in the image, along the beam or against it.
"""


def boracite_cubic() -> Crystal:
    """Return cubic Cu3B7O13Cl (F-43c), the parent structure without polarisation.

    Returns
    -------
    Crystal
        192 atoms in a cube of 11.87 angstrom.

    Notes
    -----
    The coordinates are those of isostructural, cubic Mg3B7O13Cl [1]_ as tabled in the AFLOW library
    of crystallographic prototypes [2]_, with which they agree. The cell length of Cu3B7O13Cl
    is entered from memory and was not compared with a source.

    References
    ----------
    .. [1] S. Sueno, J. R. Clark, J. J. Papike and J. A. Konnert, Am. Mineral. 58, 691-697 (1973).
    .. [2] D. Hicks et al., Comput. Mater. Sci. 161, S1-S1011 (2019), A7BC3D13_cF192_219_de_b_c_ah.
    """
    return from_sites(
        np.eye(3) * _PSEUDO_CUBIC,
        (
            ("Cu", (0.0, 0.25, 0.25)),
            ("Cl", (0.25, 0.25, 0.25)),
            ("B", (0.25, 0.0, 0.0)),
            ("B", (0.0808, 0.0808, 0.0808)),
            ("O", (0.0, 0.0, 0.0)),
            ("O", (0.0987, 0.0214, 0.1821)),
        ),
        _F43C,
        _B_FACTORS,
        "Cu3B7O13Cl, cubic",
        "coordinates: isostructural Mg3B7O13Cl, S. Sueno et al., Am. Mineral. 58, 691 (1973); "
        "cell length from memory",
    )


def boracite() -> Crystal:
    """Return ferroelectric Cu3B7O13Cl (Pca2_1) with P along +c: a model, not a refinement.

    Returns
    -------
    Crystal
        96 atoms in a cell of 8.393 x 8.393 x 11.87 angstrom: a and b are the diagonals of a
        face of the pseudo-cube, c its edge.

    Notes
    -----
    No published coordinates of the orthorhombic phase were at hand. These were found from those of
    `boracite_cubic` in the symmetry Pca2_1 by least squares on the bond-valence sums [1]_ of all
    atoms (root mean square deviation 0.05), the edges of the BO4 tetrahedra (2.40 angstrom) and of
    one BO3 triangle (2.37 angstrom), and least distances of atoms that are not bonded. Put in was
    that one of the four boron atoms around the oxygen in the middle of the cage leaves it and
    becomes planar, as is known of orthorhombic boracites [2]_. What came out, and was not put in,
    is known of them as well: chlorine has three copper neighbours at 2.4 and three at 3.5 angstrom,
    and each copper atom leaves its oxygen square towards chlorine. The formal charges give a
    polarisation of 3 microcoulomb/cm2. Intensities of the reflections that the cubic phase
    lacks are therefore right in kind, not to a percent. The cell is metrically cubic: the
    spontaneous strain is smaller than anything a diffraction disk would show.

    The six directions of P in one pseudo-cubic crystal, with the beam along one of its axes,
    are the zone axes and ups of `BORACITE_STATES`.

    References
    ----------
    .. [1] N. E. Brese and M. O'Keeffe, Acta Cryst. B47, 192-197 (1991).
    .. [2] E. Dowty and J. R. Clark, Z. Krist. 138, 64-99 (1973).
    """
    return from_sites(
        np.diag([_PSEUDO_CUBIC / np.sqrt(2), _PSEUDO_CUBIC / np.sqrt(2), _PSEUDO_CUBIC]),
        _POLAR_SITES,
        ("-x, -y, z+1/2", "x+1/2, -y, z"),
        _B_FACTORS,
        "Cu3B7O13Cl, P along +c",
        "model: Pca2_1, bond-valence sums, from the cubic coordinates of Mg3B7O13Cl, S. Sueno et "
        "al., Am. Mineral. 58, 691 (1973)",
    )
