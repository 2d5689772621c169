"""Choices that the dock widgets share: of layers, following the layer list, and of a device."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget
from superqt.utils import ensure_main_thread, signals_blocked

from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn import Worker, devices
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import LOCKED, corrections_text, layer_info, scan_of
from napari_ferro4d.viewer.session import preference, unwrapped

if TYPE_CHECKING:
    from napari.layers import Labels, Layer


class LayerChoice(ComboBox):
    """Choose one of the layers that `accept`; follows layers added, removed and renamed.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers to choose from.
    accept : callable
        Returns whether a layer is among the choices.
    nothing : str
        What the box says while there is no such layer.
    optional : bool
        Whether no layer may be chosen though there are some, as at first.
    """

    def __init__(
        self,
        viewer: Any,
        accept: Callable[[Layer], bool],
        nothing: str,
        label: str,
        optional: bool = False,
    ) -> None:
        self._viewer = unwrapped(viewer)
        self._accept = accept
        self._nothing = nothing
        self._optional = optional
        self.null_string = nothing
        super().__init__(choices=self._offered, label=label, nullable=optional)
        # A long file name may not make the dock wide.
        narrow(self.native)
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.connect(self.reset_choices)
        self.changed.connect(self._describe)
        self._describe()

    def layer(self) -> Layer | None:
        """Return the chosen layer."""
        return self.value

    def choose(self, layer: Layer) -> None:
        """Choose `layer`, if it is among the choices."""
        self.reset_choices()
        if layer in self.choices:
            self.value = layer

    def reset_choices(self, *_: Any) -> None:
        """Read the layer list again; the choice stays where it can."""
        offered, box = self._offered(), self.native
        if self._optional:  # magicgui adds it by itself
            offered = [(self._nothing, None), *offered]
        if offered == [(box.itemText(n), box.itemData(n)) for n in range(box.count())]:
            return
        before = self.value
        with self.changed.blocked(), signals_blocked(box):
            box.clear()
            super().reset_choices()
            # A new choice is likelier meant than the oldest one when the chosen layer went away.
            other = None if self._optional else self.choices[-1]
            self.value = before if before in self.choices else other
        self.enabled = any(layer is not None for _, layer in offered)
        try:
            self.changed.emit(self.value)
        except Exception as error:
            # It would end what napari does with its layers. As in a slot of Qt, it is told; what
            # went wrong is its cause, the signal only wraps that.
            cause = error.__cause__ or error
            sys.excepthook(type(cause), cause, cause.__traceback__)

    def _offered(self, widget: Any = None) -> list[tuple[str, Layer | None]]:
        layers = [layer for layer in self._viewer.layers if self._accept(layer)]
        offered: list[tuple[str, Layer | None]] = [(layer.name, layer) for layer in layers]
        return offered if layers or self._optional else [(self._nothing, None)]

    def _describe(self) -> None:
        self.tooltip = self.current_choice


class ScanChoice(LayerChoice):
    """Choose one of the 4D-STEM scans in the viewer."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(
            viewer, lambda layer: scan_of(layer) is not None, "no scan opened yet", "Scan"
        )

    def scan(self) -> Scan | None:
        """Return the chosen scan."""
        layer = self.layer()
        return None if layer is None else scan_of(layer)

    def _describe(self) -> None:
        scan = self.scan()
        said = "" if scan is None or scan.correction is None else f": {corrections_text(scan)}"
        self.tooltip = f"{self.current_choice}{said}"


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

        super().__init__(viewer, accept, "no labels layer yet", "Labels")

    def labels(self) -> Labels | None:
        """Return the chosen labels layer."""
        return self.layer()


def present_devices() -> list[str]:
    """Return the devices of this machine; another process asks torch."""
    try:
        with Worker() as worker:
            return worker.run(devices)
    except ScanError:  # no torch: the Train button says so
        return []


class DeviceChoice(ComboBox):
    """Choose where to compute: ``auto``, ``cpu`` or one of the GPUs.

    Parameters
    ----------
    look : callable
        Returns the names of what there is, on a thread.
    """

    def __init__(self, look: Callable[[], list[str]] = present_devices, **keywords: Any) -> None:
        self._known = ["auto", "cpu"]
        self._present = look
        super().__init__(
            choices=lambda box: self._known,
            label="Device",
            tooltip="Where to compute. auto: the first CUDA GPU if there is one, else the CPU.\n"
            "The default is in File > Preferences.",
            **keywords,
        )
        self.choose(str(preference("device")))
        # Only when the list is opened, for asking takes another process a while.
        self._opening = _FirstShow(self.native.view(), self._look)

    def choose(self, device: str) -> None:
        """Choose `device`, adding it if it is not in the list yet."""
        self._add([device])
        self.value = device

    def _look(self) -> None:
        threading.Thread(
            target=lambda: self._found(self._present()), name="ferro4d devices", daemon=True
        ).start()

    @ensure_main_thread
    def _found(self, names: list[str]) -> None:
        with contextlib.suppress(RuntimeError):  # the dock was closed meanwhile
            self._add(names)

    def _add(self, names: list[str]) -> None:
        self._known += [name for name in names if name not in self._known]
        self.reset_choices()


class _FirstShow(QObject):
    """Calls something the first time that a widget is shown."""

    def __init__(self, widget: QWidget, call: Callable[[], None]) -> None:
        super().__init__(widget)
        self._call = call
        widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """See `QObject`."""
        if event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            self._call()
        return False


def narrow(box: QComboBox) -> QComboBox:
    """Let a box be as narrow as its dock, whatever it offers."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box


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
