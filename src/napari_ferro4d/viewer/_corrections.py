"""What a user paints on a prediction is kept apart, as decisions that no new prediction overwrites.

The prediction is an ordinary labels layer. The machine's own prediction stays beside it in the
layer's metadata, and the difference is written to a labels layer "<scan> corrections", a moment
after every change. Both `paint` and `set_data` are listened to: undo and redo emit only the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ferro4d.io import LabelResult
from napari_ferro4d.scan import Scan

from . import _merge
from ._classes import classes_of, colours_of
from ._layers import KEY, Origin, add_layers, find_layer, label_layer, layer_info

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["Corrections"]

_QUIET_MS = 150
"""How long nothing has to change before the difference is taken: less than a user notices."""

_DISPLAY = ("visible", "opacity", "contour", "blending", "brush_size", "selected_label", "mode")


class Corrections(QObject):
    """Watch the prediction layers of one viewer."""

    recorded = Signal()
    """The decisions on some prediction changed."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._changed: set[Labels] = set()
        self._timer = QTimer(self, singleShot=True, interval=_QUIET_MS)
        self._timer.timeout.connect(self.flush)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def decided(self, scan: Scan) -> np.ndarray | None:
        """Return the user's decisions ``[y, x]`` on `scan`; None before the first."""
        self.flush()
        layer = find_layer(self._viewer, scan.signature, "corrections")
        if layer is None or layer.data.shape != scan.scan_shape or not np.any(layer.data):
            return None
        return np.array(layer.data)

    def any(self, scan: Scan) -> bool:
        """Return whether there are decisions on `scan`, as last recorded."""
        layer = find_layer(self._viewer, scan.signature, "corrections")
        return layer is not None and bool(np.any(layer.data))

    def show(
        self, scan: Scan, prediction: LabelResult, note: Mapping[str, Any] | None = None
    ) -> Labels:
        """Show a new prediction, with the user's decisions on top of it.

        The layer is exchanged for a new one: the undo history of the old one would put back pixels
        of the old prediction. How it is displayed, and its place, stay. `note` is its provenance.
        """
        decided = self.decided(scan)
        machine = prediction.data
        if decided is None:
            decided = np.zeros_like(machine)
        data = _merge.shown(machine, decided)
        result = LabelResult(
            prediction.name, data, prediction.scan_step, prediction.classes, prediction.colours
        )
        made = label_layer(Origin.of(scan), result)
        made[1]["metadata"][KEY].update(machine=machine, decided=decided)
        if note is not None:
            made[1]["metadata"][KEY]["provenance"] = dict(note)
        old = find_layer(self._viewer, scan.signature, prediction.name)
        if old is None:
            return add_layers(self._viewer, [made])[0]
        return self._exchange(old, made)

    def flush(self) -> None:
        """Write the decisions of all changed predictions to their corrections layers now."""
        changed, self._changed = self._changed, set()
        for layer in changed:
            if layer in self._viewer.layers:
                self._record(layer)
        if changed:
            self.recorded.emit()

    def _exchange(self, old: Labels, made: tuple[Any, dict[str, Any], str]) -> Labels:
        from napari.layers import Layer

        display = {name: getattr(old, name) for name in _DISPLAY}
        layers = self._viewer.layers
        place, name, active = layers.index(old), old.name, layers.selection.active is old
        layers.remove(old)
        new = Layer.create(made[0], {**made[1], "name": name}, made[2])
        layers.insert(place, new)
        for key, value in display.items():
            setattr(new, key, value)
        if active:
            layers.selection.active = new
        return new

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _watch(self, layer: Any) -> None:
        info = layer_info(layer)
        if info.get("name") != "prediction" or not hasattr(layer, "brush_size"):
            return
        if "machine" not in info:
            # A prediction from a results folder: what it shows now is where corrections start.
            kept = find_layer(self._viewer, info.get("signature", ""), "corrections")
            same = kept is not None and kept.data.shape == layer.data.shape
            decided = np.array(kept.data) if same else np.zeros_like(layer.data)
            note = {**info, "machine": np.array(layer.data), "decided": decided}
            layer.metadata = {**layer.metadata, KEY: note}

        def changed(event: Any = None) -> None:
            self._changed.add(layer)
            self._timer.start()

        layer.events.paint.connect(changed)
        layer.events.set_data.connect(changed)

    def _record(self, layer: Labels) -> None:
        info = layer_info(layer)
        if layer.data.shape != info["machine"].shape:
            return
        decided = _merge.decisions(np.asarray(layer.data), info["machine"], info["decided"])
        kept = find_layer(self._viewer, info["signature"], "corrections")
        if kept is not None:
            if kept.data.shape != decided.shape or np.any(kept.data != decided):
                kept.data = decided
            return
        if not decided.any():
            return
        numbers = sorted({*classes_of(layer), *(int(n) for n in np.unique(decided))})
        step = None if str(layer.units[-1]) == "pixel" else tuple(layer.scale)
        result = LabelResult(
            "corrections", decided, None, classes_of(layer), colours_of(layer.colormap, numbers)
        )
        made = label_layer(Origin(info["scan"], info["signature"], step), result, visible=False)
        added = add_layers(self._viewer, [made])[0]
        # It is derived; painting happens on the prediction. Selection stays where the user paints.
        added.editable = False
        self._viewer.layers.selection.active = layer
