"""A window in which all is done that needs torch, and which is closed while two docks work.

``python -m helpers.window_jobs FOLDER`` says as JSON what was done and how it ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

from helpers.trainers import trainers
from napari_ferro4d.open import open_scan
from napari_ferro4d.viewer.layers import add_layers
from napari_ferro4d.viewer.napari_io import opened_layers


def until(done: Callable[[], bool]) -> float:
    """Let the window go on until something is done; return how many seconds that took."""
    begin = time.monotonic()
    while not done():
        assert time.monotonic() - begin < 120
        QApplication.processEvents()
        time.sleep(0.01)
    return time.monotonic() - begin


def main(folder: Path) -> None:
    """Do the jobs one after the other."""
    import napari

    rng = np.random.default_rng(4)
    _, x, ky, kx = np.ogrid[:12, :14, :16, :16]
    beam = 60 * np.exp(-((ky - np.where(x < 7, 6.5, 8.5)) ** 2 + (kx - 7.5) ** 2) / 8)
    np.save(folder / "scan.npy", rng.poisson(np.broadcast_to(beam, (12, 14, 16, 16))))
    viewer = napari.Viewer(show=False)
    add_layers(viewer, opened_layers(open_scan(folder / "scan.npy", scan_step=1.0, k_step=0.1)))
    said: dict[str, Any] = {}

    def dock(name: str) -> Any:
        return viewer.window.add_plugin_dock_widget("napari-ferro4d", name)[1]

    def done(row: Any, name: str) -> None:
        until(lambda: not row.busy)
        said[name] = row.text

    autoencoder = dock("Autoencoder")
    autoencoder.form.device.native.showPopup()
    until(lambda: not trainers())
    autoencoder.form.device.native.hidePopup()
    autoencoder.form.device.choose("cpu")
    autoencoder.form.embedding.value = 4
    autoencoder.form.epochs.value = 3
    autoencoder.train_button.click()
    done(autoencoder.row, "train")
    autoencoder.embed_button.click()
    done(autoencoder.row, "embed")

    embedding = dock("Embedding")
    until(lambda: embedding.embedding is not None and bool(embedding.order))
    embedding.pick(embedding.order[0])
    embedding.traverse.run.click()
    done(embedding.row, "decode")

    classifier = dock("Classifier")
    classifier.form.follows.value = False
    layer = viewer.add_labels(np.zeros((12, 14), np.uint8))
    layer.brush_size = 1
    for number, columns in ((1, (0, 7)), (2, (7, 14))):
        for y, column in zip(rng.integers(0, 12, 30), rng.integers(*columns, 30), strict=True):
            layer.paint((int(y), int(column)), number)
    classifier.refresh()
    classifier.train_button.click()
    done(classifier.row, "classify")
    classifier.models.predict_button.click()
    done(classifier.row, "predict")
    said["torch"] = "torch" in sys.modules

    autoencoder.form.epochs.value = 100_000
    autoencoder.train_button.click()
    until(autoencoder.stop_button.isEnabled)
    classifier.train_button.click()
    said["processes"] = len(trainers())
    viewer.close()
    said["ending"] = until(lambda: not trainers())
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
