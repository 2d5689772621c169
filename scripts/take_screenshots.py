"""Take the screenshots of the documentation: one session with the demo scan, as a user has it.

    python scripts/take_screenshots.py [FOLDER]        (under Xvfb where there is no display)

Opens the demo scan, with corrections and without, draws a virtual detector, computes the centre of
mass, trains an autoencoder, reads its channels, labels suggested positions by keys and fifty more
with the brush, trains a classifier and corrects its prediction. Each picture is the whole
window, but for the dock of a training under way.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (1400, 880)
EPOCHS = 12
LABELS = 50


def main(folder: Path) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as home:
        # Remembered parameters and autosaved labels of whoever runs this stay out of the pictures.
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            os.environ[name] = home
        Session(folder).run()


class Session:
    """One napari window and what is done in it."""

    def __init__(self, folder: Path) -> None:
        import napari

        self.folder = folder
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window._qt_window.resize(*SIZE)
        self.open_dialog()
        self.viewer.open_sample("napari-ferro4d", "demo")
        self.viewer.layers.selection.active = self.viewer.layers["demo preview"]
        self.diffraction = self.dock("Diffraction")
        wait(lambda: self.diffraction.pattern is not None)

    def run(self) -> None:
        """Do what the pictures show."""
        self.main_window()
        self.virtual_detector()
        self.centre_of_mass()
        self.autoencoder()
        self.embedding()
        self.classes()
        self.classifier()
        self.viewer.close()

    def dock(self, name: str) -> Any:
        """Open one of the widgets as the Plugins menu does."""
        widget = self.viewer.window.add_plugin_dock_widget("napari-ferro4d", name)[1]
        wait(seconds=0.5)  # until it has its place and its height
        return widget

    def take(self, name: str, part: Any = None) -> None:
        """Save a picture of the window, or of a part of it."""
        if part is None:
            self.viewer.fit_to_view()
            wait(seconds=1.0)
        path = self.folder / f"{name}.png"
        (part or self.viewer.window._qt_window).grab().save(str(path))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")

    def open_dialog(self) -> None:
        """Show the scan opened with detector corrections."""
        from napari_ferro4d.simulate import demo_scan_path

        widget = self.dock("Open 4D-STEM scan...")
        widget.path.setText(str(demo_scan_path()))
        fields = widget.form.corrections
        fields.button.click()
        fields.bad.value = "12,40;13,40"
        fields.top.value = 8
        fields.bottom.value = 56
        fields.bin.value = 2
        widget.open()
        wait(lambda: not widget.row.busy)
        widget.path.setText("demo.hspy")  # not the folders of whoever takes the pictures
        self.take("open")
        self.viewer.window.remove_dock_widget(widget)
        self.viewer.layers.clear()

    def main_window(self) -> None:
        """Show what opening a scan gives, with the probe moved."""
        self.diffraction.probe.move(14, 44)
        self.take("main-window")

    def virtual_detector(self) -> None:
        """Show a dark-field image: a disk on one reflection."""
        from napari_ferro4d.reduce import Disk
        from napari_ferro4d.viewer.diffraction import Drawn

        panel = self.diffraction.detector
        panel.set_detector(Drawn(Disk(4), (15.0, 24.0)))
        wait(lambda: any("virtual" in layer.name for layer in self.viewer.layers))
        self.take("virtual-detector")
        panel.kind.setCurrentIndex(0)
        for layer in list(self.viewer.layers):
            if "virtual" in layer.name:
                self.viewer.layers.remove(layer)

    def centre_of_mass(self) -> None:
        """Compute and show the direction map."""
        widget = self.dock("Centre of mass")
        widget.compute()
        wait(lambda: not widget.row.busy)
        self.take("centre-of-mass")
        self.viewer.window.remove_dock_widget(widget)
        for layer in list(self.viewer.layers):
            if "com_" in layer.name or layer.name == "demo sum":
                self.viewer.layers.remove(layer)

    def autoencoder(self) -> None:
        """Train for a few epochs and show the channel that tells the domains apart best."""
        from napari_ferro4d.simulate import demo_truth

        widget = self.dock("Autoencoder")
        widget.form.embedding.value = 8
        widget.form.epochs.value = EPOCHS
        widget.train()
        wait(lambda: len(widget.course.losses.losses) > EPOCHS // 2)
        self.take("autoencoder-training", widget._inside)
        wait(lambda: not widget.row.busy and not widget.session._steps)
        channels = [layer for layer in self.viewer.layers if "embedding" in layer.name]
        up = demo_truth().labels == 1
        best = max(channels, key=lambda c: abs(np.mean(c.data[up]) - np.mean(c.data[~up])))
        for layer in channels:
            layer.visible = layer is best
        self.take("autoencoder")
        self.viewer.window.remove_dock_widget(widget)

    def embedding(self) -> None:
        """Mark a range of that channel's values, with the mean pattern of its positions."""
        self.viewer.window.remove_dock_widget(self.diffraction)  # the dock needs its height
        widget = self.dock("Embedding")
        shown = widget.channel
        wait(lambda: widget.mark_button.isEnabled())
        widget.mark()
        wait(lambda: not widget.row.busy)
        widget.pick(shown)
        panel = widget.range
        low, high = panel.histogram.histogram.edges[[0, -1]]
        panel.low.setValue(low + 0.55 * (high - low))
        panel.high.setValue(low + 0.95 * (high - low))
        panel.high.editingFinished.emit()
        wait(lambda: not panel.live.busy)
        self.take("embedding-dock")
        self.viewer.window.remove_dock_widget(widget)
        for layer in list(self.viewer.layers):
            if "embedding" in layer.name:
                self.viewer.layers.remove(layer)
        self.diffraction = self.dock("Diffraction")
        wait(lambda: self.diffraction.pattern is not None)

    def classes(self) -> None:
        """Label suggested positions by keys."""
        from napari_ferro4d.simulate import demo_truth

        self.viewer.window.remove_dock_widget(self.diffraction)
        self.labelling = widget = self.dock("Classes")
        widget.new_labels()
        widget.table.item(0, 1).setText("polarisation up")
        widget.table.item(1, 1).setText("polarisation down")
        widget.table.item(0, 2).setText("270")
        widget.table.item(1, 2).setText("90")
        widget.pattern.over.setCurrentText("mean of 3 x 3")
        truth = demo_truth().labels
        for labels in (10, 4):
            widget.suggest()
            wait(lambda: not widget.row.busy)
            for _ in range(labels):
                widget.label(int(truth[widget.probe.position]))
        wait(lambda: len(widget.pattern.means) == 2, seconds=20)
        self.take("labelling")
        self.viewer.layers.remove(widget.suggested.layer)

    def classifier(self) -> None:
        """Paint positions, train, correct a piece of the prediction."""
        from napari_ferro4d.simulate import demo_truth

        self.viewer.window.remove_dock_widget(self.labelling)
        self.diffraction = self.dock("Diffraction")
        labels = self.viewer.layers["demo labels"]
        widget = self.dock("Classifier")
        truth, random = demo_truth().labels, np.random.default_rng(2)
        labels.brush_size = 1
        for number in (1, 2):
            places = np.argwhere(truth == number)
            for y, x in random.choice(places, LABELS // 2, replace=False):
                labels.paint((y, x), number)
        widget.train()
        wait(lambda: not widget.row.busy)
        prediction = self.viewer.layers["demo prediction"]
        prediction.opacity = 0.5
        self.take("classifier")
        prediction = self.viewer.layers["demo prediction"]
        self.viewer.layers.selection.active = prediction
        prediction.mode, prediction.brush_size, prediction.selected_label = "paint", 1, 2
        # Nothing may be wrong: a piece of the wall is moved, as somebody would who knows better.
        beside = np.argwhere((truth == 1) & (np.roll(truth, -1, axis=1) == 2))
        with prediction.block_history():
            for y, x in beside[20:32]:
                prediction.paint((y, x), 2)
        wait(lambda: "demo corrections" in self.viewer.layers)
        wait(lambda: not widget.watch.waiting and not widget.live.busy)
        corrections = self.viewer.layers["demo corrections"]
        corrections.visible, corrections.opacity = True, 1.0
        self.take("correct")


def wait(done: Callable[[], bool] = lambda: False, seconds: float = 300.0) -> None:
    """Let Qt work until something is done, or for some time."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    default = Path(__file__).parent.parent / "docs" / "images"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    target.mkdir(parents=True, exist_ok=True)
    main(target)
