"""Reductions of odd data: halves, infinities, patterns that are missing and were corrected."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import Scan, ScanError, com, open_scan, virtual
from napari_ferro4d.corrections import bad_pixels, correct
from napari_ferro4d.reduce import (
    Disk,
    find_centre,
    flag_saturation,
    largest,
    pattern_statistics,
    reduce_scan,
    squares,
    virtual_image,
)

COUNTS = np.random.default_rng(0).poisson(5, (4, 5, 12, 14)).astype(np.float64)


@pytest.mark.parametrize("dtype", ["<f2", ">f2"])
def test_halves_are_reduced_as_the_floats_they_are(tmp_path, dtype):
    np.save(tmp_path / "scan.npy", COUNTS.astype(dtype))
    scan = open_scan(tmp_path / "scan.npy", saturation=12)
    same = Scan.from_array(COUNTS)
    np.testing.assert_array_equal(com(scan).com_y, com(same).com_y)
    image, found = flag_saturation(scan, virtual_image(scan, Disk(3), centre=(6, 6)))
    np.testing.assert_array_equal(image.image, virtual(same, Disk(3), centre=(6, 6)).image)
    np.testing.assert_array_equal(found.image, (COUNTS >= 12).sum(axis=(2, 3)))
    binned = COUNTS.reshape(4, 5, 6, 2, 7, 2).sum(axis=(3, 5))
    np.testing.assert_array_equal(correct(scan, bin=2).data, binned)
    statistics = pattern_statistics(scan)
    np.testing.assert_allclose(statistics.mean, COUNTS.mean(axis=(0, 1)))
    np.testing.assert_array_equal(statistics.maximum, COUNTS.max(axis=(0, 1)))


def test_floats_of_more_than_64_bits_are_refused():
    with pytest.raises(ScanError, match="up to 64 bits"):
        Scan.from_array(COUNTS.astype(np.longdouble))


def test_a_pixel_that_is_infinite_once_moves_no_centre():
    counts = COUNTS.copy()
    counts[1, 1, 3, 4] = counts[2, 3, 8, 8] = np.inf
    maps = com(Scan.from_array(counts))
    there = np.isfinite(counts).all(axis=(2, 3))
    total = counts[there].sum()
    expected = (counts[there] * np.arange(12)[:, None]).sum() / total
    assert maps.centre[0] == pytest.approx(expected)
    np.testing.assert_array_equal(np.isfinite(maps.com_y), there)
    inside = np.isfinite(counts).all(axis=(0, 1))
    pattern = counts.mean(axis=(0, 1))
    known = np.where(inside, pattern, 0)
    assert find_centre(pattern)[1] == pytest.approx((known * np.arange(14)).sum() / known.sum())
    statistics = pattern_statistics(Scan.from_array(counts))
    assert np.array_equal(np.isfinite(statistics.deviation), inside)
    assert not bad_pixels(statistics).any()


def test_counts_beyond_all_sums_take_the_middle():
    maps = com(Scan.from_array(np.full((2, 2, 3, 5), 1e306)))
    assert maps.centre == pytest.approx((1, 2))


@pytest.fixture
def incomplete(tmp_path):
    counts = COUNTS.astype(np.uint16)
    np.save(tmp_path / "scan.npy", counts.reshape(20, 12, 14))
    return open_scan(tmp_path / "scan.npy", scan_shape=(5, 5), incomplete="pad")


def test_missing_patterns_do_not_count_though_a_dark_image_was_subtracted(incomplete):
    dark = np.full((12, 14), 50.0)
    statistics = pattern_statistics(correct(incomplete, dark=dark))
    np.testing.assert_allclose(statistics.mean, COUNTS.mean(axis=(0, 1)) - 50, rtol=1e-6)
    np.testing.assert_allclose(statistics.deviation, COUNTS.std(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_array_equal(statistics.maximum, COUNTS.max(axis=(0, 1)) - 50)
    lighter = correct(incomplete, dark=-dark)
    most, squared = reduce_scan(
        lighter, [largest(lighter, np.asarray), squares(lighter, np.asarray)]
    )
    np.testing.assert_array_equal(most, COUNTS.max(axis=(0, 1)) + 50)
    np.testing.assert_allclose(squared, ((COUNTS + 50) ** 2).sum(axis=(0, 1)), rtol=1e-6)


def test_partial_maps_know_no_missing_pattern(incomplete, monkeypatch):
    monkeypatch.setattr("napari_ferro4d.io.blocks.PARTIAL_EVERY_S", 0)
    shown = []
    scan = incomplete
    virtual(
        scan, np.ones((12, 14), bool), progressive=True, report=lambda p: shown.append(p.partial)
    )
    maps = [one[0].image for one in shown if one is not None]
    assert maps
    assert all(np.isnan(image[scan.missing]).all() for image in maps)


def test_saturation_without_a_pixel_to_count_is_said(tmp_path):
    np.save(tmp_path / "scan.npy", COUNTS.astype(np.uint16))
    crop = ((5, 6), (5, 6))
    scan = open_scan(tmp_path / "scan.npy", bad_pixels="5,5", crop=crop)
    with pytest.raises(ScanError, match="marked bad"):
        flag_saturation(scan, virtual_image(scan, np.ones((1, 1), bool)))


def test_no_float_reaches_a_level_beyond_its_type(tmp_path):
    np.save(tmp_path / "scan.npy", COUNTS.astype(np.float32))
    scan = open_scan(tmp_path / "scan.npy", saturation=1e300)
    _, found = flag_saturation(scan, virtual_image(scan, np.ones((12, 14), bool)))
    assert found.pixels == 0
