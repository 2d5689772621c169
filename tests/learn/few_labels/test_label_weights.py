"""What labels are worth: strokes are one observation, wrong labels are outvoted."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers.labelled_scans import renumbered, some, wavy_domains
from napari_ferro4d import Scan, classify
from napari_ferro4d.learn.few_labels import evidence

label_images = arrays(
    np.int64, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 3)
)


def test_a_stroke_of_neighbours_tells_a_few_labels_and_labels_apart_one_each():
    stroke, area, apart = (np.zeros((80, 80), int) for _ in range(3))
    stroke[40, 10:70] = 1
    area[20:30, 20:26] = 1
    apart[::40, ::40] = 1
    assert 3 < evidence(stroke).sum() < 12
    assert 1 <= evidence(area).sum() < 4
    np.testing.assert_allclose(evidence(apart)[apart > 0], 1, atol=1e-6)


def test_labels_of_other_classes_take_nothing_away():
    labels = np.zeros((30, 30), int)
    labels[15, 15], labels[15, 16] = 1, 2
    np.testing.assert_allclose(evidence(labels)[labels > 0], 1)


@given(label_images)
def test_weights_are_above_0_up_to_1_where_there_is_a_label_and_only_there(labels):
    weights = evidence(labels)
    assert weights.shape == labels.shape
    assert np.array_equal(weights > 0, labels > 0)
    assert weights.max() <= 1


@given(label_images, st.permutations((1, 2, 3)))
def test_the_numbers_of_the_classes_do_not_matter(labels, order):
    np.testing.assert_allclose(evidence(renumbered(labels, tuple(order))), evidence(labels))


@functools.cache
def scan_and_truth() -> tuple[Scan, np.ndarray]:
    return wavy_domains(2, 40, 50)


@functools.cache
def prediction_of_50() -> np.ndarray:
    scan, truth = scan_and_truth()
    return classify(scan, some(truth, 50)).prediction


def brush(y: int, x: int) -> tuple[slice, slice]:
    """Return 60 neighbouring positions."""
    return slice(y, y + 6), slice(x, x + 10)


@pytest.mark.parametrize(
    "where",
    [brush(2, 3), brush(17, 20), brush(33, 38), (slice(10, 11), slice(None)), brush(0, 40)],
    ids=["in a corner", "in the middle", "in the last corner", "along a row", "at the edge"],
)
def test_correct_corrections_do_not_make_the_rest_worse(where):
    scan, truth = scan_and_truth()
    labels = some(truth, 50)
    elsewhere = labels == 0
    elsewhere[where] = False
    labels[where] = truth[where]
    before = (prediction_of_50() == truth)[elsewhere].mean()
    after = (classify(scan, labels).prediction == truth)[elsewhere].mean()
    assert after >= before - 0.01


def test_a_tenth_of_wrong_labels_costs_little_and_they_are_named():
    scan, truth = scan_and_truth()
    costs = []
    for seed in range(3):
        labels = some(truth, 250, seed)
        elsewhere = labels == 0
        y, x = np.nonzero(labels)
        wrong = np.random.default_rng(seed).permutation(len(y))[:25]
        flipped = labels.copy()
        flipped[y[wrong], x[wrong]] = flipped[y[wrong], x[wrong]] % 3 + 1
        right = (classify(scan, labels).prediction == truth)[elsewhere].mean()
        result = classify(scan, flipped)
        costs.append(right - (result.prediction == truth)[elsewhere].mean())
        named = {(one.y, one.x) for one in result.disagreements[:25]}
        really = set(zip(y[wrong].tolist(), x[wrong].tolist(), strict=True))
        assert len(named & really) >= 18
        first = result.disagreements[0]
        assert first.label == flipped[first.y, first.x] != first.predicted
        chances = [one.probability for one in result.disagreements]
        assert chances == sorted(chances, reverse=True)
    assert np.mean(costs) <= 0.03
