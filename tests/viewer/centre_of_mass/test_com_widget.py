"""The centre-of-mass widget, and what all job widgets have in common."""

from __future__ import annotations

import hashlib
import threading
import time

import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget, QFileDialog

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Progress, Steps
from napari_ferro4d.open import open_scan
from napari_ferro4d.reduce import com
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import add_layers, scan_of
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.widgets import progress_text

NAMES = ["wedge com_y", "wedge com_x", "wedge com_magnitude", "wedge com_direction"]


@pytest.fixture
def scan(shared_scan):
    return shared_scan


@pytest.fixture
def shown(shown_again):
    return shown_again


@pytest.fixture
def widget(dock):
    return dock("Centre of mass")


def test_it_adds_what_the_function_returns(shown, scan, widget, finish):
    widget.run.click()
    finish(widget.row)
    maps = com(scan)
    np.testing.assert_array_equal(shown.layers["wedge com_y"].data, maps.com_y)
    np.testing.assert_array_equal(shown.layers["wedge com_x"].data, maps.com_x)
    assert shown.layers["wedge com_direction"].rgb
    for name in NAMES:
        assert tuple(shown.layers[name].scale) == scan.scan_step
        assert [str(unit) for unit in shown.layers[name].units] == ["nanometer"] * 2
    assert shown.layers.units is not None


def test_typed_values_reach_the_function(shown, scan, widget, finish):
    widget.centre.value = "typed"
    widget.ky.value = 7
    widget.kx.value = 6.5
    widget.masked.value = True
    widget.radius.value = 4
    widget.rotation.value = 90
    widget.run.click()
    finish(widget.row)
    maps = com(scan, centre=(7, 6.5), mask_radius=4, rotation=90)
    np.testing.assert_array_equal(shown.layers["wedge com_x"].data, maps.com_x)


def test_the_note_says_what_was_computed(shown, widget, finish):
    widget.auto_rotation.value = True
    widget.masked.value = True
    widget.radius.value = 5
    widget.run.click()
    finish(widget.row)
    (note,) = shown.layers["wedge com_y"].metadata["ferro4d"]["provenance"]
    said = note["parameters"]
    maps = com(scan_of(shown.layers["wedge"]), mask_radius=5, rotation="auto")
    assert said["centre"] == pytest.approx(maps.centre)
    assert said["rotation"] == pytest.approx(maps.rotation)
    assert said["mask_radius"] == 5
    assert note["made"] == [
        f"maps/{name}" for name in ("sum", "com_y", "com_x", "com_magnitude", "com_direction")
    ]


def test_mask_background_and_threshold_reach_the_function_and_the_note(
    shown, scan, widget, finish, tmp_path, monkeypatch
):
    rng = np.random.default_rng(5)
    mask, under = rng.random((16, 16)) < 0.7, rng.random((16, 16))
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "under.npy", under)
    fields = widget.counts
    assert not fields.mask_image.native.isVisibleTo(widget)
    fields.button.click()
    assert fields.mask_image.native.isVisibleTo(widget)

    def choose(parent, title, folder, kinds):
        assert title == "Choose the mask image"
        return str(tmp_path / "mask.npy"), kinds

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    fields.mask_image.choose()
    fields.background.value = str(tmp_path / "under.npy")
    fields.thresholded.native.click()
    fields.threshold.value = 8
    assert fields.button.text() == "Counts: mask, background, threshold"
    widget.run.click()
    finish(widget.row)
    maps = com(scan, mask=mask, background=under, threshold=8)
    assert not np.array_equal(maps.com_y, com(scan).com_y)
    np.testing.assert_array_equal(shown.layers["wedge com_y"].data, maps.com_y)
    (note,) = shown.layers["wedge com_y"].metadata["ferro4d"]["provenance"]
    assert note["parameters"]["threshold"] == 8
    digest = hashlib.sha256((tmp_path / "mask.npy").read_bytes()).hexdigest()
    said = {"path": str(tmp_path / "mask.npy"), "sha256": digest[:16]}
    assert note["parameters"]["mask"] == said
    fields.mask_image.value = ""
    fields.background.value = "2.5"
    widget.run.click()
    finish(widget.row)
    maps = com(scan, background=2.5, threshold=8)
    np.testing.assert_array_equal(shown.layers["wedge com_y"].data, maps.com_y)
    (note,) = shown.layers["wedge com_y"].metadata["ferro4d"]["provenance"]
    assert note["parameters"]["background"] == 2.5
    assert "mask" not in note["parameters"]


def test_a_mask_that_does_not_fit_is_one_notification(shown, widget, finish, notes, tmp_path):
    layers = list(shown.layers)
    np.save(tmp_path / "small.npy", np.ones((4, 4), bool))
    for path, words in (("small.npy", "the mask has shape"), ("gone.npy", "no such mask image")):
        widget.counts.mask_image.value = str(tmp_path / path)
        widget.run.click()
        finish(widget.row)
        assert words in notes.pop()
        assert not notes
    assert list(shown.layers) == layers


def choices(widget):
    model = widget.centre.native.model()
    return [model.item(i).text() for i in range(model.rowCount()) if model.item(i).isEnabled()]


def test_the_centre_is_from_the_file_the_mean_pattern_or_typed(
    viewer, scan_file, tmp_path, counts, finish
):
    add_layers(viewer, opened_layers(open_scan(scan_file)))
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Centre of mass")[1]
    assert choices(widget) == ["mean pattern", "typed"]
    assert widget.centre.value == "mean pattern"
    np.save(tmp_path / "stated.npy", counts[:8])
    stated = open_scan(tmp_path / "stated.npy", centre=(5.0, 9.0))
    add_layers(viewer, opened_layers(stated))
    widget.scans.choose(viewer.layers["stated"])
    assert choices(widget) == ["from file", "mean pattern", "typed"]
    assert widget.centre.value == "from file"
    assert (widget.ky.value, widget.kx.value) == (5.0, 9.0)
    widget.run.click()
    finish(widget.row)
    np.testing.assert_array_equal(viewer.layers["stated com_y"].data, com(stated).com_y)
    widget.centre.value = "mean pattern"
    widget.run.click()
    finish(widget.row)
    mean = com(stated, centre="mean")
    assert mean.centre != pytest.approx((5.0, 9.0))
    np.testing.assert_array_equal(viewer.layers["stated com_y"].data, mean.com_y)
    assert (widget.ky.value, widget.kx.value) == pytest.approx(mean.centre, abs=0.01)
    # A choice that the user made stays when the scan is changed.
    widget.scans.choose(viewer.layers["wedge"])
    widget.scans.choose(viewer.layers["stated"])
    assert widget.centre.value == "mean pattern"


def test_a_centre_off_a_cropped_detector_is_shown_at_its_edge_and_another_can_be_taken(
    shown, widget, tmp_path, finish
):
    path = tmp_path / "cropped.npy"
    np.save(path, np.random.default_rng(0).poisson(3, (12, 14, 16, 16)).astype(np.uint16))
    scan = open_scan(path, centre=(12, 12), crop=((0, 8), (0, 8)), scan_step=1.4)
    layers = add_layers(shown, opened_layers(scan))
    widget.scans.choose(next(layer for layer in layers if scan_of(layer) is not None))
    assert (widget.ky.value, widget.kx.value) == (7.5, 7.5)
    widget.masked.value = False
    widget.centre.value = "mean pattern"
    widget.run.click()
    finish(widget.row)
    np.testing.assert_array_equal(
        shown.layers["cropped corrected com_y"].data, com(scan, centre="mean").com_y
    )


def test_running_again_updates_the_layers_in_place(shown, widget, finish):
    widget.run.click()
    finish(widget.row)
    before = shown.layers["wedge com_y"]
    first = before.data.copy()
    before.colormap = "magma"
    widget.rotation.value = 90
    widget.run.click()
    finish(widget.row)
    assert shown.layers["wedge com_y"] is before
    assert before.colormap.name == "magma"
    assert not np.array_equal(before.data, first)
    assert sum("com_y" in layer.name for layer in shown.layers) == 1


def test_a_map_that_the_user_changed_is_not_replaced(shown, widget, finish):
    widget.run.click()
    finish(widget.row)
    mine = shown.layers["wedge com_y"]
    mine.data = np.full(mine.data.shape, 3.0, np.float32)
    widget.run.click()
    finish(widget.row)
    assert np.all(mine.data == 3.0)
    assert sum("com_y" in layer.name for layer in shown.layers) == 2


def test_without_a_scan_the_button_says_what_to_do(viewer):
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Centre of mass")[1]
    assert not widget.run.isEnabled()
    assert "Open a scan first" in widget.run.toolTip()


def test_the_choice_follows_layers_renamed_added_and_removed(shown, widget, tmp_path, counts):
    assert widget.scans.current_choice == "wedge"
    shown.layers["wedge"].name = "sample A"
    assert widget.scans.current_choice == "sample A"
    np.save(tmp_path / "second.npy", counts[:6])
    second = open_scan(tmp_path / "second.npy")
    add_layers(shown, opened_layers(second))
    assert [layer.name for layer in widget.scans.choices] == ["sample A", "second"]
    shown.layers.remove("sample A")
    assert widget.scans.scan() is second
    shown.layers.clear()
    assert widget.scans.scan() is None
    assert not widget.run.isEnabled()


def test_parameters_are_remembered(shown, widget, finish):
    widget.descan.value = "plane"
    widget.rotation.value = 12
    widget.counts.thresholded.native.click()
    widget.counts.threshold.value = 3
    widget.counts.background.value = "1"
    widget.run.click()
    finish(widget.row)
    from napari_ferro4d.viewer.centre_of_mass import ComWidget

    again = ComWidget(shown)
    assert (again.descan.value, again.rotation.value) == ("plane", 12)
    assert again.counts.values() == {"mask": None, "background": None, "threshold": 3}
    again.deleteLater()


def test_images_go_below_painted_labels(shown, dock, widget, finish):
    dock("Classes").new_labels()
    widget.run.click()
    finish(widget.row)
    names = [layer.name for layer in shown.layers]
    assert names.index("wedge labels") > names.index("wedge com_direction")
    assert shown.layers.selection.active is shown.layers["wedge labels"]


def test_a_scan_error_is_one_notification_and_leaves_the_widget_usable(
    shown, widget, finish, notes, scan_file
):
    layers = list(shown.layers)
    content = scan_file.read_bytes()
    widget.centre.value = "typed"
    widget.row.start(_fails, lambda result: None, "Reading")
    finish(widget.row)
    assert notes == ["wedge.npy: the disk is gone; plug it in."]
    assert list(shown.layers) == layers
    assert widget.run.isEnabled()
    assert content == scan_file.read_bytes()


def _fails(report):
    Steps(report, 3).add()
    raise ScanError("wedge.npy: the disk is gone; plug it in.")


def test_an_unexpected_error_is_told_and_logged(widget, finish, notes, caplog):
    widget.row.start(lambda report: 1 / 0, lambda result: None, "Dividing")
    finish(widget.row)
    assert len(notes) == 1
    assert "ZeroDivisionError" in notes[0]
    assert "Dividing failed" in caplog.text
    assert widget.row.text == (
        "Dividing failed: ZeroDivisionError: division by zero (details in the log)"
    )
    assert widget.run.isEnabled()


def test_cancel_ends_the_work_and_changes_nothing(shown, widget, finish, qtbot):
    layers = list(shown.layers)
    started = threading.Event()

    def endless(report):
        steps = Steps(report, 10**6, "reading rows")
        while True:
            time.sleep(0.05)
            started.set()
            steps.add()

    widget.row.start(endless, lambda result: "never", "Reading")
    qtbot.waitUntil(started.is_set, timeout=60_000)
    qtbot.waitUntil(lambda: "reading rows" in widget.row.text, timeout=60_000)
    assert not widget.run.isEnabled()
    widget.row._cancel.click()
    finish(widget.row)
    assert "cancelled" in widget.row.text
    assert list(shown.layers) == layers
    widget.run.click()
    finish(widget.row)
    assert set(NAMES) <= {layer.name for layer in shown.layers}


def test_closing_the_dock_cancels_its_job(shown, widget, qtbot):
    def endless(report):
        steps = Steps(report, 10**6)
        while True:
            time.sleep(0.01)
            steps.add()

    widget.row.start(endless, lambda result: None, "Reading")
    shown.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not widget.row.busy, timeout=60_000)


def test_com_itself_is_cancelled_while_it_reads(viewer, finish):
    reads, cancelled = [], threading.Event()

    def slow_disk(block):
        if block.size:
            reads.append(block.shape)
            time.sleep(0.05)
            if len(reads) > 16:
                cancelled.wait(60)
        return np.ones(block.shape, np.uint16)

    patterns = da.zeros((64, 16, 32, 32), chunks=(1, 16, 32, 32), dtype=np.uint16)
    scan = Scan.from_array(patterns.map_blocks(slow_disk, dtype=np.uint16), centre=(15, 15))
    cancelled.set()
    add_layers(viewer, opened_layers(scan))
    widget = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Centre of mass")[1]
    before = list(viewer.layers)
    seen = []
    reads.clear()  # those of the preview
    cancelled.clear()

    def cancel(progress):
        # In the middle of reading: at the first update of the bar after the first block.
        if progress.done and not seen:
            seen.append((progress.done, progress.total))
            widget.row._cancel.click()
            cancelled.set()

    widget.row.progressed.connect(cancel)
    widget.run.click()
    finish(widget.row)
    ((done, total),) = seen
    assert 0 < done < total
    assert len(reads) < 64  # the rest was not read
    assert "cancelled" in widget.row.text
    # What came so far may be shown, under a name that says so.
    assert [layer for layer in viewer.layers if "(part)" not in layer.name] == before


def test_the_screen_is_not_updated_more_than_ten_times_a_second(widget, finish):
    seen = []
    widget.row.progressed.connect(seen.append)

    def quick(report):
        steps = Steps(report, 5000)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            steps.add()
            time.sleep(0.0005)

    widget.row.start(quick, lambda result: None, "Counting")
    finish(widget.row)
    assert 1 <= len(seen) <= 7


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(12, 48, "reading rows", 3.2), "reading rows: 12 of 48, 3 s left"),
        (Progress(0, 48), "0 of 48"),
        (Progress(48, 48, "done", 0.0), "done: 48 of 48"),
        (Progress(1, 9, "", 300.0), "1 of 9, 5 min left"),
        (Progress(1, 9, "", 9000.0), "1 of 9, 2.5 h left"),
    ],
)
def test_progress_is_said_in_words(progress, text):
    assert progress_text(progress) == text


def test_all_docks_together_fit_a_small_screen(shown, scan, dock, qtbot):
    window = shown.window._qt_window
    window.show()
    _, *analyses = (dock(n) for n in ("Diffraction", "Centre of mass", "Autoencoder", "Classifier"))
    docks = [
        d for d in window.findChildren(QDockWidget) if any(d.isAncestorOf(a) for a in analyses)
    ]
    assert len(docks) == 3

    def tabs():
        # The analyses are tabs in one place.
        return all(len(window.tabifiedDockWidgets(one)) == 2 for one in docks)

    qtbot.waitUntil(tabs, timeout=60_000)
    assert window.minimumSizeHint().height() < 800
