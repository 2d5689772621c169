"""A plot of matplotlib in the colours and at the font size of the window around it."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QFontInfo, QWheelEvent
from qtpy.QtWidgets import QSizePolicy

_FAINT = 0.4
"""Opacity of frames and ticks, where that of text is 1."""


class PlotCanvas(FigureCanvasQTAgg):
    """One set of axes, as wide as there is room for.

    Parameters
    ----------
    height : tuple of int
        Least, wished for and greatest, in pixels.
    margins : tuple of float
        Left, right, top and bottom of the axes, in units of the font size.
    """

    def __init__(
        self, height: tuple[int, int, int], margins: tuple[float, float, float, float]
    ) -> None:
        super().__init__(Figure(dpi=72))  # a point is a pixel
        self._wished, self._margins = height[1], margins
        self._style: tuple[str, str, float] | None = None
        self._behind: Any = None
        self.live: tuple[Artist, ...] = ()
        """Animated artists, which follow the mouse or the work."""
        self.axes = self.figure.add_subplot(facecolor="none")
        self._instead = self.figure.text(0.5, 0.5, "", ha="center", va="center", wrap=True)
        self.setMinimumHeight(height[0])
        self.setMaximumHeight(height[2])
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Ask for the height wished for."""
        return QSize(280, self._wished)

    def show_instead(self, text: str) -> None:
        """Show a text in the place of the axes, or the axes where it is empty."""
        if text != self._instead.get_text():
            self._instead.set_text(text)
            self.axes.set_visible(not text)
            self.draw_idle()

    def draw(self) -> None:
        """Draw in the colours, at the font size and in the room that there is now."""
        palette, size = self.palette(), max(9.0, 0.8 * QFontInfo(self.font()).pixelSize())
        text, behind = palette.windowText().color().name(), palette.window().color().name()
        if self._style != (text, behind, size):
            self._style = (text, behind, size)
            self.figure.set_facecolor(behind)
            for axes in (self.axes, *self.axes.child_axes):
                axes.tick_params(color=(text, _FAINT), labelcolor=text, labelsize=size)
                axes.spines[:].set_color((text, _FAINT))
        labels = (self.axes.xaxis.label, self.axes.yaxis.label)
        for one in (*labels, *self.axes.texts, *self.figure.texts):
            one.set_color(text)
            one.set_fontsize(size)
        width, height = self.get_width_height()
        left, right, top, bottom = (size * margin for margin in self._margins)
        if width > left + right and height > top + bottom:
            self.figure.subplots_adjust(
                left / width, bottom / height, 1 - right / width, 1 - top / height
            )
        super().draw()
        self._behind = self.copy_from_bbox(self.figure.bbox)
        self.draw_live()

    def draw_idle(self) -> None:
        """Draw all again, soon."""
        self._behind = None
        super().draw_idle()

    def draw_live(self) -> None:
        """Draw only what `live` says, on what was drawn before: a few milliseconds."""
        if self._behind is None:
            self.draw_idle()
        elif self.axes.get_visible():
            self.restore_region(self._behind)
            for artist in self.live:
                self.figure.draw_artist(artist)
            self.update()

    def blit(self, bbox: object = None) -> None:
        """Show what was drawn, once with all else that changes: each time, OpenGL draws it all."""
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        """Draw again when the theme changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.draw_idle()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the dock, which scrolls."""
        event.ignore()
