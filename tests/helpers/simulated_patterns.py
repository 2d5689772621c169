"""Patterns for the tests of comparison, registration and identification; truth of specimens."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from scipy.linalg import expm

from napari_ferro4d.simulate import Optics, State, Table, table_patterns, wavelength, ymno3
from napari_ferro4d.simulate.diffraction import compute
from napari_ferro4d.simulate.scans import prepare

OPTICS = Optics()
STEP = OPTICS.k_step
PLUS, MINUS = State("+P", 0, "same", (-1.0, 0.0, 0.0)), State("-P", 0, "up-down", (1.0, 0.0, 0.0))


@functools.cache
def ymno3_table():
    """Return a table of +P and -P YMnO3 for 50 to 76 nm and tilts up to 0.9 mrad."""
    return small_table(ymno3(1), (PLUS, MINUS), g_max=1.4)


def averaged_with_mirror(crystal):
    """Return a crystal whose structure factor is the mean of both states, every atom in halves."""
    both = np.concatenate([crystal.positions, crystal.mirrored().positions])
    return replace(crystal, elements=crystal.elements * 2, positions=both, occupancy=0.5)


def small_table(crystal, states, g_max):
    """Return a table of one crystal along [100] for 50 to 76 nm and tilts up to 0.9 mrad."""
    grid = {
        "k_t": np.arange(-8, 9) * 0.5e-3 / wavelength(OPTICS.kilovolts),
        "thickness": np.arange(46.0, 81.0, 2.0),
        "kilovolts": OPTICS.kilovolts,
        "k_max": 0.8,
    }
    how = {"zone_axis": (1, 0, 0), "up": (0, 0, 1), "g_max": g_max}
    computed = (compute(crystal, symmetries=("left-right",), **how, **grid),)
    return Table("small", crystal.name, computed=computed, states=states, **grid)


def pattern_of(table, optics=OPTICS, tilt=(0.0, 0.0), nm=60.0, state="+P"):
    """Return one pattern of a table."""
    where = (np.array([value]) for value in (*tilt, nm))
    return table_patterns(table, state, optics, *where)[0].astype(float)


def disks(g, intensity, *, shape=(64, 64), centre=None, radius=3.6, step=STEP, background=0.0):
    """Draw flat disks, each of the given total intensity, on an even background per pixel."""
    centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2) if centre is None else centre
    ky, kx = np.indices(shape)
    out = np.full(shape, background)
    for (gy, gx), total in zip(g, intensity, strict=True):
        away = np.hypot(ky - centre[0] - gy / step, kx - centre[1] - gx / step)
        disk = np.clip(radius + 0.5 - away, 0, 1)
        out += total * disk / disk.sum()
    return out


def scattering_matrix(coupling, beams, k_t, thickness):
    """Return ``S = exp(2 pi i A t)`` of a slab at 200 kV: what the slices have to multiply out to.

    `coupling` is the structure matrix ``[N, N]`` of the N beams, `k_t` in 1/angstrom, the
    thickness in nm. Column h gives all beams for unit amplitude in beam h.
    """
    errors = -wavelength(200.0) / 2 * (2 * beams.g @ k_t + (beams.g**2).sum(axis=1))
    return expm(2j * np.pi * (coupling + np.diag(errors)) * thickness * 10)


def rows(spec):
    """Return the truth of all rows of a simulated scan, each array ``[..., y, x]``."""
    specimen = prepare(spec).specimen
    made = [specimen.row(n) for n in range(spec.scan.shape[0])]
    return {name: np.stack([getattr(row, name) for row in made], axis=-2) for name in vars(made[0])}
