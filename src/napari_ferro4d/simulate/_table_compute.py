"""The intensities of a table, calculated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError

from .crystal import Array, Crystal
from .scattering import scattering_matrix, structure_matrix, zone_beams
from .table import Computed, turned

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report

__all__ = ["compute"]


def compute(
    crystal: Crystal,
    *,
    zone_axis: Sequence[int],
    up: Sequence[int],
    kilovolts: float,
    k_t: Array,
    thickness: Array,
    k_max: float,
    g_max: float = 1.6,
    absorption: float = 0.03,
    symmetries: Sequence[str] = (),
    report: Report | None = None,
) -> Computed:
    """Calculate a table's intensities, one scattering matrix per beam direction.

    The matrix of one step in thickness, absorption and all, is applied again and again. That is
    exact; the Bloch waves of `diffracted_intensities`, whose absorption is of first order only,
    jump where two of them have the same energy, which no spline follows.

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
        Longest beam of the calculation, 1/angstrom.
    absorption : float
        See `structure_matrix`.
    symmetries : sequence of str
        Names in `TURNS` that the pattern is known to be unchanged by; they are checked.
    report : callable, optional
        Called once per beam direction; may raise `Cancelled`.

    Raises
    ------
    ScanError
        If the pattern is not that symmetric, or the first thickness no multiple of the step.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from napari_ferro4d.jobs import Steps

    beams = zone_beams(crystal, g_max, zone_axis, up)
    coupling = structure_matrix(crystal, beams, kilovolts, absorption)
    kept = np.flatnonzero((np.abs(beams.g) <= k_max).all(axis=-1))
    intensity = np.empty((len(kept), len(thickness), len(k_t), len(k_t)), np.float32)
    steps = Steps(report, len(k_t) ** 2, f"diffraction table of {crystal.name}")
    step = float(thickness[1] - thickness[0])
    before = round(thickness[0] / step) - 1
    if before < 0 or abs((before + 1) * step - thickness[0]) > 1e-6:
        raise ScanError(f"thickness: {thickness[0]:g} nm is not a multiple of {step:g} nm.")
    with threadpool_limits(1):
        for (y, ky), (x, kx) in itertools.product(enumerate(k_t), enumerate(k_t)):
            matrix = scattering_matrix(coupling, beams, np.array([ky, kx]), step, kilovolts)
            wave = (np.arange(len(beams.g)) == 0).astype(complex)
            for t in range(-before, len(thickness)):
                wave = matrix @ wave
                if t >= 0:
                    intensity[:, t, y, x] = np.abs(wave[kept]) ** 2
            steps.add()
    made = Computed(beams.hkl[kept], beams.g[kept], intensity, tuple(symmetries))
    for name in symmetries:
        worst = np.abs(turned(made, name).intensity - intensity).max()
        if worst > 1e-4:
            raise ScanError(f"{crystal.name}: the pattern does not have the symmetry {name!r}.")
    return made
