"""Plane waves of many directions through a crystal together, in the zero-order Laue zone.

In thin slices: one matrix scatters between the beams of the zone, absorption and all, and a phase
per beam and direction takes them to the next slice, as in multislice. This is the product that
Bloch waves diagonalise, without their trouble where two of them have the same energy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.simulate.crystal import Array

from .scattering import Beams, excitation_errors

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Steps

# Beam directions: enough for fast products, few enough that a cancel takes a second or two.
_TOGETHER = 32
_SLICE = 1.0  # angstrom


def waves(
    coupling: Array,
    beams: Beams,
    directions: Array,
    step: float,
    kilovolts: float,
    slice_thickness: float = _SLICE,
) -> Iterator[Array]:
    """Yield the waves in a crystal, from step to step, without end.

    Parameters
    ----------
    coupling : ndarray
        `structure_matrix`, ``[N, N]``.
    beams : Beams
        The same N beams.
    directions : ndarray
        ``[n, 2]`` transverse wave vectors of the incident waves, 1/angstrom.
    step : float
        From one wave that is yielded to the next, nm.
    kilovolts : float
        Acceleration voltage.
    slice_thickness : float
        Largest slice in angstrom. The error grows with its square; with slices of 1 angstrom, a
        pattern of 100 nm of ErMnO3 is right to 0.1 %.

    Yields
    ------
    ndarray
        complex64 ``[N, n]``; the incident waves have amplitude 1.
    """
    slices, angstrom = _divided(step, slice_thickness)
    slab = _Slab(slices, angstrom, _scattering(coupling, angstrom))
    errors = excitation_errors(beams, directions, kilovolts).T
    wave = _incident(errors)
    while True:
        wave = _through(slab, errors, wave)
        yield wave


def intensities(
    coupling: Array,
    beams: Beams,
    directions: Array,
    thickness: Array,
    kilovolts: float,
    *,
    kept: Array,
    steps: Steps | None = None,
) -> Array:
    """Return the intensity of beams at given thicknesses, in slices of 1 angstrom or less.

    Parameters
    ----------
    coupling, beams, directions, kilovolts
        As for `waves`.
    thickness : ndarray
        ``[T]`` in nm, in any order, zero included.
    kept : ndarray
        Indices of the beams that are returned.
    steps : Steps, optional
        Counts directions, some at a time.

    Returns
    -------
    ndarray
        ``[n, T, kept]``; the incident wave has intensity 1.
    """
    # Steps that only rounding tells apart share a matrix.
    depths, place = np.unique(np.round(thickness, 6), return_inverse=True)
    matrices: dict[float, Array] = {}
    slabs = []
    for nm in np.diff(depths, prepend=0.0):
        slices, angstrom = _divided(nm, _SLICE)
        length = round(angstrom, 6)
        if slices and length not in matrices:
            matrices[length] = _scattering(coupling, angstrom)
        slabs.append(_Slab(slices, angstrom, matrices[length]) if slices else None)
    out = np.empty((len(directions), len(depths), len(kept)))
    for start in range(0, len(directions), _TOGETHER):
        batch = slice(start, start + _TOGETHER)
        errors = excitation_errors(beams, directions[batch], kilovolts).T
        wave = _incident(errors)
        for number, slab in enumerate(slabs):
            if slab is not None:
                wave = _through(slab, errors, wave)
            out[batch, number] = np.abs(wave[kept].T) ** 2
        if steps is not None:
            steps.add(wave.shape[1])
    return np.asarray(out[:, place])


@dataclass(frozen=True, eq=False)
class _Slab:
    """Slices, the thickness of each in angstrom, and the matrix ``[N, N]`` of one."""

    slices: int
    angstrom: float
    scatter: Array


def _divided(nm: float, slice_thickness: float) -> tuple[int, float]:
    slices = int(np.ceil(nm * 10 / slice_thickness - 1e-9))
    return slices, nm * 10 / max(slices, 1)


def _scattering(coupling: Array, angstrom: float) -> Array:
    from scipy.linalg import expm

    # Single precision leaves an error of some 1e-6 after a thousand slices, in half the time.
    return np.asarray(expm(2j * np.pi * coupling * angstrom).astype(np.complex64))


def _incident(errors: Array) -> Array:
    wave = np.zeros(errors.shape, np.complex64)
    wave[0] = 1
    return wave


def _through(slab: _Slab, errors: Array, wave: Array) -> Array:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    onward = np.exp(2j * np.pi * errors * slab.angstrom).astype(np.complex64)
    half = np.exp(1j * np.pi * errors * slab.angstrom).astype(np.complex64)
    # Sums in the same order, whatever the number of processors.
    with threadpool_limits(1):
        # Half a phase first, half a phase last: exact to second order in the slice.
        wave = half * wave
        for left in range(slab.slices - 1, -1, -1):
            wave = slab.scatter @ wave
            wave *= onward if left else half
    return wave
