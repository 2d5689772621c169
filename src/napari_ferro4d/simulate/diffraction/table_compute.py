"""The intensities of a table, calculated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array, Crystal

from .plane_waves import waves
from .scattering import structure_matrix, zone_beams
from .symmetry import copies, find
from .tables import Computed

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report

_TOGETHER = 128  # beam directions


def compute(
    crystal: Crystal,
    *,
    zone_axis: Sequence[int],
    up: Sequence[int],
    kilovolts: float,
    k_t: Array,
    thickness: Array,
    k_max: float,
    g_max: float,
    absorption: float = 0.03,
    slice_thickness: float = 1.0,
    symmetries: Sequence[str] = (),
    report: Report | None = None,
) -> Computed:
    """Calculate a table's intensities for all beam directions.

    All directions go through the crystal together, see `waves`. Bloch waves with absorption to
    first order would jump where two of them have the same energy, which no spline follows.

    Parameters
    ----------
    crystal : Crystal
        One state of the material.
    zone_axis, up : sequence of int
        Orientation, see `zone_beams`.
    kilovolts : float
        Acceleration voltage.
    k_t, thickness : ndarray
        The grids, 1/angstrom and nm; the first thickness is a multiple of the step.
    k_max : float
        Beams with ``|ky|`` or ``|kx|`` above it are not kept; all up to `g_max` take part.
    g_max : float
        Longest beam of the calculation, 1/angstrom. Heavy atoms need more than light ones: see
        `scripts/make_tables.py`.
    absorption : float
        See `structure_matrix`.
    slice_thickness : float
        See `waves`.
    symmetries : sequence of str
        Names in `TURNS` that the pattern is known to be unchanged by: directions that they take to
        one another are calculated once. They are checked on a few.
    report : callable, optional
        Called once per beam direction; may raise `Cancelled`.

    Raises
    ------
    ScanError
        If the pattern is not that symmetric, or the first thickness no multiple of the step.
    """
    from napari_ferro4d.jobs import Steps

    beams = zone_beams(crystal, g_max, zone_axis, up)
    coupling = structure_matrix(crystal, beams, kilovolts, absorption)
    kept = np.flatnonzero((np.abs(beams.g) <= k_max).all(axis=-1))
    step = float(thickness[1] - thickness[0])
    before = round(thickness[0] / step) - 1
    if before < 0 or abs((before + 1) * step - thickness[0]) > 1e-6:
        raise ScanError(f"thickness: {thickness[0]:g} nm is not a multiple of {step:g} nm.")
    directions = np.stack(np.meshgrid(k_t, k_t, indexing="ij"), axis=-1).reshape(-1, 2)
    intensity = np.empty((len(kept), len(thickness), len(directions)), np.float32)
    # Beam directions that a symmetry takes to one another are calculated once.
    original, matrices = copies(directions, symmetries)
    distinct = np.unique(original)
    steps = Steps(report, len(distinct), f"diffraction table of {crystal.name}")
    for start in range(0, len(distinct), _TOGETHER):
        batch = distinct[start : start + _TOGETHER]
        through = waves(coupling, beams, directions[batch], step, kilovolts, slice_thickness)
        for t, wave in zip(range(-before, len(thickness)), through, strict=False):
            if t >= 0:
                intensity[:, t, batch] = np.abs(wave[kept]) ** 2
        steps.add(len(batch))
    g = beams.g[kept]
    for direction in np.flatnonzero(original != np.arange(len(directions))):
        partner = find(g, g @ matrices[direction])
        if (partner < 0).any():
            raise ScanError(f"{crystal.name}: its beams do not have the symmetries {symmetries}.")
        intensity[:, :, direction] = intensity[partner, :, original[direction]]
    copied = np.flatnonzero(original != np.arange(len(directions)))
    copied = copied[:: max(1, len(copied) // 5)]
    if len(copied):
        through = waves(coupling, beams, directions[copied], step, kilovolts, slice_thickness)
        wave = next(itertools.islice(through, before, None))
        if np.abs(np.abs(wave[kept]) ** 2 - intensity[:, 0, copied]).max() > 1e-4:
            raise ScanError(f"{crystal.name}: the pattern lacks the symmetries {symmetries}.")
    shape = (len(kept), len(thickness), len(k_t), len(k_t))
    return Computed(beams.hkl[kept], g, intensity.reshape(shape), tuple(symmetries))
