"""Painted labels survive the end of the program, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_ferro4d.open import open_scan
from napari_ferro4d.viewer.layers import add_layers, scan_layers
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.session import autosave_file, read_kept, session

PLUGIN = "napari-ferro4d"

SESSION = """
import sys, time
import napari
from napari.settings import get_plugin_settings
from qtpy.QtWidgets import QApplication
from napari_ferro4d.viewer.session import autosave_file

viewer = napari.Viewer(show=False)
get_plugin_settings("napari-ferro4d").general.autosave_seconds = 1.0
viewer.open(sys.argv[1], plugin="napari-ferro4d")
widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Classes")[1]
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


def test_labels_come_back_after_kill_9(make_napari_viewer, scan_file, notes, tmp_path):
    command = [sys.executable, "-c", SESSION, os.fspath(scan_file)]
    own = {**os.environ, "NAPARI_CONFIG": os.fspath(tmp_path / "settings.yaml")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own) as child:
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
    dock("Classes").new_labels()
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


def test_a_layer_that_the_user_removed_can_be_had_back(
    painted, scan, notes, make_napari_viewer, scan_file
):
    session(painted).autosave()
    file = autosave_file(scan.signature)
    painted.layers["wedge labels"].paint((0, 0), 2)  # a moment before it is removed
    painted.layers.remove("wedge labels")
    session(painted).autosave()
    assert not file.exists()
    (aside,) = file.parent.glob("*.removed.npz")
    assert any("2 labelled positions" in note and str(aside) in note for note in notes)
    again = make_napari_viewer()
    again.open(scan_file, plugin=PLUGIN)
    assert "wedge labels" not in again.layers  # it was removed, after all
    again.open(aside, plugin=PLUGIN)
    layer = again.layers["wedge labels (restored)"]
    assert np.argwhere(layer.data).tolist() == [[0, 0], [5, 6]]
    assert list(layer.features["class"]) == ["unlabelled", "domain 1", "domain 2"]
    session(again).autosave()
    assert file.exists()


def test_removing_one_layer_of_two_keeps_both(painted, dock, scan):
    painted.layers["wedge labels"].name = "first"
    dock("Classes").new_labels()
    painted.layers["wedge labels"].data_setitem((np.array([1]), np.array([1])), 2)
    session(painted).autosave()
    painted.layers.remove("first")
    session(painted).autosave()
    file = autosave_file(scan.signature)
    assert [keywords["name"] for _, keywords, _ in read_kept(file).layers] == [
        "wedge labels (restored)"
    ]
    (aside,) = file.parent.glob("*.removed.npz")
    assert [keywords["name"] for _, keywords, _ in read_kept(aside).layers] == ["first (restored)"]


def test_older_labels_from_a_results_folder_do_not_replace_the_kept_ones(
    painted, scan, scan_file, tmp_path, make_napari_viewer, notes
):
    painted.layers.selection = {painted.layers["wedge labels"]}
    painted.layers.save(str(tmp_path / "old.zarr"), selected=True, plugin=PLUGIN)
    painted.layers["wedge labels"].data[:6] = 1
    painted.layers["wedge labels"].refresh()
    session(painted).autosave()
    painted.close()
    again = make_napari_viewer()
    again.open(tmp_path / "old.zarr", plugin=PLUGIN)
    again.open(scan_file, plugin=PLUGIN)
    assert labelled(again) == [[5, 6]]
    restored = again.layers["wedge labels (restored)"]
    assert np.count_nonzero(restored.data) == 84
    assert any("84 labelled positions" in note for note in notes)
    again.layers["wedge labels"].brush_size = 1
    again.layers["wedge labels"].paint((9, 9), 1)
    session(again).autosave()
    kept = read_kept(autosave_file(scan.signature), scan)
    assert [np.count_nonzero(data) for data, _, _ in kept.layers] == [2, 84]
    again.layers["wedge labels"].paint((9, 10), 1)  # not saved yet
    again.open(scan_file, plugin=PLUGIN)
    assert sum("labels" in layer.name for layer in again.layers) == 2


def test_a_file_of_another_session_is_set_aside_before_one_is_written(
    painted, scan, counts, tmp_path, make_napari_viewer
):
    file = autosave_file(scan.signature)
    session(painted).autosave()
    first = file.read_bytes()
    other = make_napari_viewer()
    data = np.zeros(scan.scan_shape, np.uint8)
    add_layers(other, scan_layers(scan))  # without what was kept
    mine = other.add_labels(data, name="mine")
    session(other).autosave()
    assert file.read_bytes() == first  # nothing to write, nothing touched
    mine.data_setitem((np.array([1]), np.array([1])), 2)
    session(other).autosave()
    session(other).autosave()
    (aside,) = file.parent.glob("*.bak.npz")
    assert aside.read_bytes() == first
    assert [keywords["name"] for _, keywords, _ in read_kept(file, scan).layers] == ["mine"]
    session(painted).autosave()
    assert len(list(file.parent.glob("*.bak.npz"))) == 2


def test_closing_the_scan_first_keeps_the_file(painted, scan):
    session(painted).autosave()
    painted.layers.clear()
    session(painted).autosave()
    assert autosave_file(scan.signature).exists()


def test_a_damaged_autosave_is_passed_over_and_set_aside(shown, scan, make_napari_viewer):
    file = autosave_file(scan.signature)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PK\x03\x04 half a file")
    again = make_napari_viewer()
    add_layers(again, opened_layers(scan))
    assert len(again.layers) == 2
    layer = again.add_labels(np.ones(scan.scan_shape, np.uint8), name="mine")
    session(again).autosave()
    (aside,) = file.parent.glob("*.bak.npz")
    assert aside.read_bytes() == b"PK\x03\x04 half a file"
    again.layers.clear()
    assert again.open(aside, plugin=PLUGIN) == []
    assert layer not in again.layers
