"""The embeddings in a viewer: all their channels, the layers that show some, their scan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox
from superqt.utils import signals_blocked

from napari_ferro4d.results import MapResult
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    KEY,
    Origin,
    insert_layer,
    layer_info,
    map_layers,
    renote,
    scans_in,
    with_steps_of_scans,
)
from napari_ferro4d.viewer.session import unwrapped
from napari_ferro4d.viewer.widgets import narrow

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


@dataclass(frozen=True, eq=False)
class ShownEmbedding:
    """An embedding of which the viewer shows at least one channel.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    whole : MapResult
        All channels ``[channel, y, x]``.
    origin : Origin
        The scan that it is of.
    """

    viewer: ViewerModel
    whole: MapResult
    origin: Origin

    @property
    def channels(self) -> np.ndarray:
        """All channels, float32 ``[channel, y, x]``."""
        return self.whole.data

    def name(self, channel: int) -> str:
        """Return the name of a channel."""
        return self.whole.channels[channel] if self.whole.channels else str(channel)

    def scan(self) -> Scan | None:
        """Return the scan, if the viewer has it."""
        for _, scan in scans_in(self.viewer):
            here = scan.signature == self.origin.signature
            if here and scan.scan_shape == self.channels.shape[1:]:
                return scan
        return None

    def layers(self) -> dict[int, Layer]:
        """Return the layers that show channels, by channel."""
        numbers = {self.name(number): number for number in range(len(self.channels))}
        return {
            numbers[info["channel"]]: layer
            for layer in self.viewer.layers
            if (info := layer_info(layer)).get("whole") is self.whole
        }

    def show(self, channel: int, visible: bool = True) -> None:
        """Show or hide the map of a channel; a layer is made of one that has none yet."""
        layers = self.layers()
        if channel in layers:
            layers[channel].visible = visible
        elif visible:
            self._add(channel, next(iter(layers.values()), None))

    def show_only(self, channel: int) -> None:
        """Show the map of a channel and hide those of the others: maps are opaque."""
        self.show(channel)
        for number, layer in self.layers().items():
            if layer.visible != (number == channel):
                layer.visible = number == channel

    def lift(self, layer: Layer) -> None:
        """Put a layer above the maps, which would hide it: napari adds those it opens on top."""
        layers = self.viewer.layers
        top = max((layers.index(one) for one in self.layers().values()), default=-1)
        if layers.index(layer) < top:
            layers.move(layers.index(layer), top + 1)

    def note(self, **notes: Any) -> None:
        """Keep something with the embedding, for as long as the viewer has it."""
        for layer in self.layers().values():
            renote(layer, **notes)

    def noted(self, name: str) -> Any:
        """Return what was kept under `name`, or None."""
        found = (layer_info(layer).get(name) for layer in self.layers().values())
        return next((one for one in found if one is not None), None)

    def model_digest(self) -> str | None:
        """Return the digest of the model that made the embedding, where its provenance tells."""
        for entry in reversed(self.noted("provenance") or ()):
            if entry.get("command") == "embed":
                said = entry.get("parameters", {})
                # The dock notes the model among its own parameters, the command as "trained".
                found = said.get("weights", said.get("trained", {}).get("weights"))
                return None if found is None else str(found)
        return None

    def _add(self, channel: int, like: Layer | None) -> None:
        whole = self.whole
        one = replace(whole, data=whole.data[[channel]], channels=(self.name(channel),), active=())
        layers = with_steps_of_scans(self.viewer, map_layers(self.origin, one))
        for data, keywords, kind in layers:
            same = {} if like is None else layer_info(like)
            notes = ("provenance", "reports", "gates", "ranges")
            kept = {key: same[key] for key in notes if key in same}
            keywords["metadata"][KEY].update(whole=whole, **kept)
            insert_layer(self.viewer, data, keywords, kind)


class EmbeddingChoice(QComboBox):
    """Choose one of the embeddings in the viewer."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = unwrapped(viewer)
        self._found: list[ShownEmbedding] = []
        narrow(self)
        # An embedding made anew goes into the layers of the old one, its notes after its data.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.refresh)
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed):
            event.connect(self._on_layers)
        self.currentIndexChanged.connect(self._on_index)
        # Not their ids, which Python gives to other layers once these are gone.
        self._watched: WeakSet[Layer] = WeakSet()
        self.refresh()

    def embedding(self) -> ShownEmbedding | None:
        """Return the chosen embedding."""
        index = self.currentIndex()
        return self._found[index] if 0 <= index < len(self._found) else None

    def end(self) -> None:
        """Follow the layers no longer."""
        self._later.stop()
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed):
            event.disconnect(self._on_layers)
        for one in self._found:
            for layer in one.layers().values():
                layer.events.data.disconnect(self._on_layers)
        self._found = []

    def refresh(self) -> None:
        """Look at the layers again; the choice stays where it can."""
        before = self.embedding()
        found: list[ShownEmbedding] = []
        for layer in self._viewer.layers:
            info = layer_info(layer)
            whole = info.get("whole")
            if info.get("name") != "embedding" or whole is None:
                continue
            if layer not in self._watched:
                self._watched.add(layer)
                layer.events.data.connect(self._on_layers)
            if not any(one.whole is whole for one in found):
                origin = Origin(info["scan"], info["signature"], whole.scan_step)
                found.append(ShownEmbedding(self._viewer, whole, origin))
        if [one.whole for one in found] == [one.whole for one in self._found] and self.count():
            return
        kept = [i for i, one in enumerate(found) if before and one.whole is before.whole]
        with signals_blocked(self):
            self._found = found
            self.clear()
            self.addItems(_titles(found) or ["no embedding yet"])
            self.setEnabled(bool(found))
            self.setCurrentIndex(kept[0] if kept else self.count() - 1)
        self._on_index()

    def _on_layers(self, event: Any = None) -> None:
        self._later.start()

    def _on_index(self, index: int = 0) -> None:
        self.setToolTip(self.currentText())
        self.changed.emit()


def _titles(found: list[ShownEmbedding]) -> list[str]:
    titles: list[str] = []
    for one in found:
        title = f"{one.origin.name}: {len(one.channels)} channels"
        titles.append(f"{title} ({titles.count(title) + 1})" if title in titles else title)
    return titles
