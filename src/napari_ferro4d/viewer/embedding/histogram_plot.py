"""The histogram of a channel, painted by hand; a range is dragged on it with the mouse."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ferro4d.embedding import Histogram
from napari_ferro4d.viewer.widgets import begin_painting

__all__ = ["RANGE_COLOUR", "HistogramView"]

RANGE_COLOUR = "#e69f00"
_BARS = "#56b4e9"
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 14, 18
_GRIP = 5  # pixels from an edge of the range within which the mouse takes hold of it

Range = tuple[float, float]


class HistogramView(QWidget):
    """Shows a histogram with its peaks, and a range that the user drags.

    Dragging where no range is makes one, its edges and itself can be dragged afterwards; a double
    click removes it.
    """

    dragged = Signal(object)
    """The range ``(low, high)`` while it is dragged, or None when it is removed."""

    def __init__(self) -> None:
        super().__init__()
        self._histogram: Histogram | None = None
        self._range: Range | None = None
        self._log = True
        # What is held: the end that stays, or the range and where in it.
        self._fixed: float | None = None
        self._moved: tuple[Range, float] | None = None
        self.setMinimumHeight(104)
        self.setMaximumHeight(104)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setToolTip(
            "Drag to choose a range of values: its probe positions are marked on the map, and\n"
            "their mean pattern is shown below. Drag its edges or the range itself to change it;\n"
            "a double click removes it. Triangles are peaks."
        )

    @property
    def histogram(self) -> Histogram | None:
        """What is shown."""
        return self._histogram

    @property
    def range(self) -> Range | None:
        """The range ``(low, high)``; None if there is none."""
        return self._range

    def show_histogram(self, histogram: Histogram | None, chosen: Range | None = None) -> None:
        """Show another histogram, and a range on it."""
        self._histogram, self._range = histogram, chosen
        self._fixed = self._moved = None
        self.update()

    def set_range(self, chosen: Range | None) -> None:
        """Show another range, without a signal."""
        self._range = chosen
        self.update()

    def set_log(self, log: bool) -> None:
        """Show the counts on a logarithmic scale, so that rare values can be seen."""
        self._log = log
        self.update()

    def x_of(self, value: float) -> float:
        """Return where a value is in the widget, in pixels."""
        low, high = self._ends()
        frame = self._frame()
        return frame.left() + (value - low) / (high - low) * frame.width()

    def value_at(self, x: float) -> float:
        """Return the value at a place in the widget, not beyond the ends."""
        low, high = self._ends()
        frame = self._frame()
        return low + (high - low) * min(max((x - frame.left()) / frame.width(), 0.0), 1.0)

    def _ends(self) -> Range:
        if self._histogram is None:
            return 0.0, 1.0
        low, high = float(self._histogram.edges[0]), float(self._histogram.edges[-1])
        return (low, high) if high > low else (low, low + 1.0)

    def _frame(self) -> QRectF:
        width, height = self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM
        return QRectF(_LEFT, _TOP, width, height)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of an edge, of the range, or begin another one."""
        if self._histogram is None or event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        edge = self._edge_near(x)
        self._fixed = self._moved = None
        if edge is not None and self._range is not None:
            self._fixed = self._range[1 - edge]
        elif self._range is not None and self._range[0] < self.value_at(x) < self._range[1]:
            self._moved = self._range, self.value_at(x)
        else:
            self._fixed = self.value_at(x)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse; without a button show what it would take hold of."""
        x = event.position().x()
        if self._moved is not None:
            (low, high), start = self._moved
            bottom, top = self._ends()
            by = min(max(self.value_at(x) - start, bottom - low), top - high)
            self._choose((low + by, high + by))
        elif self._fixed is not None:
            here = self.value_at(x)
            self._choose((min(self._fixed, here), max(self._fixed, here)))
        else:
            edge = self._edge_near(x)
            shape = Qt.CursorShape.CrossCursor if edge is None else Qt.CursorShape.SplitHCursor
            self.setCursor(shape)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._fixed = self._moved = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Remove the range."""
        self._fixed = self._moved = None
        if self._range is not None:
            self._choose(None)

    def _choose(self, chosen: Range | None) -> None:
        if chosen != self._range:
            self._range = chosen
            self.update()
            self.dragged.emit(chosen)

    def _edge_near(self, x: float) -> int | None:
        if self._range is None:
            return None
        away = [abs(self.x_of(value) - x) for value in self._range]
        return int(np.argmin(away)) if min(away) <= _GRIP else None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars, the peaks and the range, in the colours of napari's theme."""
        painter, text, faint = begin_painting(self)
        frame = self._frame()
        painter.setPen(faint)
        painter.drawLine(frame.bottomLeft(), frame.bottomRight())
        if self._histogram is None:
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "histogram of the channel")
            return
        if self._range is not None:
            left, right = (self.x_of(value) for value in self._range)
            colour = QColor(RANGE_COLOUR)
            colour.setAlpha(60)
            painter.fillRect(QRectF(left, frame.top(), right - left, frame.height()), colour)
        self._draw_bars(painter, frame)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(text)
        painter.setBrush(text)
        for peak in self._histogram.peaks:
            self._draw_peak(painter, frame, peak)
        if self._range is not None:
            painter.setPen(QPen(QColor(RANGE_COLOUR), 2))
            for value in self._range:
                x = self.x_of(value)
                painter.drawLine(QPointF(x, frame.top()), QPointF(x, frame.bottom()))
        painter.setPen(text)
        low, high = self._ends()
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), _BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{low:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{high:.3g}")
        title = "positions, logarithmic" if self._log else "positions"
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, title)

    def _heights(self) -> np.ndarray:
        assert self._histogram is not None
        counts = self._histogram.counts.astype(float)
        heights = np.log1p(counts) if self._log else counts
        return heights / (heights.max() or 1.0)

    def _draw_bars(self, painter: QPainter, frame: QRectF) -> None:
        heights = self._heights()
        xs = np.linspace(frame.left(), frame.right(), len(heights) + 1)
        outline = [QPointF(frame.left(), frame.bottom())]
        for left, right, height in zip(xs[:-1], xs[1:], heights, strict=True):
            y = frame.bottom() - height * frame.height()
            outline += [QPointF(left, y), QPointF(right, y)]
        outline.append(QPointF(frame.right(), frame.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_BARS))
        painter.drawPolygon(QPolygonF(outline))

    def _draw_peak(self, painter: QPainter, frame: QRectF, peak: float) -> None:
        x = self.x_of(peak)
        tip = frame.top() - 3
        if math.isfinite(x):
            painter.drawPolygon(
                QPolygonF([QPointF(x, tip), QPointF(x - 4, tip - 7), QPointF(x + 4, tip - 7)])
            )
