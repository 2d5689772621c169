"""From painted positions to a corrected map, as a user does it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_ferro4d.learn import load_model
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import LabelResult
from napari_ferro4d.viewer.layers import Origin, add_layers, find_layer, label_layer
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.widgets import load_or_say, save_or_say


@pytest.fixture
def widget(dock):
    return dock("Classifier")


@pytest.fixture
def painted(shown, widget):
    """Thirty positions of each side painted, as the patterns have it."""
    widget.new_labels()
    layer = shown.layers["wedge labels"]
    layer.brush_size = 1
    rng = np.random.default_rng(1)
    for number, columns in ((1, (0, 7)), (2, (7, 14))):
        for y, x in zip(rng.integers(0, 12, 30), rng.integers(*columns, 30), strict=True):
            layer.paint((int(y), int(x)), number)
    widget.table.fill()
    return layer


def test_a_new_labels_layer_is_ready_to_paint(shown, widget, scan):
    assert not widget.train_button.isEnabled()
    assert "labels layer" in widget.train_button.toolTip()
    widget.new_button.click()
    layer = shown.layers["wedge labels"]
    assert layer.data.shape == scan.scan_shape
    assert layer.mode == "paint"
    assert layer.selected_label == 1
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 2
    assert widget.labels.labels() is layer
    assert widget.table.counts == {1: 0, 2: 0}
    assert "two classes" in widget.train_button.toolTip()


def test_the_table_counts_names_and_picks_classes(shown, widget, qtbot):
    widget.new_labels()
    layer = shown.layers["wedge labels"]
    layer.brush_size = 1
    layer.paint((2, 3), 2)
    qtbot.waitUntil(lambda: widget.table.item(1, 2).text() == "1", timeout=60_000)
    widget.table.cellClicked.emit(1, 0)
    assert layer.selected_label == 2
    widget.table.item(1, 1).setText("down")
    assert list(layer.features["class"]) == ["unlabelled", "domain 1", "down"]
    widget.add_button.click()
    assert widget.table.counts == {1: 0, 2: 1, 3: 0}
    assert layer.selected_label == 3
    colours = {tuple(layer.get_color(n)) for n in (1, 2, 3)}
    assert len(colours) == 3


def test_labels_of_another_scan_or_shape_are_not_offered(shown, widget, scan):
    shown.add_labels(np.zeros((3, 3), int), name="elsewhere")
    shown.add_labels(np.zeros(scan.scan_shape, int), name="fits")
    names = [layer.name for layer in widget.labels.choices]
    assert names == ["fits"]


def test_train_predict_correct_retrain(shown, scan, widget, painted, finish, qtbot):
    widget.train_button.click()
    assert not widget.train_button.isEnabled()
    finish(widget.row, 120)
    prediction = shown.layers["wedge prediction"]
    truth = np.where(np.arange(14) < 7, 1, 2) * np.ones((12, 1), int)
    assert (prediction.data == truth).mean() > 0.9
    assert list(prediction.features["class"]) == ["unlabelled", "domain 1", "domain 2"]
    np.testing.assert_allclose(prediction.get_color(2), painted.get_color(2))
    maps = [layer for layer in shown.layers if "probability" in layer.name]
    assert [layer.name for layer in maps] == [
        "wedge probability domain 1",
        "wedge probability domain 2",
    ]
    np.testing.assert_allclose(maps[0].data + maps[1].data, 1, atol=1e-4)
    assert not widget.retrain_button.isEnabled()
    assert "Paint over" in widget.retrain_button.toolTip()
    # The user knows better: a strip that looks like class 1 is class 2.
    prediction.brush_size = 1
    for y in range(12):
        prediction.paint((y, 0), 2)
    qtbot.waitUntil(widget.retrain_button.isEnabled, timeout=60_000)
    widget.retrain_button.click()
    finish(widget.row, 120)
    again = find_layer(shown, scan.signature, "prediction")
    assert (again.data[:, 0] == 2).all()
    assert (shown.layers["wedge corrections"].data[:, 0] == 2).all()
    assert sum("prediction" in layer.name for layer in shown.layers) == 1


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
    widget.set_model(load_or_say(path, "classifier"), path.name)
    widget.predict_button.click()
    finish(widget.row, 120)
    np.testing.assert_array_equal(shown.layers["wedge prediction"].data, before)


def test_a_model_of_the_wrong_kind_is_refused_with_a_notice(tmp_path, notes):
    path = tmp_path / "no model.safetensors"
    path.write_bytes(b"nothing")
    assert load_or_say(path, "classifier") is None
    assert len(notes) == 1
    assert "no model.safetensors" in notes[0]


@pytest.mark.parametrize("during", ["epoch", "patterns"])
def test_cancelling_leaves_everything_as_it_was(shown, widget, painted, finish, qtbot, during):
    layers = list(shown.layers)
    widget._neighbourhood.value = 2
    seen = []

    def cancel(progress):
        if progress.done and during in progress.message and not seen:
            seen.append((progress.done, progress.total))
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
    shown, scan, widget, painted, finish, counts, tmp_path
):
    widget.table.item(0, 1).setText("+P")
    widget.table.item(1, 1).setText("-P")
    np.save(tmp_path / "second.npy", counts[::-1])
    second = open_scan(tmp_path / "second.npy", scan_step=(1.5, 2.0), k_step=0.02)
    add_layers(shown, opened_layers(second))
    widget.scans.choose(shown.layers["wedge"])
    widget.train_button.click()
    # While that runs: another scan with labels and names of its own.
    widget.scans.choose(shown.layers["second"])
    other = LabelResult("labels", np.ones(scan.scan_shape, np.uint8), None, {1: "left", 2: "right"})
    (layer,) = add_layers(shown, [label_layer(Origin.of(second), other)])
    widget.labels.choose(layer)
    finish(widget.row, 120)
    prediction = shown.layers["wedge prediction"]
    assert list(prediction.features["class"]) == ["unlabelled", "+P", "-P"]
    (note,) = prediction.metadata["ferro4d"]["provenance"]
    assert note["parameters"]["labelled"].keys() == {"1", "2"}
    assert note["parameters"]["preset"] == "compact"
    assert note["parameters"]["epochs"] > 0
    assert note["made"] == ["maps/probability", "labels/prediction"]
    # The model, saved and loaded, brings its names to the other scan, whatever is painted there.
    path = save_or_say(widget.model, tmp_path / "domains")
    widget.set_model(load_or_say(path, "classifier"), path.name)
    assert widget.scans.scan().name == "second"
    widget.predict_button.click()
    finish(widget.row, 120)
    prediction = shown.layers["second prediction"]
    assert list(prediction.features["class"]) == ["unlabelled", "+P", "-P"]
    np.testing.assert_allclose(prediction.get_color(2), painted.get_color(2))


def test_one_class_is_not_enough(shown, scan, widget):
    widget.new_labels()
    layer = shown.layers["wedge labels"]
    layer.fill((0, 0), 1)
    widget.table.fill()
    assert not widget.train_button.isEnabled()
    assert "two classes" in widget.train_button.toolTip()


def test_a_later_prediction_takes_the_names_given_to_the_prediction(shown, scan, widget):
    names, colours = {1: "up", 2: "down"}, {1: (1.0, 0.0, 0.0, 1.0), 2: (0.0, 0.0, 1.0, 1.0)}
    data = np.ones(scan.scan_shape, np.uint8)
    widget.session.decisions.show(
        scan, LabelResult("prediction", data, scan.scan_step, names, colours)
    )
    assert widget._class_style(scan, (1, 2)) == (names, colours)


def test_the_class_in_the_table_is_the_one_painted_with(shown, dock):
    """By mouse, by the arrow keys, and where napari's own controls choose it."""
    widget = dock("Classifier")
    widget.new_labels()
    layer = widget.labels.labels()

    def marked():
        return {index.row() for index in widget.table.selectedIndexes()}

    assert layer.selected_label == 1
    assert marked() == {0}
    widget.table.selectRow(1)
    assert layer.selected_label == 2
    layer.selected_label = 1
    assert marked() == {0}
    layer.selected_label = 7  # no class yet
    assert marked() == set()
    assert layer.selected_label == 7


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
