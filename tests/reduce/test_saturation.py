"""Saturated pixels: what counts as one, and how many there are, corrected or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.corrections import correct
from napari_ferro4d.reduce import (
    Disk,
    centre_of_mass,
    com_flagged,
    flag_saturation,
    reduce_scan,
    saturated,
    saturation_limit,
    virtual_flagged,
)

KY, KX = 12, 16


def counts_of(dtype, seed=0, shape=(5, 7, KY, KX)):
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    most = 1.0 if kind.kind == "f" else int(np.iinfo(kind).max)
    # Many values close to the end of the type, and a few at it.
    values = most - rng.integers(0, 20, shape).astype(kind.newbyteorder("="))
    return np.where(rng.random(shape) < 0.5, values, 1).astype(kind)


@pytest.mark.parametrize(
    ("dtype", "below"),
    [
        *((dtype, 0) for dtype in ("u1", "<u2", ">u2", "<u4", ">u4", "<u8", "<i2", ">i4")),
        *((dtype, 3) for dtype in ("u1", "<u2", ">u2", "<u4", "<i2")),
    ],
)
def test_the_count_of_every_pattern(tmp_path, dtype, below):
    counts = counts_of(dtype)
    np.save(tmp_path / "scan.npy", counts)
    scan = open_scan(tmp_path / "scan.npy")
    most = int(np.iinfo(dtype).max)
    assert saturation_limit(scan) == float(most)
    (found,) = reduce_scan(scan, [saturated(scan, most - below if below else None)])
    expected = (counts >= most - below).sum((2, 3))
    assert found.image.dtype == np.float32
    np.testing.assert_array_equal(found.image, expected)
    assert found.pixels == expected.sum()
    assert found.patterns == np.count_nonzero(expected)
    assert found.total == 35


def test_a_given_limit_wins_and_floats_need_one(tmp_path):
    counts = np.random.default_rng(0).random((3, 4, KY, KX)).astype(np.float32)
    np.save(tmp_path / "scan.npy", counts)
    with pytest.raises(ScanError, match=r"scan\.npy.*float32.*give the saturation"):
        saturation_limit(open_scan(tmp_path / "scan.npy"))
    scan = open_scan(tmp_path / "scan.npy", saturation=0.75)
    (found,) = reduce_scan(scan, [saturated(scan)])
    np.testing.assert_array_equal(found.image, (counts >= np.float32(0.75)).sum((2, 3)))
    np.save(tmp_path / "scan.npy", np.full((2, 2, 4, 4), 200, np.uint8))
    for limit, expected in ((200, 16), (199.5, 16), (200.5, 0), (1000, 0), (float("inf"), 0)):
        scan = open_scan(tmp_path / "scan.npy", saturation=limit)
        (found,) = reduce_scan(scan, [saturated(scan)])
        assert np.all(found.image == expected), limit


@pytest.mark.parametrize(
    ("kind", "bits", "limit"),
    [("U08", 1, 1), ("U08", 6, 63), ("U16", 12, 4095), ("U32", 24, 2**24 - 1), ("U08", 12, 255)],
)
def test_the_counter_of_a_merlin_tells_the_limit(tmp_path, kind, bits, limit):
    stored = {"U08": ">u1", "U16": ">u2", "U32": ">u4"}[kind]
    frames = np.full((6, KY, KX), limit - 1, stored)
    frames[4, 2, 3] = frames[4, 5, 6] = limit
    header = (
        f"MQ1,000001,00384,01,{KX:04d},{KY:04d},{kind},   1x1,01,2020-01-01 12:00:00.000000,"
        f"0.001000,0,0,0,1.2E+2,MQ1A,2020-01-01T12:00:00.000000000Z,1000000ns,{bits}"
    )
    path = tmp_path / "scan.mib"
    path.write_bytes(b"".join(header.ljust(384).encode() + one.tobytes() for one in frames))
    scan = open_scan(path, scan_shape=(2, 3))
    assert saturation_limit(scan) == limit
    (found,) = reduce_scan(scan, [saturated(scan)])
    assert found.image.tolist() == [[0, 0, 0], [0, 2, 0]]


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["u1", "<u2", ">u2", "<u4"]),
    wanted=st.sets(st.sampled_from(["dark", "gain", "bad", "crop", "bin"])),
    seed=st.integers(0, 5),
)
def test_corrected_scans_are_counted_as_recorded(tmp_path_factory, dtype, wanted, seed):
    counts = counts_of(dtype, seed)
    folder = tmp_path_factory.mktemp("saturated")
    np.save(folder / "scan.npy", counts)
    rng = np.random.default_rng(seed)
    every = {
        "dark": rng.random((KY, KX)),
        "gain": 0.5 + rng.random((KY, KX)),
        "bad": rng.random((KY, KX)) < 0.2,
        "crop": (slice(1, 11), slice(2, 13)),
        "bin": 2,
    }
    options = {name: value for name, value in every.items() if name in wanted}
    used = np.zeros((KY, KX), bool)
    rows, columns = options.get("crop", (slice(0, KY), slice(0, KX)))
    bin = options.get("bin", 1)
    height, width = ((part.stop - part.start) // bin * bin for part in (rows, columns))
    used[rows.start : rows.start + height, columns.start : columns.start + width] = True
    used &= ~options.get("bad", np.zeros((KY, KX), bool))
    full = counts == np.iinfo(dtype).max
    for raw in (open_scan(folder / "scan.npy"), Scan.from_array(counts)):
        scan = correct(raw, **options)
        maps, found = com_flagged(scan, centre=(3, 4), mask_radius=3)
        np.testing.assert_array_equal(found.image, (full & used).sum((2, 3)))
        alone = com(scan, centre=(3, 4), mask_radius=3)
        for name, value in vars(alone).items():
            np.testing.assert_array_equal(value, getattr(maps, name), err_msg=name)


def test_corrected_counts_are_not_taken_for_recorded_ones():
    scan = correct(Scan.from_array(counts_of("u2")), bin=2)
    with pytest.raises(ScanError, match="as it was recorded"):
        saturated(scan)
    assert saturation_limit(scan) == 65535


def test_one_pass_for_both(tmp_path, monkeypatch):
    counts = counts_of("<u2")
    np.save(tmp_path / "scan.npy", counts)
    scan = open_scan(tmp_path / "scan.npy", centre=(6, 8))
    seen = []
    image, found = virtual_flagged(scan, Disk(3), report=seen.append)
    assert sum(p.done == p.total for p in seen) == 1
    np.testing.assert_array_equal(image.image, virtual(scan, Disk(3)).image)
    np.testing.assert_array_equal(found.image, (counts == 65535).sum((2, 3)))


def test_patterns_that_the_file_lacks_are_not_counted(tmp_path):
    path = tmp_path / "scan.raw"
    np.full((5, KY, KX), 255, np.uint8).tofile(path)
    scan = open_scan(path, dtype="u1", detector_shape=(KY, KX), scan_shape=(2, 3), incomplete="pad")
    _, found = flag_saturation(scan, centre_of_mass(scan, centre=(1, 1)))
    assert np.isnan(found.image[1, 2])
    assert (found.patterns, found.total, found.pixels) == (5, 5, 5 * KY * KX)
