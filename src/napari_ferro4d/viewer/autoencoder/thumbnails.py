"""A row of small pictures of maps, as they are while something is still computed."""

from __future__ import annotations

import numpy as np
from matplotlib.image import AxesImage
from qtpy.QtGui import QResizeEvent

from napari_ferro4d.viewer.widgets import PlotCanvas

_GAP = 4
_SIDE = 64
"""Greatest width of a picture, in pixels."""


class Thumbnails(PlotCanvas):
    """Shows up to `count` maps next to each other, each on its own scale.

    Parameters
    ----------
    count : int
        How many there is room for.
    colormap : str
        One of matplotlib's.
    """

    def __init__(self, count: int = 6, colormap: str = "viridis") -> None:
        super().__init__(height=(16, 64, 64), margins=(0, 0, 0, 0))
        self._count, self._colormap = count, colormap
        self._images: list[AxesImage] = []
        self._shape = (1, 1)
        self.axes.set_axis_off()

    @property
    def images(self) -> list[AxesImage]:
        """The pictures shown."""
        return self._images

    def show_maps(self, maps: np.ndarray | None) -> None:
        """Show maps ``[k, y, x]``; NaN is transparent. None shows nothing."""
        for image in self._images:
            image.remove()
        shown = [] if maps is None else list(maps[: self._count])
        if shown:
            self._shape = shown[0].shape
        self._images = [self.axes.imshow(one, self._colormap, aspect="auto") for one in shown]
        for image, one in zip(self._images, shown, strict=True):
            known = one[np.isfinite(one)]
            image.set_clim(*(np.percentile(known, (1, 99)) if known.size else (0, 1)))
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take the height that pictures of the new width have."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        """Lay out the pictures; the units of the axes are pixels of the screen."""
        if not self._images:
            return
        ny, nx = self._shape
        room = min(_SIDE, (self.width() - (self._count - 1) * _GAP) / self._count)
        scale = min(room / nx, _SIDE / ny)
        for index, image in enumerate(self._images):
            left = index * (room + _GAP)
            image.set_extent((left, left + nx * scale, ny * scale, 0))
        height = max(16, round(ny * scale))
        self.axes.set(xlim=(0, self.width()), ylim=(height, 0))
        self.setFixedHeight(height)
        self.draw_idle()
