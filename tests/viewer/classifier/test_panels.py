"""What the model knows beside the prediction: figures, maps, where it looks; other scans."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QDialogButtonBox

from napari_ferro4d.results import LabelResult, read_results
from napari_ferro4d.viewer.classifier import ApplyDialog
from napari_ferro4d.viewer.layers import Origin, add_layers, find_layer, label_layer

NAMES = {1: "up", 2: "left", 5: "down"}
SPOTS = {1: (4, 12), 2: (8, 3), 5: (12, 12)}
WRONG = ((3, 3), (20, 33))


@pytest.fixture(scope="session")
def wedge():
    """Patterns with a weak spot that says which of three domains, side by side, they are of."""
    _, x, ky, kx = np.ogrid[:24, :36, :16, :16]
    patterns = 30 * np.exp(-((ky - 7.5) ** 2 + (kx - 7.5) ** 2) / 6) + 0.0 * x
    for index, (sy, sx) in enumerate(SPOTS.values()):
        spot = 6 * np.exp(-((ky - sy) ** 2 + (kx - sx) ** 2) / 3)
        patterns = patterns + np.where(x // 12 == index, spot, 0)
    patterns = np.broadcast_to(patterns, (24, 36, 16, 16))
    return np.random.default_rng(4).poisson(patterns).astype(np.uint16)


@pytest.fixture
def truth():
    """The class of every position."""
    return np.array(list(NAMES))[np.arange(36) // 12] * np.ones((24, 1), int)


@pytest.fixture
def painted(shown, scan, widget, truth):
    """Labels all over the scan, each right but two."""
    data = np.zeros(scan.scan_shape, np.uint8)
    data[::4, ::3] = truth[::4, ::3]
    data[WRONG[0]], data[WRONG[1]] = 5, 1
    result = LabelResult("labels", data, scan.scan_step, NAMES)
    (layer,) = add_layers(shown, [label_layer(Origin.of(scan), result)])
    widget.labels.choose(layer)
    return layer


@pytest.fixture
def trained(widget, painted, finish):
    """The dock, after a training."""
    widget.train()
    finish(widget.row, 120)
    return widget


def test_figures_are_of_labels_held_out_and_a_wrong_label_is_found(trained, dock, scan):
    panel, held = trained.figures, trained._results[scan.signature].result.held_out
    low, high = (100 * share for share in held.accuracy_range)
    accuracy = f"{100 * held.accuracy:.1f} % (95 % range: {low:.1f} to {high:.1f} %)"
    assert f"Right on {accuracy} of {len(held.labels)} labels" in panel.said.text()
    assert f"{accuracy}." in trained.row.text
    table = panel.confusion
    header = [table.horizontalHeaderItem(i).text() for i in range(table.columnCount())]
    assert header == list(NAMES.values())
    shares = [[float(table.item(i, j).text()) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(shares, held.confusion, atol=0.05)
    assert len(panel.reliability.points.get_offsets()) > 0
    listed = [panel.disagreements.item(row, 0).text() for row in range(2)]
    assert set(listed) == {f"{y}, {x}" for y, x in WRONG}
    row = listed.index("20, 33")
    assert panel.disagreements.item(row, 1).text() == "up"
    assert panel.disagreements.item(row, 2).text() == "down"
    # A click goes there, and opens what shows the pattern where nothing does yet.
    panel.disagreements.cellClicked.emit(row, 0)
    assert dock("Diffraction").probe.position == (20, 33)
    panel.disagreements.cellClicked.emit(1 - row, 0)
    assert dock("Diffraction").probe.position == WRONG[0]


def test_where_too_few_labels_are_apart_there_is_a_sentence_and_no_figure(widget, painted, finish):
    painted.data[...] = 0
    painted.data[3, 3:6] = 1
    painted.data[3, 30:33] = 5
    widget.train()
    finish(widget.row, 120)
    panel = widget.figures
    assert "Too few labels" in panel.said.text()
    assert "%" not in panel.said.text()
    assert not panel.confusion.isVisibleTo(panel)
    assert not panel.reliability.isVisibleTo(panel)
    assert panel.disagreements.rowCount() == 0


def test_figures_and_maps_are_those_of_the_scan_that_is_chosen(trained, shown, second):
    trained.scans.choose(shown.layers["second"])
    assert "Train a model" in trained.figures.said.text()
    trained.scans.choose(shown.layers["wedge"])
    assert "%" in trained.figures.said.text()


def test_maps_are_added_when_ticked_follow_the_prediction_and_go_when_unticked(
    trained, shown, scan, painted, finish
):
    maps = trained.maps
    assert [layer.name for layer in shown.layers if "prob" in layer.name] == []
    maps.tick("probability 2")
    maps.tick("confidence")
    maps.tick("novelty")
    result = trained._results[scan.signature].result
    layer = find_layer(shown, scan.signature, "probability", "left")
    assert layer.name == "wedge probability left"
    assert layer.visible
    np.testing.assert_array_equal(layer.data, result.probability[1])
    assert find_layer(shown, scan.signature, "probability", "up") is None
    confidence = shown.layers["wedge confidence"]
    np.testing.assert_allclose(confidence.data, result.probability.max(axis=0))
    np.testing.assert_array_equal(shown.layers["wedge novelty"].data, result.novelty)
    painted.data[WRONG[0]] = 1
    trained.train()
    finish(trained.row, 120)
    again = trained._results[scan.signature].result
    assert again is not result
    assert find_layer(shown, scan.signature, "probability", "left") is layer
    np.testing.assert_array_equal(layer.data, again.probability[1])
    maps.tick("probability 2", on=False)
    assert layer not in shown.layers
    shown.layers.remove(confidence)
    assert maps.ticked == ["novelty"]


def test_maps_are_followed_again_after_another_scan_and_in_a_new_dock(
    trained, shown, scan, painted, second, dock, finish
):
    trained.scans.choose(shown.layers["wedge"])
    trained.labels.choose(painted)
    ticked = ["confidence", "probability 2"]
    for key in ticked:
        trained.maps.tick(key)
    trained.scans.choose(shown.layers["second"])
    assert trained.maps.ticked == []
    trained.scans.choose(shown.layers["wedge"])
    assert trained.maps.ticked == ticked
    shown.window.remove_dock_widget(trained)
    again = dock("Classifier")
    again.scans.choose(shown.layers["wedge"])
    again.labels.choose(painted)
    painted.data[WRONG[0]] = 1
    again.train()
    finish(again.row, 120)
    assert again.maps.ticked == ticked
    result = again._results[scan.signature].result
    left = find_layer(shown, scan.signature, "probability", "left")
    np.testing.assert_array_equal(left.data, result.probability[1])
    np.testing.assert_array_equal(shown.layers["wedge confidence"].data, result.confidence)
    # A class that is gone takes its map along.
    painted.data[painted.data == 2] = 0
    again.train()
    finish(again.row, 120)
    assert again.maps.ticked == ["confidence"]
    assert find_layer(shown, scan.signature, "probability", "left") is None


def test_classes_are_mixed_in_their_colours_or_in_red_green_and_blue(
    trained, shown, scan, truth, finish, tmp_path
):
    maps = trained.maps
    maps.tick("mixture")
    maps.tick("rgb")
    prediction = shown.layers["wedge prediction"]
    mixture, rgb = shown.layers["wedge mixture"].data, shown.layers["wedge rgb"].data
    for index, number in enumerate(NAMES):
        inside = truth == number
        colour = 255 * prediction.get_color(number)[:3]
        np.testing.assert_allclose(np.median(mixture[inside], axis=0), colour, atol=20)
        assert (rgb[inside].argmax(axis=1) == index).mean() > 0.9
    maps.boxes[0].setCurrentIndex(maps.boxes[0].findData(5))
    maps.boxes[2].setCurrentIndex(0)  # none
    rgb = shown.layers["wedge rgb"].data
    assert (rgb[truth == 5].argmax(axis=1) == 0).mean() > 0.9
    assert not rgb[..., 2].any()
    trained.train()  # what is chosen stays, "none" as well
    finish(trained.row, 120)
    assert [box.currentData() for box in maps.boxes] == [5, 2, 0]
    assert not shown.layers["wedge rgb"].data[..., 2].any()
    maps.tick("probability 1")
    shown.layers.save(str(tmp_path / "out.zarr"), plugin="napari-ferro4d")
    kept = {one.name: one for one in read_results(tmp_path / "out.zarr").maps}
    assert kept["probability"].data.shape == (3, 24, 36)
    assert kept["mixture"].rgb


def test_the_model_looks_at_the_spot_of_each_class(trained, finish, painted):
    trained.looks.button.click()
    finish(trained.row, 120)
    looks = trained.looks
    assert len(looks.images) == 3
    for label, (y, x) in zip(looks.images, SPOTS.values(), strict=True):
        image = label.pixmap().toImage()
        scale = image.width() / 16
        spot = image.pixelColor(int((x + 0.5) * scale), int((y + 0.5) * scale))
        assert spot.red() > spot.blue() + 50
        assert label.toolTip() in NAMES.values()
    assert "speak for the class" in looks.about.text()
    painted.data[WRONG[0]] = 1
    trained.train()
    finish(trained.row, 120)
    assert "earlier model" in looks.about.text()


def test_the_dialog_offers_scans_and_needs_one(qtbot):
    dialog = ApplyDialog(None, "mine", ["first", "second"])
    qtbot.addWidget(dialog)
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert dialog.chosen == [0, 1]
    dialog.list.item(0).setCheckState(dialog.list.item(0).checkState().Unchecked)
    assert dialog.chosen == [1]
    assert ok.isEnabled()
    dialog.list.item(1).setCheckState(dialog.list.item(1).checkState().Unchecked)
    assert not ok.isEnabled()
