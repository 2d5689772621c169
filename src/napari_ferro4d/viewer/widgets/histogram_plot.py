"""The histogram of a map; ranges are dragged on it with the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backend_bases import MouseButton
from matplotlib.patches import Rectangle
from matplotlib.widgets import SpanSelector
from qtpy.QtCore import Signal
from qtpy.QtGui import QMouseEvent

from napari_ferro4d.embedding import Histogram

from .plot_canvas import PlotCanvas

RANGE_COLOUR = "#e69f00"
_BARS = "#56b4e9"

Range = tuple[float, float]


class HistogramView(PlotCanvas):
    """Shows a histogram with its peaks, and a range that the user drags.

    Dragging where no range is makes one, its edges and itself can be dragged afterwards; a double
    click removes it.
    """

    dragged = Signal(object)
    """The range ``(low, high)`` while it is dragged, or None when it is removed."""

    def __init__(self) -> None:
        super().__init__(height=(112, 112, 112), margins=(1.8, 1.0, 1.2, 1.8))
        self._histogram: Histogram | None = None
        self._range: Range | None = None
        self._log = True
        self._others: list[Rectangle] = []
        self._bars = self.axes.stairs([0.0], fill=True, color=_BARS)
        (self._peaks,) = self.axes.plot([], [], "v", color="grey", ms=6, clip_on=False)
        self._peaks.set_transform(self.axes.get_xaxis_transform())
        self.axes.set_yticks([])
        self.axes.locator_params(axis="x", nbins=5)
        self.axes.spines[["left", "right", "top"]].set_visible(False)
        self._span = SpanSelector(
            self.axes,
            lambda low, high: None,
            "horizontal",
            useblit=True,
            interactive=True,
            drag_from_anywhere=True,
            button=MouseButton.LEFT,
            grab_range=5,
            onmove_callback=self._on_moved,
            props={"facecolor": RANGE_COLOUR, "alpha": 0.25},
            handle_props={"linewidth": 2},
        )
        self.setToolTip(
            "Drag to choose a range of values: its probe positions are marked on the map, and\n"
            "their mean pattern is shown below. Drag its edges or the range itself to change it;\n"
            "a double click removes it. Triangles are peaks."
        )
        self.show_histogram(None)

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
        self._histogram = histogram
        self._span.set_active(histogram is not None)
        if histogram is not None:
            self.axes.set_xlim(*histogram.edges[[0, -1]])
            self._peaks.set_data(histogram.peaks, np.full(len(histogram.peaks), 1.08))
        self.set_range(chosen)
        self.set_log(self._log)
        self.show_instead("" if histogram else "histogram of the channel")

    def set_range(self, chosen: Range | None) -> None:
        """Show another range, without a signal."""
        self._range = chosen
        if chosen is None:
            self._span.clear()
        else:
            self._span.set_visible(True)
            self._span.extents = chosen

    def set_colour(self, colour: Any) -> None:
        """Give the range another colour."""
        self._span.set_props(facecolor=colour)
        self._span.set_handle_props(color=colour)
        self.draw_idle()

    def show_others(self, ranges: Sequence[tuple[Range, Any]]) -> None:
        """Show more ranges ``(low, high)``, each with its colour; they are not dragged."""
        for patch in self._others:
            patch.remove()
        self._others = [
            self.axes.axvspan(*ends, facecolor=colour, alpha=0.25, edgecolor="none")
            for ends, colour in ranges
        ]
        self.draw_idle()

    def set_log(self, log: bool) -> None:
        """Show the counts on a logarithmic scale, so that rare values can be seen."""
        self._log = log
        if self._histogram is not None:
            heights = np.log1p(self._histogram.counts) if log else self._histogram.counts
            self._bars.set_data(heights, self._histogram.edges)
            self.axes.set_ylim(0, heights.max() or 1)
        self.axes.set_ylabel("log positions" if log else "positions")
        self.draw_idle()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Keep the range where a click has not made another."""
        super().mouseReleaseEvent(event)
        self.set_range(self._range)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Remove the range."""
        if self._range is not None:
            self.set_range(None)
            self.dragged.emit(None)

    def _on_moved(self, start: float, end: float) -> None:
        low, high = sorted((start, end))
        # A range that is moved as a whole stops at the ends of the axis.
        first, last = self.axes.get_xlim()
        by = max(first - low, 0.0) + min(last - high, 0.0)
        if by:
            self._span.extents = low + by, high + by
        before, self._range = self._range, (float(low + by), float(high + by))
        if self._range != before:
            self.dragged.emit(self._range)
