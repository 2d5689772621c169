"""Panel "Maps": what the model knows beside the prediction, as layers for those who want them.

Adding a layer takes napari 0.2 s, so that none is added before somebody ticks it. What is ticked
follows every new prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.results import (
    MapResult,
    classification_results,
    confidence_result,
    mixture_result,
)
from napari_ferro4d.viewer.layers import (
    KEY,
    LayerData,
    Origin,
    add_layers,
    find_layer,
    is_ours,
    layer_info,
    made,
    map_layers,
    remove_layers,
)
from napari_ferro4d.viewer.widgets import hint

from .shown_result import ShownResult

_ROLE = Qt.ItemDataRole.UserRole
_ROWS = 7  # at most seen at once
_PURE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

CONFIDENCE, NOVELTY, MIXTURE, RGB = "confidence", "novelty", "mixture", "rgb"

_SAID = {
    CONFIDENCE: ("confidence", "Probability of the class predicted."),
    NOVELTY: (
        "unlike what is labelled",
        "Distance to the labelled patterns; above 1 it is unlike any of them: label some there.",
    ),
    MIXTURE: ("classes in their colours", "Every class adds its colour, as far as it is probable."),
    RGB: (
        "three classes in red, green, blue",
        "Probabilities of three classes as the three colours, as in Hardy et al. (2025), Fig. 5.",
    ),
}


class MapsPanel(QWidget):
    """Ticks that add maps of the present classification as layers, or remove them.

    Parameters
    ----------
    viewer : napari.Viewer
        Where to.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: ShownResult | None = None
        self._busy = False
        self.list = QListWidget()
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # On napari's dark theme the frame of an empty box is not seen.
        self.list.setStyleSheet("QListView::indicator:unchecked { border: 1px solid #808891; }")
        self.list.itemChanged.connect(self._on_ticked)
        self.boxes = [QComboBox() for _ in _PURE]
        self._choice = QWidget()
        row = QHBoxLayout(self._choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for colour, box in zip(("R", "G", "B"), self.boxes, strict=True):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.setToolTip("Class that is shown in this colour.")
            box.currentIndexChanged.connect(self._on_chosen)
            row.addWidget(QLabel(colour))
            row.addWidget(box, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self._choice)
        column.addWidget(hint("They lie below the prediction; hide that to see them."))
        viewer.layers.events.removed.connect(self._on_removed)
        self.show_result(None)

    @property
    def ticked(self) -> list[str]:
        """Keys of the maps that are shown as layers."""
        return [self._key(i) for i in range(self.list.count()) if self._is_on(i)]

    def end(self) -> None:
        """Stop following the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def tick(self, key: str, on: bool = True) -> None:
        """Tick a map, as a click does."""
        for index in range(self.list.count()):
            if self._key(index) == key:
                self._item(index).setCheckState(
                    Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
                )

    def show_result(self, shown: ShownResult | None) -> None:
        """Offer the maps of a classification, and show the new ones where they are ticked."""
        before, ticked, self._shown = self._shown, self.ticked, shown
        kept = self._there()
        if before and shown and before.scan.signature == shown.scan.signature:
            # A class that has another name by now has no layer of that name yet.
            renamed = {n for n, name in shown.names.items() if before.names.get(n) != name}
            kept |= {key for n in renamed if (key := f"probability {n}") in ticked}
        with self._quiet():
            self._fill(kept)
            self._add(self.ticked)
            self._drop_old()

    def _there(self) -> set[str]:
        """Return the keys of maps that are layers: of the scan chosen before, of a closed dock."""
        if self._shown is None:
            return set()
        keys = [*_SAID, *(f"probability {number}" for number in self._shown.names)]
        layers = {key: self._layer(key) for key in keys}
        return {key for key, layer in layers.items() if layer is not None and is_ours(layer)}

    def _drop_old(self) -> None:
        """Remove maps of classes, or of a kind, that the present classification has not."""
        if self._shown is None:
            return
        signature, names = self._shown.scan.signature, set(self._shown.names.values())
        known = self._shown.result.novelty is not None

        def old(layer: Any) -> bool:
            info = layer_info(layer)
            if info.get("signature") != signature or not is_ours(layer):
                return False
            if info.get("name") == "probability":
                return info.get("channel") not in names
            return info.get("name") == NOVELTY and not known

        remove_layers(self._viewer, [layer for layer in self._viewer.layers if old(layer)])

    def _fill(self, kept: set[str]) -> None:
        names = {} if self._shown is None else self._shown.names
        known = self._shown is not None and self._shown.result.novelty is not None
        said = {
            f"probability {n}": (f"probability of {name}", "Probability of this class.")
            for n, name in names.items()
        }
        self.list.clear()
        for key, (text, tip) in {**_SAID, **said}.items():
            item = QListWidgetItem(text)
            item.setData(_ROLE, key)
            item.setToolTip(tip)
            missing = self._shown is None or (key == NOVELTY and not known)
            on = key in kept and not missing
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            if missing:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.list.addItem(item)
        self._fit()
        for position, box in enumerate(self.boxes):
            before, offered = box.currentData(), box.count() > position + 1
            box.clear()
            box.addItem("none", 0)
            for number, name in names.items():
                box.addItem(name, number)
            # "none" is the user's wish only where there was a class to show instead.
            at = box.findData(before) if before or offered else position + 1
            box.setCurrentIndex(at if 0 <= at < box.count() else 0)
        self._choice.setVisible(RGB in kept)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the height of the rows in napari's style, which is in force only now."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        rows = min(self.list.count(), _ROWS)
        height = rows * self.list.sizeHintForRow(0) + 2 * self.list.frameWidth() + 8
        self.list.setFixedHeight(height)

    def _on_ticked(self, item: QListWidgetItem) -> None:
        if self._busy or self._shown is None:
            return
        key = item.data(_ROLE)
        self._choice.setVisible(RGB in self.ticked)
        with self._quiet():
            if key in self.ticked:
                self._add([key])
            elif (layer := self._layer(key)) is not None:
                remove_layers(self._viewer, [layer])

    def _on_chosen(self, index: int) -> None:
        if not self._busy and RGB in self.ticked:
            self._add([RGB])

    def _on_removed(self, event: Any = None) -> None:
        """Take the tick off a map whose layer the user removed."""
        if self._busy or self._shown is None:
            return
        with self._quiet():
            for index in range(self.list.count()):
                if self._is_on(index) and self._layer(self._key(index)) is None:
                    self._item(index).setCheckState(Qt.CheckState.Unchecked)
            self._choice.setVisible(RGB in self.ticked)

    def _add(self, keys: list[str]) -> None:
        """Show maps as layers, or the new values in the layers that there are."""
        shown = self._shown
        if shown is None or not keys:
            return
        results = {one.name: one for one in self._results()}
        layers: list[LayerData] = []
        maps: list[MapResult] = []
        numbers = {int(key.split()[1]) for key in keys if key.startswith("probability ")}
        if numbers:
            channels = {shown.names[n] for n in numbers}
            stack = results["probability"]
            planes = map_layers(Origin.of(shown.scan), stack)
            layers += [one for one in planes if one[1]["metadata"][KEY]["channel"] in channels]
            maps.append(stack)
        for name in (CONFIDENCE, NOVELTY, MIXTURE, RGB):
            if name in keys and name in results:
                layers += map_layers(Origin.of(shown.scan), results[name])
                maps.append(results[name])
        for _, keywords, _ in layers:
            keywords["visible"] = True
        add_layers(self._viewer, layers, made(shown.note, maps))

    def _results(self) -> list[MapResult]:
        """Return all maps there are."""
        assert self._shown is not None
        shown, chosen = self._shown, {}
        for box, pure in zip(self.boxes, _PURE, strict=True):
            chosen[int(box.currentData() or 0)] = pure
        result, scan = shown.result, shown.scan
        maps, _ = classification_results(result, scan, None, shown.names, shown.colours)
        return [
            *maps,
            confidence_result(result, scan),
            mixture_result(result, scan, MIXTURE, shown.colours),
            mixture_result(result, scan, RGB, chosen),
        ]

    def _layer(self, key: str) -> Any:
        assert self._shown is not None
        signature = self._shown.scan.signature
        name, _, number = key.partition(" ")
        channel = self._shown.names.get(int(number)) if number else None
        return find_layer(self._viewer, signature, name, channel)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Change ticks and layers without following that."""
        before, self._busy = self._busy, True
        yield
        self._busy = before

    def _item(self, index: int) -> QListWidgetItem:
        item = self.list.item(index)
        assert item is not None
        return item

    def _key(self, index: int) -> str:
        return str(self._item(index).data(_ROLE))

    def _is_on(self, index: int) -> bool:
        return self._item(index).checkState() == Qt.CheckState.Checked
