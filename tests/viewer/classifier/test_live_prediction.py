"""The map follows what the user labels, and never gets into the user's way."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_ferro4d.viewer.layers import find_layer

WAIT = 120_000  # ms; the first one starts a process


@pytest.fixture
def follows():
    """Predict as the user labels."""
    return True


@pytest.fixture
def quiet(widget, qtbot):
    """Return a call that waits until nothing follows any more."""

    def wait():
        qtbot.waitUntil(lambda: not widget.watch.waiting and not widget.live.busy, timeout=WAIT)

    return wait


@pytest.fixture
def followed(shown, scan, painted, quiet):
    """The prediction that followed thirty labels of each class."""
    quiet()
    return find_layer(shown, scan.signature, "prediction")


def test_the_map_follows_labels_and_leaves_the_user_alone(
    shown, scan, widget, labels, truth, quiet, notes
):
    labels.brush_size, labels.mode, labels.selected_label = 1, "paint", 2
    for y in range(0, 12, 2):
        labels.paint((y, 2), 1)
    quiet()
    assert find_layer(shown, scan.signature, "prediction") is None  # one class is none
    assert "another class" in widget.row.text
    for y in range(0, 12, 2):
        labels.paint((y, 11), 2)
    quiet()
    prediction = find_layer(shown, scan.signature, "prediction")
    assert (prediction.data == truth).mean() > 0.9
    assert shown.layers.selection.active is labels
    assert (labels.mode, labels.selected_label) == ("paint", 2)
    assert "Predicted from 12 labels" in widget.row.text
    before = widget.model
    labels.undo()
    quiet()
    assert "Predicted from 11 labels" in widget.row.text
    assert widget.model is not before
    assert find_layer(shown, scan.signature, "prediction") is prediction
    assert not notes


def test_labels_that_were_there_before_wait_for_a_change(widget, painted, quiet, shown, scan):
    quiet()
    shown.layers.remove(find_layer(shown, scan.signature, "prediction"))
    before = widget.model
    painted.refresh()  # says that something changed; nothing did
    quiet()
    assert widget.model is before
    assert find_layer(shown, scan.signature, "prediction") is None


@pytest.mark.parametrize("off", ["unticked", "paper"])
def test_it_follows_only_when_asked_to(shown, widget, labels, quiet, off):
    if off == "paper":
        widget.form.preset.value = "paper"
        assert not widget.form.follows.enabled
    else:
        widget.form.follows.value = False
    labels.paint((2, 2), 1)
    labels.paint((2, 11), 2)
    quiet()
    assert widget.model is None
    assert "wedge prediction" not in shown.layers


def test_a_correction_spreads_undo_takes_it_back_and_no_pixel_is_left(
    shown, scan, widget, followed, truth, quiet, qtbot
):
    decisions = widget.session.decisions
    shown.layers.selection.active = followed
    followed.mode, followed.brush_size, followed.selected_label = "paint", 1, 2
    with followed.block_history():  # a stroke
        for y in range(0, 12):
            followed.paint((y, 0), 2)
            followed.paint((y, 1), 2)
    quiet()
    assert (followed.data[:, :2] == 2).all()
    assert shown.layers.selection.active is followed
    assert (followed.mode, followed.selected_label) == ("paint", 2)
    assert int(np.count_nonzero(decisions.decided(scan))) == int((truth[:, :2] == 1).sum())
    canvas = shown.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: decisions.decided(scan) is None, timeout=60_000)
    quiet()
    assert decisions.decided(scan) is None
    assert (followed.data == truth).mean() > 0.95
    result = widget._results[scan.signature].result
    np.testing.assert_array_equal(followed.data, result.prediction)
    QTest.keyClick(
        canvas,
        Qt.Key.Key_Z,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    qtbot.waitUntil(lambda: decisions.decided(scan) is not None, timeout=60_000)
    assert (followed.data[:, :2] == 2).all()


def test_a_map_that_arrives_in_the_middle_of_a_stroke_waits_for_its_end(
    shown, scan, widget, followed, painted, quiet, qtbot
):
    before = np.array(followed.data)
    predicted = []
    widget.live.predicted.connect(lambda wanted, result: predicted.append(result))
    followed.brush_size = 1
    other = np.where(np.array(painted.data) > 0, 3 - np.array(painted.data), 0)
    with followed.block_history():
        followed.paint((0, 0), 2)
        painted.data[...] = other  # what was called up is called down, and the other way round
        painted.refresh()
        qtbot.waitUntil(lambda: bool(predicted), timeout=WAIT)
        qtbot.wait(300)
        before[0, 0] = 2
        np.testing.assert_array_equal(followed.data, before)
        followed.paint((1, 0), 2)
    qtbot.waitUntil(lambda: (followed.data[2:] != before[2:]).mean() > 0.9, timeout=60_000)
    quiet()
    decided = widget.session.decisions.decided(scan)
    assert np.argwhere(decided).tolist() == [[0, 0], [1, 0]]


def test_a_stroke_that_pauses_is_learnt_once_it_is_whole(widget, labels, quiet, qtbot):
    learnt = []
    widget.live.predicted.connect(lambda wanted, result: learnt.append(wanted))
    labels.paint((2, 2), 1)
    with labels.block_history():
        labels.paint((2, 11), 2)
        qtbot.wait(1000)
        assert widget.watch.waiting
        assert not widget.live.busy
        labels.paint((8, 11), 2)
    quiet()
    (wanted,) = learnt
    np.testing.assert_array_equal(wanted.labels, labels.data)


def test_a_model_loaded_while_another_learns_stays(shown, scan, widget, followed, painted, quiet):
    loaded, before = widget.model, widget._results[scan.signature]
    painted.paint((0, 3), 1)
    widget._follow()
    assert widget.live.busy
    widget.models.load(loaded, "mine")
    quiet()
    assert widget._results[scan.signature] is not before  # the map is that of the labels
    assert widget.model is loaded
    assert "still mine" in widget.row.text
    painted.paint((0, 4), 1)  # what is labelled now is learnt, as before
    quiet()
    assert widget.model is not loaded
    assert "still" not in widget.row.text


def test_a_model_of_a_scan_that_is_no_longer_chosen_is_not_taken(
    shown, scan, widget, followed, painted, quiet, second
):
    widget.scans.choose(shown.layers["wedge"])
    widget.labels.choose(painted)
    quiet()
    before, shown_before = widget.model, widget._results[scan.signature]
    painted.paint((0, 3), 1)
    widget._follow()
    widget.scans.choose(shown.layers["second"])
    quiet()
    assert widget._results[scan.signature] is not shown_before
    assert widget.model is before


def test_only_the_newest_labels_are_learnt_while_one_training_runs(
    widget, painted, quiet, qtbot, followed
):
    learnt = []
    widget.live.predicted.connect(lambda wanted, result: learnt.append(wanted))
    for y in range(12):
        painted.data[...] = 0
        painted.data[: y + 1, (2, 11)] = (1, 2)
        widget._follow()
    quiet()
    assert len(learnt) <= 3
    assert sum(learnt[-1].counts.values()) == 24


def test_what_goes_wrong_is_said_in_the_dock_and_nowhere_else(
    widget, labels, scan_file, quiet, notes
):
    scan_file.unlink()
    labels.paint((2, 2), 1)
    labels.paint((2, 11), 2)
    quiet()
    assert "could not follow" in widget.row.text
    assert "wedge.npy" in widget.row.text
    assert not notes
    assert widget.train_button.isEnabled()


def test_train_waits_for_the_map_that_follows(widget, labels, quiet, finish):
    labels.brush_size = 3
    labels.paint((4, 2), 1)
    labels.paint((4, 11), 2)
    widget._follow()
    assert widget.live.busy
    widget.train()
    finish(widget.row, 120)
    quiet()
    assert "Predicted from" in widget.row.text
    assert widget.model is not None


def test_with_the_dock_its_work_ends(shown, widget, labels, qtbot):
    labels.paint((2, 2), 1)
    labels.paint((2, 11), 2)
    widget._follow()
    shown.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not widget.live.busy, timeout=WAIT)
    labels.paint((3, 2), 1)
    qtbot.wait(600)
    assert not widget.live.busy
    assert "wedge prediction" not in shown.layers


def test_the_mouse_paints_on_while_maps_arrive_and_the_keyboard_undoes_the_stroke(
    shown, scan, widget, followed, painted, quiet, qtbot
):
    window = shown.window._qt_window
    window.show()
    qtbot.waitExposed(window)
    shown.fit_to_view()
    qtbot.wait(100)
    followed.mode, followed.brush_size, followed.selected_label = "paint", 1, 2
    shown.layers.selection.active = followed
    native, predicted = shown.window._qt_viewer.canvas.native, []
    widget.live.predicted.connect(lambda wanted, result: predicted.append(result))

    def at(y, x):
        world, camera = followed.data_to_world((y, x)), shown.scene.camera
        height, width = shown.window._qt_viewer.canvas.size
        return QPoint(
            round(width / 2 + (world[1] - camera.center[-1]) * camera.zoom),
            round(height / 2 + (world[0] - camera.center[-2]) * camera.zoom),
        )

    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=at(1, 3))
    qtbot.mouseMove(native, at(2, 3))
    painted.paint((6, 6), 1)  # as a key does
    painted.paint((7, 6), 1)
    qtbot.waitUntil(lambda: bool(predicted), timeout=WAIT)
    for y in (3, 4, 5):
        qtbot.mouseMove(native, at(y, 3))
        qtbot.wait(20)
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=at(5, 3))
    quiet()
    decided = widget.session.decisions.decided(scan)
    assert np.argwhere(decided).tolist() == [[y, 3] for y in range(1, 6)]
    assert shown.layers.selection.active is followed
    assert followed.mode == "paint"
    qtbot.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    quiet()
    assert widget.session.decisions.decided(scan) is None
    np.testing.assert_array_equal(followed.data, widget._results[scan.signature].result.prediction)
    del native
