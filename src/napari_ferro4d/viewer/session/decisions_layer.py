"""What a user paints on a prediction is kept apart, as decisions that no new prediction overwrites.

The prediction is an ordinary labels layer. The machine's own prediction stays beside it in the
layer's metadata, and the difference is written to a labels layer that users know as
"<scan> corrections", a moment after every change. Both `paint` and `set_data` are listened to:
undo and redo emit only the latter.

One prediction layer per scan feeds the one layer of decisions: the newest. An earlier one stays, to
compare with, and a second layer of decisions becomes a labels layer like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ferro4d.results import LabelResult
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    EARLIER_PREDICTION,
    KEY,
    LOCKED,
    PROPOSED,
    TRUTH,
    Origin,
    add_layers,
    classes_of,
    colours_of,
    find_layer,
    label_layer,
    layer_info,
    renote,
)

from . import label_merging

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

_QUIET_MS = 150
"""How long nothing has to change before the difference is taken: less than a user notices."""

_DISPLAY = ("visible", "opacity", "contour", "blending", "brush_size", "selected_label", "mode")


class Decisions(QObject):
    """Watch the prediction layers of one viewer."""

    recorded = Signal()
    """The decisions on some prediction changed."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._changed: set[Labels] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
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
        data = label_merging.shown(machine, decided)
        result = LabelResult(
            prediction.name, data, prediction.scan_step, prediction.classes, prediction.colours
        )
        made = label_layer(Origin.of(scan), result)
        made[1]["metadata"][KEY].update(machine=machine, decided=decided)
        if note is not None:
            made[1]["metadata"][KEY]["provenance"] = [dict(note)]
        old = find_layer(self._viewer, scan.signature, prediction.name)
        if old is None:
            return add_layers(self._viewer, [made])[0]
        return self._exchange(old, made)

    def flush(self) -> None:
        """Write the decisions on all changed predictions to their layers now."""
        changed, self._changed = self._changed, set()
        for layer in changed:
            if layer in self._viewer.layers:
                _fall_back(layer)
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
        if hasattr(layer, "brush_size"):  # labels layers only
            if layer_info(layer).get("name") == "prediction":
                self._watch_prediction(layer)
            elif layer_info(layer).get("name") == "corrections":
                self._watch_decisions(layer)
            elif layer_info(layer).get("name") in (TRUTH, PROPOSED):
                _lock(layer)

    def _watch_prediction(self, layer: Labels) -> None:
        if "machine" not in layer_info(layer):
            # A prediction from a results folder: what it shows now is where decisions start.
            machine = np.array(layer.data)
            renote(layer, machine=machine, decided=np.zeros_like(machine))
            kept = find_layer(self._viewer, layer_info(layer).get("signature", ""), "corrections")
            if kept is not None:
                self._show_on(layer, kept.data)
        self._retire_others(layer)

        def changed(event: Any = None) -> None:
            if layer_info(layer).get("name") == "prediction":
                self._changed.add(layer)
                self._timer.start(_QUIET_MS)

        layer.events.paint.connect(changed)
        layer.events.set_data.connect(changed)

    def _watch_decisions(self, layer: Labels) -> None:
        signature = layer_info(layer).get("signature", "")
        if len(self._with(signature, "corrections")) > 1:
            renote(layer, name=layer.name)
            return
        _lock(layer)
        for prediction in self._with(signature, "prediction"):
            if "machine" in layer_info(prediction):
                self._show_on(prediction, layer.data)

    def _retire_others(self, layer: Labels) -> None:
        """Let no prediction but `layer` take the decisions on its scan."""
        for other in self._with(layer_info(layer).get("signature", ""), "prediction"):
            if other is not layer:
                # What was painted there a moment ago may not be recorded yet.
                if "machine" in layer_info(other):
                    self._show_on(layer, _decisions(other))
                renote(other, name=EARLIER_PREDICTION)
                _lock(other)
                self._changed.discard(other)
                self._changed.add(layer)
                self._timer.start(_QUIET_MS)
                show_info(
                    f"Corrections are now painted on {layer.name!r}, which shows those made so "
                    f"far; {other.name!r} stays as it is, to compare with."
                )

    def _with(self, signature: str, name: str) -> list[Labels]:
        return [
            layer
            for layer in self._viewer.layers
            if hasattr(layer, "brush_size")
            and layer_info(layer).get("name") == name
            and layer_info(layer).get("signature", "") == signature
        ]

    def _show_on(self, layer: Labels, decided: np.ndarray) -> None:
        """Show decisions made elsewhere on a prediction; what was painted on it stays painted."""
        info = layer_info(layer)
        machine, before = info["machine"], np.asarray(info["decided"])
        if decided.shape != machine.shape:
            return
        painted = layer.data != label_merging.shown(machine, before)
        after = label_merging.shown(before, np.array(decided))
        data = np.where(painted, layer.data, label_merging.shown(machine, after))
        if not np.array_equal(label_merging.decisions(data, machine, after), _decisions(layer)):
            renote(layer, decided=after)
            layer.data = data

    def _record(self, layer: Labels) -> None:
        info = layer_info(layer)
        if layer.data.shape != info["machine"].shape:
            return
        decided = _decisions(layer)
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
        add_layers(self._viewer, [made])
        # Selection stays where the user paints.
        self._viewer.layers.selection.active = layer


def _decisions(layer: Labels) -> np.ndarray:
    """Return the decisions that a prediction layer shows now."""
    info = layer_info(layer)
    if layer.data.shape != info["machine"].shape:  # somebody exchanged its data
        return np.asarray(info["decided"])
    return label_merging.decisions(np.asarray(layer.data), info["machine"], info["decided"])


def _fall_back(layer: Labels) -> None:
    """Show the machine's class again where the user erased: the decision there is taken back.

    Written past the undo history, which knows what was erased and puts it back as a decision.
    """
    info = layer_info(layer)
    if layer.data.shape != info["machine"].shape:
        return
    erased = (np.asarray(layer.data) == 0) & (info["machine"] > 0)
    if erased.any():
        renote(layer, decided=np.where(erased, np.zeros_like(info["decided"]), info["decided"]))
        layer.data[erased] = info["machine"][erased]
        layer.refresh()


def _lock(layer: Labels) -> None:
    """Keep a labels layer from being painted: it is derived, and nothing would come of it."""

    def lock(event: Any = None) -> None:
        # napari makes layers editable again when it switches between two and three dimensions.
        if layer_info(layer).get("name") in LOCKED and layer.editable:
            layer.editable = False

    layer.events.editable.connect(lock)
    lock()
