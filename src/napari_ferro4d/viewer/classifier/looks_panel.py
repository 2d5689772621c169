"""Panel "What the model looks at": one small image per class, on the detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.viewer.widgets import hint

_SIDE = 124
"""Width of an image on the screen, in pixels."""

_PER_ROW = 2


class LooksPanel(QWidget):
    """Shows where on the detector counts speak for a class (red), and where against it (blue)."""

    def __init__(self) -> None:
        super().__init__()
        self.button = QPushButton("Show")
        self.about = hint("")
        self.images: list[QLabel] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(4)
        column.addWidget(self.button)
        column.addWidget(self.about)
        column.addLayout(self._grid)
        self.show_maps(None, ())

    def show_maps(self, maps: np.ndarray | None, names: Sequence[str]) -> None:
        """Show maps ``[class, ky, kx]`` with the names of their classes; None shows nothing."""
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self.images = []
        self.about.setText(
            "Not computed for this model yet."
            if maps is None
            else "Red: counts there speak for the class. Blue: against it."
        )
        # One scale for all: what is weak in one class is not made to look strong.
        high = 1.0 if maps is None else float(np.nanpercentile(np.abs(maps), 99.8)) or 1.0
        for index, (one, name) in enumerate(zip([] if maps is None else maps, names, strict=True)):
            image, caption = QLabel(), QLabel(name)
            image.setPixmap(_pixmap(one / high))
            image.setToolTip(name)
            caption.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row, place = divmod(index, _PER_ROW)
            self._grid.addWidget(image, 2 * row, place, Qt.AlignmentFlag.AlignHCenter)
            self._grid.addWidget(caption, 2 * row + 1, place)
            self.images.append(image)

    def outdated(self) -> None:
        """Say that the images are those of an earlier model."""
        if self.images:
            self.about.setText("Of an earlier model; press Show for the present one.")


def _pixmap(values: np.ndarray) -> QPixmap:
    """Return a picture of values in -1..1, with zero in the middle of the colours."""
    known = 0.5 + 0.5 * np.clip(np.nan_to_num(values), -1, 1)
    colours = colormaps["RdBu_r"](known, bytes=True)
    ny, nx = values.shape
    image = QImage(np.ascontiguousarray(colours).tobytes(), nx, ny, 4 * nx, _RGBA)
    fast = Qt.TransformationMode.FastTransformation
    return QPixmap.fromImage(image).scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, fast)


_RGBA = QImage.Format.Format_RGBA8888
