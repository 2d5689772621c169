"""Dock widget "Diffraction": the pattern at the probe, in a canvas of its own, in 1/angstrom."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import beam_centre
from napari_ferro4d.viewer.session import remember, remembered, session, unwrapped
from napari_ferro4d.viewer.widgets import Probe, ScanChoice

from .detector_panel import DetectorPanel
from .pattern_reader import PatternReader


class PatternView(QtViewer):
    """A canvas for a dock: napari's own asks for the width of a main window."""

    def sizeHint(self) -> QSize:
        """Ask for a square that leaves the main canvas its room."""
        return QSize(340, 340)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the whole pattern again, once the canvas inside has its new size."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self._fit)

    def _fit(self) -> None:
        if self.viewer.layers:
            self.viewer.fit_to_view()


class DiffractionWidget(QWidget):
    """Show the diffraction pattern at a probe that the user drags over the scan.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._main = unwrapped(napari_viewer)
        self._shown: np.ndarray | None = None
        self._shown_of: Scan | None = None
        self._ended = False
        self.scans = ScanChoice(self._main)
        self.log = QCheckBox("log")
        self.log.setToolTip("Show log(1 + counts), so that weak discs can be seen.")
        self.log.setChecked(bool(remembered("diffraction").get("log", True)))
        self.grab_button = QPushButton("Probe")
        self.grab_button.setToolTip(
            "Select the probe layer, to drag it with the mouse.\n"
            "The arrow keys step one position at any time, with Shift ten."
        )
        self.text = QLabel("Open a scan to see its patterns.")
        self.text.setWordWrap(True)
        self.canvas = ViewerModel(title="Diffraction")
        self.canvas.canvas.overlays.scale_bar.visible = True
        self.view = PatternView(self.canvas)
        self.view.setMinimumSize(190, 190)
        self.detector = DetectorPanel(self._main, self.canvas)
        self._lay_out()
        self.probe = Probe(self._main)
        self.reader = PatternReader()
        self.probe.moved.connect(self._on_moved)
        self.reader.read.connect(self._on_read)
        self.reader.failed.connect(self._on_failed)
        self.scans.changed.connect(self._on_scan)
        self.log.toggled.connect(self._on_log)
        self.grab_button.clicked.connect(self.probe.grab)
        session(self._main).closing.connect(self._end)
        self._on_scan()

    @property
    def pattern(self) -> np.ndarray | None:
        """The counts ``[ky, kx]`` of the pattern shown, before any logarithm."""
        return self._shown

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.scans.native, 1)
        top.addWidget(self.log)
        top.addWidget(self.grab_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.view, 1)
        column.addWidget(self.text)
        column.addWidget(self.detector)

    def _on_scan(self) -> None:
        scan = self.scans.scan()
        self.grab_button.setEnabled(scan is not None)
        self.detector.set_scan(scan)
        if scan is None:
            self.reader.stop()
            self.probe.set_scan(None)
            self._clear()
            self._shown = self._shown_of = None
            self.text.setText("Open a scan to see its patterns.")
            return
        self.probe.set_scan(scan)

    def _on_moved(self, y: int, x: int) -> None:
        scan = self.scans.scan()
        if scan is not None:
            self.reader.request(scan, (y, x))

    def _on_read(self, scan: Scan, position: tuple[int, int], pattern: np.ndarray) -> None:
        if scan is not self.scans.scan():
            return
        self._shown = pattern
        self._draw(scan)
        self.text.setText(_position_text(scan, position, pattern))

    def _on_failed(self, error: Exception) -> None:
        scan = self.scans.scan()
        name = scan.where() if scan else "the scan"
        self.text.setText(f"{name}: this pattern cannot be read ({error}).")

    def _on_log(self, on: bool) -> None:
        remember("diffraction", {"log": on})
        scan = self.scans.scan()
        if scan is not None and self._shown is not None:
            self._shown_of = None  # other values need other contrast limits
            self._draw(scan)

    def _draw(self, scan: Scan) -> None:
        counts = self._shown
        assert counts is not None
        image = np.log1p(counts.astype(np.float32)) if self.log.isChecked() else counts
        if self._shown_of is scan and self.canvas.layers:
            self.canvas.layers[0].data = image
            return
        self._shown_of = scan
        self._clear()
        space, step = _pattern_space(scan), scan.k_step or (1.0, 1.0)
        self.canvas.add_image(
            image, name="pattern", colormap="inferno", contrast_limits=_limits(image), **space
        )
        if scan.k_step is not None:
            step = 10 * step[0], 10 * step[1]
            # Scale bars pick a prefix for numbers below one, and "200 1/kÅ" is nobody's unit.
            self.canvas.layers.units = ("1/nm", "1/nm")
        self.detector.tool.set_space(space, step, beam_centre(scan))
        self.detector.tool.redraw()
        self.canvas.fit_to_view()

    def _clear(self) -> None:
        self.canvas.layers.clear()
        # The next pattern may be in pixels, which cannot be shown in 1/nm.
        self.canvas.layers.units = None

    def event(self, event: Any) -> bool:
        """Let go of the probe and the arrow keys when the dock is closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()
        return bool(super().event(event))

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self.scans.changed.disconnect(self._on_scan)
        self.reader.stop()
        self.detector.end()
        self.probe.release()
        self.view.close()
        del self.view  # napari wants every canvas gone with its window


def _pattern_space(scan: Scan) -> dict[str, Any]:
    """Return scale and units of a pattern, zero at the undiffracted beam."""
    step = scan.k_step or (1.0, 1.0)
    unit = "pixel" if scan.k_step is None else "1/angstrom"
    centre = beam_centre(scan)
    return {
        "scale": step,
        "translate": [-c * s for c, s in zip(centre, step, strict=True)],
        "units": (unit, unit),
        "axis_labels": ("ky", "kx"),
    }


def _limits(image: np.ndarray) -> tuple[float, float]:
    high = float(np.percentile(image, 99.9))
    return 0.0, high if high > 0 else 1.0


def _position_text(scan: Scan, position: tuple[int, int], pattern: np.ndarray) -> str:
    y, x = position
    text = f"y {y}, x {x}"
    if scan.scan_step is not None:
        text += f"  ({y * scan.scan_step[0]:.1f}, {x * scan.scan_step[1]:.1f} nm)"
    # Two lines, always: a canvas that changes its size would move under the mouse.
    return f"{text}\nsum {pattern.sum():.6g}, max {pattern.max():.6g}"
