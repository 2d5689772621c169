"""A diffraction pattern with axes in 1/angstrom: several fit into one dock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backend_bases import LocationEvent
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import beam_centre

from .plot_canvas import PlotCanvas

_DECADES = 4.0
"""Range of a logarithmic picture, unless the pattern holds no values that small."""

_MISSING, _UNSURE = 0.35, 0.84
"""Greys of pixels that are not known, and of those whose value is less than its error."""


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


class PatternImage(PlotCanvas):
    """Shows one pattern; what is under the mouse is said below it.

    Parameters
    ----------
    empty : str
        What it says while it has nothing to show.
    height : int
        Wished for, in pixels.
    """

    def __init__(self, empty: str, height: int = 250) -> None:
        super().__init__(height=(190, height, 360), margins=(3.5, 6.6, 0.6, 3.2))
        self._empty = empty
        self._picture: Picture | None = None
        self._step = (1.0, 1.0)
        self._centre = (0.0, 0.0)
        self._unit = "pixel"
        self._at: tuple[Any, Any] | None = None  # the mouse, in `unit`
        self._frame: tuple[Any, ...] = ()
        self._colours = ScalarMappable(Normalize(0, 1))
        self._image = self.axes.imshow([[0.0]], animated=True)
        self._below = self.figure.text(0.5, 0.01, "", ha="center", va="bottom", animated=True)
        bar = self.axes.inset_axes((1.05, 0.0, 0.05, 1.0), xticks=[], yticks=[])
        self._bar = bar.imshow(np.c_[:256], aspect="auto", origin="lower")
        self._values = [
            self.axes.text(1.13, y, "", va=va, transform=self.axes.transAxes, animated=True)
            for y, va in ((0.0, "bottom"), (0.5, "center"), (1.0, "top"))
        ]
        self.live = (self._image, self._below, *self._values)
        self.axes.locator_params(nbins=5)
        self.mpl_connect("motion_notify_event", self._on_mouse)
        self.mpl_connect("figure_leave_event", self._on_leave)
        self.show_picture(None)

    @property
    def picture(self) -> Picture | None:
        """What is shown."""
        return self._picture

    @property
    def limits(self) -> tuple[float, float]:
        """Values with the first and the last colour."""
        return self._colours.get_clim()

    @property
    def said(self) -> str:
        """What is under the mouse, or the unit of the axes."""
        return self._below.get_text()

    def set_scan(self, scan: Scan | None) -> None:
        """Take the axes of a scan's patterns; detector pixels where it does not say."""
        if scan is not None:
            unit = "pixel" if scan.k_step is None else "1/Å"
            self.set_space(scan.k_step or (1.0, 1.0), beam_centre(scan), unit)

    def set_space(self, step: tuple[float, float], centre: tuple[float, float], unit: str) -> None:
        """Take other axes: size of a pixel in `unit`, and where their zero is, in pixels."""
        self._step, self._centre, self._unit = step, centre, unit

    def show_picture(self, picture: Picture | None) -> None:
        """Show something else, or nothing."""
        self._picture = picture
        if picture is None:
            self.show_instead(self._empty)
            return
        low, high = _limits(picture)
        log = picture.log and not picture.signed
        self._colours.set_norm(LogNorm(low, high) if log else Normalize(low, high))
        middle = math.sqrt(low * high) if log else (low + high) / 2
        for text, value in zip(self._values, (low, middle, high), strict=True):
            text.set_text(f"{value:.2g}".replace("-", "\N{MINUS SIGN}"))
        self._colours.set_cmap("RdBu_r" if picture.signed else "inferno")
        self._image.set_data(self._painted(picture))
        self._below.set_text(self._now_said())
        # Axes and bar stay as they are while a range is dragged.
        frame = (*self._extent(picture), self._colours.get_cmap().name)
        if frame != self._frame:
            self._frame = frame
            self._image.set_extent(frame[:4])
            # Pixels are seen as pixels, unless there are more of them than the screen has.
            shrunk = picture.values.shape[1] > self.axes.bbox.width
            self._image.set_interpolation("auto" if shrunk else "nearest")
            self._bar.set_cmap(frame[4])
            self.draw_idle()
        self.show_instead("")
        self.draw_live()

    def _painted(self, picture: Picture) -> np.ndarray:
        """Return a pattern in colours, ``[ky, kx, rgba]``."""
        known = np.isfinite(picture.values)
        # Also a logarithm has a lowest value: what is less gets its colour.
        values = np.where(known, np.maximum(picture.values, self.limits[0]), self.limits[0])
        colours = self._colours.to_rgba(values)
        if picture.sure is not None:
            colours[~picture.sure, :3] = _UNSURE
        colours[~known, :3] = _MISSING
        return colours

    def _extent(self, picture: Picture) -> tuple[float, float, float, float]:
        """Return the borders of a pattern on the axes: left, right, bottom, top."""
        (top, bottom), (left, right) = (
            ((-0.5 - centre) * step, (n - 0.5 - centre) * step)
            for n, centre, step in zip(picture.values.shape, self._centre, self._step, strict=True)
        )
        return left, right, bottom, top

    def _on_mouse(self, event: LocationEvent) -> None:
        self._say_of((event.ydata, event.xdata) if event.inaxes is self.axes else None)

    def _on_leave(self, event: LocationEvent) -> None:
        self._say_of(None)

    def _say_of(self, at: tuple[Any, Any] | None) -> None:
        """Say what lies under the mouse, ``(ky, kx)`` in `unit`; None where it is elsewhere."""
        self._at = at
        before = self.said
        self._below.set_text(self._now_said())
        if self.said != before:
            self.draw_live()

    def _now_said(self) -> str:
        at, unit = self._at, self._unit
        if at is None or self._picture is None:
            return f"{unit} from the beam centre" if unit == "pixel" else unit
        pixel = tuple(
            min(max(math.floor(k / step + centre + 0.5), 0), n - 1)
            for k, step, centre, n in zip(
                at, self._step, self._centre, self._picture.values.shape, strict=True
            )
        )
        ky, kx = ((i - c) * s for i, c, s in zip(pixel, self._centre, self._step, strict=True))
        value = self._picture.values[pixel]
        return (
            f"ky {ky:.3g}, kx {kx:.3g}, |k| {math.hypot(ky, kx):.3g} {unit}: "
            f"{value:.3g} {self._picture.unit}"
        )


def _limits(picture: Picture) -> tuple[float, float]:
    values = picture.values[np.isfinite(picture.values)]
    if values.size == 0:
        values = np.ones(1)
    if picture.signed:
        high = float(np.percentile(np.abs(values), 99.8)) or float(np.abs(values).max()) or 1.0
        return -high, high
    high = float(np.percentile(values, 99.9)) or float(values.max())
    if high <= 0:  # all dark, or below zero as a dark image leaves it
        high = 1.0
    if not picture.log:
        return 0.0, high
    positive = values[values > 0]
    least = float(positive.min()) if positive.size else high
    return min(max(least, high / 10**_DECADES), high / 2), high
