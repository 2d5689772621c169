"""Patterns for the tests of comparison, registration and identification; truth of specimens."""

from __future__ import annotations

import functools

import numpy as np

from napari_ferro4d.simulate import Optics, patterns, rocking_table, ymno3
from napari_ferro4d.simulate.scans import prepare

OPTICS = Optics()
STEP = OPTICS.k_step


@functools.cache
def ymno3_table():
    """Return the rocking table of +P YMnO3 for 50 to 76 nm and tilts up to 0.9 mrad."""
    return rocking_table(ymno3(1), OPTICS, tilt=0.9, thickness=(50, 76), g_max=1.4)


def pattern_of(table, optics=OPTICS, tilt=(0.0, 0.0), nm=60.0):
    """Return one pattern of a rocking table."""
    return patterns(table, optics, np.array([tilt[0]]), np.array([tilt[1]]), np.array([nm]))[0]


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


def rows(spec):
    """Return the truth of all rows of a simulated scan, each array ``[..., y, x]``."""
    specimen = prepare(spec).specimen
    made = [specimen.row(n) for n in range(spec.scan.shape[0])]
    return {name: np.stack([getattr(row, name) for row in made], axis=-2) for name in vars(made[0])}
