"""Choose a virtual detector in the diffraction dock; its image is a layer of the main viewer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress
from napari_ferro4d.reduce import Annulus, Disk, detector_text, parse_detector
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import LayerData, beam_centre, insert_layer, is_ours, update_layer
from napari_ferro4d.viewer.widgets import progress_text

from .detector_shapes import KINDS, Drawn, start
from .detector_tool import DetectorTool
from .live_image import LiveImage

_NONE = "no detector"


class DetectorPanel(QWidget):
    """Choose and draw a virtual detector; its image is a layer of the main viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        The main viewer.
    canvas : napari.components.ViewerModel
        Shows the pattern.
    """

    def __init__(self, viewer: Any, canvas: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._scan: Scan | None = None
        self._signature = ""
        self._images: dict[str, Any] = {}
        self._named: dict[str, str] = {}
        self._shown = _NONE
        self.kind = QComboBox()
        self.kind.addItems([_NONE, *KINDS])
        self.kind.setToolTip(
            "Sum the counts on a part of the detector, for every probe position.\n"
            "Drag it to move it, its edge or a corner to change it. A polygon is drawn corner\n"
            "by corner; a double click ends it, and removes a corner later on."
        )
        self.text = QLineEdit()
        self.text.setPlaceholderText("such as disk:20")
        self.text.setToolTip(
            "The detector in pixels from the beam centre, as the command takes it:\n"
            "disk:R, annulus:R1,R2, rectangle:KY0,KX0,KY1,KX1, polygon:KY,KX;KY,KX;..."
        )
        self.keep = QPushButton("Keep")
        self.keep.setToolTip("Leave the image as it is; the next detector gives a new one.")
        self.said = QLabel()
        self.said.setWordWrap(True)
        # Always two lines: a canvas that changes its size would move under the mouse.
        self.said.setFixedHeight(2 * self.said.fontMetrics().lineSpacing() + 2)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.said.hide()
        self.tool = DetectorTool(canvas)
        self.live = LiveImage()
        self._lay_out()
        self.kind.currentTextChanged.connect(self._on_kind)
        self.text.editingFinished.connect(self._on_text)
        self.keep.clicked.connect(self._on_keep)
        self.tool.changed.connect(self._on_drawn)
        self.live.imaged.connect(self._on_imaged)
        self.live.progressed.connect(self._on_progress)
        self.live.failed.connect(self._on_failed)
        self._refresh()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.kind)
        row.addWidget(self.text, 1)
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.said)

    def set_scan(self, scan: Scan | None) -> None:
        """Work on `scan`; a detector stays while the same scan is opened again."""
        self._scan = scan
        if scan is None:
            self.live.stop()
        elif scan.signature != self._signature:
            self._signature = scan.signature
            self._images.clear()
            self.kind.setCurrentText(_NONE)
        self._refresh()

    def set_detector(self, drawn: Drawn) -> None:
        """Show a detector and make its image."""
        with signals_blocked(self.kind):
            self.kind.setCurrentText(drawn.kind)
        self._on_drawn(drawn)
        self.tool.show(drawn)

    def end(self) -> None:
        """Stop working, for good."""
        self.live.stop(2.0)

    def _refresh(self) -> None:
        chosen = self.kind.currentText() != _NONE
        self.kind.setEnabled(self._scan is not None)
        self.text.setEnabled(self._scan is not None)
        self.keep.setEnabled(chosen and self._live_layer() is not None)
        self.said.setVisible(chosen)

    def _on_kind(self, kind: str) -> None:
        self.live.stop()
        scan = self._scan
        drawn = start(kind, beam_centre(scan), scan.detector_shape) if scan is not None else None
        if drawn is not None:
            self.set_detector(drawn)
            return
        self.text.clear()
        self.said.clear()
        if scan is not None and kind != _NONE:
            self.tool.draw_polygon(beam_centre(scan))
            self.said.setText("Click corner after corner on the pattern; double-click the last.")
        else:
            self.tool.show(None)
        self._refresh()

    def _on_text(self) -> None:
        text, drawn, scan = self.text.text().strip(), self.tool.drawn, self._scan
        if scan is None or not text or (drawn is not None and text == detector_text(drawn.shape)):
            return
        try:
            shape = parse_detector(text)
            if isinstance(shape, np.ndarray):
                raise ScanError(f"{text}: only disk, annulus, rectangle and polygon can be drawn.")
        except ScanError as error:
            show_error(str(error))
            self.text.setText("" if drawn is None else detector_text(drawn.shape))
            return
        stays = drawn is not None and type(drawn.shape) is type(shape)
        self.set_detector(Drawn(shape, drawn.centre if drawn and stays else beam_centre(scan)))

    def _on_drawn(self, drawn: Drawn) -> None:
        self.text.setText(detector_text(drawn.shape))
        self.text.setCursorPosition(0)
        if self._scan is not None:
            self.said.setText(_place_text(drawn, self._scan))
            self.live.request(self._scan, drawn)
        self._refresh()

    def _live_layer(self) -> Any:
        """Return the layer that follows the detector, if it is still there and still ours."""
        layer = self._images.get(self.kind.currentText())
        return layer if layer in self._viewer.layers and is_ours(layer) else None

    def _on_keep(self) -> None:
        self._images.pop(self.kind.currentText(), None)
        self._refresh()

    def _on_imaged(self, scan: Scan, drawn: Drawn, made: LayerData, complete: bool) -> None:
        if self._scan is None or scan.signature != self._scan.signature:
            return
        if drawn.kind != self.kind.currentText():
            return
        data, keywords, kind = made
        layer = self._live_layer()
        if layer is None:
            layer = self._images[drawn.kind] = insert_layer(self._viewer, data, keywords, kind)
        else:
            if layer.name == self._named.get(drawn.kind):  # else the user gave it a name
                layer.name = keywords["name"]
            update_layer(layer, data, keywords)
        self._named[drawn.kind] = layer.name
        if self._shown != drawn.kind:
            # Images are opaque: of those that follow a detector, the one last drawn is seen.
            self._shown = drawn.kind
            for other in self._images.values():
                other.visible = other is layer
        if complete and self.tool.drawn is not None:
            self.said.setText(_place_text(self.tool.drawn, scan))
        self._refresh()

    def _on_progress(self, progress: Progress) -> None:
        drawn = self.tool.drawn
        if drawn is not None and self._scan is not None:
            said = progress_text(replace(progress, message=""))
            self.said.setText(f"{_place_text(drawn, self._scan)}; {said}")

    def _on_failed(self, error: Exception) -> None:
        self.said.setText(str(error))


def _place_text(drawn: Drawn, scan: Scan) -> str:
    """Return where a detector lies, and its radii in 1/angstrom, in one line."""
    text = "centre {:g}, {:g} px".format(*(round(c, 2) for c in drawn.centre))
    radii: tuple[float, ...] = ()
    match drawn.shape:
        case Disk(radius):
            radii = (radius,)
        case Annulus(inner, outer):
            radii = (inner, outer)
    if radii and scan.k_step is not None:
        text += ", radius " + " to ".join(f"{r * scan.k_step[0]:.3g}" for r in radii) + " 1/Å"
    return text
