"""What every pattern is in a few numbers, whatever the scan looks like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from helpers.labelled_scans import some, striped, three_domains
from napari_ferro4d import Scan, ScanError, classify
from napari_ferro4d.learn.data import fit_preprocess
from napari_ferro4d.learn.few_labels import read_features
from napari_ferro4d.learn.few_labels.features import Features, input_side, without_gaps


def features_of(scan: Scan) -> Features:
    detector = scan.detector_shape
    return read_features(scan, fit_preprocess(detector, input_side(detector)))


@pytest.mark.parametrize(
    "detector", [(16, 16), (5, 9), (40, 24), (24, 40), (128, 128), (300, 180), (600, 600)]
)
def test_detectors_of_any_size_and_shape(detector):
    ny, nx = (4, 5) if max(detector) > 100 else (10, 12)
    truth = np.where(np.arange(nx) < nx // 2, 1, 2) * np.ones((ny, 1), int)
    mean = np.full((ny, nx, *detector), 0.2)
    mean[truth == 1, : detector[0] // 2] = 1.5
    mean[truth == 2, detector[0] // 2 :] = 1.5
    counts = np.random.default_rng(0).poisson(mean).astype(np.uint16)
    labels = np.zeros((ny, nx), int)
    labels[0, [0, -1]] = labels[-1, [0, -1]] = 1, 2
    result = classify(Scan.from_array(counts), labels)
    assert (result.prediction == truth).mean() > 0.9
    side = result.model.header["preprocess"]["size"]
    assert side == min(128, max(detector))


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (1, 9), (9, 1), (2, 7)])
def test_the_smallest_scans(shape):
    scan = Scan.from_array(np.random.default_rng(0).poisson(4, (*shape, 16, 16)).astype(np.uint8))
    labels = np.zeros(shape, int)
    labels[0, 0], labels[-1, -1] = 1, 2
    result = classify(scan, labels)
    assert set(np.unique(result.prediction)) <= {1, 2}
    assert np.isfinite(result.probability).all()
    assert np.isfinite(result.novelty).all()
    assert result.held_out is None
    again = classify(scan, model=result.model)
    assert np.isfinite(again.probability).all()


def test_one_position_alone_teaches_nothing():
    with pytest.raises(ScanError, match="fewer than two patterns"):
        features_of(Scan.from_array(np.ones((1, 1, 8, 8), np.uint8)))


@pytest.mark.parametrize("value", [0, 7])
def test_a_scan_that_is_the_same_everywhere_is_not_told_apart(value):
    scan = Scan.from_array(np.full((8, 9, 16, 16), value, np.uint16))
    labels = np.zeros((8, 9), int)
    labels[:2, ::2], labels[5:7, ::2] = 1, 2
    result = classify(scan, labels)
    assert np.isfinite(result.probability).all()
    assert result.confidence.mean() < 0.9


def test_a_dead_row_is_no_pattern_but_spoils_none_of_the_others():
    scan, truth = three_domains(0)
    counts = scan.data.compute()
    counts[12] = 0
    result = classify(Scan.from_array(counts), some(truth, 60))
    others = np.arange(len(truth)) != 12
    assert np.isfinite(result.probability).all()
    assert (result.prediction == truth)[others].mean() > 0.95


def test_missing_positions_have_no_features_until_the_nearest_lends_its_own():
    scan, _ = three_domains(0)
    missing = np.zeros(scan.scan_shape, bool)
    missing[4:6, 3] = True
    missing[-1] = True
    counts = np.where(missing[:, :, None, None], 255, scan.data.compute()).astype(np.uint8)
    found = features_of(Scan.from_array(counts, missing=missing))
    whole = without_gaps(found.values, missing)
    for kind, values in found.values.items():
        assert np.array_equal(np.isnan(values).all(axis=-1), missing)
        assert np.array_equal(np.isnan(values).any(axis=-1), missing)
        assert np.array_equal(whole[kind][-1], values[-2])
        assert np.array_equal(whole[kind][~missing], values[~missing])
    # What the file holds in their place plays no part.
    other = features_of(
        Scan.from_array(np.where(missing[:, :, None, None], 0, counts), missing=missing)
    )
    for kind, values in found.values.items():
        np.testing.assert_array_equal(values, other.values[kind])


@pytest.mark.parametrize("unit", [0.013, 1.0, 40.0])
def test_the_unit_of_a_count_is_found_and_does_not_matter(unit):
    scan, truth = three_domains(0)
    scaled = Scan.from_array(scan.data.compute().astype(np.float32) * np.float32(unit))
    found = features_of(scaled)
    assert found.basis.unit == pytest.approx(unit, rel=0.2)
    labels = some(truth, 60)
    first, second = classify(scan, labels), classify(scaled, labels)
    assert (first.prediction == second.prediction).mean() > 0.99


def test_a_large_scan_is_learnt_from_a_part_of_it():
    scan, truth = striped(nx=800, wall=400, ny=12)
    labels = some(truth, 40)
    assert (classify(scan, labels).prediction == truth).mean() > 0.99
    few = features_of(scan)
    for kind, values in few.values.items():
        assert values.shape == (*truth.shape, few.basis.sizes[kind])
        assert np.isfinite(values).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -3.0])
def test_intensities_that_are_no_intensities_are_refused(wrong):
    counts = np.ones((4, 5, 8, 8), np.float32)
    counts[2, 3, 1, 1] = wrong
    labels = np.zeros((4, 5), int)
    labels[0, :2] = 1, 2
    with pytest.raises(ScanError):
        classify(Scan.from_array(counts), labels)


@settings(max_examples=12)
@given(
    shape=st.tuples(*[st.integers(1, 13)] * 4),
    dose=st.sampled_from((0, 0.001, 0.02, 1, 5000)),
    unit=st.sampled_from((None, 1e-6, 1e4)),
    lacking=st.sampled_from((0, 0.3)),
    seed=st.integers(0, 1000),
)
def test_whatever_the_counts_a_map_is_made_of_numbers(shape, dose, unit, lacking, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(dose, shape).astype(np.uint16)
    missing = rng.random(shape[:2]) < lacking
    labels = np.where(rng.random(shape[:2]) < 0.4, rng.integers(1, 4, shape[:2]), 0)
    assume(len(np.unique(labels[~missing & (labels > 0)])) > 1)
    if unit is not None:
        counts = counts * np.float32(unit)
    scan = Scan.from_array(counts, missing=missing if lacking else None)
    learnt = classify(scan, labels)
    applied = classify(scan, model=learnt.model)
    for result in (learnt, applied):
        there = result.probability[:, ~missing]
        np.testing.assert_allclose(there.sum(axis=0), 1, atol=1e-4)
        assert (there >= 0).all()
        assert np.isfinite(result.novelty[~missing]).all()
        assert np.array_equal(result.prediction == 0, missing)
