"""Painted labels survive the end of the program, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_ferro4d.io import open_scan
from napari_ferro4d.viewer._autosave import autosave_file
from napari_ferro4d.viewer._layers import add_layers
from napari_ferro4d.viewer._reader import opened_layers
from napari_ferro4d.viewer._session import session

PLUGIN = "napari-ferro4d"

SESSION = """
import sys, time
import napari
from napari.settings import get_plugin_settings
from qtpy.QtWidgets import QApplication
from napari_ferro4d.viewer._autosave import autosave_file

viewer = napari.Viewer(show=False)
get_plugin_settings("napari-ferro4d").general.autosave_seconds = 1.0
viewer.open(sys.argv[1], plugin="napari-ferro4d")
widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Classifier")[1]
widget.new_labels()
labels = viewer.layers["wedge labels"]
labels.brush_size = 1
labels.paint((3, 4), 2)
file = autosave_file(widget.scans.scan().signature)
end = time.monotonic() + 60
while not file.exists() and time.monotonic() < end:
    QApplication.processEvents()
    time.sleep(0.02)
labels.paint((0, 0), 1)  # too late to be saved
print("painted", file.exists(), flush=True)
time.sleep(60)
"""


def labelled(viewer):
    return np.argwhere(viewer.layers["wedge labels"].data).tolist()


def test_labels_come_back_after_kill_9(make_napari_viewer, scan_file, notes):
    command = [sys.executable, "-c", SESSION, os.fspath(scan_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline().split() == ["painted", "True"]
        finally:
            child.send_signal(signal.SIGKILL)
    viewer = make_napari_viewer()
    viewer.open(scan_file, plugin=PLUGIN)
    assert labelled(viewer) == [[3, 4]]
    assert len(notes) == 1
    assert "Restored 'wedge labels': 1 labelled positions" in notes[0]
    layer = viewer.layers["wedge labels"]
    assert list(layer.features["class"]) == ["unlabelled", "domain 1", "domain 2"]


@pytest.fixture
def painted(shown, dock):
    """A viewer in which one position was painted, not saved yet."""
    dock("Classifier").new_labels()
    layer = shown.layers["wedge labels"]
    layer.brush_size = 1
    layer.paint((5, 6), 1)
    return shown


def test_closing_the_window_saves(painted, scan, make_napari_viewer):
    assert not autosave_file(scan.signature).exists()
    painted.close()
    again = make_napari_viewer()
    add_layers(again, opened_layers(scan))
    assert labelled(again) == [[5, 6]]


def test_the_open_widget_restores_too(painted, scan_file, make_napari_viewer, finish):
    session(painted).autosave()
    again = make_napari_viewer()
    widget = again.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]
    widget.path.setText(str(scan_file))
    widget.open_button.click()
    finish(widget.row)
    assert labelled(again) == [[5, 6]]


def test_another_scan_does_not_get_them(painted, counts, tmp_path, make_napari_viewer):
    session(painted).autosave()
    np.save(tmp_path / "other.npy", counts[::-1])
    again = make_napari_viewer()
    add_layers(again, opened_layers(open_scan(tmp_path / "other.npy")))
    assert len(again.layers) == 2


def test_labels_that_are_shown_already_are_not_doubled(painted, scan_file):
    session(painted).autosave()
    painted.open(scan_file, plugin=PLUGIN)
    assert sum("labels" in layer.name for layer in painted.layers) == 1


def test_a_labels_layer_made_with_napari_itself_is_kept(shown, scan, make_napari_viewer):
    session(shown)
    layer = shown.add_labels(np.zeros(scan.scan_shape, int), name="mine")
    layer.brush_size = 1
    layer.paint((1, 2), 3)
    session(shown).autosave()
    again = make_napari_viewer()
    add_layers(again, opened_layers(scan))
    assert again.layers["mine"].data[1, 2] == 3


def test_a_layer_that_the_user_deleted_stays_deleted(painted, scan):
    session(painted).autosave()
    assert autosave_file(scan.signature).exists()
    painted.layers.remove("wedge labels")
    session(painted).autosave()
    assert not autosave_file(scan.signature).exists()


def test_closing_the_scan_first_keeps_the_file(painted, scan):
    session(painted).autosave()
    painted.layers.clear()
    session(painted).autosave()
    assert autosave_file(scan.signature).exists()


def test_a_damaged_autosave_is_passed_over(shown, scan, make_napari_viewer):
    file = autosave_file(scan.signature)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PK\x03\x04 half a file")
    again = make_napari_viewer()
    add_layers(again, opened_layers(scan))
    assert len(again.layers) == 2
