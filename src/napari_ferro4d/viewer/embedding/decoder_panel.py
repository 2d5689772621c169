"""Panel "Decoder": what the model says a channel means, from its lowest to its highest value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_ferro4d.jobs import Report
from napari_ferro4d.learn import (
    Model,
    Preprocess,
    Worker,
    digest,
    first_pixel,
    traverse,
)
from napari_ferro4d.viewer.layers import beam_centre
from napari_ferro4d.viewer.widgets import (
    Dock,
    PatternImage,
    Picture,
    ask_and_load,
    enable,
    hint,
    model_text,
)

from .panel_host import PanelHost
from .shown_embedding import ShownEmbedding

_STEPS = 21
"""Values of the channel that are decoded."""

# Asked for at every click, and the weights of the paper's network take 15 ms.
_digest = lru_cache(maxsize=1)(digest)


class TraversePanel(QWidget):
    """Decode a channel's values with a slider.

    The work is done in a process of its own, which starts with the first and ends with the dock:
    to import torch here would hold up the window for a second.

    Parameters
    ----------
    dock : PanelHost
        Says which embedding and which channel, and runs the work.
    """

    def __init__(self, dock: PanelHost) -> None:
        super().__init__()
        self._dock = dock
        self._loaded: tuple[Model, str] | None = None
        self._values: np.ndarray | None = None
        self._patterns: np.ndarray | None = None
        self._channel: int | None = None
        self._decoder = Worker("decoder")
        self.load_button = QPushButton("Load model...")
        self.run = QPushButton("Decode channel")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS - 1)
        self.slider.setToolTip("Value of the channel; the others stay at their mean.")
        self.value = QLabel()
        self.log = QCheckBox("log")
        self.log.setToolTip("Show the pattern on a logarithmic scale.")
        self.log.setChecked(True)
        self.change = QCheckBox("change only")
        self.change.setToolTip("Show how the pattern differs from that at the channel's mean.")
        self.pattern = PatternImage("Decode the channel to see how it changes the pattern.")
        self._about = hint("")
        self._lay_out()
        self.load_button.clicked.connect(self._on_load)
        self.run.clicked.connect(self.decode)
        self.slider.valueChanged.connect(self._draw)
        self.log.toggled.connect(self._draw)
        self.change.toggled.connect(self._draw)
        dock.closed.connect(self._decoder.end)

    @property
    def patterns(self) -> np.ndarray | None:
        """The decoded patterns ``[value, ky, kx]``."""
        return self._patterns

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.run, 2)
        buttons.addWidget(self.load_button, 1)
        sliding = QHBoxLayout()
        sliding.addWidget(self.slider, 1)
        sliding.addWidget(self.value)
        boxes = QHBoxLayout()
        boxes.addWidget(self.change)
        boxes.addStretch(1)
        boxes.addWidget(self.log)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 8)
        column.setSpacing(4)
        column.addLayout(buttons)
        column.addWidget(self._about)
        column.addLayout(sliding)
        column.addLayout(boxes)
        column.addWidget(self.pattern)
        column.addStretch(1)

    def parameters(self) -> dict[str, Any]:
        """Return what the user set."""
        return {"log": self.log.isChecked(), "change": self.change.isChecked()}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what `parameters` returned."""
        self.log.setChecked(bool(values["log"]))
        self.change.setChecked(bool(values["change"]))

    def set_channel(self, found: ShownEmbedding | None, channel: int | None) -> None:
        """Forget what was decoded of another channel."""
        self._values = self._patterns = self._channel = None
        self._draw()

    def set_scan(self) -> None:
        """Nothing decoded depends on the scan but its axes."""
        self._draw()

    def model(self) -> tuple[Model, str] | None:
        """Return the model to decode with, and its name: loaded here or in the autoencoder dock."""
        if self._loaded is not None:
            return self._loaded
        # Not findChildren: it takes 10 ms to go through all that is in napari's window.
        for dock in self._dock.viewer.window.dock_widgets.values():
            found = getattr(dock, "model", None)
            if isinstance(dock, Dock) and dock.key == "autoencoder" and found is not None:
                return found, "the model of the Autoencoder dock"
        return None

    def refresh(self) -> None:
        """Enable what can be done now."""
        busy = "Wait until the running job has finished, or cancel it."
        why = busy if self._dock.row.busy else self._why_not()
        enable(self.run, why, "Decode the channel's values, from its lowest to its highest.")
        enable(self.load_button, busy if self._dock.row.busy else None, "Load a model file.")
        found = self.model()
        text = "No model: train or load one in the Autoencoder dock, or load one here."
        if found is not None:
            text = self._misfit(found[0]) or f"Decodes with {model_text(*found)}."
        self._about.setText(text)
        self.slider.setEnabled(self._patterns is not None)

    def decode(self) -> None:
        """Decode values of the channel, and its mean, in another process."""
        shown, channel, found = self._dock.embedding, self._dock.channel, self.model()
        if shown is None or channel is None or found is None or self._why_not():
            return
        model = found[0]
        stack = shown.channels.reshape(len(shown.channels), -1)
        low, high = np.nanpercentile(stack[channel], (0.5, 99.5))
        at = np.asarray(np.nanmean(stack, axis=1, dtype=np.float64), np.float32)
        values = np.linspace(low, high, _STEPS, dtype=np.float32)

        def work(report: Report) -> np.ndarray:
            wanted = [*values, at[channel]]
            return self._decoder.run(traverse, model, channel, wanted, at, report=report)

        def done(patterns: np.ndarray) -> str | None:
            now = self._dock.embedding
            if now is None or now.whole is not shown.whole:
                return "Another embedding was chosen meanwhile: what was decoded is dropped."
            if self._dock.channel != channel:
                return "Another channel was chosen meanwhile."
            self._values, self._patterns, self._channel = values, patterns, channel
            self.slider.setValue(_STEPS - 1)
            self.refresh()
            self._draw()
            return f"Decoded {shown.name(channel)}; move the slider."

        self._dock.keep()
        self._dock.row.start(work, done, "Decoding")

    def _why_not(self) -> str | None:
        if self._dock.embedding is None or self._dock.channel is None:
            return "Embed a scan first, or open a results folder with an embedding."
        found = self.model()
        if found is None:
            return "Train a model in the Autoencoder dock first, or load one."
        return self._misfit(found[0])

    def _misfit(self, model: Model) -> str | None:
        shown = self._dock.embedding
        wanted = model.header.get("network", {}).get("embedding")
        if shown is None:
            return None
        if wanted in (None, len(shown.channels)):
            made_by = shown.model_digest()
            if made_by in (None, _digest(model)):
                return None
            return "The embedding was made with another model: load that one."
        return (
            f"This model has {wanted} channels, the embedding {len(shown.channels)}: "
            "load the one that it was made with."
        )

    def _draw(self, *_: Any) -> None:
        if self._patterns is None or self._values is None:
            self.pattern.show_picture(None)
            self.value.setText("")
            return
        index = self.slider.value()
        shown, log = self._patterns[index], self.log.isChecked()
        self.value.setText(f"{self._values[index]:.3g}")
        self._place(shown.shape)
        if self.change.isChecked():
            mean = self._patterns[-1]
            if log:
                less = np.log1p(np.clip(shown, 0, None)) - np.log1p(np.clip(mean, 0, None))
                picture = Picture(less, "(log)", signed=True)
            else:
                picture = Picture(shown - mean, "counts", signed=True)
        else:
            picture = Picture(shown, log=log)
        self.pattern.show_picture(picture)

    def _place(self, shape: tuple[int, ...]) -> None:
        """Give the decoded pattern axes: it is a part of the detector, perhaps binned."""
        found, scan = self.model(), self._dock.scan
        if found is None or scan is None:
            middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
            self.pattern.set_space((1.0, 1.0), middle, "pixel")
            return
        how = Preprocess.from_json(found[0].header["preprocess"])
        step, binning, centre = scan.k_step or (1.0, 1.0), how.binning, []
        for length, beam in zip(scan.detector_shape, beam_centre(scan), strict=True):
            first = first_pixel(length, how.size * binning, beam)
            centre.append((beam - first + 0.5) / binning - 0.5)
        unit = "pixel" if scan.k_step is None else "1/Å"
        self.pattern.set_space((step[0] * binning, step[1] * binning), (centre[0], centre[1]), unit)

    def _on_load(self) -> None:
        found = ask_and_load(self, "autoencoder")
        if found is not None:
            self._loaded = found
            self.set_channel(self._dock.embedding, self._dock.channel)
            self.refresh()
