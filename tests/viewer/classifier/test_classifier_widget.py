"""From labelled positions to a corrected map, as a user does it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_ferro4d.learn import Model, load_model, save_model
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import LabelResult
from napari_ferro4d.viewer.layers import Origin, add_layers, find_layer, label_layer
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.widgets import load_or_say, save_or_say


def test_what_is_missing_is_said_on_the_buttons(shown, scan, widget, labels):
    assert not widget.train_button.isEnabled()
    assert "two classes" in widget.train_button.toolTip()
    shown.layers.remove(labels)
    assert "labels layer" in widget.train_button.toolTip()
    assert not widget.models.predict_button.isEnabled()
    assert "Train a model" in widget.models.predict_button.toolTip()


def test_labels_of_another_scan_or_shape_are_not_offered(shown, widget, scan):
    shown.add_labels(np.zeros((3, 3), int), name="elsewhere")
    shown.add_labels(np.zeros(scan.scan_shape, int), name="fits")
    names = [layer.name for layer in widget.labels.choices]
    assert names == ["fits"]


def test_train_predict_correct_train_again(shown, scan, widget, painted, finish, truth):
    widget.train_button.click()
    assert not widget.train_button.isEnabled()
    finish(widget.row, 120)
    prediction = shown.layers["wedge prediction"]
    assert (prediction.data == truth).mean() > 0.95
    assert list(prediction.features["class"]) == ["unlabelled", "up", "down"]
    np.testing.assert_allclose(prediction.get_color(2), painted.get_color(2))
    # What the user said lies above what the model says.
    assert shown.layers.index(prediction) < shown.layers.index(painted)
    # The user knows better: a strip that looks like class 1 is class 2.
    prediction.brush_size = 1
    for y in range(12):
        prediction.paint((y, 0), 2)
    widget.train_button.click()
    finish(widget.row, 120)
    assert find_layer(shown, scan.signature, "prediction") is prediction
    assert (prediction.data[:, 0] == 2).all()
    assert (shown.layers["wedge corrections"].data[:, 0] == 2).all()
    (note,) = prediction.metadata["ferro4d"]["provenance"]
    painted.data[:, 0] = 0
    counts = dict(zip(*np.unique(painted.data[painted.data > 0], return_counts=True), strict=True))
    counts[2] += 12
    assert note["parameters"]["labelled"] == {str(n): count for n, count in counts.items()}


def test_corrections_count_where_the_labels_say_otherwise(shown, scan, widget, painted, finish):
    painted.paint((3, 3), 1)
    widget.train_button.click()
    finish(widget.row, 120)
    prediction = shown.layers["wedge prediction"]
    prediction.brush_size = 1
    prediction.paint((3, 3), 2)
    widget.train_button.click()
    finish(widget.row, 120)
    assert "At 1 position your corrections say otherwise" in widget.row.text
    assert prediction.data[3, 3] == 2
    assert painted.data[3, 3] == 1


def test_a_model_is_saved_loaded_and_used_on_its_own(
    shown, scan, widget, painted, finish, tmp_path
):
    widget.train_button.click()
    finish(widget.row, 120)
    before = shown.layers["wedge prediction"].data.copy()
    path = save_or_say(widget.model, tmp_path / "domains")
    assert path.name == "domains.safetensors"
    assert load_model(path).kind == "classifier"
    shown.layers.remove("wedge prediction")
    widget.models.set_model(load_or_say(path, "classifier"), path.name)
    widget.models.predict_button.click()
    finish(widget.row, 120)
    np.testing.assert_array_equal(shown.layers["wedge prediction"].data, before)


def test_a_model_of_the_wrong_kind_is_refused_with_a_notice(tmp_path, notes):
    path = tmp_path / "no model.safetensors"
    path.write_bytes(b"nothing")
    assert load_or_say(path, "classifier") is None
    assert len(notes) == 1
    assert "no model.safetensors" in notes[0]


def test_a_model_of_an_older_version_is_refused_in_the_dock(widget, tmp_path):
    header = {"preset": "compact", "classes": [1, 2], "temperature": 1.0}
    path = tmp_path / "old.safetensors"
    save_model(Model("classifier", header, {"weights": np.zeros(3, np.float32)}), path)
    widget.models.set_model(load_model(path), path.name)
    assert widget.model is None
    assert "old.safetensors" in widget.row.text
    assert "train it again" in widget.row.text
    assert not widget.models.predict_button.isEnabled()
    assert widget.models.load_button.isEnabled()


def test_a_model_with_other_classes_says_so(shown, scan, widget, painted, finish):
    widget.train_button.click()
    finish(widget.row, 120)
    trained = widget.model
    names = {1: "up", 2: "left", 3: "right"}
    data = np.array(painted.data)
    data[0, 0] = 3
    other = LabelResult("others", data, scan.scan_step, names)
    (layer,) = add_layers(shown, [label_layer(Origin.of(scan), other)])
    widget.labels.choose(layer)
    widget.models.set_model(trained, "mine")
    said = widget.models.about.text()
    assert "without 'right'" in said
    assert "2 is 'down' in the model and 'left'" in said
    widget.models.predict_button.click()
    finish(widget.row, 120)
    assert list(shown.layers["wedge prediction"].features["class"]) == ["unlabelled", "up", "down"]


@pytest.mark.parametrize("when", ["at the start", "while it reads"])
def test_cancelling_leaves_everything_as_it_was(shown, widget, painted, finish, when):
    layers = list(shown.layers)
    seen = []

    def cancel(progress):
        begun = progress.done and "starting" not in progress.message
        if not seen and (begun or when == "at the start"):
            seen.append(progress.message)
            widget.row._cancel.click()

    widget.row.progressed.connect(cancel)
    widget.train_button.click()
    finish(widget.row, 60)
    assert seen
    assert "cancelled" in widget.row.text
    assert list(shown.layers) == layers
    assert widget.model is None
    assert widget.train_button.isEnabled()


def test_names_are_those_at_the_start_and_stay_with_the_model(
    shown, scan, widget, painted, finish, second, tmp_path
):
    widget.scans.choose(shown.layers["wedge"])
    widget.train_button.click()
    # While that runs: another scan with labels and names of its own.
    widget.scans.choose(shown.layers["second"])
    other = LabelResult("labels", np.ones(scan.scan_shape, np.uint8), None, {1: "left", 2: "right"})
    (layer,) = add_layers(shown, [label_layer(Origin.of(second), other)])
    widget.labels.choose(layer)
    finish(widget.row, 120)
    prediction = shown.layers["wedge prediction"]
    assert list(prediction.features["class"]) == ["unlabelled", "up", "down"]
    (note,) = prediction.metadata["ferro4d"]["provenance"]
    assert note["parameters"]["labelled"].keys() == {"1", "2"}
    assert note["parameters"]["preset"] == "fast"
    assert note["made"] == ["labels/prediction"]
    # The model, saved and loaded, brings its names to the other scan, whatever is painted there.
    path = save_or_say(widget.model, tmp_path / "domains")
    widget.models.set_model(load_or_say(path, "classifier"), path.name)
    assert widget.scans.scan().name == "second"
    widget.models.predict_button.click()
    finish(widget.row, 120)
    prediction = shown.layers["second prediction"]
    assert list(prediction.features["class"]) == ["unlabelled", "up", "down"]
    np.testing.assert_allclose(prediction.get_color(2), painted.get_color(2))


def test_a_model_is_applied_to_other_scans_and_each_says_how_that_went(
    shown, widget, painted, finish, second, counts, tmp_path
):
    np.save(tmp_path / "cropped.npy", counts[..., :12])
    cropped = open_scan(tmp_path / "cropped.npy", scan_step=(1.5, 2.0), k_step=0.02)
    add_layers(shown, opened_layers(cropped))
    widget.scans.choose(shown.layers["wedge"])
    widget.train_button.click()
    finish(widget.row, 120)
    widget.apply_to(widget.models.other_scans())
    finish(widget.row, 120)
    assert widget.row.text == "Predicted 1 of 2 scans."
    first, other = widget.models.applied.text().splitlines()
    assert first.startswith("second: ")
    assert other.startswith("cropped: ")
    assert "detector" in other
    assert "second prediction" in shown.layers
    assert "cropped prediction" not in shown.layers
    assert widget.scans.scan().name == "wedge"


def test_labels_are_learnt_from_in_all_orientations_that_the_user_declares(
    shown, widget, painted, finish
):
    field = widget.form.symmetry
    field.value = "rot180: 1->2"
    field.native.editingFinished.emit()
    assert "does not say what becomes of class 2" in widget.row.text
    assert not widget.train_button.isEnabled()
    assert "class 2" in widget.train_button.toolTip()
    field.value = "rot180: 1->2, 2->1; mirror-x: 1->1, 2->2"
    field.native.editingFinished.emit()
    assert "class 2" not in widget.row.text
    widget.train_button.click()
    finish(widget.row, 120)
    assert "Predicted from" in widget.row.text
    (note,) = shown.layers["wedge prediction"].metadata["ferro4d"]["provenance"]
    declared = ["rot180: 1->2, 2->1", "mirror-x: 1->1, 2->2"]
    assert note["parameters"]["symmetry"] == declared
    field.value = ""
    assert widget.wanted().options["symmetry"] is None


def test_names_given_to_the_prediction_are_learnt_where_there_is_no_labels_layer(
    shown, scan, widget, labels
):
    names, colours = {1: "left", 2: "right"}, {1: (1.0, 0, 0, 1.0), 2: (0, 0, 1.0, 1.0)}
    data = np.ones(scan.scan_shape, np.uint8)
    layer = widget.session.decisions.show(
        scan, LabelResult("prediction", data, scan.scan_step, names, colours)
    )
    shown.layers.remove(labels)
    layer.brush_size = 1
    layer.paint((0, 0), 2)
    layer.paint((1, 1), 1)
    widget.session.decisions.flush()
    wanted = widget.wanted()
    assert wanted.counts == {2: 1}
    assert wanted.options["classes"] == {2: "right"}
    assert wanted.options["colours"] == {2: (0, 0, 1.0, 1.0)}


def test_labels_of_another_shape_are_refused_in_the_dock(widget, painted, qtbot):
    painted.data = np.ones((3, 4), np.uint8)
    qtbot.waitUntil(lambda: "3 x 4" in widget.train_button.toolTip(), timeout=60_000)
    assert not widget.train_button.isEnabled()
    widget.train()
    assert "wedge labels: has 3 x 4 pixels, the scan 12 x 14 positions" in widget.row.text
    assert not widget.row.busy


def test_a_class_with_one_label_gives_a_map_and_no_figure_that_hides_it(
    shown, widget, labels, finish
):
    labels.brush_size = 1
    for y in range(0, 12, 3):
        labels.paint((y, 2), 1)
    labels.paint((5, 12), 2)
    widget.train()
    finish(widget.row, 120)
    assert set(np.unique(shown.layers["wedge prediction"].data)) == {1, 2}
    assert "Too few labels" in widget.row.text
    assert "Too few labels" in widget.figures.said.text()


def test_with_all_docks_open_the_window_keeps_its_size(shown, dock, qtbot):
    """Docks are stacked first and made tabs then; a window that grows for that stays so."""
    window = shown.window._qt_window
    window.show()
    qtbot.waitExposed(window)
    window.resize(1200, 800)
    names = ("Diffraction", "Centre of mass", "Autoencoder", "Classifier")
    docks = []
    for name in names:
        docks.append(dock(name))
        qtbot.waitUntil(lambda: getattr(docks[-1], "placed", True), timeout=60_000)
    qtbot.wait(200)
    assert window.height() <= 800
    assert docks[-1].minimumSizeHint().height() >= 200  # enough of it is seen to work with
    for one in docks[1:]:
        one.parent().raise_()
        qtbot.wait(100)
        inside = one._scroll.widget()
        assert inside.width() <= one._scroll.viewport().width()


def test_progress_and_cancel_are_in_sight_while_something_runs(shown, dock, qtbot, finish):
    from qtpy.QtCore import QPoint

    window = shown.window._qt_window
    window.show()
    qtbot.waitExposed(window)
    window.resize(1200, 760)
    dock("Diffraction")
    widget = dock("Classifier")
    qtbot.waitUntil(lambda: widget.placed, timeout=60_000)
    qtbot.wait(200)
    widget._scroll.verticalScrollBar().setValue(0)
    gone = []

    def work(report):
        while not gone:
            time.sleep(0.01)

    widget.row.start(work, lambda result: None, "Waiting")
    qtbot.wait(50)
    bottom = widget.row._cancel.mapTo(
        widget._scroll.viewport(), QPoint(0, widget.row._cancel.height())
    )
    assert 0 < bottom.y() <= widget._scroll.viewport().height()
    gone.append(True)
    finish(widget.row)
