"""Plots in the window of napari: they have its colours, and leave it what is not theirs."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.theme import get_theme
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from helpers.plots import picture
from napari_ferro4d.viewer.widgets import PlotCanvas


@pytest.fixture
def plot(qtbot):
    plot = PlotCanvas(height=(100, 120, 140), margins=(3, 1, 1, 3))
    plot.axes.plot([0, 1], [0, 1], "r")
    return plot


def test_a_plot_follows_the_theme(viewer, plot, qtbot):
    viewer.window.add_dock_widget(plot)
    for name in ("light", "dark"):
        viewer.theme = name
        colours = get_theme(name)
        background, text = (
            np.array(one.as_rgb_tuple()[:3]) for one in (colours.background, colours.text)
        )

        def followed(background=background, text=text):
            pixels = picture(plot)[..., :3]
            assert (pixels[2, 2] == background).all()
            assert np.abs(pixels - text).sum(axis=-1).min() < 30

        qtbot.waitUntil(lambda: followed() is None, timeout=60_000)


def test_the_wheel_is_left_to_the_dock_which_scrolls(plot, qtbot):
    qtbot.addWidget(plot)
    at = QPointF(30, 30)
    event = QWheelEvent(
        at,
        at,
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot, event)
    assert not event.isAccepted()


def test_a_text_takes_the_place_of_the_axes(plot, qtbot):
    qtbot.addWidget(plot)
    plot.resize(280, 120)
    red = (255, 0, 0)
    assert (np.abs(picture(plot)[..., :3] - red).max(axis=-1) < 60).any()
    plot.show_instead("nothing yet")
    pixels = picture(plot)[..., :3]
    assert not (np.abs(pixels - red).max(axis=-1) < 60).any()
    assert (pixels[40:80, 80:200] != pixels[2, 2]).any()
    plot.show_instead("")
    assert (np.abs(picture(plot)[..., :3] - red).max(axis=-1) < 60).any()
