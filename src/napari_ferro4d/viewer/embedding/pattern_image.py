"""A diffraction pattern painted by hand, with axes in 1/angstrom: several fit into one dock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import beam_centre
from napari_ferro4d.viewer.widgets import begin_painting, rgb_image

__all__ = ["PatternImage", "Picture"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 58, 6, 32
_BAR = 10  # pixels across the colour bar
_DECADES = 4.0
"""Range of a logarithmic picture, unless the pattern holds no values that small."""

_MISSING = (90, 90, 90)
_UNSURE = (214, 214, 214)
# Blue, white, red: light where nothing differs, as in print.
_SIGNED = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))


@dataclass(frozen=True, eq=False)
class Picture:
    """What a `PatternImage` shows.

    Parameters
    ----------
    values : ndarray
        ``[ky, kx]``; NaN is not known.
    unit : str
        Of the values.
    signed : bool
        Zero in the middle of the colours; else the lowest colour is zero.
    log : bool
        Colours after the logarithm (not of signed values).
    sure : ndarray, optional
        bool ``[ky, kx]``: where the value is more than its error; the rest is grey.
    """

    values: np.ndarray
    unit: str = "counts"
    signed: bool = False
    log: bool = False
    sure: np.ndarray | None = None


class PatternImage(QWidget):
    """Shows one pattern; what is under the mouse is said below it.

    Parameters
    ----------
    empty : str
        What it says while it has nothing to show.
    """

    def __init__(self, empty: str) -> None:
        super().__init__()
        self._empty = empty
        self._picture: Picture | None = None
        self._image: QImage | None = None
        self._limits = (0.0, 1.0)
        self._step = (1.0, 1.0)
        self._centre = (0.0, 0.0)
        self._unit = "pixel"
        self._mouse: QPointF | None = None
        self.setMinimumHeight(190)
        self.setMaximumHeight(360)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    @property
    def picture(self) -> Picture | None:
        """What is shown."""
        return self._picture

    @property
    def limits(self) -> tuple[float, float]:
        """Values with the first and the last colour."""
        return self._limits

    def set_scan(self, scan: Scan | None) -> None:
        """Take the axes of a scan's patterns; detector pixels where it does not say."""
        if scan is not None:
            self._step = scan.k_step or (1.0, 1.0)
            self._centre = beam_centre(scan)
            self._unit = "pixel" if scan.k_step is None else "1/Å"

    def set_space(self, step: tuple[float, float], centre: tuple[float, float], unit: str) -> None:
        """Take other axes: size of a pixel in `unit`, and where their zero is, in pixels."""
        self._step, self._centre, self._unit = step, centre, unit

    def show_picture(self, picture: Picture | None) -> None:
        """Show something else, or nothing."""
        self._picture = picture
        self._image = None
        if picture is not None:
            self._limits = _limits(picture)
            self._image = _painted(picture, self._limits)
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for a square."""
        return QSize(280, 250)

    def position(self, at: QPointF) -> tuple[int, int] | None:
        """Return the detector pixel ``(ky, kx)`` under a point of the widget."""
        if self._picture is None:
            return None
        frame, (ny, nx) = self.frame(), self._picture.values.shape
        ky = math.floor((at.y() - frame.top()) / frame.height() * ny)
        kx = math.floor((at.x() - frame.left()) / frame.width() * nx)
        return (ky, kx) if 0 <= ky < ny and 0 <= kx < nx else None

    def frame(self) -> QRectF:
        """Return where the pattern is painted: with pixels as square as they are."""
        width = self.width() - _LEFT - _RIGHT
        height = self.height() - _TOP - _BOTTOM
        ny, nx = (1, 1) if self._picture is None else self._picture.values.shape
        wide, high = nx * self._step[1], ny * self._step[0]
        scale = min(width / wide, height / high)
        wide, high = scale * wide, scale * high
        return QRectF(_LEFT + (width - wide) / 2, _TOP, wide, high)

    def said(self) -> str:
        """Return what is under the mouse, or the unit of the axes."""
        at = None if self._mouse is None else self.position(self._mouse)
        if at is None or self._picture is None:
            return f"{self._unit} from the beam centre" if self._unit == "pixel" else self._unit
        ky, kx = ((i - c) * s for i, c, s in zip(at, self._centre, self._step, strict=True))
        value = self._picture.values[at]
        return (
            f"ky {ky:.3g}, kx {kx:.3g}, |k| {math.hypot(ky, kx):.3g} {self._unit}: "
            f"{value:.3g} {self._picture.unit}"
        )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say what is under the mouse."""
        self._mouse = event.position()
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Say the unit again."""
        self._mouse = None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pattern, its axes and its colours."""
        painter, text, faint = begin_painting(self)
        frame = self.frame()
        if self._image is None:
            painter.setPen(faint)
            painter.drawRect(frame)
            painter.setPen(text)
            inside = frame.adjusted(12, 12, -12, -12)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(inside, flags, self._empty)
            return
        shrunk = frame.width() < self._image.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrunk)
        painter.drawImage(frame, self._image)
        painter.setPen(faint)
        painter.drawRect(frame)
        painter.setPen(text)
        self._draw_ticks(painter, frame)
        self._draw_bar(painter, frame, text)
        below = QRectF(0, frame.bottom() + 16, self.width(), 15)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self.said())

    def _draw_ticks(self, painter: QPainter, frame: QRectF) -> None:
        assert self._picture is not None
        for axis, n in enumerate(self._picture.values.shape):
            step, centre = self._step[axis], self._centre[axis]
            length = frame.height() if axis == 0 else frame.width()
            for value in _ticks((-0.5 - centre) * step, (n - 0.5 - centre) * step):
                along = (value / step + centre + 0.5) / n * length
                if axis == 0:
                    y = frame.top() + along
                    painter.drawLine(QPointF(frame.left() - 4, y), QPointF(frame.left(), y))
                    where = QRectF(0, y - 8, frame.left() - 6, 16)
                    side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                else:
                    x = frame.left() + along
                    painter.drawLine(QPointF(x, frame.bottom()), QPointF(x, frame.bottom() + 4))
                    where = QRectF(x - 25, frame.bottom() + 4, 50, 14)
                    side = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
                painter.drawText(where, side, _short(value))

    def _draw_bar(self, painter: QPainter, frame: QRectF, text: QColor) -> None:
        assert self._picture is not None
        bar = rgb_image(_colours(self._picture.signed)[::-1, None])
        where = QRectF(frame.right() + 8, frame.top(), _BAR, frame.height())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(where, bar)
        painter.setPen(text)
        low, high = self._limits
        middle = math.sqrt(low * high) if self._picture.log else (low + high) / 2
        left = where.right() + 4
        heights = where.top() + 6, where.center().y(), where.bottom() - 6
        for value, y in zip((high, middle, low), heights, strict=True):
            place = QRectF(left, y - 8, self.width() - left, 16)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, _short(value))


def _limits(picture: Picture) -> tuple[float, float]:
    values = picture.values[np.isfinite(picture.values)]
    if values.size == 0:
        return 0.0, 1.0
    if picture.signed:
        high = float(np.percentile(np.abs(values), 99.8)) or float(np.abs(values).max()) or 1.0
        return -high, high
    high = float(np.percentile(values, 99.9)) or float(values.max()) or 1.0
    if not picture.log:
        return 0.0, high
    positive = values[values > 0]
    least = float(positive.min()) if positive.size else high
    return min(max(least, high / 10**_DECADES), high / 2), high


def _painted(picture: Picture, limits: tuple[float, float]) -> QImage:
    """Return a pattern in colours, one pixel of the image per detector pixel."""
    low, high = limits
    values = picture.values.astype(np.float64)
    known = np.isfinite(values)
    values = np.where(known, values, low)
    if picture.log and not picture.signed:
        values, low, high = np.log(np.maximum(values, low)), math.log(low), math.log(high)
    index = np.clip((values - low) / (high - low) * 255.0, 0, 255).round().astype(np.intp)
    image = _colours(picture.signed)[index]
    if picture.sure is not None:
        image[~picture.sure] = _UNSURE
    image[~known] = _MISSING
    return rgb_image(image)


def _colours(signed: bool) -> np.ndarray:
    """Return 256 colours, uint8 ``[256, 3]``."""
    if signed:
        stops = np.linspace(0, 255, len(_SIGNED))
        channels = [np.interp(np.arange(256), stops, one) for one in np.array(_SIGNED).T]
        return np.stack(channels, axis=1).round().astype(np.uint8)
    from napari.utils.colormaps import ensure_colormap

    table = ensure_colormap("inferno").map(np.linspace(0, 1, 256))
    return (255 * table[:, :3]).round().astype(np.uint8)


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers in a range, zero among them where it is inside."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [n * step for n in range(first, last + 1)]


def _short(value: float) -> str:
    if value == 0:
        return "0"
    text = f"{value:.2g}" if 0.001 <= abs(value) < 1000 else f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
