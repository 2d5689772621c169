"""A row of small pictures with a caption each, to choose one of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem

_SIDE = 60
"""Width of a picture on the screen, in pixels."""


def pattern_image(pattern: np.ndarray, signed: bool = False, log: bool = True) -> QImage:
    """Return a small picture of a pattern ``[ky, kx]``, with zero in the middle if `signed`.

    On any thread, other than a pixmap.
    """
    step = max(1, min(pattern.shape) // _SIDE)
    ny, nx = (n // step for n in pattern.shape)
    # Means, not every n-th pixel: single counts are noise.
    small = pattern[: ny * step, : nx * step].reshape(ny, step, nx, step).mean((1, 3))
    if signed:
        high = float(np.percentile(np.abs(small), 99.8)) or 1.0
        values = 0.5 + 0.5 * small / high
    else:
        small = np.log1p(np.maximum(small, 0)) if log else small
        values = small / (float(np.percentile(small, 99.9)) or 1.0)
    colours = colormaps["RdBu_r" if signed else "inferno"](np.clip(values, 0, 1), bytes=True)
    image = QImage(colours.tobytes(), nx, ny, 4 * nx, QImage.Format.Format_RGBA8888)
    smooth = Qt.TransformationMode.SmoothTransformation
    # The copy has its pixels to itself; those of `colours` end here.
    return image.copy().scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, smooth)


class PictureStrip(QListWidget):
    """Shows pictures side by side, which scroll where there are more than there is room for.

    It takes no keys: they are for the viewer.

    Parameters
    ----------
    width : int
        Of a picture with its caption, in pixels.
    """

    picked = Signal(int)

    def __init__(self, width: int = _SIDE + 8) -> None:
        super().__init__()
        self._width = width
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(_SIDE, _SIDE))
        self.setSpacing(2)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.itemClicked.connect(self._on_clicked)

    def show_captions(self, captions: Sequence[str]) -> None:
        """Make room for as many pictures as there are captions; those that stay keep theirs."""
        while self.count() > len(captions):
            self.takeItem(self.count() - 1)
        for index, caption in enumerate(captions):
            if index == self.count():
                item = QListWidgetItem(_blank(), caption)
                item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
                self.addItem(item)
            item = self._at(index)
            if item.text() != caption:
                item.setText(caption)
                item.setToolTip(caption)
        for index in range(self.count()):
            self._at(index).setSizeHint(self._cell())
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep room for a scroll bar only where there is one."""
        super().resizeEvent(event)
        self._fit()

    def _cell(self) -> QSize:
        return QSize(self._width, _SIDE + self.fontMetrics().lineSpacing() + 10)

    def _fit(self) -> None:
        bar, cell, around = self.horizontalScrollBar(), self._cell(), 2 * self.frameWidth() + 4
        assert bar is not None
        scrolls = self.count() * (cell.width() + 4) + around > self.width()
        self.setFixedHeight(cell.height() + around + scrolls * bar.sizeHint().height())

    def show_picture(self, index: int, picture: QPixmap | None) -> None:
        """Show a picture, or none where it is not known."""
        if 0 <= index < self.count():
            icon = _blank() if picture is None else QIcon(picture)
            if picture is not None:  # Qt would tint the one that is marked
                icon.addPixmap(picture, QIcon.Mode.Selected)
            self._at(index).setIcon(icon)

    def dim(self, index: int, dim: bool) -> None:
        """Show that a picture is done with."""
        flags = self._at(index).flags()
        enabled = Qt.ItemFlag.ItemIsEnabled
        self._at(index).setFlags(flags & ~enabled if dim else flags | enabled)

    def mark(self, index: int | None) -> None:
        """Mark the picture that is shown large, or none."""
        self.setCurrentRow(-1 if index is None else index)

    def _at(self, index: int) -> QListWidgetItem:
        item = self.item(index)
        assert item is not None
        return item

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.picked.emit(self.row(item))


def _blank() -> QIcon:
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    return QIcon(pixmap)
