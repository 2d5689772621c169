"""Two channels against each other: a 2-D histogram, painted by hand, with lasso gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ferro4d.viewer.widgets import begin_painting, rgb_image

__all__ = ["Gate", "GatePlane"]

Place = tuple[float, float]

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 6, 32
_BINS = 96
_LEAST = 6  # pixels that a lasso has to reach across, or it was a click


@dataclass(frozen=True)
class Gate:
    """A polygon in the plane of two channels, and the class that it makes.

    Parameters
    ----------
    a, b : int
        The channels, across and upwards.
    polygon : tuple of tuple of float
        Corners ``(a, b)``.
    number : int
        Of the class.
    colour : tuple of float
        Red, green, blue, opacity.
    """

    a: int
    b: int
    polygon: tuple[Place, ...]
    number: int
    colour: tuple[float, float, float, float]


class GatePlane(QWidget):
    """Shows how often pairs of values occur; a lasso around some of them is a gate."""

    drawn = Signal(object)
    """The polygon of a lasso: a list of corners ``(a, b)``."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._ends: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, 1.0))
        self._names = ("", "")
        self._gates: tuple[Gate, ...] = ()
        self._lasso: list[QPointF] = []
        self.setMinimumHeight(230)
        self.setMaximumHeight(300)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            "How often pairs of values of the two channels occur (logarithmic). Draw around some\n"
            "of them with the mouse: their probe positions become a class of a labels layer."
        )

    def sizeHint(self) -> QSize:
        """Ask for a square."""
        return QSize(280, 260)

    def show_channels(
        self, a: np.ndarray | None, b: np.ndarray | None, names: tuple[str, str]
    ) -> None:
        """Show channel `a` across and `b` upwards; nothing if one is None."""
        self._image, self._names, self._lasso = None, names, []
        if a is not None and b is not None:
            known = np.isfinite(a) & np.isfinite(b)
            if known.any():
                self._ends = _ends(a[known]), _ends(b[known])
                self._image = _painted(_counts(a[known], b[known], self._ends))
        self.update()

    def show_gates(self, gates: Sequence[Gate]) -> None:
        """Show gates on these two channels."""
        self._gates = tuple(gates)
        self.update()

    def frame(self) -> QRectF:
        """Return where the histogram is painted."""
        width, height = self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM
        return QRectF(_LEFT, _TOP, width, height)

    def point_of(self, place: Place) -> QPointF:
        """Return where a pair of values is in the widget."""
        frame, ((a0, a1), (b0, b1)) = self.frame(), self._ends
        x = frame.left() + (place[0] - a0) / (a1 - a0) * frame.width()
        return QPointF(x, frame.bottom() - (place[1] - b0) / (b1 - b0) * frame.height())

    def place_at(self, point: QPointF) -> Place:
        """Return the pair of values at a point of the widget."""
        frame, ((a0, a1), (b0, b1)) = self.frame(), self._ends
        a = a0 + (point.x() - frame.left()) / frame.width() * (a1 - a0)
        return a, b0 + (frame.bottom() - point.y()) / frame.height() * (b1 - b0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a lasso."""
        if self._image is not None and event.button() == Qt.MouseButton.LeftButton:
            self._lasso = [event.position()]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw on."""
        if self._lasso:
            self._lasso.append(event.position())
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Close the lasso."""
        lasso, self._lasso = self._lasso, []
        self.update()
        reach = QPolygonF(lasso).boundingRect()
        if len(lasso) >= 3 and max(reach.width(), reach.height()) >= _LEAST:
            self.drawn.emit([self.place_at(point) for point in lasso])

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the histogram, the gates and the lasso."""
        painter, text, faint = begin_painting(self)
        frame = self.frame()
        if self._image is None:
            painter.setPen(faint)
            painter.drawRect(frame)
            painter.setPen(text)
            empty = "Two channels are needed to draw gates."
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, empty)
            return
        painter.drawImage(frame, self._image)
        painter.setPen(faint)
        painter.drawRect(frame)
        painter.setPen(text)
        self._draw_texts(painter, frame)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(frame)
        for gate in self._gates:
            colour = QColor.fromRgbF(*gate.colour)
            painter.setPen(QPen(colour, 2))
            colour.setAlpha(60)
            painter.setBrush(colour)
            painter.drawPolygon(QPolygonF([self.point_of(place) for place in gate.polygon]))
        if self._lasso:
            painter.setPen(QPen(QColor("white"), 1.5, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF(self._lasso))

    def _draw_texts(self, painter: QPainter, frame: QRectF) -> None:
        (a0, a1), (b0, b1) = self._ends
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), 14)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{a0:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{a1:.3g}")
        title = below.translated(0, 14)
        painter.drawText(title, Qt.AlignmentFlag.AlignHCenter, self._names[0])
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, frame.top(), _LEFT - 4, 14), right, f"{b1:.3g}")
        painter.drawText(QRectF(0, frame.bottom() - 14, _LEFT - 4, 14), right, f"{b0:.3g}")
        painter.save()
        painter.translate(4, frame.center().y())
        painter.rotate(-90)
        across = QRectF(-frame.height() / 2, 0, frame.height(), 16)
        painter.drawText(across, Qt.AlignmentFlag.AlignCenter, self._names[1])
        painter.restore()


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _counts(a: np.ndarray, b: np.ndarray, ends: tuple[Place, Place]) -> np.ndarray:
    """Count pairs of values, ``[b, a]``; numpy's histogram2d takes ten times as long."""
    places = []
    for values, (low, high) in zip((a, b), ends, strict=True):
        place = ((values - low) * (_BINS / (high - low))).astype(np.intp)
        places.append(np.minimum(place, _BINS - 1))
    flat = places[1] * _BINS + places[0]
    return np.bincount(flat, minlength=_BINS**2).reshape(_BINS, _BINS)


def _painted(counts: np.ndarray) -> QImage:
    """Return counts ``[b, a]`` as an image with `b` upwards."""
    from napari.utils.colormaps import ensure_colormap

    heights = np.log1p(counts[::-1])
    colours = ensure_colormap("viridis").map((heights / (heights.max() or 1.0)).ravel())
    colours[heights.ravel() == 0] = (0.12, 0.12, 0.14, 1.0)
    image = (255 * colours[:, :3]).round().astype(np.uint8)
    return rgb_image(image.reshape(*counts.shape, 3))
