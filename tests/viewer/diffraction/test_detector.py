"""Virtual detectors drawn on the pattern, and their images."""

from __future__ import annotations

import threading
import time

import dask.array as da
import numpy as np
import pytest
from napari._qt.qt_viewer import QtViewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_ferro4d.open import open_scan
from napari_ferro4d.reduce import Disk, Rectangle, parse_detector, virtual
from napari_ferro4d.results import read_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.diffraction import Drawn
from napari_ferro4d.viewer.layers import add_layers, make_room, scan_layers
from napari_ferro4d.viewer.napari_io import opened_layers

PLUGIN = "napari-ferro4d"
CENTRE = (7.5, 7.5)


class Mouse:
    """The mouse over the pattern, in detector pixels."""

    def __init__(self, widget, qtbot):
        self.widget, self.qtbot = widget, qtbot
        self.native = widget.view.canvas.native

    def at(self, ky, kx):
        tool, camera = self.widget.detector.tool, self.widget.canvas.scene.camera
        world = (np.array([ky, kx]) - tool._centre) * tool._step
        height, width = self.widget.view.canvas.size
        y, x = (world - camera.center[-2:]) * camera.zoom
        return QPoint(round(width / 2 + x), round(height / 2 + y))

    def drag(self, start, to):
        QTest.mousePress(self.native, Qt.MouseButton.LeftButton, pos=self.at(*start))
        for step in np.linspace(0, 1, 6):
            here = (1 - step) * np.array(start) + step * np.array(to)
            QTest.mouseMove(self.native, self.at(*here))
            self.qtbot.wait(10)
        QTest.mouseRelease(self.native, Qt.MouseButton.LeftButton, pos=self.at(*to))
        self.qtbot.wait(10)

    def click(self, place):
        self.qtbot.wait(600)  # or it would be the second of a double click
        QTest.mouseMove(self.native, self.at(*place))
        QTest.mouseClick(self.native, Qt.MouseButton.LeftButton, pos=self.at(*place))

    def double_click(self, place):
        self.click(place)
        QTest.mouseDClick(self.native, Qt.MouseButton.LeftButton, pos=self.at(*place))
        QTest.mouseRelease(self.native, Qt.MouseButton.LeftButton, pos=self.at(*place))


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "wedge.npy"
    np.save(path, np.random.default_rng(4).poisson(9, (12, 14, 16, 16)).astype(np.uint16))
    return path


@pytest.fixture(scope="module")
def scan(scan_file):
    return open_scan(scan_file, scan_step=(1.5, 2.0), k_step=0.02)


@pytest.fixture(scope="module")
def opened(shared, scan):
    """The dock, on the screen, for all tests: a second canvas takes time."""
    shared.window.show()
    assert QTest.qWaitForWindowExposed(shared.window._qt_window, 60_000)
    add_layers(shared, scan_layers(scan))
    widget = shared.window.add_plugin_dock_widget(PLUGIN, "Diffraction")[1]
    while widget.pattern is None:  # for the time that pytest gives a test
        QTest.qWait(20)
    QTest.qWait(200)  # the canvas takes its size
    QtViewer._instances.discard(widget.view)  # where napari looks for what a test forgot
    return widget


@pytest.fixture
def shown(shared, opened, restored):
    with restored(shared):
        yield shared
        opened.detector.kind.setCurrentText("no detector")
        opened.detector._images.clear()


@pytest.fixture
def widget(shown, opened):
    return opened


@pytest.fixture
def mouse(widget, qtbot):
    return Mouse(widget, qtbot)


@pytest.fixture
def image(shown, widget, scan, qtbot):
    """Wait for the image of the detector drawn now, and check it against the function."""

    def wait():
        drawn = widget.detector.tool.drawn
        expected = virtual(scan, drawn.shape, centre=drawn.centre).image

        def there():
            layer = widget.detector._live_layer()
            assert layer is not None
            assert not widget.detector.live.busy
            np.testing.assert_array_equal(layer.data, expected)

        qtbot.waitUntil(there, timeout=60_000)
        return widget.detector._live_layer()

    return wait


def test_a_disk_is_moved_and_resized_with_the_mouse_and_the_image_follows(
    shown, widget, mouse, image, scan
):
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    first = image()
    assert first.name == "wedge virtual_disk_2"
    assert panel.text.text() == "disk:2"
    assert tuple(first.scale) == scan.scan_step
    camera = widget.canvas.scene.camera.center
    mouse.drag((7.5, 9.5), (7.5, 12.5))
    assert panel.tool.drawn.shape.radius == pytest.approx(5, abs=0.11)
    assert panel.tool.drawn.centre == CENTRE
    assert image() is first
    mouse.drag((7.5, 7.5), (5.5, 9.0))
    assert panel.tool.drawn.centre == pytest.approx((5.5, 9.0), abs=0.11)
    assert image() is first
    assert first.name == "wedge virtual_disk_{:g}_at_{:g}_{:g}".format(
        panel.tool.drawn.shape.radius, *panel.tool.drawn.centre
    )
    assert widget.canvas.scene.camera.center == camera
    assert widget.canvas.layers[0].name == "pattern"


def test_rings_and_rectangles_are_drawn_too_and_each_kind_has_its_image(
    shown, widget, mouse, image
):
    panel = widget.detector
    panel.kind.setCurrentText("annulus")
    mouse.drag((11.5, 7.5), (13.5, 7.5))
    ring = image()
    assert panel.tool.drawn.shape.outer == pytest.approx(6, abs=0.11)
    panel.kind.setCurrentText("rectangle")
    mouse.drag((9.5, 9.5), (11.5, 12.5))
    box = image()
    assert box is not ring
    shape = panel.tool.drawn.shape
    assert (shape.ky0, shape.kx0) == (-2, -2)
    assert (shape.ky1, shape.kx1) == pytest.approx((4, 5), abs=0.11)
    assert box.visible
    assert not ring.visible
    before = ring.data.copy()
    mouse.drag((7.5, 7.5), (8.5, 8.5))
    image()
    np.testing.assert_array_equal(ring.data, before)
    panel.kind.setCurrentText("annulus")
    assert image() is ring
    assert ring.visible


def test_a_polygon_is_clicked_corner_by_corner(shown, widget, mouse, image):
    panel = widget.detector
    panel.kind.setCurrentText("polygon")
    assert "corner" in panel.said.text()
    before = len(shown.layers)
    for place in ((2.5, 2.5), (2.5, 12.5), (12.5, 12.5)):
        mouse.click(place)
    assert panel.tool.drawing
    assert len(shown.layers) == before
    mouse.double_click((12.5, 2.5))
    assert not panel.tool.drawing
    corners = panel.tool.drawn.shape.corners
    np.testing.assert_allclose(corners, [(-5, -5), (-5, 5), (5, 5), (5, -5)], atol=0.11)
    image()
    mouse.drag((12.5, 12.5), (10.5, 10.5))
    image()
    np.testing.assert_allclose(panel.tool.drawn.shape.corners[2], (3, 3), atol=0.11)
    mouse.double_click((10.5, 10.5))
    assert len(panel.tool.drawn.shape.corners) == 3
    image()


def test_a_detector_can_be_typed_as_the_command_takes_it(shown, widget, image, notes):
    panel = widget.detector
    for text in ("rectangle:-3,-2,1.5,4", "polygon:-4,-4;-4,4;5,0", "annulus:2,6", "disk:1"):
        panel.text.setText(text)
        panel.text.editingFinished.emit()
        assert panel.kind.currentText() == text.split(":")[0]
        assert panel.tool.drawn.shape == parse_detector(text)
        image()
    assert not notes
    for text in ("disk:-1", "rectangle:1,2", "nothing"):
        panel.text.setText(text)
        panel.text.editingFinished.emit()
        assert panel.text.text() == "disk:1"
    assert len(notes) == 3


def test_a_detector_off_the_edge_says_so_and_stays_usable(shown, widget, image, qtbot):
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    image()
    panel.set_detector(Drawn(Disk(2), (80.0, 80.0)))
    qtbot.waitUntil(lambda: "no detector pixel" in panel.said.text(), timeout=60_000)
    panel.set_detector(Drawn(Disk(3), CENTRE))
    image()


def test_a_kept_image_stays_and_the_next_detector_gives_a_new_one(shown, widget, image):
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    kept = image()
    before = kept.data.copy()
    panel.keep.click()
    assert not panel.keep.isEnabled()
    panel.set_detector(Drawn(Disk(6), CENTRE))
    assert image() is not kept
    np.testing.assert_array_equal(kept.data, before)


def test_images_are_saved_and_opened_with_how_they_were_made(shown, widget, image, tmp_path):
    panel = widget.detector
    panel.set_detector(Drawn(Rectangle(-3, -3, 2, 4), CENTRE))
    made = image()
    shown.layers.selection = {made}
    path = tmp_path / "images.zarr"
    shown.layers.save(str(path), selected=True, plugin=PLUGIN)
    results = read_results(path)
    (saved,) = results.maps
    assert saved.name == "virtual_rectangle_-3_-3_2_4"
    np.testing.assert_array_equal(saved.data, made.data)
    (entry,) = [entry for entry in results.provenance if entry["command"] == "virtual"]
    assert entry["parameters"] == {"detector": "rectangle:-3,-3,2,4", "centre": [7.5, 7.5]}
    name = made.name
    shown.layers.remove(made)
    shown.open(path, plugin=PLUGIN)
    assert tuple(shown.layers[name].scale) == (1.5, 2.0)


def test_the_limits_and_the_name_that_a_user_gives_an_image_stay(shown, widget, image):
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    made = image()
    made.contrast_limits = (1, 2)
    made.name = "bright field"
    panel.set_detector(Drawn(Disk(4), CENTRE))
    assert image() is made
    assert made.name == "bright field"
    assert made.contrast_limits == [1, 2]


def test_another_scan_takes_the_detector_away_and_log_does_not(
    shown, widget, image, tmp_path, scan_file
):
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    image()
    assert len(widget.canvas.layers) == 2
    widget.log.setChecked(not widget.log.isChecked())
    assert [layer.visible for layer in widget.canvas.layers] == [True, True]
    assert panel.tool.drawn == Drawn(Disk(2), CENTRE)
    np.save(tmp_path / "second.npy", np.load(scan_file)[:6])
    add_layers(shown, opened_layers(open_scan(tmp_path / "second.npy")))
    widget.scans.choose(shown.layers["second"])
    assert panel.kind.currentText() == "no detector"
    assert panel.tool.drawn is None


def test_a_scan_that_is_opened_again_keeps_its_detector(shown, widget, image, scan_file, qtbot):
    panel = widget.detector
    panel.set_detector(Drawn(Disk(3), CENTRE))
    made = image()
    again = open_scan(scan_file, scan_step=4.0, k_step=0.1)
    make_room(shown, again)
    add_layers(shown, opened_layers(again))
    qtbot.waitUntil(lambda: len(widget.canvas.layers) == 2, timeout=60_000)
    assert tuple(widget.canvas.layers[1].scale) == (0.1, 0.1)
    assert panel.tool.drawn == Drawn(Disk(3), CENTRE)
    assert tuple(made.scale) == (4.0, 4.0)
    panel.set_detector(Drawn(Disk(4), CENTRE))
    assert image() is made


@pytest.fixture
def slow(make_napari_viewer, qtbot):
    """A viewer with a scan on a slow disk, and its diffraction dock."""
    counts = np.random.default_rng(3).integers(0, 9, (40, 8, 12, 12)).astype(np.uint16)

    reads = []

    def read(block):
        if block.size and started.is_set():
            reads.append(block.shape)
            time.sleep(0.1)
            if len(reads) > 20:
                widget.go_on.wait(60)
        return block

    started = threading.Event()
    stored = da.from_array(counts, chunks=(1, 8, 12, 12))
    scan = Scan.from_array(
        stored.map_blocks(read, dtype=np.uint16, meta=np.empty(0, np.uint16)), centre=(5.5, 5.5)
    )
    viewer = make_napari_viewer()
    add_layers(viewer, opened_layers(scan))
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Diffraction")[1]
    qtbot.waitUntil(lambda: widget.pattern is not None, timeout=60_000)
    widget.reads, widget.go_on = reads, threading.Event()
    widget.go_on.set()
    started.set()
    return viewer, widget, counts


def test_a_long_image_is_shown_in_part_and_the_latest_detector_wins(slow, qtbot):
    viewer, widget, counts = slow
    panel, seen = widget.detector, []
    panel.live.imaged.connect(lambda scan, drawn, made, whole: seen.append((drawn, whole)))
    widget.go_on.clear()  # no pass ends meanwhile, however slow the window is
    for radius in (2, 3, 4, 5):  # a drag, while the disk is slow
        panel.set_detector(Drawn(Disk(radius), (5.5, 5.5)))
        qtbot.wait(30)
    widget.go_on.set()
    name = "scan virtual_disk_5 (part)"
    qtbot.waitUntil(lambda: name in [layer.name for layer in viewer.layers], timeout=60_000)
    layer = viewer.layers[name]
    known = np.isfinite(layer.data).all(axis=1)
    assert 0 < known.sum() < len(known)
    mask = Disk(5).mask((12, 12), (5.5, 5.5))
    expected = counts[:, :, mask].sum(axis=2)
    np.testing.assert_array_equal(layer.data[known], expected[known])
    assert "of 320" in panel.said.text()
    qtbot.waitUntil(lambda: not panel.live.busy, timeout=60_000)
    assert layer.name == "scan virtual_disk_5"
    np.testing.assert_array_equal(layer.data, expected)
    assert [drawn.shape.radius for drawn, whole in seen if whole] == [5]
    assert seen[-1][1]


def test_choosing_no_detector_stops_a_long_image(slow, qtbot):
    _viewer, widget, counts = slow
    reads = widget.reads
    widget.go_on.clear()  # not before it is stopped
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    qtbot.waitUntil(lambda: "left" in panel.said.text(), timeout=60_000)
    thread = panel.live._thread
    assert thread is not None
    panel.kind.setCurrentText("no detector")
    widget.go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert 0 < len(reads) < len(counts)  # not all of the scan was read
    qtbot.waitUntil(lambda: not panel.live.busy, timeout=60_000)
    assert len(widget.canvas.layers) == 1 or not widget.canvas.layers[1].visible


def test_closing_the_dock_ends_the_image_that_is_being_made(slow, qtbot):
    viewer, widget, _ = slow
    panel = widget.detector
    panel.kind.setCurrentText("disk")
    qtbot.wait(100)
    thread = panel.live._thread
    assert thread is not None
    viewer.window.remove_dock_widget(widget)
    assert not thread.is_alive()
