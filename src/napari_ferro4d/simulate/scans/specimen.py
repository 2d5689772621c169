"""The simulated specimen, one scan row at a time: states under the probe, thickness, tilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.simulate.crystal import Array

from .domain_geometry import Regions, regions

if TYPE_CHECKING:
    from napari_ferro4d.simulate.diffraction import Table

    from .spec import Spec

_FWHM = 2.354820045  # of a Gaussian, in standard deviations
_PER_FWHM = 8  # points across the probe at which the specimen is looked at
_WINGS = 4.0  # standard deviations of the probe that are taken into account
_WALL = 0.05  # share of a minority state from which on a position counts as wall
_CHARGED = 0.5  # of the bound charge of a wall square to P, from which on it is head to head
# Widths of walls that stand square on P, in widths of a neutral one.
_HEAD_TO_HEAD, _TAIL_TO_TAIL = 2.0, 1.5


@dataclass(frozen=True, eq=False)
class Row:
    """What the probe meets along one scan row of n positions.

    Parameters
    ----------
    fractions : ndarray
        ``[state, n]``, share of each state under the probe, in the order of `Specimen.states`.
    labels : ndarray
        uint8 ``[n]``; the state at the middle of the probe, 1 for the first of ``geometry.states``.
    domains : ndarray
        uint16 ``[n]``, number of the domain at the middle of the probe.
    polarisation : ndarray
        ``[3, n]``: y, x, z, in units of the spontaneous polarisation, mean under the probe.
    wall : ndarray
        bool ``[n]``: more than 5 % of the probe is not in the state it is mostly in.
    charge : ndarray
        ``[n]``, bound charge ``-div P`` under the probe, per nm in units of the polarisation.
    charge_class : ndarray
        uint8 ``[n]``: 0 where there is no wall, else the kind of the nearest one: 1 head to head,
        2 tail to tail, 3 neutral.
    thickness : ndarray
        ``[n]`` nm.
    tilt : ndarray
        ``[2, n]`` mrad (y, x), direction of the incident beam from the zone axis.
    shift : ndarray
        ``[2, n]`` shift of the pattern (ky, kx) in pixels.
    """

    fractions: Array
    labels: Array
    domains: Array
    polarisation: Array
    wall: Array
    charge: Array
    charge_class: Array
    thickness: Array
    tilt: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Specimen:
    """A specimen that can be asked for any scan row.

    Parameters
    ----------
    spec : Spec
        What it is made of.
    states : tuple of str
        States of the geometry, then those of the wall's inside: none, the one without
        polarisation, or that and those of head-to-head and of tail-to-tail walls.
    polarisation : ndarray
        ``[state, 3]``.
    at : callable
        The geometry, see `regions`.
    """

    spec: Spec
    states: tuple[str, ...]
    polarisation: Array
    at: Callable[[Array, Array], Regions]

    def row(self, number: int) -> Row:
        """Return row `number`; the same whatever was asked before."""
        spec = self.spec
        y, x = _positions(spec, number)
        fractions, gradient_y, gradient_x = self._under_probe(y, x)
        here = self.at(y, x)
        wall = fractions.max(axis=0) < 1 - _WALL
        facing = self._facing(here)
        kind = np.select([facing > _CHARGED, facing < -_CHARGED], [1, 2], 3)
        polarisation = self.polarisation.T @ fractions
        charge = -(self.polarisation[:, 0] @ gradient_y + self.polarisation[:, 1] @ gradient_x)
        time = number / max(spec.scan.shape[0] - 1, 1) - 0.5
        across = np.arange(len(x)) / max(len(x) - 1, 1) - 0.5
        shift = np.multiply.outer(spec.scan.descan_y, np.full(len(x), time))
        shift = shift + np.multiply.outer(spec.scan.descan_x, across)
        return Row(
            fractions=fractions,
            labels=(here.own + 1).astype(np.uint8),
            domains=here.domain,
            polarisation=polarisation,
            wall=wall,
            charge=np.where(np.abs(charge) < 1e-6, 0, charge),
            charge_class=np.where(wall, kind, 0).astype(np.uint8),
            thickness=_thickness(spec, y, x),
            tilt=_tilt(spec, y, x),
            shift=shift,
        )

    def _under_probe(self, y: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return the share of each state under the probe, and its gradients (y, x) per nm."""
        sigma = self.spec.scan.probe_fwhm / _FWHM
        pitch = self.spec.scan.probe_fwhm / _PER_FWHM
        rows, weight_y, gradient_y = _windows(y, sigma, pitch)
        columns, weight_x, gradient_x = _windows(x, sigma, pitch)
        points_y, points_x = np.unique(rows), np.unique(columns)
        local = self._local(*np.meshgrid(points_y * pitch, points_x * pitch, indexing="ij"), pitch)
        from_y = np.searchsorted(points_y, rows[:, 0])
        from_x = np.searchsorted(points_x, columns[:, 0])
        high, wide = rows.shape[1], columns.shape[1]
        shares = np.empty((3, len(self.states), len(y)))
        for n in range(len(y)):
            window = slice(from_y[n], from_y[n] + high), slice(from_x[n], from_x[n] + wide)
            block = local[:, window[0], window[1]]
            along = block @ weight_x[n]
            shares[0, :, n] = along @ weight_y[n]
            shares[1, :, n] = along @ gradient_y[n]
            shares[2, :, n] = (block @ gradient_x[n]) @ weight_y[n]
        return shares[0], shares[1], shares[2]

    def _local(self, y: Array, x: Array, pitch: float) -> Array:
        """Return the share of each state at points of the specimen, ``[state, ...]``."""
        found = self.at(y, x)
        wall = self.spec.wall
        # A wall cannot be sharper than the distance of the points, or it would jump from one to
        # the next; the probe is eight times as wide.
        width: Array = np.asarray(max(wall.width, pitch))
        facing = self._facing(found) if wall.structure == "charged" else np.zeros(y.shape)
        heads, tails = np.maximum(facing, 0), np.maximum(-facing, 0)
        width = width * (1 + (_HEAD_TO_HEAD - 1) * heads + (_TAIL_TO_TAIL - 1) * tails)
        shares = np.zeros((len(self.states), *y.shape))
        if wall.structure == "mixed":
            own = (1 + np.tanh(2 * found.distance / width)) / 2
            inside = np.zeros_like(own)
        elif wall.structure == "nonpolar":
            own = np.clip((found.distance - wall.width / 2) / pitch + 0.5, 0, 1)
            inside = 1 - own
        else:
            # The amplitude of the distortion passes zero; between the states that were
            # calculated the pattern is taken to change in proportion.
            own = np.tanh(2 * found.distance / width)
            inside = 1 - own
        _put(shares, found.own, own)
        if wall.structure == "mixed":
            _put(shares, found.other, 1 - own)
        elif wall.structure == "charged":
            for state, part in zip((-3, -2, -1), (1 - heads - tails, heads, tails), strict=True):
                shares[state] += inside * part
        else:
            shares[-1] += inside
        return shares

    def _facing(self, found: Regions) -> Array:
        """Return the bound charge of the nearest wall: 1 head to head, -1 tail to tail."""
        jump = self.polarisation[found.own] - self.polarisation[found.other]
        across = jump[..., 0] * found.normal[0] + jump[..., 1] * found.normal[1]
        return np.asarray(np.clip(across / 2, -1, 1))


def _put(shares: Array, state: Array, value: Array) -> None:
    for number in range(len(shares)):
        shares[number] += np.where(state == number, value, 0)


def specimen_of(spec: Spec, table: Table) -> Specimen:
    """Return the specimen of a spec, of states of a table.

    Raises
    ------
    ScanError
        If the table lacks a state, or the label image is of no use.
    """
    names = [one.name for one in table.states]
    for name in spec.geometry.states:
        if name not in names:
            raise spec.error(
                "geometry.states", f"table {table.name} has no {name!r}; it has {', '.join(names)}."
            )
    states = spec.geometry.states
    if spec.wall.structure != "mixed":
        if table.nonpolar is None:
            raise spec.error(
                "wall.structure",
                f"{spec.wall.structure!r} needs a state without polarisation, which table "
                f"{table.name} lacks; use 'mixed'.",
            )
        states = (*states, table.nonpolar)
    if spec.wall.structure == "charged":
        if table.charged is None:
            raise spec.error(
                "wall.structure",
                "'charged' needs states of head-to-head and tail-to-tail walls, which table "
                f"{table.name} lacks; use 'mixed'.",
            )
        states = (*states, *table.charged)
    polarisation = np.array([table.state(name).polarisation for name in states])
    return Specimen(spec, states, polarisation, regions(spec))


def _positions(spec: Spec, row: int) -> tuple[Array, Array]:
    """Return where the probe is along a row, nm from the middle of the scan, drift included."""
    ny, nx = spec.scan.shape
    column = np.arange(nx)
    time = (row * nx + column) / max(ny * nx - 1, 1)
    y = np.full(nx, (row - (ny - 1) / 2) * spec.scan.step) + spec.scan.drift[0] * time
    x = (column - (nx - 1) / 2) * spec.scan.step + spec.scan.drift[1] * time
    return y, x


def _windows(at: Array, sigma: float, pitch: float) -> tuple[Array, Array, Array]:
    """Return for each place the points around it, and weights of the probe and its gradient."""
    half = int(np.ceil(_WINGS * sigma / pitch))
    points = np.rint(at / pitch).astype(np.intp)[:, None] + np.arange(-half, half + 1)
    offset = points * pitch - at[:, None]
    weight = np.exp(-(offset**2) / (2 * sigma**2))
    weight /= weight.sum(axis=1, keepdims=True)
    # The gradient of the mean under the probe is the mean under the gradient of the probe.
    gradient = weight * offset / sigma**2
    gradient -= weight * gradient.sum(axis=1, keepdims=True)
    return points, weight, gradient


def _thickness(spec: Spec, y: Array, x: Array) -> Array:
    start, end = spec.specimen.thickness
    angle = np.deg2rad(spec.specimen.wedge_angle)
    ny, nx = ((n - 1) * spec.scan.step / 2 for n in spec.scan.shape)
    # From one corner of the scan to the opposite one; what drift adds stays at the ends' value.
    reach = abs(nx * np.cos(angle)) + abs(ny * np.sin(angle)) or 1.0
    along = np.clip((x * np.cos(angle) - y * np.sin(angle)) / reach, -1, 1)
    return np.asarray(start + (end - start) * (along + 1) / 2)


def _tilt(spec: Spec, y: Array, x: Array) -> Array:
    specimen = spec.specimen
    angle = np.deg2rad(specimen.bend_angle)
    direction = np.array([-np.sin(angle), np.cos(angle)])
    along = x * np.cos(angle) - y * np.sin(angle)
    phase = 2 * np.pi * along / specimen.bend_period + np.deg2rad(specimen.bend_phase)
    bent = specimen.bend * np.sin(phase)
    return np.asarray(np.array(specimen.tilt)[:, None] + direction[:, None] * bent)


def largest_tilt(spec: Spec) -> float:
    """Return the largest component of the tilt that a spec can lead to, mrad."""
    angle = np.deg2rad(spec.specimen.bend_angle)
    bent = spec.specimen.bend * np.abs([np.sin(angle), np.cos(angle)])
    return float((np.abs(spec.specimen.tilt) + bent).max())
