"""Crystals that stand for the inside of domain walls of ErMnO3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ferro4d.errors import ScanError

from .crystal import Array, Crystal, ermno3

# What screening carriers do to the c axis inside a wall square to P; the page "Simulated scans"
# has the estimate.
_STRAIN = 0.006


def ermno3_wall(charge: int) -> Crystal:
    """Return a crystal like the inside of a charged wall of ErMnO3.

    Parameters
    ----------
    charge : 1 or -1
        +1: head to head. The trimerisation keeps its amplitude and is half-way between the phases
        of the two domains, which is the antipolar structure; electrons widen c by 0.6 %.
        -1: tail to tail. The trimerisation is gone, as in the non-polar structure; holes shorten
        c by 0.6 %.

    Returns
    -------
    Crystal
        30 atoms in the axes of the polar cell; without polarisation.

    Raises
    ------
    ScanError
        If `charge` is something else.

    Notes
    -----
    A model, not a relaxed structure: the directions are those of first-principles calculations,
    the magnitudes an estimate; see the page "Simulated scans".

    Examples
    --------
    >>> round(float(ermno3_wall(1).lattice[2, 2] / ermno3_wall(-1).lattice[2, 2]), 4)
    1.0121
    """
    if charge not in (1, -1):
        raise ScanError(f"charge: +1 (head to head) or -1 (tail to tail), not {charge!r}.")
    inside = ermno3_trimerised(1.0, 30.0) if charge > 0 else ermno3(0)
    lattice = inside.lattice.copy()
    lattice[2] *= 1 + charge * _STRAIN
    kind = "head-to-head" if charge > 0 else "tail-to-tail"
    return replace(inside, lattice=lattice, name=f"ErMnO3, inside of a {kind} wall")


def ermno3_trimerised(amplitude: float, phase: float) -> Crystal:
    """Return ErMnO3 with the trimerisation of any amplitude and phase, and without polarisation.

    Parameters
    ----------
    amplitude : float
        Of the tilts of the bipyramids and the up and down of erbium, 1 being that of a domain.
    phase : float
        Degrees. Domains are at multiples of 60, up and down in turn; the antipolar structure
        (P-3c1), in which of three erbium atoms one is up, one down and one in the middle, is at
        30 and every 60 from there.

    Returns
    -------
    Crystal
        30 atoms in the cell of the polar state.

    Notes
    -----
    The pattern of displacements is the part of the refined structure of a domain that changes sign
    with P and sums to zero over the three cells of the non-polar structure: the primary order
    parameter [1]_ without the polar shift that it brings about.

    References
    ----------
    .. [1] S. Artyukhin, K. T. Delaney, N. A. Spaldin and M. Mostovoy, Nature Materials 13, 42-49
       (2014).

    Examples
    --------
    >>> antipolar = ermno3_trimerised(1.0, 30.0)
    >>> [round(float(z), 4) for z in antipolar.positions[[0, 2, 4], 2]]
    [0.2264, 0.25, 0.2736]
    """
    parent = ermno3(0)
    change = (_displacement(parent, ermno3(1)) - _displacement(parent, ermno3(-1))) / 2
    # The cells of the non-polar structure, of which the polar one holds three.
    cells = [np.array([n / 3, 2 * n / 3, 0.0]) for n in range(3)]
    moved = np.stack([change[_nearest(parent.positions, parent.positions - by)] for by in cells])
    real = moved[0] - moved.mean(axis=0)
    imaginary = (moved[1] - moved[2]) / np.sqrt(3)
    angle = np.deg2rad(phase)
    mode = np.cos(angle) * real + np.sin(angle) * imaginary
    return replace(
        parent,
        positions=np.mod(parent.positions + amplitude * mode, 1.0),
        name=f"ErMnO3, trimerised {amplitude:g} at {phase:g} degrees",
    )


def _displacement(parent: Crystal, crystal: Crystal) -> Array:
    """Return by how much the atom at each site of `parent` is displaced, in fractions."""
    change = crystal.positions[_nearest(crystal.positions, parent.positions)] - parent.positions
    return np.asarray(change - np.rint(change))


def _nearest(sites: Array, wanted: Array) -> Array:
    """Return for each position the index of the nearest site, across the edges of the cell."""
    apart = wanted[:, None] - sites[None]
    return np.asarray(np.abs(apart - np.rint(apart)).max(axis=-1).argmin(axis=1))
