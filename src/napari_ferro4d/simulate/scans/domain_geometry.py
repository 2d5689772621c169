"""Domains of simulated specimens: which state is where, and how far away the next wall is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ferro4d.errors import ScanError
from napari_ferro4d.simulate.crystal import Array

if TYPE_CHECKING:
    from .spec import Spec

_SMOOTH = 2.0  # pixels over which the direction of a wall in a label image is taken


@dataclass(frozen=True, eq=False)
class Regions:
    """What is at some points of a specimen; arrays of the shape of the points.

    Parameters
    ----------
    own : ndarray
        Index of the state at the point, in ``geometry.states``.
    other : ndarray
        Index of the state behind the nearest wall.
    distance : ndarray
        To that wall, nm; never negative.
    domain : ndarray
        uint16, number of the domain from 1: a vortex has six, of two states.
    normal : ndarray
        ``[2, ...]`` (y, x), unit vector across that wall, from `own` to `other`.
    """

    own: Array
    other: Array
    distance: Array
    domain: Array
    normal: Array


def regions(spec: Spec) -> Callable[[Array, Array], Regions]:
    """Return the geometry of a spec as a function of position.

    Parameters
    ----------
    spec : Spec
        Decides by ``geometry.kind``.

    Returns
    -------
    callable
        Takes ``y`` and ``x`` in nm from the middle of the scan, arrays of one shape.

    Raises
    ------
    ScanError
        If a label image cannot be read, or has labels without a state.
    """
    kinds = {
        "domains": _domains,
        "stripes": _stripes,
        "vortex": _vortex,
        "three-state": _three_state,
        "image": _image,
    }
    return kinds[spec.geometry.kind](spec)


def half_side(spec: Spec) -> float:
    """Return half of the longer side of the scan, nm."""
    return max(max(spec.scan.shape) - 1, 1) / 2 * spec.scan.step


def _frame(spec: Spec) -> tuple[Array, Array]:
    """Return the unit vectors (y, x) along the wall and across it, see `_axes`."""
    angle = np.deg2rad(spec.geometry.angle)
    return np.array([-np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])


def _times(vector: Array, factor: Array) -> Array:
    """Return a vector ``[2]`` times a number at each point, ``[2, ...]``."""
    return np.multiply.outer(vector, factor)


def _axes(spec: Spec, y: Array, x: Array) -> tuple[Array, Array]:
    """Return coordinates along and across the wall; across grows to the right of a vertical one."""
    angle = np.deg2rad(spec.geometry.angle)
    y, x = y - spec.geometry.centre[0], x - spec.geometry.centre[1]
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def _domains(spec: Spec) -> Callable[[Array, Array], Regions]:
    half, bow = half_side(spec), spec.geometry.bow or 0.0
    to_along, to_across = _frame(spec)

    def at(y: Array, x: Array) -> Regions:
        along, across = _axes(spec, y, x)
        beyond = across - bow * (along / half) ** 2
        # To first order in the distance from a bowed wall.
        gradient = 2 * bow * along / half**2
        steepness = np.hypot(1, gradient)
        distance = np.abs(beyond) / steepness
        own = (beyond >= 0).astype(np.intp)
        back = np.where(beyond >= 0, -1, 1) / steepness
        normal = _times(to_across, back) - _times(to_along, back * gradient)
        return Regions(own, 1 - own, distance, (own + 1).astype(np.uint16), normal)

    return at


def _stripes(spec: Spec) -> Callable[[Array, Array], Regions]:
    width = (spec.geometry.period or np.inf) / 2
    reach = int(np.ceil(2 * half_side(spec) / width)) + 1
    to_across = _frame(spec)[1]

    def at(y: Array, x: Array) -> Regions:
        # The middle of a stripe of the first state is at the centre.
        place = _axes(spec, y, x)[1] / width + 0.5
        number = np.floor(place).astype(np.intp)
        within = place - number
        own = np.mod(number, 2)
        domain = np.clip(number + reach + 1, 1, 65_535).astype(np.uint16)
        normal = _times(to_across, np.where(within < 0.5, -1.0, 1.0))
        return Regions(own, 1 - own, np.minimum(within, 1 - within) * width, domain, normal)

    return at


def _vortex(spec: Spec) -> Callable[[Array, Array], Regions]:
    geometry, half = spec.geometry, half_side(spec)

    def at(y: Array, x: Array) -> Regions:
        y, x = y - geometry.centre[0], x - geometry.centre[1]
        radius = np.hypot(y, x)
        turned = np.rad2deg(np.arctan2(-y, x)) - geometry.angle
        turned = np.mod(turned - (geometry.twist or 0.0) * radius / half, 360)
        sector = np.minimum(turned // 60, 5).astype(np.intp)
        within = turned - 60 * sector
        # Walls turn slowly: across one, it is as if they were straight.
        distance = radius * np.sin(np.deg2rad(np.minimum(within, 60 - within)))
        own = np.mod(sector, 2)
        # Where the nearest wall runs to: outwards, and on with its twist.
        twist = (geometry.twist or 0.0) * radius / half
        onward = geometry.angle + twist + 60 * (sector + (within > 30))
        onward = np.deg2rad(onward) + np.arctan(np.deg2rad(twist))
        turn = np.where(within > 30, 1, -1)
        normal = -turn * np.stack([np.cos(onward), np.sin(onward)])
        number = (sector + 1).astype(np.uint16)
        return Regions(own, 1 - own, np.maximum(distance, 0), number, normal)

    return at


def _three_state(spec: Spec) -> Callable[[Array, Array], Regions]:
    half_region = (spec.geometry.region or 0.0) / 2
    quarter = (spec.geometry.period or np.inf) / 4
    # One round of stripes across the wall region: the third state alternates with the other two,
    # which grow out of their own domains as needles.
    cycle = np.array([2, 0, 2, 1])
    to_along, to_across = _frame(spec)

    def at(y: Array, x: Array) -> Regions:
        along, across = _axes(spec, y, x)
        place = along / quarter
        number = np.floor(place).astype(np.intp)
        within = place - number
        stripe = cycle[np.mod(number, 4)]
        to_stripe = np.minimum(within, 1 - within) * quarter
        beside = cycle[np.mod(np.where(within < 0.5, number - 1, number + 1), 4)]

        side = (across >= 0).astype(np.intp)
        outside = np.abs(across) > half_region
        to_edge = np.abs(np.abs(across) - half_region)
        far_edge = np.abs(across) + half_region
        own = np.where(outside, side, stripe)
        # A domain and the needle that grows out of it have no wall between them.
        merged = stripe == side
        edge_other = np.where(outside, stripe, side)
        edge = np.where(merged, np.where(outside, np.hypot(to_edge, to_stripe), far_edge), to_edge)
        edge_other = np.where(merged, np.where(outside, beside, 1 - side), edge_other)
        stripe_nearer = ~outside & (to_stripe < edge)
        other = np.where(stripe_nearer, beside, edge_other)
        distance = np.where(stripe_nearer, to_stripe, edge)
        # Round the end of a needle the way is oblique, else along or across the region.
        corner = merged & outside
        outwards = np.where(across >= 0, 1, -1) * np.where(merged | outside, -1, 1)
        over_edge = np.where(stripe_nearer, 0, np.where(corner, to_edge, 1)) * outwards
        over_stripe = np.where(stripe_nearer, 1, np.where(corner, to_stripe, 0))
        over_stripe = over_stripe * np.where(within < 0.5, -1, 1)
        length = np.maximum(np.hypot(over_edge, over_stripe), 1e-12)
        normal = _times(to_across, over_edge / length) + _times(to_along, over_stripe / length)
        return Regions(own, other, distance, (own + 1).astype(np.uint16), normal)

    return at


def _image(spec: Spec) -> Callable[[Array, Array], Regions]:
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    from napari_ferro4d.io import read_labels

    geometry = spec.geometry
    key = "geometry.image"
    try:
        labels = read_labels(geometry.image or "")
    except ScanError as error:
        raise spec.error(key, str(error)) from error
    if labels.min() < 1 or labels.max() > len(geometry.states):
        raise spec.error(
            key,
            f"labels are 1 to {len(geometry.states)}, one per state of geometry.states, "
            f"but the image holds {labels.min()} to {labels.max()}.",
        )
    if geometry.pixel is None:
        sides = (np.array(spec.scan.shape)) * spec.scan.step
        pixel = sides / labels.shape
    else:
        pixel = np.array([geometry.pixel, geometry.pixel])
    own_at = labels.astype(np.intp) - 1
    distance_at = np.full(labels.shape, np.inf)
    other_at = own_at.copy()
    normal_at = np.zeros((2, *labels.shape))
    for state in np.unique(own_at):
        here = own_at == state
        if here.all():
            continue
        nearest, index = distance_transform_edt(here, sampling=pixel, return_indices=True)
        distance_at[here] = nearest[here]
        other_at[here] = own_at[tuple(index)][here]
        # Smooth, or an oblique wall of square pixels would face along the axes only.
        beyond = distance_transform_edt(~here, sampling=pixel) - nearest
        smooth = np.pad(gaussian_filter(beyond, _SMOOTH, mode="nearest"), 1, mode="edge")
        gradient_y = (smooth[2:, 1:-1] - smooth[:-2, 1:-1]) / (2 * pixel[0])
        gradient_x = (smooth[1:-1, 2:] - smooth[1:-1, :-2]) / (2 * pixel[1])
        length = np.maximum(np.hypot(gradient_y, gradient_x), 1e-12)
        normal_at[:, here] = np.stack([gradient_y / length, gradient_x / length])[:, here]
    # From the middle of a pixel to the edge of the next one.
    distance_at = np.maximum(distance_at - pixel.mean() / 2, 0)

    def at(y: Array, x: Array) -> Regions:
        row = np.floor((y - geometry.centre[0]) / pixel[0] + labels.shape[0] / 2).astype(np.intp)
        column = np.floor((x - geometry.centre[1]) / pixel[1] + labels.shape[1] / 2).astype(np.intp)
        where = (
            np.clip(row, 0, labels.shape[0] - 1),
            np.clip(column, 0, labels.shape[1] - 1),
        )
        own = own_at[where]
        number = (own + 1).astype(np.uint16)
        return Regions(own, other_at[where], distance_at[where], number, normal_at[:, *where])

    return at
