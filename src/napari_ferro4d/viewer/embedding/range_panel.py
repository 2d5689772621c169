"""Panel "Range": the histogram of a channel, a range on it, its positions and mean pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.embedding import histogram, within
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress
from napari_ferro4d.results import MapResult
from napari_ferro4d.viewer.layers import (
    find_layer,
    insert_layer,
    is_ours,
    map_layers,
    with_steps_of_scans,
)
from napari_ferro4d.viewer.widgets import (
    RANGE_COLOUR,
    HistogramView,
    PatternImage,
    Picture,
    Range,
    RangeEnds,
    enable,
)

from .class_layers import add_class
from .live_mean import LiveMean, Mean
from .panel_host import PanelHost
from .shown_embedding import ShownEmbedding

_OVERLAY = "embedding range"


class RangePanel(QWidget):
    """Choose a range of a channel's values.

    Parameters
    ----------
    dock : PanelHost
        Says which embedding, which channel and which scan.
    """

    def __init__(self, dock: PanelHost) -> None:
        super().__init__()
        self._dock = dock
        self._of: ShownEmbedding | None = None
        self._channel: int | None = None
        self._ranges: dict[int, Range] = {}
        self._open = True
        self._mask: np.ndarray | None = None
        self._mean: Mean | None = None
        self.histogram = HistogramView()
        self.ends = RangeEnds()
        self.log_counts = QCheckBox("log histogram")
        self.log_counts.setToolTip("Draw the histogram on a logarithmic scale.")
        self.log_counts.setChecked(True)
        self.keep_button = QPushButton("Keep")
        self.pattern = PatternImage("Drag over the histogram to see the mean pattern of a range.")
        self.log_pattern = QCheckBox("log")
        self.log_pattern.setToolTip("Show the pattern on a logarithmic scale.")
        self.log_pattern.setChecked(True)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.live = LiveMean()
        self._lay_out()
        self.histogram.dragged.connect(self._on_dragged)
        self.log_counts.toggled.connect(self.histogram.set_log)
        self.log_pattern.toggled.connect(self._draw)
        self.ends.typed.connect(self._on_typed)
        self.keep_button.clicked.connect(self.keep)
        self.live.averaged.connect(self._on_averaged)
        self.live.progressed.connect(self._on_progress)
        self.live.failed.connect(self._on_failed)

    @property
    def mean(self) -> Mean | None:
        """The mean pattern shown."""
        return self._mean

    def _lay_out(self) -> None:
        values = QHBoxLayout()
        values.addWidget(self.ends, 1)
        values.addWidget(self.keep_button)
        boxes = QHBoxLayout()
        boxes.addWidget(self.log_counts)
        boxes.addStretch(1)
        boxes.addWidget(self.log_pattern)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 8)
        column.setSpacing(4)
        column.addWidget(self.histogram)
        column.addLayout(values)
        column.addLayout(boxes)
        column.addWidget(self.pattern)
        column.addWidget(self.said)
        column.addStretch(1)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Give the text two lines at all times, so that nothing moves under the mouse."""
        super().showEvent(event)
        # napari's style, and with it the font, is in force only then.
        self.said.ensurePolished()
        text = self.said.text()
        self.said.setText("one\ntwo")
        self.said.setFixedHeight(self.said.sizeHint().height())
        self.said.setText(text)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {"counts": self.log_counts.isChecked(), "pattern": self.log_pattern.isChecked()}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.log_counts.setChecked(bool(values["counts"]))
        self.log_pattern.setChecked(bool(values["pattern"]))

    def set_channel(self, found: ShownEmbedding | None, channel: int | None) -> None:
        """Show the histogram of a channel, with the range that was chosen on it before."""
        if self._of is None or found is None or found.whole is not self._of.whole:
            self._ranges = {} if found is None else dict(found.noted("ranges") or {})
        self._of, self._channel = found, channel
        shown = None
        if found is not None and channel is not None:
            try:
                shown = histogram(found.channels[channel])
            except ScanError:  # no finite value: nothing to show, and the table says so
                shown = None
        chosen = None if shown is None or channel is None else self._ranges.get(channel)
        self.histogram.show_histogram(shown, chosen)
        ends = (0.0, 1.0) if shown is None else (float(shown.edges[0]), float(shown.edges[-1]))
        self.ends.set_limits(*ends)
        self._take(chosen)

    def set_open(self, is_open: bool) -> None:
        """Mark the range on the map only while it is this panel that is seen."""
        if is_open != self._open:
            self._open = is_open
            self._mark()

    def refresh(self) -> None:
        """Enable what can be done now."""
        none = "Drag a range on the histogram first." if self.histogram.range is None else None
        enable(self.keep_button, none, "Make the positions in the range a class of a labels layer.")
        self.ends.show_range(self.histogram.range)

    def set_scan(self) -> None:
        """Take the patterns of the scan that the viewer has now."""
        self._ask()

    def end(self) -> None:
        """Stop working, for good."""
        self.live.stop(2.0)

    def keep(self) -> None:
        """Make the range a class of the labels layer "ranges"."""
        found, channel, mask = self._of, self._channel, self._mask
        if found is None or channel is None or mask is None or self.histogram.range is None:
            return
        low, high = self.histogram.range
        name = found.name(channel)
        said = {"channel": name, "low": low, "high": high}
        number = add_class(found, "ranges", mask, f"{name}: {low:.3g} to {high:.3g}", "range", said)
        self._dock.row.say(f'Class {number} of the layer "ranges": {mask.sum():,} positions.')

    def _on_dragged(self, chosen: Range | None) -> None:
        self._take(chosen)

    def _on_typed(self, chosen: Range) -> None:
        self.histogram.set_range(chosen)
        self._take(chosen)

    def _take(self, chosen: Range | None) -> None:
        found, channel = self._of, self._channel
        if found is not None and channel is not None:
            if chosen is None:
                self._ranges.pop(channel, None)
            else:
                self._ranges[channel] = chosen
            found.note(ranges=dict(self._ranges))
        if found is None or channel is None or chosen is None:
            self._mask = None
        else:
            self._mask = within(found.channels[channel], *chosen)
        self._mark()
        self._ask()
        self.refresh()

    def _mark(self) -> None:
        """Show the positions in the range on the map."""
        found = self._of
        if found is None:
            return
        layer = find_layer(found.viewer, found.origin.signature, _OVERLAY)
        if self._mask is None or not self._open:
            if layer is not None and layer.visible:
                layer.visible = False
            return
        if layer is not None and is_ours(layer) and layer.data.shape == self._mask.shape:
            # In place: another array would make napari look at everything again.
            np.copyto(layer.data, self._mask)
            layer.refresh(extent=False)
            if not layer.visible:  # setting it redraws everything
                layer.visible = True
            found.lift(layer)
            return
        image = self._mask.astype(np.uint8)
        result = MapResult(_OVERLAY, image, found.origin.scan_step, contrast_limits=(0.0, 1.0))
        (one,) = with_steps_of_scans(found.viewer, map_layers(found.origin, result))
        one[1].update(colormap=_overlay_colours(), opacity=0.55, blending="translucent")
        active = found.viewer.layers.selection.active
        found.lift(insert_layer(found.viewer, *one))
        found.viewer.layers.selection.active = active

    def _ask(self) -> None:
        scan = self._dock.scan
        self.pattern.set_scan(scan)
        if self._mask is None or scan is None or not self._mask.any():
            self.live.stop()
            self._mean = None
            self._draw()
            self._say("")
            return
        self.live.request(scan, self._mask)
        self._say("")

    def _on_averaged(self, mean: Mean) -> None:
        if self._mask is not None and mean.scan is self._dock.scan:
            self._mean = mean
            self._draw()
            self._say("")

    def _on_progress(self, progress: Progress) -> None:
        if progress.total:
            self._say(f"reading all: {100 * progress.done // progress.total} %")

    def _on_failed(self, error: Exception) -> None:
        self._dock.tell("Averaging patterns", error)

    def _draw(self, *_: Any) -> None:
        if self._mean is None:
            self.pattern.show_picture(None)
            return
        self.pattern.show_picture(Picture(self._mean.mean, log=self.log_pattern.isChecked()))

    def _say(self, more: str) -> None:
        if self._mask is None:
            self.said.setText("")
            return
        chosen = int(np.count_nonzero(self._mask))
        text = f"{chosen:,} of {self._mask.size:,} positions are in the range."
        mean = self._mean
        if self._dock.scan is None:
            text += "\nOpen the scan to see their patterns."
        elif chosen == 0:
            text += "\nThere is no pattern to show."
        elif mean is None or mean.mask is not self._mask:
            text += "\nReading patterns..."
        elif mean.patterns < mean.of:
            text += f"\nA first look: the mean of {mean.patterns:,} patterns. {more}"
        else:
            text += f"\nThe mean of {mean.patterns:,} patterns."
        self.said.setText(text)


def _overlay_colours() -> Any:
    from napari.utils.colormaps import Colormap
    from qtpy.QtGui import QColor

    colour = QColor(RANGE_COLOUR).getRgbF()
    return Colormap([[*colour[:3], 0.0], [*colour[:3], 1.0]], name="range")
