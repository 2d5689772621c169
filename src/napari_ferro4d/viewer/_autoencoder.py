"""Dock widget "Autoencoder": train on a scan, watch the loss, see the channels of the embedding."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSpinBox

from napari_ferro4d.io import Model, load_model, provenance
from napari_ferro4d.io.maps import embedding_result
from napari_ferro4d.jobs import Cancelled, Progress, Report

from . import _model_file
from ._dock import Dock
from ._layers import Origin, active_only, add_layers, made, map_layers
from ._parts import DeviceChoice, enable, form, hint
from ._plot import LossPlot

__all__ = ["AutoencoderWidget"]


class AutoencoderWidget(Dock):
    """Train an autoencoder on a scan and embed scans with it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer with the scan.
    """

    key = "autoencoder"

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._model: Model | None = None
        self._model_name = ""
        self._preset = QComboBox()
        self._preset.addItems(["compact", "paper"])
        self._preset.setToolTip(
            "compact: a small network that trains on a CPU.\n"
            "paper: the network of Ludacka et al. (2024), for a GPU."
        )
        self._embedding = QSpinBox()
        self._embedding.setRange(1, 512)
        self._embedding.setValue(32)
        self._embedding.setToolTip(
            "Channels of the embedding; those that show more than noise are added."
        )
        self._epochs = QSpinBox()
        self._epochs.setRange(0, 10000)
        self._epochs.setSpecialValueText("as the preset")
        self._epochs.setToolTip("Passes over all patterns of the scan.")
        self._device = DeviceChoice()
        self.train_button = QPushButton("Train and embed")
        self.stop_button = QPushButton("Stop and keep")
        self._stop = threading.Event()
        self.embed_button = QPushButton("Embed scan")
        self.load_button = QPushButton("Load...")
        self.save_button = QPushButton("Save...")
        self.plot = LossPlot()
        self._about = hint("No model yet: train one, or load one.")
        self._lay_out()
        self.train_button.clicked.connect(self.train)
        self.stop_button.clicked.connect(self._stop.set)
        self.embed_button.clicked.connect(self._on_embed)
        self.load_button.clicked.connect(self._on_load)
        self.save_button.clicked.connect(self._on_save)
        self.row.progressed.connect(self._on_progress)
        self.ready()

    @property
    def model(self) -> Model | None:
        """The model trained or loaded last."""
        return self._model

    def set_model(self, model: Model, name: str) -> None:
        """Use `model`, called `name`, for embedding."""
        self._model, self._model_name = model, name
        self._about.setText(_model_file.model_text(model, name))
        self.refresh()

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Scan", self.scans)
        rows.addRow("Network", self._preset)
        rows.addRow("Channels", self._embedding)
        rows.addRow("Epochs", self._epochs)
        rows.addRow("Device", self._device)
        self.column.addLayout(rows)
        start_stop = QHBoxLayout()
        start_stop.addWidget(self.train_button, 2)
        start_stop.addWidget(self.stop_button, 1)
        self.column.addLayout(start_stop)
        self.column.addWidget(self.row)
        self.column.addWidget(self.plot)
        self.column.addWidget(self._about)
        buttons = QHBoxLayout()
        for button in (self.embed_button, self.load_button, self.save_button):
            buttons.addWidget(button)
        self.column.addLayout(buttons)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {
            "preset": self._preset.currentText(),
            "embedding": self._embedding.value(),
            "epochs": self._epochs.value(),
            "device": self._device.currentText(),
        }

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self._preset.setCurrentText(str(values["preset"]))
        self._embedding.setValue(int(values["embedding"]))
        self._epochs.setValue(int(values["epochs"]))
        self._device.choose(str(values["device"]))

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now."""
        why = self.why_not()
        no_model = None if self._model is not None else "Train a model first, or load one."
        busy = self.why_not() if self.row.busy else None
        enable(self.train_button, why, "Train on all patterns of the scan, then embed it.")
        # `_on_progress` enables it once there is something to keep.
        enable(self.stop_button, "There is no training with a finished epoch.", "")
        enable(self.embed_button, why or no_model, "Add the active channels as layers.")
        enable(self.load_button, busy, "Load a model trained before, also on another scan.")
        enable(self.save_button, busy or no_model, "Save the model as .safetensors.")

    def train(self) -> None:
        """Train on a thread, then embed the same scan."""
        from napari_ferro4d.learn import finished, train

        scan = self.scans.scan()
        if scan is None:
            return
        options: dict[str, Any] = {
            "preset": self._preset.currentText(),
            "embedding": self._embedding.value(),
            "epochs": self._epochs.value() or None,
            "device": self._device.currentText(),
        }

        self._stop.clear()
        stop = self._stop

        def work(report: Report) -> Model:
            def stoppable(progress: Progress) -> None:
                report(progress)
                if stop.is_set():
                    raise Cancelled

            with tempfile.TemporaryDirectory() as folder:
                checkpoint = Path(folder) / "model.safetensors"
                try:
                    return train(scan, **options, checkpoint=checkpoint, report=stoppable)
                except Cancelled:
                    if stop.is_set() and checkpoint.exists():
                        # Without the optimiser's state, which is twice as large as the model.
                        return finished(load_model(checkpoint))
                    raise

        def done(model: Model) -> None:
            self.set_model(model, f"{scan.name} autoencoder")
            self.embed(scan)

        self.keep()
        self.plot.show_losses(())
        self.row.start(work, done, "Training")

    def embed(self, scan: Any = None) -> None:
        """Embed the chosen scan on a thread and add the active channels."""
        from napari_ferro4d.learn import Embedding, embed

        chosen, model = scan or self.scans.scan(), self._model
        if chosen is None or model is None:
            return
        device = self._device.currentText()
        name = self._model_name

        def work(report: Report) -> Embedding:
            return embed(chosen, model, device=device, report=report)

        def done(embedding: Embedding) -> str:
            if not embedding.active:
                return "No channel is active: the network learnt nothing. Train longer."
            result = embedding_result(embedding, chosen)
            said = {**_model_file.model_note(model, name), "device": device}
            note = made(provenance("embed", said, chosen), maps=[result])
            layers = map_layers(Origin.of(chosen), active_only(result))
            add_layers(self.viewer, layers, note)
            total = len(embedding.channels)
            return f"Added the {len(layers)} active of {total} channels."

        self.row.start(work, done, "Embedding")

    def _on_progress(self, progress: Progress) -> None:
        losses = getattr(progress.partial, "losses", None)
        if losses:
            self.plot.show_losses(losses)
            enable(self.stop_button, None, "Stop training, keep the last finished epoch, embed.")

    def _on_embed(self) -> None:
        self.embed()

    def _on_load(self) -> None:
        found = _model_file.ask_and_load(self, "autoencoder")
        if found is not None:
            self.set_model(*found)

    def _on_save(self) -> None:
        if self._model is not None:
            name = _model_file.ask_and_save(self, self._model, self._model_name)
            if name:
                self.row.say(f"Saved {name}.")
