"""The docks in a window that is on the screen: other tests never show theirs."""

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget

from napari_ferro4d.viewer.layers import add_layers
from napari_ferro4d.viewer.napari_io import opened_layers

PLUGIN = "napari-ferro4d"


@pytest.fixture
def channels():
    y, x = np.indices((24, 28))
    noise = np.random.default_rng(7).normal(0, 0.1, (2, 24, 28))
    return np.array([x < 14, y / 23], np.float32) + noise.astype(np.float32)


def test_embedding_joins_the_other_docks_and_takes_an_embedding_that_comes_later(
    make_napari_viewer, scan, results, qtbot, notes
):
    viewer = make_napari_viewer(show=True)
    add_layers(viewer, opened_layers(scan))
    training = viewer.window.add_plugin_dock_widget(PLUGIN, "Autoencoder")[1]
    qtbot.waitUntil(lambda: training.placed, timeout=60_000)
    reading = viewer.window.add_plugin_dock_widget(PLUGIN, "Embedding")[1]
    qtbot.waitUntil(lambda: reading.placed, timeout=60_000)
    window = viewer.window._qt_window
    docks = {
        dock.findChild(type(training)) or dock.findChild(type(reading)): dock
        for dock in window.findChildren(QDockWidget)
    }
    assert window.tabifiedDockWidgets(docks[reading]) == [docks[training]]
    viewer.open(results, plugin=PLUGIN)
    qtbot.waitUntil(lambda: reading.embedding is not None, timeout=60_000)
    assert not notes
