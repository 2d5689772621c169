"""Maps shown while a long pass runs: coarse first, then filled, and what cancel leaves."""

from __future__ import annotations

import threading
import time

import dask.array as da
import numpy as np
import pytest

from napari_ferro4d.open import open_scan
from napari_ferro4d.reduce import com
from napari_ferro4d.results import read_results
from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import add_layers
from napari_ferro4d.viewer.napari_io import opened_layers

PLUGIN = "napari-ferro4d"
MAPS = ("sum", "com_y", "com_x", "com_magnitude", "com_direction")
ROWS = 48


class Disk:
    """A scan on a slow disk, which may break."""

    def __init__(self):
        rng = np.random.default_rng(2)
        self.counts = rng.integers(0, 50, (ROWS, 10, 12, 12)).astype(np.uint16)
        self.seconds = 0.0
        self.broken, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.reads = 0
        stored = da.from_array(self.counts, chunks=(1, 10, 12, 12))
        patterns = stored.map_blocks(self._read, dtype=np.uint16, meta=np.empty(0, np.uint16))
        self.scan = Scan.from_array(patterns, centre=(5.5, 5.5), scan_step=(1.0, 1.0))

    def _read(self, block):
        if self.broken.is_set():
            raise OSError("the disk is gone")
        time.sleep(self.seconds)
        self.reads += block.size > 0
        if self.reads > ROWS // 3:
            self.go_on.wait(60)
            if self.broken.is_set():
                raise OSError("the disk is gone")
        return block

    def hold(self):
        """Give no more than a third of the rows until `go_on`, however slow the window is."""
        self.reads = 0
        self.go_on.clear()


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def slow(viewer, disk):
    add_layers(viewer, opened_layers(disk.scan))
    disk.seconds = 0.12  # on two cores: about three seconds for a pass
    return viewer


@pytest.fixture
def widget(slow):
    return slow.window.add_plugin_dock_widget(PLUGIN, "Centre of mass")[1]


def named(viewer, part=""):
    return {name: viewer.layers[f"scan {name}{part}"] for name in MAPS}


def names(viewer):
    return [layer.name for layer in viewer.layers]


@pytest.fixture
def until_part(slow, qtbot):
    """Wait until all maps are shown in part."""

    def wait():
        wanted = {f"scan {name} (part)" for name in MAPS}
        qtbot.waitUntil(lambda: wanted <= set(names(slow)), timeout=60_000)

    return wait


def test_maps_appear_coarse_first_and_the_same_layers_end_whole(
    slow, disk, widget, finish, until_part, qtbot
):
    disk.hold()
    widget.run.click()
    until_part()
    parts = named(slow, " (part)")
    # On a busy machine the first part may be a single row.
    qtbot.waitUntil(lambda: np.isfinite(parts["com_y"].data).all(axis=1).sum() >= 4, timeout=60_000)
    known = np.isfinite(parts["com_y"].data)
    rows = np.flatnonzero(known.all(axis=1))
    assert 0 < len(rows) < ROWS
    assert np.ptp(rows) >= ROWS // 2  # spread over the scan, not its top
    assert not known[~known.all(axis=1)].any()
    whole = com(Scan.from_array(disk.counts, centre=(5.5, 5.5)))
    np.testing.assert_array_equal(parts["com_y"].data[rows], whole.com_y[rows])
    np.testing.assert_array_equal(parts["com_direction"].data[..., 3] > 0, known)
    assert parts["com_direction"].visible
    low, high = parts["com_y"].contrast_limits
    assert low < 0 < high
    parts["com_x"].contrast_limits = (-3, 2)  # the user's, to stay
    disk.go_on.set()
    finish(widget.row)
    assert named(slow) == parts
    assert not any("(part)" in name for name in names(slow))
    np.testing.assert_array_equal(parts["com_y"].data, whole.com_y)
    np.testing.assert_array_equal(parts["sum"].data, whole.sum)
    assert parts["com_direction"].data.shape == (ROWS, 10, 3)
    assert parts["com_x"].contrast_limits == [-3, 2]
    (note,) = parts["com_y"].metadata["ferro4d"]["provenance"]
    assert "part" not in note
    # And again: the whole maps of before stay until the new ones are complete.
    widget.rotation.value = 90
    disk.hold()
    widget.run.click()
    until_part()
    np.testing.assert_array_equal(parts["com_y"].data, whole.com_y)
    disk.go_on.set()
    finish(widget.row)
    assert named(slow) == parts
    np.testing.assert_allclose(parts["com_x"].data, whole.com_y, atol=1e-5)


def test_the_screen_keeps_up_with_the_pass_twice_a_second(slow, widget, finish):
    seen = []

    def note(event=None):
        if any(name == "scan com_direction (part)" for name in names(slow)):
            seen.append((time.monotonic(), threading.current_thread()))

    def watch(event):
        if event.value.name == "scan com_direction (part)":
            note()
            event.value.events.data.connect(note)

    slow.layers.events.inserted.connect(watch)
    began = time.monotonic()
    widget.run.click()
    finish(widget.row)
    assert len(seen) >= 1
    assert {thread for _, thread in seen} == {threading.main_thread()}
    # No more often: a slow machine makes it less, never more.
    assert all(at - began >= 0.35 * number for number, (at, _) in enumerate(seen))


def test_what_a_cancelled_pass_computed_stays_under_its_own_name(
    slow, disk, widget, finish, until_part, tmp_path, qtbot
):
    disk.seconds = 0.0
    widget.run.click()
    finish(widget.row)
    before = {name: layer.data.copy() for name, layer in named(slow).items()}
    disk.seconds = 0.12
    disk.hold()
    widget.run.click()
    until_part()
    widget.row._cancel.click()
    disk.go_on.set()
    finish(widget.row)
    assert "(part)" in widget.row.text
    for name, layer in named(slow).items():
        np.testing.assert_array_equal(layer.data, before[name])
    parts = named(slow, " (part)")
    assert np.isnan(parts["com_y"].data).any()
    slow.layers.selection = {parts["com_y"]}
    slow.layers.save(str(tmp_path / "out.zarr"), selected=True, plugin=PLUGIN)
    (saved,) = read_results(tmp_path / "out.zarr").maps
    assert saved.name == "com_y (part)"
    assert any(entry.get("part") for entry in read_results(tmp_path / "out.zarr").provenance)
    # The next run that ends takes them away.
    disk.seconds = 0.0
    widget.run.click()
    finish(widget.row)
    qtbot.waitUntil(lambda: not any("(part)" in name for name in names(slow)), timeout=60_000)
    assert sum("com_y" in name for name in names(slow)) == 1


def test_a_part_that_the_user_removes_does_not_come_back(
    slow, disk, widget, finish, until_part, qtbot
):
    disk.hold()
    widget.run.click()
    until_part()
    slow.layers.remove("scan com_y (part)")
    part = slow.layers["scan sum (part)"]
    before = part.data
    disk.go_on.set()
    qtbot.waitUntil(lambda: part.data is not before, timeout=60_000)
    assert "scan com_y (part)" not in names(slow)
    finish(widget.row)
    assert set(named(slow)) == set(MAPS)  # the result itself is asked for


def test_a_disk_that_breaks_leaves_the_part_and_a_usable_dock(
    slow, disk, widget, finish, until_part, notes
):
    disk.hold()
    widget.run.click()
    until_part()
    disk.broken.set()
    disk.go_on.set()
    finish(widget.row)
    assert len([note for note in notes if "cannot be read" in note]) == 1
    assert np.isfinite(slow.layers["scan sum (part)"].data).any()
    assert widget.run.isEnabled()
    disk.broken.clear()
    disk.seconds = 0.0
    widget.run.click()
    finish(widget.row)
    assert not any("(part)" in name for name in names(slow))
    assert set(named(slow)) == set(MAPS)


def test_a_short_pass_shows_nothing_in_part(shown, dock, finish):
    seen = []
    shown.layers.events.inserted.connect(lambda event: seen.append(event.value.name))
    widget = dock("Centre of mass")
    widget.run.click()
    finish(widget.row)
    assert seen
    assert not any("(part)" in name for name in seen)


def test_a_pass_over_a_large_file_is_cancelled_in_the_middle(viewer, tmp_path, finish, qtbot):
    path = tmp_path / "large.npy"
    shape = (192, 192, 512, 512)  # 19 GB that take no room: nothing is written
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<u2", "fortran_order": False, "shape": shape}
        )
        file.truncate(file.tell() + 2 * int(np.prod(shape)))
    add_layers(viewer, opened_layers(open_scan(path, centre=(127.5, 127.5))))
    widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Centre of mass")[1]
    widget.run.click()
    first = "large sum (part)"
    qtbot.waitUntil(lambda: first in names(viewer), timeout=60_000)
    qtbot.wait(300)
    job = widget.row._job
    assert job is not None
    widget.row._cancel.click()
    assert job.wait(60)
    finish(widget.row)
    known = np.isfinite(viewer.layers["large sum (part)"].data)
    assert 0 < known.sum() < known.size
    assert "(part)" in widget.row.text
