"""The first look at a scan: few chunks of a compressed one, all of a small one."""

from __future__ import annotations

import inspect
import sys
import threading

import numpy as np
import pytest

from helpers.scan_files import WRITERS
from napari_ferro4d import Scan, open_scan
from napari_ferro4d.reduce import preview

PREVIEW = "napari_ferro4d.reduce.scan_preview"


class Watched:
    """An array cut into chunks of some patterns, which notes those that it was asked for.

    Every pattern is the number of its position, so that a sum tells where it came from.
    """

    ndim = 4
    dtype = np.dtype(np.float32)

    def __init__(self, shape, chunk):
        self.shape, self.chunks = shape, chunk
        self.asked, self.lock = set(), threading.Lock()
        self.numbers = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape[:2])

    def __getitem__(self, where):
        y, x = (
            np.atleast_1d(np.arange(n)[w]) for n, w in zip(self.shape[:2], where[:2], strict=True)
        )
        with self.lock:
            down, across = self.chunks
            self.asked |= {(i // down, j // across) for i in y for j in x}
        values = np.broadcast_to(self.numbers[..., None, None], self.shape)
        return np.asarray(values[where])


@pytest.mark.parametrize("chunk", [(1, 1), (1, 4), (4, 4), (1, 100), (10, 10), (60, 100)])
def test_no_more_chunks_are_decoded_than_can_be_afforded(monkeypatch, chunk):
    shape = (60, 100, 8, 8)
    monkeypatch.setattr(f"{PREVIEW}._DECODED_BYTES", 600 * 8 * 8 * 4)
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 0.0)
    array = Watched(shape, chunk)
    scan = Scan.from_array(array, metadata={"patterns_per_chunk": chunk})
    array.asked.clear()
    image = preview(scan)
    assert image.shape == (60, 100)
    assert image.dtype == np.float32
    assert 1 <= len(array.asked) <= max(1, 600 // (chunk[0] * chunk[1]))
    # A position that was left out shows one that is near, up or left of it.
    y, x = np.divmod(image / 64, 100)  # all 8 x 8 pixels are looked at
    rows, columns = np.indices((60, 100))
    assert (y <= rows).all()
    assert (x <= columns).all()
    pitch = (60 * 100 / max(1, 600 // (chunk[0] * chunk[1]))) ** 0.5
    assert (rows - y).max() <= 2 * pitch
    assert (columns - x).max() <= 2 * pitch


@pytest.mark.parametrize("chunk", [(1, 1), (2, 5)])
def test_a_small_scan_is_shown_as_it_is(chunk):
    array = Watched((20, 30, 8, 8), chunk)
    image = preview(Scan.from_array(array, metadata={"patterns_per_chunk": chunk}))
    np.testing.assert_array_equal(image, 64 * array.numbers)


def test_of_many_small_chunks_not_all_are_opened(monkeypatch):
    monkeypatch.setattr(f"{PREVIEW}._CHUNKS", 100)
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 0.0)
    array = Watched((60, 50, 8, 8), (1, 1))
    scan = Scan.from_array(array, metadata={"patterns_per_chunk": (1, 1)})
    array.asked.clear()
    preview(scan)
    assert 50 <= len(array.asked) <= 100


def test_where_decoding_is_fast_all_is_decoded(monkeypatch):
    monkeypatch.setattr(f"{PREVIEW}._DECODED_BYTES", 8 * 8 * 8 * 4)
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 60.0)
    array = Watched((20, 30, 8, 8), (2, 5))
    image = preview(Scan.from_array(array, metadata={"patterns_per_chunk": (2, 5)}))
    np.testing.assert_array_equal(image, 64 * array.numbers)


def counts_of(name):
    """Return the counts that a writer of `WRITERS` takes if it is not given others, or None."""
    parameters = inspect.signature(WRITERS[name][0]).parameters
    return parameters["counts"].default if "counts" in parameters else None


@pytest.mark.parametrize("name", [name for name in WRITERS if counts_of(name) is not None])
def test_the_preview_of_every_format_is_brighter_where_the_scan_is(tmp_path, name):
    """The pattern of the last position is ten times as bright as the others."""
    writer, hints = WRITERS[name]
    counts = np.full_like(counts_of(name), 10)
    counts[2, 3] = 100
    image = preview(open_scan(writer(tmp_path, counts), **hints))
    assert image.shape == (3, 4)
    assert np.unique(image).size == 2
    assert image[2, 3] == 10 * image[0, 0]


@pytest.fixture
def numbered(tmp_path):
    """An uncompressed file of 70 x 90 patterns; every pixel is the number of its position."""
    path = tmp_path / "numbered.npy"
    numbers = np.arange(70 * 90, dtype=np.uint16).reshape(70, 90)
    np.save(path, np.broadcast_to(numbers[..., None, None], (70, 90, 16, 16)))
    return path


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_an_uncompressed_file_in_memory_is_shown_as_it_is(numbered, order, monkeypatch):
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 60.0)
    np.save(numbered, np.load(numbered).astype(order))
    image = preview(open_scan(numbered)) / (8 * 16)  # eight rows of sixteen pixels
    np.testing.assert_array_equal(image, np.arange(70 * 90).reshape(70, 90))


def test_a_file_on_disk_is_asked_for_and_shown_as_it_is(numbered, monkeypatch):
    monkeypatch.setattr(f"{PREVIEW}._SLOW", -1.0)  # every file is thought to be on disk
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 60.0)
    image = preview(open_scan(numbered)) / (8 * 16)
    np.testing.assert_array_equal(image, np.arange(70 * 90).reshape(70, 90))


@pytest.mark.parametrize("seconds", [0.0, 10.0, 11.0])
def test_a_slow_file_is_sampled_and_filled_in_between(numbered, monkeypatch, seconds):
    """The clock moves on by a second whenever it is looked at."""
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", seconds)
    monkeypatch.setattr(f"{PREVIEW}._FIRST", 30)
    image = preview(open_scan(numbered)) / (8 * 16)
    y, x = np.divmod(image, 90)
    rows, columns = np.indices((70, 90))
    step = 16  # 5 x 6 patterns; what was begun of the next step is not shown
    np.testing.assert_array_equal(y, rows // step * step)
    np.testing.assert_array_equal(x, columns // step * step)


def test_of_a_large_file_few_patterns_are_wanted(numbered, monkeypatch):
    monkeypatch.setattr(f"{PREVIEW}._PATTERNS", 700)  # every third row and column
    monkeypatch.setattr(f"{PREVIEW}._SECONDS", 60.0)
    image = preview(open_scan(numbered))
    y, x = np.divmod(image / (8 * 16), 90)
    rows, columns = np.indices((70, 90))
    np.testing.assert_array_equal(y, rows // 3 * 3)
    np.testing.assert_array_equal(x, columns // 3 * 3)


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_of_a_sparse_file_of_34_gb_little_is_read(tmp_path):
    import resource

    path = tmp_path / "sparse.npy"
    shape = (1024, 1024, 128, 128)
    np.lib.format.open_memmap(path, "w+", np.uint16, shape)[0, 0] = 1

    def faults():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_minflt + used.ru_majflt

    preview(open_scan(path))
    before = faults()
    image = preview(open_scan(path))
    # A fault maps no more than 64 kB of a file of which these pages are in memory, as now.
    assert (faults() - before) * 2**16 < path.stat().st_size / 10
    assert image.shape == (1024, 1024)
    path.unlink()
