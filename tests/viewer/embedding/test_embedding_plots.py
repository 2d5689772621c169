"""The plots of the Embedding dock by themselves, used with the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from helpers.plots import LEFT, drag, hover, picture, point_of
from napari_ferro4d.embedding import histogram
from napari_ferro4d.viewer.widgets import GatePlane, HistogramView, PatternImage, Picture


@pytest.fixture
def view(qtbot):
    """A histogram of values from 0 to 10."""
    view = HistogramView()
    qtbot.addWidget(view)
    view.resize(320, 112)
    view.show()
    view.show_histogram(histogram(np.linspace(0, 10, 2000).reshape(40, 50)))
    return view


def test_a_range_is_made_moved_to_the_end_and_removed(view):
    seen = []
    view.dragged.connect(seen.append)
    drag(view, [(2, 1), (4, 1)])
    assert view.range == pytest.approx((2, 4), abs=0.1)
    assert seen[-1] == view.range
    assert len(seen) == 5
    low, high = view.range
    # Beyond the end of the axis it keeps its width.
    drag(view, [(3, 1), (9, 1), (30, 1)])
    assert view.range == pytest.approx((10 - (high - low), 10))
    # The lower edge goes past the upper one.
    drag(view, [(9.5, 1), (4, 1)])
    drag(view, [(view.range[0], 1), (9, 1)])
    assert view.range[0] < 9.1
    kept, count = view.range, len(seen)
    QTest.mouseClick(view, LEFT, pos=point_of(view, (1, 1)))
    assert view.range == kept
    assert len(seen) == count
    colour = picture(view)[40, point_of(view, (kept[0], 1)).x(), :3]
    QTest.mouseDClick(view, LEFT, pos=point_of(view, (1, 1)))
    assert view.range is None
    assert seen[-1] is None
    after = picture(view)[40, point_of(view, (kept[0], 1)).x(), :3]
    assert (colour != after).any()


def test_nothing_is_dragged_where_there_is_no_histogram(view):
    drag(view, [(2, 1), (4, 1)])
    seen = []
    view.dragged.connect(seen.append)
    view.show_histogram(None)
    assert view.range is None
    drag(view, [(2, 1), (4, 1)])
    assert view.range is None
    assert not seen


def test_bars_are_as_high_as_their_counts_or_the_logarithm(view):
    values = np.r_[np.zeros(900), np.ones(29), np.full(1, 2.0)]
    view.show_histogram(histogram(values, bins=3))
    for log, heights in ((True, np.log1p([900, 29, 1])), (False, [900, 29, 1])):
        view.set_log(log)
        pixels = picture(view)[..., :3]
        bottom, top = (point_of(view, (0, y)).y() for y in (0, view.axes.get_ylim()[1]))
        for value, height in zip((1 / 3, 1, 5 / 3), heights, strict=True):
            column = pixels[:, point_of(view, (value, 0)).x()]
            blue = (np.abs(column - (86, 180, 233)).max(axis=-1) < 20)[:bottom]
            assert blue.sum() == pytest.approx((bottom - top) * height / max(heights), abs=1.5)


def test_a_click_is_no_gate_and_a_lasso_is_one(qtbot):
    plane = GatePlane()
    qtbot.addWidget(plane)
    plane.resize(320, 260)
    plane.show()
    seen = []
    plane.drawn.connect(seen.append)
    drag(plane, [(0.2, 0.2), (0.5, 0.2), (0.5, 0.5)])
    assert not seen  # there is nothing to draw around
    a, b = np.random.default_rng(0).random((2, 30, 30))
    a[0, 0] = np.nan
    plane.show_channels(a, b, ("first", "second"))
    QTest.mouseClick(plane, LEFT, pos=point_of(plane, (0.4, 0.4)))
    assert not seen
    corners = [(0.2, 0.3), (0.7, 0.3), (0.7, 0.8)]
    drag(plane, corners)
    (polygon,) = seen
    for corner in corners:
        assert np.abs(np.subtract(polygon, corner)).max(axis=1).min() < 0.01


def test_a_pattern_says_what_is_under_the_mouse_and_greys_what_is_not_known(qtbot):
    image = PatternImage("nothing yet")
    qtbot.addWidget(image)
    image.resize(320, 260)
    image.show()
    image.set_space((0.1, 0.2), (5.0, 3.0), "1/Å")
    values = np.full((10, 8), 3.0)
    values[7, 4], values[0, 0] = 100.0, np.nan
    sure = np.ones(values.shape, bool)
    sure[9, 7] = False
    image.show_picture(Picture(values, sure=sure))
    pixels = picture(image)[..., :3]

    def colour(ky, kx):
        at = point_of(image, (kx, ky))
        return list(pixels[at.y(), at.x()])

    assert colour(-0.5, -0.6) == [89, 89, 89]
    assert colour(0.4, 0.8) == [214, 214, 214]
    assert min(colour(0.2, 0.2)) > 150  # the highest value has the lightest colour
    assert image.limits == (0.0, pytest.approx(np.nanpercentile(values, 99.9)))
    hover(image, point_of(image, (0.2, 0.2)))
    assert image.said == "ky 0.2, kx 0.2, |k| 0.283 1/Å: 100 counts"
    hover(image, image.rect().topLeft())
    assert image.said == "1/Å"
    image.show_picture(Picture(-values, signed=True))
    assert image.limits[0] == -image.limits[1] < 0
    image.show_picture(Picture(np.zeros((4, 4)), log=True))
    image.show_picture(Picture(np.full((4, 4), np.nan), log=True))
    assert np.isfinite(image.limits).all()
    picture(image)


def test_what_is_said_of_a_pattern_ends_where_the_mouse_leaves(qtbot):
    plot = PatternImage("")
    qtbot.addWidget(plot)
    plot.show_picture(Picture(np.ones((8, 8)), "counts"))
    plot.draw()
    nothing = plot.said
    hover(plot, point_of(plot, (2.0, 3.0)))
    assert "kx 2" in plot.said
    # As when the mouse goes on to another widget, without a move outside of the axes before.
    QApplication.sendEvent(plot, QEvent(QEvent.Type.Leave))
    assert plot.said == nothing
    plot.show_picture(Picture(np.ones((8, 8)), "counts"))
    assert plot.said == nothing


def test_a_pattern_that_a_dark_image_left_below_zero_is_shown(qtbot):
    plot = PatternImage("")
    qtbot.addWidget(plot)
    plot.show_picture(Picture(np.full((8, 8), -3.0), "counts"))
    assert plot.limits == (0.0, 1.0)
