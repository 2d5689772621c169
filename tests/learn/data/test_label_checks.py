"""Labels that can be learnt from, which of them are held out, and what that tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import LabelsError
from napari_ferro4d.learn.data import check_labels, folds_of, held_out
from napari_ferro4d.learn.training import temperature

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 4), int), r"3 x 4.* 4 x 4"),
        (np.ones((4, 4)), "float64"),
        (-np.ones((4, 4), int), "from -1"),
        (np.zeros((4, 4), int), "no position is labelled"),
        (np.eye(4, dtype=int) * 3, "only class 3"),
        (np.eye(4, dtype=int) * 70_000, "70000"),
    ],
)
def test_unusable_labels_are_explained(labels, words):
    with pytest.raises(LabelsError, match=words):
        check_labels(labels, (4, 4))


def test_folds_are_blocks_of_the_scan():
    positions = np.argwhere(RNG.random((40, 24)) < 0.2)
    fold = folds_of(positions, (40, 24), 5, seed=0)
    tile = positions // 5
    for a in range(len(positions)):
        same = (tile == tile[a]).all(axis=1)
        assert (fold[same] == fold[a]).all()
    assert np.bincount(fold).min() > 0.6 * len(positions) / 5


def test_no_network_is_robbed_of_a_class():
    targets = np.array([0] * 20 + [1, 1, 2])
    fold = np.array([0, 1, 2, 3] * 5 + [4, 4, 1])
    held = held_out(fold, targets, 5)
    for member in held:
        assert set(targets[~member]) == {0, 1, 2}
    assert held[:, :20].any(axis=0).all()
    assert not held[:, 20:].any()


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (4000, 3))
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = torch.tensor([rng.choice(3, p=p) for p in share])
    assert temperature(torch.tensor(3 * logits).float(), truth) == pytest.approx(3.0, rel=0.1)
