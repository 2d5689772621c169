"""From counts to what a network is given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_ferro4d import Scan, ScanError, train
from napari_ferro4d.learn.data import (
    Preprocess,
    compact_size,
    fit_preprocess,
    prepare,
    read_patterns,
    read_samples,
)

RNG = np.random.default_rng(0)


def test_counts_are_binned_before_the_logarithm():
    counts = RNG.poisson(3.0, (2, 8, 8)).astype(np.uint16)
    result = prepare(counts, Preprocess((8, 8), 2, 4))
    for i in range(4):
        for j in range(4):
            inside = counts[1, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum()
            assert result[1, i, j] == pytest.approx(math.log(1 + inside), rel=1e-6)
    assert result.dtype == np.float32


def test_large_counts_do_not_overflow():
    counts = np.full((1, 4, 4), 65535, np.uint16)
    assert prepare(counts, Preprocess((4, 4), 2, 2))[0, 0, 0] == pytest.approx(math.log(1 + 262140))


def test_a_small_detector_is_padded_all_around():
    result = prepare(np.ones((1, 4, 6), np.uint8), fit_preprocess((4, 6), 8))
    assert np.count_nonzero(result) == 24
    assert np.count_nonzero(result[0, 2:6, 1:7]) == 24


def test_a_large_detector_is_cropped_about_the_beam():
    pattern = np.zeros((1, 20, 20), np.uint8)
    pattern[0, 8, 12] = 1
    how = Preprocess((20, 20), 1, 5)
    assert prepare(pattern, how, centre=(8.0, 12.0))[0, 2, 2] > 0
    # A beam in the corner leaves the window on the detector.
    pattern[0, 0, 19] = 1
    assert prepare(pattern, how, centre=(0.0, 19.0))[0, 0, 4] > 0


@pytest.mark.parametrize(
    ("detector", "binning"), [((256, 256), 1), ((512, 512), 2), ((300, 200), 1), ((128, 128), 1)]
)
def test_any_detector_becomes_256_for_the_paper(detector, binning):
    how = fit_preprocess(detector, 256)
    assert how.binning == binning
    assert prepare(np.ones((1, *detector), np.uint8), how).shape == (1, 256, 256)


@pytest.mark.parametrize(
    ("detector", "size"), [(8, 16), (32, 32), (64, 32), (96, 48), (128, 64), (256, 64), (515, 64)]
)
def test_the_compact_input_is_at_most_64(detector, size):
    assert compact_size((detector, detector)) == size


@pytest.mark.parametrize(("bad", "word"), [(-1.0, "negative"), (np.nan, "NaN"), (np.inf, "inf")])
def test_impossible_counts_are_refused_by_name(bad, word):
    patterns = np.ones((2, 4, 4), np.float32)
    patterns[1, 2, 3] = bad
    with pytest.raises(ScanError, match=f"my.npy: .*{word}"):
        prepare(patterns, Preprocess((4, 4), 1, 4), where="my.npy")


def test_preprocessing_survives_the_header():
    how = Preprocess((100, 90), 2, 48)
    assert Preprocess.from_json(how.to_json()) == how


def test_patterns_are_read_in_scan_order_whatever_the_chunks():
    import dask.array as da

    counts = RNG.poisson(4.0, (5, 7, 16, 16)).astype(np.uint16)
    scan = Scan.from_array(da.from_array(counts, chunks=(2, 3, 16, 16)))
    how = Preprocess((16, 16), 1, 16)
    expected = np.log1p(counts.reshape(35, 16, 16), dtype="f4")
    assert np.array_equal(read_patterns([scan], how).patterns, expected)
    chosen = RNG.random((5, 7)) < 0.3
    samples = read_samples(scan, chosen, how)
    assert np.array_equal(samples.labelled, np.log1p(counts[chosen], dtype="f4"))
    assert len(samples.sampled) == 35


def test_a_dark_scan_has_nothing_to_teach():
    scan = Scan.from_array(np.zeros((2, 2, 8, 8), np.uint8))
    with pytest.raises(ScanError, match="every count is zero"):
        train(scan, epochs=1)
