"""A virtual detector on the pattern: what it looks like, and what dragging a part of it does.

Plain geometry in detector pixels ``(ky, kx)``; knows neither Qt nor napari.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_ferro4d.reduce import Annulus, Disk, Polygon, Rectangle, Shape

KINDS = ("disk", "annulus", "rectangle", "polygon")

Point = tuple[float, float]

_STEP = 0.1
"""Detector pixels to which a drag is rounded: finer than a hand is, and short to read."""

_THINNEST = 0.5
"""Least width of a ring, in pixels."""


@dataclass(frozen=True)
class Drawn:
    """A detector and the place, in detector pixels, that its numbers count from."""

    shape: Shape
    centre: Point

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return type(self.shape).__name__.lower()


def start(kind: str, centre: Point, detector: tuple[int, int]) -> Drawn | None:
    """Return the detector to start from; None for a polygon, which is drawn corner by corner."""
    size = max(1.0, round(min(detector) / 8))
    shapes: dict[str, Shape] = {
        "disk": Disk(size),
        "annulus": Annulus(size, 2 * size),
        "rectangle": Rectangle(-size, -size, size, size),
    }
    return Drawn(shapes[kind], centre) if kind in shapes else None


def outlines(drawn: Drawn) -> list[np.ndarray]:
    """Return the closed lines to draw, ``[corner, (ky, kx)]`` each."""
    match drawn.shape:
        case Disk(radius):
            lines = [max(radius, _DOT) * _CIRCLE]
        case Annulus(inner, outer):
            lines = [outer * _CIRCLE, max(inner, _DOT) * _CIRCLE]
        case Rectangle(ky0, kx0, ky1, kx1):
            lines = [np.array([(ky0, kx0), (ky0, kx1), (ky1, kx1), (ky1, kx0), (ky0, kx0)])]
        case Polygon(corners):
            lines = [np.array([*corners, corners[0]])]
    return [line + drawn.centre for line in lines]


_DOT = 0.05  # of a circle of no size napari can make no line
_ROUND = np.linspace(0, 2 * np.pi, 65)
_CIRCLE = np.stack([np.sin(_ROUND), np.cos(_ROUND)], axis=1)


def grab(drawn: Drawn, at: Point, reach: float) -> Callable[[Point], Drawn] | None:
    """Return what dragging from `at` does: a function of the place dragged to.

    None if nothing lies there. An edge or corner within `reach` pixels is moved; what is grabbed
    further inside moves as a whole.
    """
    y, x = at[0] - drawn.centre[0], at[1] - drawn.centre[1]
    match drawn.shape:
        case Disk(radius):
            return _grab_rings(drawn, (radius,), math.hypot(y, x), at, reach)
        case Annulus(inner, outer):
            return _grab_rings(drawn, (inner, outer), math.hypot(y, x), at, reach)
        case Rectangle():
            return _grab_rectangle(drawn, drawn.shape, (y, x), reach)
        case Polygon():
            return _grab_polygon(drawn, drawn.shape, (y, x), reach)


def without_corner(drawn: Drawn, at: Point, reach: float) -> Drawn:
    """Return a polygon without the corner at `at`, if there is one and three others stay."""
    if not isinstance(drawn.shape, Polygon) or len(drawn.shape.corners) < 4:
        return drawn
    corners = np.array(drawn.shape.corners) + drawn.centre
    distances = np.hypot(*(corners - at).T)
    nearest = int(distances.argmin())
    if distances[nearest] > reach:
        return drawn
    left = tuple(c for n, c in enumerate(drawn.shape.corners) if n != nearest)
    return replace(drawn, shape=Polygon(left))


def _rounded(value: float) -> float:
    return round(round(value / _STEP) * _STEP, 6)


def _moved(point: Point, by: Point) -> Point:
    return _rounded(point[0] + by[0]), _rounded(point[1] + by[1])


def _grab_rings(
    drawn: Drawn, radii: tuple[float, ...], distance: float, at: Point, reach: float
) -> Callable[[Point], Drawn] | None:
    nearest = min(range(len(radii)), key=lambda n: abs(radii[n] - distance))
    # Half of a small disk is left to move it by.
    within = min(reach, radii[nearest] / 2) if distance < radii[nearest] else reach
    if abs(radii[nearest] - distance) <= within:

        def resize(to: Point) -> Drawn:
            new = math.hypot(to[0] - drawn.centre[0], to[1] - drawn.centre[1])
            if len(radii) == 1:
                return replace(drawn, shape=Disk(_rounded(new)))
            inner, outer = radii
            if nearest == 0:
                inner = min(_rounded(new), max(0.0, outer - _THINNEST))
            else:
                outer = max(_rounded(new), inner + _THINNEST)
            return replace(drawn, shape=Annulus(inner, outer))

        return resize
    if distance > radii[-1]:
        return None
    start = drawn.centre
    return lambda to: replace(drawn, centre=_moved(start, (to[0] - at[0], to[1] - at[1])))


def _grab_rectangle(
    drawn: Drawn, shape: Rectangle, at: Point, reach: float
) -> Callable[[Point], Drawn] | None:
    low = min(shape.ky0, shape.ky1), min(shape.kx0, shape.kx1)
    high = max(shape.ky0, shape.ky1), max(shape.kx0, shape.kx1)
    if any(not low[i] - reach <= at[i] <= high[i] + reach for i in (0, 1)):
        return None
    # Which sides are held: of each pair the nearer one, if it is within reach.
    held: list[tuple[int, bool]] = []
    for axis in (0, 1):
        to_low, to_high = abs(at[axis] - low[axis]), abs(at[axis] - high[axis])
        if min(to_low, to_high) <= min(reach, max(1.0, (high[axis] - low[axis]) / 3)):
            held.append((axis, to_low > to_high))

    def drag(to: Point) -> Drawn:
        by = to[0] - drawn.centre[0] - at[0], to[1] - drawn.centre[1] - at[1]
        ends = [list(low), list(high)]
        for end, axis in ((end, axis) for end in (0, 1) for axis in (0, 1)):
            if not held or (axis, bool(end)) in held:
                ends[end][axis] = _rounded(ends[end][axis] + by[axis])
        return replace(drawn, shape=Rectangle(*ends[0], *ends[1]))

    return drag


def _grab_polygon(
    drawn: Drawn, shape: Polygon, at: Point, reach: float
) -> Callable[[Point], Drawn] | None:
    corners = np.array(shape.corners)
    distances = np.hypot(*(corners - at).T)
    nearest = int(distances.argmin())
    if distances[nearest] > reach:
        side, away = _nearest_side(corners, at)
        if away <= reach:
            # A side that is dragged gets a corner there.
            nearest = side + 1
            corners = np.insert(corners, nearest, at, axis=0)
        elif shape.mask((1, 1), (-at[0], -at[1]))[0, 0]:
            nearest = -1
        else:
            return None

    def drag(to: Point) -> Drawn:
        by = to[0] - drawn.centre[0] - at[0], to[1] - drawn.centre[1] - at[1]
        new = [
            _moved((float(y), float(x)), by) if nearest in (-1, n) else (float(y), float(x))
            for n, (y, x) in enumerate(corners)
        ]
        return replace(drawn, shape=Polygon(tuple(new)))

    return drag


def _nearest_side(corners: np.ndarray, at: Point) -> tuple[int, float]:
    """Return the side of a polygon nearest to a point, by its first corner, and how far it is."""
    sides = np.roll(corners, -1, axis=0) - corners
    along = ((at - corners) * sides).sum(axis=1) / np.maximum((sides**2).sum(axis=1), 1e-12)
    feet = corners + np.clip(along, 0, 1)[:, None] * sides
    distances = np.hypot(*(feet - at).T)
    nearest = int(distances.argmin())
    return nearest, float(distances[nearest])
