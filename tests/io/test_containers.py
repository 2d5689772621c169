"""Scans in HDF5, zarr and images: what is missing, damaged, or read in parts."""

from __future__ import annotations

import pickle
import shutil
import struct
import subprocess
import sys

import h5py
import numcodecs
import numpy as np
import psutil
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.scan_containers import write_dectris, write_ncem, write_zspy
from helpers.scan_files import CENTRE, COUNTS, SHAPE, WRITERS
from napari_ferro4d import ScanError, open_scan
from napari_ferro4d.io.formats import Hdf5Array, plain_chunks, unpacked_part
from napari_ferro4d.open import is_scan

# --- HDF5


def write_part(path, shape, chunks, upto):
    """Create a dataset and write its first patterns only, as an interrupted recording does."""
    stack = COUNTS.reshape(-1, 16, 16)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", shape=shape, dtype="u2", chunks=chunks)
        for number in range(upto):
            data[np.unravel_index(number, shape[:-2])] = stack[number]


@pytest.mark.parametrize("chunks", [(1, 1, 16, 16), (1, 1, 8, 16)])
def test_patterns_that_were_never_written_are_no_zeros(tmp_path, chunks):
    path = tmp_path / "cut.h5"
    write_part(path, SHAPE, chunks, 10)
    with pytest.raises(ScanError, match=r"2 of 12 patterns .* never written.*'pad'"):
        open_scan(path)
    scan = open_scan(path, incomplete="pad")
    assert scan.missing.sum() == 2
    assert scan.missing[2, 2:].all()
    np.testing.assert_array_equal(scan.data[:2].compute(), COUNTS[:2])
    trimmed = open_scan(path, incomplete="trim")
    np.testing.assert_array_equal(trimmed.data.compute(), COUNTS[:2])


def test_a_stack_that_was_not_written_to_its_end(tmp_path):
    path = tmp_path / "cut.h5"
    write_part(path, (12, 16, 16), (1, 16, 16), 10)
    with pytest.raises(ScanError, match="2 of 12 patterns"):
        open_scan(path, scan_shape=(3, 4))
    scan = open_scan(path, scan_shape=(3, 4), incomplete="pad")
    np.testing.assert_array_equal(scan.missing, [[0, 0, 0, 0]] * 2 + [[0, 0, 1, 1]])
    np.testing.assert_array_equal(scan.data[2, :2].compute(), COUNTS[2, :2])


def parts_of(length):
    """Return a strategy of what an axis can be asked for: a position, a run, every n-th."""
    ends = st.none() | st.integers(-length, length + 2)
    runs = st.builds(slice, ends, ends, st.none() | st.integers(1, 3))
    return st.integers(0, length - 1) | runs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=COUNTS, chunks=(1, 2, 16, 16), compression="gzip")
        return Hdf5Array.of(file["data"])


@given(st.tuples(*map(parts_of, SHAPE)), st.integers(1, 4))
def test_any_part_of_a_dataset_is_that_of_the_counts(dataset, where, axes):
    np.testing.assert_array_equal(dataset[where[:axes]], COUNTS[where[:axes]])


@pytest.fixture(scope="module")
def in_chunks(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=COUNTS, chunks=(2, 3, 5, 16))
        return plain_chunks(path, file["data"])


@given(st.tuples(*map(parts_of, SHAPE)), st.integers(1, 4))
def test_any_part_of_chunks_that_lie_as_they_are_is_that_of_the_counts(in_chunks, where, axes):
    np.testing.assert_array_equal(in_chunks[where[:axes]], COUNTS[where[:axes]])


def is_mapped(path):
    return str(path) in {one.path for one in psutil.Process().memory_maps()}


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}])
def test_chunks_of_a_scan_with_the_detector_axes_first(tmp_path, filters):
    """As HyperSpy writes EMD: whole images of the scan in a chunk; compressed only if told so."""
    path = write_ncem(tmp_path, COUNTS, (5, 6, 4, 3), **filters)
    scan = open_scan(path)
    assert not is_mapped(path)  # pages that stay mapped count as memory
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.data))[1, 2], COUNTS[1, 2])
    assert not is_mapped(path)
    assert scan.centre == pytest.approx(CENTRE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ScanError, match=path.name):
        scan.data.compute()


def test_a_dataset_that_was_never_written_at_all(tmp_path):
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_dataset("data", shape=SHAPE, dtype="u2")
    with pytest.raises(ScanError, match="12 of 12 patterns"):
        open_scan(tmp_path / "empty.h5")


@pytest.mark.parametrize("name", ["NeXus", "emdfile"])
def test_a_heap_on_which_the_library_would_never_return_is_refused(tmp_path, name):
    """In a file of emdfile it begins at no multiple of eight bytes."""
    path = WRITERS[name][0](tmp_path)
    data = bytearray(path.read_bytes())
    first = data.index(b"GCOL") + 16
    data[first : first + 16] = bytes(16)  # the first object: free space of no length
    path.write_bytes(data)
    with pytest.raises(ScanError, match="heap"):
        open_scan(path)


def test_a_group_on_which_the_library_would_never_return_is_refused(tmp_path):
    """The free places of the heap with a group's names: the only one is made to follow itself."""
    path = WRITERS["topspin"][0](tmp_path)
    data = bytearray(path.read_bytes())
    header = data.index(b"HEAP\0\0\0\0")
    free, address = struct.unpack_from("<2Q", data, header + 16)
    assert struct.unpack_from("<Q", data, address + free) == (1,)
    struct.pack_into("<Q", data, address + free, free)
    path.write_bytes(data)
    with pytest.raises(ScanError, match="heap"):
        open_scan(path)


def test_a_chunk_that_blosc_would_read_past_its_end_is_refused(tmp_path):
    path = WRITERS["abTEM"][0](tmp_path)
    chunk = path / "array0" / "0.0.0.0"
    data = bytearray(chunk.read_bytes())
    data[12:16] = (2**31 - 1).to_bytes(4, "little")
    chunk.write_bytes(data)
    with pytest.raises(ScanError, match="not of the length that it states"):
        open_scan(path)


@pytest.mark.parametrize("name", ["zspy", "zarr v2", "zarr v3"])
def test_single_patterns_of_large_chunks_are_those_of_the_whole(tmp_path, monkeypatch, name):
    """Chunks of 2 x 3 patterns count as large; some are not full, and one is not there."""
    monkeypatch.setattr("napari_ferro4d.io.formats.blosc._LARGE", 1)
    counts = COUNTS[:, :, :, :12].copy()
    counts[2:, 3:] = 0
    if name == "zspy":
        path = write_zspy(tmp_path, counts, (2, 3, 16, 12))
    else:
        path = tmp_path / "scan.zarr"
        codec = numcodecs.Blosc() if name == "zarr v2" else zarr.codecs.BloscCodec()
        array = zarr.create_array(
            path, data=counts, chunks=(2, 3, 16, 12), compressors=codec, zarr_format=int(name[-1])
        )
        assert array.nchunks_initialized == 3
    scan = open_scan(path)
    assert scan.metadata["patterns_per_chunk"] == (1, 1)
    np.testing.assert_array_equal(scan.data.compute(), counts)
    for where in ((2, 3), (2, 2), (slice(None, None, 2), 1), (slice(0, 3, 2), slice(1, 4, 2))):
        np.testing.assert_array_equal(scan.data[where].compute(), counts[where])
    some = (slice(None, None, 3), slice(0, 4, 3), slice(2, 9, 2), 5)
    np.testing.assert_array_equal(scan.data[some].compute(), counts[some])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.data))[1, 2], counts[1, 2])
    chunk = next(p for p in path.rglob("*0") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-5])
    with pytest.raises(ScanError, match="not of the length that it states"):
        open_scan(path)


@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("compressor", ["lz4", "zstd", "blosclz", "zlib"])
@pytest.mark.parametrize(("dtype", "level"), [("u1", 1), ("u2", 5), ("f8", 9), ("u2", 0)])
def test_any_part_of_a_blosc_chunk_is_that_of_the_whole(compressor, shuffle, dtype, level):
    values = np.random.default_rng(1).poisson(3, 300_001).astype(dtype)
    codec = numcodecs.Blosc(cname=compressor, clevel=level, shuffle=shuffle, blocksize=2**16)
    packed = np.frombuffer(codec.encode(values), np.uint8)
    data = values.tobytes()
    for start, size in ((0, 10), (5, 70_000), (2**16, 2**17), (len(data) - 9, 9), (0, len(data))):
        assert unpacked_part(packed, start, size) == data[start : start + size]


def test_several_scans_exported_by_topspin_together(tmp_path):
    path = WRITERS["topspin"][0](tmp_path)
    with h5py.File(path, "r+") as file:
        (scan,) = (name for name in file if name != "Metadata")
        session = file.create_group("00000000-0000-0000-0000-000000000000")
        session["Metadata"] = "<Session/>"
        file.move(scan, f"{session.name}/{scan}")
        del file["Metadata"]
    np.testing.assert_array_equal(open_scan(path).data.compute(), COUNTS)


def test_a_scan_in_many_data_files_is_opened_without_reading_it(tmp_path, monkeypatch):
    counts = np.arange(120, dtype=np.uint16).reshape(10, 12, 1, 1).repeat(16, 2).repeat(16, 3)
    path = write_dectris(tmp_path, counts, images=40)
    read, asked = h5py.Dataset.__getitem__, []

    def watched(self, where, *arguments):
        values = read(self, where, *arguments)
        asked.append(np.size(values) // 256)
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    scan = open_scan(path)
    assert scan.shape == (10, 12, 16, 16)
    assert sum(asked) <= 5  # for the signature
    asked.clear()
    np.testing.assert_array_equal(scan.data[3, 2:7].compute(), counts[3, 2:7])
    assert sum(asked) == 5


def test_a_missing_data_file_of_a_detector_is_named(tmp_path):
    path = WRITERS["dectris"][0](tmp_path)
    (tmp_path / "arina_data_000002.h5").unlink()
    assert is_scan(path)
    with pytest.raises(ScanError, match=r"arina_data_000002\.h5 is missing"):
        open_scan(path)


# --- images


def test_an_image_that_is_missing_leaves_a_hole(tmp_path):
    folder = WRITERS["images"][0](tmp_path)
    (folder / "6_1_raw.png").unlink()
    with pytest.raises(ScanError, match="1 of 12 positions"):
        open_scan(folder)
    scan = open_scan(folder, incomplete="pad")
    assert np.argwhere(scan.missing).tolist() == [[1, 1]]
    assert scan.data[1, 1].compute().sum() == 0
    np.testing.assert_array_equal(scan.data[1, 2].compute(), COUNTS[1, 2])


def test_images_of_another_size_or_position_are_named(tmp_path):
    folder = WRITERS["images"][0](tmp_path)
    Image.fromarray(COUNTS[0, 0, :8]).save(folder / "8_2_raw.png")
    with pytest.raises(ScanError, match=r"8_2_raw\.png: is 8 x 16"):
        open_scan(folder)
    Image.fromarray(COUNTS[0, 0]).save(folder / "8_2_again.png")
    with pytest.raises(ScanError, match="same position"):
        open_scan(folder)


def test_a_folder_of_other_pictures_is_declined(tmp_path):
    Image.fromarray(COUNTS[0, 0]).save(tmp_path / "2024_01.png")
    Image.fromarray(COUNTS[0, 0]).save(tmp_path / "2025_12.png")
    assert not is_scan(tmp_path)


@pytest.mark.parametrize(
    "how", ["classic", "big", "big-endian", "without a description", "two strips"]
)
def test_the_pages_of_a_packed_stack_are_found(tmp_path, how):
    path = tmp_path / "a.tif"
    order = ">" if how == "big-endian" else "<"
    page = {"compression": "zlib"}
    page |= {"metadata": None} if how == "not described" else {}
    page |= {"rowsperstrip": 8} if how == "two strips" else {}
    with tifffile.TiffWriter(path, bigtiff=how == "big", byteorder=order) as file:
        for frame in COUNTS.reshape(12, 16, 16):
            file.write(frame, **page)
    scan = open_scan(path, scan_shape=(3, 4))
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    assert scan.frames is None


def test_the_pages_of_a_stack_that_was_packed_at_once(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS, compression="zlib", photometric="minisblack")
    scan = open_scan(path)
    assert scan.shape == SHAPE
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)


def test_pages_that_follow_one_another_in_a_ring_end(tmp_path):
    path = WRITERS["tiff, packed"][0](tmp_path)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0], file.pages[11]
        after = last.offset + 2 + 12 * len(last.tags)
    data = bytearray(path.read_bytes())
    data[after : after + 4] = first.offset.to_bytes(4, "little")
    path.write_bytes(data)
    np.testing.assert_array_equal(open_scan(path, scan_shape=(3, 4)).data.compute(), COUNTS)


def test_a_hyperspy_scan_in_a_zip_file(tmp_path):
    path = WRITERS["zspy"][0](tmp_path)
    packed = shutil.make_archive(tmp_path / "packed", "zip", path)
    scan = open_scan(shutil.move(packed, tmp_path / "packed.zspy"))
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
    assert scan.centre == pytest.approx(CENTRE)


def test_a_damaged_zarr_store_is_said_in_one_line(tmp_path):
    """zarr reads all members at once, and complains of each in turn when one is damaged."""
    group = zarr.open_group(tmp_path / "scan.zspy", mode="w", zarr_format=3).create_group("scan")
    group.create_array("data", shape=(2, 2, 4, 4), dtype="u2")
    for axis in range(4):
        group.create_group(f"axis-{axis}")
    for damaged in (tmp_path / "scan.zspy" / "scan").glob("*/zarr.json"):
        damaged.write_text("{")
    command = [sys.executable, "-m", "napari_ferro4d", "info", tmp_path / "scan.zspy"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1, said.stderr
