"""Every file format: the same counts, steps and shape, whatever the file."""

from __future__ import annotations

import itertools
import pickle
import shutil

import numpy as np
import pytest

from helpers.scan_files import (
    CENTRE,
    COUNTS,
    EMPAD_COUNTS,
    EMPAD_XML,
    K_STEP,
    SCAN_STEP,
    WRITERS,
)
from helpers.scan_frames import write_dm
from napari_ferro4d import ScanError, com, open_scan
from napari_ferro4d.open import is_scan

NO_STEPS = {"npy", "mib", "mib raw", "mib series", "tvips", "raw", "tiff", "tiff, packed", "images"}
NO_K_STEP = {*NO_STEPS, "blo", "dectris"}
WITH_CENTRE = {"emdfile", "EMD-NCEM", "NeXus", "hspy", "zspy", "topspin", "gatan"}
MAPPED = {
    "npy",
    "mib",
    "blo",
    "mrc",
    "empad",
    "raw",
    "py4DSTEM 0.9",
    "EMD-NCEM, scan first",
    "gatan",
    "tiff",
    "gatan, version 3",
}
NOT_BY_NAME = {"raw", "tiff", "tiff, packed"}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_counts_and_what_it_knows(tmp_path, name):
    writer, hints = WRITERS[name]
    path = writer(tmp_path)
    scan = open_scan(path, **hints)
    counts = EMPAD_COUNTS if name == "empad" else COUNTS
    assert scan.shape == counts.shape
    np.testing.assert_array_equal(scan.data.compute(), counts)
    assert scan.data.numblocks[2:] == (1, 1)
    assert scan.complete
    assert scan.scan_step == (None if name in NO_STEPS else pytest.approx(SCAN_STEP))
    assert scan.k_step == (None if name in NO_K_STEP else pytest.approx(K_STEP))
    knows_centre = name.partition(",")[0] in WITH_CENTRE
    assert scan.centre == (pytest.approx(CENTRE) if knows_centre else None)
    assert (scan.frames is not None) == (name in MAPPED)
    again = open_scan(scan.source.path, **scan.source.hints)
    assert again.signature == scan.signature
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scan.data))[1, 2], counts[1, 2])
    if scan.frames is not None:
        np.testing.assert_array_equal(scan.frames.view(scan.shape), counts)
    expected = counts.sum((2, 3), dtype=np.float64).astype(np.float32)
    np.testing.assert_allclose(com(scan).sum, expected, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in NOT_BY_NAME])
def test_every_format_is_known_by_its_name(tmp_path, name):
    assert is_scan(WRITERS[name][0](tmp_path))


# --- EMPAD


def test_an_empad_scan_is_opened_from_either_file(tmp_path):
    raw = WRITERS["empad"][0](tmp_path)
    header = tmp_path / "scan.xml"
    assert is_scan(header)
    scan = open_scan(header)
    np.testing.assert_array_equal(scan.data.compute(), EMPAD_COUNTS)
    assert scan.scan_step == pytest.approx((1.5, 1.5))
    assert scan.metadata["timestamp"] == "2026-03-25T16:47:52"
    header.unlink()
    alone = open_scan(raw)  # the name still tells the shape
    assert alone.signature == scan.signature
    assert alone.scan_step is None
    raw.rename(tmp_path / "other.raw")
    assert not is_scan(tmp_path / "other.raw")
    with pytest.raises(ScanError, match="scan shape"):
        open_scan(tmp_path / "other.raw")
    assert open_scan(tmp_path / "other.raw", scan_shape=(3, 4)).signature == scan.signature


def test_an_empad_sum_keeps_its_precision(tmp_path):
    """128 x 128 float32 near 2^20 with small differences add up exactly only in float64."""
    from napari_ferro4d.reduce import mean_pattern

    frames = np.zeros((2, 130, 128), "<f4")
    frames[:, :128] = 2.0**20
    frames[1, :128] += 0.125
    frames[:, 128:] = np.nan  # what the last two rows hold is no data
    (tmp_path / "a.raw").write_bytes(frames.tobytes())
    scan = open_scan(tmp_path / "a.raw", scan_shape=(1, 2))
    assert np.all(mean_pattern(scan) == 2.0**20 + 0.0625)
    assert com(scan).sum[0, 1] == np.float32((2.0**20 + 0.125) * 128 * 128)


def test_a_real_empad_header(instruments, tmp_path):
    """The header says 32 x 64 positions over 1.272 um / 0.72 on the longer side."""
    name = "EMPAD_v1.2.2_x32_y64_size0.8.xml"
    shutil.copyfile(instruments / name, tmp_path / name)
    with (tmp_path / "scan_x32_y64.raw").open("wb") as file:
        file.truncate(32 * 64 * 130 * 128 * 4)
    scan = open_scan(tmp_path / name)
    assert scan.shape == (64, 32, 128, 128)
    assert scan.scan_step == pytest.approx((1272.412 / 0.72 / 64,) * 2, rel=1e-5)
    assert scan.k_step is None
    assert scan.metadata["high_voltage_V"] == 300000.0


def test_an_xml_file_of_something_else_is_declined(tmp_path):
    (tmp_path / "a.xml").write_text("<html/>")
    assert not is_scan(tmp_path / "a.xml")
    with pytest.raises(ScanError, match="raw_file"):
        open_scan(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text(EMPAD_XML)
    with pytest.raises(ScanError, match=r"scan_x4_y3\.raw"):
        open_scan(tmp_path / "b.xml")


# --- the others


@pytest.mark.parametrize("unit", ["1/nm", "mrad"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_gatan_axes_may_come_in_any_order(tmp_path, order, unit):
    """The units tell the axes of the detector; within each pair the slower one is the row."""
    axes = [("nm", 1.5, 0.0), ("nm", 2.5, 0.0), (unit, 0.2, 3.0), (unit, 0.4, 5.0)]
    shape = np.take((3, 4, 6, 8), order)
    stored = np.arange(576, dtype=np.uint16).reshape(shape)
    path = write_dm(tmp_path / "a.dm4", stored, [axes[n] for n in order])
    scan = open_scan(path)
    of_scan = [n for n, axis in enumerate(order) if axis < 2]
    of_detector = [n for n, axis in enumerate(order) if axis > 1]
    expected = stored.transpose(*of_scan, *of_detector)
    np.testing.assert_array_equal(scan.data.compute(), expected)
    assert scan.scan_step == pytest.approx([axes[order[n]][1] for n in of_scan])
    assert scan.centre == pytest.approx([axes[order[n]][2] for n in of_detector])
    if unit == "1/nm":
        assert scan.k_step == pytest.approx([0.1 * axes[order[n]][1] for n in of_detector])
    else:
        assert scan.k_step is None


def test_what_direct_electron_says_is_kept(instruments):
    metadata = open_scan(instruments / "20241021_00405_movie.mrc").metadata
    text = (instruments / "20241021_00405_info.txt").read_text(errors="replace")
    for name, key in (("Camera Model", "camera"), ("Frames Per Second", "frames_per_second")):
        (line,) = (one for one in text.splitlines() if one.partition("=")[0].strip() == name)
        assert metadata[key] == line.partition("=")[2].strip()


def test_a_blockfile_of_a_real_instrument(instruments):
    from rsciio.blockfile import file_reader

    scan = open_scan(instruments / "test1.blo")
    assert scan.shape == (3, 2, 144, 144)
    expected = file_reader(str(instruments / "test1.blo"))[0]["data"]
    np.testing.assert_array_equal(scan.data.compute(), expected)
    assert scan.scan_step == pytest.approx((12.8, 12.8))
    assert scan.metadata["beam_energy_V"] == 200000


def test_a_real_tvips_recording(instruments):
    path = instruments / "test_tvips_2345_000.tvips"
    with pytest.raises(ScanError, match=r"6 patterns.*scan shape"):
        open_scan(path)
    scan = open_scan(path, scan_shape=(2, 3))
    from rsciio.tvips import file_reader

    expected = file_reader(str(path), scan_shape=(2, 3))[0]["data"]
    np.testing.assert_array_equal(scan.data.compute(), expected)
    assert scan.frames is not None


def test_a_further_part_of_a_recording_names_the_first(tmp_path):
    WRITERS["tvips"][0](tmp_path)
    with pytest.raises(ScanError, match=r"open scan_000\.tvips"):
        open_scan(tmp_path / "scan_001.tvips", scan_shape=(1, 5))


def test_direct_electron_steps_are_those_of_the_info_file(instruments):
    """The file states 0.1 and 0.2 nm, and 0.1 without a unit, which RosettaSciIO takes as 1/nm."""
    path = instruments / "20241021_00405_movie.mrc"
    assert is_scan(path)
    scan = open_scan(path)
    assert scan.shape == (4, 8, 4, 8)
    assert scan.scan_step == (0.2, 0.1)
    assert scan.k_step == pytest.approx((0.01, 0.01))
    raw = np.fromfile(path, "<u2", offset=1024).reshape(4, 8, 4, 8)
    np.testing.assert_array_equal(scan.data.compute(), raw)


def test_a_tilt_series_is_not_taken_for_a_scan(tmp_path):
    path = WRITERS["mrc"][0](tmp_path)
    (tmp_path / "20260101_00001_info.txt").unlink()
    assert not is_scan(path)
    np.testing.assert_array_equal(open_scan(path, scan_shape=(3, 4)).data.compute(), COUNTS)


@pytest.mark.parametrize(
    ("hints", "words"),
    [
        ({}, "no header"),
        ({"dtype": "u2"}, "detector_shape"),
        ({"dtype": "complex64", "detector_shape": (16, 16)}, "no type of counts"),
        ({"dtype": "{", "detector_shape": (16, 16)}, "no type of counts"),
        ({"dtype": "u2", "detector_shape": (1600, 1600)}, "too few"),
        ({"dtype": "u2", "detector_shape": (16, 16), "offset": -1}, "offset"),
    ],
)
def test_a_headerless_file_needs_to_be_described(tmp_path, hints, words):
    path = WRITERS["raw"][0](tmp_path)
    assert not is_scan(path)
    with pytest.raises(ScanError, match=words):
        open_scan(path, scan_shape=(3, 4), **hints)


def test_the_ending_of_a_headerless_file_does_not_matter(tmp_path):
    path = WRITERS["raw"][0](tmp_path).rename(tmp_path / "dump")
    scan = open_scan(path, **WRITERS["raw"][1])
    np.testing.assert_array_equal(scan.data.compute(), COUNTS)
