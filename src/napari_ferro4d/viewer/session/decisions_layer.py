"""What a user paints on a prediction is kept apart, as decisions that no new prediction overwrites.

The prediction is an ordinary labels layer. The machine's own prediction stays beside it in the
layer's metadata, and the difference is written to a labels layer that users know as
"<scan> corrections", a moment after every change. Both `paint` and `set_data` are listened to:
undo and redo emit only the latter. A newer prediction goes into the same layer, under the hands of
whoever paints on it, but never in the middle of a stroke.

One prediction layer per scan feeds the one layer of decisions: the newest. An earlier one stays, to
compare with, and a second layer of decisions becomes a labels layer like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    set_class_style,
)

from . import label_merging
from .decision_history import DecisionHistory

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

RECORDED_MS = 150
"""How long nothing has to change before the difference is taken: less than a user notices."""


class Decisions(QObject):
    """Watch the prediction layers of one viewer."""

    recorded = Signal()
    """The decisions on some prediction changed."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._histories: dict[Labels, DecisionHistory] = {}
        self._changed: set[Labels] = set()
        self._waiting: dict[Labels, tuple[LabelResult, Mapping[str, Any] | None]] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
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
        """Show a new prediction, with the user's decisions on top of it; return its layer.

        An earlier one is replaced in its layer: how that is displayed, whether it is painted on,
        and the undo history of the strokes stay. `note` is its provenance.
        """
        decided = self.decided(scan)
        old = find_layer(self._viewer, scan.signature, prediction.name)
        if old is not None and old in self._histories and old.data.shape == prediction.data.shape:
            self._waiting[old] = (prediction, note)
            self._show_waiting(old)
            return old
        machine = prediction.data
        if decided is None:
            decided = np.zeros_like(machine)
        result = replace(prediction, data=label_merging.shown(machine, decided))
        made = label_layer(Origin.of(scan), result)
        made[1]["metadata"][KEY].update(machine=machine, decided=decided)
        if note is not None:
            made[1]["metadata"][KEY]["provenance"] = [dict(note)]
        return add_layers(self._viewer, [made])[0]

    def flush(self) -> None:
        """Write the decisions on all changed predictions to their layers now."""
        changed, self._changed = self._changed, set()
        for layer in changed:
            if layer in self._histories:
                self._record(layer)
        for layer in list(self._waiting):
            self._show_waiting(layer)
        if changed:
            self.recorded.emit()

    def _show_waiting(self, layer: Labels) -> None:
        """Show the newest prediction of a layer, unless the user is half-way through a stroke."""
        history = self._histories[layer]
        if history.in_stroke:
            self._timer.start(RECORDED_MS)
            return
        prediction, note = self._waiting.pop(layer)
        history.predict(prediction.data)
        _restyle(layer, prediction, history.decided)
        changes: dict[str, Any] = {} if note is None else {"provenance": [dict(note)]}
        if prediction.directions:
            changes["directions"] = dict(prediction.directions)
        renote(layer, machine=history.machine, decided=history.decided, **changes)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _on_removed(self, event: Any) -> None:
        for kept in (self._histories, self._waiting):
            kept.pop(event.value, None)

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
        info = layer_info(layer)
        self._histories[layer] = DecisionHistory(layer, info["machine"], info["decided"])
        kept = find_layer(self._viewer, info.get("signature", ""), "corrections")
        if kept is not None:
            self._histories[layer].merge(np.array(kept.data))
        self._retire_others(layer)

        def changed(item: Any = None) -> None:
            if layer in self._histories and layer_info(layer).get("name") == "prediction":
                self._histories[layer].follow(item)
                self._changed.add(layer)
                self._timer.start(RECORDED_MS)

        layer.events.paint.connect(lambda event: changed(event.value))
        layer.events.set_data.connect(lambda event: changed())

    def _watch_decisions(self, layer: Labels) -> None:
        signature = layer_info(layer).get("signature", "")
        if len(self._with(signature, "corrections")) > 1:
            renote(layer, name=layer.name)
            return
        _lock(layer)
        for prediction in self._with(signature, "prediction"):
            if prediction in self._histories:
                self._histories[prediction].merge(np.array(layer.data))

    def _retire_others(self, layer: Labels) -> None:
        """Let no prediction but `layer` take the decisions on its scan."""
        for other in self._with(layer_info(layer).get("signature", ""), "prediction"):
            if other is not layer:
                # What was painted there a moment ago may not be recorded yet.
                if other in self._histories:
                    self._histories[layer].merge(self._histories.pop(other).decided)
                self._waiting.pop(other, None)
                renote(other, name=EARLIER_PREDICTION)
                _lock(other)
                self._changed.discard(other)
                self._changed.add(layer)
                self._timer.start(RECORDED_MS)
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

    def _record(self, layer: Labels) -> None:
        info, history = layer_info(layer), self._histories[layer]
        if layer.data.shape != history.machine.shape:
            return
        if not history.in_stroke:
            history.write()  # the machine's class again where the user erased
        decided = history.decided
        renote(layer, decided=decided)
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


def _restyle(layer: Labels, prediction: LabelResult, decided: np.ndarray) -> None:
    """Give a prediction layer the classes of a new prediction, and keep those decided on it."""
    kept = {int(n) for n in np.unique(decided)}
    before = {n: name for n, name in classes_of(layer).items() if n in kept}
    classes = {**before, **prediction.classes}
    known = colours_of(layer.colormap, sorted(classes))
    colours = {**known, **prediction.colours}
    if classes != classes_of(layer) or colours != known:
        set_class_style(layer, classes, colours)


def _lock(layer: Labels) -> None:
    """Keep a labels layer from being painted: it is derived, and nothing would come of it."""

    def lock(event: Any = None) -> None:
        # napari makes layers editable again when it switches between two and three dimensions.
        if layer_info(layer).get("name") in LOCKED and layer.editable:
            layer.editable = False

    layer.events.editable.connect(lock)
    lock()
