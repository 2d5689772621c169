"""Detector corrections as options of `open_scan`: numbers against plain numpy, files, refusals."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.scan_frames import K_AXES, write_dm
from napari_ferro4d import Scan, ScanError, com, open_scan
from napari_ferro4d.corrections import bad_pixels, correct, not_negative
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.reduce import pattern_statistics

KY, KX = 12, 16


def random_counts(dtype, seed=0, shape=(3, 4, KY, KX)):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, 120, shape).astype(dtype)


def by_numpy(counts, dark=None, gain=None, bad=None, crop=None, bin=1):
    """The same in plain numpy, pixel by pixel, with no regard to speed."""
    measured = dark is not None or gain is not None or bad is not None
    values = counts.astype(np.float32 if measured else counts.dtype.newbyteorder("="))
    if dark is not None:
        values = values - dark.astype(np.float32)
    if gain is not None:
        values = values * gain.astype(np.float32)
    if bad is not None:
        fixed = values.copy()
        for ky, kx in np.argwhere(bad):
            for reach in range(1, max(bad.shape)):
                near = [
                    (y, x)
                    for y in range(max(0, ky - reach), min(bad.shape[0], ky + reach + 1))
                    for x in range(max(0, kx - reach), min(bad.shape[1], kx + reach + 1))
                    if not bad[y, x]
                ]
                if near:
                    mean = np.mean([values[..., y, x].astype(float) for y, x in near], axis=0)
                    fixed[..., ky, kx] = mean
                    break
        values = fixed
    rows, columns = crop or (slice(None), slice(None))
    values = values[..., rows, columns]
    ny, nx = values.shape[-2] // bin, values.shape[-1] // bin
    values = values[..., : ny * bin, : nx * bin]
    if bin == 1:
        return values
    wide = np.float64 if values.dtype.kind == "f" else np.int64
    return values.reshape(*values.shape[:2], ny, bin, nx, bin).sum((3, 5), dtype=wide)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["u1", "<u2", ">u2", "<i4", ">u4", "<f4", ">f8", "<f2", "<i8"]),
    wanted=st.sets(st.sampled_from(["dark", "gain", "bad"])),
    top=st.integers(0, 5),
    left=st.integers(0, 5),
    height=st.integers(3, 7),
    width=st.integers(3, 11),
    bin=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_every_correction_is_what_numpy_gives(dtype, wanted, top, left, height, width, bin, seed):
    rng = np.random.default_rng(seed)
    counts = random_counts(dtype, seed)
    images = {
        "dark": rng.random((KY, KX)),
        "gain": 0.5 + rng.random((KY, KX)),
        "bad": rng.random((KY, KX)) < 0.2,
    }
    images = {name: image for name, image in images.items() if name in wanted}
    crop = slice(top, top + height), slice(left, left + width)
    found = correct(Scan.from_array(counts), **images, crop=crop, bin=bin)
    expected = by_numpy(counts, **images, crop=crop, bin=bin)
    np.testing.assert_allclose(found.data.compute(), expected, rtol=2e-6, atol=1e-5)
    assert found.correction.used.sum() == np.count_nonzero(
        ~images.get("bad", np.zeros((KY, KX), bool))[crop][
            : height // bin * bin, : width // bin * bin
        ]
    )


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(1)
    counts = random_counts(np.uint16, shape=(8, 6, KY, KX))
    np.save(tmp_path / "scan.npy", counts)
    dark, gain = rng.random((KY, KX)), (0.5 + rng.random((KY, KX))).astype(np.float32)
    bad = rng.random((KY, KX)) < 0.1
    np.save(tmp_path / "dark.npy", dark)
    tifffile.imwrite(tmp_path / "gain.tif", gain)
    tifffile.imwrite(tmp_path / "bad.tif", bad.astype(np.uint8) * 255)
    return tmp_path, counts, {"dark": dark, "gain": gain, "bad": bad}


def hints(folder):
    return {
        "dark": folder / "dark.npy",
        "gain": str(folder / "gain.tif"),
        "bad_pixels": folder / "bad.tif",
        "crop": ((np.int64(1), 11), (None, 14)),
        "bin": np.int64(2),
    }


def test_hints_are_applied_recorded_and_open_the_same_again(files):
    folder, counts, images = files
    scan = open_scan(folder / "scan.npy", k_step=0.1, centre=(6.0, 7.0), **hints(folder))
    expected = by_numpy(counts, **images, crop=(slice(1, 11), slice(0, 14)), bin=2)
    np.testing.assert_allclose(scan.data.compute(), expected, rtol=1e-6)
    assert scan.detector_shape == (5, 7)
    assert scan.k_step == (0.2, 0.2)
    assert scan.centre == ((6.0 - 1 + 0.5) / 2 - 0.5, (7.0 + 0.5) / 2 - 0.5)
    assert scan.signature != open_scan(folder / "scan.npy").signature
    # A hint is a key of a cache on a worker, and part of a JSON document.
    hash(tuple(sorted(scan.source.hints.items())))
    again = open_scan(scan.source.path, **json.loads(json.dumps(dict(scan.source.hints))))
    assert again.signature == scan.signature
    assert again.source.hints["crop"] == scan.source.hints["crop"] == ((1, 11), (0, 14))
    assert open_scan(scan.source.path, **scan.source.hints).source == scan.source
    record = json.loads(json.dumps(scan.correction.record))
    assert record["dark"] == {
        "path": str(folder / "dark.npy"),
        "sha256": hashlib.sha256((folder / "dark.npy").read_bytes()).hexdigest(),
    }
    assert record["bad_pixels"]["count"] == images["bad"].sum()
    assert (record["crop"], record["bin"]) == ([[1, 11], [0, 14]], 2)


def test_images_are_found_from_any_working_directory(files, tmp_path_factory, monkeypatch):
    folder, _, _ = files
    monkeypatch.chdir(folder)
    scan = open_scan(folder / "scan.npy", dark="dark.npy", bad_pixels="bad.tif")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert open_scan(scan.source.path, **scan.source.hints).signature == scan.signature


def test_bad_pixels_as_a_list(files):
    folder, counts, _ = files
    scan = open_scan(folder / "scan.npy", bad_pixels=" 3,4; 0,15;")
    bad = np.zeros((KY, KX), bool)
    bad[3, 4] = bad[0, 15] = True
    np.testing.assert_allclose(scan.data.compute(), by_numpy(counts, bad=bad), rtol=1e-6)
    assert scan.source.hints["bad_pixels"] == "0,15;3,4"


@pytest.fixture
def hot(tmp_path):
    counts = np.random.default_rng(2).poisson(20, (10, 10, KY, KX)).astype(np.uint16)
    counts[..., 3, 5], counts[..., 9, 2] = 400, 0
    np.save(tmp_path / "hot.npy", counts)
    return tmp_path / "hot.npy"


def test_bad_pixels_are_found_once_and_listed(hot):
    seen = []
    scan = open_scan(hot, bad_pixels="auto", report=seen.append)
    assert np.argwhere(bad_pixels(pattern_statistics(open_scan(hot)))).tolist() == [[3, 5], [9, 2]]
    assert seen[-1].done == 100
    assert scan.source.hints["bad_pixels"] == "3,5;9,2"
    assert scan.correction.record["bad_pixels"] == {
        "found": "auto",
        "count": 2,
        "pixels": "3,5;9,2",
    }
    # Opened again, nothing is looked for.
    again = open_scan(hot, **scan.source.hints, report=pytest.fail)
    assert again.signature == scan.signature


def test_looking_for_bad_pixels_can_be_cancelled(hot):
    def report(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        open_scan(hot, bad_pixels="auto", report=report)


def test_where_no_pixel_is_bad_counts_stay_as_they_are(files):
    folder, counts, _ = files
    scan = open_scan(folder / "scan.npy", bad_pixels="auto")
    assert scan.correction.record["bad_pixels"]["count"] == 0
    assert scan.dtype == np.uint16
    assert scan.frames is not None
    assert open_scan(scan.source.path, **scan.source.hints).signature == scan.signature
    np.testing.assert_array_equal(com(scan).sum, counts.sum((2, 3)))


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">u4"])
def test_a_crop_of_an_uncompressed_file_is_read_where_it_lies(tmp_path, dtype):
    counts = random_counts(dtype, shape=(7, 5, KY, KX))
    np.save(tmp_path / "scan.npy", counts)
    scan = open_scan(tmp_path / "scan.npy", crop=((2, 9), (3, 13)), centre=(6, 7))
    assert scan.frames is not None
    assert scan.dtype == np.dtype(dtype)
    expected = Scan.from_array(counts[..., 2:9, 3:13], centre=(4, 4))
    np.testing.assert_array_equal(scan.data.compute(), expected.data.compute())
    assert scan.signature == expected.signature
    found, wanted = com(scan, mask_radius=3), com(expected, mask_radius=3)
    np.testing.assert_allclose(found.com_y, wanted.com_y, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.sum, wanted.sum, rtol=1e-6)


def test_a_crop_of_frames_from_the_bottom_up_with_headers_and_flyback(tmp_path):
    counts = random_counts(np.uint16, shape=(20, KY, KX))
    path = tmp_path / "scan.mib"
    header = (
        f"MQ1,000001,00384,01,{KX:04d},{KY:04d},U16,   1x1,01,2020-01-01 12:00:00.000000,"
        "0.001000,0,0,0,1.2E+2,MQ1A,2020-01-01T12:00:00.000000000Z,1000000ns,12"
    )
    stored = counts[:, ::-1].astype(">u2")
    path.write_bytes(b"".join(header.ljust(384).encode() + one.tobytes() for one in stored))
    options = {"scan_shape": (4, 4), "flyback": 1}
    whole = open_scan(path, **options)
    part = open_scan(path, **options, crop=((1, 5), (6, 16)))
    assert part.frames is not None
    assert part.frames.bottom_up
    np.testing.assert_array_equal(part.data.compute(), whole.data.compute()[..., 1:5, 6:16])
    np.testing.assert_array_equal(com(part).sum, whole.data[..., 1:5, 6:16].sum((2, 3)).compute())
    twice = correct(part, crop=(slice(1, 3), slice(2, 5)))
    np.testing.assert_array_equal(twice.data.compute(), whole.data.compute()[..., 2:4, 8:11])


@pytest.mark.parametrize("compressed", [False, True])
def test_any_part_of_a_corrected_scan_can_be_looked_at(files, compressed):
    folder, counts, images = files
    path = folder / "scan.npy"
    if compressed:
        path = folder / "scan.zarr"
        array = zarr.create_array(
            path, shape=counts.shape, chunks=(2, 3, KY, KX), dtype=counts.dtype
        )
        array[:] = counts
    scan = open_scan(path, **hints(folder))
    assert (scan.frames, scan.correction.raw.frames is None) == (None, compressed)
    expected = by_numpy(counts, **images, crop=(slice(1, 11), slice(0, 14)), bin=2)
    for where in (
        (3, 4),
        (-1, -2),
        (slice(None, None, 3), slice(1, 5)),
        (2, slice(None), 1),
        (slice(1, 7, 2), 3, slice(1, 4), -1),
        (slice(None), slice(None), 2, 3),
        ([1, 5, 2], slice(None)),
    ):
        np.testing.assert_allclose(scan.data[where].compute(), expected[where], rtol=1e-6)
    again = pickle.loads(pickle.dumps(scan.data))
    np.testing.assert_array_equal(again.compute(), scan.data.compute())


def test_corrections_one_after_the_other_are_those_of_the_recorded_scan(files):
    folder, counts, images = files
    first = open_scan(folder / "scan.npy", dark=folder / "dark.npy", crop=((2, 10), (4, 14)))
    bad = np.zeros((8, 10), bool)
    bad[3, 3] = True
    second = correct(correct(first, bad=bad, bin=2), crop=(slice(1, 4), slice(0, 3)))
    expected = by_numpy(counts, images["dark"], crop=(slice(2, 10), slice(4, 14)))
    expected = by_numpy(by_numpy(expected, bad=bad, bin=2), crop=(slice(1, 4), slice(0, 3)))
    np.testing.assert_allclose(second.data.compute(), expected, rtol=1e-6)
    np.testing.assert_allclose(second.correction.apply(counts), expected, rtol=1e-6)
    used = np.zeros((KY, KX), bool)
    used[4:10, 4:10] = True
    used[5, 7] = False
    np.testing.assert_array_equal(second.correction.used, used)
    assert second.correction.record["before"]["before"]["dark"]["path"].endswith("dark.npy")


def test_counts_below_zero_are_for_the_centre_of_mass_only(files):
    folder, counts, _ = files
    np.save(folder / "dark.npy", np.full((KY, KX), 60.0))
    scan = open_scan(folder / "scan.npy", dark=folder / "dark.npy")
    np.testing.assert_allclose(com(scan, centre=(0, 0)).sum, (counts - 60.0).sum((2, 3)), rtol=1e-4)
    clipped = not_negative(scan)
    np.testing.assert_array_equal(clipped.data.compute(), np.maximum(counts - 60.0, 0))
    assert (clipped.signature, clipped.source) == (scan.signature, scan.source)
    plain = open_scan(folder / "scan.npy")
    assert not_negative(plain) is plain


def make_bad_images(folder):
    np.save(folder / "small.npy", np.ones((3, 3)))
    np.save(folder / "nan.npy", np.where(np.eye(KY, KX), np.nan, 1))
    np.save(folder / "zero.npy", np.ones((KY, KX)) - np.eye(KY, KX))
    np.save(folder / "all.npy", np.ones((KY, KX)))
    np.save(folder / "stack.npy", np.ones((5, KY, KX)))
    np.save(folder / "complex.npy", np.ones((KY, KX), complex))
    tifffile.imwrite(folder / "pages.tif", np.ones((5, KY, KX), np.float32))
    (folder / "broken.tif").write_bytes(b"II*\0 nothing")
    (folder / "broken.mrc").write_bytes(b"nothing")
    (folder / "broken.dm4").write_bytes(b"nothing")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "words.txt").write_text("1 2 3")


REFUSED = {
    "missing": ({"dark": "none.npy"}, r"none\.npy: there is no such dark image"),
    "shape": ({"dark": "small.npy"}, r"small\.npy.*\(3, 3\).*12 x 16"),
    "gain shape": ({"gain": "small.npy"}, r"small\.npy: the gain image"),
    "nan": ({"dark": "nan.npy"}, r"nan\.npy.*nan at 12 pixels"),
    "nan gain": ({"gain": "nan.npy"}, r"nan\.npy.*positive"),
    "zero gain": ({"gain": "zero.npy"}, r"zero\.npy.*0\.0 at 12 pixels.*\(0, 0\)"),
    "stack": ({"dark": "stack.npy"}, r"stack\.npy.*5 x 12 x 16.*average"),
    "complex": ({"dark": "complex.npy"}, r"complex\.npy.*complex128"),
    "pages": ({"dark": "pages.tif"}, r"pages\.tif: holds 5 images"),
    "broken tif": ({"gain": "broken.tif"}, r"broken\.tif"),
    "broken mrc": ({"gain": "broken.mrc"}, r"broken\.mrc"),
    "broken dm4": ({"gain": "broken.dm4"}, r"broken\.dm4"),
    "empty": ({"gain": "empty.npy"}, r"empty\.npy.*damaged"),
    "no image": ({"dark": "words.txt"}, r"words\.txt.*\.npy"),
    "all bad": ({"bad_pixels": "all.npy"}, r"all\.npy.*every pixel"),
    "bad words": ({"bad_pixels": "hot"}, r"hot.*auto.*KY,KX;KY,KX"),
    "bad outside": ({"bad_pixels": "3,4;12,0"}, r"scan\.npy.*12,0 lies outside"),
    "crop outside": ({"crop": ((0, 13), (0, 4))}, r"scan\.npy.*0:13 of 12"),
    "crop empty": ({"crop": ((5, 5), (0, 4))}, r"scan\.npy.*5:5"),
    "crop negative": ({"crop": ((-3, 5), (0, 4))}, r"scan\.npy.*-3:5"),
    "crop halves": ({"crop": ((0.5, 3), (0, 4))}, r"scan\.npy.*detector pixels"),
    "array": ({"dark": np.ones((KY, KX))}, r"scan\.npy.*corrections\.correct"),
    "crop words": ({"crop": "all"}, r"scan\.npy.*ky0"),
    "bin": ({"bin": 0}, r"scan\.npy.*bin"),
    "bin half": ({"bin": 1.5}, r"scan\.npy.*bin"),
    "bin too large": ({"bin": 13}, r"scan\.npy.*bin by 13"),
    "saturation": ({"saturation": -1}, r"scan\.npy.*saturation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(files, case, capfd, monkeypatch):
    folder, _, _ = files
    make_bad_images(folder)
    monkeypatch.chdir(folder)
    options, words = REFUSED[case]
    with pytest.raises(ScanError, match=words) as error:
        open_scan(folder / "scan.npy", **options)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""  # decoders explain themselves at length


def test_the_gain_of_a_bad_pixel_does_not_matter(files):
    folder, counts, _ = files
    gain = np.full((KY, KX), 2.0)
    gain[4, 4] = np.nan
    np.save(folder / "gain.npy", gain)
    scan = open_scan(folder / "scan.npy", gain=folder / "gain.npy", bad_pixels="4,4")
    bad = np.isnan(gain)
    expected = by_numpy(counts, gain=np.nan_to_num(gain), bad=bad)
    np.testing.assert_allclose(scan.data.compute(), expected, rtol=1e-6)


def test_images_of_other_programs(files):
    folder, counts, _ = files
    dark = np.random.default_rng(3).random((KY, KX)).astype(np.float32)
    header = np.zeros(256, "<i4")
    header[:4] = KX, KY, 1, 2
    (folder / "dark.mrc").write_bytes(header.tobytes() + dark.tobytes())
    scan = open_scan(folder / "scan.npy", dark=folder / "dark.mrc")
    np.testing.assert_allclose(scan.data.compute(), by_numpy(counts, dark), rtol=1e-6)
    for name in ("dark.dm4", "dark.dm3"):
        dark = np.random.default_rng(4).integers(0, 50, (KY, KX)).astype(np.uint16)
        scan = open_scan(folder / "scan.npy", dark=write_dm(folder / name, dark, K_AXES))
        np.testing.assert_array_equal(scan.data.compute(), by_numpy(counts, dark))
