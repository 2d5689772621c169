"""What a user paints on a prediction, with undo and redo, and what a new prediction does to it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.results import LabelResult, read_results
from napari_ferro4d.viewer.layers import Origin, add_layers, find_layer, label_layer
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.session import session

CLASSES = {1: "up", 2: "down"}
COLOURS = {1: (1.0, 0.0, 0.0, 1.0), 2: (0.0, 0.0, 1.0, 1.0)}


@pytest.fixture
def decisions(shown):
    return session(shown).decisions


@pytest.fixture
def predict(decisions, scan):
    """Show a machine's prediction: class 1 left of a column, class 2 from it on."""

    def show(wall):
        data = np.ones(scan.scan_shape, np.uint8)
        data[:, wall:] = 2
        return decisions.show(
            scan, LabelResult("prediction", data, scan.scan_step, CLASSES, COLOURS)
        )

    return show


def paint(layer, y, x, number):
    layer.brush_size = 1
    layer.paint((y, x), number)


def recorded(shown, scan):
    layer = find_layer(shown, scan.signature, "corrections")
    return None if layer is None else np.argwhere(layer.data).tolist()


def test_a_prediction_is_an_ordinary_labels_layer_with_classes(shown, predict, scan):
    layer = predict(7)
    assert layer.name == "wedge prediction"
    assert layer.editable
    assert tuple(layer.scale) == scan.scan_step
    np.testing.assert_allclose(layer.get_color(2), COLOURS[2])
    assert recorded(shown, scan) is None


def test_a_stroke_becomes_a_decision_a_moment_later(shown, predict, scan, qtbot):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2]], timeout=60_000)
    kept = shown.layers["wedge corrections"]
    assert kept.data[3, 2] == 2
    assert not kept.visible
    assert not kept.editable
    assert shown.layers.selection.active is layer
    np.testing.assert_allclose(kept.get_color(2), COLOURS[2])


def test_undo_and_redo_count(shown, predict, scan, qtbot):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    paint(layer, 4, 2, 2)
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2], [4, 2]], timeout=60_000)
    layer.undo()
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2]], timeout=60_000)
    layer.undo()
    qtbot.waitUntil(lambda: recorded(shown, scan) == [], timeout=60_000)
    layer.redo()
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2]], timeout=60_000)


def test_fill_counts_and_erasing_takes_back(shown, predict, decisions, scan):
    layer = predict(7)
    layer.fill((0, 0), 2)
    assert int((decisions.decided(scan) == 2).sum()) == 12 * 7
    paint(layer, 5, 5, 0)
    assert decisions.decided(scan)[5, 5] == 0


def test_what_is_erased_shows_the_machines_class_again_and_undo_brings_the_decision_back(
    shown, predict, decisions, scan, qtbot
):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    paint(layer, 8, 12, 1)
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2], [8, 12]], timeout=60_000)
    paint(layer, 3, 2, 0)  # erases a decision
    paint(layer, 5, 9, 0)  # and a position that nobody decided on
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[8, 12]], timeout=60_000)
    assert layer.data[3, 2] == 1
    assert layer.data[5, 9] == 2
    assert np.all(layer.data > 0)
    layer.undo()
    layer.undo()
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[3, 2], [8, 12]], timeout=60_000)
    assert layer.data[3, 2] == 2
    assert layer.data[5, 9] == 2
    layer.redo()
    qtbot.waitUntil(lambda: recorded(shown, scan) == [[8, 12]], timeout=60_000)
    assert layer.data[3, 2] == 1
    assert predict(9).data[3, 2] == 1


def test_a_new_prediction_never_overwrites_decisions(shown, predict, decisions, scan):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    paint(layer, 8, 12, 1)
    later = predict(9)
    assert later.data[3, 2] == 2
    assert later.data[8, 12] == 1
    assert later.data[0, 8] == 1  # elsewhere the machine is believed
    np.testing.assert_array_equal(np.argwhere(decisions.decided(scan)), [[3, 2], [8, 12]])
    assert sum("prediction" in layer.name for layer in shown.layers) == 1


def test_decisions_painted_while_a_training_runs_are_kept(shown, predict, scan):
    layer = predict(7)
    paint(layer, 3, 2, 2)  # not recorded yet: the next prediction arrives at once
    assert predict(9).data[3, 2] == 2


def test_undo_after_a_new_prediction_takes_back_the_decision_and_no_pixel_of_the_old_one(
    shown, predict, decisions, scan
):
    layer = predict(7)
    paint(layer, 3, 8, 1)  # which the new prediction will say, too
    paint(layer, 3, 2, 2)
    paint(layer, 8, 8, 1)
    later = predict(9)
    machine = np.ones(scan.scan_shape, np.uint8)
    machine[:, 9:] = 2
    assert later is layer
    for remaining in ([[3, 2], [3, 8]], [[3, 8]], []):
        layer.undo()
        assert np.argwhere(decisions.decided(scan) if remaining else [[]]).tolist() == remaining
        expected = machine.copy()
        if [3, 2] in remaining:
            expected[3, 2] = 2
        np.testing.assert_array_equal(layer.data, expected)
    assert decisions.decided(scan) is None
    predict(5)
    for expected in ([[3, 8]], [[3, 2], [3, 8]], [[3, 2], [3, 8], [8, 8]]):
        layer.redo()
        assert np.argwhere(decisions.decided(scan)).tolist() == expected
    assert [layer.data[at] for at in ((3, 2), (3, 8), (8, 8), (0, 5), (0, 4))] == [2, 1, 1, 2, 1]


def test_a_step_of_many_positions_and_a_full_history_are_followed(
    shown, predict, decisions, scan, qtbot
):
    layer = predict(7)
    layer.fill((0, 0), 2)
    layer.brush_size = 3
    with layer.block_history():  # as a stroke of the mouse does
        layer.paint((5, 5), 1)
        layer.paint((6, 6), 1)
    predict(4)
    layer.undo()
    assert int((decisions.decided(scan) == 2).sum()) == 12 * 7
    layer.undo()
    assert decisions.decided(scan) is None
    np.testing.assert_array_equal(layer.data[0], [1] * 4 + [2] * 10)
    most = layer._undo_history.maxlen
    for step in range(most + 3):
        paint(layer, step % 12, 13, 1 + step // 12 % 2)
    predict(6)
    now = decisions.decided(scan)
    layer.undo()
    last = (most + 2) % 12
    assert decisions.decided(scan)[last, 13] == 3 - now[last, 13]
    for _ in range(most):
        layer.undo()
    layer.redo()
    layer.redo()
    assert decisions.decided(scan)[3, 13] == layer.data[3, 13]


def test_no_prediction_comes_in_the_middle_of_a_stroke(shown, predict, decisions, scan, qtbot):
    layer = predict(7)
    layer.brush_size = 1
    with layer.block_history():
        layer.paint((3, 2), 2)
        predict(9)
        qtbot.wait(400)
        assert layer.data[0, 8] == 2
        layer.paint((4, 2), 2)
    qtbot.waitUntil(lambda: layer.data[0, 8] == 1, timeout=60_000)
    assert np.argwhere(decisions.decided(scan)).tolist() == [[3, 2], [4, 2]]
    layer.undo()
    assert decisions.decided(scan) is None
    assert (layer.data[3, 2], layer.data[0, 8]) == (1, 1)


def test_an_undo_while_the_layer_is_hidden_counts(shown, predict, decisions, scan):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    paint(layer, 4, 2, 2)
    layer.visible = False
    layer.undo()
    layer.visible = True
    paint(layer, 9, 1, 2)
    assert np.argwhere(decisions.decided(scan)).tolist() == [[3, 2], [9, 1]]


def test_a_new_prediction_brings_its_classes_and_keeps_those_decided(shown, decisions, scan):
    def result(names):
        data = np.full(scan.scan_shape, min(names), np.uint8)
        return LabelResult("prediction", data, scan.scan_step, names)

    layer = decisions.show(scan, result(CLASSES))
    paint(layer, 3, 2, 2)
    layer.selected_label = 2
    decisions.show(scan, result({1: "up", 3: "left"}))
    assert list(layer.features["class"]) == ["unlabelled", "up", "down", "left"]
    assert layer.selected_label == 2
    assert layer.data[3, 2] == 2


def test_display_and_place_of_the_prediction_stay(shown, predict):
    layer = predict(7)
    shown.add_points(np.zeros((1, 2)))
    layer.opacity, layer.contour, layer.brush_size, layer.mode = 0.3, 2, 5, "paint"
    shown.layers.selection.active = layer
    place = shown.layers.index(layer)
    later = predict(9)
    assert shown.layers.index(later) == place
    assert (later.opacity, later.contour, later.brush_size, later.mode) == (0.3, 2, 5, "paint")
    assert shown.layers.selection.active is later is layer


def test_a_renamed_prediction_is_still_the_prediction(shown, predict):
    predict(7).name = "my domains"
    assert predict(9).name == "my domains"


def test_corrections_go_on_after_saving_and_reopening(
    shown, predict, decisions, scan, tmp_path, make_napari_viewer
):
    layer = predict(7)
    paint(layer, 3, 2, 2)
    decisions.flush()
    path = tmp_path / "out.zarr"
    shown.layers.save(str(path), plugin="napari-ferro4d")
    assert {one.name for one in read_results(path).labels} == {"prediction", "corrections"}
    again = make_napari_viewer()
    later = session(again).decisions
    again.open(path, plugin="napari-ferro4d")
    paint(again.layers["wedge prediction"], 9, 1, 2)
    assert np.argwhere(later.decided(scan)).tolist() == [[3, 2], [9, 1]]
    machine = LabelResult("prediction", np.ones(scan.scan_shape, np.uint8), scan.scan_step)
    shows = later.show(scan, machine).data
    assert np.argwhere(shows == 2).tolist() == [[3, 2], [9, 1]]


@pytest.fixture
def kept_folder(shown, predict, decisions, tmp_path):
    """A results folder with a prediction and nothing else."""
    layer = predict(7)
    shown.layers.selection = {layer}
    shown.layers.save(str(tmp_path / "old.zarr"), selected=True, plugin="napari-ferro4d")
    return tmp_path / "old.zarr"


def test_a_prediction_opened_beside_decisions_shows_and_keeps_them(
    shown, predict, decisions, scan, kept_folder, qtbot, notes
):
    first = find_layer(shown, scan.signature, "prediction")
    paint(first, 3, 2, 2)
    decisions.flush()
    paint(first, 4, 2, 2)  # not recorded yet
    shown.open(kept_folder, plugin="napari-ferro4d")
    second = find_layer(shown, scan.signature, "prediction")
    assert second is not first
    assert (second.data[3, 2], second.data[4, 2]) == (2, 2)
    paint(second, 9, 1, 2)
    assert np.argwhere(decisions.decided(scan) == 2).tolist() == [[3, 2], [4, 2], [9, 1]]
    assert np.count_nonzero(decisions.decided(scan)) == 3
    second.undo()
    assert np.argwhere(decisions.decided(scan)).tolist() == [[3, 2], [4, 2]]
    # The older one is out of use: it can be seen, not painted.
    assert not first.editable
    paint(first, 0, 0, 2)
    assert np.argwhere(decisions.decided(scan)).tolist() == [[3, 2], [4, 2]]
    assert any("wedge prediction" in note for note in notes)
    later = predict(9)
    assert [later.data[at] for at in ((3, 2), (4, 2), (0, 8))] == [2, 2, 1]
    assert later is second
    assert first in shown.layers


def test_a_second_corrections_layer_is_labels_like_any_other(
    shown, predict, decisions, scan, tmp_path
):
    paint(predict(7), 3, 2, 2)
    decisions.flush()
    shown.layers.save(str(tmp_path / "out.zarr"), plugin="napari-ferro4d")
    paint(find_layer(shown, scan.signature, "prediction"), 9, 1, 2)
    shown.open(tmp_path / "out.zarr", plugin="napari-ferro4d")
    assert np.argwhere(decisions.decided(scan)).tolist() == [[3, 2], [9, 1]]
    older = shown.layers["wedge corrections [1]"]
    assert older.editable
    assert np.argwhere(older.data).tolist() == [[3, 2]]


def test_corrections_that_come_after_the_prediction_are_shown_on_it(
    shown, decisions, scan, kept_folder, predict
):
    paint(find_layer(shown, scan.signature, "prediction"), 3, 2, 2)
    decided = np.array(decisions.decided(scan))
    shown.layers.remove("wedge prediction")
    shown.layers.remove("wedge corrections")
    shown.open(kept_folder, plugin="napari-ferro4d")
    prediction = shown.layers["wedge prediction"]
    paint(prediction, 0, 0, 2)
    kept = LabelResult("corrections", decided, scan.scan_step, CLASSES, COLOURS)
    add_layers(shown, [label_layer(Origin.of(scan), kept)])
    assert prediction.data[3, 2] == 2
    paint(prediction, 9, 1, 2)
    assert np.argwhere(decisions.decided(scan)).tolist() == [[0, 0], [3, 2], [9, 1]]


def test_no_corrections_layer_can_be_painted(shown, predict, decisions, scan, tmp_path):
    paint(predict(7), 3, 2, 2)
    decisions.flush()
    paint(find_layer(shown, scan.signature, "prediction"), 4, 2, 2)
    decisions.flush()  # new data make a napari layer editable again
    kept = shown.layers["wedge corrections"]
    assert not kept.editable
    shown.dims.ndisplay = 3
    shown.dims.ndisplay = 2
    assert not kept.editable
    shown.layers.save(str(tmp_path / "out.zarr"), plugin="napari-ferro4d")
    session(shown).autosave()
    shown.layers.clear()
    shown.open(tmp_path / "out.zarr", plugin="napari-ferro4d")
    assert not shown.layers["wedge corrections"].editable
    shown.layers.clear()
    add_layers(shown, opened_layers(scan))
    assert not shown.layers["wedge corrections"].editable


def test_a_results_folder_alone_is_watched(make_napari_viewer, kept_folder, qtbot):
    again = make_napari_viewer()
    again.open(kept_folder, plugin="napari-ferro4d")
    paint(again.layers["wedge prediction"], 3, 2, 2)
    qtbot.waitUntil(lambda: "wedge corrections" in again.layers, timeout=60_000)
    assert np.argwhere(again.layers["wedge corrections"].data).tolist() == [[3, 2]]
