"""What opening a scan or a results folder adds to a viewer, and what it never does."""

from __future__ import annotations

import threading
import time

import numpy as np
import psutil
import pytest

from napari_ferro4d.io import read_labels
from napari_ferro4d.open import FORMATS
from napari_ferro4d.results import read_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.napari_io import get_reader

PLUGIN = "napari-ferro4d"


def units(layer):
    return tuple(str(unit) for unit in layer.units)


def test_a_scan_opens_as_hidden_lazy_layer_and_visible_preview(viewer, scan_file, counts):
    viewer.open(scan_file, plugin=PLUGIN)
    itself, preview = viewer.layers
    assert (itself.name, preview.name) == ("wedge", "wedge preview")
    assert not itself.visible
    assert preview.visible
    assert hasattr(itself.data, "dask")
    assert itself.data.shape == (16, 16, 12, 14)
    np.testing.assert_array_equal(itself.data[3, 4].compute(), counts[:, :, 3, 4])
    assert itself.axis_labels == ("ky", "kx", "y", "x")
    assert isinstance(itself.metadata["ferro4d"], Scan)
    assert preview.data.shape == (12, 14)


def test_unknown_steps_are_plain_pixels_in_every_layer(viewer, scan_file):
    viewer.open(scan_file, plugin=PLUGIN)
    itself, preview = viewer.layers
    assert units(itself) == ("pixel",) * 4
    assert units(preview) == ("pixel",) * 2
    assert viewer.layers.units is not None


def test_known_steps_are_nm_and_inverse_angstrom(shown):
    itself, preview = shown.layers
    assert units(itself) == ("1 / angstrom", "1 / angstrom", "nanometer", "nanometer")
    assert tuple(itself.scale) == (0.02, 0.02, 1.5, 2.0)
    assert units(preview) == ("nanometer", "nanometer")
    assert tuple(preview.scale) == (1.5, 2.0)
    assert shown.layers.units is not None  # else napari shows no scale bar


def test_a_label_painted_at_a_position_in_nm_is_that_probe_position_everywhere(
    shown, scan, counts, tmp_path, dock
):
    widget = dock("Classes")
    widget.new_labels()
    labels, itself = shown.layers["wedge labels"], shown.layers["wedge"]
    where_nm = (4 * 1.5, 9 * 2.0)
    labels.brush_size = 1
    labels.paint(labels.world_to_data(where_nm), 2)
    painted = np.argwhere(labels.data == 2)
    assert painted.tolist() == [[4, 9]]
    in_scan = np.rint(itself.world_to_data((0, 0, *where_nm))).astype(int)[2:]
    assert in_scan.tolist() == [4, 9]
    np.testing.assert_array_equal(itself.data[:, :, in_scan[0], in_scan[1]].compute(), counts[4, 9])
    shown.layers.selection = {labels}
    results = tmp_path / "out.zarr"
    shown.layers.save(str(results), selected=True, plugin=PLUGIN)
    (label,) = read_results(results).labels
    y, x = (round(nm / step) for nm, step in zip(where_nm, label.scan_step, strict=True))
    assert label.data[y, x] == 2
    assert read_labels(results / "labels" / "labels", scan.scan_shape)[4, 9] == 2


@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4), (2, 3, 4, 5, 6)])
def test_arrays_that_are_no_scan_are_left_to_other_readers(tmp_path, shape):
    path = tmp_path / "other.npy"
    np.save(path, np.zeros(shape))
    assert get_reader(str(path)) is None


def test_folders_missing_files_and_stacks_are_declined(tmp_path, scan_file):
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "nothing.npy")) is None
    assert get_reader([str(scan_file), str(scan_file)]) is None


def test_a_broken_scan_gives_one_notification_and_no_layer(viewer, tmp_path, notes):
    path = tmp_path / "broken.mib"
    path.write_bytes(b"MQ1,000001,00384,01,0256,0256,U16")
    viewer.open(path, plugin=PLUGIN)
    assert len(viewer.layers) == 0
    assert len(notes) == 1
    assert "broken.mib" in notes[0]
    assert "\n" not in notes[0]


def test_a_truncated_array_adds_nothing(viewer, scan_file, notes):
    content = scan_file.read_bytes()
    scan_file.write_bytes(content[: len(content) // 2])
    reader = get_reader(str(scan_file))
    if reader is not None:
        viewer.open(scan_file, plugin=PLUGIN)
        assert len(notes) == 1
        assert "wedge.npy" in notes[0]
    assert len(viewer.layers) == 0


def test_opening_a_file_of_2_gb_takes_under_200_mb(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    path = tmp_path / "large.npy"
    patterns = np.lib.format.open_memmap(path, "w+", np.uint16, (128, 128, 256, 256))
    for y in range(128):  # written, not a hole: reading holes is slow in its own way
        patterns[y] = y
    patterns.flush()
    del patterns
    assert path.stat().st_size > 2 * 2**30
    viewer.open_sample(PLUGIN, "demo")  # imports are paid for once per session
    viewer.layers.clear()
    process = psutil.Process()
    before = process.memory_info().rss
    viewer.open(path, plugin=PLUGIN)
    assert len(viewer.layers) == 2
    grown = process.memory_info().rss - before
    path.unlink()
    assert grown < 200 * 2**20


def test_the_open_widget_gives_hints_a_file_lacks(viewer, tmp_path, counts, finish):
    path = tmp_path / "flat.npy"
    np.save(path, counts.reshape(-1, 16, 16))
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]
    assert not widget.open_button.isEnabled()
    widget.path.setText(str(path))
    widget.form.rows.value = 12
    assert not widget.open_button.isEnabled()
    assert "columns" in widget.open_button.toolTip()
    widget.form.columns.value = 14
    widget.form.scan_step.value = 0.8
    widget.form.k_step.value = 0.025
    widget.open_button.click()
    finish(widget.row)
    itself, preview = viewer.layers
    assert itself.data.shape == (16, 16, 12, 14)
    assert tuple(preview.scale) == (0.8, 0.8)
    assert tuple(itself.scale)[:2] == (0.025, 0.025)
    assert "12 x 14" in widget.row.text


def test_the_open_widget_says_what_is_wrong_and_adds_nothing(viewer, scan_file, finish, notes):
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]
    widget.path.setText(str(scan_file))
    widget.form.rows.value = 5
    widget.form.columns.value = 5
    widget.open_button.click()
    finish(widget.row)
    assert len(viewer.layers) == 0
    assert len(notes) == 1
    assert "5 x 5" in notes[0]
    widget.form.rows.value = 12
    widget.form.columns.value = 14
    widget.open_button.click()
    finish(widget.row)
    assert len(viewer.layers) == 2


def test_every_format_of_open_scan_is_offered(viewer):
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]
    box = widget.form.format
    assert box.choices == (None, *FORMATS)


@pytest.fixture
def open_widget(viewer):
    return viewer.window.add_plugin_dock_widget(PLUGIN, "Open 4D-STEM scan...")[1]


def steps(viewer):
    return {
        layer.name: (tuple(layer.scale)[-2:], units(layer)[-2:], layer.axis_labels[-2:])
        for layer in viewer.layers
    }


def test_a_scan_opened_again_with_a_step_takes_all_its_layers_along(
    viewer, scan_file, open_widget, finish, tmp_path
):
    viewer.open(scan_file, plugin=PLUGIN)
    dock = viewer.window.add_plugin_dock_widget
    com = dock(PLUGIN, "Centre of mass")[1]
    com.run.click()
    finish(com.row)
    dock(PLUGIN, "Classes")[1].new_labels()
    diffraction = dock(PLUGIN, "Diffraction")[1]
    names = {layer.name for layer in viewer.layers}
    assert "wedge probe" in names
    viewer.layers.selection = {viewer.layers["wedge com_y"]}
    viewer.layers.save(str(tmp_path / "plain.zarr"), selected=True, plugin=PLUGIN)
    open_widget.path.setText(str(scan_file))
    open_widget.form.scan_step.value = 2
    open_widget.form.k_step.value = 0.02
    open_widget.open_button.click()
    finish(open_widget.row)
    assert {layer.name for layer in viewer.layers} == names
    assert len(viewer.layers) == len(names)
    assert set(steps(viewer).values()) == {((2, 2), ("nanometer",) * 2, ("y", "x"))}
    assert viewer.layers.units is not None
    assert com.scans.scan().scan_step == (2, 2)
    assert diffraction.scans.scan() is com.scans.scan()
    # Maps computed now, and maps from a folder that knows no step, lie on the others.
    com.run.click()
    finish(com.row)
    viewer.open(tmp_path / "plain.zarr", plugin=PLUGIN)
    assert set(steps(viewer).values()) == {((2, 2), ("nanometer",) * 2, ("y", "x"))}
    # And back, when it is dropped on the window without a step.
    viewer.open(scan_file, plugin=PLUGIN)
    assert set(steps(viewer).values()) == {((1, 1), ("pixel",) * 2, ("y", "x"))}
    assert sum(isinstance(layer.metadata["ferro4d"], Scan) for layer in viewer.layers) == 1
    assert viewer.layers.units is not None


def test_hints_for_one_file_do_not_apply_to_the_next(viewer, open_widget, tmp_path, counts, finish):
    np.save(tmp_path / "one.npy", counts.reshape(-1, 16, 16))
    np.save(tmp_path / "two.npy", counts[::-1])
    open_widget.path.setText(str(tmp_path / "one.npy"))
    open_widget.form.rows.value = 12
    open_widget.form.columns.value = 14
    open_widget.form.scan_step.value = 0.8
    open_widget.form.snake.value = True
    open_widget.form.dtype.native.setEditText(">u2")
    open_widget.open_button.click()
    finish(open_widget.row)
    open_widget.path.setText(str(tmp_path / "two.npy"))
    assert open_widget.form.hints() == {}
    assert "what the file says" in open_widget.row.text
    open_widget.open_button.click()
    finish(open_widget.row)
    assert units(viewer.layers["two preview"]) == ("pixel", "pixel")


def test_an_incomplete_scan_is_padded_or_trimmed(viewer, open_widget, tmp_path, counts, finish):
    np.save(tmp_path / "part.npy", counts.reshape(-1, 16, 16)[:150])
    form = open_widget.form
    assert not form.incomplete.native.isVisibleTo(open_widget)
    form.more.click()
    assert form.incomplete.native.isVisibleTo(open_widget)
    open_widget.path.setText(str(tmp_path / "part.npy"))
    form.rows.value = 12
    form.columns.value = 14
    form.incomplete.value = "pad"
    open_widget.open_button.click()
    finish(open_widget.row)
    scan = viewer.layers["part"].metadata["ferro4d"]
    assert scan.scan_shape == (12, 14)
    assert scan.missing.sum() == 18
    form.incomplete.value = "trim"
    open_widget.open_button.click()
    finish(open_widget.row)
    assert "10 x 14" in open_widget.row.text


def test_a_file_without_a_header_is_told_how_its_bytes_lie(
    viewer, open_widget, tmp_path, counts, finish
):
    content = b"head" + b"".join(
        pattern.astype(">u2").tobytes() + b"gap" for pattern in counts.reshape(-1, 16, 16)
    )
    (tmp_path / "bare.dat").write_bytes(content)
    form = open_widget.form
    open_widget.path.setText(str(tmp_path / "bare.dat"))
    form.ky.value = 16
    assert not open_widget.open_button.isEnabled()
    assert "kx" in open_widget.open_button.toolTip()
    form.kx.value = 16
    form.dtype.native.setEditText(">u2")
    form.offset.value = 4
    form.gap.value = 3
    form.rows.value = 12
    form.columns.value = 14
    assert form.hints() == {
        "scan_shape": (12, 14),
        "dtype": ">u2",
        "detector_shape": (16, 16),
        "offset": 4,
        "gap": 3,
    }
    open_widget.open_button.click()
    finish(open_widget.row)
    np.testing.assert_array_equal(
        viewer.layers["bare"].metadata["ferro4d"].data[3, 4].compute(), counts[3, 4]
    )


def test_cancel_while_opening_acts_at_once(viewer, open_widget, finish, qtbot):
    gone = threading.Event()
    dropped = []

    def work(report):  # an opening that a slow disk holds up
        gone.wait(60)
        return "late"

    open_widget.row.start(work, dropped.append, "Opening", abandon=True)
    qtbot.wait(100)
    open_widget.row._cancel.click()
    assert not open_widget.row.busy  # while the disk is still waited for
    assert "cancelled" in open_widget.row.text
    # The next job is not mixed up with the one that ends late.
    open_widget.row.start(lambda report: "new", dropped.append, "Opening", abandon=True)
    gone.set()
    finish(open_widget.row)
    qtbot.waitUntil(lambda: not open_widget.row._abandoned, timeout=60_000)
    assert dropped == ["new"]


def test_opening_a_real_file_can_be_cancelled(viewer, open_widget, scan_file, qtbot):
    open_widget.path.setText(str(scan_file))
    open_widget.open_button.click()
    open_widget.row._cancel.click()
    assert "cancelled" in open_widget.row.text
    qtbot.waitUntil(lambda: not open_widget.row._abandoned, timeout=60_000)
    assert len(viewer.layers) == 0
    assert open_widget.open_button.isEnabled()


def test_many_channels_follow_one_by_one_while_the_window_answers(viewer, scan, tmp_path, qtbot):
    from qtpy.QtCore import QTimer

    from napari_ferro4d.results import MapResult, write_results

    random = np.random.default_rng(3)
    stack = random.random((12, *scan.scan_shape)).astype(np.float32)
    stack += np.linspace(0, 5, scan.scan_shape[0], dtype=np.float32)[:, None]
    of = (scan.name, scan.signature)
    path = write_results(tmp_path / "many.zarr", maps=[MapResult("embedding", stack, scan=of)])
    beats: list[float] = []
    clock = QTimer(interval=1)
    clock.timeout.connect(lambda: beats.append(time.perf_counter()))
    clock.start()
    viewer.open(path, plugin=PLUGIN)
    assert len(viewer.layers) < 12
    chosen = viewer.layers[0]
    viewer.layers.selection.active = chosen
    here = len(beats)
    qtbot.waitUntil(lambda: len(viewer.layers) == 12, timeout=60_000)
    clock.stop()
    assert len(beats) - here >= 3  # the window was asked between two layers
    assert viewer.layers.selection.active is chosen
    assert sum(layer.visible for layer in viewer.layers) == 1
    shown = {layer.metadata["ferro4d"]["channel"]: layer.data for layer in viewer.layers}
    for number, data in enumerate(stack):
        np.testing.assert_array_equal(shown[str(number)], data)
