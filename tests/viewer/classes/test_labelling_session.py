"""Labelling with real keys in a window that is on the screen, from the first label to the next day.

Every step says how many labels of each class there have to be, and where.
"""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ferro4d.results import LabelResult, read_results
from napari_ferro4d.viewer.layers import (
    add_layers,
    classes_of,
    directions_of,
    find_layer,
    set_direction,
)
from napari_ferro4d.viewer.napari_io import opened_layers

PLUGIN = "napari-ferro4d"
KEYS = {str(number): getattr(Qt.Key, f"Key_{number}") for number in range(10)} | {
    "Backspace": Qt.Key.Key_Backspace,
    "Space": Qt.Key.Key_Space,
    "Enter": Qt.Key.Key_Return,
}


@pytest.fixture
def on_screen(shown, qtbot):
    shown.window._qt_window.show()
    qtbot.waitExposed(shown.window._qt_window)
    return shown


@pytest.fixture
def widget(on_screen, dock, qtbot):
    widget = dock("Classes")
    qtbot.waitUntil(lambda: widget.placed, timeout=60_000)
    return widget


def press(viewer, key, modifier=Qt.KeyboardModifier.NoModifier):
    """Press a key over the canvas."""
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, KEYS.get(key, key), modifier)


def undo(viewer):
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def side(position):
    return 1 if position[1] < 7 else 2


def counted(widget, qtbot, ones, twos):
    qtbot.waitUntil(
        lambda: {n: c for n, c in widget.table.counts.items() if n < 3} == {1: ones, 2: twos},
        timeout=60_000,
    )
    qtbot.waitUntil(
        lambda: [widget.table.item(row, 3).text() for row in (0, 1)] == [str(ones), str(twos)],
        timeout=60_000,
    )


def test_a_day_of_labelling(on_screen, widget, scan, tmp_path, qtbot, make_napari_viewer):
    viewer, rng = on_screen, np.random.default_rng(2)
    places = rng.permutation(12 * 14)[:24]
    positions = [(int(place) // 14, int(place) % 14) for place in places]

    # Twenty labels: the probe goes from one suggestion to the next.
    widget.suggested.set_scan(scan)
    widget.suggested.show(np.array(positions))
    widget._follow()
    widget.probe.move(*positions[0])
    truth = np.zeros(scan.scan_shape, np.uint8)
    for position in positions[:20]:
        assert widget.probe.position == position
        press(viewer, str(side(position)))
        truth[position] = side(position)
    layer = viewer.layers["wedge labels"]
    np.testing.assert_array_equal(layer.data, truth)
    ones, twos = (int((truth == number).sum()) for number in (1, 2))
    counted(widget, qtbot, ones, twos)
    points = viewer.layers["wedge suggested"]
    assert points.data.tolist() == [list(map(float, one)) for one in positions[20:]]
    assert list(points.text.values) == ["21", "22", "23", "24"]

    # Backspace takes the last two back, one after the other, and goes where they were.
    for position in positions[19:17:-1]:
        press(viewer, "Backspace")
        assert widget.probe.position == position
        truth[position] = 0
        np.testing.assert_array_equal(layer.data, truth)
    assert list(points.text.values) == ["19", "20", "21", "22", "23", "24"]

    # napari's undo takes back the one before, and its redo gives it again.
    viewer.layers.selection.active = layer
    undo(viewer)
    before = truth.copy()
    before[positions[17]] = 0
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, truth)

    # A wrong label is cleared, then given rightly; a stroke of the brush counts, too.
    widget.probe.move(*positions[0])
    press(viewer, "0")
    assert layer.data[positions[0]] == 0
    press(viewer, str(side(positions[0])))
    layer.brush_size = 1
    free = next((y, 13) for y in range(12) if not truth[y, 13])
    layer.paint(free, 2)
    truth[free] = 2
    np.testing.assert_array_equal(layer.data, truth)
    ones, twos = (int((truth == number).sum()) for number in (1, 2))
    counted(widget, qtbot, ones, twos)

    # Save all; the next day everything is there, and goes on.
    widget.table.item(1, 1).setText("down")
    widget.table.item(1, 2).setText("90")
    assert viewer.layers.save(str(tmp_path / "day.zarr"), plugin=PLUGIN)
    viewer.close()
    again = make_napari_viewer(show=True)
    again.open(tmp_path / "wedge.npy", plugin=PLUGIN, scan_step=(1.5, 2.0), k_step=0.02)
    restored = again.layers["wedge labels"]
    np.testing.assert_array_equal(restored.data, truth)
    assert (classes_of(restored)[2], directions_of(restored)) == ("down", {2: 90.0})
    again.layers.clear()
    add_layers(again, opened_layers(scan)[:2])
    again.open(tmp_path / "day.zarr", plugin=PLUGIN)
    opened = again.layers["wedge labels"]
    np.testing.assert_array_equal(opened.data, truth)
    assert (classes_of(opened)[2], directions_of(opened)) == ("down", {2: 90.0})
    later = again.window.add_plugin_dock_widget(PLUGIN, "Classes")[1]
    qtbot.waitUntil(lambda: later.placed, timeout=60_000)
    assert later.labels.labels() is opened
    counted(later, qtbot, ones, twos)
    later.probe.move(*positions[19])
    press(again, str(side(positions[19])))
    truth[positions[19]] = side(positions[19])
    np.testing.assert_array_equal(opened.data, truth)
    press(again, "Backspace")
    truth[positions[19]] = 0
    np.testing.assert_array_equal(opened.data, truth)


def test_keys_are_napari_s_own_while_the_toggle_is_off_and_after_the_dock(on_screen, widget, qtbot):
    viewer = on_screen
    layer = widget.new_labels()
    assert layer.mode == "paint"
    press(viewer, "4")  # the bucket, to napari
    assert layer.mode == "paint"
    assert "no class 4" in widget.row.text
    widget.keys_button.click()
    press(viewer, "4")
    assert layer.mode == "fill"
    press(viewer, "1")
    assert layer.mode == "erase"
    assert not layer.data.any()
    widget.keys_button.click()
    press(viewer, "1")
    assert layer.data.sum() == 1
    viewer.layers.selection.active = viewer.layers["wedge probe"]
    press(viewer, "Backspace")  # which deletes points, to napari
    assert len(viewer.layers["wedge probe"].data) == 1
    assert not layer.data.any()
    viewer.window.remove_dock_widget(widget)
    viewer.layers.selection.active = layer
    press(viewer, "2")
    assert layer.mode == "paint"
    assert not layer.data.any()


def test_enter_predicts_in_the_classifier_dock_and_leaves_this_one_in_front(
    on_screen, widget, scan, qtbot
):
    press(on_screen, "Enter")
    assert "Label a few positions" in widget.row.text
    rng = np.random.default_rng(5)
    for place in rng.permutation(12 * 14)[:30]:
        widget.probe.move(int(place) // 14, int(place) % 14)
        press(on_screen, str(side(widget.probe.position)))
    layer = widget.labels.labels()
    labels = layer.data.copy()
    press(on_screen, "Enter")
    qtbot.waitUntil(
        lambda: find_layer(on_screen, scan.signature, "prediction") is not None, timeout=120_000
    )
    classifier = on_screen.window.add_plugin_dock_widget(PLUGIN, "Classifier")[1]
    qtbot.waitUntil(lambda: classifier.placed and not classifier.row.busy, timeout=60_000)
    assert classifier.labels.labels() is layer
    assert widget.isVisible()
    np.testing.assert_array_equal(layer.data, labels)
    prediction = find_layer(on_screen, scan.signature, "prediction")
    assert (prediction.data == np.where(np.arange(14) < 7, 1, 2)).mean() > 0.9
    press(on_screen, "Backspace")
    assert np.count_nonzero(layer.data) == 29


def test_a_click_in_the_dock_leaves_the_keys_with_the_viewer(on_screen, widget):
    canvas = on_screen.window._qt_viewer.canvas.native
    on_screen.window._qt_window.activateWindow()
    canvas.setFocus()
    for one in (widget.new_button, widget.keys_button, widget.keys_button):
        QTest.mouseClick(one, Qt.MouseButton.LeftButton)
    assert not widget.new_button.hasFocus()
    assert not widget.keys_button.hasFocus()
    # The table has the focus once a row of it was clicked; keys it knows not go to the window.
    widget.table.selectRow(1)
    QTest.keyClick(widget.table, Qt.Key.Key_1)
    assert widget.labels.labels().data[6, 7] == 1


def test_the_arrow_keys_stay_with_the_dock_that_is_left(on_screen, widget, dock):
    viewer = on_screen
    diffraction = dock("Diffraction")
    press(viewer, Qt.Key.Key_Right)
    assert widget.probe.position == diffraction.probe.position == (6, 8)
    viewer.window.remove_dock_widget(diffraction)
    press(viewer, Qt.Key.Key_Down)
    assert widget.probe.position == (7, 8)
    assert viewer.layers["wedge probe"].data.tolist() == [[7, 8]]


def test_undo_works_whichever_layer_is_active(on_screen, widget):
    viewer = on_screen
    viewer.layers.selection.active = viewer.layers["wedge probe"]
    press(viewer, "2")
    layer = widget.labels.labels()
    assert layer.data[6, 7] == 2
    assert layer.mode == "pan_zoom"
    assert viewer.layers.selection.active is viewer.layers["wedge probe"]
    undo(viewer)
    assert not layer.data.any()


def test_a_labels_layer_that_was_never_shown_is_labelled_and_shown(on_screen, widget, scan):
    layer = on_screen.add_labels(np.zeros(scan.scan_shape, np.uint8), visible=False)
    assert widget.labels.labels() is layer
    widget.table.add_class()
    press(on_screen, "1")
    assert layer.visible
    assert layer.data[6, 7] == 1
    layer.visible = False
    press(on_screen, "Backspace")
    assert not layer.data.any()


def test_backspace_after_a_stroke_takes_back_the_label_and_not_the_stroke(on_screen, widget):
    press(on_screen, "2")
    layer = widget.labels.labels()
    layer.brush_size = 1
    layer.paint((0, 0), 1)
    press(on_screen, "Backspace")
    assert np.argwhere(layer.data).tolist() == [[0, 0]]
    layer.paint((6, 7), 1)
    press(on_screen, "Backspace")  # nothing that a key gave is left
    assert layer.data[6, 7] == 1
    assert "No label" in widget.row.text


def test_a_key_has_the_last_word_over_a_decision_and_undo_brings_no_machine_pixel(
    on_screen, widget, scan, qtbot
):
    widget.new_labels()
    layer = widget.labels.labels()
    machine = np.ones(scan.scan_shape, np.uint8)
    decisions = widget.session.decisions
    prediction = decisions.show(scan, LabelResult("prediction", machine, scan.scan_step))
    prediction.brush_size = 1
    prediction.paint((6, 7), 2)
    assert decisions.decided(scan)[6, 7] == 2
    press(on_screen, "1")
    assert widget.person_labels()[6, 7] == 1
    press(on_screen, "Backspace")
    assert widget.person_labels()[6, 7] == 2
    assert not layer.data.any()
    # Undo of all that was painted on the map leaves what the machine said, as the machine's.
    prediction.undo()
    assert decisions.decided(scan) is None
    assert not widget.person_labels().any()
    assert not layer.data.any()
    qtbot.wait(200)
    kept = find_layer(on_screen, scan.signature, "corrections")
    assert kept is None or not kept.data.any()


def test_labels_and_directions_are_in_the_results_folder(on_screen, widget, scan, tmp_path):
    press(on_screen, "2")
    set_direction(widget.labels.labels(), 2, 270.0)
    assert on_screen.layers.save(str(tmp_path / "out.zarr"), plugin=PLUGIN)
    (labels,) = read_results(tmp_path / "out.zarr").labels
    assert (labels.name, labels.classes) == ("labels", {1: "domain 1", 2: "domain 2"})
    assert labels.directions == {2: 270.0}
    assert labels.data[6, 7] == 2
    assert labels.data.sum() == 2
