"""Figures from labels that a model has not seen, nor any label near them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.labelled_scans import some, three_domains
from napari_ferro4d import classify
from napari_ferro4d.learn import HeldOut
from napari_ferro4d.learn.few_labels import areas, effective, split, temperature, why_too_few

sparse_labels = arrays(
    np.int64,
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    elements=st.sampled_from((1, 1, 2, 3)),
    fill=st.just(0),
)


@given(sparse_labels, st.integers(0, 3))
def test_labels_tested_are_apart_from_all_trained_on(labels, seed):
    assume(labels.any())
    positions, classes = np.argwhere(labels > 0), labels[labels > 0]
    folds, apart = split(labels, seed)
    assert apart >= 3
    times = np.zeros(len(classes), int)
    for fold in folds:
        assert fold.test.any()
        assert not (fold.train & fold.test).any()
        between = positions[fold.test][:, None] - positions[fold.train][None]
        assert (np.hypot(between[..., 0], between[..., 1]) >= apart).all()
        assert set(classes[fold.train]) == set(classes)
        times += fold.test
    assert times.max(initial=0) <= 1


def test_labels_far_apart_are_all_tested():
    labels = np.zeros((60, 60), int)
    labels[4::10, 4::10] = 1 + np.indices((6, 6)).sum(axis=0) % 2
    folds, apart = split(labels, 0)
    assert len(folds) == 5
    assert sum(fold.test.sum() for fold in folds) == 36
    assert apart < 10


@given(sparse_labels)
def test_every_unlabelled_position_belongs_to_one_label(labels):
    assume(labels.any())
    found = areas(labels)
    assert len(found) == np.count_nonzero(labels)
    assert (found >= 0).all()
    assert found.sum() == np.count_nonzero(labels == 0)


def test_a_label_stands_for_the_positions_nearest_to_it():
    labels = np.zeros((1, 10), int)
    labels[0, [0, 1, 6]] = 1
    np.testing.assert_array_equal(areas(labels), [0, 2, 5])


def test_labels_of_unequal_weight_tell_less():
    assert effective(np.ones(7)) == pytest.approx(7)
    assert effective(np.array([3.0, 0, 0])) == pytest.approx(1)
    assert effective(np.zeros(3)) == 0


def by_hand(weights=(1.0, 1.0, 1.0, 1.0, 2.0)) -> HeldOut:
    """Return five labels, of which the third and the fifth are predicted wrong."""
    probability = [[0.95, 0.05], [0.85, 0.15], [0.35, 0.65], [0.05, 0.95], [0.55, 0.45]]
    return HeldOut(
        positions=np.argwhere(np.ones((1, 5))),
        labels=np.array([3, 3, 3, 7, 7]),
        predicted=np.array([3, 3, 7, 7, 3]),
        probability=np.array(probability, np.float32),
        weights=np.array(weights),
        classes=(3, 7),
        apart=3.0,
    )


def test_figures_of_labels_made_by_hand():
    told = by_hand()
    assert told.accuracy == pytest.approx(3 / 6)
    assert told.balanced_accuracy == pytest.approx((2 / 3 + 1 / 3) / 2)
    np.testing.assert_array_equal(told.confusion, [[2, 1], [1, 1]])
    sure, right, weight = told.reliability
    np.testing.assert_allclose(sure, [0.55, 0.65, (0.85 + 2 * 0.95) / 3], atol=1e-6)
    np.testing.assert_allclose(right, [0, 0, 1])
    np.testing.assert_allclose(weight, [2, 1, 3])
    error = (2 * 0.55 + 0.65 + 0.15 + 2 * 0.05) / 6
    assert told.calibration_error == pytest.approx(error, abs=1e-6)


def test_the_range_of_the_accuracy_is_that_of_wilson():
    n = 50
    told = HeldOut(
        positions=np.zeros((n, 2), int),
        labels=np.ones(n, int),
        predicted=np.where(np.arange(n) < 45, 1, 2),
        probability=np.full((n, 2), 0.5, np.float32),
        weights=np.ones(n),
        classes=(1, 2),
        apart=3.0,
    )
    # 45 of 50, as tables of Wilson's interval give it.
    assert told.accuracy_range == pytest.approx((0.7864, 0.9565), abs=2e-4)


def test_too_few_labels_give_a_sentence_and_no_figure():
    classes = np.repeat([1, 2], 20)
    assert why_too_few(classes, 40.0, (1, 2)) == ""
    for labels, pieces, present in (
        (classes[:24], 24.0, (1,)),
        (classes, 4.0, (1, 2)),
        (classes, 40.0, (1, 2, 3)),
    ):
        assert "too few labels apart from each other to tell" in why_too_few(
            labels, pieces, present
        )


def test_labels_in_one_heap_tell_nothing_of_the_map():
    scan, truth = three_domains(0)
    labels = np.zeros_like(truth)
    labels[8:12, 4:12] = truth[8:12, 4:12]
    result = classify(scan, labels)
    assert result.held_out is None
    assert result.validation_accuracy is None
    assert result.why_no_figure.startswith("too few labels apart from each other to tell")


def test_the_labels_held_out_are_those_given():
    scan, truth = three_domains(0)
    labels = some(truth, 120)
    told = classify(scan, labels).held_out
    y, x = told.positions.T
    np.testing.assert_array_equal(told.labels, labels[y, x])
    assert len({*zip(y.tolist(), x.tolist(), strict=True)}) == len(told.labels) >= 25
    np.testing.assert_allclose(told.probability.sum(axis=1), 1, atol=1e-5)
    best = np.array(told.classes)[told.probability.argmax(axis=1)]
    np.testing.assert_array_equal(told.predicted, best)
    assert told.confusion.sum() == len(told.labels)
    assert told.accuracy_range[0] <= told.accuracy <= told.accuracy_range[1]


def test_the_temperature_tells_too_sure_from_not_sure_enough():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 400)
    right = rng.random(400) < 0.8
    for claimed, warm in ((0.99, True), (0.6, False)):
        p = np.full((400, 2), 1 - claimed)
        p[np.arange(400), np.where(right, targets, 1 - targets)] = claimed
        found = temperature(np.log(p), targets, np.ones(400))
        assert (found > 1.5) if warm else (found < 0.7)
    assert temperature(np.log(p[:0]), targets[:0], np.ones(0)) == pytest.approx(1, abs=0.05)
