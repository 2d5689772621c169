"""The preset "paper": the published network, on labels of a scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import LabelsError, ModelError, Scan, classify, load_model, save_model
from napari_ferro4d.learn import Classification, Model, Symmetry
from napari_ferro4d.learn.occlusion import occlusion_of
from napari_ferro4d.learn.paper_preset import LabelUse


def two_halves() -> tuple[Scan, np.ndarray]:
    """Return a scan whose patterns are brighter in the upper half in class 1, and the classes."""
    truth = 1 + (np.indices((8, 9)).sum(axis=0) > 7)
    mean = np.full((8, 9, 128, 128), 1.0)
    mean[truth == 1, :64] = 3.0
    rng = np.random.default_rng(0)
    return Scan.from_array(rng.poisson(mean).astype(np.uint8)), truth


def some(truth: np.ndarray, count: int) -> np.ndarray:
    labels = np.zeros_like(truth)
    chosen = np.random.default_rng(0).permutation(truth.size)[:count]
    labels.ravel()[chosen] = truth.ravel()[chosen]
    return labels


@pytest.fixture(scope="module")
def trained() -> Classification:
    scan, truth = two_halves()
    return classify(scan, some(truth, 50), preset="paper", epochs=10)


def test_the_papers_network_learns_and_keeps_its_best_epoch(trained):
    truth = two_halves()[1]
    validation = trained.history["validation"]
    assert len(trained.history["losses"]) == len(validation) == 10
    assert min(validation) < 0.5 * np.log(2)
    assert (trained.prediction == truth).all()
    assert trained.model.header["network"] == {"classes": 2, "size": 128}


def test_its_model_classifies_again_and_tells_what_it_looks_at(trained, tmp_path):
    model = load_model(save_model(trained.model, tmp_path / "paper.safetensors"))
    again = classify(two_halves()[0], model=model)
    assert np.array_equal(again.probability, trained.probability)
    upper, lower = occlusion_of(model).reshape(2, 2, 64, 128).mean(axis=(2, 3)).T
    # The lower half is the same in both classes.
    assert upper.sum() > 4 * np.abs(lower).sum()


def test_what_becomes_of_the_classes_is_learnt_and_kept_in_the_model():
    # Upside down, a pattern that is brighter above is brighter below: class 1 is class 3.
    truth = 1 + np.indices((8, 12))[1] // 4
    mean = np.full((8, 12, 128, 128), 1.0)
    mean[truth == 1, :64] = mean[truth == 3, 64:] = 3.0
    scan = Scan.from_array(np.random.default_rng(0).poisson(mean).astype(np.uint8))
    labels = some(truth, 60)
    symmetry = Symmetry.parse("mirror-y: 1->3, 3->1, 2->2")
    result = classify(scan, labels, preset="paper", epochs=12, symmetry=symmetry)
    assert result.model.header["symmetry"] == ["mirror-y: 1->3, 2->2, 3->1"]
    turned = Scan.from_array(scan.data[:, :, ::-1])
    upside_down = classify(turned, model=result.model)
    assert (result.prediction == truth).mean() > 0.9
    assert (upside_down.prediction == 4 - truth).mean() > 0.9
    without = np.where(labels == 3, 0, labels)
    with pytest.raises(LabelsError, match="no position is labelled 3"):
        classify(scan, without, preset="paper", epochs=1, symmetry=symmetry)


def test_the_halves_of_the_labels_held_out_lie_apart_and_hold_every_class():
    labels = np.zeros((6, 40), int)
    labels[2, ::2] = 1
    labels[4, 1::2] = 2
    test = np.argwhere(labels > 0)[:, 1] >= 20
    train = np.argwhere(labels > 0)[:, 1] < 15
    use = LabelUse.of(labels, train, test)
    x, kind = np.argwhere(labels > 0)[:, 1], labels[labels > 0]
    assert (use.part[train] == 0).all()
    assert (use.part[(x >= 15) & (x < 20)] == -1).all()
    for number in (1, 2):
        assert np.count_nonzero((use.part == 1) & (kind == number)) == 5
        assert np.count_nonzero((use.part == 2) & (kind == number)) == 5
    assert x[use.part == 1].max() < x[use.part == 2].min()
    assert use.evidence.tolist() == [1] * 40
    assert use.areas.tolist() == [1, 1]


def test_a_model_of_the_preset_that_is_gone_is_explained():
    header = {
        "preset": "compact",
        "preprocess": {"detector": [128, 128], "binning": 2, "size": 64},
        "network": {"classes": 2, "size": 64},
    }
    with pytest.raises(ModelError, match="preset compact, which is no more; train it again"):
        classify(two_halves()[0], model=Model("classifier", header, {}))
