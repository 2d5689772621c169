"""A row of small pictures of maps, as they are while something is still computed."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ferro4d.viewer.widgets import begin_painting

__all__ = ["Thumbnails"]

_GAP = 4
_SIDE = 64
"""Greatest width of a picture."""


class Thumbnails(QWidget):
    """Shows up to `count` maps next to each other, each on its own scale.

    Parameters
    ----------
    count : int
        How many there is room for.
    colormap : str
        One of napari's.
    """

    def __init__(self, count: int = 6, colormap: str = "viridis") -> None:
        super().__init__()
        self._count = count
        self._colormap = colormap
        self._shape = (1, 1)
        self._images: list[QImage] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def images(self) -> list[QImage]:
        """The pictures shown."""
        return self._images

    def show_maps(self, maps: np.ndarray | None) -> None:
        """Show maps ``[k, y, x]``; NaN is transparent. None leaves the places empty."""
        shown = [] if maps is None else list(maps[: self._count])
        self._images = [_image(one, self._colormap) for one in shown]
        if shown and shown[0].shape != self._shape:
            self._shape = shown[0].shape
            self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size at the width that the widget has."""
        return QSize(240, self._height(self.width()))

    def minimumSizeHint(self) -> QSize:
        """Return the least height; the width is the pictures' to use."""
        return QSize(0, self._height(self.width()))

    def resizeEvent(self, event: object) -> None:
        """Take the height that pictures of the new width have."""
        self.updateGeometry()

    def _width(self, width: int) -> float:
        return min(_SIDE, (width - (self._count - 1) * _GAP) / self._count)

    def _height(self, width: int) -> int:
        ny, nx = self._shape
        return round(min(_SIDE, max(16.0, self._width(width) * ny / nx)))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures, and frames where there is none yet."""
        painter, _, faint = begin_painting(self)
        width, height = self._width(self.width()), self._height(self.width())
        ny, nx = self._shape
        scale = min(width / nx, height / ny)
        for index in range(self._count):
            place = QRectF(index * (width + _GAP), 0, nx * scale, ny * scale)
            if index < len(self._images):
                painter.drawImage(place, self._images[index])
            else:
                painter.setPen(QPen(faint, 1, Qt.PenStyle.DotLine))
                painter.drawRect(place.adjusted(0.5, 0.5, -0.5, -0.5))


def _image(values: np.ndarray, colormap: str) -> QImage:
    from napari.utils.colormaps import ensure_colormap

    there = np.isfinite(values)
    low, high = np.percentile(values[there], (1, 99)) if there.any() else (0.0, 1.0)
    share = np.clip((np.where(there, values, low) - low) / ((high - low) or 1.0), 0, 1)
    colours = ensure_colormap(colormap).map(share.ravel()).reshape(*values.shape, 4)
    colours[..., 3] = there
    pixels = np.ascontiguousarray(np.round(255 * colours).astype(np.uint8))
    ny, nx = values.shape
    image = QImage(pixels.data, nx, ny, 4 * nx, QImage.Format.Format_RGBA8888)
    return image.copy()  # which owns its pixels
