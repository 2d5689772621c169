"""A small live plot of a loss against the epoch, painted by hand: no plotting library to load."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["LossPlot"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 8, 20


class LossPlot(QWidget):
    """Shows a sequence of positive losses, on a logarithmic scale where they span a decade."""

    def __init__(self) -> None:
        super().__init__()
        self._losses: tuple[float, ...] = ()
        self.setMinimumHeight(110)
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
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().windowText().color()
        faint = QColor(text)
        faint.setAlpha(70)
        frame = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(frame)
        font = painter.font()
        font.setPointSizeF(max(6.5, font.pointSizeF() * 0.8))
        painter.setFont(font)
        painter.setPen(text)
        if not self._losses:
            painter.setPen(faint)
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "loss per epoch")
            return
        low, high = min(self._losses), max(self._losses)
        self._draw_texts(painter, frame, low, high)
        curve = QPolygonF(_points(self._losses, low, high, frame))
        painter.setPen(QPen(QColor("#56b4e9"), 2))
        painter.drawPolyline(curve)
        painter.setBrush(QColor("#56b4e9"))
        painter.drawEllipse(curve[curve.size() - 1], 3, 3)

    def _draw_texts(self, painter: QPainter, frame: QRectF, low: float, high: float) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, y in ((high, frame.top()), (low, frame.bottom())):
            painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), right, f"{value:.3g}")
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), _BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "epoch 1")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{len(self._losses)}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"loss {self._losses[-1]:.4g}")


def _points(losses: Sequence[float], low: float, high: float, frame: QRectF) -> list[QPointF]:
    logarithmic = low > 0 and high / low > 10
    bottom, top = (math.log(low), math.log(high)) if logarithmic else (low, high)
    span = (top - bottom) or 1.0
    across = max(1, len(losses) - 1)
    points = []
    for index, loss in enumerate(losses):
        height = ((math.log(loss) if logarithmic else loss) - bottom) / span
        points.append(
            QPointF(
                frame.left() + frame.width() * index / across,
                frame.bottom() - frame.height() * height,
            )
        )
    return points
