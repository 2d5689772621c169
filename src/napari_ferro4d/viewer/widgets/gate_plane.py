"""Two maps against each other: a 2-D histogram, with lasso gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backend_bases import MouseButton
from matplotlib.patches import Polygon
from matplotlib.widgets import LassoSelector
from qtpy.QtCore import Qt, Signal

from .plot_canvas import PlotCanvas

Place = tuple[float, float]

_BINS = 96
_EMPTY = "#1f1f24"
_LEAST = 6  # pixels that a lasso has to reach across, or it was a click


@dataclass(frozen=True)
class Gate:
    """A polygon in the plane of two channels, and the class that it makes.

    Parameters
    ----------
    a, b : int
        The channels, across and upwards.
    polygon : tuple of tuple of float
        Corners ``(a, b)``.
    number : int
        Of the class.
    colour : tuple of float
        Red, green, blue, opacity.
    """

    a: int
    b: int
    polygon: tuple[Place, ...]
    number: int
    colour: tuple[float, float, float, float]


class GatePlane(PlotCanvas):
    """Shows how often pairs of values occur; a lasso around some of them is a gate."""

    drawn = Signal(object)
    """The polygon of a lasso: a list of corners ``(a, b)``."""

    def __init__(self) -> None:
        super().__init__(height=(230, 260, 300), margins=(4.5, 1.0, 0.6, 3.0))
        self.axes.set_facecolor(_EMPTY)
        self.axes.locator_params(nbins=5)
        self._image = self.axes.imshow(
            [[0.0]], "viridis", origin="lower", aspect="auto", interpolation="nearest"
        )
        self._patches: list[Polygon] = []
        self._drawable = True
        self._lasso = LassoSelector(
            self.axes,
            self._on_drawn,
            button=MouseButton.LEFT,
            props={"color": "white", "linewidth": 1.5, "linestyle": "--"},
        )
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            "How often pairs of values of the two channels occur (logarithmic). Draw around some\n"
            "of them with the mouse: their probe positions become a class of a labels layer."
        )
        self.show_channels(None, None, ("", ""))

    def show_channels(
        self,
        a: np.ndarray | None,
        b: np.ndarray | None,
        names: tuple[str, str],
        vector: bool = False,
    ) -> None:
        """Show channel `a` across and `b` upwards; nothing if one is None.

        The components of a `vector`, right and down, are shown in its directions, as drawn.
        """
        pairs = np.empty((2, 0)) if a is None or b is None else np.stack([a.ravel(), b.ravel()])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        self._lasso.set_active(self._drawable and pairs.size > 0)
        if pairs.size:
            ends = _ends(pairs[0]), _ends(pairs[1])
            heights = np.log1p(_counts(pairs, ends))
            self._image.set(data=np.ma.masked_equal(heights, 0), extent=np.ravel(ends))
            self._image.set_clim(0, heights.max())
            # Room to draw around the values at the ends.
            across, up = ((low - (high - low) / 25, high + (high - low) / 25) for low, high in ends)
            if vector:
                reach = float(np.abs([across, up]).max())
                across, up = (-reach, reach), (reach, -reach)
            self.axes.set(xlim=across, ylim=up, xlabel=names[0], ylabel=names[1])
            self.axes.set_aspect("equal" if vector else "auto")
        self.show_instead("" if pairs.size else "Two channels are needed to draw gates.")
        self.draw_idle()

    def set_drawable(self, drawable: bool) -> None:
        """Let gates be drawn, or only shown."""
        self._drawable = drawable
        self._lasso.set_active(drawable and self.axes.get_visible())
        cross, arrow = Qt.CursorShape.CrossCursor, Qt.CursorShape.ArrowCursor
        self.setCursor(cross if drawable else arrow)

    def show_gates(self, gates: Sequence[Gate]) -> None:
        """Show gates on these two channels."""
        for patch in self._patches:
            patch.remove()
        self._patches = [
            Polygon(gate.polygon, ec=gate.colour, fc=(*gate.colour[:3], 0.25), lw=2)
            for gate in gates
        ]
        for patch in self._patches:
            self.axes.add_patch(patch)
        self.draw_idle()

    def _on_drawn(self, corners: list[Place]) -> None:
        reach = np.ptp(self.axes.transData.transform(corners), axis=0)
        if len(corners) >= 3 and reach.max() >= _LEAST * self.device_pixel_ratio:
            self.drawn.emit([(float(a), float(b)) for a, b in corners])
        self.draw_idle()


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _counts(pairs: np.ndarray, ends: tuple[Place, Place]) -> np.ndarray:
    """Count pairs of values, ``[b, a]``; numpy's histogram2d takes ten times as long."""
    low, high = np.transpose(ends)[..., None]
    a, b = np.minimum((pairs - low) * (_BINS / (high - low)), _BINS - 1).astype(np.intp)
    return np.bincount(b * _BINS + a, minlength=_BINS**2).reshape(_BINS, _BINS)
