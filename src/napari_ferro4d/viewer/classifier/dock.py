"""Dock widget "Classifier": few painted positions in, a map of classes out, decisions back in."""

from __future__ import annotations

from typing import Any

import numpy as np
from magicgui.widgets import ComboBox
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_ferro4d.jobs import Report
from napari_ferro4d.learn import Classification, Model, Worker, classify
from napari_ferro4d.results import LabelResult, classification_results, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    Origin,
    add_layers,
    classes_of,
    colour_of,
    colours_of,
    find_layer,
    label_layer,
    made,
    map_layers,
)
from napari_ferro4d.viewer.session import training_labels
from napari_ferro4d.viewer.widgets import (
    DeviceChoice,
    Dock,
    LabelsChoice,
    Number,
    ask_and_load,
    ask_and_save,
    enable,
    hint,
    model_note,
    model_text,
    rows,
)

from .class_table import ClassTable


class ClassifierWidget(Dock):
    """Train a classifier from painted probe positions, predict the rest, learn from decisions.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    key = "classifier"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._model: Model | None = None
        self._model_name = ""
        # Kept between jobs: who corrects and retrains does not wait for torch each time.
        self._worker = Worker("classifier")
        self.labels = LabelsChoice(self.viewer, self.scans.scan)
        self.new_button = QPushButton("New labels layer")
        self.table = ClassTable()
        self.add_button = QPushButton("Add class")
        self._preset = ComboBox(
            label="Network",
            choices=["compact", "paper"],
            tooltip="compact: a small network that trains on a CPU.\n"
            "paper: the network of Hardy et al. (2025), for a GPU.",
        )
        self._neighbourhood = Number(
            label="Neighbours",
            nothing="none",
            suffix=" positions",
            max=10,
            tooltip="Average each pattern with those around it, up to this many positions away:\n"
            "less noise, but blurred walls.",
        )
        self._device = DeviceChoice()
        self.train_button = QPushButton("Train and predict")
        self.retrain_button = QPushButton("Retrain from corrections")
        self.predict_button = QPushButton("Predict")
        self.load_button = QPushButton("Load...")
        self.save_button = QPushButton("Save...")
        self._about = hint("No model yet: train one, or load one.")
        self._lay_out()
        self._connect()
        self.ready()
        self._on_labels()

    @property
    def model(self) -> Model | None:
        """The model trained or loaded last."""
        return self._model

    def set_model(self, model: Model, name: str) -> None:
        """Use `model`, called `name`, for predictions."""
        self._model, self._model_name = model, name
        self._about.setText(model_text(model, name))
        self.refresh()

    def _lay_out(self) -> None:
        self.column.addWidget(rows(self.scans, self.labels).native)
        self.column.addLayout(_row(self.new_button, self.add_button))
        self.column.addWidget(self.table)
        self.column.addWidget(rows(self._preset, self._neighbourhood, self._device).native)
        self.column.addLayout(_row(self.train_button, self.retrain_button))
        self.column.addWidget(self.row)
        self.column.addWidget(self._about)
        self.column.addLayout(_row(self.predict_button, self.load_button, self.save_button))

    def _connect(self) -> None:
        self.scans.changed.connect(self.labels.reset_choices)
        self.labels.changed.connect(self._on_labels)
        self.table.counted.connect(self.refresh)
        self.session.decisions.recorded.connect(self.refresh)
        self.new_button.clicked.connect(self.new_labels)
        self.add_button.clicked.connect(self.table.add_class)
        self.train_button.clicked.connect(self.train)
        self.retrain_button.clicked.connect(self.retrain)
        self.predict_button.clicked.connect(self.predict)
        self.load_button.clicked.connect(self._on_load)
        self.save_button.clicked.connect(self._on_save)
        self.closed.connect(self._worker.end)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "preset": self._preset.value,
            "neighbourhood": self._neighbourhood.value or 0,
            "device": self._device.value,
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self._preset.value = str(values["preset"])
        self._neighbourhood.value = int(values["neighbourhood"])
        self._device.choose(str(values["device"]))

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = self.why_not()
        busy = why if self.row.busy else None
        scan = self.scans.scan()
        no_model = None if self._model is not None else "Train a model first, or load one."
        enable(self.new_button, why, "Add a labels layer of the scan, ready to paint two classes.")
        no_layer = None if self.labels.layer() is not None else "Make a labels layer first."
        enable(self.add_button, why or no_layer, "Add a class to paint.")
        enable(self.train_button, why or self._too_few(), "Learn from the painted positions.")
        has = scan is not None and self.session.decisions.any(scan)
        undecided = None if has else "Paint over wrong places of the prediction first."
        enable(
            self.retrain_button,
            why or undecided,
            "Learn from the painted positions and from your corrections of the prediction.\n"
            "Corrected positions keep the class that you gave them.",
        )
        enable(self.predict_button, why or no_model, "Predict with this model, without training.")
        enable(self.load_button, busy, "Load a model trained before, also on another scan.")
        enable(self.save_button, busy or no_model, "Save the model as .safetensors.")

    def new_labels(self) -> None:
        """Add a labels layer with two classes to the scan and get ready to paint."""
        scan = self.scans.scan()
        if scan is None:
            return
        result = LabelResult(
            "labels",
            np.zeros(scan.scan_shape, np.uint8),
            classes={1: "domain 1", 2: "domain 2"},
            colours={1: colour_of(1), 2: colour_of(2)},
        )
        made = label_layer(Origin.of(scan), result, opacity=0.8)
        layer = add_layers(self.viewer, [made])[0]
        layer.brush_size = 2
        layer.selected_label = 1
        layer.mode = "paint"
        self.viewer.layers.selection.active = layer
        self.labels.choose(layer)

    def train(self) -> None:
        """Train from the painted labels in another process, then show the prediction."""
        layer = self.labels.labels()
        if layer is not None:
            self._learn(np.array(layer.data), "Training")

    def retrain(self) -> None:
        """Train from painted labels and decisions, where decisions win."""
        scan, layer = self.scans.scan(), self.labels.labels()
        decided = self.session.decisions.decided(scan) if scan is not None else None
        if decided is not None:
            painted = None if layer is None else np.array(layer.data)
            self._learn(training_labels(painted, decided), "Retraining")

    def predict(self) -> None:
        """Predict with the present model in another process."""
        model, scan = self._model, self.scans.scan()
        if model is not None and scan is not None:
            self._classify(scan, {"model": model}, {"model": self._model_name}, "Prediction")

    def _learn(self, labels: np.ndarray, what: str) -> None:
        scan = self.scans.scan()
        if scan is None:
            return
        self.keep()
        counts = {int(n): int(np.sum(labels == n)) for n in np.unique(labels) if n}
        # Names and colours as they are now: the user goes on working while this runs.
        names, colours = self._class_style(scan, counts)
        options = {
            "preset": self._preset.value,
            "neighbourhood": self._neighbourhood.value or 0,
        }
        style = {"classes": names, "colours": colours}
        self._classify(
            scan, {"labels": labels, **options, **style}, {"labelled": counts, **options}, what
        )

    def _classify(
        self, scan: Scan, options: dict[str, Any], said: dict[str, Any], what: str
    ) -> None:
        device = self._device.value

        def work(report: Report) -> Classification:
            return self._worker.run(classify, scan, **options, device=device, report=report)

        def done(result: Classification) -> str:
            name = self._model_name if "model" in options else f"{scan.name} classifier"
            note = {**model_note(result.model, name), **said, "device": device}
            line = self._show(scan, result, provenance("classify", note, scan))
            if "model" in options:
                return line
            self.set_model(result.model, name)
            accuracy = result.validation_accuracy
            if accuracy is None:
                return f"{line} Too few labels to hold some out for a test."
            return f"{line} Accuracy on labels held out: {100 * accuracy:.0f} %."

        self.row.start(work, done, what)

    def _show(self, scan: Scan, result: Any, entry: dict[str, Any]) -> str:
        """Show a prediction with the names and colours that its model was trained with."""
        names = {n: f"class {n}" for n in result.classes} | result.class_names
        colours = {n: colour_of(n) for n in result.classes} | result.class_colours
        maps, labels = classification_results(result, scan, None, names, colours)
        note = made(entry, maps, labels)
        add_layers(self.viewer, map_layers(Origin.of(scan), maps[0], visible=False), note)
        self.session.decisions.show(scan, labels[0], note)
        return "Added the prediction and a probability map per class."

    def _class_style(self, scan: Scan, numbers: Any) -> tuple[dict[int, str], dict[int, Any]]:
        """Return names and colours of the classes: of the labels layer, else of the prediction."""
        layer = self.labels.layer() or find_layer(self.viewer, scan.signature, "prediction")
        names = {n: f"class {n}" for n in numbers}
        colours = {n: colour_of(n) for n in numbers}
        if layer is not None:
            names.update({n: v for n, v in classes_of(layer).items() if n in names})
            colours.update(colours_of(layer.colormap, sorted(numbers)))
        if len(set(names.values())) < len(names):  # two classes of one name
            names = {n: f"{name} ({n})" for n, name in names.items()}
        return names, colours

    def _too_few(self) -> str | None:
        if self.labels.layer() is None:
            return "Make a labels layer and paint a few positions of each class first."
        if sum(count > 0 for count in self.table.counts.values()) < 2:
            return "Paint positions of at least two classes first."
        return None

    def _on_labels(self) -> None:
        self.table.set_layer(self.labels.labels())
        self.refresh()

    def _on_load(self) -> None:
        found = ask_and_load(self, "classifier")
        if found is not None:
            self.set_model(*found)

    def _on_save(self) -> None:
        if self._model is not None:
            name = ask_and_save(self, self._model, self._model_name)
            if name:
                self.row.say(f"Saved {name}.")


def _row(*widgets: Any) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for widget in widgets:
        row.addWidget(widget)
    return row
