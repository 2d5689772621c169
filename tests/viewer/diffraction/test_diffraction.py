"""The diffraction dock and the probe that it follows."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import add_layers, find_layer
from napari_ferro4d.viewer.napari_io import opened_layers


@pytest.fixture
def widget(dock, shows):
    widget = dock("Diffraction")
    shows(widget, (6, 7))
    return widget


@pytest.fixture
def shows(qtbot, counts):
    """Wait until the dock shows the pattern at a position."""

    def wait(widget, position):
        qtbot.waitUntil(
            lambda: (
                widget.pattern is not None
                and widget.text.text().split()[:4]
                == ["y", f"{position[0]},", "x", str(position[1])]
            ),
            timeout=60_000,
        )
        np.testing.assert_array_equal(widget.pattern, counts[position])

    return wait


def test_it_starts_in_the_middle_in_inverse_angstrom_around_the_beam(shown, widget, scan):
    probe = shown.layers["wedge probe"]
    assert probe.data.tolist() == [[6, 7]]
    assert tuple(probe.scale) == scan.scan_step
    (pattern,) = widget.canvas.layers
    assert [str(unit) for unit in pattern.units] == ["1 / angstrom"] * 2
    assert tuple(pattern.scale) == scan.k_step
    np.testing.assert_allclose(pattern.data_to_world((7.5, 7.5)), (0, 0), atol=1e-12)
    assert "(9.0, 14.0 nm)" in widget.text.text()


def test_arrow_keys_step_one_position_and_stop_at_the_edge(shown, widget, shows, qtbot):
    canvas = shown.window._qt_viewer.canvas.native
    for key, position in (
        (Qt.Key.Key_Down, (7, 7)),
        (Qt.Key.Key_Right, (7, 8)),
        (Qt.Key.Key_Up, (6, 8)),
        (Qt.Key.Key_Left, (6, 7)),
    ):
        qtbot.keyClick(canvas, key)
        shows(widget, position)
        assert shown.layers["wedge probe"].data.tolist() == [list(position)]
    qtbot.keyClick(canvas, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    shows(widget, (0, 7))
    qtbot.keyClick(canvas, Qt.Key.Key_Up)
    assert widget.probe.position == (0, 7)


def test_arrow_keys_work_while_another_layer_is_active(shown, widget, shows, qtbot):
    shown.layers.selection.active = shown.layers["wedge preview"]
    qtbot.keyClick(shown.window._qt_viewer.canvas.native, Qt.Key.Key_Down)
    shows(widget, (7, 7))


def test_the_probe_is_dragged_with_the_mouse_and_snaps(make_napari_viewer, scan, qtbot, shows):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    add_layers(viewer, opened_layers(scan))
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Diffraction")[1]
    shows(widget, (6, 7))
    viewer.fit_to_view()
    qtbot.wait(100)
    widget.grab_button.click()
    canvas = viewer.window._qt_viewer.canvas
    native, probe = canvas.native, viewer.layers["wedge probe"]

    def at(y, x):
        world = probe.data_to_world((y, x))
        zoom = viewer.scene.camera.zoom
        centre = viewer.scene.camera.center[-2:]
        height, width = canvas.size
        return QPoint(
            round(width / 2 + (world[1] - centre[1]) * zoom),
            round(height / 2 + (world[0] - centre[0]) * zoom),
        )

    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=at(6, 7))
    for step in np.linspace(0, 1, 8):
        qtbot.mouseMove(native, at(6 + 3.3 * step, 7 - 2.4 * step))
        qtbot.wait(20)
    shows(widget, (9, 5))  # while the button is still down
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=at(9.3, 4.6))
    qtbot.wait(50)
    assert probe.data.tolist() == [[9, 5]]


def test_a_probe_move_waits_for_no_pattern_and_skips_those_passed(viewer, counts, qtbot):
    disk, reads = threading.Event(), []
    disk.set()

    def read(block):
        if block.size:
            reads.append(block.shape)
            disk.wait(60)
        return block

    lazy = da.from_array(counts, chunks=counts.shape)
    held = lazy.map_blocks(read, dtype=counts.dtype, meta=counts[:0, :0, :0, :0])
    add_layers(viewer, opened_layers(Scan.from_array(held)))
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Diffraction")[1]
    qtbot.waitUntil(lambda: widget.pattern is not None, timeout=60_000)
    disk.clear()
    reads.clear()
    for _ in range(4):
        widget.probe.step(0, 1)
        widget.probe.step(1, 0)
    assert widget.probe.position == (10, 11)
    disk.set()
    qtbot.waitUntil(
        lambda: np.array_equal(widget.pattern, counts[10, 11]) and len(reads) > 1, timeout=60_000
    )
    assert len(reads) == 2  # the first, which was begun, and the last


def test_log_changes_the_display_not_the_counts(shown, widget):
    counts = widget.pattern
    widget.log.setChecked(True)
    np.testing.assert_allclose(widget.canvas.layers[0].data, np.log1p(counts), rtol=1e-6)
    widget.log.setChecked(False)
    np.testing.assert_array_equal(widget.canvas.layers[0].data, counts)


def test_a_deleted_probe_comes_back_where_it_was(shown, widget, shows):
    widget.probe.move(2, 3)
    shows(widget, (2, 3))
    shown.layers.remove("wedge probe")
    widget.grab_button.click()
    assert find_layer(shown, widget.scans.scan().signature, "probe") is not None
    widget.probe.step(1, 0)
    assert widget.probe.position[0] in (3, 7)


def test_points_outside_the_scan_are_brought_back(shown, widget, shows):
    shown.layers["wedge probe"].data = np.array([[99.0, -4.0]])
    shows(widget, (11, 0))


def test_unknown_steps_are_pixels(make_napari_viewer, scan_file, shows):
    viewer = make_napari_viewer()
    add_layers(viewer, opened_layers(open_scan(scan_file)))
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Diffraction")[1]
    shows(widget, (6, 7))
    assert [str(unit) for unit in widget.canvas.layers[0].units] == ["pixel"] * 2
    assert "nm" not in widget.text.text()


def test_scans_with_and_without_calibration_take_turns(shown, widget, tmp_path, counts, qtbot):
    np.save(tmp_path / "plain.npy", counts[::-1])
    add_layers(shown, opened_layers(open_scan(tmp_path / "plain.npy")))
    for name, unit in (("plain", "pixel"), ("wedge", "1 / angstrom"), ("plain", "pixel")):
        widget.scans.choose(shown.layers[name])
        qtbot.waitUntil(
            lambda unit=unit: [str(u) for u in widget.canvas.layers[0].units] == [unit] * 2,
            timeout=60_000,
        )
    shown.layers.clear()
    add_layers(shown, opened_layers(open_scan(tmp_path / "plain.npy")))
    qtbot.waitUntil(lambda: len(widget.canvas.layers) == 1, timeout=60_000)


def test_closing_the_dock_gives_the_arrow_keys_back(shown, widget, qtbot):
    shown.window.remove_dock_widget(widget)
    position = shown.layers["wedge probe"].data.tolist()
    qtbot.keyClick(shown.window._qt_viewer.canvas.native, Qt.Key.Key_Down)
    assert shown.layers["wedge probe"].data.tolist() == position
    again = shown.window.add_plugin_dock_widget("napari-ferro4d", "Diffraction")[1]
    again.probe.step(1, 0)
    assert shown.layers["wedge probe"].data.tolist() == [[7, 7]]


def test_removing_the_scan_empties_the_dock(shown, widget):
    shown.layers.clear()
    assert len(widget.canvas.layers) == 0
    assert "Open a scan" in widget.text.text()
