"""Dock widget "Autoencoder": train on a scan, watch the loss, see the channels of the embedding."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_ferro4d.errors import ModelError, ScanError
from napari_ferro4d.jobs import Cancelled, Progress, Report
from napari_ferro4d.learn import (
    Model,
    TrainingOptions,
    TrainingState,
    Worker,
    embed,
    finished,
    load_model,
    train_with_options,
)
from napari_ferro4d.results import embedding_result, provenance
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import (
    KEY,
    LayerData,
    Origin,
    add_layers,
    find_layer,
    made,
    map_layers,
)
from napari_ferro4d.viewer.widgets import (
    Dock,
    ask_and_load,
    ask_and_save,
    enable,
    hint,
    model_note,
    model_text,
)

from .network_form import NetworkForm
from .training_plots import Course


class AutoencoderWidget(Dock):
    """Train an autoencoder on a scan and embed scans with it, in a process of its own.

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
        self._name = ""
        self._note: dict[str, Any] = {}
        self.form = NetworkForm(self.scans)
        self.train_button = QPushButton("Train and embed")
        self.stop_button = QPushButton("Stop and keep")
        self._stop = threading.Event()
        self.embed_button = QPushButton("Embed scan")
        self.load_button = QPushButton("Load...")
        self.save_button = QPushButton("Save...")
        self.course = Course()
        self._about = hint("No model yet: train one, or load one.")
        self._lay_out()
        self.train_button.clicked.connect(self.train)
        self.stop_button.clicked.connect(self._on_stop)
        self.embed_button.clicked.connect(self.embed)
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
        self._about.setText(model_text(model, name))
        self.form.set_model(model)
        self.refresh()

    def _lay_out(self) -> None:
        self.column.addWidget(self.form)
        start_stop = QHBoxLayout()
        start_stop.addWidget(self.train_button, 2)
        start_stop.addWidget(self.stop_button, 1)
        self.column.addLayout(start_stop)
        self.column.addWidget(self.row)
        self.column.addWidget(self.course)
        self.column.addWidget(self._about)
        buttons = QHBoxLayout()
        for button in (self.embed_button, self.load_button, self.save_button):
            buttons.addWidget(button)
        self.column.addLayout(buttons)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return self.form.parameters()

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.form.set_parameters(values)

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
        """Train in another process, then embed the same scan."""
        scan = self.scans.scan()
        if scan is None:
            return
        options = TrainingOptions(**self.form.options())
        self._stop = threading.Event()
        work = partial(train_and_embed, scan, options, self._stop)
        self.keep()
        self.course.clear()
        self._start(work, scan, f"{scan.name} autoencoder", options.device, "Training")

    def embed(self) -> None:
        """Embed the chosen scan in another process and add the active channels."""
        scan, model = self.scans.scan(), self._model
        if scan is None or model is None:
            return
        device = self.form.options()["device"]
        work = partial(_embed, scan, model, device)
        self._start(work, scan, self._model_name, device, "Embedding")

    def _start(
        self, work: Callable[[Report], Any], scan: Scan, name: str, device: str, what: str
    ) -> None:
        def layers(report: Report) -> tuple[list[LayerData], dict[str, Any], int]:
            embedding, model = work(report)
            result = embedding_result(embedding, scan)
            said = {**model_note(model, name), "device": device}
            note = made(provenance("embed", said, scan), maps=[result])
            shown = map_layers(Origin.of(scan), result) if embedding.active else []
            return shown, note, len(embedding.channels)

        def done(found: tuple[list[LayerData], dict[str, Any], int]) -> str:
            shown, note, total = found
            if not shown:
                return "No channel is active: the network learnt nothing. Train longer."
            self._add(shown, note)
            return f"Added the {len(shown)} active of {total} channels."

        self._name = name
        self.row.start(layers, done, what)

    def _add(self, layers: list[LayerData], note: dict[str, Any]) -> None:
        """Update the channels that are shown, add the most telling one, and the others in turn."""
        first, later = layers[:1], list[LayerData]()
        for layer in layers[1:]:
            info = layer[1]["metadata"][KEY]
            shown = find_layer(self.viewer, info["signature"], info["name"], info["channel"])
            (later if shown is None else first).append(layer)
        add_layers(self.viewer, first, note)
        self._note = note
        for layer in later:
            self.session.later(partial(self._add_one, layer, note))

    def _add_one(self, layer: LayerData, note: dict[str, Any]) -> None:
        if self._note is note:  # and nothing newer
            add_layers(self.viewer, [layer], note)

    def _on_progress(self, progress: Progress) -> None:
        state = progress.partial
        if isinstance(state, Model):
            self.set_model(state, self._name)
        if isinstance(state, TrainingState):
            if self.course.show_state(state):
                QTimer.singleShot(0, self._reveal)  # once it has its height
            if state.losses and not self._stop.is_set():
                tip = "Stop training, keep the last finished epoch, embed."
                enable(self.stop_button, None, tip)

    def _reveal(self) -> None:
        """Scroll so that as much of the course is seen as goes with the progress."""
        self._scroll.ensureWidgetVisible(self.course, 0, 4)
        self._scroll.ensureWidgetVisible(self.row, 0, 4)

    def _on_stop(self) -> None:
        self._stop.set()
        enable(self.stop_button, "Stopping.", "")

    def _on_load(self) -> None:
        found = ask_and_load(self, "autoencoder")
        if found is not None:
            self.set_model(*found)

    def _on_save(self) -> None:
        if self._model is not None:
            name = ask_and_save(self, self._model, self._model_name)
            if name:
                self.row.say(f"Saved {name}.")


def train_and_embed(
    scan: Scan, options: TrainingOptions, stop: threading.Event, report: Report
) -> tuple[Any, Model]:
    """Train until the end, or until `stop` is set, and embed; the model is reported between.

    Returns the embedding and the model.
    """

    def stoppable(progress: Progress) -> None:
        report(progress)
        # Not while the first epoch is still being written: then there is soon something to keep.
        if stop.is_set() and checkpoint.exists():
            raise Cancelled

    def have(model: Model) -> Model:
        report(Progress(1, 1, "trained", partial=model))
        return model

    def kept(checkpoint: Path) -> Model:
        # Without the optimiser's state, which is twice as large as the model.
        return have(finished(load_model(checkpoint)))

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Worker() as worker:
        checkpoint = Path(folder) / "model.safetensors"
        try:
            model = have(
                worker.run(
                    train_with_options, scan, options, checkpoint=checkpoint, report=stoppable
                )
            )
        except Cancelled:
            if not (stop.is_set() and checkpoint.exists()):
                raise
            model = kept(checkpoint)
        except ScanError as error:
            if not checkpoint.exists():
                raise
            epochs = len(kept(checkpoint).header["history"]["losses"])
            raise ModelError(f"{error} The model after epoch {epochs} is kept.") from error
        return worker.run(embed, scan, model, device=options.device, report=report), model


def _embed(scan: Scan, model: Model, device: str, report: Report) -> tuple[Any, Model]:
    with Worker() as worker:
        return worker.run(embed, scan, model, device=device, report=report), model
