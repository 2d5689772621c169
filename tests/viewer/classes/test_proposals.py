"""Labels proposed by maps and label images: taken with the mouse, undone, discarded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from helpers.plots import drag
from napari_ferro4d.results import LabelResult, MapResult
from napari_ferro4d.viewer.classes import ProposalsPanel
from napari_ferro4d.viewer.layers import (
    Origin,
    add_layers,
    classes_of,
    colour_of,
    label_layer,
    layer_info,
    map_layers,
)
from napari_ferro4d.viewer.session import autosave_file, session
from napari_ferro4d.viewer.widgets import LabelsChoice

SHAPE = (12, 14)
NAMES = {1: "up", 2: "down"}


@pytest.fixture
def shown(shown_again):
    return shown_again


@pytest.fixture
def scan(shared_scan):
    return shared_scan


def image(shown, scan, name, data, **keywords):
    """Add a label image of the scan to the viewer, or a map where it is of floats."""
    if data.dtype.kind == "f":
        (made,) = map_layers(Origin.of(scan), MapResult(name, data, scan.scan_step))
    else:
        made = label_layer(Origin.of(scan), LabelResult(name, data, scan.scan_step, **keywords))
    return add_layers(shown, [made])[0]


@pytest.fixture
def labels(shown, scan):
    colours = {n: colour_of(n) for n in NAMES}
    empty = np.zeros(SHAPE, np.uint8)
    return image(shown, scan, "labels", empty, classes=NAMES, colours=colours)


@pytest.fixture
def panel(shown, scan, labels):
    """The panel in a dock, in a window on the screen."""
    panel = ProposalsPanel(shown, session(shown), lambda: scan, lambda: labels)
    panel.take.most.value = None
    shown.window.add_dock_widget(panel)
    shown.window.show()
    assert QTest.qWaitForWindowExposed(shown.window._qt_window, 60_000)
    yield panel
    panel.end()


@pytest.fixture
def halves(shown, scan):
    """A map that is 0 on the left half of the scan and 1 on the right, and NaN at one position."""
    values = np.zeros(SHAPE, np.float32)
    values[:, 7:] = 1.0
    values[0, 0] = np.nan
    return image(shown, scan, "virtual", values)


@pytest.fixture
def clusters(shown, scan):
    """Three clusters, of which the first is in two pieces."""
    data = np.zeros(SHAPE, np.uint8)
    data[:3], data[9:], data[3:9, :7], data[3:9, 8:] = 1, 1, 2, 3
    return image(shown, scan, "clusters", data, classes={n: f"cluster {n}" for n in (1, 2, 3)})


class Canvas:
    """The mouse over the canvas of the viewer, at probe positions ``(y, x)``."""

    def __init__(self, viewer, layer, qtbot):
        self.viewer, self.layer, self.qtbot = viewer, layer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas

    def at(self, y, x):
        camera = self.viewer.scene.camera
        height, width = self.canvas.size
        world = np.array(self.layer.data_to_world((y, x)))
        down, right = (world - camera.center[-2:]) * camera.zoom
        return QPoint(round(width / 2 + right), round(height / 2 + down))

    def click(self, y, x, wait=600):
        self.qtbot.wait(wait)  # or it would be the second of a double click
        QTest.mouseMove(self.canvas.native, self.at(y, x))
        QTest.mouseClick(self.canvas.native, Qt.MouseButton.LeftButton, pos=self.at(y, x))

    def double_click(self, y, x):
        self.click(y, x)
        QTest.mouseDClick(self.canvas.native, Qt.MouseButton.LeftButton, pos=self.at(y, x))
        QTest.mouseRelease(self.canvas.native, Qt.MouseButton.LeftButton, pos=self.at(y, x))

    def drag(self, places):
        points = [self.at(*place) for place in places]
        QTest.mousePress(self.canvas.native, Qt.MouseButton.LeftButton, pos=points[0])
        for point in points[1:]:
            QTest.mouseMove(self.canvas.native, point)
            self.qtbot.wait(10)
        QTest.mouseRelease(self.canvas.native, Qt.MouseButton.LeftButton, pos=points[-1])
        self.qtbot.wait(10)


@pytest.fixture
def canvas(shown, panel, labels, qtbot):
    QTest.qWait(300)  # the canvas takes its size
    shown.reset_view()
    return Canvas(shown, labels, qtbot)


def choose(panel, layer, meant=None):
    panel.form.source.choose(layer)
    if meant is not None:
        panel.form.values.set_meant(meant)
        panel.form.update_proposals()


def proposed(shown):
    return shown.layers["wedge proposed"]


def test_ranges_of_a_virtual_image_are_dragged_and_proposed_for_two_classes(
    shown, panel, labels, halves, qtbot
):
    assert "wedge proposed" not in shown.layers
    choose(panel, halves)
    assert panel.form.range.isVisible()
    assert "Drag a range" in panel.said.text()
    drag(panel.form.range.view, [(0.4, 1), (-0.01, 1)])
    panel.form.class_choice.setCurrentIndex(1)
    panel.form.class_choice.activated.emit(1)
    qtbot.wait(50)
    drag(panel.form.range.view, [(0.6, 1), (1.2, 1)])
    expected = np.ones(SHAPE, int)
    expected[:, 7:] = 2
    expected[0, 0] = 0
    qtbot.waitUntil(lambda: np.array_equal(proposed(shown).data, expected))
    assert sorted(panel.form.range.ranges) == [1, 2]
    assert "83 up, 84 down" in panel.said.text()
    # The ends can be typed, too; a value in the ranges of two classes proposes nothing.
    panel.form.range.ends.low.setValue(0.0)
    panel.form.range.ends.low.editingFinished.emit()
    qtbot.waitUntil(lambda: np.array_equal(proposed(shown).data, np.where(expected == 2, 2, 0)))
    panel.form.range.ends.low.setValue(0.7)
    panel.form.range.ends.low.editingFinished.emit()
    qtbot.waitUntil(lambda: np.array_equal(proposed(shown).data, expected))
    # Nothing is the user's yet, and what is proposed is not painted on.
    assert not labels.data.any()
    layer = proposed(shown)
    assert not layer.editable
    assert layer.opacity < 0.6
    assert classes_of(layer) == NAMES
    assert shown.layers.index(layer) < shown.layers.index(labels)


def test_an_area_is_accepted_by_a_click_and_one_undo_takes_it_back(
    shown, panel, labels, clusters, canvas
):
    labels.data_setitem((np.array([1]), np.array([2])), 2)
    choose(panel, clusters, {1: 1, 2: 2, 3: 1})
    panel.take.accept_click.click()
    assert shown.layers.selection.active is labels
    canvas.click(1, 5)
    piece = np.zeros(SHAPE, int)
    piece[:3] = 1
    piece[1, 2] = 2  # what the person said
    # Of one class and in touch: the third cluster, on the right, is class 1 as well.
    piece[3:9, 8:] = 1
    piece[9:] = 1
    np.testing.assert_array_equal(labels.data, piece)
    np.testing.assert_array_equal(proposed(shown).data > 0, (clusters.data == 2))
    labels.undo()
    assert np.argwhere(labels.data).tolist() == [[1, 2]]
    assert (proposed(shown).data > 0).sum() == (clusters.data > 0).sum() - 1
    labels.redo()
    np.testing.assert_array_equal(labels.data, piece)
    assert not (proposed(shown).data == 1).any()


def test_only_the_piece_that_was_clicked_is_accepted_or_discarded(
    shown, panel, labels, clusters, canvas
):
    choose(panel, clusters, {1: 1, 2: 2})
    camera = shown.scene.camera.center, shown.scene.camera.zoom
    panel.take.accept_click.click()
    canvas.click(10, 4)
    assert set(np.nonzero(labels.data)[0].tolist()) == {9, 10, 11}
    canvas.click(5, 10)  # nothing is proposed for the third cluster
    assert "Nothing is proposed there" in panel.said.text()
    canvas.click(-1, -1)  # outside the scan
    assert np.count_nonzero(labels.data) == 3 * 14
    panel.take.discard_click.click()
    assert not panel.take.accept_click.isChecked()
    canvas.click(1, 1)
    assert set(np.unique(proposed(shown).data[:3])) == {0}
    assert np.count_nonzero(labels.data) == 3 * 14
    # Two quick clicks are two clicks, and zoom nowhere.
    panel.take.accept_click.click()
    canvas.double_click(5, 2)
    assert (labels.data[3:9, :7] == 2).all()
    assert (shown.scene.camera.center, shown.scene.camera.zoom) == camera
    panel.take.back_button.click()
    assert (proposed(shown).data[:3] == 1).all()
    assert not panel.take.back_button.isEnabled()


def test_clicks_mean_napari_s_own_again_when_the_user_paints(
    shown, panel, labels, clusters, canvas
):
    choose(panel, clusters, {1: 1})
    panel.take.accept_click.click()
    labels.mode = "paint"
    assert not panel.take.accept_click.isChecked()
    labels.selected_label, labels.brush_size = 2, 1
    canvas.click(5, 10)
    assert np.argwhere(labels.data).tolist() == [[5, 10]]
    assert labels.data[5, 10] == 2
    panel.take.accept_click.click()
    assert labels.mode == "pan_zoom"
    # A drag moves the map, and accepts nothing.
    canvas.drag([(1, 1), (3, 4), (5, 6)])
    assert np.count_nonzero(labels.data) == 1
    shown.layers.selection.active = clusters
    assert not panel.take.accept_click.isChecked()


def test_a_region_is_drawn_and_what_is_proposed_in_it_accepted(
    shown, panel, labels, clusters, canvas
):
    choose(panel, clusters, {1: 1, 2: 2, 3: 2})
    assert not panel.take.accept_region.isEnabled()
    panel.take.draw_button.click()
    region = panel.take.region.layer()
    assert layer_info(region)["name"] == "region"
    around = [(-0.4, -0.4), (-0.4, 4.5), (6.5, 4.5), (6.5, -0.4), (-0.4, -0.4)]
    canvas.qtbot.wait(600)
    canvas.drag([place for ends in itertools.pairwise(around) for place in _line(*ends)])
    assert len(region.data) == 1
    panel.take.accept_region.click()
    inside = np.zeros(SHAPE, bool)
    inside[:7, :5] = True
    np.testing.assert_array_equal(labels.data > 0, inside)
    assert (labels.data[:3, :5] == 1).all()
    assert (labels.data[3:7, :5] == 2).all()
    labels.undo()
    assert not labels.data.any()
    region.add([[2.6, 7.5], [2.6, 14], [20, 14], [20, 7.5]], shape_type="rectangle")
    panel.take.discard_region.click()
    assert not proposed(shown).data[:7, :5].any()
    assert not proposed(shown).data[3:, 8:].any()
    assert proposed(shown).data[1, 7] == 1


def _line(start, end):
    return [tuple((1 - t) * np.array(start) + t * np.array(end)) for t in np.linspace(0, 1, 5)]


def test_a_few_positions_stand_for_a_cluster_and_settle_it(shown, panel, labels, clusters):
    panel.take.most.value = 5
    choose(panel, clusters, {1: 1, 2: 2})
    panel.take.accept_all.click()
    assert [np.count_nonzero(labels.data == n) for n in (1, 2)] == [5, 5]
    assert not ((labels.data > 0) & (clusters.data == 3)).any()
    assert not proposed(shown).data.any()
    assert "Labelled 10 positions" in panel.said.text()
    assert not panel.take.accept_all.isEnabled()
    labels.undo()
    assert not labels.data.any()
    assert np.count_nonzero(proposed(shown).data) == (clusters.data > 0).sum() - 36
    # As soon as none of its labels is left, an area is open again, however they went.
    panel.take.accept_all.click()
    labels.data_setitem(np.nonzero(labels.data == 1), 0)
    assert (proposed(shown).data == 2).sum() == 0


def test_values_mean_what_their_names_or_the_labels_say_and_new_classes_are_made(
    shown, panel, labels, scan, clusters
):
    labels.data_setitem(np.nonzero(clusters.data == 3), 1)
    choose(panel, clusters)
    assert panel.form.values.meant == {3: 1}
    model = np.where(np.arange(14) < 7, 1, 2).astype(np.uint16) * np.ones((12, 1), np.uint16)
    prediction = image(shown, scan, "match", model, classes={1: "down", 2: "P sideways"})
    choose(panel, prediction)
    assert panel.form.values.meant == {1: 2, 2: 1}
    assert "down" in panel.said.text()
    box = panel.form.values.cellWidget(1, 2)
    box.setCurrentIndex(box.findText("new class"))
    box.activated.emit(box.currentIndex())
    assert classes_of(labels) == {1: "up", 2: "down", 3: "P sideways"}
    assert panel.form.values.meant == {1: 2, 2: 3}
    assert proposed(shown).data[0].tolist() == [2] * 7 + [3] * 7
    assert classes_of(proposed(shown))[3] == "P sideways"


def test_directions_of_the_centre_of_mass_are_proposed_and_a_lasso_around_them(
    shown, panel, labels, scan, qtbot
):
    angle = np.radians(np.where(np.arange(14) < 7, 90.0, -90.0)) + np.zeros((12, 1))
    noise = np.random.default_rng(3).normal(0, 0.05, (2, *SHAPE))
    down = image(shown, scan, "com_y", (np.sin(angle) + noise[0]).astype(np.float32))
    right = image(shown, scan, "com_x", (np.cos(angle) + noise[1]).astype(np.float32))
    choose(panel, down)
    panel.form.against.choose(right)
    plane = panel.form.plane
    plane.by.setCurrentText("direction")
    for index, direction in ((0, 90), (1, 270)):
        panel.form.class_choice.setCurrentIndex(index)
        panel.form.class_choice.activated.emit(index)
        qtbot.wait(50)
        plane.direction.value, plane.spread.value = direction, 40
    expected = np.where(np.arange(14) < 7, 1, 2) + np.zeros((12, 1), int)
    qtbot.waitUntil(lambda: np.array_equal(proposed(shown).data, expected))
    plane.least.value = 5.0
    qtbot.waitUntil(lambda: not proposed(shown).data.any())
    plane.by.setCurrentText("lasso")
    panel.form.class_choice.setCurrentIndex(0)
    panel.form.class_choice.activated.emit(0)
    qtbot.wait(50)
    corners = [(-0.4, 0.7), (-0.4, 1.3), (0.4, 1.3), (0.4, 0.7)]
    drag(plane.plane, [*corners, corners[0]])
    qtbot.waitUntil(lambda: np.array_equal(proposed(shown).data, np.where(expected == 1, 1, 0)))
    plane.remove.click()
    qtbot.waitUntil(lambda: not proposed(shown).data.any())
    assert "Draw around" in panel.said.text()


def test_small_areas_are_left_out_and_a_source_that_changes_proposes_anew(
    shown, panel, labels, clusters, qtbot
):
    choose(panel, clusters, {1: 1, 2: 2, 3: 2})
    clusters.data_setitem((np.array([0, 0]), np.array([0, 1])), 2)
    qtbot.waitUntil(lambda: (proposed(shown).data[0, :2] == 2).all())
    panel.form.smallest.value = 3
    qtbot.waitUntil(lambda: not proposed(shown).data[0, :2].any())
    panel.form.source.value = None
    assert "wedge proposed" not in shown.layers


def test_a_label_image_in_a_file_is_proposed_from(shown, panel, labels, tmp_path, notes):
    model = np.where(np.arange(14) < 7, 1, 2) + np.zeros((12, 1), int)
    np.save(tmp_path / "other.npy", model)
    panel.form.open_image(str(tmp_path / "other.npy"))
    layer = panel.form.source.layer()
    np.testing.assert_array_equal(layer.data, model)
    assert not layer.visible
    np.save(tmp_path / "wrong.npy", model.T)
    panel.form.open_image(str(tmp_path / "wrong.npy"))
    assert "wrong.npy" in notes[-1]
    assert panel.form.source.layer() is layer


def test_proposals_are_neither_kept_as_the_user_s_nor_offered_to_train_from(
    shown, panel, labels, clusters, scan
):
    choice = LabelsChoice(shown, lambda: scan)
    choose(panel, clusters, {1: 1})
    layer = proposed(shown)
    assert layer not in choice.choices
    layer.editable = True
    assert not layer.editable
    shown.layers.remove(clusters)
    session(shown).autosave()
    assert not autosave_file(scan.signature).exists()
    assert panel.form.source.layer() is None
    assert not panel.take.accept_all.isEnabled()


def test_labels_of_another_shape_end_the_proposals(shown, panel, labels, clusters):
    choose(panel, clusters, {1: 1})
    labels.data = np.zeros((5, 5), np.uint8)
    assert "wedge proposed" not in shown.layers
    assert "Make a labels layer" in panel.take.accept_all.toolTip()


def test_without_a_scan_or_labels_it_says_what_is_missing(shown, scan, labels, clusters):
    given = [None, None]
    panel = ProposalsPanel(shown, session(shown), lambda: given[0], lambda: given[1])
    assert "Open a scan" in panel.take.accept_all.toolTip()
    assert panel.form.source.choices == (None,)
    given[0] = scan
    panel.refresh()
    assert "Make a labels layer" in panel.take.accept_all.toolTip()
    given[1] = labels
    panel.refresh()
    assert "Choose what" in panel.take.accept_all.toolTip()
    choose(panel, clusters, {2: 1})
    assert panel.take.accept_all.isEnabled()
    given[:] = None, None
    panel.refresh()
    assert "wedge proposed" not in shown.layers
    assert not panel.take.accept_all.isEnabled()
    panel.end()


def test_simulated_states_are_proposed_from(make_napari_viewer, qtbot):
    from napari_ferro4d.simulate import demo_scan, demo_truth
    from napari_ferro4d.viewer.layers import scan_layers

    viewer, demo = make_napari_viewer(), demo_scan()
    add_layers(viewer, scan_layers(demo))
    empty = np.zeros(demo.scan_shape, np.uint8)
    layer = image(viewer, demo, "labels", empty, classes={1: "-P", 2: "other"})
    panel = ProposalsPanel(viewer, session(viewer), lambda: demo, lambda: layer)
    qtbot.addWidget(panel)
    panel.form.states_button.click()
    dialog = panel.form.states
    qtbot.waitUntil(dialog.run.isEnabled, timeout=60_000)
    assert dialog.form.reference.value == "ErMnO3"
    dialog.form.known.value = True
    dialog.run.click()
    qtbot.waitUntil(lambda: panel.form.source.layer() is not None, timeout=120_000)
    found = panel.form.source.layer()
    assert found.name == "demo simulated states"
    truth = demo_truth().labels
    told = found.data > 0
    assert np.mean(found.data[told] == truth[told]) > 0.998
    # Named like a class of the user's, it means that.
    assert panel.form.values.meant == {2: 1}
    np.testing.assert_array_equal(viewer.layers["demo proposed"].data == 1, found.data == 2)
    assert "half a turn" not in dialog.said.text()
    assert layer_info(found)["provenance"][0]["command"] == "map_states"
    qtbot.waitUntil(lambda: not dialog.row.busy)
    dialog.close()
    qtbot.waitUntil(lambda: panel.form.states is None)
    panel.end()


def test_the_classes_dock_lends_its_labels_to_the_panel(shown, scan, clusters, dock, qtbot):
    widget = dock("Classes")
    panel = widget.proposals
    widget.proposals_fold.button.click()
    assert panel.isVisibleTo(widget)
    labels = widget.new_labels()
    choose(panel, clusters, {1: 1, 2: 2})
    panel.take.most.value = 4
    panel.take.accept_all.click()
    assert widget.table.counts == {1: 4, 2: 4}
    labels.undo()
    assert not labels.data.any()
    # With the mouse and the keys of the window, both of which mean what they meant before.
    shown.window.show()
    assert QTest.qWaitForWindowExposed(shown.window._qt_window, 60_000)
    QTest.qWait(300)
    shown.reset_view()
    panel.take.accept_click.click()
    canvas = Canvas(shown, labels, qtbot)
    canvas.click(5, 3)
    assert np.count_nonzero(labels.data == 2) == 4
    qtbot.keyClick(canvas.canvas.native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not labels.data.any()
    widget.probe.move(11, 13)
    qtbot.keyClick(canvas.canvas.native, Qt.Key.Key_2)
    assert np.argwhere(labels.data == 2).tolist() == [[11, 13]]
    assert proposed(shown).data[11, 13] == 0
    canvas.click(11, 0)
    assert np.count_nonzero(labels.data == 1) == 4
    assert labels.data[11, 13] == 2
    widget.keep()
    shown.window.remove_dock_widget(widget.parent())
    assert "wedge proposed" not in shown.layers
    again = dock("Classes")
    assert again.proposals.take.most.value == 4
