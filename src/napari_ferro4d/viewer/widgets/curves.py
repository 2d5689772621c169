"""Small live plots, painted by hand: no plotting library to load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from .painting import begin_painting

__all__ = ["Curve", "CurveRows", "LossPlot"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 8, 20

_BLUE = "#3d9ad6"
"""Seen as well on napari's dark background as on its light one."""


class LossPlot(QWidget):
    """Shows a sequence of positive losses, on a logarithmic scale where they span a decade."""

    def __init__(self) -> None:
        super().__init__()
        self._losses: tuple[float, ...] = ()
        self.setMinimumHeight(96)
        self.setMaximumHeight(170)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setToolTip("Loss after each epoch; it should fall and level off.")

    @property
    def losses(self) -> tuple[float, ...]:
        """The losses shown."""
        return self._losses

    def show_losses(self, losses: Sequence[float]) -> None:
        """Show losses, one per epoch."""
        self._losses = tuple(float(v) for v in losses if math.isfinite(v))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw frame, axis texts and curve in the colours of napari's theme."""
        painter, text, faint = begin_painting(self)
        frame = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(frame)
        if not self._losses:
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "loss per epoch")
            return
        painter.setPen(text)
        self._draw_texts(painter, frame)
        _draw_curve(painter, frame, self._losses, QColor(_BLUE))

    def _draw_texts(self, painter: QPainter, frame: QRectF) -> None:
        low, high = min(self._losses), max(self._losses)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, y in ((high, frame.top()), (low, frame.bottom())):
            painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), right, f"{value:.3g}")
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), _BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "epoch 1")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{len(self._losses)}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"loss {self._losses[-1]:.4g}")


@dataclass(frozen=True)
class Curve:
    """A quantity per epoch, for a row of its own.

    Parameters
    ----------
    name : str
        What it is.
    values : tuple of float
        One per epoch.
    colour : str
        Of the line.
    """

    name: str
    values: tuple[float, ...]
    colour: str = _BLUE


class CurveRows(QWidget):
    """Shows quantities of different units below each other: name, curve on its own scale, value."""

    def __init__(self) -> None:
        super().__init__()
        self._curves: tuple[Curve, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Each on its own scale, from its lowest value to its highest (logarithmic where they\n"
            "are far apart), and its last value. The parts of the loss are without their weights."
        )

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curves shown."""
        return self._curves

    def show_curves(self, curves: Sequence[Curve]) -> None:
        """Show curves, the first on top."""
        changed = len(curves) != len(self._curves)
        self._curves = tuple(curves)
        if changed:
            self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size of the rows at the current font."""
        return QSize(240, len(self._curves) * self._row())

    def minimumSizeHint(self) -> QSize:
        """Return the least height; the width is the plots' to use."""
        return QSize(0, self.sizeHint().height())

    def _row(self) -> int:
        return round(1.5 * self.fontMetrics().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the rows in the colours of napari's theme."""
        painter, text, _ = begin_painting(self)
        metrics, row = painter.fontMetrics(), self._row()
        names = max((metrics.horizontalAdvance(c.name) for c in self._curves), default=0) + 10
        values = metrics.horizontalAdvance("0.0000e-00")
        middle = Qt.AlignmentFlag.AlignVCenter
        for index, curve in enumerate(self._curves):
            top, width = index * row, self.width() - _RIGHT
            painter.setPen(text)
            name = QRectF(4, top, names, row)
            painter.drawText(name, middle | Qt.AlignmentFlag.AlignLeft, curve.name)
            if not curve.values:
                continue
            value = QRectF(width - values, top, values, row)
            said = f"{curve.values[-1]:.4g}"
            painter.drawText(value, middle | Qt.AlignmentFlag.AlignRight, said)
            frame = QRectF(names + 4, top + 5, width - values - names - 8, row - 10)
            _draw_curve(painter, frame, curve.values, QColor(curve.colour))


def _draw_curve(painter: QPainter, frame: QRectF, values: Sequence[float], colour: QColor) -> None:
    """Draw a curve that fills `frame`, and a dot at its end."""
    points = _points(values, frame)
    if not points:
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(QPolygonF(points))
    painter.setBrush(colour)
    painter.drawEllipse(points[-1], 2.5, 2.5)


def _points(values: Sequence[float], frame: QRectF) -> list[QPointF]:
    heights = np.asarray(values, float)
    # Of a long training no more points than are seen.
    most = max(2, 2 * int(frame.width()))
    shown = np.unique(np.linspace(0, len(heights) - 1, min(len(heights), most)).astype(int))
    finite = heights[np.isfinite(heights)]
    if not finite.size:
        return []
    if finite.min() > 0 and finite.max() > 10 * finite.min():
        heights, finite = np.log(heights), np.log(finite)
    low, span = finite.min(), finite.max() - finite.min()
    share = (heights - low) / span if span else np.full(heights.shape, 0.5)
    across = max(1, len(heights) - 1)
    return [
        QPointF(
            frame.left() + frame.width() * float(index) / across,
            frame.bottom() - frame.height() * float(share[index]),
        )
        for index in shown
        if math.isfinite(share[index])
    ]
