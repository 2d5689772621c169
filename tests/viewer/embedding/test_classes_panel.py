"""The dock that reads embeddings: gates, clusters, comparison with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from helpers.plots import drag, place_of
from napari_ferro4d.results import read_results
from napari_ferro4d.viewer.embedding import CompareDialog

PLUGIN = "napari-ferro4d"


@pytest.fixture
def panel(embedded):
    embedded.pick(0)
    embedded.tabs.setCurrentWidget(embedded.classes)
    return embedded.classes


def lasso(plane, corners):
    """Draw around corners ``(a, b)`` of the plane with the mouse; return what was drawn."""
    return [place_of(plane, point) for point in drag(plane, [*corners, corners[0]])]


def inside(drawn, a, b):
    pairs = np.column_stack([a.ravel(), b.ravel()])
    return Polygon(drawn).contains_points(pairs).reshape(a.shape)


def test_gates_are_drawn_and_become_classes_that_the_classifier_takes(
    shown, dock, embedded, panel, channels, tmp_path
):
    a, b, _ = channels
    left = [(0.6, 0.4), (0.6, -0.3), (1.35, -0.3), (1.35, 0.4)]  # beyond the ends too
    right = [(0.4, 0.6), (0.4, 1.2), (-0.3, 1.2), (-0.3, 0.6)]
    first = inside(lasso(panel.plane, left), a, b)
    layer = shown.layers["wedge gates"]
    np.testing.assert_array_equal(layer.data, first)
    assert first.sum() > 60
    second = inside(lasso(panel.plane, right), a, b)
    assert shown.layers["wedge gates"] is layer
    np.testing.assert_array_equal(layer.data, first + 2 * (second & ~first))
    assert list(layer.features["class"])[1:] == [
        "gate 1: channel 0, channel 1",
        "gate 2: channel 0, channel 1",
    ]
    assert "2" in embedded.row.text
    classifier = dock("Classifier")
    assert classifier.labels.labels() is layer
    assert classifier.wanted().counts == {1: first.sum(), 2: second.sum()}
    assert classifier.train_button.isEnabled()
    shown.layers.selection = {layer}
    shown.layers.save(str(tmp_path / "gates.zarr"), selected=True, plugin=PLUGIN)
    results = read_results(tmp_path / "gates.zarr")
    np.testing.assert_array_equal(results.labels[0].data, layer.data)
    said = [entry["parameters"] for entry in results.provenance if entry["command"] == "gate"]
    assert [one["class"] for one in said] == [1, 2]
    assert said[0]["channels"] == ["channel 0", "channel 1"]
    panel.undo_button.click()
    np.testing.assert_array_equal(layer.data, first)
    assert len(panel.plane.axes.patches) == 1
    notes = layer.metadata["ferro4d"]["provenance"]
    assert [note["parameters"]["class"] for note in notes] == [1]
    layer.undo()
    np.testing.assert_array_equal(layer.data, first + 2 * second)
    panel.clear_button.click()
    assert not (layer.data == 1).any()
    assert not panel.clear_button.isEnabled()
    lasso(panel.plane, left)
    assert len(panel.plane.axes.patches) == 1
    shown.layers.remove(layer)
    assert not panel.plane.axes.patches
    assert not panel.clear_button.isEnabled()


def test_clusters_of_both_kinds_and_ranges_are_labels_and_what_was_painted_stays(
    shown, embedded, panel, channels, finish
):
    panel.classes.setValue(2)
    panel.run.click()
    finish(embedded.row)
    layer = shown.layers["wedge clusters"]
    halves = [np.unique(layer.data[:, :7]), np.unique(layer.data[:, 7:])]
    assert [list(half) for half in halves] in ([[1], [2]], [[2], [1]])
    assert "Found 2 clusters" in embedded.row.text
    layer.data_setitem((np.array([0]), np.array([0])), 2 if layer.data[0, 0] == 1 else 1)
    painted = layer.data.copy()
    panel.method.setCurrentText("HDBSCAN")
    assert not panel.classes.isEnabled()
    panel.run.click()
    finish(embedded.row)
    np.testing.assert_array_equal(layer.data, painted)
    found = [one for one in shown.layers if one.name.startswith("wedge clusters")]
    assert len(found) == 2
    newer = next(one for one in found if one is not layer)
    assert newer.data[6, 2] != newer.data[6, 11]
    embedded.tabs.setCurrentWidget(embedded.range)
    drag(embedded.range.histogram, [(0.5, 1), (2.0, 1)])
    low, _ = embedded.range.histogram.range
    assert low == pytest.approx(0.5, abs=0.03)
    embedded.range.keep_button.click()
    ranges = shown.layers["wedge ranges"]
    np.testing.assert_array_equal(ranges.data, channels[0] >= low)
    assert not newer.visible


def test_a_difference_is_compared_with_a_simulated_one(make_napari_viewer, qtbot):
    from napari_ferro4d.embedding import difference
    from napari_ferro4d.simulate import demo_scan, demo_truth

    viewer = make_napari_viewer()
    scan = demo_scan()
    truth = demo_truth().labels
    found = difference(scan, (truth == 1).astype(float), share=0.4)
    parent = viewer.window._qt_window
    dialog = CompareDialog(parent, viewer, scan, found)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.run.isEnabled(), timeout=20_000)
    assert (dialog.first.value, dialog.second.value) == ("+P", "-P")
    dialog.form.thickness.value = 60.0
    dialog.form.convergence.value = 1.8
    dialog.form.known.value = True
    dialog.run.click()
    qtbot.waitUntil(lambda: not dialog.row.busy, timeout=60_000)
    assert dialog.comparison.overall > 0.4
    assert f"{dialog.comparison.overall:+.2f}" in dialog.number.text()
    assert "high side of the channel is like +P" in dialog.number.text()
    shown = dialog.map.picture.values
    np.testing.assert_array_equal(shown, dialog.comparison.correlation.map)
    assert np.nanmax(np.abs(shown)) <= 1
    dialog.close()
