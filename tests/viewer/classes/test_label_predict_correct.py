"""The whole loop with real keys and the mouse, in a window that is on the screen.

Label by keys where it is suggested, predict, paint a wrong region, undo, save, reopen, go on: at
each step every label is where it was put, and nothing that the machine said counts as the user's.
"""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_ferro4d.viewer.layers import find_layer

PLUGIN = "napari-ferro4d"
WAIT = 120_000  # ms; the first prediction starts a process
TRUTH = np.where(np.arange(14) < 7, 1, 2) * np.ones((12, 1), np.uint8)
CONTROL = Qt.KeyboardModifier.ControlModifier


class Person:
    """Somebody at a viewer: presses keys over the canvas and drags the mouse over it."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.classes = viewer.window.add_plugin_dock_widget(PLUGIN, "Classes")[1]
        self.wait(lambda: self.classes.placed)

    def wait(self, done):
        self.qtbot.waitUntil(done, timeout=WAIT)

    def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        self.qtbot.keyClick(self.viewer.window._qt_viewer.canvas.native, key, modifier)

    def label(self, number):
        self.press(getattr(Qt.Key, f"Key_{number}"))

    def suggest(self):
        self.qtbot.mouseClick(self.classes.suggestions.button, Qt.MouseButton.LeftButton)
        self.wait(lambda: not self.classes.row.busy)

    def predict(self):
        self.press(Qt.Key.Key_Return)
        return self.followed()

    def followed(self):
        """Wait until the map is that of the labels, and return the Classifier dock."""
        dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, "Classifier")[1]
        self.wait(lambda: dock.placed and not dock.row.busy)
        self.wait(lambda: not dock.watch.waiting and not dock.live.busy)
        return dock

    def drag(self, layer, number, places):
        """Paint a stroke with the mouse."""
        self.viewer.layers.selection.active = layer
        layer.mode, layer.brush_size, layer.selected_label = "paint", 1, number
        self.viewer.fit_to_view()
        self.qtbot.wait(100)
        canvas = self.viewer.window._qt_viewer.canvas
        points = []
        for place in places:
            world, camera = layer.data_to_world(place), self.viewer.scene.camera
            middle = [size / 2 for size in canvas.size]
            offsets = [(world[axis] - camera.center[axis - 2]) * camera.zoom for axis in (0, 1)]
            points.append(QPoint(round(middle[1] + offsets[1]), round(middle[0] + offsets[0])))
        self.qtbot.mousePress(canvas.native, Qt.MouseButton.LeftButton, pos=points[0])
        for point in points[1:]:
            self.qtbot.mouseMove(canvas.native, point)
            self.qtbot.wait(20)
        self.qtbot.mouseRelease(canvas.native, Qt.MouseButton.LeftButton, pos=points[-1])


@pytest.fixture
def person(shown, qtbot):
    shown.window._qt_window.show()
    qtbot.waitExposed(shown.window._qt_window)
    return Person(shown, qtbot)


def test_label_predict_correct_undo_save_reopen_go_on(
    person, scan, tmp_path, qtbot, make_napari_viewer
):
    viewer, classes = person.viewer, person.classes
    said = np.zeros(scan.scan_shape, np.uint8)
    while np.count_nonzero(said) < 20:
        person.suggest()
        assert classes.suggested.positions
        for position in classes.suggested.positions:
            assert classes.probe.position == position
            person.label(TRUTH[position])
            said[position] = TRUTH[position]
    labels = classes.labels.labels()
    np.testing.assert_array_equal(labels.data, said)
    assert classes.table.counts == {n: int((said == n).sum()) for n in (1, 2)}

    classifier = person.predict()
    decisions = classes.session.decisions
    prediction = find_layer(viewer, scan.signature, "prediction")
    assert (prediction.data == TRUTH).mean() > 0.95
    np.testing.assert_array_equal(labels.data, said)
    assert classes.isVisible()

    # A region painted wrongly is the user's, and the map goes along with it.
    stroke = [(y, 12) for y in range(2, 9)]
    person.drag(prediction, 1, stroke)
    person.followed()
    decided = decisions.decided(scan)
    assert [tuple(place) for place in np.argwhere(decided).tolist()] == stroke
    assert all(prediction.data[place] == 1 for place in stroke)
    np.testing.assert_array_equal(labels.data, said)

    # Undo: the machine's class of now is there again, and is nobody's label.
    person.press(Qt.Key.Key_Z, CONTROL)
    person.followed()
    assert decisions.decided(scan) is None
    assert (prediction.data == TRUTH).mean() > 0.95
    np.testing.assert_array_equal(classes.person_labels(), said)
    np.testing.assert_array_equal(labels.data, said)

    # A right correction and one label more; saved, closed, and opened on another day.
    person.drag(prediction, 2, [(y, 12) for y in (9, 10)])
    classes.probe.move(0, 0)
    person.label(1)
    said[0, 0] = 1
    classifier = person.followed()
    both = classes.person_labels()
    assert viewer.layers.save(str(tmp_path / "day.zarr"), plugin=PLUGIN)
    del labels, prediction, classifier
    viewer.close()

    again = Person(make_napari_viewer(show=True), qtbot)
    again.viewer.open(tmp_path / "wedge.npy", plugin=PLUGIN, scan_step=(1.5, 2.0), k_step=0.02)
    again.viewer.open(tmp_path / "day.zarr", plugin=PLUGIN)
    assert again.classes.scans.scan().signature == scan.signature
    np.testing.assert_array_equal(again.viewer.layers["wedge labels"].data, said)
    again.classes.labels.choose(again.viewer.layers["wedge labels"])
    np.testing.assert_array_equal(again.classes.person_labels(), both)
    again.suggest()
    (y, x), *_ = again.classes.suggested.positions
    again.label(TRUTH[y, x])
    said[y, x] = both[y, x] = TRUTH[y, x]
    again.predict()
    np.testing.assert_array_equal(again.classes.labels.labels().data, said)
    np.testing.assert_array_equal(again.classes.person_labels(), both)
    prediction = find_layer(again.viewer, scan.signature, "prediction")
    assert (prediction.data == TRUTH).mean() > 0.95
    again.press(Qt.Key.Key_Backspace)
    said[y, x] = both[y, x] = 0
    again.followed()
    np.testing.assert_array_equal(again.classes.labels.labels().data, said)
    np.testing.assert_array_equal(again.classes.person_labels(), both)
