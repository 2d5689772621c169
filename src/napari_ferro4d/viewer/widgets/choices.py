"""Small Qt pieces that the dock widgets share: choices that follow the layer list, a device box."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

from napari_ferro4d.errors import ScanError
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import LOCKED, corrections_text, layer_info, scan_of
from napari_ferro4d.viewer.session import preference, unwrapped

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

__all__ = ["DeviceChoice", "LabelsChoice", "LayerChoice", "ScanChoice", "enable", "form", "hint"]


class LayerChoice(QComboBox):
    """Choose one of the layers that `accept`; follows layers added, removed and renamed.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers to choose from.
    accept : callable
        Returns whether a layer is among the choices.
    nothing : str
        What the box says while there is no such layer.
    """

    changed = Signal()

    def __init__(self, viewer: Any, accept: Callable[[Layer], bool], nothing: str) -> None:
        super().__init__()
        self._viewer = unwrapped(viewer)
        self._accept = accept
        self._nothing = nothing
        self._layers: list[Layer] = []
        # A long file name may not make the dock wide.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self.refresh)
        self.currentIndexChanged.connect(self._on_index)
        self.refresh()

    def layer(self) -> Layer | None:
        """Return the chosen layer."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Layer) -> None:
        """Choose `layer`, if it is among the choices."""
        self.refresh()
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def refresh(self, event: Any = None) -> None:
        """Read the layer list again; the choice stays where it can."""
        before = self.layer()
        layers = [layer for layer in self._viewer.layers if self._accept(layer)]
        names = [layer.name for layer in layers] or [self._nothing]
        if layers == self._layers and names == [self.itemText(i) for i in range(self.count())]:
            return
        self.blockSignals(True)
        self._layers = layers
        self.clear()
        self.addItems(names)
        self.setEnabled(bool(layers))
        # A new choice is likelier meant than the oldest one when the chosen layer went away.
        self.setCurrentIndex(layers.index(before) if before in layers else len(names) - 1)
        self.blockSignals(False)
        self._on_index()

    def _on_index(self, index: int = 0) -> None:
        self.setToolTip(self.currentText())
        self.changed.emit()


class ScanChoice(LayerChoice):
    """Choose one of the 4D-STEM scans in the viewer."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer, lambda layer: scan_of(layer) is not None, "no scan opened yet")

    def scan(self) -> Scan | None:
        """Return the chosen scan."""
        layer = self.layer()
        return None if layer is None else scan_of(layer)

    def _on_index(self, index: int = 0) -> None:
        super()._on_index(index)
        scan = self.scan()
        if scan is not None and scan.correction is not None:
            self.setToolTip(f"{self.currentText()}: {corrections_text(scan)}")


class LabelsChoice(LayerChoice):
    """Choose one of the labels layers that fit a scan and that a user made."""

    def __init__(self, viewer: Any, scan: Callable[[], Scan | None]) -> None:
        def accept(layer: Any) -> bool:
            wanted = scan()
            if wanted is None or not hasattr(layer, "brush_size"):
                return False
            info = layer_info(layer)
            return (
                tuple(layer.data.shape) == wanted.scan_shape
                and info.get("name") not in ("prediction", *LOCKED)
                and info.get("signature", wanted.signature) in ("", wanted.signature)
            )

        super().__init__(viewer, accept, "no labels layer yet")

    def labels(self) -> Labels | None:
        """Return the chosen labels layer."""
        return self.layer()


class DeviceChoice(QComboBox):
    """Choose where to compute: ``auto``, ``cpu`` or one of the GPUs."""

    _found = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(
            "Where to compute. auto: the first CUDA GPU if there is one, else the CPU.\n"
            "The default is in File > Preferences."
        )
        self._asked = False
        self._found.connect(self._add)
        self.addItems(["auto", "cpu"])
        self.choose(str(preference("device")))

    def choose(self, device: str) -> None:
        """Choose `device`, adding it if it is not in the list yet."""
        if self.findText(device) < 0:
            self.addItem(device)
        self.setCurrentText(device)

    def showPopup(self) -> None:
        """Look for GPUs when the list is opened, on a thread: asking means importing torch."""
        if not self._asked:
            self._asked = True
            threading.Thread(target=self._look, name="ferro4d devices", daemon=True).start()
        super().showPopup()

    def _look(self) -> None:
        names = _devices()
        with contextlib.suppress(RuntimeError):  # the dock was closed meanwhile
            self._found.emit(names)

    def _add(self, names: list[str]) -> None:
        for name in names:
            if self.findText(name) < 0:
                self.addItem(name)


def _devices() -> list[str]:
    from napari_ferro4d.learn import devices

    try:
        return devices()
    except ScanError:  # no torch: the Train button says so
        return []


def form() -> QFormLayout:
    """Return a compact form layout: labels on the left, fields that fill the rest."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def enable(widget: QWidget, why_not: str | None, tip: str) -> None:
    """Enable a button, or disable it with a tooltip that says why."""
    widget.setEnabled(why_not is None)
    widget.setToolTip(tip if why_not is None else why_not)


def hint(text: str) -> QLabel:
    """Return a small grey line of explanation."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet("color: #808891;")  # read as well in the light theme as in the dark one
    return label
