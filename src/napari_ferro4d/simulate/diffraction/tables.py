"""Tables of dynamically diffracted intensities, and patterns interpolated in them.

A table holds, for every state of a ferroelectric (+P, -P, ...), the intensity of every beam that
reaches the detector on an even grid of beam directions and thicknesses. States that are mirror
images or turned copies of one another are calculated, and stored, once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array

from .optics import Optics
from .scattering import wavelength
from .symmetry import TURNS, find, turned_grid

# Grid points beyond the range promised: a cubic spline bends wrongly at the ends of its table.
_MARGIN = 2


@dataclass(frozen=True, eq=False)
class Computed:
    """Intensities of one crystal in one orientation.

    Parameters
    ----------
    hkl : ndarray
        ``[beam, 3]`` Miller indices.
    g : ndarray
        ``[beam, 2]`` detector components ``(ky, kx)`` in 1/angstrom.
    intensity : ndarray
        float32 ``[beam, thickness, ky, kx]``, the incident beam being 1.
    symmetries : tuple of str
        Names in `TURNS` under which the patterns do not change; stored once for all of them.
    """

    hkl: Array
    g: Array
    intensity: Array
    symmetries: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """A polarisation state: a calculation, turned.

    Parameters
    ----------
    name : str
        As geometries name it, for example ``"+P"``.
    computed : int
        Which of the table's calculations.
    turn : str
        Name in `TURNS`.
    polarisation : tuple of float
        ``(y, x, z)`` in units of the spontaneous polarisation; y down, x right, z along the beam.
    """

    name: str
    computed: int
    turn: str
    polarisation: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Table:
    """Intensities of every beam over beam direction and thickness, for all states of a material.

    Parameters
    ----------
    name : str
        For messages.
    material : str
        What was calculated, in words.
    kilovolts : float
        Acceleration voltage.
    k_t : ndarray
        Grid of transverse wave vectors in 1/angstrom, the same for ky and kx, even and symmetric.
    thickness : ndarray
        Grid of thicknesses in nm, even. Both grids reach two points further than may be asked for.
    k_max : float
        Beams are complete in the square ``|ky|, |kx| <= k_max``, 1/angstrom.
    computed : tuple of Computed
        The calculations.
    states : tuple of State
        What they stand for.
    nonpolar : str or None
        Name of the state without polarisation, if there is one.
    charged : tuple of str or None
        Names of the states inside head-to-head and tail-to-tail walls, if there are such.
    notes : mapping
        Anything else worth keeping, as JSON types.
    """

    name: str
    material: str
    kilovolts: float
    k_t: Array
    thickness: Array
    k_max: float
    computed: tuple[Computed, ...]
    states: tuple[State, ...]
    nonpolar: str | None = None
    charged: tuple[str, str] | None = None
    notes: Mapping[str, Any] | None = None

    @property
    def reach(self) -> float:
        """Largest transverse wave vector that may be asked for, 1/angstrom."""
        return float(self.k_t[-1 - _MARGIN])

    @property
    def thickness_range(self) -> tuple[float, float]:
        """Smallest and largest thickness that may be asked for, nm."""
        return float(self.thickness[_MARGIN]), float(self.thickness[-1 - _MARGIN])

    @property
    def spacing(self) -> float:
        """Shortest distance between two beams of any state, 1/angstrom."""
        shortest = []
        for one in self.computed:
            distance = np.hypot(*np.moveaxis(one.g[:, None] - one.g[None], -1, 0))
            shortest.append(distance[distance > 1e-6].min())
        return float(min(shortest))

    def state(self, name: str) -> State:
        """Return the state of that name.

        Raises
        ------
        ScanError
            If there is none.
        """
        for one in self.states:
            if one.name == name:
                return one
        known = ", ".join(repr(one.name) for one in self.states)
        raise ScanError(f"table {self.name}: has no state {name!r}; it has {known}.")


def turned(computed: Computed, turn: str) -> Computed:
    """Return `computed` turned, its beams in the same order if the lattice of beams allows."""
    matrix = np.array(TURNS[turn])
    g = computed.g @ matrix.T
    intensity = turned_grid(computed.intensity, matrix)
    order = find(g, computed.g)
    if (order < 0).any():
        return Computed(computed.hkl, g, intensity, computed.symmetries)
    return Computed(computed.hkl, computed.g, intensity[order], computed.symmetries)


@functools.lru_cache(maxsize=16)
def spline_of(table: Table, state: str) -> tuple[Array, Array]:
    """Return cubic spline coefficients ``[beam, thickness, ky, kx]`` and ``g`` of a state."""
    from scipy.ndimage import spline_filter

    which = table.state(state)
    made = turned(table.computed[which.computed], which.turn)
    coefficients = np.stack([spline_filter(one, order=3, mode="mirror") for one in made.intensity])
    return np.ascontiguousarray(coefficients, dtype=np.float32), made.g


def check_reach(
    table: Table,
    optics: Optics,
    tilt: float,
    thickness: tuple[float, float],
    where: Mapping[str, str] | None = None,
) -> None:
    """Refuse what the table does not cover.

    Parameters
    ----------
    table : Table
        The table.
    optics : Optics
        Convergence and detector.
    tilt : float
        Largest component of the tilt, mrad.
    thickness : tuple of float
        Smallest and largest thickness, nm.
    where : mapping, optional
        What to call ``thickness``, ``tilt``, ``convergence``, ``kilovolts`` and ``detector``.

    Raises
    ------
    ScanError
        If one of them is out of range; it names the range.
    """
    said = {key: key for key in ("thickness", "tilt", "convergence", "kilovolts", "detector")}
    said |= dict(where or {})
    to_mrad = wavelength(table.kilovolts) * 1e3
    if abs(optics.kilovolts - table.kilovolts) > 1e-6:
        raise ScanError(
            f"{said['kilovolts']}: {optics.kilovolts:g} kV, but table {table.name} is of "
            f"{table.kilovolts:g} kV."
        )
    low, high = table.thickness_range
    if not (low - 1e-6 <= thickness[0] and thickness[1] <= high + 1e-6):
        raise ScanError(
            f"{said['thickness']}: {thickness[0]:g} to {thickness[1]:g} nm, but table "
            f"{table.name} reaches from {low:g} to {high:g} nm."
        )
    if 2 * optics.disk_radius > table.spacing:
        raise ScanError(
            f"{said['convergence']}: disks of {optics.convergence:g} mrad overlap, and the "
            "interference where they do is not simulated; at most "
            f"{table.spacing / 2 * to_mrad:.2f} mrad with table {table.name}."
        )
    room = (table.reach - optics.disk_radius - optics.k_step / 2) * to_mrad
    if not tilt <= room + 1e-9:
        raise ScanError(
            f"{said['tilt']}: up to {tilt:.3g} mrad along one axis, but table {table.name} reaches "
            f"{max(room, 0):.3g} mrad with a convergence of {optics.convergence:g} mrad."
        )
    edge = max(optics.detector_shape) / 2 * optics.k_step
    if edge > table.k_max - optics.disk_radius:
        raise ScanError(
            f"{said['detector']}: the detector reaches {edge:.3g} 1/angstrom, but table "
            f"{table.name} holds whole disks up to {table.k_max - optics.disk_radius:.3g}."
        )


def add_patterns(
    out: Array,
    table: Table,
    state: str,
    optics: Optics,
    tilt: Array,
    thickness: Array,
    weight: Array,
    shift: Array,
) -> None:
    """Add the pattern of each of n places, times its weight; see `check_reach` for the limits.

    Parameters
    ----------
    out : ndarray
        float32 ``[n, ky, kx]``, added to.
    table : Table
        Intensities.
    state : str
        Which state.
    optics : Optics
        Convergence and detector.
    tilt : ndarray
        ``[n, 2]`` mrad, direction ``(y, x)`` of the incident beam in the frame of the crystal.
    thickness : ndarray
        ``[n]`` nm.
    weight : ndarray
        ``[n]``; places of weight zero cost nothing.
    shift : ndarray
        ``[n, 2]`` shift of the whole pattern ``(ky, kx)`` in pixels.
    """
    from .disks import add_disks

    coefficients, g = spline_of(table, state)
    radius = optics.disk_radius / optics.k_step
    k_step = table.k_t[1] - table.k_t[0]
    t_step = table.thickness[1] - table.thickness[0]
    per_mrad = 1e-3 / wavelength(optics.kilovolts)
    add_disks(
        out,
        coefficients,
        np.array(optics.centre) + g / optics.k_step,
        radius,
        optics.k_step / k_step,
        (np.asarray(tilt, dtype=float) * per_mrad - table.k_t[0]) / k_step,
        (np.asarray(thickness, dtype=float) - table.thickness[0]) / t_step,
        np.asarray(weight, dtype=float) / (np.pi * radius**2),
        np.asarray(shift, dtype=float),
    )


def table_patterns(
    table: Table, state: str, optics: Optics, tilt_y: Array, tilt_x: Array, thickness: Array
) -> Array:
    """Return the expected pattern of each of n places, as a share of the incident electrons.

    Parameters
    ----------
    table : Table
        Intensities, see `load_table`.
    state : str
        Name of a state of the table.
    optics : Optics
        Convergence and detector; the voltage must be the table's.
    tilt_y, tilt_x : ndarray
        ``[n]`` mrad, direction of the incident beam in the frame of the crystal.
    thickness : ndarray
        ``[n]`` nm.

    Returns
    -------
    ndarray
        float32 ``[n, ky, kx]``; the sum is 1 less what is absorbed or misses the detector.

    Raises
    ------
    ScanError
        If a tilt, a thickness or the optics are outside the table.
    """
    tilt = np.stack([tilt_y, tilt_x], axis=-1)
    depth = np.asarray(thickness, dtype=float)
    check_reach(table, optics, float(np.abs(tilt).max()), (float(depth.min()), float(depth.max())))
    out = np.zeros((len(depth), *optics.detector_shape), np.float32)
    none = np.zeros_like(tilt, dtype=float)
    add_patterns(out, table, state, optics, tilt, depth, np.ones(len(depth)), none)
    return out
