"""Detector corrections, applied as patterns are read."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ferro4d import Scan, ScanError, com
from napari_ferro4d.corrections import bad_pixels, correct
from napari_ferro4d.reduce import pattern_statistics

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(50, (4, 5, 12, 16)).astype(np.uint16)


def test_dark_and_gain():
    dark, gain = RNG.random((12, 16)) * 10, 0.5 + RNG.random((12, 16))
    found = correct(Scan.from_array(COUNTS), dark=dark, gain=gain)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.data.compute(), (COUNTS - dark) * gain, rtol=1e-5, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    top=st.integers(0, 4),
    left=st.integers(0, 5),
    height=st.integers(3, 8),
    width=st.integers(3, 10),
    bin=st.integers(1, 3),
)
def test_cropping_and_binning_keep_every_count(top, left, height, width, bin):
    scan = Scan.from_array(COUNTS, k_step=0.1, centre=(6.0, 8.0))
    crop = slice(top, top + height), slice(left, left + width)
    found = correct(scan, crop=crop, bin=bin)
    ny, nx = height // bin, width // bin
    kept = COUNTS[..., crop[0], crop[1]][..., : ny * bin, : nx * bin].astype(int)
    expected = kept.reshape(4, 5, ny, bin, nx, bin).sum((3, 5))
    np.testing.assert_array_equal(found.data.compute(), expected)
    assert found.dtype.kind == "u"
    assert found.k_step == pytest.approx((0.1 * bin, 0.1 * bin))
    # The centre stays on the same physical spot: pixel edges map onto pixel edges.
    assert (found.centre[0] + 0.5) * bin + top == pytest.approx(6.5)
    assert (found.centre[1] + 0.5) * bin + left == pytest.approx(8.5)


def test_full_counts_do_not_overflow_when_binned():
    scan = Scan.from_array(np.full((1, 1, 4, 4), 65535, np.uint16))
    assert int(correct(scan, bin=4).data.compute().item()) == 16 * 65535


def test_bad_pixels_take_the_mean_of_their_neighbours():
    flat = np.full((2, 2, 9, 9), 10, np.uint16)
    flat[..., 4, 4], flat[..., 0, 0] = 60000, 0
    bad = np.zeros((9, 9), bool)
    bad[4, 4] = bad[0, 0] = True
    assert np.all(correct(Scan.from_array(flat), bad=bad).data.compute() == 10)


def test_hot_and_dead_pixels_are_found():
    # Disks with sharp edges on a faint ground, as in convergent-beam patterns.
    ky, kx = np.indices((32, 32))
    disks = [np.hypot(ky - y, kx - x) < 3.5 for y, x in ((6, 15), (15, 17), (24, 16))]
    mean = 0.02 + 40.0 * np.any(disks, axis=0)
    counts = RNG.poisson(mean, (12, 12, 32, 32)).astype(np.uint16)
    counts[..., 3, 25] = 300
    counts[..., 15, 17] = 0
    bad = bad_pixels(pattern_statistics(Scan.from_array(counts)))
    assert np.argwhere(bad).tolist() == [[3, 25], [15, 17]]


def test_what_hits_a_pixel_once_makes_it_no_hot_one():
    counts = RNG.poisson(20, (20, 20, 16, 16)).astype(np.uint16)
    counts[4, 4, 10, 10] = 65535
    counts[..., 3, 5] += 60
    bad = bad_pixels(pattern_statistics(Scan.from_array(counts)))
    assert np.argwhere(bad).tolist() == [[3, 5]]


def test_corrections_run_inside_the_pass():
    lazy = da.from_array(COUNTS, chunks=(2, 3, 12, 16))
    plain, shifted = Scan.from_array(COUNTS), correct(Scan.from_array(lazy), dark=np.ones((12, 16)))
    expected = com(Scan.from_array(COUNTS.astype(np.float32) - 1), centre=(0, 0))
    np.testing.assert_allclose(com(shifted, centre=(0, 0)).com_y, expected.com_y, rtol=1e-5)
    assert shifted.signature != plain.signature


@pytest.mark.parametrize(
    "options",
    [
        {"dark": np.ones((3, 3))},
        {"bad": np.ones((12, 16), bool)},
        {"crop": (slice(5, 5), slice(None))},
        {"bin": 13},
        {"bin": 0},
    ],
)
def test_impossible_corrections_are_refused(options):
    with pytest.raises(ScanError):
        correct(Scan.from_array(COUNTS), **options)
