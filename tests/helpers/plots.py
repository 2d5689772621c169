"""Use a plot with the mouse, at places in the units of its axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_ferro4d.viewer.widgets import PlotCanvas

LEFT = Qt.MouseButton.LeftButton


def drag(plot: PlotCanvas, places: Sequence[tuple[float, float]], steps: int = 5) -> list[QPoint]:
    """Drag from place ``(x, y)`` to place; return where the mouse changed direction."""
    plot.draw()  # a plot that is not seen has not been laid out
    points = [point_of(plot, place) for place in places]
    QTest.mousePress(plot, LEFT, pos=points[0])
    for start, end in itertools.pairwise(points):
        for step in np.linspace(0, 1, steps + 1)[1:]:
            QTest.mouseMove(plot, start + (end - start) * float(step))
    QTest.mouseRelease(plot, LEFT, pos=points[-1])
    return points


def hover(plot: PlotCanvas, point: QPoint) -> None:
    """Move over a plot without a button; the pointer of the display stays where it is."""
    at = QPointF(point)
    none, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(
        QEvent.Type.MouseMove, at, QPointF(plot.mapToGlobal(point)), none, none, keys
    )
    QApplication.sendEvent(plot, event)


def point_of(plot: PlotCanvas, place: tuple[float, float]) -> QPoint:
    """Return where a place in the units of the axes is in the widget."""
    x, y = plot.axes.transData.transform(place)
    return QPoint(round(x), plot.get_width_height()[1] - round(y))


def place_of(plot: PlotCanvas, point: QPoint) -> tuple[float, float]:
    """Return the place in the units of the axes that is at a point of the widget."""
    up = plot.get_width_height()[1] - point.y()
    return tuple(plot.axes.transData.inverted().transform((point.x(), up)))


def picture(widget: QWidget) -> np.ndarray:
    """Return the widget's pixels ``[y, x, rgba]``."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    pixels = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    return pixels.reshape(image.height(), image.width(), 4).astype(int)
