"""What widgets that are painted by hand have in common."""

from __future__ import annotations

import numpy as np
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QWidget

__all__ = ["begin_painting", "rgb_image"]


def begin_painting(widget: QWidget) -> tuple[QPainter, QColor, QColor]:
    """Return a painter with a small font, and the theme's colours of text and of faint lines."""
    painter = QPainter(widget)
    text = widget.palette().windowText().color()
    faint = QColor(text)
    faint.setAlpha(90)
    font = painter.font()
    font.setPointSizeF(max(6.5, font.pointSizeF() * 0.8))
    painter.setFont(font)
    return painter, text, faint


def rgb_image(pixels: np.ndarray) -> QImage:
    """Return uint8 ``[y, x, 3]`` as an image with memory of its own."""
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.copy()  # the bytes go with this function
