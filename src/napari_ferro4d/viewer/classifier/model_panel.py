"""The present model: what it is, to load and save it, and to predict scans with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_ferro4d.learn import CLASSIFIERS, Model
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import scans_in, shown_name
from napari_ferro4d.viewer.widgets import ask_and_load, ask_and_save, enable, hint

from .apply_dialog import ApplyDialog
from .labels_to_learn import misfit

if TYPE_CHECKING:
    from napari.layers import Labels


class ModelPanel(QWidget):
    """Buttons around a model, and a line on it.

    Parameters
    ----------
    viewer : napari.Viewer
        With the scans.
    chosen : callable
        Returns the scan that is worked on.
    """

    wanted = Signal(object)
    """Scans that the user wants to have predicted."""

    changed = Signal()
    """There is another model."""

    said = Signal(str)
    """What came of it, to be shown where the user looks."""

    def __init__(self, viewer: Any, chosen: Callable[[], Scan | None]) -> None:
        super().__init__()
        self._viewer, self._chosen = viewer, chosen
        self._layer: Labels | None = None
        self.model: Model | None = None
        self.name = ""
        self.loads = 0
        """How often the user has loaded one."""
        self.about = hint("No model yet: train one, or load one.")
        self.predict_button = QPushButton("Predict")
        self.apply_button = QPushButton("Apply to...")
        self.load_button = QPushButton("Load...")
        self.save_button = QPushButton("Save...")
        self.applied = hint("")
        self.applied.hide()
        buttons = QGridLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.predict_button, 0, 0)
        buttons.addWidget(self.apply_button, 0, 1)
        buttons.addWidget(self.load_button, 1, 0)
        buttons.addWidget(self.save_button, 1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.about)
        column.addLayout(buttons)
        column.addWidget(self.applied)
        self.predict_button.clicked.connect(self._on_predict)
        self.apply_button.clicked.connect(self._on_apply)
        self.load_button.clicked.connect(self._on_load)
        self.save_button.clicked.connect(self._on_save)

    def set_model(self, model: Model, name: str) -> None:
        """Use `model`, called `name`, for predictions; say so if it is of another version."""
        preset = model.header.get("preset")
        if preset not in CLASSIFIERS:
            self.said.emit(
                f"{name} was trained by another version of the plugin (its preset is {preset!r}, "
                f"not one of {', '.join(CLASSIFIERS)}): train it again from its labels."
            )
            return
        self.model, self.name = model, name
        self._describe()
        self.changed.emit()

    def load(self, model: Model, name: str) -> None:
        """Use a model that the user chose; what was learnt before does not take its place."""
        self.loads += 1
        self.set_model(model, name)

    def set_labels(self, layer: Labels | None) -> None:
        """Compare the classes of the model with those of another labels layer."""
        self._layer = layer
        self._describe()

    def classes(self) -> list[str]:
        """Return the names of the model's classes, in its order."""
        return [] if self.model is None else list(_names(self.model).values())

    def other_scans(self) -> list[Scan]:
        """Return the scans in the viewer that are not chosen."""
        return [scan for _, scan in scans_in(self._viewer) if scan is not self._chosen()]

    def refresh(self, busy: str | None, why: str | None) -> None:
        """Enable what can be done now; `busy` and `why` say what can not."""
        none = None if self.model is not None else "Train a model first, or load one."
        others = None if self.other_scans() else "Open another scan first."
        enable(
            self.predict_button,
            why or none,
            "Predict this scan with this model, without training.",
        )
        enable(
            self.apply_button,
            why or none or others,
            "Predict other scans in the viewer with this model.",
        )
        enable(self.load_button, busy, "Load a model trained before, also on another scan.")
        enable(self.save_button, busy or none, "Save the model as .safetensors.")

    def show_applied(self, lines: list[str]) -> None:
        """Show what came of each of several scans."""
        self.applied.setVisible(len(lines) > 1)
        self.applied.setText("\n".join(lines))

    def _describe(self) -> None:
        if self.model is not None:
            said = misfit(_names(self.model), self._layer)
            preset, classes = self.model.header["preset"], ", ".join(self.classes())
            self.about.setText(f"{self.name}: {preset}; {classes}. {said}".strip())

    def _on_predict(self) -> None:
        scan = self._chosen()
        if scan is not None:
            self.wanted.emit([scan])

    def _on_apply(self) -> None:
        scans = self.other_scans()
        dialog = ApplyDialog(self, self.name, [shown_name(scan) for scan in scans])
        if dialog.exec():
            self.wanted.emit([scans[i] for i in dialog.chosen])

    def _on_load(self) -> None:
        found = ask_and_load(self, "classifier")
        if found is not None:
            self.load(*found)

    def _on_save(self) -> None:
        if self.model is not None:
            name = ask_and_save(self, self.model, self.name)
            if name:
                self.said.emit(f"Saved {name}.")


def _names(model: Model) -> dict[int, str]:
    names = model.header.get("class_names", {})
    return {int(n): names.get(str(n), f"class {n}") for n in model.header.get("classes", ())}
