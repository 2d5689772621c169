"""What dragging a part of a drawn detector does: plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ferro4d.reduce import Annulus, Disk, Polygon, Rectangle, parse_detector
from napari_ferro4d.viewer.diffraction import Drawn, grab, outlines, without_corner

CENTRE = (7.5, 7.5)

numbers = st.floats(-30, 30).map(lambda value: round(value, 2))
points = st.tuples(numbers, numbers)


def dragged(drawn, start, to, reach=0.5):
    return grab(drawn, start, reach)(to)


@given(st.floats(2, 20), st.floats(0, 6.28), points)
def test_the_edge_of_a_disk_follows_the_mouse_and_its_inside_moves_it(radius, angle, to):
    disk = Drawn(Disk(radius), (3.0, 4.0))
    edge = 3 + radius * np.sin(angle), 4 + radius * np.cos(angle)
    resized = dragged(disk, edge, to)
    assert resized.centre == disk.centre
    assert resized.shape.radius == pytest.approx(np.hypot(to[0] - 3, to[1] - 4), abs=0.051)
    moved = dragged(disk, (3.2, 4.3), to)
    assert moved.shape == disk.shape
    assert moved.centre == pytest.approx((to[0] - 0.2, to[1] - 0.3), abs=0.051)
    assert grab(disk, (3 + radius + 1, 4.0), 0.5) is None


@given(points)
def test_a_ring_keeps_a_width_however_its_edges_are_dragged(to):
    ring = Drawn(Annulus(4, 9), (0.0, 0.0))
    for start in ((4.2, 0.0), (0.0, -8.9)):
        shape = dragged(ring, start, to).shape
        assert 0 <= shape.inner < shape.outer
    assert dragged(ring, (0.0, -8.9), (0.0, 12.0)).shape == Annulus(4, 12)
    assert dragged(ring, (4.2, 0.0), (1.0, 0.0)).shape == Annulus(1, 9)
    assert dragged(ring, (0.5, 0.0), (1.5, 2.0)).centre == (1.0, 2.0)


def test_sides_and_corners_of_a_rectangle_are_dragged():
    box = Drawn(Rectangle(-6, -4, 6, 4), (10.0, 10.0))
    assert dragged(box, (4.2, 10.0), (2.2, 13.0)).shape == Rectangle(-8, -4, 6, 4)
    assert dragged(box, (16.0, 14.0), (18.0, 15.0)).shape == Rectangle(-6, -4, 8, 5)
    assert dragged(box, (11.0, 11.0), (12.0, 9.0)).shape == Rectangle(-5, -6, 7, 2)
    assert grab(box, (11.0, 20.0), 0.5) is None


def test_a_polygon_gets_moves_and_loses_corners():
    triangle = Drawn(Polygon(((0, 0), (0, 10), (10, 0))), (5.0, 5.0))
    moved = dragged(triangle, (5.1, 15.0), (6.1, 17.0))
    assert moved.shape.corners == ((0, 0), (1, 12), (10, 0))
    more = dragged(triangle, (5.0, 10.0), (2.0, 10.0))
    assert more.shape.corners == ((0, 0), (-3, 5), (0, 10), (10, 0))
    assert dragged(triangle, (7.0, 7.0), (8.0, 6.0)).shape.corners == ((1, -1), (1, 9), (11, -1))
    assert without_corner(more, (2.0, 10.0), 0.5) == triangle
    assert without_corner(triangle, (5.0, 5.0), 0.5) == triangle
    assert grab(triangle, (14.0, 14.0), 0.5) is None


@pytest.mark.parametrize("text", ["disk:0", "disk:3", "annulus:0,5", "rectangle:0,0,2,2"])
def test_every_outline_is_closed(text):
    for line in outlines(Drawn(parse_detector(text), CENTRE)):
        np.testing.assert_allclose(line[0], line[-1])
        assert np.ptp(line, axis=0).min() > 0
