"""The dock, with a labels layer of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.open import open_scan
from napari_ferro4d.results import LabelResult
from napari_ferro4d.viewer.layers import Origin, add_layers, label_layer
from napari_ferro4d.viewer.napari_io import opened_layers


@pytest.fixture
def follows():
    """Whether the dock predicts as its user labels; tests of that say yes."""
    return False


@pytest.fixture
def widget(dock, follows):
    """The dock "Classifier"."""
    widget = dock("Classifier")
    widget.form.follows.value = follows
    return widget


@pytest.fixture
def labels(shown, scan, widget):
    """A labels layer with two classes, empty and chosen."""
    empty = LabelResult("labels", np.zeros(scan.scan_shape, np.uint8), None, {1: "up", 2: "down"})
    (layer,) = add_layers(shown, [label_layer(Origin.of(scan), empty, opacity=0.8)])
    shown.layers.selection.active = layer
    widget.labels.choose(layer)
    return layer


@pytest.fixture
def truth(scan):
    """The class of every position."""
    return np.where(np.arange(scan.scan_shape[1]) < scan.scan_shape[1] // 2, 1, 2) * np.ones(
        (scan.scan_shape[0], 1), int
    )


@pytest.fixture
def painted(labels, truth, widget):
    """The labels layer, with thirty positions of each side labelled as the patterns have it."""
    labels.brush_size = 1
    rng = np.random.default_rng(1)
    ny, nx = truth.shape
    for columns in ((0, nx // 2), (nx // 2, nx)):
        for y, x in zip(rng.integers(0, ny, 30), rng.integers(*columns, 30), strict=True):
            labels.paint((int(y), int(x)), int(truth[y, x]))
    widget.refresh()
    return labels


@pytest.fixture
def second(shown, counts, tmp_path):
    """Another scan in the viewer, with the same detector."""
    np.save(tmp_path / "second.npy", counts[::-1])
    second = open_scan(tmp_path / "second.npy", scan_step=(1.5, 2.0), k_step=0.02)
    add_layers(shown, opened_layers(second))
    return second
